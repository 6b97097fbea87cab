"""Histories of landings, and what every one of them has to end in: the reckoning of the dumps there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from compare import Row, assert_same_rows, exact_rows
from project import HOUR, Project, rows_of
from reckoned import daily_rows, hourly_rows, session_row, time_text
from reckoning import Description, keep_events, read_json_lines, sessions_of
from tidegate.config.source import Source
from tidegate.lake.ledger import Publication
from tidegate.lake.table_refs import At
from tidegate.pipeline.derive.derive import Derived, derive
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.tables import (
    WAREHOUSE,
    daily_activity,
    events,
    hourly_activity,
    session_aliases,
    sessions,
)

RULES: dict[str, Any] = {
    "columns": {},
    "sessions": {"gap": "30m", "max": "2h"},
    "duplicates": {"within": "4h"},
}
WITHIN = timedelta(hours=4)
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
    """Return the rows of the tables that are a function of the dumps: aliases tell of the way, too."""
    found = (table for table in WAREHOUSE if table is not session_aliases.TABLE)
    return {table.name: project.table(table) for table in found}


def assert_reckoned(project: Project, rules: dict[str, Any] = RULES) -> None:
    """Compare every published table with the reckoning of the dumps that lie there."""
    found = {}
    accept: dict[str, Any] = {
        key: _duration(value) for key, value in rules.get("accept", {}).items()
    }
    about = replace(LINES, **accept)
    for path in sorted(project.dumps.iterdir()):
        hour = datetime.strptime(path.name[:13] + "+0000", "%Y-%m-%d-%H%z")
        found[hour] = read_json_lines(about, hour, {path.name: path.read_bytes()}).events
    kept = keep_events(found, _duration(rules["duplicates"]["within"]) // HOUR).events
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
    gap, longest = (_duration(rules["sessions"][key]).total_seconds() for key in ("gap", "max"))
    whole = sessions_of(kept, gap, longest)
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


def _duration(text: str) -> timedelta:
    return int(text[:-1]) * {"m": timedelta(minutes=1), "h": HOUR, "d": 24 * HOUR}[text[-1]]


Member = tuple[str, datetime]
"""An event's id and time."""


class Ids:
    """What became of every session id that was ever published, by plain Python.

    Attributes:
        published: the events of every id, in order, as they were when it was last published.
        live: those of the ids that are published now.
    """

    def __init__(self) -> None:
        self.published: dict[str, list[Member]] = {}
        self.live: dict[str, list[Member]] = {}

    def look(self, project: Project) -> None:
        """See what is published now; to be called after every derive run."""
        work = project.work()
        last = work.ledger.last(sessions.TABLE, "web")
        if last is None:
            return
        made_of = At(events.TABLE, last.input_versions[events.TABLE.name])
        by_user: dict[str, list[Member]] = {}
        for row in exact_rows(rows_of(work.lake, "SELECT * FROM {events}", events=made_of)):
            by_user.setdefault(row["user_key"], []).append(
                (row["event_id"], _at(row["event_time"]))
            )
        self.live = {
            row["session_id"]: [
                (event_id, time)
                for event_id, time in sorted(by_user[row["user_key"]], key=lambda e: (e[1], e[0]))
                if _at(row["session_start"]) <= time <= _at(row["session_end"])
            ]
            for row in project.table(sessions.TABLE)
        }
        assert sum(map(len, self.live.values())) == sum(
            len(found) for user, found in by_user.items() if user is not None
        )
        self.published |= self.live

    def assert_led(self, project: Project) -> None:
        """Compare `session_aliases` with what it must hold."""
        expected = []
        for session, found in self.published.items():
            if session not in self.live:
                places = [self._now_in(member) for member in found]
                expected.append(
                    {
                        "session_id": session,
                        "live_session_id": next((each for each in places if each), None),
                        "events": [
                            [event_id, place]
                            for (event_id, _), place in zip(found, places, strict=True)
                        ],
                    }
                )
        got = [
            {
                "session_id": row["session_id"],
                "live_session_id": row["live_session_id"],
                "events": [[e["event_id"], e["session_id"]] for e in row["events"]],
            }
            for row in project.table(session_aliases.TABLE)
        ]
        assert_same_rows(got, expected, ["session_id"])

    def _now_in(self, member: Member) -> str | None:
        """Return the session that an event is in: that of its id which is nearest in time."""
        event_id, time = member
        near = [
            (abs(other - time), session)
            for session, found in self.live.items()
            for same, other in found
            if same == event_id and abs(other - time) <= WITHIN
        ]
        return min(near)[1] if near else None


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
