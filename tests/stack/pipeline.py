"""Backfills through the real Airflow of an embedded stack, waited for without guessing how long."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from project import REPO
from tidegate.config.settings import Settings
from tidegate.config.stack_state import StackState
from tidegate.query.connect import connect
from tidegate.stack.airflow_api import AirflowApi

DEADLINE_S = 900.0
DONE = ("success", "failed")


def copy_project(target: Path, complete: str = "complete: {files: 1}") -> Path:
    """Copy DAGs, sources and suites; the real streams' sources wait for files, not for a quiet time."""
    shutil.copytree(REPO / "dags", target / "dags")
    shutil.copytree(REPO / "expectations", target / "expectations")
    for name in ("github", "nasa"):
        file = target / "dags" / "sources" / f"{name}.yml"
        text = file.read_text(encoding="utf-8")
        assert "complete: {after: 10m}" in text
        file.write_text(text.replace("complete: {after: 10m}", complete), encoding="utf-8")
    return target


def settings_of(state: StackState, project: Path, home: Path) -> Settings:
    """Return the settings that reach a stack's lake."""
    return Settings(project=project, home=home, lake=state.lake, spark=state.spark, s3=state.s3)


def api_of(state: StackState) -> AirflowApi:
    """Return a client of a stack's Airflow."""
    assert state.airflow is not None
    assert state.user is not None
    assert state.password is not None
    return AirflowApi(state.airflow, state.user, state.password)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail if it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.5)


def backfill(api: AirflowApi, ranges: dict[str, tuple[datetime, datetime]]) -> dict[str, list[str]]:
    """Backfill ranges of dump hours by source; return the states of the runs, in order, when all ended."""
    for source in ranges:
        api.wait_for_dag(f"land_{source}")
    api.wait_for_dag("derive")
    # Created while paused: Airflow can't take a second one on SQLite while the first one runs.
    ids = [api.create_backfill(f"land_{s}", first, last) for s, (first, last) in ranges.items()]
    for dag in (*(f"land_{source}" for source in ranges), "derive"):
        api.unpause(dag)
    wait_until(
        lambda: all(api.backfill(each)["completed_at"] for each in ids), f"backfills of {ranges}"
    )
    return {
        source: [run["state"] for run in api.dag_runs(f"land_{source}", run_type="backfill")]
        for source in ranges
    }


def wait_for_release(api: AirflowApi, settings: Settings) -> None:
    """Wait until a release pins the last publication of events."""

    def released() -> bool:
        if any(run["state"] not in DONE for run in api.dag_runs("derive")):
            return False
        with connect(settings) as connection:
            row = connection.execute(
                "SELECT (SELECT max(delta_version) FROM ops.publications "
                "WHERE table_name = 'events') "
                "= (SELECT max_by(versions, released_at)['events'] FROM ops.releases)"
            ).fetchone()
        return bool(row and row[0])

    wait_until(released, "a release of all that was published")
