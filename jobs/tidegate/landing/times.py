"""Times of text, one by one: the rules. `instants` does the same for many at once.

- RFC 3339, and ISO 8601 with a calendar date in the extended form (`2024-03-01T12:00:00Z`) or the basic one
  (`20240301T120000Z`). `T` may be `t` or a space, the fraction follows a dot or a comma, and seconds and
  minutes may be absent. Without a zone it is UTC, or local time in the zone that the source file names. A zone is `Z`,
  `z`, `UTC`, `GMT` or an offset of at most 18 hours.
- A fraction beyond microseconds is cut, not rounded.
- A second 60 is valid where leap seconds are: at the end of June and of December, in UTC. It is the second after.
- Years are 1 to 9999. Week dates, ordinal dates, hour 24, names of zones and a date alone are no times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

BLANKS = "".join(map(chr, range(33))) + "\x7f"
"""Characters that don't count around a time or a number: white space and control characters."""

EARLIEST = -62_135_596_800_000_000
LATEST = 253_402_300_799_999_999
"""The years 1 to 9999 in microseconds since 1970; beyond them other readers of the table fail."""

UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds of each unit."""

OFFSET = "[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?"
"""Texts of an offset, as a pattern."""

_ZONE = f"[ ]?(?P<zone>{OFFSET})"
_FRACTION = r"(?:[.,](?P<fraction>[0-9]+))?"
_EXTENDED = re.compile(
    r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})[Tt ](?P<hh>[0-9]{2})"
    rf"(?::(?P<mm>[0-9]{{2}})(?::(?P<ss>[0-9]{{2}}){_FRACTION})?(?:{_ZONE})?|{_ZONE.replace('?P<', '?P<h')})"
)
_BASIC = re.compile(
    r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})[Tt](?P<hh>[0-9]{2})(?P<mm>[0-9]{2})"
    rf"(?:(?P<ss>[0-9]{{2}}){_FRACTION})?(?:{_ZONE})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_OFFSET = timedelta(hours=18)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LEAP_DAYS = ((6, 30), (12, 31))


@dataclass(frozen=True)
class Reading:
    """A time as a text says it.

    Attributes:
        micros: since 1970, in UTC or as local clocks show it. Of a second 60 they are those of the second 59.
        is_local: whether the text says no offset.
        is_leap: whether its second is 60.
        is_cut: whether digits beyond microseconds are lost.
    """

    micros: int
    is_local: bool = False
    is_leap: bool = False
    is_cut: bool = False


def read_iso(text: str) -> Reading | None:
    """Return what a text in the form of ISO 8601 says, None for anything that is no time."""
    bare = text.strip(BLANKS)
    match = _EXTENDED.fullmatch(bare) or _BASIC.fullmatch(bare)
    if match is None:
        return None
    part = match.groupdict()
    zone = part["zone"] or part.get("hzone")
    numbers = (int(part[name] or 0) for name in ("y", "m", "d", "hh", "mm", "ss"))
    return reading(*numbers, fraction=part["fraction"] or "", offset=zone)


def reading(
    year: int,
    month: int,
    day: int,
    hour: int,
    minute: int,
    second: int,
    *,
    fraction: str,
    offset: str | None,
) -> Reading | None:
    """Return the time of its parts; None where there is none.

    Args:
        year: from 1.
        month: from 1.
        day: of the month.
        hour: 0 to 23.
        minute: 0 to 59.
        second: 0 to 60.
        fraction: digits of the second's fraction.
        offset: text of an offset from UTC or of UTC itself; None for a local time.
    """
    ahead = _offset(offset) if offset is not None else timedelta()
    if ahead is None or abs(ahead) > _LONGEST_OFFSET:
        return None
    is_leap = second == 60
    try:
        local = datetime(year, month, day, hour, minute, 59 if is_leap else second, tzinfo=UTC)
    except ValueError:
        return None
    micros = (local - _EPOCH - ahead) // _MICROSECOND + int(fraction[:6].ljust(6, "0"))
    return Reading(micros, offset is None, is_leap, bool(fraction[6:].strip("0")))


def _offset(zone: str) -> timedelta | None:
    """Return how far a time's zone is ahead of UTC; None where there is no such zone."""
    if zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        return None
    ahead = timedelta(hours=hours, minutes=minutes)
    return -ahead if zone[0] == "-" else ahead


def is_leap_second(micros: int) -> bool:
    """Return whether a leap second may follow a second, given in microseconds since 1970 in UTC."""
    if not EARLIEST <= micros <= LATEST:
        return False
    at = _EPOCH + timedelta(microseconds=micros)
    return (at.month, at.day) in _LEAP_DAYS and (at.hour, at.minute, at.second) == (23, 59, 59)


def read_epoch(text: str, unit: str) -> Reading | None:
    """Return the time of a number's text, by its digits; None for anything else.

    Args:
        text: of the number.
        unit: `epoch_s`, `epoch_ms` or `epoch_us`.
    """
    bare = text.strip(BLANKS)
    if _NUMBER.fullmatch(bare) is None:
        return None
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return None
    # An exponent of a million digits is never written out.
    if number and not -60 <= number.adjusted() <= 20:
        return Reading(0, is_cut=True) if number.adjusted() < 0 else None
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    scaled = int("".join(map(str, digits))) * UNITS[unit]
    below = 10 ** max(0, -exponent)
    whole, rest = divmod(scaled * 10 ** max(0, exponent), below)
    micros = -whole if sign else whole
    return Reading(micros, is_cut=rest > 0) if EARLIEST <= micros <= LATEST else None
