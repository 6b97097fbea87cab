"""Backfills as people start them: by the form of Airflow's UI, by the command, by REST; minutes long."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from airflow_ui import AirflowUi
from chromium import NAMES, chromium, find_chromium
from pipeline import api_of, settings_of, wait_for_release, wait_until

from project import HOUR, LINES, REPO, event
from tidegate.config.settings import Settings
from tidegate.config.stack_state import StackState
from tidegate.query.connect import connect
from tidegate.stack.airflow_api import AirflowApi
from tidegate.stack.run import running_stack
from tidegate.storage.s3 import Bucket, split_uri

COMMAND = find_chromium()
needs_browser = pytest.mark.skipif(
    COMMAND is None, reason=f"no browser: none of {', '.join(NAMES)}, no TIDEGATE_CHROMIUM"
)

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
DAYS_2 = [FIRST + n * HOUR for n in range(48)]
BROKEN = FIRST + 30 * HOUR
"""An hour whose file was cut short on its way."""
EVENTS = 5
"""Of an hour."""
SOURCES = ("form", "order", "command")
"""A source, and so a DAG, for each test: none depends on another."""


@dataclass(frozen=True)
class Stack:
    """A running stack whose sources have dumps."""

    state: StackState
    settings: Settings
    api: AirflowApi
    environment: dict[str, str]

    def put(self, source: str, hour: datetime, *, cut: bool = False) -> None:
        """Upload the dump of an hour."""
        lines = [
            event(f"{hour:%d%H}-{n}", hour + n * timedelta(minutes=9), f"u{n % 3}")
            for n in range(EVENTS)
        ]
        body = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), mtime=0)
        name = f"{source}/{hour:%Y-%m-%d-%H}.json.gz"
        Bucket(split_uri(self.state.dumps)[0], self.state.s3).put_all(
            {name: body[:-9] if cut else body}
        )

    def runs(self, source: str) -> dict[datetime, dict[str, Any]]:
        """Return the runs of a source's DAG that are backfills, by dump hour."""
        rows = self.api.dag_runs(f"land_{source}", run_type="backfill")
        return {datetime.fromisoformat(row["logical_date"]): row for row in rows}

    def states(self, source: str) -> Counter[str]:
        return Counter(row["state"] for row in self.runs(source).values())

    def wait_for_backfill(self, source: str) -> None:
        """Wait until no backfill of a source is under way, and nothing of it runs."""
        dag_id = f"land_{source}"
        wait_until(
            lambda: (
                not self.api.backfills_under_way(dag_id)
                and not self.states(source).keys() & {"queued", "running"}
            ),
            f"the backfill of {dag_id}",
        )

    def published(self, source: str) -> dict[datetime, int]:
        """Return what an analyst counts, by dump hour."""
        with connect(self.settings) as connection:
            rows = connection.execute(
                "SELECT epoch(dump_hour)::BIGINT, count(*) FROM events WHERE source = ? GROUP BY 1",
                [source],
            ).fetchall()
        return {datetime.fromtimestamp(at, UTC): n for at, n in rows}

    def tidegate(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    os.environ.setdefault("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars"))
    root = tmp_path_factory.mktemp("backfills")
    project, home = root / "project", root / "home"
    shutil.copytree(REPO / "dags", project / "dags", ignore=shutil.ignore_patterns("sources"))
    shutil.copytree(REPO / "expectations", project / "expectations")
    (project / "dags" / "sources").mkdir()
    for source in SOURCES:
        described = {
            **LINES,
            "source": source,
            "since": f"{FIRST:%Y-%m-%dT%H}",
            "complete": {"files": 1},
            "dumps": f"s3://events/{source}/{{dump_hour:%Y-%m-%d-%H}}.json.gz",
        }
        (project / "dags" / "sources" / f"{source}.yml").write_text(yaml.safe_dump(described))
    with running_stack(home, project=project) as state, api_of(state) as api:
        environment = {
            **os.environ,
            "TIDEGATE_PROJECT": str(project),
            "TIDEGATE_HOME": str(home),
        }
        yield Stack(state, settings_of(state, project, home), api, environment)


@pytest.fixture
def ui(stack: Stack, tmp_path: Path) -> Iterator[AirflowUi]:
    assert COMMAND is not None
    with chromium(COMMAND, tmp_path / "profile") as browser:
        yield AirflowUi(browser, stack.state.login)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Give the folder for pictures: `TIDEGATE_PICTURES` to renew those of dags/README.md."""
    return Path(os.environ.get("TIDEGATE_PICTURES") or tmp_path)


@pytest.mark.slow
@needs_browser
def test_two_days_by_the_form(stack: Stack, ui: AirflowUi, pictures: Path) -> None:
    for hour in DAYS_2:
        stack.put("form", hour, cut=hour == BROKEN)
    first, last = DAYS_2[0], DAYS_2[-1]

    ui.dag("land_form")
    ui.fill_backfill(first, last)
    ui.wait_for_text("48 runs will be triggered.")
    ui.picture(pictures / "backfill-form.png")
    ui.click("button", "Run Backfill")
    ui.wait_for_text("Backfill in progress")

    # A second one is refused, and the form says why.
    ui.fill_backfill(last + HOUR, last + 6 * HOUR)
    ui.wait_for_text("6 runs will be triggered.")
    ui.click("button", "Run Backfill")
    ui.wait_for_text("There is already a running backfill for dag land_form")
    ui.picture(pictures / "backfill-refused.png")
    ui.click("button", "Cancel")

    # Paused in the middle, no further run starts; those that run end.
    ui.press_labelled("Pause backfill")
    wait_until(lambda: stack.states("form")["running"] == 0, "what runs has ended")
    paused = stack.states("form")
    assert paused["queued"] > 0
    ui.press_labelled("Unpause backfill")
    ui.dag("land_form")
    ui.wait_for_text("Failed Runs")
    ui.picture(pictures / "backfill-running.png")
    stack.wait_for_backfill("form")
    assert stack.states("form") == {"success": 47, "failed": 1}
    wait_for_release(stack.api, stack.settings)
    good = {hour: EVENTS for hour in DAYS_2 if hour != BROKEN}
    assert stack.published("form") == good

    # The failed hour is fixed, and only it is run again.
    began = {hour: row["start_date"] for hour, row in stack.runs("form").items()}
    stack.put("form", BROKEN)
    ui.dag("land_form")
    ui.fill_backfill(first, last, reprocess="failed")
    ui.wait_for_text("1 run will be triggered.")
    ui.click("button", "Run Backfill")
    ui.wait_for_text("Backfill in progress")
    stack.wait_for_backfill("form")
    again = {h for h, row in stack.runs("form").items() if row["start_date"] != began[h]}
    assert again == {BROKEN}
    assert stack.states("form") == {"success": 48}
    every = dict.fromkeys(DAYS_2, EVENTS)
    wait_until(lambda: stack.published("form") == every, "all hours are released")

    # There is nothing that has not run; all can be run again, which changes nothing.
    ui.dag("land_form")
    ui.fill_backfill(first, last)
    ui.wait_for_text("No runs matching selected criteria.")
    ui.click("button", "Cancel")
    before = _publications(stack, "form")
    ui.fill_backfill(first, last, reprocess="completed")
    ui.wait_for_text("48 runs will be triggered.")
    ui.click("button", "Run Backfill")
    ui.wait_for_text("Backfill in progress")
    stack.wait_for_backfill("form")
    assert stack.states("form") == {"success": 48}
    assert _publications(stack, "form") == before

    # One hour is cleared, and run again.
    hour, row = max(stack.runs("form").items())
    ui.run("land_form", row["dag_run_id"])
    ui.clear_run()
    wait_until(
        lambda: (
            stack.runs("form")[hour]["start_date"] != row["start_date"]
            and stack.states("form") == {"success": 48}
        ),
        "the cleared run has ended again",
    )
    ui.dag("land_form")
    ui.wait_for_text("Failed Runs")
    ui.picture(pictures / "backfill-grid.png")
    assert stack.published("form") == every
    assert _publications(stack, "form") == before


@pytest.mark.slow
@needs_browser
def test_the_last_hours_first(stack: Stack, ui: AirflowUi) -> None:
    hours = DAYS_2[:6]
    for hour in hours:
        stack.put("order", hour)
    ui.dag("land_order")
    ui.fill_backfill(hours[0], hours[-1], backwards=True, at_once=1)
    ui.wait_for_text("6 runs will be triggered.")
    ui.click("button", "Run Backfill")
    ui.wait_for_text("Backfill in progress")
    stack.wait_for_backfill("order")
    assert stack.states("order") == {"success": 6}
    began = {hour: row["start_date"] for hour, row in stack.runs("order").items()}
    assert sorted(began, key=lambda hour: began[hour]) == hours[::-1]


def test_by_the_command_and_by_rest(stack: Stack) -> None:
    hours = DAYS_2[:8]
    for hour in hours[:-1]:
        stack.put("command", hour, cut=hour == hours[3])
    words = ("backfill", "command", "--from", f"{hours[0]:%Y-%m-%dT%H}")
    some = (*words, "--to", f"{hours[6]:%Y-%m-%dT%H}")

    paused = stack.tidegate(*some)
    assert paused.returncode == 1
    assert "land_command is paused" in paused.stderr
    stack.api.unpause("land_command")

    ran = stack.tidegate(*some)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "7 of 7 hours to run" in ran.stderr and "7 of 7 hours done, 1 failed" in ran.stderr
    assert "6 succeeded, 1 failed" in ran.stdout
    assert "failed: 2024-03-01T03" in ran.stdout

    stack.put("command", hours[3])
    fixed = stack.tidegate(*some, "--reprocess", "failed", "--json")
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    told = json.loads(fixed.stdout)
    assert (told["asked"], told["ran"], told["succeeded"], told["failed"]) == (7, 1, 1, [])

    # By REST, as dags/README.md has it: an hour whose dump comes while the run waits for it.
    url, user, password = stack.state.login
    token = requests.post(
        f"{url}/auth/token", json={"username": user, "password": password}, timeout=30
    ).json()["access_token"]
    asked = {
        "dag_id": "land_command",
        "from_date": hours[7].isoformat(),
        "to_date": hours[7].isoformat(),
        "reprocess_behavior": "none",
        "max_active_runs": 24,
    }
    head = {"Authorization": f"Bearer {token}"}
    stack.put("command", hours[7])
    made = requests.post(f"{url}/api/v2/backfills", json=asked, headers=head, timeout=30)
    assert made.status_code == 200, made.text
    stack.wait_for_backfill("command")
    every = dict.fromkeys(hours, EVENTS)
    wait_until(lambda: stack.published("command") == every, "all hours are released")


def _publications(stack: Stack, source: str) -> int:
    with connect(stack.settings) as connection:
        row = connection.execute(
            "SELECT count(*) FROM ops.publications WHERE source = ? AND table_name = 'events'",
            [source],
        ).fetchone()
    assert row is not None
    return int(row[0])
