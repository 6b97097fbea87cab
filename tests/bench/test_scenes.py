"""The commands that measure, as README has them, on little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from project import REPO

pytestmark = pytest.mark.slow
SMALL = ["--events", "4800", "--visitors", "900", "--runs", "1"]


@pytest.mark.parametrize(
    ("scene", "options", "rows"),
    [
        ("history", ["--after", "1,2", "--events", "40", "--runs", "1"], 2),
        ("late", ["--hours", "10", "--events", "40", "--runs", "1"], 2),
        ("scale", ["--sizes", "2400,4800", "--executors", "2", "--cluster-events", "4800"], 3),
        ("query", ["--hours", "2", "--events", "500", "--runs", "1", "--block", "2"], 11),
        ("backfill", SMALL, 4),
        ("backfill", [*SMALL, "--peers", "duckdb", "--on", "s3", "--through", "airflow"], 3),
        ("live", ["--hours", "6", "--events", "60", "--runs", "1"], 5),
        ("hour", ["--history", "2", "--history-events", "60", "--events", "60", "--runs", "1"], 1),
    ],
)
def test_a_scene_measures_and_leaves_nothing_behind(
    scene: str, options: list[str], rows: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "bench", scene, "--json", *options],
        env={
            **os.environ,
            "TIDEGATE_PROJECT": str(REPO),
            "TIDEGATE_HOME": str(tmp_path),
            "TIDEGATE_JARS": os.environ.get("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["scene"] == scene
    assert len(told["rows"]) == rows
    took = "published_s" if scene == "query" else "seconds"
    assert all(row[took] > 0 for row in told["rows"])
    assert all(row["files_read"] > 0 for row in told["rows"] if "files_read" in row)
    assert told["marks"]
    *stages, whole = told["timeline"] or [{"seconds": 0.0}]
    assert sum(stage["seconds"] for stage in stages) == pytest.approx(whole["seconds"])
    assert list((tmp_path / "bench").iterdir()) == []
