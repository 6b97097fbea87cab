"""Conditions of a column: which of its values an expectation does not expect, in DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tidegate.gate.condition import ROW, Condition
from tidegate.gate.literals import compare, value_sql
from tidegate.gate.metric import Question
from tidegate.gate.predicates import PREDICATES, Predicate, matches_regexes, needs_python
from tidegate.gate.rows import SLICE, Column
from tidegate.gate.several_columns import SEVERAL_COLUMNS


def _values(column: Column, expected: str, considered: str | None = None) -> Condition:
    """Return the condition of a column whose values are expected to be so; NULLs are left out."""
    return Condition((column,), f"NOT ({expected})", considered or f"{column.sql} IS NOT NULL")


def _nonnull(asked: Question) -> Condition:
    column = asked.column()
    return Condition((column,), f"{column.sql} IS NULL")


def _null(asked: Question) -> Condition:
    column = asked.column()
    return Condition((column,), f"{column.sql} IS NOT NULL")


def limits(asked: Question, value: Callable[[str, Any], str]) -> str:
    """Return the condition that something lies between the limits of a metric.

    Args:
        asked: the metric.
        value: gives the condition for an operator and a limit.

    Raises:
        ValueError: there is no limit, or they exclude each other.
    """
    metric = asked.metric
    least, most = metric.value("min_value"), metric.value("max_value")
    if least is None and most is None:
        raise ValueError("min_value and max_value cannot both be None")
    if least is not None and most is not None and least > most:
        raise ValueError("min_value cannot be greater than max_value")
    found = []
    if least is not None:
        found.append(value(">" if metric.value("strict_min") else ">=", least))
    if most is not None:
        found.append(value("<" if metric.value("strict_max") else "<=", most))
    return " AND ".join(f"({each})" for each in found)


def between(asked: Question) -> str:
    """Return the condition that a column's values lie between the limits of a metric.

    Raises:
        ValueError: the limits, or the column's type, do not allow it.
    """
    column = asked.column()
    bounds = [asked.metric.value(key) for key in ("min_value", "max_value")]
    texts = all(isinstance(each, str) for each in bounds if each is not None)
    if not texts and column.type_class in ("StringType", "BooleanType"):
        raise ValueError(
            f"ColumnValuesBetween metrics cannot be computed on column of type {column.type_class}()."
        )
    return limits(asked, lambda operator, limit: compare(column, operator, limit))


def _between(asked: Question) -> Condition:
    return _values(asked.column(), between(asked))


def _length(column: Column) -> str:
    if column.type_class == "BinaryType":
        return f"octet_length({column.sql})"
    if column.type_class in ("ArrayType", "MapType", "StructType"):
        raise TypeError(f"expected a column of texts, got {column.name} of type {column.type}")
    return f"length({_text(column)})"


def _text(column: Column) -> str:
    # Without what is appended, DuckDB 1.5 compares a time's text with a pattern that is no time as NULL.
    return column.sql if column.is_text else f"(CAST({column.sql} AS VARCHAR) || '')"


def _whole(limit: Any) -> int:
    try:
        number = float(limit)
    except (TypeError, ValueError):
        number = 0.5
    if not number.is_integer():
        raise ValueError("min_value and max_value must be integers")
    return int(limit)


def _length_between(asked: Question) -> Condition:
    column = asked.column()
    return _values(
        column,
        limits(asked, lambda op, limit: f"{_length(column)} {op} {_whole(limit)}"),
    )


def _length_equals(asked: Question) -> Condition:
    column = asked.column()
    return _values(column, f"{_length(column)} = {value_sql(asked.metric.value('value'))}")


def is_in(column: Column, values: Iterable[Any]) -> str:
    """Return the condition that a column's value is one of some; NULL is none."""
    known = ", ".join(value_sql(value, column) for value in values if value is not None)
    return f"{column.sql} IN ({known})" if known else "FALSE"


def _in_set(asked: Question) -> Condition:
    values, column = asked.metric.value("value_set"), asked.column()
    return _values(column, "TRUE" if values is None else is_in(column, values))


def _not_in_set(asked: Question) -> Condition:
    values, column = asked.metric.value("value_set"), asked.column()
    return _values(column, f"NOT ({is_in(column, values or ())})")


def _regexes(
    asked: Question, patterns: Sequence[str], *, every: bool = False, none: bool = False
) -> Condition:
    """Return the condition that texts match one, every or none of some regular expressions."""
    column = asked.column()
    if not patterns:
        raise ValueError("At least one regex must be supplied in the regex_list.")
    connection = asked.candidate.rows.connection
    refused = [pattern for pattern in patterns if needs_python(connection, pattern)]
    if refused:
        return _predicate(column, matches_regexes(patterns, every=every, none=none))
    sign = "NOT " if none else ""
    found = [f"{sign}regexp_matches({_text(column)}, {value_sql(each)})" for each in patterns]
    return _values(column, (" AND " if every or none else " OR ").join(found))


def _match_regex(asked: Question) -> Condition:
    return _regexes(asked, [asked.metric.value("regex")])


def _not_match_regex(asked: Question) -> Condition:
    return _regexes(asked, [asked.metric.value("regex")], none=True)


def _match_regex_list(asked: Question) -> Condition:
    match_on = asked.metric.value("match_on", "any")
    if match_on not in ("any", "all"):
        raise ValueError("match_on must be either 'any' or 'all'")
    return _regexes(asked, asked.metric.value("regex_list", ()), every=match_on == "all")


def _not_match_regex_list(asked: Question) -> Condition:
    return _regexes(asked, asked.metric.value("regex_list", ()), none=True)


def _like(
    asked: Question, patterns: Sequence[str], joined: str, *, none: bool = False
) -> Condition:
    column = asked.column()
    if not patterns:
        raise ValueError("At least one like_pattern must be supplied in the like_pattern_list.")
    escape = asked.metric.value("escape")
    tail = f" ESCAPE {value_sql(escape)}" if escape else ""
    sign = "NOT " if none else ""
    found = [f"{sign}({_text(column)} LIKE {value_sql(each)}{tail})" for each in patterns]
    return _values(column, joined.join(found))


def _like_list(asked: Question) -> Condition:
    match_on = asked.metric.value("match_on", "any")
    if match_on not in ("any", "all"):
        raise ValueError("match_on must be any or all")
    patterns = asked.metric.value("like_pattern_list", ())
    return _like(asked, patterns, " AND " if match_on == "all" else " OR ")


def _ordered(asked: Question, wrong: str, strictly_wrong: str) -> Condition:
    """Return the condition of values that are to rise or fall in the order that the rows come in."""
    column = asked.column()
    sign = strictly_wrong if asked.metric.value("strictly") else wrong
    considered = f"{column.sql} IS NOT NULL"
    if column.is_float:
        considered += f" AND NOT isnan({column.sql})"
    before = f"lag({column.sql}) OVER (PARTITION BY {SLICE} ORDER BY {ROW})"
    return Condition(
        (column,),
        f'{column.sql} {sign} "__before"',
        considered,
        windows=(f'{before} AS "__before"',),
    )


def _unique(asked: Question) -> Condition:
    column = asked.column()
    return Condition((column,), considered=f"{column.sql} IS NOT NULL", together=True)


_BASIS = 'isfinite("__mean") AND isfinite("__spread")'


def _z_score(asked: Question) -> Condition:
    column = asked.number()
    threshold = float(asked.metric.value("threshold"))
    value = f"CAST({column.sql} AS DOUBLE)"
    score = f'({value} - "__mean") / nullif("__spread", 0)'
    if asked.metric.value("double_sided", default=False):
        score, threshold = f"abs({score})", abs(threshold)
    # Where the mean is no number, as with a NaN among the values, there is nothing to measure by.
    unexpected = f"NOT ({score} < {value_sql(threshold)})"
    return Condition(
        (column,),
        f"CASE WHEN {_BASIS} THEN {unexpected} ELSE FALSE END",
        f"{column.sql} IS NOT NULL",
        statistics=(f'favg({value}) AS "__mean"', f'{spread(value)} AS "__spread"'),
    )


def spread(value: str) -> str:
    """Return the standard deviation of a sample, NaN where a value is not finite."""
    finite = f"stddev_samp({value}) FILTER (WHERE isfinite({value}))"
    return f"CASE WHEN bool_and(isfinite({value})) THEN {finite} ELSE CAST('nan' AS DOUBLE) END"


def _not_outliers(asked: Question) -> Condition:
    method = asked.metric.value("method", "iqr")
    if method not in ("iqr", "std"):
        raise NotImplementedError(f"method {method!r} has not been implemented")
    column = asked.number()
    multiplier = value_sql(float(asked.metric.value("multiplier", 1.5)))
    value = f"CAST({column.sql} AS DOUBLE)"
    if method == "iqr":
        statistics = tuple(
            f'quantile_cont({value}, {share}) AS "{name}"'
            for name, share in (("__low", 0.25), ("__high", 0.75))
        )
        reach = f'{multiplier} * ("__high" - "__low")'
        expected = f'{value} >= "__low" - {reach} AND {value} <= "__high" + {reach}'
        basis = 'isfinite("__low") AND isfinite("__high")'
    else:
        statistics = (f'favg({value}) AS "__mean"', f'{spread(value)} AS "__spread"')
        reach = f'{multiplier} * "__spread"'
        expected = f'CASE WHEN {reach} <= 0 THEN {value} = "__mean" ELSE abs({value} - "__mean") < {reach} END'
        basis = _BASIS
    # Without a spread to measure by nothing is an outlier.
    unexpected = f"CASE WHEN {basis} THEN NOT ({expected}) ELSE FALSE END"
    return Condition((column,), unexpected, f"{column.sql} IS NOT NULL", statistics=statistics)


def _predicate(column: Column, predicate: Predicate) -> Condition:
    return Condition((column,), considered=f"{column.sql} IS NOT NULL", predicate=predicate)


def _in_python(name: str) -> Callable[[Question], Condition]:
    def build(asked: Question) -> Condition:
        column = asked.column()
        if not column.is_text:
            raise TypeError(f"expected a column of texts, got {column.name} of type {column.type}")
        return _predicate(column, PREDICATES[name](asked.metric.values))

    return build


CONDITIONS: Mapping[str, Callable[[Question], Condition]] = {
    "column_values.nonnull": _nonnull,
    "column_values.null": _null,
    "column_values.between": _between,
    "column_values.value_length.between": _length_between,
    "column_values.value_length.equals": _length_equals,
    "column_values.in_set": _in_set,
    "column_values.not_in_set": _not_in_set,
    "column_values.match_regex": _match_regex,
    "column_values.not_match_regex": _not_match_regex,
    "column_values.match_regex_list": _match_regex_list,
    "column_values.not_match_regex_list": _not_match_regex_list,
    "column_values.match_like_pattern": lambda q: _like(q, [q.metric.value("like_pattern")], ""),
    "column_values.not_match_like_pattern": lambda q: _like(
        q, [q.metric.value("like_pattern")], "", none=True
    ),
    "column_values.match_like_pattern_list": _like_list,
    "column_values.not_match_like_pattern_list": lambda q: _like(
        q, q.metric.value("like_pattern_list", ()), " AND ", none=True
    ),
    "column_values.increasing": lambda q: _ordered(q, "<", "<="),
    "column_values.decreasing": lambda q: _ordered(q, ">", ">="),
    "column_values.unique": _unique,
    "column_values.z_score.under_threshold": _z_score,
    "column_values.not_outliers": _not_outliers,
    "column_values.json_parseable": _in_python("json_parseable"),
    "column_values.match_json_schema": _in_python("match_json_schema"),
    "column_values.match_strftime_format": _in_python("match_strftime_format"),
    "column_values.dateutil_parseable": _in_python("dateutil_parseable"),
    **SEVERAL_COLUMNS,
}
"""Which rows are unexpected, by the name of the metric."""
