"""The compiler: a metric's definition -> one DuckDB query. It is pure: no lake, no clock, no connection.

Text of a definition enters a query in three ways only: quoted as a name, quoted as a text, or as an expression that
`expressions` let pass, between parentheses.

**Periods.** A row belongs to the hour, day, week (from Monday) or month in which it happened by the clocks of the
time zone. `period_start` is the instant at which that begins (UTC) and `period_local` what the clocks show then. A day
has 23, 24 or 25 hours; an hour that comes twice is two periods of the same `period_local`.

To ask ICU for the local time of every event is ten times as slow as the rest of a query, so it is asked of quarters of
an hour: at such ones zones have changed their clocks since 1980, but for a few that are asked of minutes. A period's
start is the first quarter that lies in it, whatever the clocks did at midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tidegate.common.sql_quoting import literal, quoted
from tidegate.config.metrics.model import UTC, ZERO_OF_NOTHING, Metric, percentile_name
from tidegate.config.user_sql import Expression, read_expression
from tidegate.tables.events import USER

SCHEMA = "metrics"
TIMES = {"events": "event_time", "sessions": "session_start"}
"""The column of each table that says when a row happened."""

_QUARTER_US = 900_000_000
_MINUTE_US = 60_000_000
# The longest month and what a zone can be off by.
_BEFORE_US = 33 * 96 * _QUARTER_US
BY_THE_MINUTE = frozenset(
    [
        "America/Goose_Bay",
        "America/Moncton",
        "America/St_Johns",
        "Antarctica/Casey",
        "Asia/Gaza",
        "Asia/Hebron",
        "Canada/Newfoundland",
    ]
)
"""Zones whose clocks changed at a minute past midnight once, since 1980."""
_EXACT_TYPES = ("DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_MISSING_TYPE = "VARCHAR"


def compile_metric(
    metric: Metric, columns: Mapping[str, str], metrics: Mapping[str, Metric]
) -> str:
    """Return the query that computes a metric from the views `main.<table>` and `metrics.<name>`.

    Args:
        metric: the metric.
        columns: of the table that it reads: name -> DuckDB type. What the metric names and the table lacks, since no
            source that has it was published yet, is NULL.
        metrics: those that it may be made of.
    """
    if metric.kind == "ratio":
        return _ratio(metric, metrics)
    if metric.kind == "active_users":
        return _active_users(metric)
    rows = Rows(metric, columns)
    if metric.kind == "funnel":
        from tidegate.config.metrics.funnel import funnel

        return funnel(rows)
    if metric.kind in ("retention", "new_users"):
        from tidegate.config.metrics.cohorts import new_users, retention

        return retention(rows) if metric.kind == "retention" else new_users(rows)
    return _aggregate(rows)


def micros(duration: timedelta) -> int:
    """Return a duration in microseconds."""
    return duration // timedelta(microseconds=1)


@dataclass(frozen=True)
class Rows:
    """The rows that a metric is computed from, and the periods that they belong to.

    Args:
        metric: whose.
        columns: of its table, name -> DuckDB type.
    """

    metric: Metric
    columns: Mapping[str, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """The names that the columns of `group_by` have within a query."""
        return tuple(f"_g{at}" for at in range(len(self.metric.group_by)))

    def named_groups(self, of: str = "") -> list[str]:
        """Return the groups with the names that the view gives them."""
        prefix = f"{of}." if of else ""
        return [
            f"{prefix}{group} AS {quoted(name)}"
            for group, name in zip(self.groups, self.metric.group_by, strict=True)
        ]

    def same_groups(self, one: str, other: str) -> list[str]:
        """Return that two relations' groups are the same, NULL being one of them."""
        return [f"{one}.{g} IS NOT DISTINCT FROM {other}.{g}" for g in self.groups]

    def timed(self, select: Mapping[str, str], where: Sequence[str] = ()) -> str:
        """Return the CTEs up to `_timed`: what is selected of each row, `_at`, groups, `_start` and `_local`.

        Args:
            select: name -> expression over the table's columns.
            where: more conditions on rows.
        """
        metric = self.metric
        time = TIMES[metric.table]
        named = {g: quoted(name) for g, name in zip(self.groups, metric.group_by, strict=True)}
        every = {"_at": f"epoch_us({time})", **named, **select}
        listed = ", ".join(f"{expression} AS {name}" for name, expression in every.items())
        conditions = [*self._conditions(), *where]
        filtered = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = f"_rows AS (SELECT {listed} FROM {self._table()}{filtered})"
        part = literal(metric.interval)
        if metric.time_zone == UTC:
            local = f"date_trunc({part}, make_timestamp(_at))"
            return (
                f"{rows}, _local AS (SELECT *, {local} AS _local FROM _rows), "
                "_timed AS (SELECT *, make_timestamptz(epoch_us(_local)) AS _start FROM _local)"
            )
        zone = literal(metric.time_zone)
        step = _MINUTE_US if metric.time_zone in BY_THE_MINUTE else _QUARTER_US
        # What comes twice differs in its offset.
        offset = ", us - epoch_us(clock)" if metric.interval == "hour" else ""
        return (
            f"{rows}, _quarters AS (SELECT *, {_floor('_at', step)} AS _quarter FROM _rows), "
            "_clocks AS (SELECT us, timezone("
            f"{zone}, make_timestamptz(us)) AS clock FROM (SELECT unnest(range("
            f"min(_quarter) - {_BEFORE_US}, max(_quarter) + 1, {step})) AS us FROM _quarters)), "
            f"_periods AS (SELECT us, date_trunc({part}, clock) AS _local, make_timestamptz(min(us) OVER "
            f"(PARTITION BY date_trunc({part}, clock){offset})) AS _start FROM _clocks), "
            "_timed AS (SELECT _quarters.*, _local, _start FROM _quarters JOIN _periods ON _quarter = us)"
        )

    def _conditions(self) -> list[str]:
        found = []
        if self.metric.sources:
            found.append(f"source IN ({', '.join(map(literal, self.metric.sources))})")
        if self.metric.where is not None:
            found.append(read_expression(self.metric.where).sql)
        return found

    def _table(self) -> str:
        have = {name.casefold() for name in self.columns}
        types = {name.casefold(): kind for name, kind in self.metric.columns.items()}
        missing = {
            name.casefold(): name
            for name in named_columns(self.metric)
            if name.casefold() not in have
        }
        added = "".join(
            f", CAST(NULL AS {types.get(folded, _MISSING_TYPE)}) AS {quoted(name)}"
            for folded, name in missing.items()
        )
        table = f"main.{self.metric.table}"
        return f"(SELECT *{added} FROM {table})" if added else table


def named_columns(metric: Metric) -> tuple[str, ...]:
    """Return the columns of its table that a metric's definition names."""
    texts = [*metric.conditions.values(), *([metric.value] if metric.value else [])]
    named = [*metric.group_by, *(c for text in texts for c in read_expression(text).columns)]
    return tuple(dict.fromkeys(named))


def result(ctes: str, columns: Iterable[str], source: str, order: Iterable[str]) -> str:
    """Return a query: CTEs, columns, where they come from, and the order of its rows."""
    return f"WITH {ctes} SELECT {', '.join(columns)} FROM {source} ORDER BY {', '.join(order)}"


def _floor(us: str, step: int) -> str:
    """Return the last multiple of a step up to microseconds since 1970; before 1970 too."""
    return f"{us} - (({us} % {step}) + {step}) % {step}"


def _aggregate(rows: Rows) -> str:
    metric = rows.metric
    value = read_expression(metric.value) if metric.value is not None else None
    select = {"_v": value.sql} if value is not None else {}
    if metric.kind == "unique" and value is None:
        select = {"_v": USER}
    grouped = ["_start", "_local", *rows.groups]
    ctes = (
        f"{rows.timed(select)}, _values AS (SELECT {', '.join(grouped)}, "
        f"{', '.join(_values(rows, value))} FROM _timed GROUP BY {', '.join(grouped)})"
    )
    names = (
        [percentile_name(each) for each in metric.percentiles]
        if metric.kind == "percentiles"
        else ["value"]
    )
    columns = ["_start AS period_start", "_local AS period_local", *rows.named_groups(), *names]
    return result(ctes, columns, "_values", ["_start", *rows.groups])


def _values(rows: Rows, value: Expression | None) -> list[str]:
    """Return the aggregates of a period's rows.

    Sums of binary fractions depend on their order, so these are ordered: the same rows give the same number.
    """
    metric = rows.metric
    is_exact = value is None or _is_exact(value, rows.columns)
    number = "CAST(_v AS DOUBLE)"
    one = {
        "count": "count(*)",
        "unique": "count(DISTINCT _v)",
        "sum": "sum(_v)" if is_exact else "sum(_v ORDER BY _v)",
        "mean": "avg(_v)" if is_exact else f"avg({number} ORDER BY _v)",
        "median": f"quantile_cont({number}, 0.5)",
    }
    if metric.kind in one:
        return [f"{one[metric.kind]} AS value"]
    return [
        f"quantile_cont({number}, {each / 100!r}) AS {percentile_name(each)}"
        for each in metric.percentiles
    ]


def _is_exact(value: Expression, columns: Mapping[str, str]) -> bool:
    """Return whether sums of an expression are exact: it adds and multiplies whole numbers and decimals."""
    types = {name.casefold(): kind for name, kind in columns.items()}
    return value.is_arithmetic and all(
        types.get(name.casefold(), "").startswith(_EXACT_TYPES) for name in value.columns
    )


def _ratio(metric: Metric, metrics: Mapping[str, Metric]) -> str:
    """Return the query of a ratio: rows as the denominator has them."""
    numerator, denominator = metric.made_of
    above = "n.value"
    of = metrics.get(numerator)
    if of is not None and of.kind in ZERO_OF_NOTHING:
        above = "coalesce(n.value, 0)"
    names = group_names(metric, metrics)
    groups = [quoted(name) for name in names]
    same = ["d.period_start = n.period_start"]
    same += [f"d.{group} IS NOT DISTINCT FROM n.{group}" for group in groups]
    columns = [
        "d.period_start",
        "d.period_local",
        *(f"d.{group}" for group in groups),
        f"{above} AS numerator",
        "d.value AS denominator",
        f"CAST({above} AS DOUBLE) / nullif(CAST(d.value AS DOUBLE), 0) AS value",
    ]
    return (
        f"SELECT {', '.join(columns)} FROM {SCHEMA}.{quoted(denominator)} d "
        f"LEFT JOIN {SCHEMA}.{quoted(numerator)} n ON {' AND '.join(same)} "
        f"ORDER BY {', '.join(['d.period_start', *(f'd.{group}' for group in groups)])}"
    )


def group_names(metric: Metric, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """Return the columns that a metric is grouped by; a ratio, as its denominator."""
    seen: set[str] = set()
    while metric.denominator is not None and metric.denominator in metrics:
        if metric.name in seen:
            break
        seen.add(metric.name)
        metric = metrics[metric.denominator]
    return metric.group_by


def _active_users(metric: Metric) -> str:
    """Return the query of users active over the days up to each UTC day, from the sketches of days."""
    where = (
        f" WHERE source IN ({', '.join(map(literal, metric.sources))})" if metric.sources else ""
    )
    group = ["source"] if metric.group_by else []
    listed = ", ".join(["date", *group])
    by = f" GROUP BY {', '.join(group)}" if group else ""
    same = " AND d.source = s.source" if group else ""
    windows = dict(zip(("dau", "wau", "mau"), metric.days, strict=True))
    sketches = ", ".join(
        f"theta_union(list(d.sketch) FILTER (d.date > s.date - {days})) AS {name}"
        for name, days in windows.items()
    )
    ctes = (
        f"_days AS (SELECT {listed}, theta_union(list(users_sketch)) AS sketch "
        f"FROM main.daily_activity{where} GROUP BY {listed}), "
        f"_spine AS (SELECT CAST(unnest(generate_series(min(date), max(date), INTERVAL 1 DAY)) AS DATE) AS date"
        f"{', source' if group else ''} FROM _days{by}), "
        f"_windows AS (SELECT {', '.join(f's.{each}' for each in ['date', *group])}, {sketches} FROM _spine s "
        f"LEFT JOIN _days d ON d.date > s.date - {max(metric.days)} AND d.date <= s.date{same} GROUP BY ALL)"
    )
    columns = [
        "make_timestamptz(epoch_us(CAST(date AS TIMESTAMP))) AS period_start",
        "CAST(date AS TIMESTAMP) AS period_local",
        *group,
    ]
    for name in windows:
        columns.append(f"coalesce(theta_sketch_estimate({name}), 0) AS {name}")
        columns.append(f"coalesce(theta_sketch_standard_error({name}), 0) AS {name}_standard_error")
    return result(ctes, columns, "_windows", ["date", *group])
