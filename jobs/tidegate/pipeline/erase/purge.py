"""History: files of earlier versions and of candidates that have something of a person are removed.

What other versions have is left alone, and so is what a step may be at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.hints import command
from tidegate.lake import Row
from tidegate.pipeline.erase.find import candidates, of_columns
from tidegate.pipeline.erase.model import Person
from tidegate.pipeline.maintain.candidates import STAGING, Place, by_place
from tidegate.pipeline.maintain.model import IN_WORK
from tidegate.pipeline.maintain.promise import kept_from, place, read_back
from tidegate.storage.lake_files import LakeFile, LakeFiles
from tidegate.tables import Table, events, session_aliases, sessions
from tidegate.tables.system_tables import ALERTS, AUDITS, MAINTENANCE, NUMBERS, QUARANTINE, RELEASES

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

PINNED = (events.TABLE, sessions.TABLE, session_aliases.TABLE)
"""Published tables that name persons."""
_BOOKS = (QUARANTINE, AUDITS, ALERTS, NUMBERS)
"""The books that may."""
REPORTS = "reports"


@dataclass
class Purged:
    """What was removed, what was scanned, and what is left, in words.

    With `gives_up` versions of published tables can't be read any more.
    """

    files: int = 0
    bytes: int = 0
    scanned: int = 0
    gives_up: bool = False
    left: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {"files": self.files, "bytes": self.bytes, "scanned": self.scanned}

    def remove(self, files: LakeFiles, folder: str, gone: Sequence[LakeFile]) -> None:
        """Remove files of a folder, and count them."""
        files.remove(folder, [each.name for each in gone], tidy=folder == STAGING)
        self.files += len(gone)
        self.bytes += sum(each.size for each in gone)


@dataclass(frozen=True)
class Erasing:
    """Who is being erased, from which sources, and the number of the erasure."""

    person: Person
    sources: Sequence[Source]
    number: int


def purge(
    work: Work, files: LakeFiles, who: Erasing, versions: Mapping[str, int], now: datetime
) -> Purged:
    """Remove the files that readers of today's release have no need of, and that have something of a person.

    Args:
        work: where.
        files: of its lake.
        who: the person.
        versions: of the published tables, from which on all stays readable.
        now: the time.
    """
    purged = Purged()
    for table in (*PINNED, *_BOOKS):
        _purge_table(work, files, table, who.person, versions.get(table.name), now, purged)
    for source in who.sources:
        _purge_candidates(work, files, source, who, now, purged)
    _purge_derived(work, files, who, purged)
    _purge_reports(work, files, who.person, purged)
    return purged


def _needed_by_others(work: Work, table: Table, version: int) -> list[str]:
    """Return what reads versions of a table that are about to be given up, in words."""
    work.ledger.refresh()
    releases = work.lake.book(
        RELEASES, select=("release_id", "sequence", "released_at", "versions")
    )
    return [
        f"version {need.version} of {table.name} is read yet: {need.why}; see {command('held')}"
        for need in read_back(work, releases)
        if need.table == table.name and need.version < version
    ]


def _announce(work: Work, table: Table, version: int) -> None:
    """Write down what is given up before it is: nobody is to begin reading it."""
    from tidegate.pipeline.context.run_context import new_id
    from tidegate.pipeline.context.run_context import now as clock

    if version <= kept_from(work).get(place(table), 0):
        return
    row: Row = {
        "maintenance_id": new_id(),
        "part": "promise",
        "place": place(table),
        "kept_from": version,
        "note": "a person was erased from earlier versions",
        "run_id": work.run_id,
        "done_at": clock(),
    }
    work.lake.append(MAINTENANCE, [row])


def _condition(table: Table, person: Person) -> str:
    """Return DuckDB's predicate of the rows of a table's files that are of a person, or name them."""
    match table.name:
        case "events":
            return person.is_of_event
        case "sessions" | "session_aliases":
            return person.is_in("user_key")
        case "numbers":
            return person.is_in("producer")
        case _:
            return person.is_named_in("_words")


def _purge_table(
    work: Work,
    files: LakeFiles,
    table: Table,
    person: Person,
    version: int | None,
    now: datetime,
    purged: Purged,
) -> None:
    where = place(table)
    listed = {
        f"{where}/{each.name}": each
        for each in files.below(where)
        if each.name.endswith(".parquet") and not each.name.startswith("_")
    }
    committed = work.lake.reader.added(where, -1)
    purged.scanned += len(listed)
    # `find` looks into what is published, row by row.
    earlier = _live(work, table, version)
    others = sorted(name for name, file in listed.items() if file.base not in earlier)
    looked = work.lake.reader.holding(others, _condition(table, person))
    # Once more: what was committed meanwhile is not to be taken for something of earlier versions.
    live = _live(work, table, version)
    found = sorted({*looked.rows, *looked.unreadable})
    dead = [listed[name] for name in found if listed[name].base not in live]
    gone = [file for file in dead if file.base in committed or file.modified <= now - IN_WORK]
    if gone and version is not None:
        needed = _needed_by_others(work, table, version)
        if needed:
            purged.left += needed
            return
        _announce(work, table, version)
        purged.gives_up = True
    purged.remove(files, where, gone)
    purged.left += [
        f"a step that goes on, or was killed of late, has written {where}/{file.name}"
        for file in dead
        if file not in gone
    ]


def _live(work: Work, table: Table, version: int | None) -> set[str]:
    """Return the names, without folders, of the files of a table as it is, and from a version on."""
    names = {_base(name) for name in work.lake.files(table)}
    if version is not None:
        names |= {_base(name) for name in work.lake.files(table, version)}
        names |= work.lake.reader.added(place(table), version)
    return names


def _purge_candidates(
    work: Work, files: LakeFiles, source: Source, who: Erasing, now: datetime, purged: Purged
) -> None:
    """Remove candidates of events that nothing will take any more."""
    found = candidates(work, files, source, who.person, who.number)
    for candidate, parts in found.files.items():
        landing_id = str(candidate.landing_id)
        if landing_id in found.published:
            continue  # `find` tells of it
        if landing_id in found.landings or max(p.modified for p in parts) <= now - IN_WORK:
            purged.remove(files, STAGING, list(parts))
        else:
            purged.left.append(
                f"a step that goes on, or was killed of late, has landed {landing_id}"
            )
    over = [file for file in found.unfinished if file.modified <= now - IN_WORK]
    purged.remove(files, STAGING, over)
    purged.left += [
        f"a step that goes on, or was killed of late, has written {STAGING}/{file.name}"
        for file in found.unfinished
        if file not in over
    ]


def _purge_derived(work: Work, files: LakeFiles, who: Erasing, purged: Purged) -> None:
    """Remove candidates of derived tables that have the person.

    They were made of events before the ones that are published now, so no publication can take them.
    """
    listed = files.below(STAGING)
    purged.scanned += len(listed)
    names = {source.source for source in who.sources}
    places = by_place(listed)
    alike: dict[str, dict[str, Place]] = {}
    for where, parts in places.items():
        if where.kind != events.TABLE.name and where.source in names:
            for part in parts:
                if part.name.endswith(".parquet"):
                    # What lies in folders of one name has the same columns.
                    folder = "/".join([where.kind, *part.name.split("/")[3:-1]])
                    alike.setdefault(folder, {})[f"{STAGING}/{part.name}"] = where
    holding: set[Place] = set()
    for of_place in alike.values():
        theirs = of_columns(who.person, work.lake.reader.columns(min(of_place)))
        holding |= {
            of_place[name] for name in work.lake.reader.holding(sorted(of_place), theirs).rows
        }
    for where in holding:
        purged.remove(files, STAGING, places[where])


def _purge_reports(work: Work, files: LakeFiles, person: Person, purged: Purged) -> None:
    """Remove pages that name the person; `tidegate report` writes them again."""
    listed = {f"{REPORTS}/{each.name}": each for each in files.below(REPORTS)}
    pages = sorted(name for name in listed if name.endswith(".html"))
    purged.scanned += len(pages)
    found = work.lake.reader.naming(pages, person.page_pattern())
    purged.remove(files, REPORTS, [listed[name] for name in found])


def _base(name: str) -> str:
    return name.rpartition("/")[2]
