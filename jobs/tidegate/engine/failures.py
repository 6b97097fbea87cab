"""Errors of DuckDB that end a piece of work, as errors that a user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.common.connection_errors import lost
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings

_AGAIN = "what was not finished is finished by running it again"


def query_failure(error: duckdb.Error, settings: Settings) -> TidegateError | None:
    """Return what stopped a query, where it lies in the surroundings; None where the query is at fault.

    Args:
        error: of a query of what a lake holds.
        settings: whose lake.
    """
    import duckdb

    got = short(error)
    if lost(error):
        return s3_lost(got, settings)
    if isinstance(error, duckdb.OutOfMemoryException):
        return TidegateError(
            "the work needs more memory, or more room on the disk, than there is",
            where=f"{settings.lake}, computed in {settings.home / 'scratch'}",
            got=got,
            todo=f"free some, then run this again; {_AGAIN}",
        )
    if isinstance(error, duckdb.IOException | duckdb.HTTPException):
        return TidegateError(
            "a file that rows are computed of can't be read or written",
            where=settings.lake,
            expected="files that stay as they are while work goes on, and room on the disk",
            got=got,
            todo=f"run: {command('verify')}; {_AGAIN}",
        )
    return None


def s3_lost(got: str, settings: Settings) -> TryAgainError:
    """Return the error of work that was cut off from S3."""
    return TryAgainError(
        "S3 did not answer in the middle of the work",
        where=f"{settings.lake}, at {settings.s3.endpoint or 'AWS S3'}",
        expected="an S3 server that answers",
        got=got,
        todo=f"see whether it runs ({command('status')}); {_AGAIN}",
    )


def short(error: Exception) -> str:
    """Return the first line of what an error says, cut where it is long."""
    return str(error).partition("\n")[0][:300]


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a query needed more memory, or more room on the disk, than there is."""
    import duckdb

    return isinstance(error, duckdb.OutOfMemoryException)


def is_interrupted(error: Exception) -> bool:
    """Return whether a query was stopped by Ctrl-C or by its connection."""
    import duckdb

    return isinstance(error, duckdb.InterruptException)
