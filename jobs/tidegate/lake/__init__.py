"""The lake: snapshots, commits and the files of its tables; the only place that knows Delta."""

from __future__ import annotations

from tidegate.lake.lake import Lake, Row, Rows, Staged, table_named
from tidegate.lake.slices import Slices
from tidegate.lake.sql import literal, parse_time, slices_where

__all__ = [
    "Lake",
    "Row",
    "Rows",
    "Slices",
    "Staged",
    "literal",
    "parse_time",
    "slices_where",
    "table_named",
]
