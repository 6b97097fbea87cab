"""Patterns of file names, in which `*` stands for any text; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


def as_expression(pattern: str, star: str) -> str:
    """Return a pattern as a regular expression: `star` for each `*`, every other character as it is."""
    return star.join(map(re.escape, pattern.split("*")))


def matches_any(patterns: Sequence[str], name: str, folder: str) -> bool:
    """Return whether a pattern fits a file by its own name, or by its path below a folder.

    Args:
        patterns: as in `exclude` of a source file.
        name: of the file, relative to the root.
        folder: that the path begins with; ends with `/`, or is empty.
    """
    expression = _compiled(tuple(patterns))
    return expression is not None and any(
        expression.fullmatch(text)
        for text in (name.rstrip("/").rpartition("/")[2], name.removeprefix(folder))
    )


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(as_expression(each, ".*") for each in patterns), re.DOTALL)
