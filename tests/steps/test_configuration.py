"""Configuration is part of the function: a changed file takes effect by a rebuild, whole, and never mixes rows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from compare import Row
from conftest import CopyProject, MakeProject
from histories import RULES, Ids, assert_reckoned
from project import HOUR, LINES, NOON, Project, event
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.config.source import Source
from tidegate.config.suites import load_suite
from tidegate.pipeline import rebuild as rebuilding
from tidegate.pipeline.derive.derive import derive, standing
from tidegate.pipeline.ingest.current import ensure_current
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish import audit as auditing
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.rebuild import Rebuilt, rebuild
from tidegate.pipeline.release.release import release
from tidegate.pipeline.verify import verify
from tidegate.query.connect import connect
from tidegate.query.status import Stale, stale
from tidegate.tables import REBUILDABLE, Table, events, hourly_activity, session_aliases, sessions
from tidegate.tables.system_tables import PUBLICATIONS, RELEASES

MINUTE = timedelta(minutes=1)
HOURS = [NOON, NOON + HOUR, NOON + 2 * HOUR]
NARROW: dict[str, Any] = {**RULES, "sessions": {"gap": "10m", "max": "2h"}}


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish two of three hours of three users, with pauses of 7 to 40 minutes."""
    project = make_project()
    for at, hour in enumerate(HOURS):
        project.put_hour(hour, lines(at))
    project.run(project.source(**RULES), HOURS[:2])
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


@pytest.fixture
def source(project: Project) -> Source:
    return project.source(**RULES)


def lines(at: int) -> list[Row]:
    return [
        event(f"{at}{user}{n}", NOON + at * HOUR + n * step * MINUTE, user, n=n)
        for user, step in (("u1", 7), ("u2", 20), ("u3", 40))
        for n in range(len(user) + at)
    ]


def build(project: Project, table: Table, source: Source) -> Rebuilt:
    work = project.work()
    done = rebuild(work, table, source)
    release(work, derive(work, [source]))
    return done


def told_stale(project: Project, source: Source) -> dict[str, str]:
    suites = {
        table.name: load_suite(project.settings.expectations, table.name).fingerprint
        for table in REBUILDABLE
    }
    with connect(project.settings) as connection:
        found: list[Stale] = stale(connection, [source], suites)
    return {each.table_name: each.why for each in found}


def assert_holds(project: Project, source: Source) -> None:
    found = verify(project.work(), [source])
    assert found.holds, found


@pytest.mark.slow
def test_a_changed_gap_waits_for_a_rebuild_that_swaps_all_sessions_in_at_once(
    project: Project, source: Source
) -> None:
    ids = Ids()
    ids.look(project)
    assert told_stale(project, source) == {}
    narrow = project.source(**NARROW)
    project.run(narrow, HOURS)
    assert_reckoned(project, RULES)
    assert_holds(project, narrow)
    ids.look(project)
    assert told_stale(project, narrow) == {"sessions": "web.yml has changed (sessions.gap)"}
    before = project.versions()[sessions.TABLE.name]

    done = build(project, sessions.TABLE, narrow)
    assert done.publication is not None
    assert project.versions()[sessions.TABLE.name] == before + 1
    assert_reckoned(project, NARROW)
    assert_holds(project, narrow)
    assert told_stale(project, narrow) == {}
    ids.look(project)
    ids.assert_led(project)

    project.put_hour(HOURS[1], [*lines(1), event("late", NOON + 15 * MINUTE, "u3")])
    project.run(narrow, HOURS)
    assert_reckoned(project, NARROW)
    first, *_, last = sorted(project.table(RELEASES), key=lambda row: row["released_at"])
    assert made_by(first, "sessions") != made_by(last, "sessions")
    assert made_by(first, "events") == made_by(last, "events")
    assert sorted(id_ for row in project.table(RELEASES) for id_ in row["publications"]) == sorted(
        row["publication_id"] for row in project.table(PUBLICATIONS)
    )


def forget_the_third_hour(project: Project) -> None:
    """Remove the dump that was not landed, so that the reckoning does not count it."""
    for file in project.dumps.glob("2024-03-01-14*"):
        file.unlink()


def test_days_follow_sessions_that_were_rebuilt_without_losing_an_id(project: Project) -> None:
    # Sessions are only split: the first part of each keeps the id.
    forget_the_third_hour(project)
    narrow = project.source(**{**RULES, "sessions": {"gap": "19m", "max": "2h"}})
    work = project.work()
    done = rebuild(work, sessions.TABLE, narrow)
    assert done.publication is not None
    assert not done.publication.renames
    assert standing(work, [narrow]).behind == ("web",)
    followed = derive(work, [narrow])
    assert [each.table_name for each in followed.publications] == ["daily_activity"]
    assert_reckoned(project, {**RULES, "sessions": {"gap": "19m", "max": "2h"}})


def made_by(release: Row, table: str) -> tuple[str, int]:
    [found] = [each for each in release["configurations"] if each["table_name"] == table]
    return found["configuration"], found["code_version"]


def test_a_changed_column_waits_for_a_rebuild_that_lands_all_hours_again(
    project: Project,
) -> None:
    more = project.source(**{**RULES, "columns": {"n": {"path": "n", "type": "int"}}})
    project.run(more, HOURS)
    assert "n" not in project.table(events.TABLE)[0]
    assert told_stale(project, more) == {"events": "web.yml has changed (columns.n)"}
    assert_holds(project, more)

    done = build(project, events.TABLE, more)
    assert done.publication is not None
    assert len(done.publication.slices) == len(HOURS)
    assert {row["n"] for row in project.table(events.TABLE)} == {0, 1, 2, 3}
    assert told_stale(project, more) == {}
    assert_reckoned(project)
    assert_holds(project, more)
    [again] = land(project.work(), more, HOURS[:1])
    assert again.outcome == "unchanged"


def test_a_rebuild_takes_in_what_is_published_meanwhile(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = auditing.audit_plan
    wide = {**RULES, "duplicates": {"within": "1h"}}

    def meanwhile(work: Any, plan: Any) -> Any:
        monkeypatch.setattr(rebuilding, "audit_plan", plain)
        land(project.work(), source, HOURS[2:])
        published = publish_events(project.work(), source, HOURS[2:])
        assert published.publication is not None
        return plain(work, plan)

    monkeypatch.setattr(rebuilding, "audit_plan", meanwhile)
    done = build(project, events.TABLE, project.source(**wide))
    assert done.publication is not None
    assert len(done.publication.slices) == len(HOURS)
    assert_reckoned(project, wide)
    assert_holds(project, project.source(**wide))


def test_hours_that_a_rebuild_cannot_land_stop_it_and_nothing_is_changed(
    project: Project,
) -> None:
    before = project.versions()
    for file in project.dumps.glob("2024-03-01-12*"):
        file.unlink()
    more = project.source(**{**RULES, "columns": {"n": {"path": "n", "type": "int"}}})
    with pytest.raises(TidegateError, match="can't be landed anew") as told:
        rebuild(project.work(), events.TABLE, more)
    assert "2024-03-01T12" in str(told.value.describe())
    assert project.versions() == before
    # What it landed stands for nothing: the hourly run is as it was.
    [again] = land(project.work(), more, HOURS[1:2])
    assert again.outcome == "unchanged"
    done = project.run(more, HOURS[1:])
    assert done.published.publication is not None
    assert [each.slice for each in done.published.publication.slices] == HOURS[2:]


def test_a_rebuild_that_the_gate_holds_changes_nothing_and_held_hours_come_with_the_next(
    project: Project, source: Source
) -> None:
    suite = """table: {table}
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {{column: {fact}, max_value: {most}}}
    severity: critical
    why: For this test.
"""
    before = project.table(events.TABLE)
    project.suite("events", suite.format(table="events", fact="rows", most=8))
    held = project.run(source, HOURS)
    assert held.held  # twelve rows
    assert project.table(events.TABLE) == before

    typed = project.source(**{**RULES, "columns": {"n": {"path": "n", "type": "int"}}})
    project.suite("events", suite.format(table="events", fact="rows", most=5))
    assert "2 of 2 slices passed another suite" in told_stale(project, source)["events"]
    done = build(project, events.TABLE, typed)
    assert done.publication is None
    assert [each.held for each in done.audits] == [True, True]
    assert project.table(events.TABLE) == before

    project.suite("events", suite.format(table="events", fact="rows", most=50))
    done = build(project, events.TABLE, typed)
    assert done.publication is not None
    assert not done.held
    assert len(project.table(events.TABLE)) == sum(len(lines(at)) for at in range(3))
    assert told_stale(project, typed) == {}


def test_a_landing_of_before_a_change_is_made_again_when_it_is_published_after_it(
    make_project: MakeProject,
) -> None:
    project = make_project()
    project.put_hour(NOON, [event(1, NOON, n=7)])
    land(project.work(), project.source(columns={}), [NOON])
    with pytest.raises(TryAgainError, match="has to be landed again"):
        publish_events(project.work(), project.source(), [NOON])
    ensure_current(project.work(), project.source(), [NOON])
    done = publish_events(project.work(), project.source(), [NOON])
    assert done.publication is not None
    assert [row["n"] for row in project.table(events.TABLE)] == [7]


@pytest.mark.slow
def test_what_other_code_made_is_not_added_to(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(hourly_activity.TABLE), "version", 2)
    before = project.table(hourly_activity.TABLE)
    done = project.run(source, HOURS)
    assert done.exit_status == 1
    assert done.derived.behind == ("web",)
    assert "built by version 1 of its code" in done.derived.outdated[0]
    assert project.table(hourly_activity.TABLE) == before
    assert "version 1" in told_stale(project, source)["hourly_activity"]
    assert not verify(project.work(), [source]).holds
    build(project, hourly_activity.TABLE, source)
    assert_reckoned(project)
    assert_holds(project, source)

    monkeypatch.setitem(vars(events.TABLE), "version", 2)
    for step in (land, publish_events):
        with pytest.raises(TidegateError, match="rebuild events web"):
            step(project.work(), source, HOURS)
    build(project, events.TABLE, source)
    assert_reckoned(project)
    codes = {(row["table_name"], row["code_version"]) for row in project.table(PUBLICATIONS)}
    assert {("events", 1), ("events", 2), ("hourly_activity", 2)} <= codes


def test_aliases_are_not_rebuilt(project: Project, source: Source) -> None:
    with pytest.raises(TidegateError, match="can't be built anew"):
        rebuild(project.work(), session_aliases.TABLE, source)


def test_the_commands_say_what_is_stale_and_mend_it(project: Project) -> None:
    forget_the_third_hour(project)
    described: dict[str, Any] = {
        **LINES,
        **NARROW,
        "columns": {"n": {"path": "n", "type": "int"}},
        "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
    }
    (project.settings.sources / "web.yml").write_text(json.dumps(described))
    told = json.loads(project.tidegate("status", "--json"))
    assert [(each["table_name"], each["todo"]) for each in told["stale"]] == [
        ("events", "tidegate rebuild events web"),
        ("sessions", "tidegate rebuild sessions web"),
    ]
    assert "did you mean 'sessions'" in project.tidegate("rebuild", "session", status=1)
    told = json.loads(project.tidegate("rebuild", "--json"))
    assert [each["table"] for each in told["rebuilt"]] == ["events", "sessions"]
    assert_reckoned(project, NARROW)
    assert project.tidegate("rebuild") == "nothing is stale\n"
    assert "stale  " not in project.tidegate("status").replace("stale\n", "")
    assert "as published" in project.tidegate("verify")
