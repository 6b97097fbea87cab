"""SQL expressions of source files: what they read, and whether tables may depend on them.

An expression is DuckDB's SQL. It computes one value from one line, and the same value every time; else the tables
would not be a function of the dumps. It sees each field that the source file names by that name, as text, the line
as `raw`, and the dump hour as `dump_hour`. Fields of an object are members: `user.id`. DuckDB is imported late: most
sources need none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tidegate.common.sql_quoting import quoted
from tidegate.config.source.paths import join_path, split_path
from tidegate.config.user_sql import LINE, ExpressionError, read_expression
from tidegate.config.user_sql.columns import path_of
from tidegate.config.user_sql.syntax import Node, empty_cursor, is_text, nodes

if TYPE_CHECKING:
    import duckdb

RAW_LINE = "raw"
"""The column that holds the raw line itself; expressions may use it beside the fields."""
DUMP_HOUR = "dump_hour"
"""The column that holds the dump hour, a TIMESTAMPTZ; in any case, and in place of a field of that name."""

_NESTED = ("STRUCT", "MAP", "UNION")


@lru_cache(maxsize=512)
def sql_references(sql: str) -> frozenset[str]:
    """Return the dotted paths that an expression reads; the raw line and the dump hour are none of them.

    Raises:
        ExpressionError: it is no single expression over one line's columns, or not a function of the line.

    """
    expression = read_expression(sql, LINE)
    if faults := list(dict.fromkeys(_trap_faults(expression.tree))):
        raise ExpressionError(faults)
    return frozenset(join_path(path) for path in expression.paths if not _is_given(path))


def _is_given(path: tuple[str, ...]) -> bool:
    """Return whether a path names a column that is there for every line."""
    return path == (RAW_LINE,) or is_dump_hour(path[0])


def is_dump_hour(name: str) -> bool:
    """Return whether a name in an expression is that of the dump hour: names have no case in SQL."""
    return name.lower() == DUMP_HOUR


@lru_cache(maxsize=512)
def reads_raw_line(sql: str) -> bool:
    """Return whether a right expression reads the raw line."""
    return RAW_LINE in read_expression(sql, LINE).columns


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
        if not is_dump_hour(name)
    )
    fields += f", CAST(NULL AS TIMESTAMPTZ) AS {DUMP_HOUR}"
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


def _trap_faults(tree: Node) -> Iterator[str]:
    """Yield what DuckDB takes in another sense than other engines, without an error."""
    for node in nodes(tree):
        if node.get("function_name", "").lower() == "regexp_extract" and len(node["children"]) < 3:
            yield (
                "regexp_extract() needs the number of the group that is wanted as its third argument; 0 is the "
                "whole match"
            )
        if node["type"] != "ARRAY_EXTRACT":
            continue
        of, at = node["children"]
        if at["class"] == "CONSTANT" and not is_text(at):
            if at["value"].get("value") == 0:
                yield "lists are counted from 1: [0] is no element of one"
            if (names := path_of(of)) is not None:
                name = join_path(names)
                yield (
                    f"'{name}' is text, and [{at['value'].get('value')}] is one of its characters; for an element "
                    f"of a list in it write json_extract_string({name}, '$[0]')"
                )
