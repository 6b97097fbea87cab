"""Metrics of a release: their definitions, their values, and how whole each period is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.common.sql_quoting import quoted
from tidegate.common.text_output import csv_lines, visible
from tidegate.config.metrics import Metric
from tidegate.config.metrics.load import from_canonical
from tidegate.config.metrics.model import percentile_name
from tidegate.config.metrics.sql import SCHEMA, group_names
from tidegate.query.connect import metrics as definitions_of
from tidegate.query.connect import pinned, query_errors
from tidegate.report.addresses import UnknownPageError
from tidegate.report.numbers import SECONDS, SHARE
from tidegate.report.periods import HourFacts, Period, hour_facts
from tidegate.report.rows import TEXT, rows

if TYPE_CHECKING:
    import duckdb

PERIODS: Mapping[str, int] = {"hour": 72, "day": 60, "week": 26, "month": 24}
"""How many periods a chart shows at most, the newest ones."""
_ROWS = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_KEYS = ("period_start", "period_local")


@dataclass(frozen=True)
class Series:
    """Numbers of one group or column, by period.

    Attributes:
        name: of the group, or of the column.
        values: by the start of the period.
    """

    name: str
    values: Mapping[datetime, float]


@dataclass(frozen=True)
class MetricValues:
    """A metric of a release.

    Attributes:
        name: of the metric.
        definition: as its file has it.
        sql: the query of its view.
        columns: names of the view's columns.
        rows: of the newest periods, oldest first.
        periods: the periods of those rows, oldest first.
        fault: why it has no values, None if it has.
        metric: the definition as read; None if a newer version wrote it.
        groups: columns that it is grouped by.
    """

    name: str
    definition: Mapping[str, Any]
    sql: str
    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    periods: tuple[Period, ...] = ()
    fault: str | None = None
    metric: Metric | None = None
    groups: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Its kind; an empty text if it can't be read."""
        return self.metric.kind if self.metric is not None else ""

    @property
    def unit(self) -> str | None:
        """What its numbers are: a share, seconds, or None for plain numbers."""
        if self.kind in ("ratio", "retention"):
            return SHARE
        value = self.metric.value if self.metric is not None else None
        timed = value is not None and value.endswith("_s") and self.kind not in ("unique", "count")
        return SECONDS if timed else None

    @property
    def is_additive(self) -> bool:
        """Whether values of groups add up to that of the whole."""
        return self.kind in ("count", "sum", "new_users")

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns that a chart shows."""
        if self.kind == "active_users":
            return ("dau", "wau", "mau")
        if self.kind == "percentiles" and self.metric is not None:
            return tuple(map(percentile_name, self.metric.percentiles))
        return ("value",)

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return tuple(
            name
            for name in self.columns
            if any(
                isinstance(row[name], int | float | Decimal) and not isinstance(row[name], bool)
                for row in self.rows
            )
        )

    def series(self) -> list[Series]:
        """Return its numbers as series: one a group and column, the largest first."""
        found: dict[str, dict[datetime, float]] = {}
        for row in self.rows:
            group = ", ".join(_label(row[name]) for name in self.groups)
            for measure in self.measures:
                if row.get(measure) is None:
                    continue
                parts = [group] if len(self.measures) == 1 else [group, measure]
                name = " ".join(part for part in parts if part)
                found.setdefault(name, {})[row["period_start"]] = float(row[measure])
        made = [Series(name, values) for name, values in found.items()]
        return sorted(made, key=lambda each: (-sum(map(abs, each.values.values())), each.name))


@dataclass(frozen=True)
class Metrics:
    """All metrics of a release."""

    release: str | None
    released_at: datetime | None
    versions: Mapping[str, int]
    metrics: tuple[MetricValues, ...]

    def named(self, name: str) -> MetricValues:
        """Return the metric of a name.

        Raises:
            UnknownPageError: the release has no such metric.
        """
        for each in self.metrics:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.metrics) or "none"
        raise UnknownPageError("no such metric", where=name, expected=f"one of {known}")


def metrics_of(connection: duckdb.DuckDBPyConnection) -> Metrics:
    """Return the metrics of the release that a connection shows, with the values of their newest periods."""
    release = pinned(connection)
    texts = definitions_of(connection)
    read = {name: metric for name, text in texts.items() if (metric := _read(text)) is not None}
    views = dict(
        connection.execute(
            "SELECT view_name, sql FROM duckdb_views() WHERE schema_name = ?", [SCHEMA]
        ).fetchall()
    )
    released = rows(
        connection,
        "SELECT released_at, map_entries(versions) AS versions FROM ops.releases WHERE release_id = ?",
        [release],
    )
    versions = {e["key"]: e["value"] for e in released[0]["versions"]} if released else {}
    found = [
        _values(connection, name, text, views.get(name, ""), read) for name, text in texts.items()
    ]
    starts = [row["period_start"] for each in found for row in each.rows if "period_start" in row]
    facts = hour_facts(connection, min(starts), versions.get("events")) if starts else HourFacts()
    return Metrics(
        release=release,
        released_at=released[0]["released_at"] if released else None,
        versions=versions,
        metrics=tuple(_with_periods(each, facts, read) for each in found),
    )


def csv_of(found: MetricValues) -> str:
    """Return the rows of a metric as CSV in which no text is a formula of a spreadsheet."""
    values = [[_harmless(row[name]) for name in found.columns] for row in found.rows]
    return "".join(csv_lines([str(_harmless(name)) for name in found.columns], values))


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _read(text: str) -> Metric | None:
    try:
        return from_canonical(text)
    except TidegateError:
        return None  # a newer version wrote it: its page has the text


def _values(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    text: str,
    sql: str,
    read: Mapping[str, Metric],
) -> MetricValues:
    metric = read.get(name)
    definition = {key: value for key, value in json.loads(text).items() if key != "columns"}
    if metric is None:
        return MetricValues(name, definition, sql, fault="a newer version of Tidegate wrote it")
    first = "cohort_start" if metric.kind == "retention" else "period_start"
    newest = PERIODS[_timing(metric, read)[0]]
    view = f"{SCHEMA}.{quoted(name)}"
    try:
        with query_errors("the metric can't be computed"):
            made = rows(
                connection,
                f"FROM {view} QUALIFY dense_rank() OVER (ORDER BY {first} DESC) <= {newest} "
                f"ORDER BY ALL LIMIT {_ROWS}",
            )
    except TidegateError as error:
        fault = str(error.got or error.what)[:TEXT]
        return MetricValues(name, definition, sql, fault=fault, metric=metric)
    columns = [row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()]
    return MetricValues(
        name=name,
        definition=definition,
        sql=sql,
        columns=tuple(columns),
        rows=made,
        metric=metric,
        groups=group_names(metric, read),
    )


def _with_periods(
    found: MetricValues, facts: HourFacts, read: Mapping[str, Metric]
) -> MetricValues:
    if found.metric is None or found.kind == "retention":
        return found
    interval, zone, sources = _timing(found.metric, read)
    starts = dict(sorted((row["period_start"], row["period_local"]) for row in found.rows))
    periods = [
        facts.period(start, local, interval, zone, sources) for start, local in starts.items()
    ]
    return MetricValues(**{**vars(found), "periods": tuple(periods)})


def _timing(metric: Metric, read: Mapping[str, Metric]) -> tuple[str, str, Sequence[str]]:
    """Return the interval, time zone and sources of a metric; of a ratio, those of what it is made of."""
    if metric.kind != "ratio":
        return metric.interval, metric.time_zone, metric.sources
    parts = list(_parts(metric, read, ()))
    if not parts:
        return metric.interval, metric.time_zone, ()
    every = all(part.sources for part in parts)
    sources = sorted({name for part in parts for name in part.sources}) if every else ()
    return parts[-1].interval, parts[-1].time_zone, sources


def _parts(metric: Metric, read: Mapping[str, Metric], seen: tuple[str, ...]) -> Iterator[Metric]:
    """Yield the metrics that a ratio is made of in the end, those of its denominator last."""
    for name in metric.made_of:
        part = read.get(name)
        if part is None or name in seen:
            continue
        if part.kind == "ratio":
            yield from _parts(part, read, (*seen, name))
        else:
            yield part


def _label(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    return visible(str(value)[:60])
