"""Paths of fields: dotted names, such as `actor.id`.

A name that holds a dot stands in backticks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PART = re.compile(r"`(?:[^`]|``)+`|[^`.]+")


def split_path(path: str) -> tuple[str, ...]:
    """Return the names of a path: `actor.id` is (actor, id), `` `a.b`.c `` is (a.b, c).

    Raises:
        ValueError: it is no path.

    """
    names: list[str] = []
    at = 0
    while True:
        found = _PART.match(path, at)
        if found is None or found[0] != found[0].strip() or not found[0]:
            raise ValueError(
                "expected a path of names with dots between, such as actor.id "
                f"(a name that holds a dot stands in backticks: `a.b`), got {path!r}"
            )
        text = found[0]
        names.append(text[1:-1].replace("``", "`") if text[0] == "`" else text)
        at = found.end()
        if at == len(path):
            return tuple(names)
        if path[at] != ".":
            raise ValueError(f"expected '.' between the names of a path, got {path!r}")
        at += 1


def join_path(names: Iterable[str]) -> str:
    """Return the path of some names; the inverse of `split_path`."""
    return ".".join(
        f"`{n.replace('`', '``')}`" if re.search(r"[.`]|^\s|\s$", n) else n for n in names
    )
