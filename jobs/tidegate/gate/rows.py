"""Rows of a candidate: SQL that DuckDB runs, and how single slices and columns of it are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidegate.common.sql_quoting import quoted

if TYPE_CHECKING:
    import duckdb

SLICE = '"__slice"'
"""The column that says which slice a row is of: microseconds since 1970, UTC."""
NO_SLICE = 0
"""Its value where a candidate is audited as a whole."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_INTEGRAL = frozenset(
    ["tinyint", "smallint", "int", "bigint", "byte", "short", "integer", "long", "hugeint"]
)
_CLASSES = {
    "tinyint": "ByteType",
    "byte": "ByteType",
    "smallint": "ShortType",
    "short": "ShortType",
    "int": "IntegerType",
    "integer": "IntegerType",
    "bigint": "LongType",
    "long": "LongType",
    "hugeint": "LongType",
    "float": "FloatType",
    "double": "DoubleType",
    "boolean": "BooleanType",
    "date": "DateType",
    "timestamp": "TimestampType",
    "timestamp_ntz": "TimestampNTZType",
    "binary": "BinaryType",
    "string": "StringType",
    "void": "NullType",
}
_NESTED = {"decimal": "DecimalType", "array": "ArrayType", "map": "MapType", "struct": "StructType"}

Tables = Callable[[str], str]
"""Gives the published rows of a table, by its name: SQL that stands after FROM, in parentheses."""


@dataclass(frozen=True)
class Rows:
    """The rows of a candidate.

    Attributes:
        connection: a cursor of its own; its time zone is UTC.
        query: the complete SELECT of the rows of all slices, in DuckDB's SQL.
        columns: their names, and their types as Spark names them (`bigint`, `map<string,bigint>`).
    """

    connection: duckdb.DuckDBPyConnection
    query: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """A column of a candidate, and what its type allows."""

    name: str
    type: str

    @property
    def sql(self) -> str:
        """Its name in SQL."""
        return quoted(self.name)

    @cached_property
    def type_class(self) -> str:
        """The name of the class of its type in PySpark, which suites know types by."""
        base = self.type.lower()
        head = re.split(r"[<(]", base, maxsplit=1)[0].strip()
        return _CLASSES.get(base) or _NESTED.get(head) or _CLASSES.get(head, "StringType")

    @property
    def is_integral(self) -> bool:
        """Whether its values are whole numbers."""
        return self.type.lower() in _INTEGRAL

    @property
    def digits(self) -> tuple[int, int] | None:
        """Digits before and after the point that an exact number of it may have; None where it is not exact."""
        if self.is_integral:
            return 38, 0
        if (match := _DECIMAL.fullmatch(self.type.lower())) is None:
            return None
        precision, scale = map(int, match.groups())
        return precision - scale, scale

    @property
    def is_float(self) -> bool:
        """Whether its values are floating-point numbers, which may be NaN."""
        return self.type.lower() in ("float", "double")

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.is_float or self.digits is not None

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.type_class == "StringType"


def slice_key(slice_: datetime) -> int:
    """Return the value of the column `SLICE` for the rows of a slice."""
    return (slice_ - _EPOCH) // timedelta(microseconds=1)


class Candidate:
    """Rows of a candidate, and how they are read: as a whole or by slice.

    Args:
        rows: the rows of all slices.
        column: the column that says which slice a row is of; None where they are audited as a whole.
    """

    def __init__(self, rows: Rows, column: str | None = None) -> None:
        self.rows = rows
        self._column = column
        self.columns = {name: Column(name, type_) for name, type_ in rows.columns.items()}

    @property
    def key(self) -> str:
        """The expression of the column `SLICE`."""
        return str(NO_SLICE) if self._column is None else f"epoch_us({quoted(self._column)})"

    def column(self, name: str) -> Column:
        """Return a column.

        Raises:
            ValueError: the candidate has none of that name.
        """
        found = self.columns.get(name)
        if found is None:
            # The words of Great Expectations, which audits have always shown.
            raise ValueError(f'Error: The column "{name}" in BatchData does not exist.')
        return found

    def select(
        self, what: Sequence[str], where: Iterable[str | None] = (), slice_: int | None = None
    ) -> str:
        """Return the query of some expressions of its rows.

        Args:
            what: the expressions.
            where: conditions that all hold; None are left out.
            slice_: the slice whose rows are read; None for those of all.
        """
        conditions = [f"(\n{each}\n)" for each in where if each is not None]
        if slice_ is not None and self._column is not None:
            conditions.insert(0, self._is_of(slice_))
        tail = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f'SELECT {", ".join(what)} FROM (\n{self.rows.query}\n) AS "__rows"{tail}'

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.rows.connection.execute(query).fetchall()

    def _is_of(self, slice_: int) -> str:
        """Return the condition for rows of a slice, as files' statistics can answer it."""
        assert self._column is not None
        name = quoted(self._column)
        text = (_EPOCH + timedelta(microseconds=slice_)).strftime("%Y-%m-%d %H:%M:%S.%f")
        literals = {
            "TIMESTAMP WITH TIME ZONE": f"TIMESTAMPTZ '{text}+00'",
            "TIMESTAMP": f"TIMESTAMP '{text}'",
        }
        literal = literals.get(self._slice_type)
        return f"{self.key} = {slice_}" if literal is None else f"{name} = {literal}"

    @cached_property
    def _slice_type(self) -> str:
        """The type that DuckDB gives the column of slices."""
        assert self._column is not None
        bound = self.rows.connection.execute(
            f"SELECT {quoted(self._column)} FROM (\n{self.rows.query}\n) LIMIT 0"
        )
        return str(bound.description[0][1])
