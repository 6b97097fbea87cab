"""Compact and fold: many small files become few. Rows stay, and no commit looks like a publication."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tidegate.lake import literal, parse_time
from tidegate.lake.model import Compacted
from tidegate.pipeline.maintain.model import MANY, Freed, counted, shown
from tidegate.pipeline.maintain.promise import place
from tidegate.tables import OPS, WAREHOUSE, Table
from tidegate.tables.system_tables import PUBLICATIONS

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work

_DATES_AT_ONCE = 92
"""Dates a commit: one that has to leave the way to a publication has not lost much."""

Partition = tuple[str, ...]


def compact(work: Work, now: datetime, dry_run: bool) -> Iterator[Freed]:
    """Put together the files of days of which nothing was published for a while, one commit a source.

    Tables without a date in their partitions have few rows; a publication that meets their compaction is
    tried again by its step.
    """
    work.ledger.refresh()
    for table in WAREHOUSE:
        crowded = crowded_partitions(table, work.lake.files(table), busy(work, table, now))
        by_source: dict[str, list[date]] = defaultdict(list)
        for source, *dates in crowded:
            by_source[source] += [date.fromisoformat(each) for each in dates]
        for source, days in sorted(by_source.items()):
            mine = {p: n for p, n in crowded.items() if p[0] == source}
            parts = _partitions(table, source, sorted(days))
            yield from _put_together(work, "compact", table, parts, mine, dry_run)


def fold(work: Work, dry_run: bool) -> Iterator[Freed]:
    """Put together the files of the books; every row stays."""
    for table in OPS:
        crowded = crowded_partitions(table, work.lake.files(table), frozenset())
        if not crowded:
            continue
        parts = {column: [value for (value,) in sorted(crowded)] for column in table.partition}
        yield from _put_together(work, "fold", table, [parts], crowded, dry_run)


def busy(work: Work, table: Table, now: datetime) -> set[tuple[str, str]]:
    """Return (source, date) of what was published of a table of late."""
    since = literal(now - work.settings.compact_after)
    rows = work.lake.book(
        PUBLICATIONS,
        f"table_name = {literal(table.name)} and published_at > {since}",
        ("source", "slices"),
    )
    return {
        (row["source"], f"{parse_time(each['slice']).astimezone(UTC):%Y-%m-%d}")
        for row in rows
        for each in row["slices"]
    }


def crowded_partitions(
    table: Table, files: Collection[str], busy: Set[tuple[str, str]]
) -> dict[Partition, int]:
    """Return the partitions to be compacted, and how many files each has.

    Args:
        table: whose.
        files: its data files, below its folder.
        busy: partitions, as they would be named, that are left alone.
    """
    counts = Counter(partition_of(file) for file in files)
    return {
        partition: count
        for partition, count in counts.items()
        if count > MANY and len(partition) == len(table.partition) and partition not in busy
    }


def partition_of(file: str) -> Partition:
    """Return the values of a file's partition columns, in order: those of the folders it lies in."""
    return tuple(part.partition("=")[2] for part in file.split("/")[:-1])


def _partitions(
    table: Table, source: str, days: Sequence[date]
) -> list[Mapping[str, Sequence[str]]]:
    """Return by partition column the values of the partitions that are compacted, one commit each."""
    if len(table.partition) == 1:
        return [{"source": [source]}]
    return [
        {
            "source": [source],
            table.partition[1]: [day.isoformat() for day in days[at : at + _DATES_AT_ONCE]],
        }
        for at in range(0, len(days), _DATES_AT_ONCE)
    ]


def _put_together(
    work: Work,
    part: str,
    table: Table,
    partitions: Sequence[Mapping[str, Sequence[str]]],
    crowded: dict[Partition, int],
    dry_run: bool,
) -> Iterator[Freed]:
    names = shown(["/".join(each) for each in sorted(crowded)])
    what = counted(len(crowded), "partition") + (f" ({names})" if names.strip() else "")
    if dry_run:
        files = sum(crowded.values())
        yield Freed(part, place(table), files - len(crowded), 0, f"{what}, {files:,} files")
        return
    done: list[Compacted] = []
    skipped = 0
    for each in partitions:
        found = work.lake.compact(table, each)
        skipped += found is None
        done += [found] if found else []
    before = sum(each.files_before for each in done)
    after = sum(each.files_after for each in done)
    note = f"{what}: {counted(before, 'file')} became {after:,}"
    if skipped:
        note += "; left for the next run, since others wrote there"
    size = sum(each.bytes_before - each.bytes_after for each in done)
    yield Freed(part, place(table), before - after, size, note)
