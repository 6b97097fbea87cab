"""The writes of a lake on the DuckDB engine, so that a test can end its process at any of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tidegate.engine.duckdb import DuckDBEngine
from tidegate.lake.commits import CommittedTable
from tidegate.lake.reader import LakeReader

WRITES: tuple[tuple[type, str], ...] = (
    (CommittedTable, "commit"),
    (LakeReader, "write"),
    (DuckDBEngine, "land"),
)
"""Class and method: each commit to a table, whose data files are written before; staged rows; landed dumps."""


def intercept(
    replace: Callable[[type, str, Any], None],
    before: Callable[[str], None] = lambda _: None,
    after: Callable[[str], None] = lambda _: None,
) -> None:
    """Have every write of this process call something.

    Args:
        replace: sets an attribute of a class, as `setattr` does.
        before: called with the name of a write before it happens.
        after: called with its name after it happened.
    """
    for owner, name in WRITES:
        replace(owner, name, _around(getattr(owner, name), name, before, after))


def _around(
    write: Callable[..., Any],
    name: str,
    before: Callable[[str], None],
    after: Callable[[str], None],
) -> Callable[..., Any]:
    @wraps(write)
    def intercepted(*arguments: Any, **named: Any) -> Any:
        before(name)
        result = write(*arguments, **named)
        after(name)
        return result

    return intercepted
