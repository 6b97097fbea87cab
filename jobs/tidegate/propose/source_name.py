"""What a proposed source, and a column of it, may be called. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tidegate.propose.words import words

_GENERIC = frozenset(
    words(
        """data dumps dump events event raw logs log samples sample input inbox landing bucket tmp home
    work s3 s3a archive archives hourly json csv parquet run part year month day hour dt date"""
    )
)


def guess_source(template: str, folder: Path) -> str:
    """Return a name for a source, from where its dumps are: the nearest folder that says something."""
    head = template.partition("{")[0]
    if "://" not in head:
        head = (folder.resolve() / head).as_posix()
    parts = re.split(r"[/:=]", head)
    names = [_as_name(part) for part in reversed(parts)]
    return next((name for name in names if name and name not in _GENERIC), "events")


def _as_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")
    return re.sub(r"^[0-9_]+", "", name)[:40].rstrip("_")


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: itself, or with the first number that makes it so."""
    known = set(taken)
    number = 1
    found = name
    while found in known:
        number += 1
        found = f"{name}_{number}"
    return found
