"""Conditions of several columns of a row: pairs, lists, and combinations that are not to occur twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from tidegate.gate.condition import Condition
from tidegate.gate.literals import value_sql
from tidegate.gate.metric import Question
from tidegate.gate.rows import Column


def _considered(asked: Question, columns: Sequence[Column]) -> str:
    """Return the condition for rows that are looked at, going by which values are missing."""
    ignored = asked.metric.domain.get("ignore_row_if")
    missing = [f"{column.sql} IS NULL" for column in columns]
    if ignored in ("both_values_are_missing", "all_values_are_missing"):
        return f"NOT ({' AND '.join(missing)})"
    if ignored in ("either_value_is_missing", "any_value_is_missing"):
        return f"NOT ({' OR '.join(missing)})"
    if ignored not in ("neither", "never", None):
        raise ValueError(f'Unrecognized value of ignore_row_if ("{ignored}").')
    return "TRUE"


def _pair(expected: Callable[[Question, Column, Column], str]) -> Callable[[Question], Condition]:
    def build(asked: Question) -> Condition:
        pair = asked.column("column_A"), asked.column("column_B")
        return Condition(pair, f"NOT ({expected(asked, *pair)})", _considered(asked, pair))

    return build


def _greater(asked: Question, a: Column, b: Column) -> str:
    if asked.metric.value("or_equal"):
        return f"{a.sql} >= {b.sql} OR {a.sql} IS NOT DISTINCT FROM {b.sql}"
    return f"{a.sql} > {b.sql}"


def _pair_equal(_: Question, a: Column, b: Column) -> str:
    return f"{a.sql} IS NOT DISTINCT FROM {b.sql}"


def _pair_in_set(asked: Question, a: Column, b: Column) -> str:
    pairs = asked.metric.value("value_pairs_set")
    if pairs is None:
        return f"{a.sql} = {b.sql}"
    return (
        " OR ".join(
            f"({a.sql} IS NOT DISTINCT FROM {value_sql(x, a)} AND {b.sql} IS NOT DISTINCT FROM {value_sql(y, b)})"
            for x, y in pairs
        )
        or "FALSE"
    )


def _list(expected: Callable[[Question, Sequence[Column]], str]) -> Callable[[Question], Condition]:
    def build(asked: Question) -> Condition:
        columns = asked.columns
        return Condition(
            tuple(columns), f"NOT ({expected(asked, columns)})", _considered(asked, columns)
        )

    return build


def _compound_unique(asked: Question) -> Condition:
    columns = asked.columns
    return Condition(tuple(columns), considered=_considered(asked, columns), together=True)


def _sum_equal(asked: Question, columns: Sequence[Column]) -> str:
    for column in columns:
        if not column.is_number:
            raise TypeError(f"expected columns of numbers, got {column.name} of type {column.type}")
    exact = all(column.digits is not None for column in columns)
    total = " + ".join(
        f"CAST(coalesce({column.sql}, 0) AS {'HUGEINT' if column.is_integral else 'DOUBLE'})"
        if column.is_integral or not exact
        else f"coalesce({column.sql}, 0)"
        for column in columns
    )
    return f"{total} = {value_sql(asked.metric.value('sum_total'), columns[0] if exact else None)}"


def _all_equal(_: Question, columns: Sequence[Column]) -> str:
    first, *others = columns
    return (
        " AND ".join(f"({first.sql} IS NOT DISTINCT FROM {other.sql})" for other in others)
        or "TRUE"
    )


def _all_different(_: Question, columns: Sequence[Column]) -> str:
    return " AND ".join(f"({a.sql} IS DISTINCT FROM {b.sql})" for a, b in combinations(columns, 2))


SEVERAL_COLUMNS: Mapping[str, Callable[[Question], Condition]] = {
    "column_pair_values.a_greater_than_b": _pair(_greater),
    "column_pair_values.equal": _pair(_pair_equal),
    "column_pair_values.in_set": _pair(_pair_in_set),
    "compound_columns.unique": _compound_unique,
    "multicolumn_sum.equal": _list(_sum_equal),
    "multicolumn_values.equal": _list(_all_equal),
    "select_column_values.unique.within_record": _list(_all_different),
}
"""Which rows are unexpected, by the name of the metric."""
