"""The shape of records: what is at which path, how often, and of what kind. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

Path = tuple[str, ...]

MOST_DEPTH = 4
"""Names of a path, at most; what lies deeper stays in `properties`."""
_MOST_PATHS = 4_000
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?"
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,18})")
_FRACTION = re.compile(r"[+-]?(0|[1-9]\d*)?[.]?\d+([eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM, _UNTIL = 631_152_000, 4_102_444_800
"""Seconds since 1970 of what passes for a time: the years 1990 to 2100."""
UNITS: Mapping[str, int] = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
MOST_BIGINT = (1 << 63) - 1


@dataclass
class Shape:
    """What is at a path.

    Attributes:
        path: where.
        rows: numbers of the records that have a value, not null, there.
        values: those values, but for objects and lists.
        kinds: how many are of which kind: bool, int, float, text, list, object.
        nulls: how many records have null there.
    """

    path: Path
    rows: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    nulls: int = 0

    @property
    def count(self) -> int:
        """How many records have a value there."""
        return sum(self.kinds.values())

    @property
    def is_scalar(self) -> bool:
        """Whether only single values are there."""
        return bool(self.values) and not self.kinds["list"] and not self.kinds["object"]

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.texts))

    @cached_property
    def texts(self) -> list[str]:
        """The values as text."""
        return [value if isinstance(value, str) else str(value) for value in self.values]

    @cached_property
    def times(self) -> tuple[str, list[datetime | None]]:
        """The unit that most values are times by (iso, epoch_s, …), and each value as a time by it."""
        units = Counter(unit for unit in map(_unit, self.values) if unit)
        if not units:
            return "iso", [None] * len(self.values)
        unit = units.most_common(1)[0][0]
        return unit, [as_time(value, unit) for value in self.values]


def shapes(records: Sequence[Mapping[str, Any]]) -> dict[Path, Shape]:
    """Return what is at each path of some records, in the order in which it is met."""
    found: dict[Path, Shape] = {}
    for row, record in enumerate(records):
        for path, value in _leaves(record, ()):
            shape = found.get(path)
            if shape is None:
                if len(found) >= _MOST_PATHS:
                    continue
                shape = found[path] = Shape(path)
            if value is None:
                shape.nulls += 1
                continue
            kind = kind_of(value)
            shape.kinds[kind] += 1
            if kind not in ("object", "list"):
                shape.rows.append(row)
                shape.values.append(value)
    return found


def _leaves(record: Mapping[str, Any], above: Path) -> Iterator[tuple[Path, Any]]:
    for name, value in record.items():
        path = (*above, name)
        yield path, value
        if isinstance(value, dict) and len(path) < MOST_DEPTH:
            yield from _leaves(value, path)


def kind_of(value: object) -> str:
    """Return the kind of a value: bool, int, float, text, list or object."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "list"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else type(value).__name__


def _unit(value: object) -> str | None:
    """Return by which unit a value is a time, or None."""
    if isinstance(value, str) and not value[:1].isspace() and _ISO.fullmatch(value.strip()):
        return "iso"
    seconds = _number(value)
    if seconds is None:
        return None
    return next((unit for unit, n in UNITS.items() if _FROM <= seconds / n < _UNTIL), None)


def as_time(value: object, unit: str) -> datetime | None:
    """Return a value as a time, as landing would read it, or None."""
    if unit == "iso":
        return iso_time(value) if isinstance(value, str) else None
    number = _number(value)
    if number is None or not 0 <= number / UNITS[unit] < 253_402_300_800:
        return None
    return _EPOCH + timedelta(seconds=number / UNITS[unit])


def iso_time(text: str) -> datetime | None:
    """Return the time that ISO 8601 text names, UTC where it has no zone, or None."""
    bare = text.strip()
    if not _ISO.fullmatch(bare):
        return None
    plain = re.sub(r"\s?(?:UTC|GMT|z)$", "Z", bare).replace(",", ".").replace(" ", "T", 1)
    try:
        found = datetime.fromisoformat(plain.replace(" ", ""))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e18 else None
    if isinstance(value, str) and len(value) <= 24 and _FRACTION.fullmatch(value):
        return float(value)
    return None


def column_type(shape: Shape, *, is_text: bool) -> str:
    """Return the narrowest type that all values of a path fit.

    Args:
        shape: what is there.
        is_text: whether all values are text in any case, as in delimited files: then text that is a
            number is one. In JSON, whoever sends a number as text means text.
    """
    if is_text or set(shape.kinds) <= {"text"}:
        return _text_type(shape.texts, numbers=is_text)
    kinds = set(shape.kinds)
    if kinds == {"bool"}:
        return "boolean"
    if kinds <= {"int", "float"}:
        return _number_type(shape.values)
    return "string"


def _number_type(values: Sequence[int | float]) -> str:
    if any(abs(value) == float("inf") or value != value for value in values):
        return "string"
    if all(isinstance(value, int) for value in values):
        return "bigint" if all(abs(value) <= MOST_BIGINT for value in values) else "string"
    return "double" if all(abs(value) <= 1e300 for value in values) else "string"


def _text_type(texts: Sequence[str], *, numbers: bool) -> str:
    if all(_DATE.fullmatch(text) and _is_date(text) for text in texts):
        return "date"
    if all(iso_time(text) is not None for text in texts):
        return "timestamp"
    if not numbers:
        return "string"
    if all(text.casefold() in ("true", "false") for text in texts):
        return "boolean"
    if all(_WHOLE.fullmatch(text) and abs(int(text)) <= MOST_BIGINT for text in texts):
        return "bigint"
    if all(_FRACTION.fullmatch(text) and not _LEADING_ZERO.match(text) for text in texts):
        return "double" if all(abs(float(text)) <= 1e300 for text in texts) else "string"
    return "string"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
