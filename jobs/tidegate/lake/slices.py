"""Slices: which rows of a table one commit replaces, and which rows it may bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.common.errors import TidegateError
from tidegate.tables.model import Table

Value = datetime | date | int | str


class Overlap(Enum):
    """How many rows of a data file belong to some slices, by what the table's log says of the file."""

    NONE = "none"
    SOME = "some, or none, or all: only the file itself tells"
    ALL = "all"


@dataclass(frozen=True)
class Slices:
    """Some rows of a table: those of a source, and those whose column has one of some values.

    Attributes:
        source: whose rows; None for those of every source.
        column: the column that has one of `values`; None for every row.
        values: of the column, without a fraction of a second. None at all means no row.
        date_column: the partition column with the UTC date of the slice; None where the table has none.
    """

    source: str | None = None
    column: str | None = None
    values: frozenset[Value] = frozenset()
    date_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that statistics of files cannot tell apart.

        Raises:
            ValueError: a time has no offset from UTC, or a fraction of a second.
        """
        for value in self.values:
            if isinstance(value, datetime) and (value.tzinfo is None or value.microsecond):
                raise ValueError(f"a slice begins at a full second of UTC, not at {value}")

    @staticmethod
    def of(table: Table, source: str, slices: Iterable[datetime]) -> Slices:
        """Return slices of a source.

        Args:
            table: the table, which has slices.
            source: whose.
            slices: their times; those of a table that is sliced by date are midnights of UTC.
        """
        times = [slice_.astimezone(UTC) for slice_ in slices]
        kinds = {column.name: column.type for column in table.columns}
        if kinds[table.slice_time] == "date":
            return Slices(source, table.slice_time, frozenset(time.date() for time in times))
        return Slices(source, table.slice_time, frozenset(times), _date_column(table))

    @staticmethod
    def whole_source(source: str) -> Slices:
        """Return every slice of a source."""
        return Slices(source)

    @staticmethod
    def whole_table() -> Slices:
        """Return every row of a table."""
        return Slices()

    @staticmethod
    def none(table: Table) -> Slices:
        """Return no slice: what replaces it brings no row, and takes none out."""
        return Slices(None, table.column_names[0])

    @staticmethod
    def where(column: str, values: Iterable[Value]) -> Slices:
        """Return the rows of a table whose column has one of some values, such as ids."""
        return Slices(None, column, frozenset(values))

    # -- rows -----------------------------------------------------------------------------------

    def mask(self, batch: pa.RecordBatch | pa.Table) -> Any:
        """Return for each row whether it belongs to the slices, as an Arrow array without NULLs.

        A column that the rows lack, such as one that the table is partitioned by, is taken to fit.
        """
        fits = pa.repeat(True, batch.num_rows)
        if self.source is not None and "source" in batch.schema.names:
            fits = pc.and_(fits, pc.equal(batch.column("source"), self.source))
        if self.column is not None and self.column in batch.schema.names:
            column = batch.column(self.column)
            wanted = pa.array(sorted(self.values), column.type)
            fits = pc.and_(fits, pc.is_in(column, wanted))
        return pc.fill_null(fits, False)

    def check(self, batch: pa.RecordBatch, table: Table, where: str) -> None:
        """Refuse rows that do not belong to the slices, or whose partition is not that of their slice.

        Args:
            batch: rows with all columns of the table.
            table: the table.
            where: its place, for the error.

        Raises:
            TidegateError: a row is outside, or its slice is NULL.
        """
        fits = self.mask(batch)
        for name in table.slice:
            fits = pc.and_(fits, pc.is_valid(batch.column(name)))
        date_column = _date_column(table)
        if date_column is not None:
            day = pc.cast(batch.column(table.slice_time), pa.date32())
            fits = pc.and_(fits, pc.fill_null(pc.equal(batch.column(date_column), day), False))
        if batch.num_rows and not pc.all(fits).as_py():
            shown = dict.fromkeys([*table.slice, *filter(None, [date_column, self.column])])
            outside = batch.filter(pc.invert(fits))
            row = outside.slice(0, 1).select(list(shown)).to_pylist()[0]
            raise TidegateError(
                "rows outside the slices that they were to replace",
                where=where,
                expected=self.describe(),
                got=f"{outside.num_rows} rows, the first: "
                + ", ".join(f"{name} = {value}" for name, value in row.items()),
                todo="this is a bug: please report it; nothing was written",
            )

    def describe(self) -> str:
        """Return the slices in words."""
        parts = [f"source = {self.source}"] if self.source is not None else []
        if self.column is not None:
            some = ", ".join(map(str, sorted(self.values)[:3]))
            more = ", …" if len(self.values) > 3 else ""
            parts.append(f"{self.column} in ({some}{more})" if self.values else "no row")
        return " and ".join(parts) or "every row"

    # -- files ----------------------------------------------------------------------------------

    def partitions(self, partition: Sequence[str]) -> dict[str, set[Any]]:
        """Return the partitions that may hold rows of the slices: by partition column the values that it may have.

        Args:
            partition: columns that the table is partitioned by.
        """
        wanted: dict[str, set[Any]] = {}
        if self.source is not None:
            wanted["source"] = {self.source}
        if self.column is not None:
            wanted[self.column] = set(self.values)
            if self.date_column is not None:
                wanted[self.date_column] = {
                    value.date() for value in self.values if isinstance(value, datetime)
                }
        return {name: values for name, values in wanted.items() if name in partition}

    def overlap(self, file: Mapping[str, Any], partition: Sequence[str]) -> Overlap:
        """Return how many rows of a data file belong to the slices.

        Args:
            file: of one of the slices' `partitions`; what the log says of it: `min.…`, `max.…` and `null_count.…` by
                column.
            partition: columns that the table is partitioned by.
        """
        if self.column is not None and not self.values:
            return Overlap.NONE
        within = self._overlap_of_values(file, partition)
        is_of_source = self.source is None or "source" in partition
        return within if is_of_source or within is Overlap.NONE else Overlap.SOME

    def _overlap_of_values(self, file: Mapping[str, Any], partition: Sequence[str]) -> Overlap:
        if self.column is None or self.column in partition:
            return Overlap.ALL
        low, high = file.get(f"min.{self.column}"), file.get(f"max.{self.column}")
        # Minima of strings may be cut.
        if low is None or high is None or isinstance(low, str):
            return Overlap.SOME
        if not any(low <= value <= high for value in self.values):
            return Overlap.NONE
        if low == high and file.get(f"null_count.{self.column}") == 0:
            return Overlap.ALL
        return Overlap.SOME


def _date_column(table: Table) -> str | None:
    """Return the partition column with the date of a table's slices, if it has one."""
    others = [name for name in table.partition if name not in table.slice]
    return others[0] if table.slice and others else None
