"""Times: RFC 3339, ISO 8601 with a calendar date in basic or extended form, and numbers since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from tidegate.common.time_zones import load_zone
from tidegate.config.source import TimeRef

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
LONGEST_OFFSET = timedelta(hours=18)

_DATES = (r"(\d{4})-(\d\d)-(\d\d)[Tt ]", r"(\d{4})(\d\d)(\d\d)[Tt]")
_CLOCKS = (r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?", r"(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d+))?)?")
_ZONE = r"(?: ?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
_FORMS = [
    re.compile(date + clock + _ZONE, re.ASCII) for date, clock in zip(_DATES, _CLOCKS, strict=True)
]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPACES = "".join(map(chr, range(33))) + "\x7f"


def time_of(text: str, ref: TimeRef) -> datetime | None:
    """Return the time of a text as a source says that it is written, in UTC; None where it is no time.

    Raises:
        ValueError: it is in a format, which the reference does not read.
    """
    if ref.format is not None:
        raise ValueError(f"the reference reads no format: {ref.format}")
    if ref.unit != "iso":
        return epoch_time(text, ref.unit)
    return iso_time(text, load_zone(ref.zone) if ref.zone is not None else None)


def iso_time(text: str, local: ZoneInfo | None = None) -> datetime | None:
    """Return the time of a text, in UTC; None where it is no time.

    Without an offset it is UTC, or the first instant at which the clocks of `local` show it.

    Digits beyond microseconds are cut. A second 60 is valid at the end of June and of December in UTC, and is
    the first second of the next day.
    """
    bare = text.strip(_SPACES)
    match = next(filter(None, (form.fullmatch(bare) for form in _FORMS)), None)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset = _offset(zone or "Z")
    is_leap = second == "60"
    if offset is None:
        return None
    try:
        whole = datetime(
            int(year), int(month), int(day), int(hour), int(minute),
            59 if is_leap else int(second or 0), tzinfo=UTC,
        )  # fmt: skip
        at = whole - offset if zone or local is None else _shown_by(whole, local)
        if at is None:
            return None
        if is_leap:
            if (at.month, at.day, at.hour, at.minute) not in ((6, 30, 23, 59), (12, 31, 23, 59)):
                return None
            at += timedelta(seconds=1)
        return at + int((fraction or "").ljust(6, "0")[:6]) * MICROSECOND
    except (ValueError, OverflowError):
        return None


def _shown_by(clock: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant at which the clocks of a zone show a time; None where they skip it."""
    for fold in (0, 1):
        at = clock.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=UTC, fold=0) == clock:
            return at
    return None


def _offset(zone: str) -> timedelta | None:
    if zone[0] not in "+-":
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > LONGEST_OFFSET:
        return None
    return offset if zone[0] == "+" else -offset


def epoch_time(text: str, unit: str) -> datetime | None:
    """Return the time of a number since 1970 in UTC, cut to microseconds towards zero; None where it is none."""
    number = exact_number(text)
    if number is None:
        return None
    try:
        return EPOCH + int(number * UNITS[unit]) * MICROSECOND
    except OverflowError:
        return None


def exact_number(text: str) -> Fraction | None:
    """Return the number of a text, exactly; None where it is no number, or one beyond any use."""
    bare = text.strip(_SPACES)
    if not _NUMBER.fullmatch(bare):
        return None
    mantissa, _, exponent = bare.lower().partition("e")
    if exponent and abs(int(exponent)) > 10_000 and Decimal(mantissa):
        # Nothing that large fits a type, and nothing that small is a number of one but zero.
        return None if int(exponent) > 0 else Fraction(0)
    return Fraction(Decimal(mantissa)) * Fraction(10) ** int(exponent or 0)
