"""Compaction: small data files of a partition become one, and rows stay as they are.

Each append adds a file. Without compaction a query of a system table would open one file for each run there ever was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from tidegate.common.errors import TidegateError
from tidegate.lake.actions import ActiveFile, Change, SnapshotFiles
from tidegate.lake.commits import CommittedTable
from tidegate.lake.model import Compacted
from tidegate.lake.parquet import DataFile, DataWriter, Layout, partition_text, read_batches

MANY = 50
"""A partition with more small files than this is compacted."""
SMALL_BYTES = 8 * 2**20
"""A data file below this size is small."""
TARGET_BYTES = 128 * 2**20
"""Files of this size and above stay as they are, and files are put together up to this size."""

Partition = tuple[str | None, ...]


@dataclass(frozen=True)
class _Group:
    """Files of one partition that become one."""

    values: tuple[Any, ...]
    files: tuple[ActiveFile, ...]


def crowded_partitions(files: SnapshotFiles, partition: Sequence[str]) -> set[Partition]:
    """Return the partitions with more than `MANY` small files, as text by partition column."""
    keys = [f"partition.{name}" for name in partition]
    small = files.table.filter(pc.less(files.table["size_bytes"], SMALL_BYTES))
    counts = small.group_by(keys).aggregate([([], "count_all")])
    crowded = counts.filter(pc.greater(counts["count_all"], MANY)).select(keys).to_pylist()
    return {tuple(map(partition_text, row.values())) for row in crowded}


def compact(
    table: CommittedTable,
    layout: Layout,
    partitions: Mapping[str, Sequence[str]] | set[Partition],
) -> Compacted | None:
    """Put the small files of some partitions together, in one commit.

    Args:
        table: which.
        layout: how its files are laid out.
        partitions: the partitions themselves; or by partition column the values that theirs may have, as text.

    Returns:
        How many files there were and are, and their bytes; None where another commit took one of the files out
        first, and the table is left as it was.
    """
    active = table.active_files().matching()
    wanted = [file for file in active if _is_in(file, layout.partition, partitions)]
    groups = _groups(wanted, layout)
    if not groups:
        return Compacted(0, 0, 0, 0)
    before = [file for group in groups for file in group.files]
    after = [file for group in groups for file in _put_together(table, layout, group)]

    def plan(files: SnapshotFiles) -> Change | None:
        present = {file["path"] for file in files.matching()}
        if not all(file["path"] in present for file in before):
            return None
        return Change(after, before, changes_data=False)

    if table.commit(plan) is None:
        return None
    return Compacted(
        len(before),
        len(after),
        sum(file["size_bytes"] for file in before),
        sum(file.size for file in after),
    )


def _groups(files: Sequence[ActiveFile], layout: Layout) -> list[_Group]:
    """Return which files become one: in the order of their slices, up to the size that is aimed at."""
    by_partition: dict[tuple[Any, ...], list[ActiveFile]] = {}
    for file in files:
        if file["size_bytes"] < TARGET_BYTES:
            key = tuple(file[f"partition.{name}"] for name in layout.partition)
            by_partition.setdefault(key, []).append(file)
    groups = []
    for key, members in by_partition.items():
        members.sort(key=lambda file: _order(file, layout))
        group: list[ActiveFile] = []
        size = 0
        for file in members:
            if group and size + file["size_bytes"] > TARGET_BYTES:
                groups.append(_Group(key, tuple(group)))
                group, size = [], 0
            group.append(file)
            size += file["size_bytes"]
        groups.append(_Group(key, tuple(group)))
    return [group for group in groups if len(group.files) > 1]


def _order(file: ActiveFile, layout: Layout) -> tuple[str, str]:
    column = layout.slice_column or next(iter(layout.statistics), "")
    low = file.get(f"min.{column}")
    # Numbers of one width sort as text like numbers; so do times.
    return (f"{low:020}" if isinstance(low, int) else str(low or ""), file["path"])


def _put_together(table: CommittedTable, layout: Layout, group: _Group) -> list[DataFile]:
    with DataWriter(table.files, layout) as writer:
        for file in group.files:
            for batch in read_batches(table.files, file["path"], layout):
                writer.add_to(group.values, batch)
        written = writer.close()
    counts = [file["num_records"] for file in group.files]
    rows = sum(file.rows for file in written)
    if None not in counts and rows != sum(counts):
        raise TidegateError(
            "data files have other numbers of rows than the log says",
            where=layout.where,
            expected=f"{sum(counts)} rows in {len(counts)} files",
            got=f"{rows} rows",
            todo="check the storage; the table was left as it was",
        )
    return written


def _is_in(
    file: ActiveFile,
    partition: Sequence[str],
    wanted: Mapping[str, Sequence[str]] | set[Partition],
) -> bool:
    if isinstance(wanted, Mapping):
        return all(
            partition_text(file[f"partition.{name}"]) in values for name, values in wanted.items()
        )
    return _partition(file, partition) in wanted


def _partition(file: ActiveFile, partition: Sequence[str]) -> Partition:
    return tuple(partition_text(file[f"partition.{name}"]) for name in partition)
