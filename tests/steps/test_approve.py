"""Approvals: a held slice is published knowingly, for what it failed at and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import CopyProject, MakeProject
from project import HOUR, LIMITED, NOON, Project, event
from tidegate.common.errors import HeldError, TidegateError
from tidegate.config.source import Source
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.publish import approve as approving
from tidegate.pipeline.publish import publish as publishing
from tidegate.pipeline.publish.approve import Approved, HeldSlice, approve, parse_slice
from tidegate.pipeline.rebuild import rebuild
from tidegate.query.connect import connect
from tidegate.query.status import Held, held
from tidegate.tables import events, sessions
from tidegate.tables.system_tables import AUDITS

SUITE = LIMITED.replace("SEVERITY", "critical")
TWO = NOON + HOUR


def yes(project: Project, source: Source, what: str, reason: str = "it is a sale") -> Approved:
    return approve(project.work(), source, parse_slice(what), by="ann", reason=reason)


def what_is_held(project: Project) -> list[Held]:
    with connect(project.settings) as connection:
        return held(connection)


def shown(project: Project) -> list[int]:
    return sorted(row["n"] for row in project.table(events.TABLE))


def lines(*numbers: int) -> list[dict[str, Any]]:
    return [event(f"{n}-{k}", NOON, n=n) for k, n in enumerate(numbers)]


@pytest.fixture(scope="module")
def begun(make_project: MakeProject) -> Project:
    """Make a project with a source whose second hour is held."""
    project = make_project()
    project.suite("events", SUITE)
    project.put_hour(NOON, lines(1, 2))
    project.put_hour(TWO, lines(10, 11))
    assert project.run(project.source(), [NOON, TWO]).exit_status == 3
    return project


@pytest.fixture
def project(begun: Project, copy_project: CopyProject) -> Project:
    """Give each test a copy of it."""
    return copy_project(begun)


@pytest.fixture
def source(project: Project) -> Source:
    """Give its source."""
    return project.source()


def test_a_held_hour_is_published_with_who_when_and_why_and_what_is_derived_follows(
    project: Project, source: Source
) -> None:
    [before] = what_is_held(project)
    assert before.approval == "web/2024-03-01T13"
    assert before.waits == "2024-03-01 is partial: 1 of 24 hours published"
    assert f"tidegate approve {before.approval} --reason" in before.todo
    # Looked at again, it is held since it was first.
    assert project.run(source, [TWO]).exit_status == 3
    assert what_is_held(project)[0].since == before.since

    done = yes(project, source, before.approval)
    assert done.publication is not None
    assert shown(project) == [1, 2, 10, 11]
    assert what_is_held(project) == []
    [approval] = [row for row in project.table(AUDITS) if row["status"] == "approved"]
    assert (approval["approved_by"], approval["why"]) == ("ann", "it is a sale")
    assert approval["expectation"] == "expect_column_values_to_be_between(n)"
    assert approval["audit_id"] in done.publication.audit_ids
    assert "approved by ann: it is a sale" in done.describe()
    assert derive(project.work(), [source]).publications
    # The audit that failed is as it was: what was known then stays known.
    assert [row["status"] for row in project.table(AUDITS) if row["success"] is False] == ["failed"]


def test_other_files_for_the_hour_are_judged_afresh_and_more_failures_are_not_approved(
    project: Project, source: Source
) -> None:
    yes(project, source, "web/2024-03-01T13")
    project.put_hour(TWO, lines(12))
    assert project.run(source, [TWO]).exit_status == 3
    assert shown(project) == [1, 2, 10, 11]
    [now] = what_is_held(project)
    assert now.has_older
    assert "expect_column_values_to_be_between(rows)" in now.why


def test_a_suite_that_finds_more_meanwhile_is_not_overruled(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = publishing.publish_events

    def later(*asked: Any) -> Any:
        project.suite("events", SUITE.replace("min_value: 2", "min_value: 3"))
        return publish(*asked)

    monkeypatch.setattr(approving, "publish_events", later)
    with pytest.raises(HeldError, match="held all the same"):
        yes(project, source, "web/2024-03-01T13")
    assert shown(project) == [1, 2]


def test_a_kill_between_the_approval_and_the_publication_is_made_good_by_approving_again(
    project: Project, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(approving, "publish_events", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            yes(project, source, "web/2024-03-01T13")
    assert shown(project) == [1, 2]
    assert yes(project, source, "web/2024-03-01T13").publication is not None
    assert shown(project) == [1, 2, 10, 11]


def test_a_rebuild_takes_an_approval_as_given_and_an_early_hour_may_change_the_slice(
    project: Project, source: Source
) -> None:
    yes(project, source, "web/2024-03-01T13")
    early = NOON - HOUR
    project.put_hour(early, [event("10-0", NOON, n=3), event("x", NOON, n=3)])
    assert project.run(source, [early]).exit_status == 3  # one row only would be left
    assert yes(project, source, "web/2024-03-01T11").publication is not None
    assert shown(project) == [1, 2, 3, 3, 11]
    wider = project.source(
        columns={"n": {"path": "n", "type": "int"}, "kind": {"path": "type", "type": "string"}}
    )
    assert rebuild(project.work(), events.TABLE, wider).publication is not None
    assert shown(project) == [1, 2, 3, 3, 11]


def test_an_hour_that_is_held_for_what_it_does_to_later_ones_says_so(
    project: Project, source: Source
) -> None:
    yes(project, source, "web/2024-03-01T13")
    early = NOON - HOUR
    project.put_hour(early, [event("1-0", NOON, n=3), event("x", NOON, n=3)])
    assert project.run(source, [early]).exit_status == 3
    [found] = what_is_held(project)
    assert found.slice == "2024-03-01T11"
    assert "later slices keep passing" in found.why
    assert "events web 2024-03-01T12" in found.why
    yes(project, source, found.approval)
    assert what_is_held(project) == []


def test_a_derived_table_that_is_held_is_published_by_the_next_derive_run(
    project: Project, source: Source
) -> None:
    strict = (project.settings.expectations / "sessions.yml").read_text()
    more = """  - type: expect_column_max_to_be_between
    args: {column: event_count, max_value: 1}
    severity: critical
    why: A test makes it fail.
"""
    project.suite("sessions", strict + more)
    yes(project, source, "web/2024-03-01T13")
    assert derive(project.work(), [source]).held
    [found] = [each for each in what_is_held(project) if each.table_name == "sessions"]
    assert (found.approval, found.waits) == ("sessions/web", "1 publications of events")
    done = yes(project, source, found.approval, "one long visit")
    assert done.publication is None
    derived = derive(project.work(), [source])
    assert not derived.held
    assert sessions.TABLE.name in {each.table_name for each in derived.publications}
    assert what_is_held(project) == []
    # It was for that publication: the next one is judged afresh.
    project.put_hour(TWO + HOUR, [event(k, TWO, n=1) for k in range(3)])
    assert project.run(source, [TWO + HOUR]).derived.held


@pytest.mark.parametrize(
    ("what", "reason", "told"),
    [
        ("web/2024-03-01T12", "x", "web/2024-03-01T12 is not held"),
        ("web/2024-03-01T19", "x", "was never landed"),
        ("web/2024-03-01T13", "  ", "an approval needs a reason"),
        ("sessions/web", "x", "sessions/web is not held"),
    ],
)
def test_what_cannot_be_approved_is_told(
    project: Project, source: Source, what: str, reason: str, told: str
) -> None:
    before = len(project.table(AUDITS))
    with pytest.raises(TidegateError, match=told):
        yes(project, source, what, reason)
    assert len(project.table(AUDITS)) == before


def test_files_that_could_not_be_read_are_not_approved(project: Project) -> None:
    source = project.source()
    project.put(f"{NOON:%Y-%m-%d-%H}.json.gz", [event(1, NOON)]).write_bytes(b"\x1f\x8bcut")
    project.run(source, [NOON])
    with pytest.raises(TidegateError, match="could not be read whole"):
        yes(project, source, "web/2024-03-01T12")


def test_names_of_slices() -> None:
    assert parse_slice("web/2024-03-01T12:00Z") == HeldSlice(events.TABLE, "web", NOON)
    assert parse_slice("sessions/web") == HeldSlice(sessions.TABLE, "web", None)
    for each in (HeldSlice(events.TABLE, "web", NOON), HeldSlice(sessions.TABLE, "web", None)):
        assert parse_slice(str(each)) == each
    for wrong in ("", "web", "web/", "/2024-03-01T12", "web/noon", "session/web"):
        with pytest.raises(TidegateError, match="names no slice"):
            parse_slice(wrong)
