"""How times are written: ISO 8601, numbers since 1970, and forms of a producer's own. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?"
)
_OFFSET = re.compile(r"(?:Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$")
_FRACTION = re.compile(r"[+-]?(0|[1-9]\d*)?[.]?\d+([eE][+-]?\d+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM, _UNTIL = 631_152_000, 4_102_444_800
"""Seconds since 1970 of what passes for a time: the years 1990 to 2100."""
_LONGEST = 40
UNITS: Mapping[str, int] = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
_SLASH = r"\d{1,2}/\d{1,2}/\d{4}"
_CLOCK = r"\d{1,2}:\d{2}"
_FORMATS = (
    ("%d/%b/%Y:%H:%M:%S %z", rf"\d{{1,2}}/[A-Za-z]{{3}}/\d{{4}}:{_CLOCK}:\d{{2}} [+-]\d{{4}}"),
    ("%Y/%m/%d %H:%M:%S", rf"\d{{4}}/\d{{1,2}}/\d{{1,2}} {_CLOCK}:\d{{2}}"),
    ("%d.%m.%Y %H:%M:%S", rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}} {_CLOCK}:\d{{2}}"),
    ("%d.%m.%Y %H:%M", rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}} {_CLOCK}"),
    ("%m/%d/%Y %H:%M:%S", rf"{_SLASH} {_CLOCK}:\d{{2}}"),
    ("%d/%m/%Y %H:%M:%S", rf"{_SLASH} {_CLOCK}:\d{{2}}"),
    ("%m/%d/%Y %H:%M", rf"{_SLASH} {_CLOCK}"),
    ("%d/%m/%Y %H:%M", rf"{_SLASH} {_CLOCK}"),
    ("%m/%d/%Y %I:%M:%S %p", rf"{_SLASH} {_CLOCK}:\d{{2}} [AaPp][Mm]"),
    ("%m/%d/%Y %I:%M %p", rf"{_SLASH} {_CLOCK} [AaPp][Mm]"),
    ("%d-%b-%Y %H:%M:%S", rf"\d{{1,2}}-[A-Za-z]{{3}}-\d{{4}} {_CLOCK}:\d{{2}}"),
    (
        "%a, %d %b %Y %H:%M:%S %z",
        rf"[A-Z][a-z]{{2}}, \d{{1,2}} [A-Z][a-z]{{2}} \d{{4}} {_CLOCK}:\d{{2}} [+-]\d{{4}}",
    ),
    (
        "%a %b %d %H:%M:%S %Y",
        rf"[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} \d{{2}} {_CLOCK}:\d{{2}} \d{{4}}",
    ),
    ("%Y%m%d%H%M%S", r"(?:19|20)\d{2}[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d"),
    ("%Y%m%d %H%M%S", r"(?:19|20)\d{2}[01]\d[0-3]\d [0-2]\d[0-5]\d[0-5]\d"),
    ("%Y%m%d %H:%M:%S", rf"(?:19|20)\d{{2}}[01]\d[0-3]\d {_CLOCK}:\d{{2}}"),
)
_PATTERNS = tuple((form, re.compile(pattern)) for form, pattern in _FORMATS)


def time_forms(values: Iterable[object]) -> tuple[str, ...]:
    """Return the forms that most values are times by: iso, epoch_s, …, or directives of strptime.

    Several only where the same values can be read by each, such as 05/06/2026. None where no value is a time.
    """
    counts: Counter[str] = Counter()
    for value in values:
        counts.update(_forms(value))
    most = max(counts.values(), default=0)
    return tuple(form for form, count in counts.items() if count == most)


def _forms(value: object) -> list[str]:
    if isinstance(value, str) and not value[:1].isspace() and _ISO.fullmatch(value.strip()):
        return ["iso"]
    seconds = _number(value)
    if seconds is not None:
        unit = next((unit for unit, n in UNITS.items() if _FROM <= seconds / n < _UNTIL), None)
        if unit is not None:
            return [unit]
    if not isinstance(value, str) or len(value) > _LONGEST:
        return []
    return [
        form
        for form, pattern in _PATTERNS
        if pattern.fullmatch(value) and _by_format(value, form) is not None
    ]


def as_time(value: object, form: str) -> datetime | None:
    """Return a value as a time, as landing would read it, or None."""
    if form == "iso":
        return iso_time(value) if isinstance(value, str) else None
    if "%" in form:
        return _by_format(value, form) if isinstance(value, str) else None
    number = _number(value)
    if number is None or not 0 <= number / UNITS[form] < 253_402_300_800:
        return None
    return _EPOCH + timedelta(seconds=number / UNITS[form])


def iso_time(text: str) -> datetime | None:
    """Return the time that ISO 8601 text names, UTC where it has no zone, or None."""
    bare = text.strip()
    if not _ISO.fullmatch(bare):
        return None
    plain = re.sub(r"\s?(?:UTC|GMT|z)$", "Z", bare).replace(",", ".").replace(" ", "T", 1)
    try:
        time = datetime.fromisoformat(plain.replace(" ", ""))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def lacks_offset(texts: Sequence[str], form: str) -> bool:
    """Return whether times do not tell their zone."""
    if form == "iso":
        return not any(_OFFSET.search(text.strip()) for text in texts)
    return "%" in form and "%z" not in form


def _by_format(text: str, form: str) -> datetime | None:
    try:
        time = datetime.strptime(text, form)  # noqa: DTZ007 # UTC below
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e18 else None
    if isinstance(value, str) and len(value) <= 24 and _FRACTION.fullmatch(value):
        return float(value)
    return None
