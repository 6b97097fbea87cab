"""Erase a person: ask, land the hours anew without them, let all tables follow, remove the history, look again.

Asking is what counts: from then on no landing makes events of the person's lines. All else can be interrupted, held or
killed, and is finished by asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError, TryAgainError
from tidegate.hours import hours_text
from tidegate.lake import Row, literal
from tidegate.lake_files import LakeFiles, open_files
from tidegate.pii_key import LEAST_BYTES, PiiKey, find_key
from tidegate.steps.derive import derive
from tidegate.steps.erase.clean import clean_aliases, clean_books
from tidegate.steps.erase.find import find
from tidegate.steps.erase.model import Erasure, Found, Person, person_of
from tidegate.steps.erase.purge import Purged, purge
from tidegate.steps.erase.thin import land_thinned
from tidegate.steps.erasures import asked, erased_from
from tidegate.steps.in_force import in_force
from tidegate.steps.land import Landed, land
from tidegate.steps.publish import publish_events
from tidegate.steps.release import describe_rollback, release, repaired
from tidegate.tables import events
from tidegate.tables.books import ERASURES

if TYPE_CHECKING:
    from tidegate.source import Source
    from tidegate.steps.work import Work

_ATTEMPTS = 20


@dataclass(frozen=True)
class _Known:
    """A person in one source, where they are, and the erasure that was asked for before."""

    person: Person
    found: Found
    before: Row | None


def look(work: Work, sources: Sequence[Source], ids: Sequence[str]) -> list[Found]:
    """Return where a person is, source by source; nothing is changed.

    Raises:
        TidegateError: nobody has such an id, it is no id, or the lake can't be read like that.
    """
    return [each.found for each in _known(work, _files(work), sources, ids)]


def erase(
    work: Work,
    sources: Sequence[Source],
    ids: Sequence[str],
    *,
    by: str,
    reason: str = "",
    every: Sequence[Source] = (),
) -> Erasure:
    """Erase a person from sources in which one of the ids is, and from what is derived of them.

    Args:
        work: where.
        sources: those.
        ids: of the person, as they are in the dumps.
        by: who asks.
        reason: why.
        every: all sources of the lake: what is derived of them follows in the same release.

    Raises:
        TidegateError: as `look`, or readers are shown an earlier release.
    """
    _refuse_rolled_back(work)
    files = _files(work)
    known = _known(work, files, sources, ids)
    found = {each.found.source: each.found for each in known}
    key = work.pii_key()
    persons = {
        name: person_of(each.person.source, ids, key)
        for name, each in zip(found, known, strict=True)
    }
    rows = {
        name: each.before or _ask(work, persons[name], each.found, by, reason)
        for name, each in zip(found, known, strict=True)
    }
    left = [
        told
        for name, person in persons.items()
        for told in _land_anew(work, person, rows[name]["sequence"], files)
    ]
    derived = derive(work, list({each.source: each for each in (*every, *sources)}.values()))
    left += [audit.describe() for audit in derived.held]
    left += list(derived.outdated)
    for person in persons.values():
        erased = erased_from(work, person.source.source)
        assert erased is not None, "it was asked for"
        held = clean_aliases(work, person, erased)
        left += [held.describe()] if held else []
        clean_books(work, person)
    made = release(work, derived)
    purged = Purged()
    if not left:
        numbered = [(rows[name]["sequence"], person) for name, person in persons.items()]
        purged = purge(work, files, numbered, made.versions, _now())
        left += purged.left
        left += _still_there(work, files, numbered)
    if not left:
        for name, row in rows.items():
            if found[name].is_anywhere or purged.files or not _is_done(work, row):
                _receipt(work, row, found[name], purged, by)
    receipts = {name: row["erasure_id"] for name, row in rows.items()}
    return Erasure(
        tuple(found.values()),
        receipts,
        purged.counts(),
        tuple(left),
        made.release_id,
        purged.gives_up,
    )


def _land_anew(work: Work, person: Person, since: int, files: LakeFiles) -> list[str]:
    """Land the hours that have something of a person, and publish them; return what is left, and why."""
    source = person.source
    work.ledger.refresh()
    hours = find(work, files, person, since).hours
    if not hours:
        return []
    work.tell(f"landing {source.source} {hours_text(hours)} without the person")
    landed = [
        _without_dump(work, source, each) if each.outcome == "missing" else each
        for each in land(work, source, hours, anew=True)
    ]
    for each in landed:
        work.tell(each.describe())
    lost = [each for each in landed if each.outcome in ("missing", "unreadable")]
    published = publish_events(work, source, [each.hour for each in landed if each not in lost])
    work.ledger.refresh()
    there = set(find(work, files, person, since).hours)
    return [
        *(each.describe() for each in lost if each.hour in there),
        *(
            f"{hours_text([hour])} of {source.source} is held: {audit.describe()}"
            for hour, audits in published.held_hours.items()
            if hour in there
            for audit in audits
        ),
    ]


def _without_dump(work: Work, source: Source, missing: Landed) -> Landed:
    """Land an hour whose dump is gone from its own candidate; where there is none, it stays missing."""
    rules = in_force(work, source)
    mine = work.fingerprint(rules, events.TABLE)
    known = work.ledger.landings(source.source, (missing.hour, missing.hour), mine)
    landing = known.get(missing.hour)
    erased = erased_from(work, source.source)
    if landing is None or landing["status"] != "landed" or erased is None:
        return missing
    work.tell(f"{missing.describe()}; it is landed from its candidate")
    return land_thinned(work, rules, landing, erased)


def _still_there(work: Work, files: LakeFiles, persons: Sequence[tuple[int, Person]]) -> list[str]:
    """Return where persons are after all was done, in words: a run that began before may have come in between."""
    work.ledger.refresh()
    found = [find(work, files, person, since) for since, person in persons]
    return [f"still there in {each.describe()}" for each in found if each.is_anywhere]


# -- the book ---------------------------------------------------------------------------------------


def _asked(work: Work, person: Person) -> Row | None:
    """Return the erasure of a person that was asked for before, the last one."""
    theirs = [
        row
        for row in asked(work, person.source.source)
        if set(person.hashes) <= set(row["persons"])
    ]
    return max(theirs, key=lambda row: row["sequence"], default=None)


def _ask(work: Work, person: Person, found: Found, by: str, reason: str) -> Row:
    """Write down that a person is to be erased: from now on their lines become no events."""
    from tidegate.steps.work import new_id

    name = person.source.source
    for _ in range(_ATTEMPTS):
        sequence = max((row["sequence"] for row in asked(work, name)), default=0) + 1
        row: Row = {
            "erasure_id": new_id(),
            "source": name,
            "sequence": sequence,
            "status": "asked",
            "persons": person.hashes,
            "key": person.key.fingerprint,
            "reason": reason or None,
            "done_by": by,
            "done_at": _now(),
            "run_id": work.run_id,
            "found": found.counts(),
            "dumps": found.dumps,
        }
        work.lake.append_next(ERASURES, [row], f"erase/{name}", sequence)
        if any(each["erasure_id"] == row["erasure_id"] for each in asked(work, name)):
            return row
    raise TryAgainError(
        "others asked for erasures faster, again and again",
        where=work.lake.path(ERASURES),
        expected=f"to be first within {_ATTEMPTS} tries",
        todo="run it again when fewer run at once",
    )


def _is_done(work: Work, row: Row) -> bool:
    where = f"erasure_id = {literal(row['erasure_id'])} and status = 'done'"
    return bool(work.lake.book(ERASURES, where))


def _receipt(work: Work, row: Row, found: Found, purged: Purged, by: str) -> None:
    """Write down that it is done; what a try before had found already counts too."""
    counts = found.counts()
    done: Row = {
        **row,
        "status": "done",
        "done_by": by,
        "done_at": _now(),
        "run_id": work.run_id,
        "found": {name: max(n, row["found"][name]) for name, n in counts.items()},
        "removed": purged.counts(),
        "dumps": sorted({*found.dumps, *row["dumps"]}),
    }
    work.lake.append(ERASURES, [done])


# -- who, and where ---------------------------------------------------------------------------------


def _known(
    work: Work, files: LakeFiles, sources: Sequence[Source], ids: Sequence[str]
) -> list[_Known]:
    """Return where a person is, or was erased from before. No key is made to look for somebody."""
    if not ids or any(not value.strip() for value in ids):
        raise TidegateError(
            "no id of a person", expected="a user's or visitor's id, as the dumps have it", got="''"
        )
    work.ledger.refresh()
    # Without a key nothing was hashed by one, so that any will do.
    key = find_key(work.settings.home) or PiiKey(bytes(LEAST_BYTES))
    out = []
    for source in sources:
        person = person_of(source, ids, key)
        before = _asked(work, person)
        found = find(work, files, person, before["sequence"] if before else None)
        if before is not None or found.is_anywhere:
            out.append(_Known(person, found, before))
    if not out:
        raise _nobody(work, sources)
    return out


def _files(work: Work) -> LakeFiles:
    found = open_files(work.settings.lake, work.settings.s3)
    if found is None:
        raise TidegateError(
            "nobody can be erased from this lake from here",
            where=work.settings.lake,
            expected="a lake on S3 or in a local folder, whose files can be looked into and removed",
        )
    return found


def _nobody(work: Work, sources: Sequence[Source]) -> TidegateError:
    names = ", ".join(source.source for source in sources)
    return TidegateError(
        "nobody has such an id",
        where=work.lake.root,
        expected=f"the user_id or anonymous_id of a published event, or of a line in quarantine, of {names}",
        got="none; nothing was changed, and nothing written down",
        todo='check its spelling and capitals: tidegate sql "SELECT DISTINCT user_id FROM events LIMIT 20"',
    )


def _refuse_rolled_back(work: Work) -> None:
    last = repaired(work)
    if last is not None and last.get("rolled_back_to"):
        raise TidegateError(
            "nobody can be erased while readers are shown an earlier release",
            where=work.lake.root,
            expected="the newest release",
            got=describe_rollback(last),
            todo="tidegate release --resume, then run it again",
        )


def _now() -> datetime:
    from tidegate.steps.work import now

    return now()
