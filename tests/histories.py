"""Histories of landings, and what every one of them has to end in: the reckoning of the dumps there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from compare import Row, assert_same_rows
from project import Project
from reckoned import daily_rows, hourly_rows, session_row, time_text
from reckoning import Description, keep_events, read_json_lines, sessions_of
from tidegate.ledger import Publication
from tidegate.source import Source
from tidegate.steps.derive import Derived, derive
from tidegate.steps.land import land
from tidegate.steps.publish import publish_events
from tidegate.tables import WAREHOUSE, daily_activity, events, hourly_activity, sessions

RULES: dict[str, Any] = {
    "columns": {},
    "sessions": {"gap": "30m", "max": "2h"},
    "duplicates": {"within": "4h"},
}
_PLACE = ("event_id", "dump_hour", "event_time", "event_type", "user_key")
LINES = Description(
    "web", event_time="at", event_type="type", event_id="id", user_id="user", anonymous_id="anon"
)


def put(project: Project, made: dict[datetime, list[Row]]) -> None:
    for hour, lines in made.items():
        project.put_hour(hour, lines)


def go(project: Project, source: Source, hours: list[datetime]) -> Publication:
    land(project.work(), source, hours)
    found = publish_events(project.work(), source, hours)
    assert not found.held, [each.describe() for each in found.held]
    assert found.publication is not None
    return found.publication


def derived(project: Project, source: Source, cap: int | None = None) -> Derived:
    found = derive(project.work(), [source], cap)
    assert not found.held, [each.describe() for each in found.held]
    return found


def tables(project: Project) -> dict[str, list[Row]]:
    return {table.name: project.table(table) for table in WAREHOUSE}


def assert_reckoned(project: Project, rules: dict[str, Any] = RULES) -> None:
    """Compare every published table with the reckoning of the dumps that lie there."""
    found = {}
    for path in sorted(project.dumps.iterdir()):
        hour = datetime.strptime(path.name[:13] + "+0000", "%Y-%m-%d-%H%z")
        found[hour] = read_json_lines(LINES, hour, {path.name: path.read_bytes()}).events
    kept = keep_events(found, int(rules["duplicates"]["within"][:-1])).events
    assert_same_rows(
        [{name: row[name] for name in _PLACE} for row in project.table(events.TABLE)],
        [
            {
                name: time_text(value) if isinstance(value, datetime) else value
                for name in _PLACE
                for value in [getattr(each, name)]
            }
            for each in kept
        ],
        ["event_id"],
    )
    whole = sessions_of(kept, 30 * 60, int(rules["sessions"]["max"][:-1]) * 3600)
    assert_same_rows(
        project.table(sessions.TABLE), map(session_row, whole), ["user_key", "session_start"]
    )
    assert_same_rows(
        project.table(hourly_activity.TABLE), hourly_rows(kept), ["hour", "event_type"]
    )
    daily = project.table(daily_activity.TABLE)
    for row in daily:
        assert row.pop("users_sketch")
    expected = daily_rows(kept, whole)
    for each in (daily, expected):
        each.sort(key=lambda row: str(row["date"]))
    for row, wanted in zip(daily, expected, strict=True):
        mean = wanted.pop("mean_duration_s")
        got = row.pop("mean_duration_s")
        assert got == (None if mean is None else pytest.approx(mean, rel=1e-12))
        assert row == wanted
