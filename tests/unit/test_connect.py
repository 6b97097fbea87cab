"""`tidegate.connect`, as notebooks and scripts use it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

import tidegate
from handmade_books import Books
from project import REPO
from tidegate.common.errors import TidegateError

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def event(number: int, user: str, kind: str, at: datetime) -> dict[str, Any]:
    return {
        "source": "shop",
        "dump_hour": at.replace(minute=0, second=0),
        "event_id": f"e{number:05d}",
        "event_time": at,
        "event_type": kind,
        "user_key": user,
    }


def session(user: str, start: datetime, kinds: list[str]) -> dict[str, Any]:
    return {
        "source": "shop",
        "start_date": start.date(),
        "start_hour": start.replace(minute=0),
        "session_id": f"{user}/{start:%d%H}",
        "user_key": user,
        "session_start": start,
        "session_end": start + timedelta(minutes=len(kinds) - 1),
        "event_count": len(kinds),
    }


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of ten days, on each of which the same users buy more or less."""
    chance = random.Random(7)
    books = Books(tmp_path_factory.mktemp("lake"))
    events, sessions, days = [], [], []
    for day in range(10):
        start = MONDAY + day * 24 * HOUR
        today = [f"u{n}" for n in range(12) if n % 3 <= day % 3]
        for user in today:
            kinds = ["product_view", "add_to_cart", "purchase"][: chance.randint(1, 3)]
            begin = start + int(user[1:]) * HOUR
            sessions.append(session(user, begin, kinds))
            for at, kind in enumerate(kinds):
                moment = begin + timedelta(minutes=at)
                events.append(event(len(events), user, kind, moment))
        landing = books.land("shop", start)
        books.publish("shop", start, landing)
        days.append(
            {
                "source": "shop",
                "date": start.date(),
                "events": 30,
                "users": len(today),
                "sessions": len(today),
                "bounce_rate": 0.5,
            }
        )
    books.release(MONDAY + 240 * HOUR, 0)
    books.release(MONDAY + 250 * HOUR, 0)
    books.shown |= {"events": events, "sessions": sessions, "daily_activity": days}
    return Path(books.write().lake)


@pytest.fixture
def db(lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with tidegate.connect(lake) as connection:
        yield connection


def test_tables_come_as_arrow_pandas_and_polars(db: duckdb.DuckDBPyConnection) -> None:
    table = db.table("sessions")
    arrow, pandas, polars = table.to_arrow_table(), table.df(), table.pl()
    assert arrow.num_rows == len(pandas) == len(polars) > 50
    assert set(arrow["session_id"].to_pylist()) == set(pandas["session_id"])
    assert polars["session_start"].dtype.time_zone == "UTC"  # type: ignore[attr-defined]


def test_a_release_is_named_by_its_id_or_by_a_time(lake: Path) -> None:
    first, second = MONDAY + 240 * HOUR, MONDAY + 250 * HOUR
    for wanted, found in {
        None: "r00002",
        "r00001": "r00001",
        first: "r00001",
        (second - timedelta(seconds=1)).isoformat(): "r00001",
        f"{second:%Y-%m-%d %H:%M}": "r00002",
        "2026-03-12T12:00+02:00": "r00002",
        "2026-03-12T11:59+02:00": "r00001",
        "2030-01-01": "r00002",
    }.items():
        with tidegate.connect(lake, wanted) as connection:
            row = connection.execute("SELECT getvariable('tidegate_release')").fetchone()
            assert row == (found,), wanted


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("2026-03-11", "no release had been made by 2026-03-11"),
        ("r3", "no release 'r3'"),
        ("'; DROP TABLE x", "no release"),
        ("", "no release ''"),
    ],
)
def test_a_release_that_is_not_there_is_told(lake: Path, wanted: str, said: str) -> None:
    with pytest.raises(TidegateError, match=said):
        tidegate.connect(lake, wanted)


@pytest.mark.parametrize("name", ['ev"ents', "events'; --", "", "ops.no", "staging.events"])
def test_a_table_that_is_not_there_is_an_error(db: duckdb.DuckDBPyConnection, name: str) -> None:
    with pytest.raises(duckdb.Error):
        db.table(name)


def test_what_is_published_can_not_be_changed(db: duckdb.DuckDBPyConnection) -> None:
    for statement in (
        "DELETE FROM events",
        "INSERT INTO sessions SELECT * FROM sessions",
        "UPDATE events SET user_key = 'me'",
        "SET enable_external_access = true",
        "SET allow_unsigned_extensions = true",
        "INSTALL spatial",
        "LOAD spatial",
        "LOAD '/tmp/mine.duckdb_extension'",
    ):
        with pytest.raises(duckdb.Error):
            db.execute(statement)


def test_filters_go_down_to_the_files(db: duckdb.DuckDBPyConnection) -> None:
    plan = db.execute(
        "EXPLAIN SELECT session_id FROM sessions WHERE start_date = DATE '2026-03-03'"
    ).fetchall()[0][1]
    scan = plan[plan.index("DELTA_SCAN") :]
    assert "start_date='2026-03-03'" in scan.replace("::DATE", "").replace(" ", "")


def test_a_result_of_any_size_is_read_in_pieces(db: duckdb.DuckDBPyConnection) -> None:
    many = db.execute("SELECT * FROM range(100_000_000)")  # would be 800 MB in one piece
    assert len(many.fetchmany(1000)) == 1000


def test_no_project_is_needed(lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tidegate.config.settings as settings

    monkeypatch.delenv("TIDEGATE_PROJECT", raising=False)
    monkeypatch.setattr(settings, "__file__", str(tmp_path / "site-packages/tidegate/settings.py"))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with tidegate.connect(lake) as connection:
        assert connection.table("daily_activity").shape[0] == 10
    with pytest.raises(TidegateError, match="no Tidegate project here"):
        tidegate.connect()


def test_the_example_notebook_runs_and_draws(lake: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(REPO / "infra/notebook/analyst.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept without results
    os.environ["TIDEGATE_LAKE"] = str(lake)
    try:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    finally:
        del os.environ["TIDEGATE_LAKE"]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    drawn = [o for c in cells for o in c.outputs if "image/png" in o.get("data", {})]
    assert len(drawn) == 3
    funnel = next(c for c in cells if "STEPS" in c.source).outputs[0].data["text/plain"]
    with tidegate.connect(lake) as db:
        for step, kind in enumerate(["product_view", "add_to_cart", "purchase"], start=1):
            # Here each session takes the steps in their order from the first one on.
            counted = db.execute("SELECT count(*) FROM events WHERE event_type = ?", [kind])
            row = counted.fetchone()
            assert row is not None
            assert f"{step}" in funnel
            assert f"{kind}" in funnel
            assert f" {row[0]}" in funnel
