"""Aggregates: metrics of a column or of the table as aggregate expressions of DuckDB's SQL.

All of a suite stand in one query, grouped by slice, so that the rows are read once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from tidegate.gate.conditions import CONDITIONS, between, is_in
from tidegate.gate.literals import value_sql
from tidegate.gate.metric import Question
from tidegate.gate.rows import Column

Finish = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class Aggregate:
    """A metric that aggregate expressions give.

    Attributes:
        terms: the expressions, each with a condition for the rows that it is of; None for all.
        finish: makes the metric of their values.
    """

    terms: tuple[tuple[str, str | None], ...]
    finish: Finish = lambda values: values[0]

    def sql(self, where: str | None) -> list[str]:
        """Return its expressions for the rows for which a condition holds."""
        return [_filtered(term, where, condition) for term, condition in self.terms]


def _filtered(term: str, where: str | None, condition: str | None) -> str:
    if where is not None and condition is not None:
        # In this order: a condition may be such that it can't be computed for other rows.
        condition = f"CASE WHEN (\n{where}\n) THEN ({condition}) ELSE FALSE END"
    elif where is not None:
        condition = f"(\n{where}\n)"
    return term if condition is None else f"{term} FILTER (WHERE {condition})"


COUNT = Aggregate((("count(*)", None),))
"""How many rows there are."""


def plain(value: Any) -> Any:
    """Return a value as Great Expectations and audits have it: times without a zone, in UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def _json(values: Sequence[Any]) -> Any:
    """Return an aggregate as audits show it: times as ISO 8601 has them."""
    value = plain(values[0])
    return value.isoformat() if isinstance(value, date) else value


def _of_column(name: str) -> Callable[[Question], Aggregate]:
    return lambda asked: Aggregate(((f"{name}({asked.column().sql})", None),), _json)


def _double(column: Column) -> str:
    return f"CAST({column.sql} AS DOUBLE)"


def _mean(asked: Question) -> Aggregate:
    column = asked.column()
    if not column.is_number or column.type_class in ("ByteType", "ShortType"):
        raise TypeError(
            f"Expected numeric column type for function mean(). Recieved type: {column.type_class}()"
        )
    # The sum of whole numbers and decimals is exact; that of doubles is compensated.
    term = f"favg({_double(column)})" if column.is_float else f"avg({column.sql})"
    return Aggregate(((term, None),))


def _sum(asked: Question) -> Aggregate:
    column = asked.number()
    return Aggregate(
        ((f"fsum({_double(column)})" if column.is_float else f"sum({column.sql})", None),)
    )


def _spread(asked: Question) -> Aggregate:
    value = _double(asked.number())
    finite = f"isfinite({value})"
    return Aggregate(
        (
            (f"stddev_samp({value})", finite),
            ("count(*)", f"NOT {finite}"),
        ),
        lambda values: None if values[1] else values[0],
    )


def _median(asked: Question) -> Aggregate:
    return Aggregate(_quantile_terms(asked.number(), "quantile_cont", [0.5]))


def _quantiles(asked: Question) -> Aggregate:
    shares = [float(each) for each in asked.metric.value("quantiles")]
    error = asked.metric.value("allow_relative_error") or 0.0
    if not isinstance(error, float) or not 0.0 <= error <= 1.0:
        raise ValueError("allow_relative_error: expected False or a number between 0 and 1")
    return Aggregate(_quantile_terms(asked.number(), "quantile_disc", shares), list)


def _quantile_terms(
    column: Column, function: str, shares: Sequence[float]
) -> tuple[tuple[str, str | None], ...]:
    value = _double(column)
    number = f"NOT isnan({column.sql})" if column.is_float else None
    return tuple((f"{function}({value}, {share!r})", number) for share in shares)


def _distinct(asked: Question) -> Aggregate:
    return Aggregate(((f"count(DISTINCT {asked.column().sql})", None),))


def _unique_share(asked: Question) -> Aggregate:
    name = asked.column().sql
    return Aggregate(
        ((f"count(DISTINCT {name})", None), (f"count({name})", None)),
        lambda values: values[0] / values[1] if values[1] else 0,
    )


def _nonnull_share(asked: Question) -> Aggregate:
    return Aggregate(
        ((f"count({asked.column().sql})", None), ("count(*)", None)),
        lambda values: values[0] / values[1] if values[1] else 0,
    )


def _unknown_count(asked: Question) -> Aggregate:
    column, known = asked.column(), asked.metric.value("value_set") or []
    return Aggregate(((f"count(DISTINCT {column.sql})", f"NOT ({is_in(column, known)})"),))


def _missing_count(asked: Question) -> Aggregate:
    column, known = asked.column(), asked.metric.value("value_set") or []
    return Aggregate(
        ((f"count(DISTINCT {column.sql})", is_in(column, known)),),
        lambda values: len(known) - values[0],
    )


def _histogram(asked: Question) -> Aggregate:
    """Return how many values each bin has: from its lower edge to below its upper, but for the last, which has both."""
    column = asked.number()
    edges = [float(each) for each in asked.metric.value("bins")]
    if len(edges) < 2 or any(math.isnan(edge) for edge in edges) or edges != sorted(edges):
        raise ValueError(f"bins: expected at least two rising numbers, got {edges}")
    last = len(edges) - 2
    value = _double(column)
    return Aggregate(
        tuple(
            (
                "count(*)",
                f"{value} >= {value_sql(low)} AND {value} {'<=' if n == last else '<'} {value_sql(high)}",
            )
            for n, (low, high) in enumerate(pairwise(edges))
        ),
        list,
    )


def _counted_between(asked: Question) -> Aggregate:
    return Aggregate((("count(*)", between(asked)),))


AGGREGATES: Mapping[str, Callable[[Question], Aggregate]] = {
    "table.row_count": lambda _: COUNT,
    "column_values.nonnull.count": _of_column("count"),
    "column_values.between.count": _counted_between,
    "column.non_null_count": _of_column("count"),
    "column.max": _of_column("max"),
    "column.min": _of_column("min"),
    "column.mean": _mean,
    "column.sum": _sum,
    "column.standard_deviation": _spread,
    "column.median": _median,
    "column.quantile_values": _quantiles,
    "column.distinct_values.count": _distinct,
    "column.unique_proportion": _unique_share,
    "column.non_null_proportion": _nonnull_share,
    "column.distinct_values.not_in_set.count": _unknown_count,
    "column.distinct_values.missing_from_column.count": _missing_count,
    "column.histogram": _histogram,
}
"""What gives a metric, by its name."""
_UNEXPECTED, _CONSIDERED = ".unexpected_count", ".filtered_row_count"


def aggregate(asked: Question) -> Aggregate | None:
    """Return what gives a metric in the one query of all; None where it needs a query of its own.

    Raises:
        ValueError, TypeError: the metric can't be of these columns or parameters.
    """
    name = asked.metric.name
    if name in AGGREGATES:
        return AGGREGATES[name](asked)
    if name.endswith(_UNEXPECTED):
        condition = CONDITIONS.get(name.removesuffix(_UNEXPECTED))
        if condition is not None and (found := condition(asked)).is_of_one_row:
            return Aggregate((("count(*)", f"({found.considered}) AND ({found.unexpected})"),))
    if name.endswith(_CONSIDERED):
        condition = CONDITIONS.get(name.removesuffix(_CONSIDERED))
        if condition is not None:
            return Aggregate((("count(*)", condition(asked).considered),))
    return None
