"""SQL expressions of source files: what they read, and whether tables may depend on them.

An expression is DuckDB's SQL. It computes one value from one line, and the same value every time; else the tables
would not be a function of the dumps. It sees each field that the source file names by that name, as text, and the
line as `raw`. Fields of an object are members: `user.id`. DuckDB is imported late: most sources need none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.quoting import quoted
from tidegate.scalar_functions import LAMBDA_FUNCTIONS
from tidegate.scalar_sql import (
    ExpressionError,
    Rules,
    Tree,
    empty_cursor,
    expression_tree,
    tree_faults,
    tree_nodes,
)
from tidegate.source.paths import join_path, split_path

if TYPE_CHECKING:
    import duckdb

RAW_LINE = "raw"
"""The column that holds the raw line itself; expressions may use it beside the fields."""

SqlError = ExpressionError
"""An expression can't be used; `faults` holds every reason, one line each."""

_RULES = Rules("the tables must be a function of the dumps, line by line", nested=True)
_NESTED = ("STRUCT", "MAP", "UNION")


@lru_cache(maxsize=512)
def sql_references(sql: str) -> frozenset[str]:
    """Return the dotted paths that an expression reads, the raw line (`raw`) left out.

    Raises:
        SqlError: it is no single expression over one line's columns, or not a function of the line.

    """
    tree = expression_tree(sql)
    faults = tree_faults(tree, _RULES) or list(dict.fromkeys(_trap_faults(tree)))
    if faults:
        raise SqlError(faults)
    return frozenset(join_path(p) for p in _paths(tree, frozenset()) if p != (RAW_LINE,))


@lru_cache(maxsize=512)
def reads_raw_line(sql: str) -> bool:
    """Return whether a right expression reads the raw line."""
    return any(path[0] == RAW_LINE for path in _paths(expression_tree(sql), frozenset()))


def bind_faults(expressions: Mapping[str, str], paths: Iterable[str]) -> Iterator[str]:
    """Yield the errors that DuckDB reports for allowed expressions, over one row without any value.

    Args:
        expressions: by the keys that messages name.
        paths: every dotted path that the source reads from a line; none leads into another one's value.
    """
    if not expressions:
        return
    import duckdb

    fields = ", ".join(
        f"CAST(NULL AS {_type(below)}) AS {quoted(name)}"
        for name, below in {RAW_LINE: {}, **_tree(paths)}.items()
    )
    with empty_cursor() as connection:
        for key, sql in expressions.items():
            query = f"SELECT (\n{sql}\n) FROM (SELECT {fields})"
            try:
                kind = _kind(connection, query)
            except duckdb.Error as error:
                yield f"{key}: {str(error).partition(chr(10))[0]}, in {sql!r}"
                continue
            if kind.startswith(_NESTED) or kind.endswith("]"):
                yield f"{key}: expected one value, got {kind}; for its JSON write to_json({sql})"


def _kind(cursor: duckdb.DuckDBPyConnection, query: str) -> str:
    """Return the type of the one column of a query, which is run to its end."""
    cursor.execute(query).fetchall()
    assert cursor.description is not None, "a SELECT has columns"
    return str(cursor.description[0][1])


def _tree(paths: Iterable[str]) -> dict[str, Any]:
    """Return the names of dotted paths, nested as the paths are."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        place = tree
        for name in split_path(path):
            place = place.setdefault(name, {})
    return tree


def _type(below: Mapping[str, Any]) -> str:
    if not below:
        return "VARCHAR"
    members = ", ".join(f"{quoted(name)} {_type(inner)}" for name, inner in below.items())
    return f"STRUCT({members})"


def _trap_faults(tree: Tree) -> Iterator[str]:
    """Yield what DuckDB takes in another sense than other engines, without an error."""
    for node in tree_nodes(tree):
        if node.get("function_name", "").lower() == "regexp_extract" and len(node["children"]) < 3:
            yield (
                "regexp_extract() needs the number of the group that is wanted as its third argument; 0 is the "
                "whole match"
            )
        if node["type"] != "ARRAY_EXTRACT":
            continue
        of, at = node["children"]
        if at["class"] == "CONSTANT" and not _is_text(at):
            if at["value"].get("value") == 0:
                yield "lists are counted from 1: [0] is no element of one"
            if _names(of) is not None:
                name = join_path(_names(of) or ())
                yield (
                    f"'{name}' is text, and [{at['value'].get('value')}] is one of its characters; for an element "
                    f"of a list in it write json_extract_string({name}, '$[0]')"
                )


def _paths(node: Any, bound: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Yield the longest path of names that each column begins: `a.b.c`, and `a['b']` as a.b too.

    Args:
        node: an expression, or a part of it.
        bound: names that a lambda around it has given to elements of a list.
    """
    if isinstance(node, list):
        for part in node:
            yield from _paths(part, bound)
        return
    if not isinstance(node, dict):
        return
    names = _names(node) if "class" in node else None
    if names is not None:
        if names[0].lower() not in bound:
            yield names
        return
    if node.get("class") == "FUNCTION" and node["function_name"].lower() in LAMBDA_FUNCTIONS:
        for at, argument in enumerate(node["children"]):
            if at == 1 and argument["class"] == "LAMBDA":
                yield from _paths(argument["expr"], bound | _parameters(argument["lhs"]))
            else:
                yield from _paths(argument, bound)
        return
    for value in node.values():
        yield from _paths(value, bound)


def _names(node: Tree) -> tuple[str, ...] | None:
    """Return the names of a column, and of members of it; None for any other expression."""
    if node["class"] == "COLUMN_REF":
        return tuple(node["column_names"])
    if node["type"] in ("ARRAY_EXTRACT", "STRUCT_EXTRACT"):
        of, at = node["children"]
        names = _names(of)
        if names is not None and at["class"] == "CONSTANT" and _is_text(at):
            return (*names, at["value"]["value"])
    return None


def _is_text(constant: Tree) -> bool:
    return bool(constant["value"]["type"]["id"] == "VARCHAR") and not constant["value"]["is_null"]


def _parameters(node: Tree) -> frozenset[str]:
    """Return the names of a lambda's parameters."""
    names = [n["column_names"][0].lower() for n in tree_nodes(node) if n["class"] == "COLUMN_REF"]
    return frozenset(names)
