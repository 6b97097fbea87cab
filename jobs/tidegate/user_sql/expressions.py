"""Expressions: one value of one row, in DuckDB's SQL, and nothing that reaches beyond the row.

DuckDB's own parser reads them and what is in the tree is allowed by name. A text that passes stands between
parentheses in a query as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tidegate.user_sql.functions import FUNCTIONS, function_fault
from tidegate.user_sql.syntax import TYPES, nodes, parse, spark_hint

# fmt: off
OPERATORS = frozenset(
    [
        "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE",
        "OPERATOR_NULLIF", "COMPARE_IN", "COMPARE_NOT_IN", "ARRAY_EXTRACT",
    ]
)
"""Operators that an expression may use."""
# fmt: on
_INNER = frozenset(["COMPARISON", "CONJUNCTION", "BETWEEN", "CASE"])
_WORDS = {
    "SUBQUERY": "a subquery is not allowed",
    "WINDOW": "a window function is not allowed",
    "STAR": "'*' is not allowed: name the column",
    "PARAMETER": "a parameter is not allowed",
    "LAMBDA": "a lambda is not allowed",
    "COLLATE": "a collation is not allowed",
}
_EXACT = frozenset(["+", "-", "*"])


class ExpressionError(ValueError):
    """An expression can't be used; `faults` holds every reason, one line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


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
def read_expression(text: str, functions: frozenset[str] = FUNCTIONS) -> Expression:
    """Return an expression that may be used.

    Args:
        text: the expression.
        functions: those that it may call.

    Raises:
        ExpressionError: it is no single expression, or reaches beyond the row; every reason at once.
    """
    if not text.strip():
        raise ExpressionError(["the SQL expression is empty"])
    tree = _only(parse(f"SELECT {text}\n"), text)
    # As it will stand in the view. The two differ where the text depends on what stands around it.
    if _bare(tree) != _bare(_only(parse(f"SELECT (\n{text}\n)"), text)):
        raise ExpressionError([f"expected one SQL expression, got {text!r}"])
    faults = list(dict.fromkeys(_faults(tree, functions)))
    if faults:
        raise ExpressionError(faults)
    columns = tuple(
        dict.fromkeys(n["column_names"][0] for n in nodes(tree) if n["class"] == "COLUMN_REF")
    )
    arithmetic = all(
        n["class"] in ("COLUMN_REF", "CONSTANT") or n.get("function_name") in _EXACT
        for n in nodes(tree)
    )
    return Expression(text, columns, arithmetic)


def _only(found: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the one expression that a query selects, if it does nothing else.

    Raises:
        ExpressionError: it does more, or is none.
    """
    if found["error"]:
        raise ExpressionError(
            [f"not an SQL expression: {found['error_message']}, in {text!r}{spark_hint(text)}"]
        )
    nodes = [each["node"] for each in found["statements"]]
    select = nodes[0]
    if (
        len(nodes) != 1
        or select["type"] != "SELECT_NODE"
        or select["from_table"]["type"] != "EMPTY"
        or len(select["select_list"]) != 1
        or any(
            select.get(key)
            for key in (
                "modifiers",
                "where_clause",
                "group_expressions",
                "group_sets",
                "having",
                "sample",
                "qualify",
            )
        )
        or select["cte_map"]["map"]
        or select["select_list"][0]["alias"]
    ):
        raise ExpressionError([f"expected one SQL expression, got {text!r}"])
    only: dict[str, Any] = select["select_list"][0]
    return only


def _bare(node: Any) -> Any:
    """Return a tree without the places of its parts in the text."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "query_location"}
    return [_bare(each) for each in node] if isinstance(node, list) else node


def _faults(tree: dict[str, Any], functions: frozenset[str]) -> Iterator[str]:
    for node in nodes(tree):
        kind = node["class"]
        if kind == "FUNCTION":
            yield from _function_faults(node, functions)
        elif kind == "COLUMN_REF":
            if len(node["column_names"]) > 1:
                yield f"expected a column of the table, got {'.'.join(node['column_names'])!r}"
        elif kind == "CAST":
            if node["cast_type"]["id"] not in TYPES:
                yield f"a cast to {node['cast_type']['id']} is not allowed"
        elif kind == "OPERATOR":
            if node["type"] not in OPERATORS:
                yield f"{node['type'].lower()} is not allowed"
        elif kind not in _INNER and kind != "CONSTANT":
            yield _WORDS.get(kind, f"{kind.lower()} is not allowed")


def _function_faults(node: dict[str, Any], functions: frozenset[str]) -> Iterator[str]:
    name = node["function_name"]
    if name not in functions or node["catalog"] or node["schema"] not in ("", "main"):
        yield function_fault(name, functions, "an expression sees one row")
    elif node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        yield f"{name}() takes neither FILTER, DISTINCT nor ORDER BY"
