"""Queries: one SELECT over tables that are offered by name, in DuckDB's SQL, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tidegate.user_sql.expressions import OPERATORS, ExpressionError
from tidegate.user_sql.functions import (
    AGGREGATES,
    BARE_CLOCK,
    ROW_FUNCTIONS,
    SOURCES,
    WINDOWS,
    clock_fault,
    function_fault,
)
from tidegate.user_sql.syntax import TYPES, Node, parse, parts, spark_hint

BATCH = "__batch__"
"""The name that `{batch}` has in the text that DuckDB reads."""
_CLASSES = frozenset(
    [
        "AGGREGATE", "BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
        "LAMBDA", "OPERATOR", "STAR", "SUBQUERY", "WINDOW",
    ]
)  # fmt: skip
_PARTS = frozenset(
    [
        "SELECT_NODE", "SET_OPERATION_NODE", "BASE_TABLE", "JOIN", "SUBQUERY", "EMPTY",
        "EXPRESSION_LIST", "TABLE_FUNCTION",
        "ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER", "LIMIT_PERCENT_MODIFIER",
    ]
)  # fmt: skip
"""Parts of a query that are allowed: queries, what they read, and what orders and cuts their rows."""
_OPERATORS = OPERATORS | {"ARRAY_CONSTRUCTOR", "ARRAY_SLICE", "STRUCT_EXTRACT", "OPERATOR_TRY"}
_FUNCTIONS = ROW_FUNCTIONS | AGGREGATES
_WHY = "a query of a suite calls functions of a list"
_TYPES = TYPES | {"UUID", "BLOB"}
_NESTED = frozenset(["LIST", "MAP", "STRUCT", "ARRAY"])


@dataclass(frozen=True)
class Query:
    """A query that may be run.

    Attributes:
        text: its text, in which `{batch}` is the table `BATCH`.
        tables: the tables that it reads, but for that one.
    """

    text: str
    tables: frozenset[str]


@lru_cache(maxsize=256)
def read_query(text: str) -> Query:
    """Return a query that may be run.

    Args:
        text: the query; `{batch}` stands for the candidate's rows, `{{` and `}}` for braces.

    Raises:
        ExpressionError: it is no single query, or does what is not allowed; every reason at once.
    """
    plain = text.replace("{batch}", BATCH).replace("{{", "{").replace("}}", "}")
    plain = plain.rstrip("; \t\r\n\v\f")
    tree = parse(plain)
    if tree["error"]:
        message = str(tree["error_message"])
        if message.startswith("Only SELECT"):
            raise ExpressionError(["expected a query: SELECT …"])
        raise ExpressionError([f"not an SQL query: {message}{spark_hint(plain)}"])
    if len(tree["statements"]) != 1:
        raise ExpressionError(["expected one query: SELECT …"])
    faults = list(dict.fromkeys(_faults(tree["statements"])))
    if faults:
        raise ExpressionError(faults)
    own = {entry["key"] for part in parts(tree) for entry in _common_tables(part)}
    read = {
        ".".join(filter(None, (part["catalog_name"], part["schema_name"], part["table_name"])))
        for part in parts(tree)
        if part.get("type") == "BASE_TABLE"
    }
    return Query(plain, frozenset(read - own - {BATCH}))


def _common_tables(part: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (part.get("cte_map") or {}).get("map") or []
    return found


def _faults(tree: Any) -> Iterator[str]:
    sources = [part["function"] for part in parts(tree) if part.get("type") == "TABLE_FUNCTION"]
    for part in parts(tree):
        if any(part is source for source in sources):
            continue  # checked with what stands after FROM
        if "class" in part:
            yield from _expression_faults(part)
        elif not str(part.get("type", "")).endswith("_TYPE_INFO") and (
            "modifiers" in part or "alias" in part or "sample" in part
        ):
            yield from _part_faults(part)


def _part_faults(part: Node) -> Iterator[str]:
    kind = part["type"]
    if kind not in _PARTS:
        yield f"{str(kind).lower().replace('_', ' ')} is not allowed in a query of a suite"
    if part.get("sample"):
        yield "a sample is not allowed: each run would read other rows"
    if kind == "BASE_TABLE" and part.get("at_clause"):
        yield "AT is not allowed: versions are chosen by the run"
    if kind == "TABLE_FUNCTION":
        function = part["function"]
        name = function.get("function_name", "what is called")
        if name not in SOURCES or function["catalog"] or function["schema"] not in ("", "main"):
            yield f"{name}() is not allowed after FROM: read {{batch}} and published tables by their names"


def _expression_faults(node: Node) -> Iterator[str]:
    kind = node["class"]
    if kind not in _CLASSES:
        yield f"{kind.lower().replace('_', ' ')} is not allowed in a query of a suite"
    elif kind == "FUNCTION":
        name = node["function_name"]
        allowed = _FUNCTIONS
        if name not in allowed or node["catalog"] or node["schema"] not in ("", "main"):
            yield function_fault(name, allowed, _WHY)
    elif kind == "WINDOW":
        name = node["function_name"]
        if name not in WINDOWS | AGGREGATES:
            yield function_fault(name, WINDOWS | AGGREGATES, _WHY)
    elif kind == "OPERATOR":
        if node["type"] not in _OPERATORS:
            yield f"{node['type'].lower()} is not allowed"
    elif kind == "CAST":
        yield from _type_faults(node["cast_type"])
    elif kind == "COLUMN_REF" and node["column_names"][0].lower() in BARE_CLOCK:
        yield clock_fault(node["column_names"][0])


def _type_faults(kind: Node) -> Iterator[str]:
    """Yield why a value may not be cast to a type."""
    for part in parts(kind):
        if "id" not in part:
            continue
        name = (part["type_info"] or {}).get("name", "") if part["id"] == "UNBOUND" else part["id"]
        if name.upper() not in _TYPES | _NESTED | {"JSON"}:
            yield f"a cast to {name} is not allowed"
