"""What the gate holds: the hour that failed and nothing else, with a message that can be acted on."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow.parquet as pq
import pytest

from project import HOUR, LIMITED, NOON, Project, event
from tidegate.common.errors import EXIT_FAULT, EXIT_HELD
from tidegate.config.source import Source
from tidegate.pipeline.context.run_context import Work
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish import publish as publishing
from tidegate.pipeline.publish.audit import audit_events, held_error
from tidegate.pipeline.publish.publish import Published, publish_events
from tidegate.tables import events
from tidegate.tables.system_tables import AUDITS

SUITE = (
    LIMITED
    + """  - type: expect_column_values_to_be_between
    of: facts
    args: {column: unaccounted, min_value: 0, max_value: 0}
    severity: critical
    why: Nothing is lost on the way.
"""
)


def go(project: Project, source: Source, hours: list[datetime]) -> Published:
    land(project.work(), source, hours)
    return publish_events(project.work(), source, hours)


def by_hour(project: Project) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in project.table(events.TABLE):
        found[row["dump_hour"][11:13]] = found.get(row["dump_hour"][11:13], 0) + 1
    return found


def test_a_failed_critical_expectation_holds_only_its_hour_until_it_is_mended(
    project: Project,
) -> None:
    project.suite("events", SUITE.replace("SEVERITY", "warning"))
    source = project.source()
    hours = [NOON + n * HOUR for n in range(3)]
    for n, hour in enumerate(hours):
        project.put_hour(hour, [event(f"{n}-{k}", NOON, n=8 + n) for k in range(3 - n)])
    found = go(project, source, hours)
    assert [each.slices for each in found.held] == [(hours[2],)]
    assert by_hour(project) == {"12": 3, "13": 2}
    text = str(held_error(found.held))
    for told in (
        "events web 2024-03-01T14",
        "critical",
        "between(n)",
        "max_value 9",
        "10",
        "warehouse/events",
    ):
        assert told in text, text
    warned = [
        r for a in found.audits for r in a.results if not r.success and r.severity == "warning"
    ]
    assert len(warned) == 1
    assert [each.slices for each in go(project, source, hours).held] == [(hours[2],)]
    # What the suite has said of a content it is not asked again.
    assert (
        len({row["audit_id"] for row in project.table(AUDITS) if row["table_name"] == "events"})
        == 3
    )

    project.put_hour(hours[2], [event("x", NOON, n=1)])
    assert not go(project, source, hours).held
    assert by_hour(project) == {"12": 3, "13": 2, "14": 1}


def test_a_run_says_by_its_exit_status_what_became_of_its_hours(project: Project) -> None:
    project.suite("events", SUITE.replace("SEVERITY", "warning"))
    source = project.source()
    project.put_hour(NOON, [event(1, NOON, n=1)])
    project.put_hour(NOON + HOUR, [event(2, NOON, n=10)])
    ran = project.run(source, [NOON, NOON + HOUR])
    assert ran.exit_status == EXIT_HELD
    assert [each.outcome for each in ran.landed] == ["landed", "landed"]
    assert [each["table"] for each in ran.as_json()["published"]] == [  # type: ignore[attr-defined]
        "events",
        "sessions",
        "hourly_activity",
        "daily_activity",
    ]
    assert ran.release.versions == project.versions()
    # Without a file for an hour, and with nothing else to do.
    missing = project.run(source, [NOON, NOON + 9 * HOUR])
    assert missing.exit_status == EXIT_FAULT
    assert [each.outcome for each in missing.landed] == ["unchanged", "missing"]
    assert not missing.release.is_new
    assert project.run(source, [NOON]).exit_status == 0


def test_an_hour_that_would_spoil_a_later_one_is_held_in_its_place(project: Project) -> None:
    project.suite("events", SUITE.replace("SEVERITY", "critical"))
    source = project.source()
    hours = [NOON + n * HOUR for n in range(3)]
    project.put_hour(hours[2], [event(1, NOON), event(2, NOON)])
    assert not go(project, source, hours[2:]).held
    before = project.versions()
    # With this hour the later one would keep one row only, and its suite asks for two.
    project.put_hour(hours[0], [event(1, NOON), event(3, NOON)])
    project.put_hour(hours[1], [event(4, NOON), event(5, NOON)])
    found = go(project, source, hours[:2])
    assert [each.slices for each in found.held] == [(hours[2],)]
    assert found.publication is not None
    assert [each.slice for each in found.publication.slices] == [hours[1]]
    assert project.versions()["events"] == before["events"] + 1
    assert by_hour(project) == {"13": 2, "14": 2}


def test_no_plan_with_a_failed_audit_is_published_though_no_hour_is_found_to_blame(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.suite("events", SUITE.replace("SEVERITY", "critical"))
    source = project.source()
    hours = [NOON + n * HOUR for n in range(3)]
    project.put_hour(hours[2], [event(n, NOON) for n in (1, 2, 3)])
    assert not go(project, source, hours[2:]).held
    # Either hour takes one row from the later one, whose suite asks for two.
    project.put_hour(hours[0], [event(1, NOON), event(4, NOON)])
    project.put_hour(hours[1], [event(2, NOON), event(5, NOON)])
    find, answers = publishing._with_innocent, []

    def free_all(work: Work, of: Source, waiting: list[datetime], blamed: set[datetime]) -> object:
        """Find nothing to blame at first, as where history decides and has changed meanwhile."""
        answers.append(blamed)
        if len(answers) == 1:
            return sorted({*waiting, *blamed})
        return find(work, of, waiting, blamed)

    monkeypatch.setattr(publishing, "_with_innocent", free_all)
    found = go(project, source, hours[:2])
    assert len(answers) == 2
    assert found.held_hours.keys() == {hours[1]}
    assert by_hour(project) == {"12": 2, "14": 2}


def test_a_candidate_that_lost_rows_after_it_was_counted_is_held(project: Project) -> None:
    source = project.source(columns={})
    project.put_hour(NOON, [event(1, NOON)], "-a")
    project.put_hour(NOON, [event(2, NOON)], "-b")
    land(project.work(), source, [NOON])
    staged = sorted((project.root / "lake" / "staging").rglob("_outcome=event/*.parquet"))
    assert len(staged) == 2
    rows = pq.read_table(staged[0], partitioning=None)
    assert rows.num_rows == 1
    pq.write_table(rows.slice(0, 0), staged[0])
    found = publish_events(project.work(), source, [NOON])
    assert found.publication is None
    [held] = found.held
    assert "unaccounted" in held.describe()
    assert project.table(events.TABLE) == []


def test_a_suite_that_is_broken_publishes_nothing(project: Project) -> None:
    source = project.source()
    project.put_hour(NOON, [event(1, NOON)])
    project.suite("events", SUITE.replace("SEVERITY", "grave"))
    land(project.work(), source, [NOON])
    with pytest.raises(Exception, match="severity: expected one of critical, warning, info"):
        publish_events(project.work(), source, [NOON])
    project.suite(
        "events", SUITE.replace("SEVERITY", "info").replace("to_be_between", "to_be_betwen", 1)
    )
    found = publish_events(project.work(), source, [NOON])
    assert found.publication is None
    assert "unknown expectation type" in found.held[0].describe()
    assert project.table(events.TABLE) == []


def test_an_audit_alone_publishes_nothing_and_publishing_does_not_repeat_it(
    project: Project,
) -> None:
    source = project.source()
    project.put_hour(NOON, [event(1, NOON)])
    land(project.work(), source, [NOON])
    version = project.versions()["events"]
    [audit] = audit_events(project.work(), source, [NOON])
    assert not audit.held
    assert project.versions()["events"] == version
    found = publish_events(project.work(), source, [NOON])
    assert found.publication is not None
    assert found.publication.audit_ids == (audit.audit_id,)
    assert len(project.table(AUDITS)) == 1


def test_usual_rows_are_those_of_the_same_hour_on_other_days(project: Project) -> None:
    project.suite(
        "events",
        """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: rows, min_value: {usual: rows, times: 0.5}}
    severity: critical
    why: An hour that brings less than half of its usual is not whole.
""",
    )
    source = project.source()
    days = [NOON + n * 24 * HOUR for n in range(5)]
    for n, day in enumerate(days):
        count = [4, 5, 6, 2, 3][n]
        project.put_hour(day, [event(f"{n}-{k}", day) for k in range(count)])
    assert not go(project, source, days[:3]).held
    found = go(project, source, days[3:])
    # The median of 4, 5 and 6 is 5: 2 rows are too few, and 3 are enough.
    assert [each.slices for each in found.held] == [(days[3],)]
    assert "min_value 2.5 (0.5 x usual rows, of 3 hours)], observed 2 " in found.held[0].describe()


def test_too_little_history_is_written_down_as_warming_up_and_held_hours_are_no_history(
    project: Project,
) -> None:
    text = """table: events
owner: tests
expectations:
  - type: expect_column_max_to_be_between
    args: {column: n, max_value: {usual: observed, times: 2}}
    severity: critical
    why: A test makes it fail.
"""
    project.suite("events", text)
    source = project.source()
    days = [NOON + n * 24 * HOUR for n in range(7)]
    # The fourth is held for its 9: it must not make the fifth's 9 usual, nor the sixth's.
    for n, most in enumerate([3, 4, 4, 9, 9, 9]):
        project.put_hour(days[n], [event(f"{n}-{k}", days[n], n=most) for k in range(2)])
        go(project, source, [days[n]])
    names = "expect_column_max_to_be_between(n)"
    found = sorted(
        (row for row in project.table(AUDITS) if row["expectation"] == names),
        key=lambda row: row["slices"],
    )
    assert [row["status"] for row in found] == ["warming up"] * 3 + ["failed"] * 3
    assert [row["success"] for row in found] == [None] * 3 + [False] * 3
    assert [row["metric"] for row in found] == [3, 4, 4, 9, 9, 9]
    assert "8 (2 x usual value, of 3 hours)" in found[5]["expected"]
    assert "known of 2 of at least 3 hours" in found[2]["expected"]
    # The facts are kept once an audit.
    facts = [row["facts"] for row in project.table(AUDITS) if row["facts"]]
    assert len(facts) == 6
    assert '"rows": 2' in facts[0]


EMPTIED = """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: emptied, max_value: 99}
    severity: critical
    why: A test empties a dump.
"""


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("rows", "held"), [(99, False), (100, True)])
def test_an_empty_dump_right_after_an_hour_of_a_hundred_rows_is_held(
    rows: int, held: bool, at_once: bool, project: Project
) -> None:
    project.suite("events", EMPTIED)
    source = project.source()
    hours = [NOON, NOON + HOUR]
    project.put_hour(NOON, [event(n, NOON) for n in range(rows)])
    project.put_hour(NOON + HOUR, [])
    for some in [hours] if at_once else [[each] for each in hours]:
        found = go(project, source, some)
    assert [each.slices for each in found.held] == ([(hours[1],)] if held else [])
    if held:
        usual = project.source(may_be_empty=True)
        assert not go(project, usual, hours).held


def test_what_users_are_doubtful_and_how_much_of_an_hour_one_has_are_facts(
    project: Project,
) -> None:
    project.suite("events", EMPTIED)
    source = project.source()
    users = [*["0"] * 60, "NaN", *(f"u{n}" for n in range(39))]
    project.put_hour(NOON, [event(n, NOON, user=user) for n, user in enumerate(users)])
    project.put_hour(NOON + HOUR, [event(f"x{n}", NOON, user="0") for n in range(99)])
    go(project, source, [NOON, NOON + HOUR])
    rows = sorted(project.table(AUDITS), key=lambda row: row["slices"])
    found = [json.loads(row["facts"]) for row in rows]
    assert [each["doubtful_users"] for each in found] == [61, 99]
    assert [each["largest_user_share"] for each in found] == [0.6, None]


def test_a_usual_value_of_rows_under_a_condition_with_quotes_is_known_from_audits_before(
    project: Project,
) -> None:
    text = """table: events
owner: tests
expectations:
  - type: expect_column_max_to_be_between
    args: {column: n, max_value: {usual: observed, times: 2}}
    where: event_type IN ('view', 'it''s', 'C:\\dir')
    severity: critical
    why: A test makes it fail.
"""
    project.suite("events", text)
    source = project.source()
    days = [NOON + n * 24 * HOUR for n in range(4)]
    kinds = ["view", "it's", "C:\\dir", "view"]
    for n, (day, kind, most) in enumerate(zip(days, kinds, [3, 4, 4, 9], strict=True)):
        rows = [event(f"{n}-0", day, n=most, type=kind), event(f"{n}-1", day, n=99, type="other")]
        project.put_hour(day, rows)
    assert not go(project, source, days[:3]).held
    found = go(project, source, days[3:])
    assert [each.slices for each in found.held] == [(days[3],)]
    assert "8 (2 x usual value, of 3 hours)], observed 9 " in found.held[0].describe()


def test_what_history_held_is_judged_again_when_there_is_more_of_it(project: Project) -> None:
    project.suite(
        "events",
        """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: rows, min_value: {usual: rows, times: 0.5, like: hour_of_day}}
    severity: critical
    why: An hour that brings less than half of its usual is not whole.
""",
    )
    source = project.source()
    days = [NOON + n * 24 * HOUR for n in range(9)]
    for n, count in enumerate([3, 3, 3, 3, 8, 8, 8, 8, 3]):
        project.put_hour(days[n], [event(f"{n}-{k}", days[n]) for k in range(count)])
    assert not go(project, source, days[4:8]).held
    assert go(project, source, days[8:]).held
    # The days before turn out to have been as small: three is usual after all.
    assert not go(project, source, days[:4]).held
    assert not go(project, source, days[8:]).held
