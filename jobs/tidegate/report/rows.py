"""Rows of the system tables as Python has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

TEXT = 1_000
"""Characters of a text that are read; a page shows no more."""


def rows(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of a query by the names of its columns; times are in UTC."""
    result = connection.execute(query, values)
    names = [column[0] for column in result.description or []]
    return tuple(
        {
            name: utc(value) if isinstance(value, datetime) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in result.fetchall()
    )


def utc(time: datetime) -> datetime:
    """Return a time in UTC."""
    return time.astimezone(UTC)
