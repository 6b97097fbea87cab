"""Check: whether metrics can be computed from the tables as catalogue and source files have them. No lake is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tidegate.common.sql_quoting import quoted
from tidegate.common.suggestions import hint, nearest
from tidegate.config.metrics.model import VALUED, Metric
from tidegate.config.metrics.placeholder_views import empty
from tidegate.config.metrics.sql import group_names, named_columns
from tidegate.config.metrics.views import READ, make_views
from tidegate.config.user_sql import read_expression
from tidegate.tables import BY_NAME

Columns = Mapping[str, str]
_SIMPLE = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "binary": "BLOB",
}


def metric_faults(
    metrics: Mapping[str, Metric],
    own: Mapping[str, Columns],
    *,
    others: Columns | None = None,
    every_source: bool = True,
) -> dict[str, list[str]]:
    """Return what is wrong with metrics that could be read: name -> faults; nothing where all are right.

    Args:
        metrics: by name.
        own: source -> the columns that it adds to events, name -> Spark type.
        others: columns of events that no source of `own` has, likewise.
        every_source: whether `own` has all sources that there are.
    """
    every = {**(others or {}), **{k: v for columns in own.values() for k, v in columns.items()}}
    found = {
        name: [
            *(_source_faults(metric, own) if every_source else ()),
            *_column_faults(metric, own, others or {}),
            *_made_of_faults(metric, metrics),
        ]
        for name, metric in metrics.items()
    }
    # What is wrong in words need not be told in DuckDB's, too.
    right = {name: metric for name, metric in metrics.items() if not found[name]}
    for name, faults in _bound(right, every).items():
        if not any(each in found and found[each] for each in metrics[name].made_of):
            found[name] += faults
    return {name: faults for name, faults in found.items() if faults}


def typed(metric: Metric, every: Columns) -> Metric:
    """Return a metric that knows the types of the columns that it names and only some sources have.

    So it means the same on a lake to which no such source has published yet.
    """
    base = set(_columns_of("events")) | set(_columns_of("sessions"))
    named = [] if metric.reads not in ("events", "sessions") else named_columns(metric)
    types = {name: duckdb_type(every[name]) for name in named if name in every and name not in base}
    return replace(metric, columns=types)


def duckdb_type(spark: str) -> str:
    """Return a Spark type as DuckDB's Delta reader gives it."""
    inner = re.fullmatch(r"(array|map)<(.*)>", spark)
    if inner is None:
        return _SIMPLE.get(spark) or spark.upper()  # decimal(p,s)
    if inner[1] == "array":
        return f"{duckdb_type(inner[2])}[]"
    key, value = inner[2].split(",", 1)
    return f"MAP({duckdb_type(key)}, {duckdb_type(value)})"


def _columns_of(table: str) -> Columns:
    return {column.name: column.type for column in BY_NAME[table].columns}


def _source_faults(metric: Metric, own: Mapping[str, Columns]) -> Iterator[str]:
    for source in metric.sources:
        if source not in own:
            yield f"source: no source {source!r}; {hint(source, own)}"


def _column_faults(metric: Metric, own: Mapping[str, Columns], others: Columns) -> Iterator[str]:
    if metric.reads not in ("events", "sessions"):
        return
    base = _columns_of(metric.reads)
    mine: dict[str, None] = {}
    if metric.reads == "events":
        asked = [own[s] for s in metric.sources if s in own] if metric.sources else own.values()
        mine = dict.fromkeys([*(name for columns in asked for name in columns), *others])
    known = [*base, *mine]
    folded = {name.casefold() for name in known}
    for key, names in _named(metric):
        for name in names:
            if name.casefold() in folded:
                continue
            text = "; a text stands in 'single quotes'" if nearest(name, known) is None else ""
            near = nearest(name, known)
            meant = f"; did you mean '{near}'?" if near else text
            of = f" of {', '.join(metric.sources)}" if metric.sources else ""
            yield f"{key}: no column {name!r} in {metric.reads}{of}{meant}"


def _named(metric: Metric) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield where in the file columns are named, and which."""
    yield "group_by", metric.group_by
    for key, text in metric.conditions.items():
        yield key, read_expression(text).columns
    if metric.value is not None:
        yield "value", read_expression(metric.value).columns


def _made_of_faults(metric: Metric, metrics: Mapping[str, Metric]) -> Iterator[str]:
    keys = {"numerator": metric.numerator, "denominator": metric.denominator}
    parts = []
    for key, name in keys.items():
        if name is None:
            continue
        part = metrics.get(name)
        if part is None:
            yield f"{key}: no metric {name!r}; {hint(name, sorted(metrics))}"
        elif part.kind not in VALUED:
            yield (
                f"{key}: {name!r} is of kind {part.kind}, which has not one value a period; a ratio is made "
                f"of {', '.join(VALUED)}"
            )
        else:
            parts.append(part)
    way = _cycle(metric, metrics)
    if way:
        yield f"a metric can't be made of itself: {' -> '.join(way)}"
    elif len(parts) == len(keys):
        yield from _unlike(parts[0], parts[1], metrics)


def _unlike(one: Metric, other: Metric, metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Yield in what two metrics' periods or groups differ, so that they have no ratio."""
    first, second = _base(one, metrics), _base(other, metrics)
    pairs = (
        ("interval", first.interval, second.interval),
        ("time_zone", first.time_zone, second.time_zone),
        ("group_by", sorted(group_names(one, metrics)), sorted(group_names(other, metrics))),
    )
    for key, mine, theirs in pairs:
        if mine != theirs:
            yield f"{key}: {one.name} has {mine}, {other.name} has {theirs}; a ratio is of equal ones"


def _base(metric: Metric, metrics: Mapping[str, Metric]) -> Metric:
    """Return the metric that says which periods a ratio has. There is no cycle."""
    while metric.denominator is not None and metric.denominator in metrics:
        metric = metrics[metric.denominator]
    return metric


def _cycle(metric: Metric, metrics: Mapping[str, Metric]) -> list[str]:
    """Return the way from a metric to itself; empty if there is none."""
    ways = [[metric.name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in metrics[way[-1]].made_of if way[-1] in metrics else ():
            if name == metric.name:
                return [*way, name]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _bound(metrics: Mapping[str, Metric], every: Columns) -> dict[str, list[str]]:
    """Return what DuckDB says against metrics, on empty tables: name -> faults."""
    import duckdb

    found: dict[str, list[str]] = {}
    with duckdb.connect(":memory:", config={"enable_external_access": False}) as connection:
        types = {
            table: {name: duckdb_type(kind) for name, kind in _columns_of(table).items()}
            for table in READ
        }
        base = {name.casefold() for name in types["events"]}
        types["events"].update(
            {n: duckdb_type(kind) for n, kind in every.items() if n.casefold() not in base}
        )
        for table, columns in types.items():
            connection.execute(f"CREATE VIEW {quoted(table)} AS {empty(columns)}")
        for name, metric in metrics.items():
            for key, text in metric.conditions.items():
                query = f"SELECT {read_expression(text).sql} FROM {metric.table}"
                try:
                    kind = str(connection.execute(query).description[0][1])
                except duckdb.Error as error:
                    found.setdefault(name, []).append(f"{key}: {_line(error)}")
                else:
                    if kind.upper() not in ("BOOLEAN", "BOOL"):
                        told = f"{key}: expected a condition, got {text!r}, which is {kind}"
                        found.setdefault(name, []).append(told)
        right = {name: metric for name, metric in metrics.items() if name not in found}
        for name, why in make_views(connection, right).items():
            if not any(each in found for each in metrics[name].made_of):
                found.setdefault(name, []).append(why)
    return found


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
