"""Queries: one SELECT over tables that are offered by name, in DuckDB's SQL, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tidegate.config.user_sql.faults import tree_faults
from tidegate.config.user_sql.kinds import QUERY
from tidegate.config.user_sql.syntax import ExpressionError, Node, parse, parts, spark_hint

BATCH = "__batch__"
"""The name that `{batch}` has in the text that DuckDB reads."""


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
    if faults := tree_faults(tree["statements"], QUERY):
        raise ExpressionError(faults)
    own = {entry["key"] for part in parts(tree) for entry in _common_tables(part)}
    tables = {
        ".".join(filter(None, (part["catalog_name"], part["schema_name"], part["table_name"])))
        for part in parts(tree)
        if part.get("type") == "BASE_TABLE"
    }
    return Query(plain, frozenset(tables - own - {BATCH}))


def _common_tables(part: Node) -> list[Node]:
    entries: list[Node] = (part.get("cte_map") or {}).get("map") or []
    return entries
