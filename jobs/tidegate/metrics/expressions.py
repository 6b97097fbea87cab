"""Expressions of metrics: one value of one row, in DuckDB's SQL, and nothing that reaches beyond the row.

`scalar_sql` reads them. A text that passes stands between parentheses in a view as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tidegate.scalar_sql import (
    ExpressionError,
    Rules,
    expression_tree,
    tree_faults,
    tree_nodes,
)

__all__ = ["Expression", "ExpressionError", "read_expression"]

_RULES = Rules("an expression sees one row")
_EXACT = frozenset(["+", "-", "*"])


@dataclass(frozen=True)
class Expression:
    """An expression that may be used: its text, the columns it names, and whether it only adds and multiplies."""

    text: str
    columns: tuple[str, ...]
    is_arithmetic: bool

    @property
    def sql(self) -> str:
        """The expression as a part of a query; the line feed ends a comment."""
        return f"(\n{self.text}\n)"


@lru_cache(maxsize=1024)
def read_expression(text: str) -> Expression:
    """Return an expression that may be used.

    Raises:
        ExpressionError: it is no single expression, or reaches beyond the row; every reason at once.
    """
    tree = expression_tree(text)
    faults = tree_faults(tree, _RULES)
    if faults:
        raise ExpressionError(faults)
    nodes = list(tree_nodes(tree))
    columns = tuple(
        dict.fromkeys(n["column_names"][0] for n in nodes if n["class"] == "COLUMN_REF")
    )
    arithmetic = all(
        n["class"] in ("COLUMN_REF", "CONSTANT") or n.get("function_name") in _EXACT for n in nodes
    )
    return Expression(text, columns, arithmetic)
