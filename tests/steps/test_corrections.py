"""Corrections: what a release changes of what was published, by how much and why; and they add up."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from compare import Row
from conftest import CopyProject, MakeProject
from histories import RULES
from project import HOUR, NOON, Project, event
from tidegate.config.source import Source
from tidegate.lake import Lake
from tidegate.pipeline.derive.derive import derive, standing
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.release import corrections as correcting
from tidegate.pipeline.release import release as releasing
from tidegate.pipeline.release.corrections import Moved, causes_of
from tidegate.pipeline.release.release import release
from tidegate.tables import Table, daily_activity, hourly_activity, sessions
from tidegate.tables.system_tables import CORRECTIONS, RELEASES

MINUTE = timedelta(minutes=1)
EVENING = NOON + 10 * HOUR
HOURS = [EVENING + n * HOUR for n in range(5)]
"""Two hours before midnight, three after it."""
METRICS: dict[Table, tuple[str, ...]] = {
    daily_activity.TABLE: (
        "events",
        "users",
        "sessions",
        "mean_duration_s",
        "median_duration_s",
        "bounce_rate",
    ),
    hourly_activity.TABLE: ("events", "users"),
}


def corrections(project: Project) -> list[Row]:
    """Return the corrections of the last release."""
    rows = project.table(CORRECTIONS)
    last = max(row["sequence"] for row in project.table(RELEASES))
    return [row for row in rows if row["sequence"] == last]


def daily(project: Project) -> dict[tuple[str, str], tuple[float | None, float | None, str]]:
    """Return the corrections of days in the last release: (date, metric) → before, after, cause."""
    return {
        (row["date"], row["metric"]): (row["before"], row["after"], row["cause"])
        for row in corrections(project)
        if row["table_name"] == "daily_activity"
    }


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish the first two hours: three users with two events each."""
    project = make_project()
    for hour in HOURS[:2]:
        project.put_hour(hour, evening(hour))
    project.run(project.source(**RULES), HOURS[:2])
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


@pytest.fixture
def source(project: Project) -> Source:
    return project.source(**RULES)


def evening(hour: datetime) -> list[Row]:
    return [
        event(f"{hour:%H}{user}{n}", hour + n * 10 * MINUTE, user)
        for user in ("u1", "u2", "u3")
        for n in range(2)
    ]


def test_a_first_release_corrects_nothing_and_a_next_hour_is_new(
    project: Project, source: Source
) -> None:
    assert project.table(CORRECTIONS) == []
    project.put_hour(HOURS[2], [event("n1", HOURS[2] + 2 * MINUTE, "u9")])
    project.run(source, HOURS[2:3])
    # It is the first of its day, and it neither extends a session nor adds to the day before.
    assert corrections(project) == []
    project.put_hour(HOURS[3], [event("n2", HOURS[3] + 2 * MINUTE, "u9")])
    project.run(source, HOURS[3:4])
    assert daily(project) == {
        ("2024-03-02", "events"): (1, 2, "new"),
        ("2024-03-02", "sessions"): (1, 2, "new"),
    }
    assert {row["table_name"] for row in corrections(project)} == {"daily_activity"}


def test_late_events_corrected_dumps_duplicates_and_configuration_are_told_apart(
    project: Project, source: Source
) -> None:
    project.put_hour(HOURS[2], [event("l1", HOURS[1] + 30 * MINUTE, "u1")])
    project.run(source, HOURS[2:3])
    found = daily(project)
    assert found["2024-03-01", "events"] == (12, 13, "late")
    assert {cause for _, _, cause in found.values()} == {"late"}
    hourly = [row for row in corrections(project) if row["table_name"] == "hourly_activity"]
    assert [(row["hour"], row["metric"], row["delta"]) for row in hourly] == [
        ("2024-03-01 23:00:00", "events", 1)
    ]

    project.put_hour(HOURS[0], evening(HOURS[0])[1:])
    project.run(source, HOURS[:1])
    assert daily(project)["2024-03-01", "events"] == (13, 12, "corrected")

    # An hour that comes late takes an event of its own id, of another time, from a later hour.
    project.put_hour(HOURS[0] - HOUR, [{**evening(HOURS[1])[0], "user": "u7"}])
    project.run(source, [HOURS[0] - HOUR])
    causes = {row["cause"] for row in corrections(project)}
    assert causes == {"duplicate, late"}
    assert daily(project)["2024-03-01", "users"] == (3, 4, "duplicate, late")

    other = project.source(**{**RULES, "sessions": {"gap": "5m", "max": "2h"}})
    work = project.work()
    rebuild(work, sessions.TABLE, other)
    release(work, derive(work, [other]))
    found = daily(project)
    assert {metric for _, metric in found} >= {"sessions", "bounce_rate"}
    assert {cause for _, _, cause in found.values()} == {"configuration"}


def test_a_session_that_goes_on_after_midnight_corrects_the_day_of_its_start(
    project: Project, source: Source
) -> None:
    project.put_hour(HOURS[2], [event("g1", HOURS[2] + 5 * MINUTE, "u1")])
    project.put_hour(HOURS[1], [*evening(HOURS[1]), event("g0", HOURS[2] - 5 * MINUTE, "u1")])
    project.run(source, HOURS[1:2])
    project.run(source, HOURS[2:3])
    found = daily(project)
    assert found["2024-03-01", "mean_duration_s"][2] == "new"
    assert ("2024-03-01", "events") not in found


@pytest.mark.slow
def test_the_corrections_of_a_release_add_up_to_what_differs_from_the_one_before(
    project: Project, source: Source
) -> None:
    chance = random.Random(5)
    before = shown(project)
    for _ in range(4):
        changed = chance.sample(HOURS, 2)
        for hour in changed:
            lines = [
                event(
                    chance.randrange(40),
                    hour + chance.randrange(-20, 12) * 5 * MINUTE,
                    f"u{chance.randrange(5)}",
                    type=chance.choice(["view", "buy", None]),
                )
                for _ in range(chance.randrange(20))
            ]
            project.put_hour(hour, lines)
        project.run(source, changed)
        after = shown(project)
        told = {
            (row["table_name"], row["date"], row["hour"], row["event_type"], row["metric"]): row
            for row in corrections(project)
        }
        published = {(name, date, hour) for name, date, hour, *_ in before}
        for key in {*before, *after, *told}:
            if key[:3] in published:
                old, new = before.get(key), after.get(key)
                row = told.pop(key, None)
                assert (old, new) == ((row["before"], row["after"]) if row else (old, old)), key
                if row is not None:
                    assert row["delta"] == (new or 0) - (old or 0)
                    assert row["cause"] != "unknown"
                    assert row["publications"]
        assert told == {}
        before = after


def shown(project: Project) -> dict[tuple[Any, ...], float]:
    """Return every number that is published: table, date, hour, event type, metric → value."""
    return {
        (table.name, row["date"], row.get("hour"), row.get("event_type"), metric): row[metric]
        for table, metrics in METRICS.items()
        for row in project.table(table)
        for metric in metrics
        if row[metric] is not None
    }


def test_a_release_whose_row_a_kill_prevented_is_there_before_the_next(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.put_hour(HOURS[2], [event("l1", HOURS[1] + 30 * MINUTE, "u1")])
    append = Lake.append_next

    def killed(lake: Lake, table: Table, *arguments: Any, **named: Any) -> bool:
        if table is RELEASES:
            raise KeyboardInterrupt
        return append(lake, table, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append_next", killed)
        with pytest.raises(KeyboardInterrupt):
            project.run(source, HOURS[2:3])
    assert len(project.table(RELEASES)) == 1
    made = release(project.work(), standing(project.work(), [source]))
    assert (made.sequence, made.is_new) == (2, False)
    assert len(project.table(RELEASES)) == 2
    assert {row["release_id"] for row in project.table(CORRECTIONS)} == {made.release_id}


def test_two_that_release_at_once_make_one_release(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.put_hour(HOURS[2], [event("l1", HOURS[1] + 30 * MINUTE, "u1")])
    plain = correcting.corrections

    def meanwhile(*arguments: Any) -> list[Row]:
        monkeypatch.setattr(releasing, "corrections", plain)
        work = project.work()
        assert release(work, standing(work, [source])).is_new
        return plain(*arguments)

    monkeypatch.setattr(releasing, "corrections", meanwhile)
    done = project.run(source, HOURS[2:3])
    assert (done.release.sequence, done.release.is_new) == (2, False)
    assert len(project.table(RELEASES)) == 2
    assert len({(r["table_name"], r["hour"], r["metric"]) for r in corrections(project)}) == len(
        project.table(CORRECTIONS)
    )


def test_an_event_is_late_for_its_hour_where_it_is_new_for_its_day() -> None:
    moved = [Moved(NOON, NOON + HOUR, frozenset())]
    assert causes_of(moved, NOON, NOON + HOUR) == {"late"}
    assert causes_of(moved, NOON - 12 * HOUR, NOON + 12 * HOUR) == {"new"}
    assert causes_of(moved, NOON + HOUR, NOON + 2 * HOUR) == set()
