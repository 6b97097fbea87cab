"""Seeded chance that gives the same numbers on every machine and every Python.

Only `Random.random` and `Random.getrandbits` are used, whose sequences Python keeps, and only
IEEE-exact arithmetic on them: no logarithms, whose last bit is up to the machine's C library.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A stream of chance, told apart from others of the same seed by its name."""

    def __init__(self, seed: int, name: str) -> None:
        # A seed given as text is hashed with SHA-512 by Random, not with the process's own hash.
        self._random = Random(f"{seed}/{name}")  # noqa: S311 - made-up data, no secret
        self.unit = self._random.random

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to `bound - 1`, all alike."""
        return int(self.unit() * bound)

    def between(self, low: float, high: float) -> float:
        """Return a number from `low` up to, not including, `high`, all alike."""
        return low + self.unit() * (high - low)

    def skewed(self, bound: int, power: int) -> int:
        """Return a whole number from 0 to `bound - 1`; the higher the power, the more are small."""
        share = self.unit()
        value = share
        for _ in range(power - 1):
            value *= share
        return int(value * bound)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices, all alike."""
        return choices[int(self.unit() * len(choices))]

    def bits(self, count: int) -> int:
        """Return a whole number of `count` random bits."""
        return self._random.getrandbits(count)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in another order."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = int(self.unit() * (last + 1))
            order[last], order[other] = order[other], order[last]
        return order
