"""Steps that several runs may do at once: the one whose commit comes second does its work again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tidegate.common.errors import TryAgainError

ATTEMPTS = 10
T = TypeVar("T")


def until_first(name: str, attempt: Callable[[], T | None]) -> T:
    """Return the result of the first attempt that has one.

    Args:
        name: of what is written, such as `sessions of shop`.
        attempt: plans and commits; it returns None where another commit came first.

    Raises:
        TryAgainError: another commit came first in each of `ATTEMPTS` attempts.
    """
    for _ in range(ATTEMPTS):
        result = attempt()
        if result is not None:
            return result
    raise TryAgainError(
        f"other runs wrote {name} first, {ATTEMPTS} times",
        where=name,
        expected=f"to be first in one of {ATTEMPTS} attempts",
        todo="wait until the other runs have ended, then run the step again",
    )
