"""Erase a person: ask, land the hours anew without them, let all tables follow, remove the history, look again.

Asking is what counts: from then on no landing makes events of the person's lines. All else can be interrupted, held or
killed, and is finished by asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command
from tidegate.common.hours import hours_text
from tidegate.lake import Row, literal
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.context.effective_config import in_force, is_outdated, outdated_text
from tidegate.pipeline.context.erasures import erased_from
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.erase.clean import clean_aliases, clean_books, still_in_books
from tidegate.pipeline.erase.find import find, mentions, strangers
from tidegate.pipeline.erase.model import Erasure, Found, Person, person_of
from tidegate.pipeline.erase.purge import Erasing, Purged, purge
from tidegate.pipeline.ingest.land_again import land_again
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.release.release import Release, describe_rollback, release, repaired
from tidegate.privacy.key import LEAST_BYTES, PiiKey
from tidegate.storage.lake_files import LakeFiles, open_files
from tidegate.tables import DERIVED, events
from tidegate.tables.system_tables import ERASURES

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def look(
    work: Work, sources: Sequence[Source], ids: Sequence[str], only: Source | None = None
) -> list[Found]:
    """Return where a person is, source by source; nothing is changed.

    Args:
        work: where.
        sources: all of the project.
        ids: of the person, as they are in the dumps.
        only: the one source to look at.

    Raises:
        TidegateError: nobody has such an id, it is no id, the key that ids were hashed by is not here, or the
            lake can't be read like that.
    """
    person = _person(work, [only] if only else sources, ids)
    before = _asked(work, person, only)
    found = _found(work, _files(work), [only] if only else sources, person, before)
    if not any(each.is_anywhere for each in found):
        raise _nobody(work, found)
    return [each for each in found if each.is_anywhere]


def erase(
    work: Work,
    sources: Sequence[Source],
    ids: Sequence[str],
    *,
    by: str,
    reason: str = "",
    only: Source | None = None,
) -> Erasure:
    """Erase a person from all sources, those to come included, or from one; and from what is derived of them.

    Args:
        work: where.
        sources: all of the project: what is derived of them follows in the same release.
        ids: of the person, as they are in the dumps.
        by: who asks.
        reason: why.
        only: the one source to erase the person from.

    Raises:
        TidegateError: as `look`, or readers are shown an earlier release.
    """
    _refuse_rolled_back(work)
    files = _files(work)
    mine = [only] if only else list(sources)
    person = _person(work, mine, ids)
    row = _asked(work, person, only)
    found = _found(work, files, mine, person, row)
    if row is None:
        if not any(each.is_anywhere for each in found):
            raise _nobody(work, found)
        person = person_of(ids, work.pii_key())
        row = _ask(work, person, only, found, by, reason)
    since = row["sequence"]
    left = [
        told
        for source, each in zip(mine, found, strict=True)
        for told in _land_anew(work, files, source, person, since, each)
    ]
    derived = derive(work, list({each.source: each for each in (*sources, *mine)}.values()))
    names = {source.source for source in mine}
    left += [audit.describe() for audit in derived.held if audit.source in names]
    for source in mine:
        left += [
            outdated_text(work, source, table)
            for table in DERIVED
            if is_outdated(work, source, table)
        ]
        erased = erased_from(work, source.source)
        assert erased is not None, "it was asked for"
        held = clean_aliases(work, source, person, erased)
        left += [held.describe()] if held else []
        clean_books(work, source, person)
    made = release(work, derived)
    purged = Purged()
    if not left:
        left += _overtaken(work, made)
    if not left:
        purged = purge(work, files, Erasing(person, mine, since), made.versions, _now())
        left += [*purged.left, *_still_there(work, files, mine, person, since)]
        left += [] if only else _of_strangers(work, person, sources)
    if not left and (any(each.is_anywhere for each in found) or not _is_done(work, row)):
        _receipt(work, row, found, purged, by)
    return Erasure(
        row["erasure_id"],
        tuple(each for each in found if each.is_anywhere),
        purged.counts(),
        tuple(left),
        made.release_id,
        purged.gives_up,
        0 if left else sum(mentions(work, source, person) for source in mine),
    )


def _land_anew(
    work: Work, files: LakeFiles, source: Source, person: Person, since: int, found: Found
) -> list[str]:
    """Land the hours that have something of a person, and publish them; return what is left, and why."""
    hours = found.hours
    if not hours:
        return []
    work.tell(f"landing {source.source} {hours_text(hours)} without the person")
    landed = land_again(work, source, hours, anew=True)
    lost = [each for each in landed if each.outcome in ("missing", "unreadable")]
    published = publish_events(work, source, [each.hour for each in landed if each not in lost])
    if not lost and not published.held_hours:
        return []
    work.ledger.refresh()
    there = set(find(work, files, source, person, since).hours)
    return [
        *(f"{source.source} {each.describe()}" for each in lost if each.hour in there),
        *(
            f"{hours_text([hour])} of {source.source} is held: {audit.describe()}"
            for hour, audits in published.held_hours.items()
            if hour in there
            for audit in audits
        ),
    ]


# -- whether it is over -----------------------------------------------------------------------------


def _overtaken(work: Work, made: Release) -> list[str]:
    """Return in words that readers are shown other versions than those of the release of the erasure."""
    newest = repaired(work)
    assert newest is not None, "a release was made"
    if newest.get("rolled_back_to"):
        return [describe_rollback(newest)]
    if any(newest["versions"][name] < version for name, version in made.versions.items()):
        return [f"release {newest['release_id']}, made meanwhile, shows earlier versions"]
    return []


def _still_there(
    work: Work, files: LakeFiles, sources: Sequence[Source], person: Person, since: int
) -> list[str]:
    """Return where a person is after all was done, in words: a run that began before may have come in between."""
    work.ledger.refresh()
    found = [find(work, files, source, person, since) for source in sources]
    told = [f"still there in {each.describe()}" for each in found if each.is_anywhere]
    books = {name for source in sources for name in still_in_books(work, source, person)}
    return [*told, *(f"still there in {name}" for name in sorted(books))]


def _of_strangers(work: Work, person: Person, sources: Sequence[Source]) -> list[str]:
    """Return in words what there is of a person in sources that have no file."""
    return [
        f"{n:,} events of {name}, which has no source file: bring it back, so that its hours can be landed anew"
        for name, n in strangers(work, person, sources).items()
    ]


# -- the book ---------------------------------------------------------------------------------------


def _asked(work: Work, person: Person, only: Source | None) -> Row | None:
    """Return the last erasure of a person, from all sources or the one, that was asked for before."""
    where = "source is null"
    if only is not None:
        where = f"(source is null or source = {literal(only.source)})"
    rows = work.lake.book(ERASURES, f"status = 'asked' and {where}")
    theirs = [row for row in rows if set(person.hashes) <= set(row["persons"])]
    return max(theirs, key=lambda row: row["sequence"], default=None)


def _ask(
    work: Work, person: Person, only: Source | None, found: Sequence[Found], by: str, reason: str
) -> Row:
    """Write down that a person is to be erased: from now on their lines become no events."""
    from tidegate.pipeline.context.run_context import new_id

    def attempt() -> Row | None:
        known = work.lake.book(ERASURES, select=("sequence",))
        sequence = max((row["sequence"] for row in known), default=0) + 1
        row: Row = {
            "erasure_id": new_id(),
            "source": only.source if only else None,
            "sequence": sequence,
            "status": "asked",
            "persons": person.hashes,
            "key": person.key.fingerprint,
            "reason": reason or None,
            "done_by": by,
            "done_at": _now(),
            "run_id": work.run_id,
            "found": _summed(found),
            "dumps": sorted({uri for each in found for uri in each.dumps}),
        }
        work.lake.append_next(ERASURES, [row], "erase", sequence)
        is_first = bool(work.lake.book(ERASURES, f"erasure_id = {literal(row['erasure_id'])}"))
        return row if is_first else None

    return until_first("erasures", attempt)


def _is_done(work: Work, row: Row) -> bool:
    where = f"erasure_id = {literal(row['erasure_id'])} and status = 'done'"
    return bool(work.lake.book(ERASURES, where))


def _receipt(work: Work, row: Row, found: Sequence[Found], purged: Purged, by: str) -> None:
    """Write down that it is done; what a try before had found already counts too."""
    done: Row = {
        **row,
        "status": "done",
        "done_by": by,
        "done_at": _now(),
        "run_id": work.run_id,
        "found": {name: max(n, row["found"][name]) for name, n in _summed(found).items()},
        "removed": purged.counts(),
        "dumps": sorted({*row["dumps"], *(uri for each in found for uri in each.dumps)}),
    }
    work.lake.append(ERASURES, [done])


def _summed(found: Sequence[Found]) -> dict[str, int]:
    return {name: sum(each.counts()[name] for each in found) for name in Found("").counts()}


# -- who, and where ---------------------------------------------------------------------------------


def _person(work: Work, sources: Sequence[Source], ids: Sequence[str]) -> Person:
    """Return the person of some ids. No key is made to look for somebody.

    Raises:
        TidegateError: an id is none, or the key that ids of the lake were hashed by is not here.
    """
    if not ids or any(not value.strip() for value in ids):
        raise TidegateError(
            "no id of a person", expected="a user's or visitor's id, as the dumps have it", got="''"
        )
    work.ledger.refresh()
    key = work.known_pii_key()
    for source in sources if key is not None else ():
        erased_from(work, source.source)
        if source.hashes and work.ledger.last(events.TABLE, source.source) is not None:
            work.key_of(in_force(work, source))
    # Without a key nothing was hashed by one, so that any will do.
    return person_of(ids, key or PiiKey(bytes(LEAST_BYTES)))


def _found(
    work: Work, files: LakeFiles, sources: Sequence[Source], person: Person, before: Row | None
) -> list[Found]:
    since = before["sequence"] if before else None
    return [find(work, files, source, person, since) for source in sources]


def _nobody(work: Work, found: Sequence[Found]) -> TidegateError:
    names = ", ".join(each.source for each in found)
    return TidegateError(
        "nobody has such an id",
        where=work.lake.root,
        expected=f"the user_id or anonymous_id of a published event, or of a line in quarantine, of {names}",
        got="none; nothing was changed, and nothing written down",
        todo="check its spelling and capitals: "
        + command("sql", "SELECT DISTINCT user_id FROM events LIMIT 20"),
    )


def _files(work: Work) -> LakeFiles:
    found = open_files(work.settings.lake, work.settings.s3)
    if found is None:
        raise TidegateError(
            "nobody can be erased from this lake from here",
            where=work.settings.lake,
            expected="a lake on S3 or in a local folder, whose files can be looked into and removed",
        )
    return found


def _refuse_rolled_back(work: Work) -> None:
    last = repaired(work)
    if last is not None and last.get("rolled_back_to"):
        raise TidegateError(
            "nobody can be erased while readers are shown an earlier release",
            where=work.lake.root,
            expected="the newest release",
            got=describe_rollback(last),
            todo=f"{command('release', '--resume')}, then run it again",
        )


def _now() -> datetime:
    from tidegate.pipeline.context.run_context import now

    return now()
