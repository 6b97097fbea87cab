"""`tidegate check`: every fault of sources and suites, without running anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from project import REPO
from tidegate.config.settings import Settings
from tidegate.orchestration.check import check
from tidegate.tables import WAREHOUSE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(REPO / "expectations", tmp_path / "expectations")
    shutil.copytree(REPO / "dags" / "sources", tmp_path / "dags" / "sources")
    return Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"))


def test_the_repo_itself_has_no_fault(settings: Settings) -> None:
    right, wrong = check(settings)
    assert wrong == []
    assert len(right) == len(WAREHOUSE) + len(list(settings.sources.glob("*.yml")))
    assert not (settings.project / "lake").exists()


def test_faults_of_all_files_are_told_together_each_with_its_file(settings: Settings) -> None:
    suite = settings.expectations / "events.yml"
    text = suite.read_text()
    suite.write_text(
        text.replace(
            "expect_column_values_to_not_be_null", "expect_column_values_to_be_uniqe", 1
        ).replace("max_value: 0.5}", "maximum: 0.5}", 1)
    )
    sessions = settings.expectations / "sessions.yml"
    sessions.write_text(sessions.read_text().replace("column: duration_s", "column: duration"))
    (settings.expectations / "hourly_activity.yml").write_text("a: [")
    (settings.expectations / "daily_activity.yml").unlink()
    (settings.expectations / "daily.yml").write_text("")
    shop = settings.sources / "shop.yml"
    shop.write_text(shop.read_text().replace("duplicates:", "duplicate:"))
    _, wrong = check(settings)
    for told in (
        "unknown expectation type 'expect_column_values_to_be_uniqe'; did you mean",
        "maximum",
        "no column 'duration' in the rows of sessions; did you mean 'duration_s'?",
        "hourly_activity.yml: the suite is not YAML",
        "daily_activity.yml: daily_activity has no suite",
        "daily.yml: no published table of that name",
        "unknown key 'duplicate'",
    ):
        assert any(told in each for each in wrong), (told, wrong)
    assert len(wrong) == 7
    assert all(".yml" in each for each in wrong)


@pytest.mark.parametrize(
    ("gap", "is_short"), [("", True), ("{gap: 59m}", True), ("{gap: 1h}", False)]
)
def test_sessions_that_end_with_every_hour_are_warned_of(
    settings: Settings, gap: str, is_short: bool
) -> None:
    (settings.sources / "views.yml").write_text(
        "source: views\nsince: 2024-01-01T00\ndumps: views/{dump_hour:%Y-%m-%d-%H}.json\n"
        "fields: {event_time: dump_hour, user_id: u}\n" + (f"sessions: {gap}\n" if gap else "")
    )
    right, wrong = check(settings)
    assert wrong == []
    assert (
        any("warning: events have the time of their dump hour" in text for text in right)
        == is_short
    )


def test_a_suite_of_events_may_ask_of_a_sources_own_columns(settings: Settings) -> None:
    suite = settings.expectations / "events.yml"
    entry = """  - type: expect_column_values_to_be_between
    args: {column: COLUMN, min_value: 0}
    sources: [SOURCE]
    severity: warning
    why: A test.
"""

    def told(column: str, source: str) -> list[str]:
        suite.write_text(text + entry.replace("COLUMN", column).replace("SOURCE", source))
        return check(settings)[1]

    text = suite.read_text()
    assert told("price", "shop") == []
    assert "did you mean 'price'?" in told("prise", "shop")[0]
    # Hours of the other sources would all be held: they have no such column.
    assert "app have no column 'price': say `sources: [shop]`" in told("price", "shop, app")[0]
    assert "no source 'shap'; did you mean 'shop'?" in told("event_id", "shap")[0]
