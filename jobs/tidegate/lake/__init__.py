"""The lake: snapshots, commits and the files of its tables; the only place that knows Delta.

What writes and reads Delta loads Arrow and delta-rs, a third of a second: it is imported when it is first used, so that
DAG files and commands that only need the words of a query answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.lake.sql import literal, parse_time, slices_where

if TYPE_CHECKING:
    from tidegate.lake.lake import Lake, Row, Rows, Staged, table_named
    from tidegate.lake.slices import Slices

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

_HOMES = {
    "Lake": "lake",
    "Row": "lake",
    "Rows": "lake",
    "Slices": "slices",
    "Staged": "lake",
    "table_named": "lake",
}
"""Module of each name that is imported late."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
