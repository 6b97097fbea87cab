"""The columns of staged rows, as Arrow types."""

from __future__ import annotations

import re

import pyarrow as pa

from tidegate.source import Source
from tidegate.tables.events import TABLE

TIME = pa.timestamp("us", "UTC")
"""The type of every time."""

_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": TIME,
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of a column type such as `bigint` or `decimal(10,2)`.

    Raises:
        KeyError: the type is unknown.
    """
    decimal = _DECIMAL.fullmatch(name)
    if decimal is not None:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return _TYPES[name]


def event_columns(source: Source) -> dict[str, str]:
    """Return the columns that a source's events have: name → type, as a source file names types."""
    base = {column.name: column.type for column in TABLE.columns}
    return {**base, **{name: column.type for name, column in source.columns.items()}}


def staged_schema(source: Source) -> pa.Schema:
    """Return the columns of staged rows.

    They are the columns of an event (of the table and of the source), and `_outcome`, `_reason`, `_detail`,
    `_raw`, `_raw_bytes`: no column of a source begins with an underscore. A source with a sequence
    also has `_producer` and `_number`.

    Args:
        source: whose rows.
    """
    columns = [(name, arrow_type(kind)) for name, kind in event_columns(source).items()]
    columns += [(f"_{name}", pa.string()) for name in ("outcome", "reason", "detail", "raw")]
    columns.append(("_raw_bytes", pa.binary()))
    if source.sequence is not None:
        columns += [("_producer", pa.string()), ("_number", pa.int64())]
    return pa.schema(columns)
