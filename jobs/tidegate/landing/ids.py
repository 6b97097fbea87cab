"""Ids of events whose source brings none: a hash of the source, the hour, the file and the line."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pyarrow as pa

from tidegate.landing.body import json_text

_LINES = "tidegate_lines"
ID_DIGITS = 32
"""Hex digits of an id: 128 bits."""


def computed_ids(
    source: str,
    hour: datetime,
    file: str,
    lines: pa.Array,
    connection: duckdb.DuckDBPyConnection,
) -> pa.Array:
    """Return the ids of lines: the first digits of the SHA-256 of a JSON array of texts.

    Args:
        source: name of the source.
        hour: the dump hour.
        file: name of the file, relative to the root of the dumps.
        lines: numbers of the lines, int64.
        connection: that hashes them.
    """
    head = f'[{json_text(source)},{json_text(f"{hour:%Y-%m-%d %H}")},{json_text(file)},"'
    connection.register(_LINES, pa.table({"line": lines}))
    try:
        out = connection.execute(
            f"SELECT left(sha256(concat(?, line, '\"]')), {ID_DIGITS}) AS id FROM {_LINES}", [head]
        ).to_arrow_table()
    finally:
        connection.unregister(_LINES)
    return pa.concat_arrays(out.column("id").chunks) if len(lines) else pa.nulls(0, pa.string())
