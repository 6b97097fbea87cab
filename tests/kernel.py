"""Run the landing kernel on files of a test's own, and return rows that can be compared."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tidegate.config.source import Source, parse_source
from tidegate.landing.kernel import InputFile, Rules, parse_file, staged_schema
from tidegate.privacy.erased import Erased
from tidegate.privacy.key import PiiKey

Row = dict[str, Any]

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""The dump hour of most tests."""
HOUR = timedelta(hours=1)

LINES: Mapping[str, Any] = {
    "source": "web",
    "since": "2024-01-01T00",
    "dumps": "dumps/{dump_hour:%Y-%m-%d-%H}*.json*",
    "fields": {
        "event_id": "id",
        "event_time": "at",
        "event_type": "type",
        "user_id": "user",
        "anonymous_id": "anon",
    },
    "columns": {"n": {"path": "n", "type": "int"}},
}
"""What most tests' source file has."""


def source_of(**keys: Any) -> Source:
    """Return a source; keys replace those of `LINES`."""
    return parse_source({**LINES, **keys}, Path("web.yml"))


def body_of(lines: bytes | str | Iterable[bytes | str]) -> bytes:
    """Return the bytes of a file: as given, or of its lines."""
    if isinstance(lines, str):
        return lines.encode()
    if isinstance(lines, bytes):
        return lines
    return b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in lines)


def batches(
    source: Source,
    body: bytes,
    name: str = "2024-03-01-12.json",
    *,
    hour: datetime = NOON,
    key: PiiKey | None = None,
    erased: Erased | None = None,
) -> list[pa.RecordBatch]:
    """Return what the kernel makes of a file's bytes."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    rules = Rules(source, key, erased)
    found = list(parse_file(io.BytesIO(body), InputFile(hour, name), rules, connection))
    for batch in found:
        assert batch.schema.equals(staged_schema(source))
        batch.validate(full=True)
    return found


def rows_of(
    source: Source,
    lines: bytes | str | Iterable[bytes | str],
    name: str = "2024-03-01-12.json",
    **keys: Any,
) -> list[Row]:
    """Return the rows of a file in the order of its lines, in an exact form.

    Times are text with all their microseconds, decimals are text, bytes are hex.
    """
    body = body_of(lines)
    packed = gzip.compress(body, mtime=0) if name.endswith(".gz") else body
    rows = [
        {column: exact(value) for column, value in row.items()}
        for batch in batches(source, packed, name, **keys)
        for row in batch.to_pylist()
    ]
    return sorted(rows, key=lambda row: row["line"])


def exact(value: Any) -> Any:
    """Return a value in a form that can be compared without loss."""
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        return text.rstrip("0") if "." in text else text
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value)
