"""SQL is written once, in DuckDB's dialect; this is how Spark gets it."""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp

from tidegate.lake.functions import ON_SPARK


@lru_cache(maxsize=256)
def to_spark(query: str) -> str:
    """Return a query of DuckDB's dialect as Spark SQL.

    Args:
        query: one query, complete.

    Raises:
        ValueError: it has a function that neither sqlglot nor `functions.ON_SPARK` knows.
    """
    tree = sqlglot.parse_one(query, read="duckdb")
    return tree.transform(_translated).sql(dialect="spark")


def _translated(node: exp.Expr) -> exp.Expr:
    """Return what stands on Spark for a function that sqlglot does not translate; other nodes as they are."""
    if not isinstance(node, exp.Anonymous):
        return node
    name = str(node.this).lower()
    if name not in ON_SPARK:
        raise ValueError(f"no function on Spark is known for {name}()")
    places = {f"argument_{at}": argument for at, argument in enumerate(node.expressions)}
    text = ON_SPARK[name].format(*places)
    # What it becomes is not translated again, its arguments are: they are put in afterwards.
    made: exp.Expr = sqlglot.parse_one(text, read="spark")
    arguments = {at: argument.transform(_translated) for at, argument in places.items()}
    whole: exp.Expr = made.transform(
        lambda inner: (
            arguments[inner.name]
            if isinstance(inner, exp.Column) and inner.name in arguments
            else inner
        )
    )
    return whole
