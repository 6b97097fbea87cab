"""Facts: what is known of slices beside their rows, as rows that the same metrics are computed of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tidegate.common.sql_quoting import quoted
from tidegate.gate.literals import value_sql
from tidegate.gate.rows import Candidate, Rows

if TYPE_CHECKING:
    import duckdb

    _Make = Callable[[duckdb.DuckDBPyConnection], Candidate]

_SLICE = "__slice_of_facts"
_Facts = Mapping[str, Any]


def facts_candidates(
    facts: Mapping[int, _Facts],
) -> list[tuple[list[int], _Make]]:
    """Return candidates of one row a slice: those of slices that have the same facts are one.

    Args:
        facts: by slice.

    Returns:
        The slices of each, and what makes it on a connection.
    """
    groups: dict[tuple[str, ...], dict[int, _Facts]] = {}
    for slice_, known in facts.items():
        groups.setdefault(tuple(known), {})[slice_] = known
    found: list[tuple[list[int], _Make]] = []
    for group in groups.values():
        try:
            types = _types(list(group.values()))
            parts = [(group, types)]
        except ValueError:
            # One type would change some value: each slice is a candidate of its own.
            parts = [({key: known}, _types([known])) for key, known in group.items()]
        found += [(list(part), partial(_candidate, part, types)) for part, types in parts]
    return found


def _candidate(
    facts: Mapping[int, _Facts], types: Mapping[str, str], connection: duckdb.DuckDBPyConnection
) -> Candidate:
    names = ", ".join(map(quoted, [_SLICE, *types]))
    rows = ", ".join(
        f"(make_timestamp({slice_}), {', '.join(_literal(known[name], types[name]) for name in types)})"
        if types
        else f"(make_timestamp({slice_}))"
        for slice_, known in facts.items()
    )
    query = f"SELECT * FROM (VALUES {rows}) AS f({names})"
    columns = {_SLICE: "timestamp", **types}
    candidate = Candidate(Rows(connection, query, columns), _SLICE)
    del candidate.columns[_SLICE]  # no fact
    return candidate


def _types(facts: Sequence[_Facts]) -> dict[str, str]:
    """Return the type of each fact, as Spark names it, that keeps all its values as they are.

    Raises:
        ValueError: there is none for some fact.
    """
    return {
        name: _type([known[name] for known in facts if not _nothing(known[name])])
        for name in facts[0]
    }


def _type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    if kinds <= {bool}:
        return "boolean" if kinds else "bigint"
    if kinds == {int}:
        return "hugeint"
    if kinds <= {int, float} and all(int(float(v)) == v for v in values if isinstance(v, int)):
        return "double"
    if kinds == {str}:
        return "string"
    if len(kinds) == 1:
        return "void"
    raise ValueError("no type keeps all values")


_SQL_TYPES = {"boolean": "BOOLEAN", "bigint": "BIGINT", "hugeint": "HUGEINT", "double": "DOUBLE"}


def _literal(value: Any, type_: str) -> str:
    if _nothing(value):
        value = None
    elif type_ == "double":
        value = float(value)
    sql = value_sql(value)
    return f"CAST({sql} AS {_SQL_TYPES[type_]})" if type_ in _SQL_TYPES else sql


def _nothing(value: Any) -> bool:
    """Return whether a fact has no value: None, or not a number."""
    return value is None or (isinstance(value, float) and math.isnan(value))
