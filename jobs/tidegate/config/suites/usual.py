"""Usual values: what a metric is worth at an hour, going by the hours like it in the weeks before.

The median, and the spread around it by the median absolute deviation (Hampel 1974): half of the hours
could be wild without moving either. Only hours of the same time of day, and of the same day of the week
where there are enough of those, are like an hour, so that the rhythm of days and weeks is no news.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.common.durations import duration_text, parse_duration
from tidegate.common.suggestions import hint

LIKE: Mapping[str, timedelta] = {
    "hour_of_week": timedelta(days=7),
    "hour_of_day": timedelta(days=1),
    "hour": timedelta(hours=1),
}
"""Which hours are like one: those that many times this before it."""
OBSERVED = "observed"
"""The metric that an expectation itself observes."""
_NORMAL = 1.4826
"""Median absolute deviations in a standard deviation of the normal distribution: 1 / Φ⁻¹(3/4)."""
_LEAST_SPREAD = 0.05
"""Of the median: where past hours are all but equal, the next one may still differ a little."""
_KEYS = ("usual", "times", "deviations", "like", "last", "least")


@dataclass(frozen=True)
class Usual:
    """A limit that follows from history: `times` the median, plus so many `deviations`.

    Attributes:
        metric: a fact of the candidate (`suites.facts.FACTS`), or `observed`: what the expectation itself observes.
        times: of the median.
        deviations: standard deviations added (or, below zero, taken away), as the median absolute
            deviation tells them; one is at least a twentieth of the median.
        like: which hours count, of `LIKE`: the first kind that has enough.
        last: how far back.
        least: hours that are enough.
    """

    metric: str
    times: float = 1.0
    deviations: float = 0.0
    like: tuple[str, ...] = ("hour_of_week", "hour_of_day")
    last: timedelta = timedelta(days=28)
    least: int = 3

    def limit(self, history: Mapping[datetime, float], hour: datetime) -> float | None:
        """Return the limit for an hour, or None where too few hours like it are known.

        Args:
            history: the metric by hour, of published slices; the hour's own and later ones don't count.
            hour: the hour.
        """
        found = self.past(history, hour)
        if len(found) < self.least:
            return None
        median = statistics.median(found)
        spread = _NORMAL * statistics.median(abs(each - median) for each in found)
        spread = max(spread, _LEAST_SPREAD * abs(median))
        return self.times * median + self.deviations * spread

    def past(self, history: Mapping[datetime, float], hour: datetime) -> list[float]:
        """Return the metric at the hours like one: of the first kind that has enough, or else of the last."""
        found: list[float] = []
        for kind in self.like:
            step = LIKE[kind]
            found = [
                value
                for n in range(1, self.last // step + 1)
                if (value := history.get(hour - n * step)) is not None and math.isfinite(value)
            ]
            if len(found) >= self.least:
                break
        return found

    def describe(self) -> str:
        """Return it as people say it: `0.2 x usual rows`."""
        text = "" if self.times == 1.0 else f"{self.times:g} x "
        text += f"usual {'value' if self.metric == OBSERVED else self.metric}"
        if self.deviations:
            text += f" {'+' if self.deviations > 0 else '-'} {abs(self.deviations):g} deviations"
        return text


def reach(found: Sequence[Usual]) -> timedelta:
    """Return how far back history is needed."""
    return max((each.last for each in found), default=timedelta(0))


def parse_usual(raw: Mapping[str, object], metrics: Sequence[str]) -> Usual:
    """Return the limit that a suite describes.

    Args:
        raw: a mapping with the key `usual`.
        metrics: the facts that there are.

    Raises:
        ValueError: it describes none; the message says what is wrong.
    """
    for key in raw:
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r}; {hint(str(key), _KEYS)}")
    metric = raw["usual"]
    known = [OBSERVED, *metrics]
    if metric not in known:
        raise ValueError(f"usual: no fact {metric!r}; {hint(str(metric), known)}")
    like = raw.get("like", Usual.like)
    kinds = [like] if isinstance(like, str) else like
    if not isinstance(kinds, Sequence) or not kinds or any(each not in LIKE for each in kinds):
        raise ValueError(f"like: expected one or several of {', '.join(LIKE)}; got {like!r}")
    least = raw.get("least", Usual.least)
    if not isinstance(least, int) or isinstance(least, bool) or least < 1:
        raise ValueError(f"least: expected a number of hours, at least 1; got {least!r}")
    try:
        last = parse_duration(raw["last"]) if "last" in raw else Usual.last
    except ValueError as error:
        raise ValueError(f"last: {error}") from error
    reached = max(last // LIKE[kind] for kind in kinds)
    if reached < least:
        raise ValueError(
            f"last: {duration_text(last)} hold {reached} hours like one; at least {least} are asked for"
        )
    return Usual(
        metric=str(metric),
        times=_number(raw, "times", Usual.times),
        deviations=_number(raw, "deviations", Usual.deviations),
        like=tuple(str(kind) for kind in kinds),
        last=last,
        least=least,
    )


def _number(raw: Mapping[str, object], key: str, default: float) -> float:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: expected a number, got {value!r}")
    return float(value)
