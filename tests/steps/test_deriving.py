"""Sessions and aggregates follow the ledger: whatever the way, they end as if built once from all."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from compare import Row, assert_same_rows
from conftest import CopyProject, MakeProject
from histories import RULES, assert_reckoned, derived, go, put, tables
from project import HOUR, NOON, Project, event
from tidegate.common.errors import TidegateError
from tidegate.pipeline.derive.derive import derive, standing
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.release.release import release
from tidegate.tables import Table, daily_activity, events, sessions
from tidegate.tables.system_tables import AUDITS, LANDINGS, PUBLICATIONS, RELEASES

MINUTE = timedelta(minutes=1)
EVENING = NOON + 8 * HOUR
HOURS = [EVENING + n * HOUR for n in (0, 1, 2, 3, 4, 5, 40, 41)]
"""Six hours over a midnight, and two hours nearly two days later that bring late events."""


def dumps(seed: int) -> dict[datetime, list[Row]]:
    """Return a dump's lines by hour: people, a robot that never pauses, strangers, repeats."""
    chance = random.Random(seed)
    made: dict[datetime, list[Row]] = {hour: [] for hour in HOURS}
    for n in range(150):
        hour = chance.choice(HOURS[:6])
        time = hour + chance.randrange(-2, 12) * 5 * MINUTE
        who: dict[str, Any] = {"user": f"u{chance.randrange(6)}"}
        if chance.random() < 0.2:
            who = {"user": None, "anon": chance.choice(["u1", "a1", None])}
        line = event(n, time, **{**who, "type": chance.choice(["view", "buy", None])})
        made[chance.choice([hour, hour, hour, HOURS[6], HOURS[7]])].append(line)
        if chance.random() < 0.1:
            made[chance.choice(HOURS)].append(line)
    for n in range(28):  # its first event comes last, so that every cut after it moves
        time = EVENING + 12 * n * MINUTE
        dump = HOURS[6] if n == 0 else time.replace(minute=0)
        made[dump].append(event(f"r{n}", time, "robot"))
    for hour in HOURS:
        chance.shuffle(made[hour])
    return made


@pytest.fixture(scope="module")
def once(make_project: MakeProject) -> Project:
    """Land everything together and derive once."""
    project = make_project("real")
    put(project, dumps(1))
    source = project.source(**RULES)
    go(project, source, HOURS)
    work = project.work()
    release(work, derived(project, source))
    return project


def test_all_at_once_gives_what_the_reckoning_gives(once: Project) -> None:
    assert_reckoned(once)


def test_the_books_of_a_run_add_up(once: Project) -> None:
    rows = {name: len(found) for name, found in tables(once).items()}
    publications = once.table(PUBLICATIONS)
    assert {each["table_name"]: each["rows"] for each in publications} == rows
    landings = once.table(LANDINGS)
    by_table = {each["table_name"]: each for each in publications}
    assert sum(row["lines"] for row in landings) == sum(
        row["events"] + row["duplicates"] + row["quarantined"] for row in landings
    )
    assert sum(row["events"] for row in landings) == rows["events"] + sum(
        each["duplicates"] for each in by_table["events"]["slices"]
    )
    with_user = [row for row in once.table(events.TABLE) if row["user_key"] is not None]
    assert sum(row["event_count"] for row in once.table(sessions.TABLE)) == len(with_user)
    assert by_table["sessions"]["inputs"] == [by_table["events"]["publication_id"]]
    assert by_table["daily_activity"]["inputs"] == [
        by_table["events"]["publication_id"],
        by_table["sessions"]["publication_id"],
    ]
    audits = once.table(AUDITS)
    assert {each for row in publications for each in row["audit_ids"]} == {
        row["audit_id"] for row in audits
    }
    [made] = once.table(RELEASES)
    assert made["versions"] == once.versions()
    assert set(made["publications"]) == {row["publication_id"] for row in publications}
    hours = {row["event_time"][:13] for row in once.table(events.TABLE)}
    assert {hour[:13] for hour in by_table["events"]["event_hours"]} == hours


def test_deriving_and_releasing_again_commits_nothing(once: Project) -> None:
    versions = once.versions()
    source = once.source(**RULES)
    found = derived(once, source)
    assert found.publications == ()
    work = once.work()
    assert not release(work, found).is_new
    assert not release(work, standing(work, [source])).is_new
    assert once.versions() == versions
    assert len(once.table(RELEASES)) == 1


def test_deriving_after_every_landing_in_order_ends_with_the_same_rows(
    once: Project, make_project: MakeProject
) -> None:
    project = make_project()
    put(project, dumps(1))
    source = project.source(**RULES)
    for hours in (HOURS[:2], HOURS[2:5], HOURS[5:]):
        go(project, source, hours)
        derived(project, source)
    for name, rows in tables(project).items():
        assert_same_rows(rows, tables(once)[name], ["event_id", "session_id", "date", "hour"])


@pytest.mark.slow
def test_another_order_with_corrections_and_a_cap_ends_with_the_same_rows(
    once: Project, make_project: MakeProject
) -> None:
    project = make_project()
    source = project.source(**RULES)
    wrong = dumps(2)
    put(project, {hour: wrong[hour] for hour in (HOURS[6], HOURS[2])})
    go(project, source, [HOURS[6], HOURS[2]])
    derived(project, source)
    put(project, dumps(1))
    first = go(project, source, [HOURS[7], HOURS[5], HOURS[4]])
    second = go(project, source, [HOURS[2]])
    assert derived(project, source, cap=len(first.slices)).waiting == len(second.slices)
    go(project, source, [HOURS[0], HOURS[6], HOURS[1], HOURS[3]])
    assert derived(project, source, cap=99).waiting == 0
    for name, rows in tables(project).items():
        assert_same_rows(rows, tables(once)[name], ["event_id", "session_id", "date", "hour"])


@pytest.mark.slow
def test_what_is_taken_away_again_leaves_no_trace(project: Project) -> None:
    source = project.source(**RULES)
    few = {hour: dumps(3)[hour] for hour in HOURS[1:3]}
    put(project, few)
    go(project, source, list(few))
    derived(project, source)
    before = tables(project)
    late = [event(f"x{n}", EVENING + n * 25 * MINUTE, f"u{n % 6}") for n in range(10)]
    project.put_hour(HOURS[6], late)
    go(project, source, HOURS[6:7])
    derived(project, source)
    assert_reckoned(project)
    assert tables(project) != before
    project.put_hour(HOURS[6], [])
    go(project, source, HOURS[6:7])
    derived(project, source)
    assert tables(project) == before
    for hour in few:
        project.put_hour(hour, [])
    go(project, source, list(few))
    derived(project, source)
    assert not any(tables(project).values())


def test_own_session_ids_and_sources_without_users_are_derived_too(project: Project) -> None:
    own = project.source(sessions={"id": "sid"}, columns={})
    fields = {"event_id": "id", "event_time": "at", "event_type": "type"}
    mute = project.source(
        "mute-{dump_hour:%Y-%m-%d-%H}.json", source="mute", fields=fields, columns={}
    )
    hours = [NOON, NOON + HOUR]
    project.put_hour(NOON, [event(1, NOON, sid="s"), event(2, NOON + 59 * MINUTE, sid="t")])
    project.put_hour(NOON + HOUR, [event(3, NOON + 119 * MINUTE, sid="s"), event(4, NOON)])
    project.put("mute-2024-03-01-12.json", [event(1, NOON), event(2, NOON + MINUTE)])
    go(project, own, hours[:1])
    go(project, mute, hours[:1])
    found = derive(project.work(), [own, mute])
    assert not found.held
    go(project, own, hours[1:])
    assert not derive(project.work(), [own, mute]).held
    by_id = {row["source_session_id"]: row for row in project.table(sessions.TABLE)}
    assert {key: row["event_count"] for key, row in by_id.items()} == {"s": 2, "t": 1, None: 1}
    assert by_id["s"]["duration_s"] == 119 * 60
    assert by_id["s"]["session_id"] == "s"
    days = {row["source"]: row for row in project.table(daily_activity.TABLE)}
    assert (days["mute"]["events"], days["mute"]["users"], days["mute"]["sessions"]) == (2, 0, 0)
    assert days["mute"]["median_duration_s"] is None


HARD = """table: {table}
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    args: {{column: {column}, max_value: {most}}}
    severity: critical
    why: A test makes it fail.
"""


def test_a_held_derived_candidate_consumes_nothing_and_the_next_run_takes_all(
    project: Project,
) -> None:
    source = project.source(**RULES)
    put(project, {hour: dumps(4)[hour] for hour in HOURS[:2]})
    suite = (project.settings.expectations / "sessions.yml").read_text()
    project.suite("sessions", HARD.format(table="sessions", column="event_count", most=0))
    go(project, source, HOURS[:1])
    work = project.work()
    found = derive(work, [source])
    assert found.behind == ("web",)
    [held] = found.held
    assert "sessions web" in held.describe()
    assert "event_count" in held.describe()
    pinned = release(work, found)
    assert pinned.behind == ("web",)
    # What is not built from it does not wait for it.
    assert {row["table_name"] for row in project.table(PUBLICATIONS)} == {
        "events",
        "hourly_activity",
    }
    assert project.table(sessions.TABLE) == project.table(daily_activity.TABLE) == []
    project.suite("sessions", suite)
    go(project, source, HOURS[1:2])
    healed = derived(project, source)
    assert [len(each.inputs) for each in healed.publications] == [2, 1, 3]
    assert_reckoned(project)


def test_an_aggregate_that_is_held_does_not_hold_the_sessions_before_it(project: Project) -> None:
    source = project.source(**RULES)
    put(project, {hour: dumps(4)[hour] for hour in HOURS[:1]})
    suite = (project.settings.expectations / "hourly_activity.yml").read_text()
    project.suite("hourly_activity", HARD.format(table="hourly_activity", column="events", most=0))
    go(project, source, HOURS[:1])
    found = derive(project.work(), [source])
    assert [each.table_name for each in found.publications] == ["sessions"]
    assert found.behind == ("web",)
    assert standing(project.work(), [source]).behind == ("web",)
    project.suite("hourly_activity", suite)
    derived(project, source)
    assert_reckoned(project)


@pytest.mark.parametrize("table", [events.TABLE, sessions.TABLE, daily_activity.TABLE])
def test_what_some_dumps_bear_on_is_built_anew_and_is_what_it_was(
    once: Project, copy_project: CopyProject, table: Table
) -> None:
    project = copy_project(once)
    source = project.source(**RULES)
    work = project.work()
    hours = (HOURS[1], HOURS[2])
    done = rebuild(work, table, source, hours)
    assert done.publication is not None
    if table is events.TABLE:
        assert {each.slice for each in done.publication.slices} == set(hours)
    derive(work, [source])
    assert_reckoned(project)


def test_a_part_is_not_built_anew_by_another_configuration_than_the_rest(
    once: Project, copy_project: CopyProject
) -> None:
    project = copy_project(once)
    other = project.source(**{**RULES, "sessions": {"gap": "7m"}})
    with pytest.raises(TidegateError, match="not what its file and the code would make"):
        rebuild(project.work(), sessions.TABLE, other, (HOURS[0], HOURS[0]))
