"""The lake: snapshots, commits and the files of its tables; the only place that knows Delta."""

from __future__ import annotations

from tidegate.lake.lake import (
    TABLE_PROPERTIES,
    Compacted,
    Lake,
    Row,
    Rows,
    Staged,
    literal,
    parse_time,
    slices_where,
    table_named,
)

__all__ = [
    "TABLE_PROPERTIES",
    "Compacted",
    "Lake",
    "Row",
    "Rows",
    "Staged",
    "literal",
    "parse_time",
    "slices_where",
    "table_named",
]
