"""Backtests: a proposed suite is asked of what was published, as it was then, and writes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from project import NOON, Project, event
from tidegate.common.errors import EXIT_FAULT
from tidegate.config.source import Source
from tidegate.config.suites import read_suite
from tidegate.pipeline.publish.approve import approve, parse_slice
from tidegate.pipeline.publish.backtest import Retried, backtest
from tidegate.tables.system_tables import AUDITS

SUITE = """table: events
owner: tests
expectations:
  - type: expect_column_max_to_be_between
    args: {column: n, max_value: LIMIT}
    severity: critical
    why: A test makes it fail.
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: rows, min_value: LEAST}
    severity: warning
    why: Fewer rows look wrong.
"""
DAY = timedelta(days=1)
HOURS = [NOON + n * DAY for n in range(5)]


@pytest.fixture
def source(project: Project) -> Source:
    """Give a source of five days of one hour: the fourth was approved, the fifth is held."""
    project.suite("events", suite("9", "2"))
    source = project.source()
    for n, most in enumerate([1, 2, 3, 20, 30]):
        project.put_hour(HOURS[n], [event(f"{n}-{k}", HOURS[n], n=most) for k in range(n + 1)])
        project.run(source, [HOURS[n]])
    held = parse_slice(f"web/{HOURS[3]:%Y-%m-%dT%H}")
    approve(project.work(), source, held, by="ann", reason="a sale")
    return source


def suite(limit: str, least: str) -> str:
    return SUITE.replace("LIMIT", limit).replace("LEAST", least)


def tried(project: Project, source: Source, text: str, last: int = 10) -> list[Retried]:
    path = project.root / "proposal.yml"
    path.write_text(text)
    return list(backtest(project.work(), read_suite(path), [source], last))


def said(found: list[Retried]) -> list[tuple[int, str, str]]:
    return [((each.slices[0] - NOON).days, each.did, each.would) for each in found]


def test_publications_are_judged_as_they_were_published_and_what_is_held_as_it_waits(
    project: Project, source: Source
) -> None:
    before, books = project.versions(), len(project.table(AUDITS))
    found = tried(project, source, suite("25", "3"))
    assert said(found) == [
        (0, "warned", "warned"),
        (1, "passed", "warned"),
        (2, "passed", "passed"),
        (3, "approved", "passed"),
        (4, "held", "held"),
    ]
    assert found[4].publication_id is None
    assert "observed 30" in found[4].describe()
    assert said(tried(project, source, suite("2", "1"), last=2)) == [
        (2, "passed", "held"),
        (3, "approved", "held"),
        (4, "held", "held"),
    ]
    assert (project.versions(), len(project.table(AUDITS))) == (before, books)


@pytest.mark.slow
def test_history_is_what_there_was_before_each_publication(
    project: Project, source: Source
) -> None:
    usual = "{usual: rows, times: 1.4, like: hour_of_day}"
    found = tried(project, source, suite("99", "1").replace("min_value: 1", f"max_value: {usual}"))
    # Three days warm up; of 1, 2 and 3 rows two are usual, then two and a half.
    assert [bool(each.warming) for each in found] == [True, True, True, False, False]
    assert [each.would for each in found[3:]] == ["warned", "warned"]
    assert "2.8 (1.4 x usual rows, of 3 hours)" in found[3].describe()


@pytest.mark.slow
def test_a_row_that_was_replaced_since_is_judged_as_it_was(
    project: Project, source: Source
) -> None:
    project.put_hour(HOURS[0], [event(f"new-{k}", HOURS[0], n=8) for k in range(3)])
    project.run(source, [HOURS[0]])
    found = tried(project, source, suite("5", "1"))
    assert [each for each in said(found) if each[0] == 0] == [
        (0, "warned", "passed"),
        (0, "passed", "held"),
    ]


@pytest.mark.slow
def test_derived_tables_are_judged_by_the_facts_that_were_written_down(
    project: Project, source: Source
) -> None:
    found = tried(
        project,
        source,
        """table: sessions
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: events_read, max_value: 2}
    severity: critical
    why: A test makes it fail.
  - type: expect_column_max_to_be_between
    args: {column: event_count, max_value: 1}
    severity: warning
    why: A test makes it fail.
""",
    )
    assert said(found) == [(0, "passed", "passed"), (1, "passed", "warned"), (2, "passed", "held")]


def test_a_suite_that_spark_cannot_run_is_refused(project: Project) -> None:
    text = suite("1", "1").replace("column_max_to_be_between", "column_max_to_be_betwen")
    path = project.root / "proposal.yml"
    path.write_text(text)
    told = project.tidegate("gate", "backtest", str(path), status=EXIT_FAULT)
    assert "did you mean 'expect_column_max_to_be_between'" in told
