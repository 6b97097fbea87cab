"""Local times to UTC, many at once, by the rules of a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tidegate.landing.records import Mask

Ints = npt.NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of local clocks
_SPANS = (3_600, 60, 1)
"""Seconds of local time that are looked up together, where their ends agree; clocks change at whole seconds."""
_PLAIN, _AMBIGUOUS, _NONEXISTENT = range(3)


@dataclass(frozen=True)
class Utc:
    """Local times in UTC.

    Attributes:
        micros: since 1970 in UTC: of a time that the clocks show twice the first; of one that they skip any.
        ambiguous: those that the clocks show twice.
        nonexistent: those that they skip.
    """

    micros: Ints
    ambiguous: Mask
    nonexistent: Mask


def to_utc(local: Ints, zone: ZoneInfo) -> Utc:
    """Return local times in UTC.

    Args:
        local: microseconds since 1970 as local clocks show them, of the years 1 to 9999.
        zone: theirs.
    """
    seconds = local // 1_000_000
    offsets, kinds = np.zeros(len(local), np.int64), np.full(len(local), _PLAIN)
    rest = np.arange(len(local))
    for span in _SPANS:
        parts, place = np.unique(seconds[rest] // span, return_inverse=True)
        found = [_of_span(int(part) * span, span, zone) for part in parts]
        known = np.array([one is not None for one in found], np.bool_)[place]
        values = np.array([one or (0, _PLAIN) for one in found], np.int64).reshape(-1, 2)[place]
        offsets[rest], kinds[rest] = values[:, 0], values[:, 1]
        rest = rest[~known]
    return Utc(local - offsets * 1_000_000, kinds == _AMBIGUOUS, kinds == _NONEXISTENT)


def _of_span(second: int, span: int, zone: ZoneInfo) -> tuple[int, int] | None:
    """Return the offset in seconds and the kind of a span of local time; None where its ends differ."""
    first = _of_second(second, zone)
    return first if span == 1 or first == _of_second(second + span - 1, zone) else None


def _of_second(second: int, zone: ZoneInfo) -> tuple[int, int]:
    clock = (_EPOCH + timedelta(seconds=second)).replace(tzinfo=zone)
    # Before clocks go back they are further ahead; where they skip a time, `fold` is the other way round.
    offset, later = clock.utcoffset(), clock.replace(fold=1).utcoffset()
    assert offset is not None and later is not None, "a zone has an offset at any time"
    kind = _PLAIN if offset == later else _AMBIGUOUS if offset > later else _NONEXISTENT
    return offset // timedelta(seconds=1), kind
