"""The shape of records: what is at which path, how often, and of what kind. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

from tidegate.propose.times import as_time, iso_time, time_forms

Path = tuple[str, ...]

MOST_DEPTH = 4
"""Names of a path, at most; what lies deeper stays in `properties`."""
_MOST_PATHS = 4_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,18})")
_FRACTION = re.compile(r"[+-]?(0|[1-9]\d*)?[.]?\d+([eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
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
    def time_forms(self) -> tuple[str, ...]:
        """The forms that most values are times by; none where no value is one."""
        return time_forms(self.values)

    def times(self, form: str) -> list[datetime | None]:
        """Return each value as a time of a form, where it is one."""
        return [as_time(value, form) for value in self.values]


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


def column_type(shape: Shape, *, is_text: bool) -> str:
    """Return the narrowest type that all values of a path fit.

    Args:
        shape: what is there.
        is_text: whether all values are text in any case, as in delimited files: then text that is a
            number is one. In JSON, whoever sends a number as text means text.
    """
    if is_text or set(shape.kinds) <= {"text"}:
        return text_type(shape.texts, numbers=is_text)
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


def text_type(texts: Sequence[str], *, numbers: bool) -> str:
    """Return the narrowest type that all texts fit; that of a number only with `numbers`."""
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


def folded(text: str) -> str:
    """Return a name in small letters and digits, so that ways to write it are one."""
    return re.sub(r"[^a-z0-9]|(?<=.)_", "", text.casefold())


def path_rank(path: Path, names: Sequence[str]) -> float | None:
    """Return how well a path fits a list of names, 0 best, or None: whole first, then its end."""
    whole, last = folded("".join(path)), folded(path[-1])
    if whole in names:
        return float(names.index(whole))
    if len(path) > 1:
        pair = folded("".join(path[-2:]))
        if pair in names:
            return names.index(pair) + 0.4 + len(path)
        if last in names and last not in ("id", "name", "type", "user"):
            return names.index(last) + 0.5 + len(path)
    return None
