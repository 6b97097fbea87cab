"""`tidegate backfill`: what it refuses, what it asks of Airflow, and what it says at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handmade_books import Books
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR
from tidegate.stack.airflow_api import AirflowApi

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
SOURCE = """source: web
since: 2024-03-01T00
dumps: dumps/{dump_hour:%Y-%m-%d-%H}.json
fields: {event_time: at}
"""


class Airflow:
    """Stands for Airflow's API: answers as it was told to, and keeps what it was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paused = False
        self.under_way: list[dict[str, Any]] = []
        self.states: dict[datetime, str] = {}
        self.sent: list[tuple[str, Any]] = []
        monkeypatch.setattr(AirflowApi, "_send", self._send)

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        missing_ok: bool = False,
    ) -> Any:
        del params, missing_ok
        if method == "POST":
            self.sent.append((path, json))
        if path == "/dags/land_web":
            return {"is_paused": self.paused}
        if path == "/backfills/dry_run":
            return {"backfills": [{"logical_date": hour.isoformat()} for hour in self.states]}
        if path == "/backfills" and method == "GET":
            return {"backfills": self.under_way, "total_entries": len(self.under_way)}
        if path == "/backfills":
            return {"id": 7}
        if path == "/backfills/7":
            return {"completed_at": "2024-03-02T00:00:00Z"}
        rows = [
            {"logical_date": hour.isoformat(), "state": state}
            for hour, state in self.states.items()
        ]
        return {"dag_runs": rows, "total_entries": len(rows)}


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    books = Books(tmp_path)
    for n, published in enumerate((True, True, False)):
        landing = books.land("web", NOON + n * HOUR)
        if published:
            books.publish("web", NOON + n * HOUR, landing)
    failed = {"status": "failed", "severity": "critical"}
    books.audit("web", NOON + 2 * HOUR, [failed])
    books.write()
    (tmp_path / "expectations").mkdir()
    (tmp_path / "dags" / "sources" / "web.yml").write_text(SOURCE)
    for name, value in {
        "TIDEGATE_PROJECT": str(tmp_path),
        "TIDEGATE_HOME": str(tmp_path / "home"),
        "TIDEGATE_LAKE": str(tmp_path / "lake"),
        "TIDEGATE_AIRFLOW": "http://127.0.0.1:1",
        "TIDEGATE_AIRFLOW_USER": "admin",
        "TIDEGATE_AIRFLOW_PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    return Airflow(monkeypatch)


def backfill(first: str = "2024-03-01T12", last: str = "2024-03-01T14", *more: str) -> Any:
    return CliRunner().invoke(app, ["backfill", "web", "--from", first, "--to", last, *more])


@pytest.mark.parametrize(
    ("first", "last", "what"),
    [
        ("2024-03-01T14", "2024-03-01T12", "the range ends before it begins"),
        ("2024-02-29T12", "2024-03-01T12", "not hours of web"),
        ("2024-03-01T12", "2999-01-01T00", "not hours of web"),
        ("noon", "2024-03-01T12", "not an hour"),
    ],
)
def test_hours_that_are_none_of_the_source_are_refused_before_airflow_is_asked(
    airflow: Airflow, first: str, last: str, what: str
) -> None:
    told = backfill(first, last)
    assert isinstance(told.exception, TidegateError)
    assert what in told.exception.describe()
    assert airflow.sent == []


def test_a_backfill_is_made_watched_and_summed_up(airflow: Airflow) -> None:
    airflow.states = {NOON: "success", NOON + HOUR: "success", NOON + 2 * HOUR: "failed"}
    told = backfill("2024-03-01T11", "2024-03-01T14", "--backwards", "--reprocess", "failed")
    assert told.exit_code == 3  # the gate holds one
    assert airflow.sent[-1] == (
        "/backfills",
        {
            "dag_id": "land_web",
            "from_date": "2024-03-01T11:00:00+00:00",
            "to_date": "2024-03-01T14:00:00+00:00",
            "max_active_runs": 24,
            "reprocess_behavior": "failed",
            "run_backwards": True,
        },
    )
    assert "3 of 4 hours ran" in told.stdout
    assert "2 succeeded, 1 failed; 1 have a run already" in told.stdout
    assert "hours now: 1 held, 1 missing, 2 published" in told.stdout
    assert "failed: 2024-03-01T14;" in told.stdout
    assert "3 of 3 hours done, 1 failed" in told.stderr


def test_scripts_get_json(airflow: Airflow) -> None:
    airflow.states = {NOON: "success", NOON + HOUR: "success"}
    told = backfill("2024-03-01T12", "2024-03-01T13", "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert found.pop("seconds") >= 0
    assert found == {
        "backfill_id": 7,
        "asked": 2,
        "ran": 2,
        "succeeded": 2,
        "failed": [],
        "hours": {"published": 2},
    }


def test_where_all_hours_have_a_run_nothing_is_made(airflow: Airflow) -> None:
    told = backfill("2024-03-01T12", "2024-03-01T13")
    assert told.exit_code == 0
    assert "0 of 2 hours ran" in told.stdout
    assert [path for path, _ in airflow.sent] == ["/backfills/dry_run"]


def test_a_second_one_is_refused_and_the_first_one_named(airflow: Airflow) -> None:
    airflow.under_way = [
        {"id": 3, "from_date": "A", "to_date": "B", "is_paused": True, "completed_at": None}
    ]
    told = backfill()
    assert isinstance(told.exception, TidegateError)
    assert "under way (paused)" in told.exception.what
    assert "backfill 3, from A to B" in told.exception.describe()
    assert airflow.sent == []


def test_a_paused_dag_is_refused(airflow: Airflow) -> None:
    airflow.paused = True
    told = backfill()
    assert isinstance(told.exception, TidegateError)
    assert told.exception.what == "land_web is paused"


def test_without_an_airflow_it_says_how_to_get_one(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEGATE_AIRFLOW")
    told = backfill()
    assert isinstance(told.exception, TidegateError)
    assert "tidegate up" in told.exception.describe()
    assert airflow.sent == []
