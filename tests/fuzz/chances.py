"""Random choices beside those of the corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from corpus.chance import Chance

__all__ = ["Chance", "between", "chance_of", "some", "weighted"]
T = TypeVar("T")


def chance_of(*parts: object) -> Chance:
    """Return chance that depends on some numbers and names only."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return Chance(int.from_bytes(digest[:8], "big"))


def between(chance: Chance, first: int, last: int) -> int:
    """Return a whole number of a range, both ends included; large ranges too."""
    span = last - first + 1
    if span <= 1 << 50:
        return first + chance.below(span)
    wide = 0
    for _ in range(4):
        wide = (wide << 48) | chance.below(1 << 48)
    return first + wide % span


def weighted(chance: Chance, choices: Sequence[tuple[int, T]]) -> T:
    """Return one of some values, each as often as its weight says."""
    at = chance.below(sum(weight for weight, _ in choices))
    for weight, choice in choices:
        at -= weight
        if at < 0:
            return choice
    raise AssertionError("the weights add up")


def some(chance: Chance, values: Sequence[T], least: int = 0) -> list[T]:
    """Return some of the values, each at most once, in another order."""
    count = between(chance, least, len(values))
    return chance.shuffled(values)[:count]
