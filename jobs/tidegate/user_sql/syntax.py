"""Syntax: what DuckDB's parser makes of a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.quoting import literal
from tidegate.user_sql.functions import SPARK_ONLY

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
# fmt: off
TYPES = frozenset(
    [
        "BOOLEAN", "VARCHAR", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME", "INTERVAL", "TINYINT",
        "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
        "UHUGEINT", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
    ]
)
"""Types that a value may be cast to."""
# fmt: on
_SPARK_WORDS = {
    "RLIKE": SPARK_ONLY["rlike"],
    "REGEXP": SPARK_ONLY["regexp"],
    "LATERAL VIEW": "FROM t, unnest(t.x) AS u(e)",
    "LEFT ANTI JOIN": "ANTI JOIN",
    "LEFT SEMI JOIN": "SEMI JOIN",
    "DISTRIBUTE BY": "nothing",
    "<=>": "IS NOT DISTINCT FROM",
}
"""Syntax of Spark that is none of DuckDB's: what to write instead."""


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": False, "threads": 1})


def parse(query: str) -> dict[str, Any]:
    """Return what DuckDB's parser makes of a query: its `statements`, or an `error` with its message."""
    # A cursor of its own: threads share the parser.
    with _parser().cursor() as cursor:
        # As a literal: with the first parameter, DuckDB's client loads pandas.
        row = cursor.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()
    assert row is not None
    tree: dict[str, Any] = json.loads(row[0])
    return tree


def nodes(tree: Any) -> Iterator[Node]:
    """Yield an expression and all expressions in it."""
    for node in parts(tree):
        if "class" in node:
            yield node


def parts(tree: Any) -> Iterator[Node]:
    """Yield every part of a tree that is a mapping."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from parts(value)


def spark_hint(text: str) -> str:
    """Return what replaces syntax of Spark in a text that DuckDB could not parse; empty where there is none."""
    plain = re.sub(r"'(?:[^']|'')*'", "''", text)
    hints = [
        f"; {word} is Spark's: write {instead}"
        for word, instead in _SPARK_WORDS.items()
        if re.search(_words(word), plain, re.IGNORECASE)
    ]
    if "`" in plain:
        hints.append("; backticks are Spark's: write names in double quotes")
    return "".join(hints)


def _words(text: str) -> str:
    pattern = r"\s+".join(map(re.escape, text.split()))
    return rf"\b{pattern}\b" if text[0].isalpha() else pattern
