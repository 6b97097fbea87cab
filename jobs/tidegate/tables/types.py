"""Types of columns: as tables name them (Spark SQL), and as DuckDB names the same."""

from __future__ import annotations

import re
from functools import lru_cache

from tidegate.common.sql_quoting import quoted

_SIMPLE = {
    "string": "VARCHAR",
    "bigint": "BIGINT",
    "int": "INTEGER",
    "smallint": "SMALLINT",
    "tinyint": "TINYINT",
    "double": "DOUBLE",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "binary": "BLOB",
}
_DECIMAL = re.compile(r"decimal\(\d{1,2},\d{1,2}\)")


@lru_cache(maxsize=1024)
def duckdb_type(kind: str) -> str:
    """Return DuckDB's name of a type.

    Args:
        kind: as a table names it, such as `array<struct<name:string,size:bigint>>`.

    Raises:
        ValueError: no table has such a type.
    """
    kind = kind.strip()
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if _DECIMAL.fullmatch(kind):
        return kind.upper()
    outer, mark, inner = kind.partition("<")
    if not mark or not inner.endswith(">"):
        raise ValueError(f"unknown type {kind!r}")
    parts = _split(inner[:-1])
    if outer == "array" and len(parts) == 1:
        return f"{duckdb_type(parts[0])}[]"
    if outer == "map" and len(parts) == 2:
        return f"MAP({duckdb_type(parts[0])}, {duckdb_type(parts[1])})"
    if outer == "struct":
        fields = [part.partition(":") for part in parts]
        return f"STRUCT({', '.join(f'{quoted(name.strip())} {duckdb_type(of)}' for name, _, of in fields)})"
    raise ValueError(f"unknown type {kind!r}")


def _split(text: str) -> list[str]:
    """Return the parts of a list at its outermost commas."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "<(") - (char in ">)")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
