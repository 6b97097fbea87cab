"""What stands beside the tables in the SQL server: it says what DuckDB says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sql_server import SqlServer, ask, sql_server

import tidegate
from handmade_books import Books
from tidegate.config.settings import SqlLimits
from tidegate.query.views import VIEWS, spark_views

HOUR = timedelta(hours=1)
EVENING = datetime(2026, 3, 1, 22, tzinfo=UTC)
SERVED = {
    view.name if view.schema == "main" else f"{view.schema}.{view.name}": view
    for view in VIEWS
    if f"{view.schema}.{view.name}" in spark_views()
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of two sources: one with a hole, one with held hours, over a midnight."""
    books = Books(tmp_path_factory.mktemp("lake"))
    failures = [
        {"status": "failed", "severity": "critical", "expectation": name, "why": 'it\'s "so"'}
        for name in ("b", "a")
    ]
    for n in (0, 1, 3, 4):
        hour = EVENING + n * HOUR
        books.publish("app", hour, books.land("app", hour), version=n)
    books.land("app", EVENING + 5 * HOUR)
    books.land("app", EVENING + 6 * HOUR, status="unreadable", error="no file")
    for n in range(3):
        hour = EVENING + n * HOUR
        landing = books.land("web", hour)
        if n:
            books.audit("web", hour, failures)
        else:
            books.publish("web", hour, landing, version=5)
    books.land("app", EVENING)  # again, and not published
    books.release(EVENING + 9 * HOUR, 3)
    books.release(EVENING + 10 * HOUR, 5)
    return Path(books.write().lake)


@pytest.fixture(scope="module")
def server(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    with sql_server(tmp_path_factory.mktemp("sql"), lake, SqlLimits(memory="1g")) as made:
        yield made


@pytest.fixture(scope="module")
def cursor(server: SqlServer) -> Iterator[Any]:
    with contextlib.closing(server.connect()) as connection:
        yield connection.cursor()


def plain(value: Any) -> Any:
    """Return a value as all clients have it: times without their zone, dates as text."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None)
    return str(value) if isinstance(value, date) else value


def rows(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(map(plain, row)) for row in found)


@pytest.mark.parametrize("release", [None, "r00001"])
@pytest.mark.parametrize("name", sorted(SERVED))
def test_a_view_says_what_it_says_in_duckdb(
    lake: Path, cursor: Any, name: str, release: str | None
) -> None:
    columns = [column for column in SERVED[name].columns if column != "age_s"]
    query = f"SELECT {', '.join(columns)} FROM {{}}{name}"
    with tidegate.connect(lake, release) as db:
        expected = db.sql(query.format("")).fetchall()
    schema = "" if release is None or "." in name else f"release_{release}."
    assert rows(ask(cursor, query.format(schema))) == rows(expected) != []


def test_ages_are_of_now(cursor: Any) -> None:
    found = ask(cursor, "SELECT newest_hour, age_s FROM freshness")
    assert len(found) == 2
    for newest, age in found:
        now = datetime.now(UTC).replace(tzinfo=None)
        assert abs((now - newest - HOUR).total_seconds() - age) < 60


def test_dates_are_those_of_utc_whatever_time_zone_a_client_sets(server: SqlServer) -> None:
    with contextlib.closing(server.connect()) as connection:
        cursor = connection.cursor()
        query = "SELECT source, CAST(dump_date AS STRING) FROM completeness_by_day ORDER BY 1, 2"
        expected = ask(cursor, query)
        assert {day for _, day in expected} == {"2026-03-01", "2026-03-02"}
        ask(cursor, "SET spark.sql.session.timeZone=America/Los_Angeles")
        assert ask(cursor, query) == expected


@pytest.mark.parametrize("name", sorted(SERVED))
def test_tools_see_what_views_mean(cursor: Any, name: str) -> None:
    view = SERVED[name]
    told = ask(cursor, f"DESCRIBE TABLE EXTENDED {name}")
    columns = {row[0]: row[2] for row in told[: len(view.columns)]}
    assert columns == dict(view.columns)
    assert ("Comment", f"One row is {view.meaning}.") in [row[:2] for row in told]
    schema = "ops" if view.schema == "ops" else "default"
    assert view.name in {row[1] for row in ask(cursor, f"SHOW TABLES IN {schema}")}
