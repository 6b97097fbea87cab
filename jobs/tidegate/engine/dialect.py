"""SQL is written once, in DuckDB's dialect; this is how Spark gets it."""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp

from tidegate.engine.functions import ON_SPARK


@lru_cache(maxsize=256)
def to_spark(query: str) -> str:
    """Return a query of DuckDB's dialect as Spark SQL.

    Args:
        query: one query, complete.

    Raises:
        ValueError: it has a function that neither sqlglot nor `functions.ON_SPARK` knows.
    """
    tree = sqlglot.parse_one(query, read="duckdb")
    for function in list(tree.find_all(exp.Anonymous)):
        name = str(function.this).lower()
        if name not in ON_SPARK:
            raise ValueError(f"no function on Spark is known for {name}()")
        function.set("this", ON_SPARK[name])
    return tree.sql(dialect="spark")
