"""Failures: what goes wrong when a metric is computed is its value, unless it says nothing of the candidate."""

from __future__ import annotations

from tidegate.common.connection_errors import lost
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.engine.failures import is_interrupted, is_out_of_memory


class Failure:
    """Why a metric has no value.

    Args:
        error: what was raised when it was computed.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


def judged(error: Exception) -> Exception:
    """Return an error that says something of the candidate.

    Raises:
        TryAgainError: it says that a connection was lost.
        TidegateError: it says that the machine lacks something.
    """
    missing = lost(error)
    if missing is not None:
        raise TryAgainError(
            f"{missing} did not answer during an audit",
            got=str(error).partition("\n")[0],
            todo=f"see whether it runs ({command('status')}), then run this again; nothing was judged",
        ) from error
    if isinstance(error, TidegateError):
        raise error
    if is_out_of_memory(error):
        raise TidegateError(
            "the audit needs more memory, or more room on the disk, than there is",
            got=str(error).partition("\n")[0],
            todo="give the process more of it, then run this again; nothing was judged",
        ) from error
    if is_interrupted(error):
        raise error
    return error
