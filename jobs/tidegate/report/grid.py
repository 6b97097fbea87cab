"""A source's hours by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tidegate.common.hours import HOUR, floor_hour, parse_hour
from tidegate.query.freshness import Freshness

DAYS = 7
"""Days that a grid of hours has."""


_LIVE = timedelta(hours=48)

_LATE = timedelta(hours=1)


@dataclass(frozen=True)
class Day:
    """A day of a source's grid.

    Attributes:
        date: the day, UTC.
        states: of its 24 hours; None where nothing is expected.
    """

    date: date
    states: tuple[str | None, ...]

    @property
    def partial(self) -> bool:
        """Whether not all its hours are published."""
        return any(state != "published" for state in self.states)

    @property
    def hours(self) -> list[tuple[datetime, str | None]]:
        """Its hours with their states."""
        start = datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)
        return [(start + n * HOUR, state) for n, state in enumerate(self.states)]


@dataclass(frozen=True)
class Grid:
    """A source's hours by day.

    Attributes:
        source: its name.
        counts: a row of `reports.hours`.
        days: of the last seven those of which anything is expected, oldest first.
        earlier: the last day of the grid before this one, None if nothing was landed before.
        later: that of the one after it.
        late: how many hours are late, shown or not.
        promise: how it keeps what its file promises, None where that promises nothing.
    """

    source: str
    counts: Mapping[str, Any]
    days: tuple[Day, ...]
    earlier: date | None
    later: date | None
    late: int
    promise: Freshness | None = None


def grid_of(
    source: str,
    row: Mapping[str, Any],
    ends: tuple[datetime, datetime],
    known: Mapping[datetime, str],
    now: datetime,
) -> Grid:
    """Return the grid of a source.

    Args:
        source: its name.
        row: its row of `reports.hours`.
        ends: the first and the last hour of the grid.
        known: the states of hours that were landed.
        now: the time; tells which hours are late.
    """
    first, last = parse_hour(row["first_hour"]), parse_hour(row["last_hour"])
    due = last_due(row, now)
    start, stop = ends
    days = [
        Day(
            (start + day * 24 * HOUR).date(),
            tuple(state_of(start + (day * 24 + n) * HOUR, known, row, now) for n in range(24)),
        )
        for day in range(DAYS)
    ]
    return Grid(
        source=source,
        counts=row,
        days=tuple(day for day in days if any(day.states)),
        earlier=earlier_day(start, first),
        later=later_day(stop, due),
        late=(due - last) // HOUR,
    )


def state_of(
    hour: datetime, known: Mapping[datetime, str], row: Mapping[str, Any], now: datetime
) -> str | None:
    """Return the state of an hour; None where nothing is expected of it."""
    if hour in known:
        return known[hour]
    if hour < parse_hour(row["first_hour"]):
        return None
    if hour < parse_hour(row["last_hour"]):
        return "missing"
    return "late" if hour <= last_due(row, now) else None


def last_due(row: Mapping[str, Any], now: datetime) -> datetime:
    """Return the last hour that should have been landed by now, of a source that is still alive."""
    last = parse_hour(row["last_hour"])
    if now - last > _LIVE:
        return last
    late = now - _LATE - HOUR
    return max(last, floor_hour(late))


def earlier_day(start: datetime, first: datetime) -> date | None:
    """Return the last day of the days before some, None if nothing was landed then."""
    return (start - HOUR).date() if first < start else None


def later_day(stop: datetime, last: datetime) -> date | None:
    """Return the last day of the days after some, None if nothing was landed then."""
    return (stop + DAYS * 24 * HOUR).date() if last > stop else None
