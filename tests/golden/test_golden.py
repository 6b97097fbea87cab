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

import pytest

from compare import Row, assert_same_rows
from conftest import MakeProject
from project import REPO, Project
from tidegate.common.durations import parse_duration
from tidegate.common.hours import HOUR, parse_hour
from tidegate.config.source import load_source
from tidegate.lake import Staged, table_named
from tidegate.pipeline.derive.aliases import IN, LOST
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.tables import WAREHOUSE, daily_activity, hourly_activity, session_aliases, sessions
from workbench import Workbench

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/expected.json"))
FIRST = parse_hour("2024-03-01T12")
VOLATILE = {"landing_id", "staged", "run_id", "landed_at", "fingerprint", "configuration"}


def _rows(bench: Workbench, folder: Path, table: str, file: str | None = None) -> Staged:
    lines = (folder / f"{file or table}.jsonl").read_text().splitlines()
    return bench.stage(map(json.loads, lines), table_named(table).types)


def _sessions(bench: Workbench, folder: Path, file: str = "events") -> Staged:
    said = json.loads((folder / "rules.json").read_text())
    rules = sessions.Rules(gap=parse_duration(said["gap"]), max=parse_duration(said["max"]))
    rows = _rows(bench, folder, "events", file)
    return bench.build(sessions.sessionize(rules), sessions.TABLE.types, events=rows)


def _aliases(bench: Workbench, folder: Path) -> Staged:
    """Build what becomes of the ids of `before.jsonl` by the events of `events.jsonl`."""
    old, new = _sessions(bench, folder, "before"), _sessions(bench, folder)
    lost = bench.build(LOST, sessions.TABLE.types, old=old, new=new)

    def members(events: str, of: Staged) -> Staged:
        found = _rows(bench, folder, "events", events)
        return bench.build(session_aliases.members(), IN, events=found, sessions=of)

    return bench.build(
        session_aliases.build(HOUR),
        session_aliases.TABLE.types,
        lost=lost,
        were=members("before", lost),
        known=_rows(bench, folder, "session_aliases"),
        replaced=old,
        moved=members("events", new),
    )


def _hours(bench: Workbench, folder: Path) -> Staged:
    rows = _rows(bench, folder, "events")
    return bench.build(hourly_activity.QUERY, hourly_activity.TABLE.types, events=rows)


def _days(bench: Workbench, folder: Path) -> Staged:
    return bench.build(
        daily_activity.QUERY,
        daily_activity.TABLE.types,
        events=_rows(bench, folder, "events"),
        sessions=_rows(bench, folder, "sessions"),
    )


BUILD: dict[str, Callable[[Workbench, Path], Staged]] = {
    "sessions": _sessions,
    "session_aliases": _aliases,
    "hourly_activity": _hours,
    "daily_activity": _days,
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


def built(
    case: str, engine: str, make_project: MakeProject, request: pytest.FixtureRequest
) -> list[Row]:
    """Return the rows that come of a case, in an order of their own."""
    table = case.partition("/")[0]
    root = ""
    if table in BUILD:
        bench: Workbench = request.getfixturevalue("workbench")
        rows = bench.rows(BUILD[table](bench, HERE / case))
    else:
        project = make_project(engine=engine)
        root = str(project.root)
        rows = _landed(project, HERE / case, table)
    text = json.dumps([{k: v for k, v in row.items() if k not in VOLATILE} for row in rows])
    return list(json.loads(text.replace(root, "<root>") if root else text))


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_the_rows_it_expects_on_either_engine(
    case: str, engine: str, make_project: MakeProject, request: pytest.FixtureRequest
) -> None:
    expected = json.loads((HERE / case / "expected.json").read_text())
    table = table_named(case.partition("/")[0])
    assert_same_rows(
        built(case, engine, make_project, request),
        expected,
        [k for k in table.key if k not in VOLATILE],
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
    modules = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "functions",
        "model",
        "system_tables",
        "types",
    }
    assert modules == {table.name for table in WAREHOUSE}
