"""What a table is: its columns, its key, what it is sliced by and how its files are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of a table: Spark SQL type and meaning (units in the meaning or the name)."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Input:
    """A published table whose rows an aggregate counts.

    Attributes:
        table: its name; also what stands for it in the aggregate's query.
        time: its column that decides to which slice a row belongs.
        counted_by: the column of the aggregate whose sum is the number of rows that were counted.
        measures: the columns of the aggregate that are computed from it.
    """

    table: str
    time: str
    counted_by: str
    measures: tuple[str, ...]


@dataclass(frozen=True)
class Aggregate:
    """How an aggregate is computed: whole slices at a time, from the rows that belong to them.

    Attributes:
        query: of its rows. The name of each input in braces stands for the rows of the wanted slices.
        grain: the length of a slice; slices begin at whole multiples of it since 1970.
        inputs: what it counts, events first.
        after: names of aggregates that show the same events and are published before it.
    """

    query: str
    grain: timedelta
    inputs: tuple[Input, ...]
    after: tuple[str, ...] = ()

    def slice_of(self, time: datetime) -> datetime:
        """Return the slice that a time lies in."""
        epoch = datetime.fromtimestamp(0, UTC)
        return time.astimezone(UTC) - (time - epoch) % self.grain


@dataclass(frozen=True)
class Table:
    """A table of the lake.

    Attributes:
        name: its name, also that of its folder.
        area: `warehouse` (published, audited) or `ops` (the system tables).
        columns: every column it is created with.
        key: columns that identify a row.
        slice: the columns that one publication replaces together: the source, then the time of the
            slice; empty where rows are only appended.
        partition: columns its files are foldered by.
        statistics: columns that Delta keeps minima and maxima of, so that readers can skip files;
            minima of long strings cost a third of a write.
        meaning: one row is …
        built_from: names of the published tables that it is built from; empty where it comes from dumps.
        aggregate: how it is computed, if it is an aggregate.
        rebuildable: whether all of its rows follow from what it is built from as that is now.
        version: of what the code makes of the same input: raised with every change that changes rows.
    """

    name: str
    area: Literal["warehouse", "ops"]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    slice: tuple[str, ...]
    partition: tuple[str, ...]
    statistics: tuple[str, ...]
    meaning: str
    built_from: tuple[str, ...] = ()
    aggregate: Aggregate | None = None
    rebuildable: bool = True
    version: int = 1

    @property
    def slice_time(self) -> str:
        """The column that holds the time of a slice."""
        return self.slice[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """The types of the columns by their names, in order."""
        return {column.name: column.type for column in self.columns}

    @property
    def partition_columns(self) -> tuple[Column, ...]:
        """The columns that it is partitioned by."""
        return tuple(column for column in self.columns if column.name in self.partition)

    @property
    def path(self) -> str:
        """Its folder, below the lake."""
        return f"{self.area}/{self.name}"

    def types_of(self, names: Sequence[str]) -> dict[str, str]:
        """Return the types of some of the columns by their names."""
        return {name: self.types[name] for name in names}
