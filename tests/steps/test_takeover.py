"""A lake of version 1 is taken over: nothing is landed again in silence, and a rebuild brings it up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compare import exact_rows
from fixtures import LAKE_V1_KEY, expected_of, unpack_lake_v1
from project import rows_of
from tidegate.cli.app import app
from tidegate.lake import Lake
from tidegate.lake.table_refs import At
from tidegate.tables import events

pytestmark = pytest.mark.usefixtures("version_1")


@pytest.fixture
def version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = unpack_lake_v1(tmp_path)
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEGATE_LAKE", str(project / "lake"))
    monkeypatch.setenv("TIDEGATE_PII_KEY", LAKE_V1_KEY)
    for name in ("TIDEGATE_SPARK", "TIDEGATE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    return project


def tidegate(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    code = done.exit_code if done.exception is None or done.exit_code else 1
    assert code == status, f"{done.output}\n{done.exception!r}"
    return done.output if done.exception is None else f"{done.output}\n{done.exception}"


def published(project: Path) -> list[tuple[str, str]]:
    rows = rows_of(Lake(str(project / "lake")), "SELECT * FROM {t}", t=At(events.TABLE))
    return sorted((row["source"], row["event_id"]) for row in exact_rows(rows))


def test_its_rows_are_read_as_they_are_and_what_is_stale_is_named_with_the_reason(
    version_1: Path,
) -> None:
    expected = expected_of(version_1)["warehouse"]["events"]
    assert published(version_1) == sorted((row["source"], row["event_id"]) for row in expected)
    told = tidegate("status")
    assert "events of shop: it was built by version 1 of its code, this is 3" in told
    assert "tidegate rebuild events shop" in told


def test_no_hour_of_it_is_landed_before_the_rebuild(version_1: Path) -> None:
    before = published(version_1)
    told = tidegate("run", "shop", "--from", "2024-03-01T13", "--to", "2024-03-01T13", status=1)
    assert "version 1 of its code" in told
    assert published(version_1) == before


def test_a_suite_with_a_function_of_spark_names_what_to_write() -> None:
    told = tidegate("check", status=1)
    assert "to_date" in told
    assert "DATE" in told
    assert "daily_activity" in told


def test_a_rebuild_brings_it_up_to_date_and_then_the_dumps_give_it(version_1: Path) -> None:
    suite = version_1 / "expectations" / "daily_activity.yml"
    suite.write_text(suite.read_text().replace("to_date(hour)", "CAST(hour AS DATE)"))
    tidegate("rebuild", status=3)  # an hour is held, as it was before
    assert "version 1" not in tidegate("status")
    told = tidegate("verify")
    assert "the tables are what the dumps give" in told
    expected = expected_of(version_1)["warehouse"]["events"]
    assert published(version_1) == sorted((row["source"], row["event_id"]) for row in expected)
