"""The tours do what the documents say, run as a reader would: from top to bottom, in a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from documents import ANALYSTS, DOCUMENTS, README, TOUR, blocks, section
from project import REPO


def run_blocks(shell_blocks: list[str], folder: Path) -> str:
    """Run shell blocks in a folder, without Spark; return what was printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(shell_blocks)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TIDEGATE_PROJECT": str(REPO),
            "TIDEGATE_HOME": str(folder / "home"),
            "TIDEGATE_SPARK": "",
            "TIDEGATE_ENGINE": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the long tour in an empty folder; give the folder and what was printed."""
    folder = tmp_path_factory.mktemp("tour")
    shell_blocks = blocks(DOCUMENTS[TOUR], "sh")
    assert len(shell_blocks) >= 6
    return folder, run_blocks(shell_blocks, folder)


def test_the_short_tour_publishes_two_hours_and_traces_them(tmp_path: Path) -> None:
    printed = run_blocks(blocks(section(README, "A tour of five commands"), "sh"), tmp_path)
    assert "3 lines = 2 events + 0 duplicates + 1 quarantined (1 bad_event_time)" in printed
    assert re.search(r"^hello +2026-05-01T09 +2026-05-01T10 +2 +2 +0 ", printed, re.MULTILINE)
    assert re.search(r"^ann +2026-05-01T09:40:00Z +3 +1800\.0$", printed, re.MULTILINE)
    assert re.search(r"^ +file +\S+/hello/dumps/2026-05-01-09\.json$", printed, re.MULTILINE)


def test_the_tour_ends_with_what_the_document_says(tour: tuple[Path, str]) -> None:
    folder, printed = tour
    assert "4 lines = 2 events + 1 duplicates + 1 quarantined (1 bad_event_time)" in printed
    assert "nothing is held" in printed
    assert re.search(
        r"^  event_id: id  .*\n  event_time: at  .*\n  event_type: kind  ", printed, re.MULTILINE
    )
    assert re.search(r"^    file +\S+/tour/dumps/2026-05-01/10\.json$", printed, re.MULTILINE)
    assert "tour bad_event_time: 1 lines, 25.00% of 2026-05-01T10" in printed
    assert "unchanged" in printed
    assert "b1" in (folder / "tour" / "report" / "quarantine" / "tour.html").read_text()
    quarantined = re.search(r"^\[\n.*?^\]$", printed, re.MULTILINE | re.DOTALL)
    assert quarantined
    [line] = json.loads(quarantined[0])
    assert line["reason"] == "bad_event_time"
    assert json.loads(line["raw"])["id"] == "b1"


def test_the_tour_gives_one_session_of_three_events_and_three_by_a_shorter_gap(
    tour: tuple[Path, str],
) -> None:
    from tidegate.config.settings import Settings
    from tidegate.query.connect import connect

    folder, printed = tour
    assert re.search(r"ann +3 +3540", printed)
    settings = Settings(REPO, folder / "home", str(folder / "tour" / "lake"))
    with connect(settings) as connection:
        rows = connection.execute(
            "SELECT user_key, event_count, duration_s FROM sessions ORDER BY session_start"
        ).fetchall()
        corrected = connection.execute(
            "SELECT metric, before, after, cause FROM ops.corrections WHERE metric = 'sessions' ORDER BY sequence"
        ).fetchall()
        counted = connection.execute("SELECT count(*) FROM events").fetchone()
    assert rows == [("ann", 1, 0.0)] * 3 + [("cid", 1, 0.0)]
    assert corrected == [
        ("sessions", 1.0, 3.0, "configuration"),
        ("sessions", 3.0, 4.0, "new"),  # the hour that is approved
        ("sessions", 4.0, 1.0, "rollback"),  # to the first release, and forth again
        ("sessions", 1.0, 4.0, "configuration, new"),
    ]
    assert "the tables are what the dumps give" in printed
    assert counted == (4,)


def test_the_tour_holds_an_hour_that_somebody_approves(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert printed.count("exit status 3") == 2
    assert "tidegate approve tour/2026-05-01T12 --reason" in printed
    assert re.search(r"quarantined_share\) +0\.6+7 +the app cut its last lines", printed)
    assert re.search(r"2026-05-01 +true +3 +0", printed)


def test_the_tour_reads_releases_and_rolls_back(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert "every field is declared" in printed
    assert len(re.findall(r"^\d{8}T\d{6}-[0-9a-f]{8} [34] events$", printed, re.MULTILINE)) == 2
    assert re.search(r"events of tour: \d publications? of 2026-05-01T1", printed)
    assert "new releases are made again after: tidegate release --resume" in printed


def test_the_script_for_analysts_runs_on_a_lake(tour: tuple[Path, str]) -> None:
    folder, _ = tour
    [script] = blocks(DOCUMENTS[ANALYSTS], "python")
    assert "s3://bucket/lake" in script
    script = script.replace("s3://bucket/lake", str(folder / "tour" / "lake"))
    names: dict[str, Any] = {}
    exec(compile(script, ANALYSTS, "exec"), names)  # noqa: S102 (it is ours)
    with names["db"] as db:
        sessions = db.table("sessions").filter("start_date = DATE '2026-05-01'").pl()
    assert sorted(sessions.get_column("user_key").to_list()) == ["ann"] * 3 + ["cid"]


def test_the_tour_writes_pages(tour: tuple[Path, str]) -> None:
    folder, _ = tour
    pages = {page.name for page in (folder / "tour" / "report").rglob("*.html")}
    assert {"index.html", "derived.html", "tour.html"} <= pages


def test_the_tour_tries_a_suite_on_what_was_published(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert "tour 2026-05-01T10: warned, would be warned" in printed
    for verdict, did, would in (("passed", 1, 2), ("warned", 1, 1), ("approved", 1, 0)):
        assert re.search(rf"{verdict} +{did} did, +{would} would", printed)
