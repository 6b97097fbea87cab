"""Rows do not depend on the time zone of the machine that computes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import MakeProject
from histories import tables
from project import HOUR, LINES, NOON, Project, event

HOURS = [NOON + n * HOUR for n in (5, 6, 7)]
"""Hours in which Kolkata, at five and a half hours east of UTC, comes to its next day."""
COMMANDS = (
    ("run", "web", "--from", "2024-03-01T17", "--to", "2024-03-01T19"),
    ("verify",),
)


def prepared(project: Project) -> Project:
    """Give a project its source, in a file, and its dumps: sessions over an hour, a late event, a local time."""
    described = {**LINES, "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*"}
    (project.settings.sources / "web.yml").write_text(json.dumps(described))
    for number, hour in enumerate(HOURS):
        lines = [
            event(f"{number}-{n}", hour + n * HOUR / 4, user, n=n)
            for n, user in enumerate(("u1", "u2", None, "u1"))
        ]
        lines.append(event(f"late-{number}", NOON + number * HOUR / 3, "u2"))
        lines.append(event(f"zone-{number}", f"2024-03-01T23:{number}5:00+05:30", "u3"))
        project.put_hour(hour, lines)
    return project


def run_in(zone: str, project: Project) -> None:
    """Run the commands as processes in a time zone; the last one verifies what the first one published."""
    for arguments in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", *arguments],
            env={**os.environ, **project.environment, "TZ": zone},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (zone, arguments, done.stdout + done.stderr)


def test_rows_are_the_same_in_another_time_zone(make_project: MakeProject) -> None:
    here, there = prepared(make_project()), prepared(make_project())
    assert here.run(here.source(), HOURS).exit_status == 0
    run_in("Asia/Kolkata", there)
    found = [tables(here), tables(there)]
    assert found[0] == found[1]
    events = {row["event_id"]: row["event_time"] for row in found[1]["events"]}
    assert len(events) == 6 * len(HOURS)
    assert events["zone-1"] == "2024-03-01 17:45:00"
    assert events["0-1"] == "2024-03-01 17:15:00"
    assert {row["date"] for row in found[1]["hourly_activity"]} == {"2024-03-01"}
