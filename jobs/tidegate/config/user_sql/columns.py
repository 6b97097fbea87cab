"""Columns that an expression reads, and the members of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.config.user_sql.functions import LAMBDA_FUNCTIONS
from tidegate.config.user_sql.syntax import Node, is_text, nodes


def column_paths(tree: Any, bound: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """Yield the longest path of names that each column begins: `a.b.c`, and `a['b']` as a.b too.

    Args:
        tree: an expression, or a part of it.
        bound: names that a lambda around it has given to elements of a list.
    """
    if isinstance(tree, list):
        for part in tree:
            yield from column_paths(part, bound)
        return
    if not isinstance(tree, dict):
        return
    names = path_of(tree) if "class" in tree else None
    if names is not None:
        if names[0].lower() not in bound:
            yield names
        return
    if tree.get("class") == "FUNCTION" and tree["function_name"].lower() in LAMBDA_FUNCTIONS:
        for position, argument in enumerate(tree["children"]):
            if position == 1 and argument["class"] == "LAMBDA":
                yield from column_paths(argument["expr"], bound | _parameters(argument["lhs"]))
            else:
                yield from column_paths(argument, bound)
        return
    for value in tree.values():
        yield from column_paths(value, bound)


def path_of(node: Node) -> tuple[str, ...] | None:
    """Return the names of a column, and of members of it; None for any other expression."""
    if node["class"] == "COLUMN_REF":
        return tuple(node["column_names"])
    if node["type"] in ("ARRAY_EXTRACT", "STRUCT_EXTRACT"):
        value, member = node["children"]
        names = path_of(value)
        if names is not None and is_text(member):
            return (*names, member["value"]["value"])
    return None


def _parameters(node: Node) -> frozenset[str]:
    """Return the names of a lambda's parameters."""
    columns = (part for part in nodes(node) if part["class"] == "COLUMN_REF")
    return frozenset(column["column_names"][0].lower() for column in columns)
