"""The commands that measure, as jobs/tidegate_bench/README.md has them, on little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from project import of_the_repository
from tidegate_bench.day import write_day

pytestmark = pytest.mark.slow
SMALL = ["--events", "4800", "--visitors", "900", "--runs", "1"]
SPARK = ["--engine", "spark"]
HOUR = ["--history", "2", "--history-events", "60", "--events", "60", "--runs", "1"]


def measured(home: Path, scene: str, *options: str) -> dict[str, Any]:
    """Run a scene with a state folder of its own; return what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "bench", scene, "--json", *options],
        env=of_the_repository(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("scene", "options", "rows"),
    [
        ("tiny", ["--runs", "2"], 1),
        ("files", ["--files", "20", "--runs", "1"], 1),
        ("history", ["--after", "1,2", "--events", "40", "--runs", "1"], 2),
        ("history", ["--after", "1,2", "--events", "40", "--runs", "1", *SPARK], 2),
        ("late", ["--hours", "10", "--events", "40", "--runs", "1"], 2),
        ("late", ["--hours", "10", "--events", "40", "--runs", "1", *SPARK], 2),
        ("scale", ["--sizes", "2400,4800", "--executors", "2", "--cluster-events", "4800"], 3),
        ("query", ["--hours", "2", "--events", "500", "--runs", "1", "--block", "2"], 11),
        ("backfill", SMALL, 7),
        ("backfill", [*SMALL, "--peers", "duckdb", "--on", "s3", "--through", "airflow"], 5),
        ("live", ["--hours", "6", "--events", "60", "--runs", "1"], 5),
        ("hour", [*HOUR, *SPARK], 1),
        ("hour", [*HOUR, "--engine", "duckdb"], 1),
    ],
)
def test_a_scene_measures_and_leaves_nothing_behind(
    scene: str, options: list[str], rows: int, tmp_path: Path
) -> None:
    told = measured(tmp_path, scene, *options)
    assert told["scene"] == scene
    assert len(told["rows"]) == rows
    took = "published_s" if scene == "query" else "seconds"
    assert all(row[took] > 0 for row in told["rows"])
    assert all(row["files_read"] > 0 for row in told["rows"] if "files_read" in row)
    counts_reads = scene in ("history", "late") and "spark" in options
    assert all(("files_read" in row) == counts_reads for row in told["rows"])
    assert told["marks"]
    assert all(each["is_kept"] for each in told["marks"] if "count other" in each["what"])
    *stages, whole = told["timeline"] or [{"seconds": 0.0}]
    assert sum(stage["seconds"] for stage in stages) == pytest.approx(whole["seconds"])
    assert list((tmp_path / "bench").iterdir()) == []


def test_dumps_of_a_source_are_measured_beside_a_script_of_ones_own(tmp_path: Path) -> None:
    day = write_day(tmp_path, 4800, 900)
    script = tmp_path / "mine.py"
    script.write_text(
        "import json, sys\n"
        "asked = json.load(sys.stdin)\n"
        "print(json.dumps({'events': len(asked['dumps']), 'sessions': asked['gap_s'],\n"
        "    'hourly_activity': len(asked['fields']), 'daily_activity': 0}))\n"
    )
    told = measured(
        tmp_path / "home",
        "backfill",
        *("--source", str(day.source.path), "--from", "2025-01-01T00", "--to", "2025-01-01T05"),
        *("--runs", "1", "--peers", f"duckdb,polars,pyspark,{script}"),
    )
    rows = {row["who"]: row for row in told["rows"]}
    tables = ("events", "sessions", "hourly_activity", "daily_activity")
    counted = {who: [row[table] for table in tables] for who, row in rows.items()}
    assert counted.pop("mine.py") == [6, 1800, 9, 0]
    assert list(counted) == ["tidegate, duckdb", "tidegate, spark", "duckdb", "polars", "pyspark"]
    assert all(rows == counted["duckdb"] for rows in counted.values())
    assert [each["got"] for each in told["marks"] if "count other" in each["what"]] == [4]
    assert list((tmp_path / "home" / "bench").iterdir()) == []
