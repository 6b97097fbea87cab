"""Times of text, one by one: the rules. `convert` does the same for many at once.

- RFC 3339, and ISO 8601 with a calendar date in the extended form (`2024-03-01T12:00:00Z`) or the basic one
  (`20240301T120000Z`). `T` may be `t` or a space, the fraction follows a dot or a comma, and seconds and
  minutes may be absent. Without a zone it is UTC. A zone is `Z`, `z`, `UTC`, `GMT` or an offset of at most 18 hours.
- A fraction beyond microseconds is cut, not rounded.
- A second 60 is valid where leap seconds are: at the end of June and of December, in UTC. It is the second after.
- Years are 1 to 9999. Week dates, ordinal dates, hour 24, names of zones and a date alone are no times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

BLANKS = "".join(map(chr, range(33))) + "\x7f"
"""Characters that don't count around a time or a number: white space and control characters."""

EARLIEST = -62_135_596_800_000_000
LATEST = 253_402_300_799_999_999
"""The years 1 to 9999 in microseconds since 1970; beyond them other readers of the table fail."""

UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds of each unit."""

_ZONE = r"[ ]?(?P<zone>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zh>[0-9]{2})(?::?(?P<zm>[0-9]{2}))?)"
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


def iso_micros(text: str) -> int | None:
    """Return the microseconds since 1970 of a time's text, None for anything that is no time."""
    bare = text.strip(BLANKS)
    match = _EXTENDED.fullmatch(bare) or _BASIC.fullmatch(bare)
    if match is None:
        return None
    part = match.groupdict()
    offset = _offset(part)
    if offset is None or abs(offset) > _LONGEST_OFFSET:
        return None
    second = int(part["ss"] or 0)
    is_leap = second == 60
    try:
        local = datetime(
            int(part["y"]),
            int(part["m"]),
            int(part["d"]),
            int(part["hh"]),
            int(part["mm"] or 0),
            59 if is_leap else second,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    micros = (local - _EPOCH - offset) // _MICROSECOND
    if is_leap:
        if not _is_leap_second(micros):
            return None
        micros += 1_000_000
    micros += int((part["fraction"] or "0")[:6].ljust(6, "0"))
    return micros if EARLIEST <= micros <= LATEST else None


def _offset(part: dict[str, str | None]) -> timedelta | None:
    """Return how far a time's zone is ahead of UTC; None where there is no such zone."""
    hours = part["zh"] or part.get("hzh")
    if hours is None:
        return timedelta()
    minutes = int(part["zm"] or part.get("hzm") or 0)
    if minutes > 59:
        return None
    ahead = timedelta(hours=int(hours), minutes=minutes)
    return -ahead if (part["sign"] or part.get("hsign")) == "-" else ahead


def _is_leap_second(micros: int) -> bool:
    """Return whether a leap second may follow a second, given in microseconds since 1970."""
    if not EARLIEST <= micros <= LATEST:
        return False
    at = _EPOCH + timedelta(microseconds=micros)
    return (at.month, at.day) in _LEAP_DAYS and (at.hour, at.minute, at.second) == (23, 59, 59)


def is_cut(text: str) -> bool:
    """Return whether a valid time's fraction has digits beyond microseconds that are lost."""
    fraction = re.search(r"[.,]([0-9]+)", text)
    return fraction is not None and bool(fraction[1][6:].strip("0"))


def epoch_micros(text: str, unit: str) -> int | None:
    """Return the microseconds since 1970 of a number's text, by its digits; None for anything else.

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
        return 0 if number.adjusted() < 0 else None
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    scaled = int("".join(map(str, digits))) * UNITS[unit]
    whole = scaled * 10**exponent if exponent >= 0 else scaled // 10**-exponent
    micros = -whole if sign else whole
    return micros if EARLIEST <= micros <= LATEST else None
