"""The columns of staged rows, as Arrow types."""

from __future__ import annotations

import re

import pyarrow as pa

from tidegate.config.source import Source
from tidegate.landing.columns import staged_columns

TIME = pa.timestamp("us", "UTC")
"""The type of every time."""

_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
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


def staged_schema(source: Source) -> pa.Schema:
    """Return the columns of staged rows.

    They are the columns of an event (of the table and of the source), and `_outcome`, `_reason`, `_detail`,
    `_raw`, `_raw_bytes`: no column of a source begins with an underscore. A source with a sequence
    also has `_producer` and `_number`.

    Args:
        source: whose rows.
    """
    return pa.schema([(name, arrow_type(kind)) for name, kind in staged_columns(source).items()])
