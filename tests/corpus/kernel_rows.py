"""What the landing kernel makes of the corpus, in the form of the fixtures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from corpus.model import DUMP_HOUR, Group
from tidegate.config.source import parse_source
from tidegate.landing.kernel import InputFile, Rules, UnreadableError, parse_file
from tidegate.privacy.erased import Erased, hashed_id
from tidegate.privacy.key import PiiKey

Place = tuple[str, int]
"""A file's name and the number of a line."""
Row = Mapping[str, Any]


def rows_of(group: Group) -> tuple[dict[Place, Row], dict[str, str]]:
    """Return the rows of a group's records by their place, and why files could not be read, by name."""
    source = parse_source(dict(group.source), Path("corpus.yml"))
    key = PiiKey(group.pii_key) if group.pii_key is not None else None
    erased = None
    if group.erased:
        assert key is not None
        erased = Erased(key, tuple(hashed_id(key, person) for person in group.erased), 1)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    rows: dict[Place, Row] = {}
    unread: dict[str, str] = {}
    for name, data in sorted(group.files.items()):
        file = InputFile(DUMP_HOUR, name)
        some: dict[Place, Row] = {}
        try:
            for batch in parse_file(io.BytesIO(data), file, Rules(source, key, erased), connection):
                for row in batch.to_pylist():
                    place = (name, row["line"])
                    assert place not in some, f"a record came out twice: {place}"
                    some[place] = {column: exact(value) for column, value in row.items()}
            rows |= some
        except UnreadableError as error:
            unread[name] = error.reason
    return rows, unread


def exact(value: Any) -> Any:
    """Return a value as the fixtures have it."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return repr(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
