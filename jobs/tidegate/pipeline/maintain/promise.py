"""The promise: from which version of each table on everything is kept.

That is the oldest of what a release that is promised pins, of what the next derive run, alias or release
will read back to, and of what queries of the last two days may have begun with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.lake import Row, parse_time
from tidegate.lake.ledger import Publication
from tidegate.pipeline.derive import aliases
from tidegate.pipeline.maintain.model import IN_WORK
from tidegate.pipeline.release.release import repaired
from tidegate.pipeline.verify import foreign_commits
from tidegate.storage.lake_files import LakeFile, LakeFiles
from tidegate.tables import (
    BY_NAME,
    DERIVED,
    OPS,
    WAREHOUSE,
    Table,
    events,
    session_aliases,
    sessions,
)
from tidegate.tables.system_tables import MAINTENANCE, RELEASES

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work

LOG = "_delta_log"
_OF_VERSION = re.compile(r"(\d{20})\.")


@dataclass(frozen=True)
class Need:
    """A version of a table that has to stay readable, and why."""

    table: str
    version: int
    why: str


@dataclass(frozen=True)
class Kept:
    """What is kept of a table.

    Attributes:
        table: the table.
        version: from this version on all can be read.
        why: what asks for the oldest of them.
        before: what an earlier run had said; lower versions may lack files already.
        log: the files of its log.
    """

    table: Table
    version: int
    why: str
    before: int
    log: tuple[LakeFile, ...]

    @property
    def place(self) -> str:
        """The table's folder, below the lake."""
        return place(self.table)


def place(table: Table) -> str:
    """Return a table's folder, below the lake."""
    return f"{table.area}/{table.name}"


def what_is_kept(work: Work, files: LakeFiles, now: datetime) -> list[Kept]:
    """Return for each table from which version on all is kept.

    Rows that a kill kept from being written after their commits are written first: once commits are
    removed they could not be.
    """
    work.ledger.refresh()
    for table in WAREHOUSE:
        work.ledger.lasts(table)
    repaired(work)
    before = kept_from(work)
    releases = work.lake.book(
        RELEASES, select=("release_id", "sequence", "released_at", "versions")
    )
    needs = [
        *pinned(promised(releases, now, work.settings.keep_releases, before)),
        *read_back(work, releases),
    ]
    found = []
    for table in (*WAREHOUSE, *OPS):
        log = files.below(f"{place(table)}/{LOG}")
        mine = [each for each in needs if each.table == table.name]
        earlier = before.get(place(table), 0)
        need = oldest_needed(log, mine, now, earlier)
        found.append(Kept(table, need.version, need.why, earlier, tuple(log)))
    return found


def kept_from(work: Work) -> dict[str, int]:
    """Return by the tables' places the versions from which on all is kept, as said by earlier runs."""
    found: dict[str, int] = {}
    for row in work.lake.book(MAINTENANCE, "kept_from is not null", ("place", "kept_from")):
        found[row["place"]] = max(row["kept_from"], found.get(row["place"], 0))
    return found


def promised(
    releases: Sequence[Row], now: datetime, keep: timedelta, before: Mapping[str, int]
) -> list[Row]:
    """Return the releases that are to stay readable: the newest, and those that are young.

    Args:
        releases: rows of `ops/releases`.
        now: the time.
        keep: how long a release is promised.
        before: versions from which on all is there, by place; what was given up does not come back.
    """
    newest = max((row["sequence"] for row in releases), default=0)
    return [
        row
        for row in releases
        if row["sequence"] == newest
        or (
            parse_time(row["released_at"]) >= now - keep
            and all(
                version >= before.get(place(BY_NAME[name]), 0)
                for name, version in row["versions"].items()
            )
        )
    ]


def pinned(releases: Iterable[Row]) -> Iterator[Need]:
    """Yield the versions that releases pin."""
    for row in releases:
        for name, version in row["versions"].items():
            yield Need(name, version, f"release {row['release_id']}")


def read_back(work: Work, releases: Sequence[Row]) -> Iterator[Need]:
    """Yield the versions that the next derive run, alias or release reads."""
    last = max(releases, key=lambda row: row["sequence"], default=None)
    shown: Mapping[str, int] = last["versions"] if last else {}
    for source in sorted(work.ledger.lasts(events.TABLE)):
        for table in DERIVED:
            known = _compared_with(work, table, source, shown.get(table.name))
            if not known:
                first = work.ledger.publications(events.TABLE, source)[0]
                yield Need(
                    events.TABLE.name, first.delta_version, f"{source} has no {table.name} yet"
                )
            for made in known:
                for name, version in made.input_versions.items():
                    same = work.ledger.same_rows(BY_NAME[name], source, version)
                    yield Need(name, same, f"{table.name} of {source} follows from there")
        yield from _of_aliases(work, source)
    for commit in foreign_commits(work, session_aliases.TABLE):
        # `verify` takes from there which ids were ever published: no dump can tell.
        yield Need(
            session_aliases.TABLE.name,
            commit.version - 1,
            f"version {commit.version} was not made by Tidegate",
        )


def _compared_with(work: Work, table: Table, source: str, shown: int | None) -> list[Publication]:
    """Return a derived table's last publication of a source, and the one that the last release shows."""
    last = work.ledger.last(table, source)
    if last is None:
        return []
    if shown is None or last.delta_version <= shown:
        return [last]
    return [last, *work.ledger.publications(table, source, upto_version=shown)[-1:]]


def _of_aliases(work: Work, source: str) -> Iterator[Need]:
    for change in aliases.pending(work, source)[:1]:
        why = f"session_aliases of {source} follow from there"
        yield Need(sessions.TABLE.name, change.delta_version - 1, why)
        if change.sequence > 1:
            made = work.ledger.numbered(sessions.TABLE, source, change.sequence - 1)
            version = made.input_versions[events.TABLE.name]
            same = work.ledger.same_rows(events.TABLE, source, version)
            yield Need(events.TABLE.name, same, why)


def oldest_needed(
    log: Sequence[LakeFile], needs: Sequence[Need], now: datetime, before: int
) -> Need:
    """Return the oldest version of a table that has to stay readable.

    Args:
        log: the files of the table's log.
        needs: of the table.
        now: the time.
        before: what an earlier run has given up does not come back: never a lower one than this.
    """
    commits = sorted(
        (version, each.modified)
        for each in log
        if each.name.endswith(".json") and (version := version_of(each)) is not None
    )
    name = needs[0].table if needs else ""
    # What was the latest version two days ago may still be read by who began then.
    begun = [version for version, modified in commits if modified <= now - IN_WORK]
    oldest = begun[-1] if begun else (commits[0][0] if commits else 0)
    found = min(
        (*needs, Need(name, oldest, "queries may have begun with it")),
        key=lambda each: each.version,
    )
    return found if found.version >= before else Need(name, before, "said by an earlier run")


def version_of(file: LakeFile) -> int | None:
    """Return the version that a file of a log is about."""
    found = _OF_VERSION.match(file.name)
    return int(found[1]) if found else None
