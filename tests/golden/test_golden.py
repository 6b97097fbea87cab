"""Golden cases: `<table>/<case>/` holds the input of a table and the rows that come of it.

Events, landings, numbers and quarantine are made of dump files by `source.yml`; the other tables of rows of
their input tables, `<input>.jsonl`, with `rules.json` for sessions; aliases of events before a change
(`before.jsonl`) and after it. `expected.json` holds all rows, without what differs from run to run.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare import Row, assert_same_rows, exact_rows
from conftest import MakeProject
from project import REPO, Project
from tidegate.durations import parse_duration
from tidegate.hours import HOUR, parse_hour
from tidegate.lake import Lake, table_named
from tidegate.source import load_source
from tidegate.steps.land import land
from tidegate.steps.publish import publish_events
from tidegate.tables import WAREHOUSE, daily_activity, hourly_activity, session_aliases, sessions

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/expected.json"))
FIRST = parse_hour("2024-03-01T12")
VOLATILE = {"landing_id", "run_id", "landed_at", "fingerprint", "configuration"}


def _rows(lake: Lake, folder: Path, table: str, file: str | None = None) -> Any:
    lines = (folder / f"{file or table}.jsonl").read_text().splitlines()
    return lake.frame(map(json.loads, lines), table_named(table).ddl)


def _sessions(lake: Lake, folder: Path, file: str = "events") -> Any:
    said = json.loads((folder / "rules.json").read_text())
    rules = sessions.Rules(gap=parse_duration(said["gap"]), max=parse_duration(said["max"]))
    return sessions.sessionize(_rows(lake, folder, "events", file), rules)


def _aliases(lake: Lake, folder: Path) -> Any:
    """Build what becomes of the ids of `before.jsonl` by the events of `events.jsonl`."""
    old, new = _sessions(lake, folder, "before"), _sessions(lake, folder)
    lost = old.join(new, "session_id", "left_anti")

    def members(events: str, of: Any) -> Any:
        found = _rows(lake, folder, "events", events)
        return lake.spark.sql(session_aliases.members(), events=found, sessions=of)

    return session_aliases.build(
        lost.join(session_aliases.listed(members("before", lost)), "session_id"),
        _rows(lake, folder, "session_aliases"),
        old.select("session_id"),
        members("events", new),
        HOUR,
    )


BUILD: dict[str, Callable[[Lake, Path], Any]] = {
    "sessions": _sessions,
    "session_aliases": _aliases,
    "hourly_activity": lambda lake, folder: hourly_activity.build(_rows(lake, folder, "events")),
    "daily_activity": lambda lake, folder: daily_activity.build(
        _rows(lake, folder, "events"), _rows(lake, folder, "sessions")
    ),
}


def _landed(project: Project, folder: Path, table: str) -> list[Row]:
    shutil.copytree(folder / "dumps", project.root / "dumps", dirs_exist_ok=True)
    shutil.copy(folder / "source.yml", project.root / "web.yml")
    source = load_source(project.root / "web.yml")
    hours = [FIRST, FIRST + HOUR]
    land(project.work(), source, hours)
    if table == "events":
        assert publish_events(project.work(), source, hours).held == ()
    return project.table(table_named(table))


def made(case: str, make_project: MakeProject) -> list[Row]:
    """Return the rows that come of a case, in an order of their own."""
    table = case.partition("/")[0]
    project = make_project()
    if table in BUILD:
        rows = exact_rows(BUILD[table](project.work().lake, HERE / case))
    else:
        rows = _landed(project, HERE / case, table)
    text = json.dumps([{k: v for k, v in row.items() if k not in VOLATILE} for row in rows])
    return list(json.loads(text.replace(str(project.root), "<root>")))


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_the_rows_it_expects(case: str, make_project: MakeProject) -> None:
    expected = json.loads((HERE / case / "expected.json").read_text())
    table = table_named(case.partition("/")[0])
    assert_same_rows(
        made(case, make_project), expected, [k for k in table.key if k not in VOLATILE]
    )


def test_no_case_is_forgotten() -> None:
    folders = {path.relative_to(HERE).as_posix() for path in HERE.glob("*/*") if path.is_dir()}
    assert {each for each in folders if "__pycache__" not in each} == set(CASES)


@pytest.mark.parametrize(
    "table", [*(table.name for table in WAREHOUSE), "landings", "numbers", "quarantine"]
)
def test_every_table_has_its_module_its_suite_and_a_golden_case(table: str) -> None:
    published = table in {each.name for each in WAREHOUSE}
    if published:
        module = importlib.import_module(f"tidegate.tables.{table}")
        assert table_named(table) is module.TABLE, f"jobs/tidegate/tables/{table}.py"
        assert (REPO / "expectations" / f"{table}.yml").is_file(), f"expectations/{table}.yml"
    cases = [case for case in CASES if case.startswith(f"{table}/")]
    assert cases, f"tests/golden/{table}/<case>/expected.json"


def test_modules_of_tables_are_all_listed() -> None:
    folder = REPO / "jobs" / "tidegate" / "tables"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "model", "books"}
    assert modules == {table.name for table in WAREHOUSE}
