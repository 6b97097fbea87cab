"""Expressions: one value of one row, in DuckDB's SQL, and nothing that reaches beyond the row.

A text that passes stands between parentheses in a query as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from tidegate.config.user_sql.columns import column_paths
from tidegate.config.user_sql.faults import tree_faults
from tidegate.config.user_sql.kinds import METRIC, Kind
from tidegate.config.user_sql.syntax import ExpressionError, Node, expression_tree, nodes

_EXACT = frozenset(["+", "-", "*"])


@dataclass(frozen=True)
class Expression:
    """An expression that may be used.

    Attributes:
        text: as it was written.
        paths: the columns that it names, with the members of them that it reads.
        is_arithmetic: whether it only adds, subtracts and multiplies.
        tree: what DuckDB's parser makes of it. It must not be changed.
    """

    text: str
    paths: tuple[tuple[str, ...], ...]
    is_arithmetic: bool
    tree: Node = field(repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, each once."""
        return tuple(dict.fromkeys(path[0] for path in self.paths))

    @property
    def sql(self) -> str:
        """The expression as a part of a query; the line feed ends a comment."""
        return f"(\n{self.text}\n)"


@lru_cache(maxsize=1024)
def read_expression(text: str, kind: Kind = METRIC) -> Expression:
    """Return an expression that may be used.

    Args:
        text: the expression.
        kind: what it may use.

    Raises:
        ExpressionError: it is no single expression, or reaches beyond the row; every reason at once.
    """
    tree = expression_tree(text)
    if faults := tree_faults(tree, kind):
        raise ExpressionError(faults)
    is_arithmetic = all(
        node["class"] in ("COLUMN_REF", "CONSTANT") or node.get("function_name") in _EXACT
        for node in nodes(tree)
    )
    return Expression(text, tuple(dict.fromkeys(column_paths(tree))), is_arithmetic, tree)
