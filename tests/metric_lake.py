"""Published tables of a few rows in a DuckDB connection, with metrics over them: no lake, no Delta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from tidegate.config.metrics import Metric, make_views, parse_metric
from tidegate.config.metrics.check import duckdb_type
from tidegate.config.metrics.placeholder_views import empty
from tidegate.config.metrics.sketches import FUNCTIONS
from tidegate.tables import BY_NAME

Row = Mapping[str, Any]
OWN = {"ms": "INTEGER", "price": "DECIMAL(10,2)", "score": "DOUBLE", "device": "VARCHAR"}
"""Columns of events that sources of tests add."""


def metric(kind: str, name: str = "m", **keys: Any) -> Metric:
    """Return a metric of a kind."""
    said = {"metric": name, "kind": kind, "description": "A test.", "owner": "tests", **keys}
    return parse_metric(said, Path(f"{name}.yml"))


def lake(
    events: Iterable[Row] = (),
    sessions: Iterable[Row] = (),
    days: Iterable[Row] = (),
    own: Mapping[str, str] = OWN,
) -> duckdb.DuckDBPyConnection:
    """Return the connection with published tables of just these rows; keys that a row lacks are NULL."""
    connection = _connection()
    for name, rows in (("events", events), ("sessions", sessions), ("daily_activity", days)):
        types = {column.name: duckdb_type(column.type) for column in BY_NAME[name].columns}
        if name == "events":
            types |= own
        listed = [[row.get(column) for column in types] for row in rows]
        connection.execute(f"CREATE OR REPLACE TABLE rows_{name} AS {empty(types)}")
        if listed:
            places = ", ".join(f"({', '.join('?' for _ in types)})" for _ in listed)
            values = [value for row in listed for value in row]
            connection.execute(f"INSERT INTO rows_{name} VALUES {places}", values)
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM rows_{name}")
    return connection


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """Open the one connection of the tests: to open one takes as long as ten queries."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def computed(connection: duckdb.DuckDBPyConnection, *metrics: Metric) -> list[dict[str, Any]]:
    """Return the rows of the last of some metrics."""
    return computed_all(connection, *metrics)[metrics[-1].name]


def computed_all(
    connection: duckdb.DuckDBPyConnection, *metrics: Metric
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of some metrics, by name."""
    known = connection.execute("FROM duckdb_schemas() WHERE schema_name = 'metrics'").fetchall()
    if known:
        connection.execute("DROP SCHEMA metrics CASCADE")
        for name in FUNCTIONS:
            connection.remove_function(name)
    faults = make_views(connection, {each.name: each for each in metrics})
    assert not faults, faults
    found = {}
    for each in metrics:
        result = connection.execute(f'SELECT * FROM metrics."{each.name}"')
        names = [column[0] for column in result.description]
        found[each.name] = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return found


def period(at: datetime, interval: str, zone: str) -> tuple[datetime, datetime]:
    """Return the start of the period of an instant, in UTC and by its zone's clocks, by trying instants."""
    local = at.astimezone(ZoneInfo(zone))
    floor = _floor(local, interval)
    return _first(floor, local.utcoffset() if interval == "hour" else None, interval, zone), floor


@cache
def _first(floor: datetime, offset: timedelta | None, interval: str, zone: str) -> datetime:
    """Return the first instant at which the clocks show a period, by a given offset if there is one."""
    tried = floor.replace(tzinfo=UTC) - timedelta(hours=15)
    while True:
        shown = tried.astimezone(ZoneInfo(zone))
        if _floor(shown, interval) == floor and offset in (None, shown.utcoffset()):
            return tried
        tried += timedelta(minutes=1)


def _floor(local: datetime, interval: str) -> datetime:
    hour = local.replace(tzinfo=None, minute=0, second=0, microsecond=0)
    if interval == "hour":
        return hour
    day = hour.replace(hour=0)
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day
