"""Measure: the values of metrics, by slice, with as few readings of the rows as there can be."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.config.user_sql import BATCH, read_query
from tidegate.gate.aggregates import Aggregate, aggregate, plain
from tidegate.gate.condition import ROW, Condition
from tidegate.gate.conditions import CONDITIONS, is_in
from tidegate.gate.failure import Failure, judged
from tidegate.gate.metric import Key, Metric, Question
from tidegate.gate.rows import SLICE, Candidate

if TYPE_CHECKING:
    import pandas as pd

    from tidegate.gate.rows import Tables

_CHUNK = 10_000
"""Values that Python looks at in a row."""
_DISTINCT = 20
"""Values shown of those that are in a column and should not be: as many as Great Expectations shows."""

Slices = Mapping[int, Any]


class Measure:
    """Computes metrics of a candidate, each once for all slices.

    Args:
        candidate: the rows.
        slices: of it, as `SLICE` has them.
        tables: what queries may read beside the candidate.
    """

    def __init__(
        self, candidate: Candidate, slices: Sequence[int], tables: Tables | None = None
    ) -> None:
        self._candidate, self._slices, self._tables = candidate, slices, tables
        self._values: dict[Key, dict[int, Any]] = {}

    def compute(self, metrics: Iterable[Metric]) -> None:
        """Compute metrics that are not known yet; what goes wrong is the value of the one that it is of.

        Raises:
            TryAgainError: a connection was lost.
            TidegateError: the machine lacks memory or room on its disk.
        """
        wanted = {m.key: m for m in metrics if m.key not in self._values}
        together: list[tuple[Metric, Aggregate]] = []
        for key, metric in wanted.items():
            try:
                found = aggregate(Question(metric, self._candidate))
            except Exception as error:
                self._values[key] = self._failed(error)
                continue
            if found is not None:
                together.append((metric, found))
            else:
                self._values[key] = self._each(metric)
        self._count(together)

    def value(self, metric: Metric, slice_: int) -> Any:
        """Return the value of a metric that was computed, or a `Failure`."""
        return self._values[metric.key][slice_]

    def examples(self, metric: Metric, slice_: int, most: int) -> Any:
        """Return values that an expectation did not expect, for a metric whose name ends so.

        Args:
            metric: the metric.
            slice_: the slice.
            most: so many at most.
        """
        asked = Question(metric, self._candidate)
        try:
            if metric.name == "unexpected_rows_query.table":
                return self._query_rows(metric, slice_, most)
            if metric.name in _DISTINCT_VALUES:
                return _DISTINCT_VALUES[metric.name](self, asked, slice_)
            condition = CONDITIONS[metric.name.removesuffix(".unexpected_values")](asked)
            return self._unexpected(metric, condition, slice_, most)
        except Exception as error:
            return Failure(judged(error))

    def _failed(self, error: Exception) -> dict[int, Any]:
        return dict.fromkeys(self._slices, Failure(judged(error)))

    # -- one query for all ------------------------------------------------------------------------------

    def _count(self, wanted: Sequence[tuple[Metric, Aggregate]]) -> None:
        """Compute aggregates in one query; where that fails, in two, until the one that fails is alone."""
        if not wanted:
            return
        terms = [term for metric, found in wanted for term in found.sql(metric.where)]
        try:
            rows = self._candidate.run(
                f"{self._candidate.select([f'{self._candidate.key} AS {SLICE}', *terms])} GROUP BY ALL"
            )
            by_slice = {row[0]: row[1:] for row in rows}
            if any(slice_ not in by_slice for slice_ in self._slices):
                [none] = self._candidate.run(self._candidate.select(terms, ["FALSE"]))
                by_slice = {**dict.fromkeys(self._slices, none), **by_slice}
        except Exception as error:
            judged(error)
            if len(wanted) > 1:
                self._count(wanted[: len(wanted) // 2])
                self._count(wanted[len(wanted) // 2 :])
            else:
                self._count_alone(*wanted[0], error)
            return
        for slice_ in self._slices:
            values = iter(by_slice[slice_])
            for metric, found in wanted:
                own = list(itertools.islice(values, len(found.terms)))
                self._values.setdefault(metric.key, {})[slice_] = found.finish(own)

    def _count_alone(self, metric: Metric, found: Aggregate, error: Exception) -> None:
        """Compute an aggregate of one slice after another: that of one can't be computed, others' can."""
        values = self._values.setdefault(metric.key, {})
        if len(self._slices) == 1:
            values[self._slices[0]] = Failure(error)
            return
        for slice_ in self._slices:
            try:
                query = self._candidate.select(found.sql(metric.where), slice_=slice_)
                [row] = self._candidate.run(query)
                values[slice_] = found.finish(row)
            except Exception as own:
                values[slice_] = Failure(judged(own))

    # -- queries of their own -----------------------------------------------------------------------------

    def _each(self, metric: Metric) -> dict[int, Any]:
        """Compute a metric that needs a query of its own, or none."""
        if metric.name in _CONSTANTS:
            try:
                return dict.fromkeys(self._slices, _CONSTANTS[metric.name](self._candidate))
            except Exception as error:
                return self._failed(error)
        if metric.name == "unexpected_rows_query.row_count":
            return self._by_slice(lambda slice_: self._query_count(metric, slice_))
        compute = self._own(metric)
        try:
            return compute(None)
        except Exception as error:
            judged(error)
            if len(self._slices) == 1:
                return self._failed(error)
        return self._by_slice(lambda slice_: compute(slice_)[slice_])

    def _by_slice(self, compute: Callable[[int], Any]) -> dict[int, Any]:
        values: dict[int, Any] = {}
        for slice_ in self._slices:
            try:
                values[slice_] = compute(slice_)
            except Exception as error:
                values[slice_] = Failure(judged(error))
        return values

    def _own(self, metric: Metric) -> Callable[[int | None], dict[int, Any]]:
        """Return what computes a metric of a slice, or of all for None."""
        name = metric.name
        asked = Question(metric, self._candidate)
        if name == "column.value_counts":
            return lambda slice_: self._value_counts(asked, slice_)
        if name == "column.most_common_value":
            return lambda slice_: self._most_common(asked, slice_)
        build = CONDITIONS.get(name.removesuffix(".unexpected_count"))
        if build is None or not name.endswith(".unexpected_count"):
            return _unknown(name)
        condition = build(asked)
        if condition.predicate is not None:
            return lambda slice_: self._count_in_python(metric, condition, slice_)
        return lambda slice_: self._counted(self._unexpected_count(metric, condition, slice_))

    def _counted(self, query: str) -> dict[int, Any]:
        """Return the counts of a query of slices and counts; those that it lacks are 0."""
        return {**dict.fromkeys(self._slices, 0), **dict(self._candidate.run(query))}

    def _base(self, metric: Metric, condition: Condition, slice_: int | None) -> str:
        """Return the query of the rows that a condition considers, with the columns that it needs."""
        names = dict.fromkeys(column.sql for column in condition.columns)
        what = [f"{self._candidate.key} AS {SLICE}", *names]
        if condition.windows:
            what.append(f"row_number() OVER () AS {ROW}")
        base = self._candidate.select(what, [metric.where], slice_)
        return f"SELECT * FROM ({base}) WHERE {condition.considered}"

    def _unexpected_count(self, metric: Metric, condition: Condition, slice_: int | None) -> str:
        base = self._base(metric, condition, slice_)
        if not condition.together:
            return (
                f"SELECT {SLICE}, count(*) FROM ({self._widened(condition, base)}) "
                f"WHERE {condition.unexpected} GROUP BY ALL"
            )
        names = ", ".join(dict.fromkeys([SLICE, *(column.sql for column in condition.columns)]))
        return (
            f'SELECT {SLICE}, CAST(sum("__same") AS BIGINT) FROM (SELECT {SLICE}, count(*) AS "__same" '
            f"FROM ({base}) GROUP BY {names} HAVING count(*) > 1) GROUP BY ALL"
        )

    def _widened(self, condition: Condition, base: str) -> str:
        """Return a query of rows with what a condition compares them with."""
        if condition.windows:
            return f"SELECT *, {', '.join(condition.windows)} FROM ({base})"
        if condition.statistics:
            statistics = ", ".join(condition.statistics)
            return (
                f"SELECT b.*, s.* EXCLUDE ({SLICE}) FROM ({base}) AS b JOIN (SELECT {SLICE}, "
                f"{statistics} FROM ({base}) GROUP BY ALL) AS s USING ({SLICE})"
            )
        if condition.together:
            names = ", ".join(dict.fromkeys([SLICE, *(c.sql for c in condition.columns)]))
            return f'SELECT *, count(*) OVER (PARTITION BY {names}) AS "__same" FROM ({base})'
        return base

    def _count_in_python(
        self, metric: Metric, condition: Condition, slice_: int | None
    ) -> dict[int, Any]:
        expected = condition.predicate
        assert expected is not None
        counts = dict.fromkeys(self._slices, 0)
        reader = self._candidate.rows.connection.execute(self._base(metric, condition, slice_))
        while chunk := reader.fetchmany(_CHUNK):
            for of, value in chunk:
                if of in counts and not expected(value):
                    counts[of] += 1
        return counts

    def _most_common(self, asked: Question, slice_: int | None) -> dict[int, Any]:
        column = asked.column()
        counted = self._value_count_query(asked, slice_)
        rows = self._candidate.run(
            f'SELECT {SLICE}, {column.sql} FROM ({counted}) QUALIFY "__count" = '
            f'max("__count") OVER (PARTITION BY {SLICE}) ORDER BY ALL'
        )
        values: dict[int, Any] = {key: [] for key in self._slices}
        for of, value in rows:
            if of in values:
                values[of].append(plain(value))
        return values

    def _value_counts(self, asked: Question, slice_: int | None) -> dict[int, pd.Series[Any]]:
        import pandas as pd

        found: dict[int, list[tuple[Any, int]]] = {key: [] for key in self._slices}
        for of, value, count in self._candidate.run(
            f"{self._value_count_query(asked, slice_)} ORDER BY ALL"
        ):
            if of in found:
                found[of].append((plain(value), count))
        return {
            of: pd.Series(
                [count for _, count in pairs],
                index=pd.Index([value for value, _ in pairs], name="value"),
                name="count",
            )
            for of, pairs in found.items()
        }

    def _value_count_query(self, asked: Question, slice_: int | None) -> str:
        name = asked.column().sql
        what = [f"{self._candidate.key} AS {SLICE}", name, 'count(*) AS "__count"']
        where = [asked.metric.where, f"{name} IS NOT NULL"]
        return f"{self._candidate.select(what, where, slice_)} GROUP BY ALL"

    # -- queries that users write -------------------------------------------------------------------------

    def _query(self, metric: Metric, slice_: int, what: str) -> str:
        """Return the query of something of a user's query, with the tables that it may read."""
        query = read_query(str(metric.value("unexpected_rows_query")))
        names = [column.sql for column in self._candidate.columns.values()]
        named = {BATCH: f"({self._candidate.select(names, [metric.where], slice_)})"}
        for table in sorted(query.tables):
            if self._tables is None:
                raise ValueError(f"no published table {table!r}: none is known here")
            named[table] = self._tables(table)
        tables = ", ".join(f'"{name}" AS (SELECT * FROM {sql})' for name, sql in named.items())
        return f'WITH {tables} SELECT {what} FROM (\n{query.text}\n) AS "__found"'

    def _query_count(self, metric: Metric, slice_: int) -> int:
        query = self._query(metric, slice_, "count(*)")
        return int(self._candidate.run(query)[0][0])

    def _query_rows(self, metric: Metric, slice_: int, most: int) -> list[dict[str, Any]]:
        query = self._query(metric, slice_, "*")
        reader = self._candidate.rows.connection.execute(f"{query} LIMIT {most}")
        names = [each[0] for each in reader.description]
        return [
            {name: plain(value) for name, value in zip(names, row, strict=True)}
            for row in reader.fetchall()
        ]

    # -- examples -----------------------------------------------------------------------------------------

    def _unexpected(
        self, metric: Metric, condition: Condition, slice_: int, most: int
    ) -> list[Any]:
        base = self._base(metric, condition, slice_)
        columns = condition.columns
        if (expected := condition.predicate) is not None:
            reader = self._candidate.rows.connection.execute(base)
            found: list[Any] = []
            while len(found) < most and (chunk := reader.fetchmany(_CHUNK)):
                found += [value for _, value in chunk if not expected(value)]
            return found[:most]
        unexpected = '"__same" > 1' if condition.together else condition.unexpected
        names = ", ".join(column.sql for column in columns)
        rows = self._candidate.run(
            f"SELECT {names} FROM ({self._widened(condition, base)}) WHERE {unexpected} LIMIT {most}"
        )
        if "column_list" in metric.domain:
            return [{c.name: plain(v) for c, v in zip(columns, row, strict=True)} for row in rows]
        if "column_A" in metric.domain:
            return [tuple(map(plain, row)) for row in rows]
        return [plain(row[0]) for row in rows]

    def _unknown_values(self, asked: Question, slice_: int) -> list[Any]:
        column, known = asked.column(), asked.metric.value("value_set") or []
        return self._distinct(asked, f"NOT ({is_in(column, known)})", slice_, _DISTINCT)

    def _missing_values(self, asked: Question, slice_: int) -> list[Any]:
        column, known = asked.column(), asked.metric.value("value_set") or []
        there = self._distinct(asked, is_in(column, known), slice_, len(known))
        return [value for value in known if value not in there][:_DISTINCT]

    def _distinct(self, asked: Question, where: str, slice_: int, most: int) -> list[Any]:
        name = asked.column().sql
        conditions = [asked.metric.where, f"{name} IS NOT NULL", where]
        query = self._candidate.select([f"DISTINCT {name}"], conditions, slice_)
        return [plain(row[0]) for row in self._candidate.run(f"{query} ORDER BY ALL LIMIT {most}")]


def _unknown(name: str) -> Callable[[int | None], dict[int, Any]]:
    """Return what fails for a metric that is not known here."""

    def fail(_: int | None) -> dict[int, Any]:
        raise NotImplementedError(f"metric {name!r} is not known here")

    return fail


_DISTINCT_VALUES: Mapping[str, Callable[[Measure, Question, int], list[Any]]] = {
    "column.distinct_values.not_in_set": Measure._unknown_values,
    "column.distinct_values.missing_from_column": Measure._missing_values,
}


def _columns(candidate: Candidate) -> list[str]:
    return list(candidate.columns)


def _column_types(candidate: Candidate) -> list[dict[str, Any]]:
    from tidegate.gate.gx_patches import spark_type

    return [
        {"name": column.name, "type": spark_type(column.type_class)}
        for column in candidate.columns.values()
    ]


_CONSTANTS: Mapping[str, Callable[[Candidate], Any]] = {
    "table.columns": _columns,
    "table.column_count": lambda candidate: len(candidate.columns),
    "table.column_types": _column_types,
}
"""Metrics that no row has a part in."""
SHOWN = (".unexpected_values", "unexpected_rows_query.table", *_DISTINCT_VALUES)
"""How names of metrics end that only show what was not expected: they are computed where something was not."""
