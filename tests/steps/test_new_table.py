"""A new aggregate is three files: no other module has to be changed for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from project import LINES, REPO, Project
from tidegate.tables import WAREHOUSE

MODULE = '''
"""warehouse/daily_types: one row a source, UTC date and event type."""

from datetime import timedelta

from tidegate.tables.model import Aggregate, Column, Input, Table

QUERY = """
    SELECT source, CAST(event_time AT TIME ZONE 'UTC' AS DATE) AS date, event_type, count(*) AS events
    FROM {events} GROUP BY ALL"""

TABLE = Table(
    name="daily_types",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("date", "date", "UTC date"),
        Column("event_type", "string", "what happened"),
        Column("events", "bigint", "number of events"),
    ),
    key=("source", "date", "event_type"),
    slice=("source", "date"),
    partition=("source",),
    statistics=("date",),
    meaning="a source's day and event type",
    built_from=("events",),
    aggregate=Aggregate(
        query=QUERY,
        grain=timedelta(days=1),
        inputs=(Input("events", "event_time", counted_by="events", measures=("events",)),),
    ),
)
'''
SUITE = """
table: daily_types
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: unaccounted, min_value: 0, max_value: 0}
    severity: critical
    why: Each event is counted once.
"""
ROWS = "SELECT CAST(date AS VARCHAR) AS date, event_type, events FROM daily_types ORDER BY ALL"


def test_a_new_table_is_derived_audited_traced_verified_and_rebuilt(
    make_project: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "daily_types" not in {table.name for table in WAREHOUSE}
    code = tmp_path / "jobs"
    shutil.copytree(REPO / "jobs", code, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    project = make_project()
    source = {**LINES, "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json"}
    (project.settings.sources / "web.yml").write_text(json.dumps(source), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(code))

    def rows() -> list[str]:
        return project.tidegate("sql", "--format", "csv", ROWS).splitlines()[1:]

    project.put("2024-03-01-12.json", [_event("1", "buy", 12), _event("2", "view", 12)])
    project.put("2024-03-01-13.json", [_event("3", "view", 13)])
    project.tidegate("run", "web", "--from", "2024-03-01T12", "--to", "2024-03-01T12")
    (code / "tidegate" / "tables" / "daily_types.py").write_text(MODULE, encoding="utf-8")
    project.suite("daily_types", SUITE)
    assert "daily_types" in project.tidegate("check")
    project.tidegate("run", "web", "--from", "2024-03-01T13", "--to", "2024-03-01T13")
    assert rows() == ["2024-03-01,buy,1", "2024-03-01,view,2"]
    project.put("2024-03-01-14.json", [_event("4", "buy", 12)])  # two hours late
    project.tidegate("run", "web", "--from", "2024-03-01T14", "--to", "2024-03-01T14")
    assert rows() == ["2024-03-01,buy,2", "2024-03-01,view,2"]
    traced = project.tidegate("trace", "daily_types", "web", "2024-03-01", "buy")
    assert "2024-03-01-12.json" in traced
    assert "2024-03-01-14.json" in traced
    assert "2024-03-01-13.json" not in traced
    project.tidegate("verify", "web")
    project.tidegate("rebuild", "daily_types", "web")
    assert rows() == ["2024-03-01,buy,2", "2024-03-01,view,2"]


def _event(name: str, kind: str, hour: int) -> dict[str, object]:
    return {"id": name, "at": f"2024-03-01T{hour}:30:00Z", "type": kind, "user": "ann"}
