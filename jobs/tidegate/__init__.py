"""Tidegate: hourly event dumps in, audited Delta tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from os import PathLike

    import duckdb

__all__ = ["__version__", "connect"]
__version__ = "0.1.0"


def connect(
    lake: str | PathLike[str] | None = None, release: str | datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection to the published tables of a lake, all of one release.

    Tables have their bare names; the system's own books are in schema `ops`. `connection.sql("…")` and
    `connection.table("sessions")` are read as Arrow (`.to_arrow_table()`), pandas (`.df()`) or Polars (`.pl()`);
    filters and columns go down to the Parquet files. Times are UTC. No JVM is started, and no project needed.

    Args:
        lake: `s3://bucket/prefix` or a local folder; by default that of `TIDEGATE_LAKE`, or of the stack that runs.
            S3 is reached by `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_ENDPOINT_URL`, or as the stack does.
        release: the id of a release, or a time (ISO 8601, UTC unless it says otherwise): what readers saw then. By
            default the latest. A connection stays with its release, whatever is published meanwhile.

    Raises:
        TidegateError: there is no lake or no such release, or it can't be reached.
    """
    from tidegate.config.settings import reader_settings
    from tidegate.query.connect import connect as open_lake

    wanted = release if release is None or isinstance(release, str) else release.isoformat()
    return open_lake(reader_settings(None if lake is None else str(lake)), wanted)
