"""Whether two templates may take the same files: a file belongs to one source."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tidegate.config.source.path_template import Template

_SAMPLES = (
    datetime(2015, 11, 23, 14, tzinfo=UTC),  # as long with leading zeros as without
    datetime(2011, 11, 11, 11, tzinfo=UTC),  # the same in whatever order
)
"""Hours at which templates that may take each other's files have the same names."""


def may_share_files(one: Template, other: Template) -> bool:
    """Return whether there are names of files that both would take."""
    return any(_meet(_taken(one, hour), _taken(other, hour)) for hour in _SAMPLES)


_BELOW = "\0"
"""Stands for the rest of a name, `/` included."""
_WILD = re.compile(f"[*{_BELOW}]")


def _taken(template: Template, hour: datetime) -> str:
    """Return the pattern of the files of an hour: `*` is any text without a `/`, `_BELOW` any text."""
    pattern = template.pattern(hour).replace("s3a://", "s3://", 1)
    return pattern + _BELOW if pattern.endswith("/") else pattern


def _meet(one: str, other: str) -> bool:
    """Return whether a text fits two patterns."""
    heads = _WILD.split(one, 1)[0], _WILD.split(other, 1)[0]
    if not heads[0].startswith(heads[1]) and not heads[1].startswith(heads[0]):
        return False  # as nearly always
    end = len(one), len(other)
    waiting, seen = [(0, 0)], set()
    while waiting:
        at = waiting.pop()
        if at == end:
            return True
        if at in seen:
            continue
        seen.add(at)
        i, j = at
        a, b = one[i : i + 1], other[j : j + 1]
        if _may_be(a, ""):
            waiting.append((i + 1, j))
        if _may_be(b, ""):
            waiting.append((i, j + 1))
        if b and _may_be(a, b):
            waiting.append((i, j + 1))
        if a and _may_be(b, a):
            waiting.append((i + 1, j))
        if a and a == b:
            waiting.append((i + 1, j + 1))
    return False


def _may_be(wild: str, char: str) -> bool:
    """Return whether a part of a pattern stands for a text with that character in it, or for none."""
    return wild == _BELOW or (wild == "*" and char != "/")
