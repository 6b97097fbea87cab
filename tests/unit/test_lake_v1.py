"""The lake of version 1 is whole wherever it lies: a reader without Spark sees the rows it is known to have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from fixtures import expected_of, unpack_lake_v1
from tidegate.config.source import load_sources
from tidegate.tables import WAREHOUSE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_lake_v1(tmp_path_factory.mktemp("lakes"))


def rows_of(project: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DeltaTable(project / "lake" / table).to_pyarrow_table().to_pylist()
    return rows


@pytest.mark.parametrize("table", WAREHOUSE, ids=lambda table: table.name)
def test_published_tables_have_the_rows_that_are_known(table: Any, project: Path) -> None:
    expected = expected_of(project)["warehouse"][table.name]
    rows = rows_of(project, f"warehouse/{table.name}")

    def keys(some: list[dict[str, Any]]) -> list[str]:
        names = [
            name for name in table.key if name not in ("hour", "start_hour", "dump_hour", "date")
        ]
        return sorted(json.dumps([str(row[name]) for name in names]) for row in some)

    assert expected
    assert keys(rows) == keys(expected)


def test_every_kind_of_history_is_in_it(project: Path) -> None:
    expected = expected_of(project)
    events = expected["warehouse"]["events"]
    assert {row["source"] for row in events} == {"shop", "log"}
    assert len({row["dump_hour"] for row in events}) >= 4
    assert expected["warehouse"]["session_aliases"]
    assert expected["quarantine"]
    assert expected["approvals"][0]["approved_by"] == "ann"
    assert any(row["rolled_back_by"] for row in expected["releases"])
    assert {row["status"] for row in expected["erasures"]} == {"asked", "done"}
    assert sum(row["duplicates"] or 0 for row in expected["landings"]) > 0
    hours = {(row["source"], row["dump_hour"]) for row in expected["latest_landings"]}
    published = {(row["source"], row["dump_hour"]) for row in events}
    missing = {f"{source}/{hour[:13].replace(' ', 'T')}" for source, hour in hours - published}
    assert missing == {*expected["held"], *expected["unreadable"]}


def test_landings_are_those_that_are_known(project: Path) -> None:
    known = {row["landing_id"]: row["status"] for row in expected_of(project)["landings"]}
    found = {row["landing_id"]: row["status"] for row in rows_of(project, "ops/landings")}
    assert found == known
    assert {*known.values()} == {"landed", "unreadable"}


def test_dumps_lie_where_the_source_files_say(project: Path) -> None:
    sources = load_sources(project / "dags" / "sources")
    assert [source.source for source in sources] == ["log", "shop"]
    for source in sources:
        root = Path(source.dumps.root)
        assert root.is_relative_to(project)
        assert any(file.is_file() for file in root.rglob("*"))


def test_the_erased_person_is_in_no_file_of_the_lake(project: Path) -> None:
    for table in ("warehouse/events", "warehouse/sessions", "ops/quarantine"):
        assert "zq7.example" not in json.dumps(rows_of(project, table), default=str)
    assert "zq7.example" in (project / "dumps" / "log" / "2024-03-01-12.csv").read_text()
