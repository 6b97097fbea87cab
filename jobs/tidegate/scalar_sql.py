"""Expressions of one row in DuckDB's SQL: what a text is read as, and whether it reaches beyond the row.

DuckDB's own parser reads them, which only parses (`json_serialize_sql`), so that no second reader can take a text for
something else. What is in the tree is allowed by name: see `scalar_functions`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.nearest import nearest
from tidegate.quoting import literal
from tidegate.scalar_functions import CLOCK_NAMES, FUNCTIONS, LAMBDA_FUNCTIONS, REPLACEMENTS

if TYPE_CHECKING:
    import duckdb

Tree = dict[str, Any]
"""A node of DuckDB's tree of an expression, with the nodes in it."""

# fmt: off
_OPERATORS = frozenset(
    [
        "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE",
        "OPERATOR_NULLIF", "OPERATOR_TRY", "COMPARE_IN", "COMPARE_NOT_IN", "ARRAY_EXTRACT",
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
_CLAUSES = (
    "modifiers",
    "where_clause",
    "group_expressions",
    "group_sets",
    "having",
    "sample",
    "qualify",
)
_OTHER_DIALECT = (
    (re.compile(r"`"), 'a name that is not plain stands in double quotes, such as "a b"'),
    (re.compile(r"\brlike\b|\bregexp\b", re.IGNORECASE), "write regexp_matches(text, 'pattern')"),
    (re.compile(r"\bdiv\b", re.IGNORECASE), "write a // b"),
)
"""Texts that Spark's SQL has and DuckDB's has not, and what to write."""


class ExpressionError(ValueError):
    """An expression can't be used; `faults` holds every reason, one line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class Rules:
    """What expressions of one kind may do.

    Attributes:
        reason: why a function is not allowed, behind its name.
        nested: whether they may read members of objects, and have lambdas and casts to JSON and lists.
    """

    reason: str
    nested: bool = False


@lru_cache(maxsize=1024)
def expression_tree(text: str) -> Tree:
    """Return the tree of a text that is one expression. It must not be changed.

    Raises:
        ExpressionError: it is none.
    """
    if not text.strip():
        raise ExpressionError(["the SQL expression is empty"])
    tree = _only(_parsed(f"SELECT {text}\n"), text)
    # As it will stand in a query. The two differ where the text depends on what stands around it.
    if _bare(tree) != _bare(_only(_parsed(f"SELECT (\n{text}\n)"), text)):
        raise ExpressionError([f"expected one SQL expression, got {text!r}"])
    return tree


def tree_nodes(node: Any) -> Iterator[Tree]:
    """Yield an expression and all expressions in it."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from tree_nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from tree_nodes(value)


def tree_faults(tree: Tree, rules: Rules) -> list[str]:
    """Return what an expression does that its kind may not do, each once."""
    return list(dict.fromkeys(_faults(tree, rules)))


def empty_cursor() -> duckdb.DuckDBPyConnection:
    """Return a cursor of this process's connection for checks: no tables, no files, one thread, UTC.

    A cursor of its own for each use: threads share the connection.
    """
    return _connection().cursor()


@lru_cache(maxsize=1)
def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,
        "threads": 1,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def _parsed(query: str) -> Tree:
    with empty_cursor() as cursor:
        # As a literal: with the first parameter, DuckDB's client loads pandas.
        row = cursor.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()
    assert row is not None
    parsed: Tree = json.loads(row[0])
    return parsed


def _only(parsed: Tree, text: str) -> Tree:
    """Return the one expression that a query selects, if it does nothing else."""
    if parsed["error"]:
        hints = [hint for pattern, hint in _OTHER_DIALECT if pattern.search(text)]
        tip = f"; {hints[0]}" if hints else ""
        raise ExpressionError(
            [f"not an SQL expression: {parsed['error_message']}, in {text!r}{tip}"]
        )
    selects = [statement["node"] for statement in parsed["statements"]]
    got = _beyond(selects)
    if got is not None:
        raise ExpressionError([f"expected one SQL expression, got {got}: {text!r}"])
    only: Tree = selects[0]["select_list"][0]
    return only


def _beyond(selects: list[Tree]) -> str | None:
    """Return what queries are beyond the selection of one expression, or None if they are just that."""
    select = selects[0]
    if len(selects) != 1:
        return "several statements"
    if (
        select["type"] != "SELECT_NODE"
        or select["from_table"]["type"] != "EMPTY"
        or any(select.get(clause) for clause in _CLAUSES)
        or select["cte_map"]["map"]
    ):
        return "a query"
    if len(select["select_list"]) != 1:
        return f"{len(select['select_list'])} with ',' between"
    alias = select["select_list"][0]["alias"]
    return f"one with the name {alias!r}" if alias else None


def _bare(node: Any) -> Any:
    """Return a tree without the places of its parts in the text."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "query_location"}
    return [_bare(part) for part in node] if isinstance(node, list) else node


def _faults(tree: Tree, rules: Rules) -> Iterator[str]:
    if "`" in "".join(node.get("function_name", "") for node in tree_nodes(tree)):
        yield f"` is not allowed: {_OTHER_DIALECT[0][1]}"
        return
    for node in tree_nodes(tree):
        kind = node["class"]
        if kind == "FUNCTION":
            yield from _function_faults(node, rules)
        elif kind == "COLUMN_REF":
            yield from _column_faults(node["column_names"], rules)
        elif kind == "CAST":
            if (wrong := _wrong_type(node["cast_type"], rules)) is not None:
                yield f"a cast to {wrong} is not allowed"
        elif kind == "OPERATOR":
            allowed = node["type"] in _OPERATORS
            if not allowed and not (rules.nested and node["type"] == "STRUCT_EXTRACT"):
                yield f"{node['type'].lower()} is not allowed"
        elif kind == "LAMBDA" and rules.nested:
            continue
        elif kind not in _INNER and kind != "CONSTANT":
            yield _WORDS.get(kind, f"{kind.lower()} is not allowed")


def _column_faults(names: list[str], rules: Rules) -> Iterator[str]:
    if rules.nested and len(names) == 1 and names[0].lower() in CLOCK_NAMES:
        yield f"{names[0].lower()} is not allowed: {rules.reason}"
    elif len(names) > 1 and not rules.nested:
        yield f"expected a column of the table, got {'.'.join(names)!r}"


def _wrong_type(kind: Tree, rules: Rules) -> str | None:
    """Return the name of the type in a cast that is not allowed, or None."""
    name: str = kind["id"]
    info = kind.get("type_info") or {}
    if name in _TYPES:
        return None
    if rules.nested and name == "UNBOUND" and info.get("name", "").upper() == "JSON":
        return None
    if rules.nested and name in ("LIST", "ARRAY") and "child_type" in info:
        return _wrong_type(info["child_type"], rules)
    return str(info.get("name") or name) if name == "UNBOUND" else name


def _function_faults(node: Tree, rules: Rules) -> Iterator[str]:
    name = node["function_name"].lower()
    known = FUNCTIONS | LAMBDA_FUNCTIONS if rules.nested else FUNCTIONS
    if name not in known or node["catalog"] or node["schema"] not in ("", "main"):
        yield f"{name}() is not allowed: {rules.reason}{_instead(name, known)}"
    elif node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        yield f"{name}() takes neither FILTER, DISTINCT nor ORDER BY"
    elif name == "to_timestamp" and len(node["children"]) != 1:
        yield "to_timestamp() takes seconds since 1970; write strptime(text, '%Y-%m-%d %H:%M:%S')"


def _instead(name: str, known: frozenset[str]) -> str:
    if name in REPLACEMENTS:
        return f"; write {REPLACEMENTS[name]}"
    near = nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""
