"""Expressions of metrics: one value of one row, in DuckDB's SQL, and nothing that reaches beyond the row.

They are read by DuckDB's own parser, which only parses (`json_serialize_sql`), so that no second reader can take
a text for something else; what is in the tree is allowed by name. A text that passes stands between
parentheses in a view as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.nearest import nearest
from tidegate.quoting import literal

if TYPE_CHECKING:
    import duckdb

# fmt: off
FUNCTIONS = frozenset(
    [
        # What operators are called, then functions proper. All of them give for a row always the same.
        "+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*", "->>", "->", "@",
        "list_value", "date_part", "trunc", "to_years", "to_months", "to_weeks", "to_days",
        "to_hours", "to_minutes", "to_seconds", "to_milliseconds", "to_microseconds",
        "lower", "upper", "trim", "ltrim", "rtrim", "length", "contains", "starts_with",
        "ends_with", "prefix", "suffix", "substring", "substr", "left", "right", "replace",
        "split_part", "concat", "regexp_matches", "regexp_full_match", "regexp_extract",
        "json_extract", "json_extract_string", "abs", "round", "floor", "ceil", "ceiling", "sign",
        "sqrt", "ln", "log10", "exp", "power", "pow", "greatest", "least", "ifnull", "nullif", "nullif", "isnan",
        "isfinite", "epoch", "epoch_ms", "date_diff", "datediff", "array_length", "len",
        "list_contains", "array_contains", "map_contains", "element_at", "cardinality",
    ]
)
"""Functions that expressions may use."""
_OPERATORS = frozenset(
    [
        "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE",
        "OPERATOR_NULLIF", "COMPARE_IN", "COMPARE_NOT_IN", "ARRAY_EXTRACT",
    ]
)
_TYPES = frozenset(
    [
        "BOOLEAN", "VARCHAR", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME", "INTERVAL", "TINYINT",
        "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
        "UHUGEINT", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
    ]
)
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
def read_expression(text: str) -> Expression:
    """Return an expression that may be used.

    Raises:
        ExpressionError: it is no single expression, or reaches beyond the row; every reason at once.
    """
    if not text.strip():
        raise ExpressionError(["the SQL expression is empty"])
    tree = _only(_parsed(f"SELECT {text}\n"), text)
    # As it will stand in the view. The two differ where the text depends on what stands around it.
    if _bare(tree) != _bare(_only(_parsed(f"SELECT (\n{text}\n)"), text)):
        raise ExpressionError([f"expected one SQL expression, got {text!r}"])
    faults = list(dict.fromkeys(_faults(tree)))
    if faults:
        raise ExpressionError(faults)
    columns = tuple(
        dict.fromkeys(n["column_names"][0] for n in _nodes(tree) if n["class"] == "COLUMN_REF")
    )
    arithmetic = all(
        n["class"] in ("COLUMN_REF", "CONSTANT") or n.get("function_name") in _EXACT
        for n in _nodes(tree)
    )
    return Expression(text, columns, arithmetic)


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": False, "threads": 1})


def _parsed(query: str) -> dict[str, Any]:
    # A cursor of its own: threads share the parser.
    with _parser().cursor() as cursor:
        # As a literal: with the first parameter, DuckDB's client loads pandas.
        row = cursor.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()
    assert row is not None
    found: dict[str, Any] = json.loads(row[0])
    return found


def _only(found: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the one expression that a query selects, if it does nothing else.

    Raises:
        ExpressionError: it does more, or is none.
    """
    if found["error"]:
        raise ExpressionError([f"not an SQL expression: {found['error_message']}, in {text!r}"])
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


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield an expression and all expressions in it."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _faults(tree: dict[str, Any]) -> Iterator[str]:
    for node in _nodes(tree):
        kind = node["class"]
        if kind == "FUNCTION":
            yield from _function_faults(node)
        elif kind == "COLUMN_REF":
            if len(node["column_names"]) > 1:
                yield f"expected a column of the table, got {'.'.join(node['column_names'])!r}"
        elif kind == "CAST":
            if node["cast_type"]["id"] not in _TYPES:
                yield f"a cast to {node['cast_type']['id']} is not allowed"
        elif kind == "OPERATOR":
            if node["type"] not in _OPERATORS:
                yield f"{node['type'].lower()} is not allowed"
        elif kind not in _INNER and kind != "CONSTANT":
            yield _WORDS.get(kind, f"{kind.lower()} is not allowed")


def _function_faults(node: dict[str, Any]) -> Iterator[str]:
    name = node["function_name"]
    if name not in FUNCTIONS or node["catalog"] or node["schema"] not in ("", "main"):
        near = nearest(name, FUNCTIONS)
        meant = f"; did you mean '{near}'?" if near else ""
        yield f"{name}() is not allowed: an expression sees one row{meant}"
    elif node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        yield f"{name}() takes neither FILTER, DISTINCT nor ORDER BY"
