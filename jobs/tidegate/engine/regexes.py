"""Regular expressions, as DuckDB reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.common.sql_quoting import literal

if TYPE_CHECKING:
    import duckdb


def regex_fault(connection: duckdb.DuckDBPyConnection, pattern: str) -> str | None:
    """Return why DuckDB refuses a regular expression; None where it takes it."""
    import duckdb

    try:
        connection.execute(f"SELECT regexp_matches('', {literal(pattern)})")
    except duckdb.InvalidInputException as error:
        return str(error)
    return None
