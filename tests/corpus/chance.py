"""Chance that is the same for a seed on every version of Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Random choices that use nothing of `random` but `random()`, which is the same in all versions.

    Args:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to `limit`, without `limit`; 0 where that is 0."""
        return int(self._random.random() * limit)

    def choice(self, values: Sequence[T]) -> T:
        """Return one of some values."""
        return values[self.below(len(values))]

    def happens(self, share: float) -> bool:
        """Return True with a probability."""
        return self._random.random() < share

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Return the values in another order."""
        left, out = list(values), []
        while left:
            out.append(left.pop(self.below(len(left))))
        return out
