"""The bench's parts: made-up traffic, outcomes and marks, and the log of what Spark read."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from project import HOUR, REPO
from tidegate.common.errors import TidegateError
from tidegate.common.hours import parse_hour
from tidegate.config.settings import Settings
from tidegate.config.source import load_source, parse_source
from tidegate.orchestration.check import check
from tidegate_bench.airflow_lab import copy_project
from tidegate_bench.backfill import Measured, outcome_of
from tidegate_bench.cli import _number
from tidegate_bench.day import Workload, real_dumps, write_day
from tidegate_bench.lab import Measured as Run
from tidegate_bench.lab import costs
from tidegate_bench.process import Ended, run_command
from tidegate_bench.report import Mark, Outcome, machine
from tidegate_bench.scripts import check_readable, script_input
from tidegate_bench.small import write_files
from tidegate_bench.spark_log import Activity, Reads, SparkLog
from tidegate_bench.traffic import FIRST, Traffic, hour_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL = Traffic(events=2000, visitors=3000)


def read(line: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    assert isinstance(found, dict)
    return found


def test_what_is_measured_through_airflow_is_a_project_without_faults(tmp_path: Path) -> None:
    copy_project(REPO, tmp_path)
    right, wrong = check(Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake")))
    assert not wrong
    assert any("bench" in line for line in right)


def test_traffic_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    lines = list(SMALL.lines(3))
    assert lines == list(Traffic(2000, 3000).lines(3))
    assert lines != list(Traffic(2000, 3000, seed=2).lines(3))
    assert lines != list(SMALL.lines(4))
    assert 1500 < len(lines) < 2500


def test_traffic_has_skewed_users_late_events_repeats_and_broken_lines() -> None:
    events = [event for n in range(1, 6) for event in map(read, SMALL.lines(n)) if event]
    users = Counter(str(event["user"]) for event in events)
    assert users.most_common(1)[0][1] > 100 * len(events) / len(users) / 20
    assert sum(count == 1 for count in users.values()) > len(users) / 10
    ids = Counter(str(event["id"]) for event in events)
    assert any(count > 1 for count in ids.values())
    assert None in [read(line) for n in range(9) for line in SMALL.lines(n)]
    begun = (FIRST + HOUR).isoformat()[:19]
    late = [e for e in map(read, SMALL.lines(1)) if e and str(e["ts"]) < begun]
    assert 0 < len(late) < 40
    punctual = Traffic(2000, 3000, late=0.0)
    limit = (FIRST + HOUR - timedelta(seconds=3)).isoformat()[:19]
    twice = [e for e in map(read, punctual.lines(1)) if e and str(e["ts"]) < limit]
    assert {str(e["id"]) for e in twice} <= {
        str(e["id"]) for e in map(read, punctual.lines(0)) if e
    }


def test_a_dump_is_written_under_the_name_of_its_hour_with_what_else_it_is_to_hold(
    tmp_path: Path,
) -> None:
    belated = SMALL.one_of(0)
    file, size = SMALL.write(26, tmp_path, belated)
    assert file.name == "2025-01-02-02.json.gz"
    assert hour_of(26).isoformat() == "2025-01-02T02:00:00+00:00"
    body = gzip.decompress(file.read_bytes())
    assert len(body) == size
    assert body.splitlines() == [*SMALL.lines(26), belated]
    told = read(belated)
    assert told is not None
    assert str(told["id"]).startswith("belated-")
    assert str(told["ts"]).startswith("2025-01-01T00:")


def ask(script: str, load: Workload, out: Path) -> dict[str, int]:
    asked = json.dumps({**script_input(load), "out": str(out)})
    ended = run_command([sys.executable, "-m", f"tidegate_bench.peers.{script}_script"], asked)
    told: dict[str, int] = json.loads(ended.output)
    return told


@pytest.mark.parametrize("script", ["duckdb", "polars"])
def test_a_script_reads_any_names_and_types_and_takes_each_id_once(
    script: str, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    lines = [
        {"e.id": "a", "at": {"it's": "2025-01-01T00:00:00Z"}, 'who "is"': 7, "n": {"x": 1.25}},
        {"e.id": "a", "at": {"it's": "2025-01-01T00:20:00Z"}, 'who "is"': 7},
        {"e.id": "b", "at": {"it's": "2025-01-01T00:40:00.5Z"}, 'who "is"': 7, "on": True},
        {"e.id": "c", "at": {"it's": "2025-01-01T01:00:00Z"}},
        {"e.id": "d", "at": {"it's": "soon"}, 'who "is"': 7},
        {"at": {"it's": "2025-01-01T00:40:00Z"}, 'who "is"': 7},
    ]
    file = tmp_path / "2025-01-01-00.json.gz"
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"e.id": "broken"\n'
    file.write_bytes(gzip.compress(text.encode()))
    source = parse_source(
        {
            "source": "odd",
            "since": "2025-01-01T00",
            "dumps": f"{tmp_path}/{{dump_hour:%Y-%m-%d-%H}}.json.gz",
            "fields": {
                "event_id": "`e.id`",
                "event_time": "at.`it's`",
                "user_id": '`who "is"`',
            },
            "columns": {
                "price": {"path": "n.x", "type": "decimal(10,2)"},
                "is_on": {"path": "on", "type": "boolean"},
            },
        },
        tmp_path / "odd.yml",
    )
    hour = parse_hour("2025-01-01T00")
    load = real_dumps(Settings(REPO, tmp_path, str(tmp_path)), source, hour, hour, tmp_path)
    assert load.files == [file]
    told = ask(script, load, tmp_path / "out")
    assert told == {"events": 3, "sessions": 2, "hourly_activity": 2, "daily_activity": 1}
    written = {
        row["event_id"]: row for row in pq.read_table(tmp_path / "out/events.parquet").to_pylist()
    }
    assert str(written["a"]["price"]) == "1.25"
    assert written["b"]["is_on"] is True
    assert [written[each]["user_key"] for each in "abc"] == ["7", "7", None]


def test_scripts_count_alike_on_made_up_dumps_of_any_seed(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        load = write_day(folder, 24_000, 900, seed=seed)
        found += [ask(script, load, folder / script) for script in ("duckdb", "polars")]
    assert found[0] == found[1] != found[2] == found[3]


PEERS = {
    "duckdb_script.py": "fc59b2ae623ce529f0f88c37c4d58a3e2d0b392b0267f6558a4298fb305bbe04",
    "polars_script.py": "00ad7ba8bbaebfa2bc417266ec5047ba53f782a09bb70d24462ff03c4fd032fa",
    "pyspark_script.py": "74e51ef9fb85331f07a6e9b4cb12674a3b98f6d39047551d6ef16e7c5a010e3e",
}
"""The SHA-256 of each script, so that ratios of different days have the same denominator."""


def test_the_scripts_that_results_are_compared_with_have_not_changed() -> None:
    files = (REPO / "jobs" / "tidegate_bench" / "peers").glob("*_script.py")
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == PEERS


def test_results_from_before_ratios_had_their_seconds_can_be_read() -> None:
    now = Outcome("late", "about", {}, [{"seconds": 3.0}], [Mark.ratio("ratio", 1.5, 3.0, 1.5)])
    before = json.loads(json.dumps(now.as_json()))
    del before["marks"][0]["seconds"]
    [mark] = Outcome.of_json(before).marks
    assert mark.describe() == "ratio: 2.00, at most 1.5: NOT KEPT"


def test_what_the_scripts_cannot_do_is_named() -> None:
    with pytest.raises(TidegateError) as caught:
        check_readable(load_source(REPO / "dags/sources/nasa.yml"))
    assert (
        caught.value.got
        == "files of csv, no event_id: ids are computed, times in epoch_s, expressions"
    )
    assert "--peers FILE.py" in (caught.value.todo or "")
    check_readable(load_source(REPO / "dags/sources/github.yml"))


def test_two_scripts_of_one_name_are_a_usage_error(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tidegate_bench.cli import bench

    files = [tmp_path / folder / "mine.py" for folder in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.touch()
    done = CliRunner().invoke(bench, ["backfill", "--peers", ",".join(map(str, files))])
    assert done.exit_code == 2
    assert "two scripts alike" in done.output


def test_hours_without_dumps_are_nothing_to_measure(tmp_path: Path) -> None:
    source = load_source(REPO / "dags/sources/github.yml")
    settings = Settings(REPO, tmp_path, str(tmp_path), dumps=str(tmp_path))
    hour = parse_hour("2015-01-01T12")
    with pytest.raises(TidegateError, match="github has no files in these hours"):
        real_dumps(settings, source, hour, hour, tmp_path)


def test_an_outcome_says_what_was_measured_and_which_marks_were_kept() -> None:
    outcome = Outcome(
        "late",
        "an hour's run",
        {"events": 2000, "runs": 3},
        [
            {"late": 0, "seconds": 1.5, "bytes": 123456.0},
            {"late": 1, "seconds": 3.0, "bytes": None},
        ],
        [Mark.ratio("seconds", 1.5, 3.0, 1.5), Mark("bytes", 2.0, 1.0)],
    )
    lines = list(outcome.lines())
    assert lines[1] == "  (events 2,000, runs 3)"
    assert lines[2].split() == ["late", "seconds", "bytes"]
    assert lines[3].split() == ["0", "1.50", "123,456"]
    assert lines[4].split() == ["1", "3.00", "-"]
    assert lines[5:] == [
        "  seconds: 2.00 (3.00 s to 1.50 s), at most 1.5: NOT KEPT",
        "  bytes: 1.00, at most 2: kept",
    ]
    marks = json.loads(json.dumps(outcome.as_json()))["marks"]
    assert [each["is_kept"] for each in marks] == [False, True]
    assert machine()["cores"]
    again = Outcome.of_json(json.loads(json.dumps(outcome.as_json())))
    assert list(again.lines()) == lines


def test_reads_are_told_apart_by_area_and_a_tables_own_log() -> None:
    activity = Activity()
    activity.reads["warehouse/events"] = Reads(2, 20)
    activity.reads["warehouse/sessions"] = Reads(1, 5)
    activity.reads["warehouse/events/_delta_log"] = Reads(7, 70)
    activity.reads["ops/audits/_delta_log"] = Reads(1, 1)
    activity.reads["other"] = Reads(9, 90)
    assert activity.under("warehouse") == Reads(3, 25)
    assert activity.under("staging") == Reads(0, 0)
    assert activity.logs == Reads(8, 71)


def test_a_log_that_is_not_written_any_more_is_an_error(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").write_text('{"Event":"SparkListenerLogStart"}\n')
    monkeypatch.setattr("tidegate_bench.spark_log._WAIT_S", 0.2)
    with pytest.raises(TidegateError, match="event log does not reach"):
        SparkLog(tmp_path).since_last(spark)


@pytest.mark.parametrize("text", ["", "x", "-1", "0"])
def test_a_length_that_is_no_number_is_a_usage_error(text: str) -> None:
    import typer

    with pytest.raises(typer.BadParameter, match="such as"):
        _number(text)


_PARENT = """
import os, time
held = bytearray(os.urandom(1)) * (200 << 20)
time.sleep(1.5)
if os.fork() == 0:
    time.sleep(0.5)
    os._exit(0)
os.wait()
"""


def test_a_child_that_still_shares_its_parents_memory_is_not_counted_beside_it() -> None:
    ended = run_command([sys.executable, "-c", _PARENT])
    assert 200 << 20 < ended.peak_bytes < 350 << 20


_PARENT_OF_A_LASTING_CHILD = """
import os, time
held = bytearray(os.urandom(1)) * (200 << 20)
if os.fork() == 0:
    time.sleep(3)
    os._exit(0)
os.wait()
"""


def test_memory_that_processes_share_counts_once() -> None:
    ended = run_command([sys.executable, "-c", _PARENT_OF_A_LASTING_CHILD])
    assert 200 << 20 < ended.peak_bytes < 250 << 20


def test_files_of_an_hour_have_the_lines_that_they_are_to_have(tmp_path: Path) -> None:
    load = write_files(tmp_path, [(4,), (1, 2, 1)])
    assert [len(file.read_bytes().splitlines()) for file in load.files] == [4, 1, 2, 1]
    assert (load.first, load.last) == (hour_of(0), hour_of(1))
    settings = Settings(REPO, tmp_path, str(tmp_path / "lake"))
    dumps = real_dumps(settings, load.source, load.first, load.last, tmp_path)
    assert dumps.files == load.files
    assert dumps.size == load.size == sum(file.stat().st_size for file in load.files)


def test_marks_of_a_backfill_compare_each_engine_with_its_script_and_name_scripts_that_differ() -> (
    None
):
    counts = {"events": 3, "sessions": 2, "hourly_activity": 2, "daily_activity": 1}
    seconds = {
        "tidegate, duckdb, folder": 20.0,
        "tidegate, duckdb, s3": 25.0,
        "tidegate, spark, folder": 60.0,
        "airflow, spark": 80.0,
        "duckdb": 10.0,
        "pyspark": 40.0,
    }
    measured = {
        name: [Measured(Ended(took, 1 << 30, ""), counts)] for name, took in seconds.items()
    }
    measured["mine.py"] = [Measured(Ended(1.0, 1 << 30, ""), {**counts, "sessions": 1})]
    outcome = outcome_of("about", {}, measured)
    assert [mark.describe() for mark in outcome.marks] == [
        "seconds of tidegate, duckdb, folder to those of the script duckdb: 2.00 "
        "(20.00 s to 10.00 s), at most 2.2: kept",
        "seconds of tidegate, duckdb, s3 to those of the script duckdb: 2.50 "
        "(25.00 s to 10.00 s), at most 3: kept",
        "seconds of tidegate, spark, folder to those of the script pyspark: 1.50 "
        "(60.00 s to 40.00 s), at most 1.2: NOT KEPT",
        "seconds of airflow, spark to those of the script duckdb: 8.00 "
        "(80.00 s to 10.00 s), at most 7: NOT KEPT",
        "tables of which others count other rows than tidegate: 1.00, at most 0: NOT KEPT",
    ]


def test_engines_and_places_of_a_backfill_are_checked() -> None:
    from typer.testing import CliRunner

    from tidegate_bench.cli import bench

    done = CliRunner().invoke(bench, ["backfill", "--on", "folder,tape"])
    assert done.exit_code == 2
    assert "'tape' is none of folder, s3" in done.output
    done = CliRunner().invoke(bench, ["backfill", "--engines", "duckdb,hive"])
    assert isinstance(done.exception, TidegateError)
    assert "hive" in str(done.exception)


def test_costs_of_runs_without_spark_are_their_seconds_only() -> None:
    runs = [Run(seconds, None) for seconds in (3.0, 1.0, 2.0)]
    assert costs(runs) == {"seconds": 2.0, "least": 1.0, "most": 3.0}
    assert costs([Run(1.0, Activity(queries=4))])["queries"] == 4
