"""Syntax: what DuckDB's parser makes of a text. It only parses: nothing is bound, opened or run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.common.sql_quoting import literal
from tidegate.config.user_sql.replacements import BACKTICKS, SYNTAX

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
"""A part of DuckDB's tree of a text, with the parts in it."""

_CLAUSES = (
    "modifiers",
    "where_clause",
    "group_expressions",
    "group_sets",
    "having",
    "sample",
    "qualify",
)


class ExpressionError(ValueError):
    """An expression or a query can't be used; `faults` holds every reason, one line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


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


def parse(query: str) -> Node:
    """Return what DuckDB's parser makes of a query: its `statements`, or an `error` with its message."""
    with empty_cursor() as cursor:
        # As a literal: with the first parameter, DuckDB's client loads pandas.
        row = cursor.execute(f"SELECT json_serialize_sql({literal(query)})").fetchone()
    assert row is not None
    tree: Node = json.loads(row[0])
    return tree


@lru_cache(maxsize=1024)
def expression_tree(text: str) -> Node:
    """Return the tree of a text that is one expression. It must not be changed.

    Raises:
        ExpressionError: the text is no single expression.
    """
    if not text.strip():
        raise ExpressionError(["the SQL expression is empty"])
    tree = _only(parse(f"SELECT {text}\n"), text)
    # As it will stand in a query. The two differ where the text depends on what stands around it.
    if _bare(tree) != _bare(_only(parse(f"SELECT (\n{text}\n)"), text)):
        raise ExpressionError([f"expected one SQL expression, got {text!r}"])
    return tree


def parts(tree: Any) -> Iterator[Node]:
    """Yield every part of a tree that is a mapping."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from parts(value)


def nodes(tree: Any) -> Iterator[Node]:
    """Yield an expression and all expressions in it."""
    return (part for part in parts(tree) if "class" in part)


def is_text(node: Node) -> bool:
    """Return whether an expression is a text between single quotes."""
    if node["class"] != "CONSTANT" or node["value"]["is_null"]:
        return False
    return bool(node["value"]["type"]["id"] == "VARCHAR")


def spark_hint(text: str) -> str:
    """Return what replaces syntax of Spark in a text that DuckDB could not parse; empty where there is none."""
    plain = re.sub(r"'(?:[^']|'')*'", "''", text)
    hints = [
        f"; {word} is Spark's: write {replacement}"
        for word, replacement in SYNTAX.items()
        if re.search(_words(word), plain, re.IGNORECASE)
    ]
    if "`" in plain:
        hints.append(f"; backticks are Spark's: {BACKTICKS}")
    return "".join(hints)


def _words(text: str) -> str:
    pattern = r"\s+".join(map(re.escape, text.split()))
    return rf"\b{pattern}\b" if text[0].isalpha() else pattern


def _only(parsed: Node, text: str) -> Node:
    """Return the one expression that a query selects.

    Raises:
        ExpressionError: the query does more, or is none.
    """
    if parsed["error"]:
        message = parsed["error_message"]
        raise ExpressionError([f"not an SQL expression: {message}, in {text!r}{spark_hint(text)}"])
    selects = [statement["node"] for statement in parsed["statements"]]
    surplus = _surplus(selects)
    if surplus is not None:
        raise ExpressionError([f"expected one SQL expression, got {surplus}: {text!r}"])
    only: Node = selects[0]["select_list"][0]
    return only


def _surplus(selects: list[Node]) -> str | None:
    """Return what queries are instead of the selection of one expression, or None if they are just that."""
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
