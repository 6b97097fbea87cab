"""Hours: the grain of everything. An hour is an aware UTC datetime at minute zero."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from tidegate.common.errors import TidegateError

HOUR = timedelta(hours=1)

_ISO_HOUR = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2})?)?)?(Z|[+-]\d{2}:?\d{2})?$")


def parse_hour(text: str) -> datetime:
    """Return the UTC hour that an ISO 8601 text names (`2015-01-01T12`, `2015-01-01T12:00Z`, …).

    A text without a zone is UTC; a date alone is its first hour.

    Raises:
        TidegateError: the text is no ISO 8601 time, or not a full hour in UTC.
    """
    hint = "an ISO 8601 hour in UTC, such as 2015-01-01T12"
    if not _ISO_HOUR.match(text):
        raise TidegateError("not an hour", expected=hint, got=repr(text))
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise TidegateError("not an hour", expected=hint, got=f"{text!r} ({error})") from error
    hour = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    if hour != floor_hour(hour):
        raise TidegateError("not a full hour", expected=hint, got=repr(text))
    return hour


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def first_hour(text: str) -> datetime:
    """Return the hour that a range begins with: an hour, or the first one of a date, UTC.

    Raises:
        TidegateError: the text is neither a date nor a full hour.
    """
    return parse_hour(text)


def last_hour(text: str) -> datetime:
    """Return the hour that a range ends with, inclusive: an hour, or the last one of a date, UTC.

    Raises:
        TidegateError: the text is neither a date nor a full hour.
    """
    hour = parse_hour(text)
    return hour + 23 * HOUR if _DATE.fullmatch(text) else hour


def range_text(hours: Sequence[datetime]) -> str:
    """Return the ends of a range of consecutive hours and their number, as people check it."""
    if len(hours) == 1:
        return f"{hour_text(hours[0])} (1 hour, UTC)"
    return f"{hour_text(hours[0])} to {hour_text(hours[-1])} ({len(hours):,} hours, UTC)"


def floor_hour(time: datetime) -> datetime:
    """Return the hour that an aware time lies in."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hour_range(first: datetime, last: datetime) -> list[datetime]:
    """Return the hours from `first` to `last`, both inclusive.

    Raises:
        TidegateError: `first` is after `last`.
    """
    if first > last:
        raise TidegateError(
            "the range ends before it begins",
            expected="--from at or before --to",
            got=f"--from {hour_text(first)} --to {hour_text(last)}",
        )
    return list(_hours(first, last))


def _hours(first: datetime, last: datetime) -> Iterator[datetime]:
    hour = first
    while hour <= last:
        yield hour
        hour += HOUR


def hour_text(hour: datetime) -> str:
    """Return an hour as Tidegate writes it everywhere: `2015-01-01T12`."""
    return hour.astimezone(UTC).strftime("%Y-%m-%dT%H")


def some_hours(first: str | None, last: str | None) -> tuple[datetime, datetime] | None:
    """Return the bounds that two texts name, either of which may be missing; None where both are.

    A date means its first hour as `first`, its last hour as `last`.

    Raises:
        TidegateError: a text is no hour, or `first` is after `last`.
    """
    if not first and not last:
        return None
    lower = first_hour(first) if first else datetime.min.replace(tzinfo=UTC)
    upper = last_hour(last) if last else datetime.max.replace(tzinfo=UTC)
    if lower > upper:
        hour_range(lower, upper)  # says what is wrong
    return lower, upper


def hours_text(hours: Iterable[datetime]) -> str:
    """Return hours as short text, runs of consecutive hours folded: `2015-01-01T12..T14`."""
    runs: list[tuple[datetime, datetime]] = []
    for hour in sorted(set(hours)):
        if runs and hour - runs[-1][1] == HOUR:
            runs[-1] = (runs[-1][0], hour)
        else:
            runs.append((hour, hour))
    return ", ".join(hour_text(a) if a == b else f"{hour_text(a)}..{hour_text(b)}" for a, b in runs)
