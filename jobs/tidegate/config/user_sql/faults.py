"""Faults: what is in the tree of a text that its kind may not use."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from tidegate.common.suggestions import nearest
from tidegate.config.user_sql.functions import (
    AGGREGATES,
    CLOCK_FUNCTIONS,
    CLOCK_NAMES,
    CLOCK_WITHOUT_ARGUMENTS,
    SETTING_NAMES,
    TABLE_FUNCTIONS,
    WINDOWS,
)
from tidegate.config.user_sql.kinds import Kind
from tidegate.config.user_sql.replacements import BACKTICKS, REMARKS, REPLACEMENTS, SYNTAX
from tidegate.config.user_sql.syntax import Node, expression_tree, parts

# fmt: off
_CLASSES = frozenset(["BETWEEN", "CASE", "COMPARISON", "CONJUNCTION", "CONSTANT", "LAMBDA"])
_QUERY_CLASSES = _CLASSES | {"AGGREGATE", "STAR", "SUBQUERY"}
_OPERATORS = frozenset(
    [
        "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE",
        "OPERATOR_NULLIF", "OPERATOR_TRY", "COMPARE_IN", "COMPARE_NOT_IN", "ARRAY_EXTRACT",
    ]
)
_QUERY_OPERATORS = _OPERATORS | {"ARRAY_CONSTRUCTOR", "ARRAY_SLICE"}
_TYPES = frozenset(
    [
        "BOOLEAN", "VARCHAR", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME", "INTERVAL", "TINYINT",
        "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
        "UHUGEINT", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "JSON", "LIST", "ARRAY",
    ]
)
_QUERY_TYPES = _TYPES | {"UUID", "BLOB", "MAP", "STRUCT"}
_PARTS = frozenset(
    [
        "SELECT_NODE", "SET_OPERATION_NODE", "BASE_TABLE", "JOIN", "SUBQUERY", "EMPTY",
        "EXPRESSION_LIST", "TABLE_FUNCTION",
        "ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER", "LIMIT_PERCENT_MODIFIER",
    ]
)
"""Parts of a query that are allowed: queries, what they read, and what orders and cuts their rows."""
# fmt: on
_WORDS = {
    "SUBQUERY": "a subquery is not allowed",
    "WINDOW": "a window function is not allowed",
    "STAR": "'*' is not allowed: name the column",
    "PARAMETER": "a parameter is not allowed",
    "COLLATE": "a collation is not allowed",
}


def tree_faults(tree: Any, kind: Kind) -> list[str]:
    """Return what a text does that its kind may not do, each fault once.

    Args:
        tree: of an expression, or the statements of a query.
        kind: what the text may use.
    """
    return list(dict.fromkeys(_faults(tree, kind)))


def _faults(tree: Any, kind: Kind) -> Iterator[str]:
    sources = [part["function"] for part in parts(tree) if part.get("type") == "TABLE_FUNCTION"]
    for part in parts(tree):
        if any(part is source for source in sources):
            continue  # checked with what stands after FROM
        if "class" in part:
            yield from _expression_faults(part, kind)
        elif (
            kind.is_query
            and not str(part.get("type", "")).endswith("_TYPE_INFO")
            and ("modifiers" in part or "alias" in part or "sample" in part)
        ):
            yield from _part_faults(part)


def _expression_faults(node: Node, kind: Kind) -> Iterator[str]:
    of = node["class"]
    if of == "FUNCTION":
        yield from _function_faults(node, kind)
    elif of == "WINDOW" and kind.is_query:
        name = node["function_name"].lower()
        if name not in WINDOWS | AGGREGATES:
            yield _refusal(name, kind, WINDOWS | AGGREGATES)
    elif of == "COLUMN_REF":
        yield from _column_faults(node["column_names"], kind)
    elif of == "CAST":
        yield from _type_faults(node["cast_type"], _QUERY_TYPES if kind.is_query else _TYPES)
    elif of == "OPERATOR":
        allowed = _QUERY_OPERATORS if kind.is_query else _OPERATORS
        is_member = kind.has_members and node["type"] == "STRUCT_EXTRACT"
        if node["type"] not in allowed and not is_member:
            yield f"{node['type'].lower()} is not allowed"
    elif of not in (_QUERY_CLASSES if kind.is_query else _CLASSES):
        yield _WORDS.get(of, f"{of.lower()} is not allowed")


def _function_faults(node: Node, kind: Kind) -> Iterator[str]:
    name = node["function_name"].lower()
    if name in CLOCK_WITHOUT_ARGUMENTS and not node["children"]:
        yield _clock_fault(f"{name}()")
    elif name not in kind.functions or _is_qualified(node):
        yield _refusal(name, kind, kind.functions)
    elif not kind.is_query and (node["filter"] or node["distinct"] or node["order_bys"]["orders"]):
        yield f"{name}() takes neither FILTER, DISTINCT nor ORDER BY"
    elif name == "to_timestamp" and len(node["children"]) != 1:
        yield "to_timestamp() takes seconds since 1970; write strptime(text, '%Y-%m-%d %H:%M:%S')"


def _is_qualified(function: Node) -> bool:
    return bool(function["catalog"]) or function["schema"] not in ("", "main")


def _refusal(name: str, kind: Kind, allowed: Collection[str]) -> str:
    """Return why a function is not allowed, and what to write instead where that is known."""
    if name in CLOCK_FUNCTIONS:
        return _clock_fault(f"{name}()")
    if name in SYNTAX:
        return f"{name} is Spark's: write {SYNTAX[name]}"
    if "`" in name:
        return f"` is not allowed: {BACKTICKS}"
    if replacement := _replacement(name, kind):
        return f"{name}() is a function of Spark: in DuckDB's SQL, write {replacement}"
    near = nearest(name, sorted(allowed)) if name not in REPLACEMENTS else None
    return f"{name}() is not allowed: {kind.reason}" + (f"; did you mean '{near}'?" if near else "")


@lru_cache(maxsize=256)
def _replacement(name: str, kind: Kind) -> str:
    """Return what SQL of a kind may use instead of a function of Spark; empty where that is nothing."""
    usable = [
        text + REMARKS.get(text, "")
        for text in REPLACEMENTS.get(name, ())
        if not tree_faults(expression_tree(text), kind)
    ]
    return " or ".join(usable)


def _clock_fault(name: str) -> str:
    return f"{name} is not allowed: the answer would depend on the clock"


def _column_faults(names: list[str], kind: Kind) -> Iterator[str]:
    name = names[0].lower()
    if not kind.has_members:
        # Every name is one of a column. Names of the clock are refused where a table has no such column.
        if len(names) > 1:
            yield f"expected a column of the table, got {'.'.join(names)!r}"
    elif len(names) > 1:
        return
    elif name in CLOCK_NAMES:
        yield _clock_fault(name)
    elif name in SETTING_NAMES:
        yield f"{name} is not allowed: {kind.reason}"


def _type_faults(cast_type: Node, allowed: Collection[str]) -> Iterator[str]:
    """Yield why a value may not be cast to a type."""
    for part in parts(cast_type):
        if "id" not in part:
            continue
        info = part["type_info"] or {}
        name = info.get("name", "") if part["id"] == "UNBOUND" else part["id"]
        if name.upper() not in allowed or info.get("schema") or info.get("catalog"):
            yield f"a cast to {name} is not allowed"


def _part_faults(part: Node) -> Iterator[str]:
    name = part["type"]
    if name not in _PARTS:
        yield f"{str(name).lower().replace('_', ' ')} is not allowed in a query of a suite"
    if part.get("sample"):
        yield "a sample is not allowed: each run would read other rows"
    if name == "BASE_TABLE" and part.get("at_clause"):
        yield "AT is not allowed: versions are chosen by the run"
    if name == "TABLE_FUNCTION":
        function = part["function"]
        called = function.get("function_name", "what is called")
        if called not in TABLE_FUNCTIONS or _is_qualified(function):
            yield f"{called}() is not allowed after FROM: read {{batch}} and published tables by their names"
