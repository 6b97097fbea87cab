"""Configuration: what of a source file, and of the code, decides the rows of a table.

The tables are a function of the dumps and the configuration. So every publication records the
fingerprint of its own, and what a fingerprint stands for is written down beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.tables import Table, events, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source

_SESSIONS = ("gap", "max")
"""What of a source file's `sessions` sessions are made by; its `id` is read while landing."""


def definition(source: Source, table: Table) -> dict[str, Any]:
    """Return what of a source file decides a table's rows, given the tables that it is built from.

    It is JSON in the words of the source file; empty for tables that follow from others alone.
    """
    whole = source.definition()
    made_by = {name: whole["sessions"].pop(name) for name in _SESSIONS}
    if table is events.TABLE:
        return whole
    return {"sessions": made_by} if table is sessions.TABLE else {}


def fingerprint(source: Source, table: Table) -> str:
    """Return 16 hex digits of what decides a table's rows: the source file's part, and the code.

    Raises:
        ValueError: the source hashes personal data, and it is not known by which key: `Work.keyed` tells it.
    """
    if table is events.TABLE and source.hashes and source.pii_key is None:
        raise ValueError(f"{source.source} hashes personal data by a key that is not known")
    said = {"source": source.source, "code": table.version, **definition(source, table)}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return which parts of a definition differ, as `columns.price`."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += [
                f"{key}.{inner}"
                for inner in sorted({*before, *after})
                if before.get(inner) != after.get(inner)
            ]
        elif before != after:
            found.append(key)
    return found
