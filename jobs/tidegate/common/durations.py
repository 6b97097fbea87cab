"""Durations as source files write them: `90s`, `30m`, `24h`, `3d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")
_ISO = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?", re.IGNORECASE
)
_FORM = "a duration such as 30m, 24h, 3d, 90s or 1h30m"


def parse_duration(value: object, *, zero: bool = False) -> timedelta:
    """Return the duration that a YAML value names.

    Args:
        value: a text such as `1h30m`; units are d, h, m and s, in this order, whole numbers.
        zero: whether `0s` is allowed; otherwise a duration is above zero.

    Raises:
        ValueError: it is none; the message says what is expected, what is there and what was likely
            meant.

    """
    if isinstance(value, timedelta):
        return _positive(value, duration_text(value), zero)
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"expected {_FORM}, got {_not_text(value)}")
    text = value.strip()
    found = _WHOLE.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"expected {_FORM}, got {value!r}{_meant(text)}")
    return _positive(_sum(found), text, zero)


def duration_text(duration: timedelta) -> str:
    """Return a duration as a source file writes it, such as `1h30m`.

    Parts of a second are dropped.
    """
    left = int(duration.total_seconds())
    parts = []
    for unit, seconds in _UNITS.items():
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _sum(found: re.Match[str]) -> timedelta:
    return timedelta(
        seconds=sum(
            int(count or 0) * seconds
            for count, seconds in zip(found.groups(), _UNITS.values(), strict=True)
        )
    )


def _positive(duration: timedelta, text: str, zero: bool) -> timedelta:
    if duration < timedelta(0) or (not duration and not zero):
        raise ValueError(f"expected {_FORM}, above zero, got {text!r}")
    return duration


def _not_text(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, int) and not isinstance(value, bool):
        clock = f", and 1:30 is read as {90} by YAML" if value % 60 == 0 and value else ""
        return f"the number {value} without a unit (m is minutes{clock})"
    return repr(value)


def _meant(text: str) -> str:
    iso = _ISO.fullmatch(text)
    if iso is not None and any(iso.groups()):
        return f"; write '{duration_text(_sum(iso))}'"
    spaced = text.replace(" ", "").lower()
    if spaced != text and spaced and _WHOLE.fullmatch(spaced):
        return f"; write '{spaced}'"
    return ""
