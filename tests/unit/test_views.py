"""Views for analysts: each says what it and its columns mean, and freshness is what is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tidegate
from handmade_books import Books
from tidegate.query.views import VIEWS
from tidegate.tables import OPS, WAREHOUSE

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of two sources: one with a hole, one whose newest hours are held."""
    books = Books(tmp_path_factory.mktemp("lake"))
    for n in (0, 1, 3, 4):
        hour = NOON + n * HOUR
        books.publish("app", hour, books.land("app", hour), version=n)
    for n in range(3):
        hour = NOON + n * HOUR
        landing = books.land("web", hour)
        if n:
            books.audit("web", hour, [{"status": "failed", "severity": "critical"}])
        else:
            books.publish("web", hour, landing, version=5)
    books.release(NOON + 9 * HOUR, 3)
    books.release(NOON + 10 * HOUR, 5)
    return Path(books.write().lake)


def test_every_table_view_and_column_says_what_it_means(lake: Path) -> None:
    with tidegate.connect(lake) as db:
        views = db.sql(
            "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        columns = db.sql(
            "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() "
            "WHERE database_name = current_database() AND NOT internal"
        ).fetchall()
    named = {(schema, name) for schema, name, _ in views}
    assert {(each.schema, each.name) for each in VIEWS} <= named
    assert len(named) == len(VIEWS) + len(WAREHOUSE) + len(OPS)
    assert [each for each in views if not (each[2] or "").startswith("One row is ")] == []
    assert [each for each in columns if not each[3]] == []
    for view in VIEWS:  # and none says what there is not
        there = {c for s, v, c, _ in columns if (s, v) == (view.schema, view.name)}
        assert there == set(view.columns)


def test_freshness_is_of_the_release(lake: Path) -> None:
    def fresh(release: str) -> dict[str, tuple[datetime, ...]]:
        with tidegate.connect(lake, release) as db:
            rows = db.sql("SELECT * FROM freshness ORDER BY source").fetchall()
        now = datetime.now(UTC)
        for row in rows:
            if row[1] is not None:
                assert abs((now - row[1] - HOUR).total_seconds() - row[5]) < 60
        return {row[0]: tuple(t and t.astimezone(UTC) for t in row[1:5]) for row in rows}

    last = fresh("r00002")
    minutes = timedelta(minutes=72)
    assert last["app"] == (
        NOON + 4 * HOUR,
        NOON + HOUR,
        NOON + 4 * HOUR + minutes,
        NOON + 10 * HOUR,
    )
    assert last["web"] == (NOON, NOON, NOON + minutes, NOON + 10 * HOUR)
    first = fresh("r00001")
    assert first["app"][0] == NOON + 3 * HOUR
    assert first["web"] == (None, None, None, NOON + 9 * HOUR)
