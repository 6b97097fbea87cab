"""Scene `backfill`: a day of dumps, to a release, beside scripts that do the same work."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from tidegate.bench.airflow_lab import DAG, AirflowLab, airflow_lab
from tidegate.bench.day import DUMPS, HOURS, describe_day, put_dumps, run_day, write_day
from tidegate.bench.lab import scratch
from tidegate.bench.process import Ended, Watch, run_command
from tidegate.bench.report import Mark, Outcome, Row
from tidegate.bench.traffic import Traffic, hour_of
from tidegate.errors import TidegateError
from tidegate.hours import HOUR
from tidegate.query import connect
from tidegate.settings import Settings
from tidegate.stack.seaweed import LAKE_BUCKET, running_seaweed

MOST = 1.5
"""Times the seconds of the DuckDB script that `tidegate run` may take."""
MOST_AIRFLOW = 2.5
"""Times the seconds of the DuckDB script that a backfill through Airflow may take."""
PEERS = ("duckdb", "polars", "pyspark")
PLACES = ("folder", "s3")
_MARKS = {"tidegate": MOST, "airflow": MOST_AIRFLOW}
_AT_ONCE = 8
_WARM_UP = 40 * HOURS
"""Number of an hour that is landed before: of a day that no dump that is measured has to do with."""
_DEADLINE_S = 3600.0
_GAP_S = 1800
_TABLES = ("events", "sessions", "hourly_activity", "daily_activity")


def backfill(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    events: int,
    visitors: int,
    runs: int,
    peers: Sequence[str],
    on: str = "folder",
    airflow: bool = False,
) -> Outcome:
    """Measure 24 dumps through `tidegate run` and through other scripts, in turn, each a new process.

    Args:
        settings: of the project.
        tell: is given a line of progress at a time.
        events: of all dumps, about.
        visitors: how many different ones there are.
        runs: of each.
        peers: of `PEERS`; they read and write a folder.
        on: of `PLACES`: where `tidegate run` reads the dumps and writes the lake.
        airflow: whether to measure a backfill through a warm Airflow too, from S3 to S3.

    Raises:
        TidegateError: a script counts other rows than Tidegate.
    """
    with scratch(settings) as folder, _place(on, folder) as place:
        files, size = write_day(folder, events, visitors)
        place.put(files)
        tell(f"{HOURS} dumps of {size / 1e6:,.0f} MB")
        source = describe_day(folder, place.dumps)
        found: dict[str, list[Ended]] = {}
        for n in range(runs):
            for name in ("tidegate", *(["airflow"] if airflow else []), *peers):
                out = folder / f"{name}-{n}"
                if name == "tidegate":
                    ended = run_day(
                        settings, source, f"{place.lakes}/{name}-{n}", place.environment
                    )
                elif name == "airflow":
                    ended = _airflow(settings, tell, files)
                else:
                    ended = _peer(name, folder, out)
                found.setdefault(name, []).append(ended)
                tell(f"{name}: {ended.seconds:.1f} s, {ended.peak_bytes / 2**30:.2f} GiB")
                _compare(name, ended, found["tidegate"][0])
                shutil.rmtree(out, ignore_errors=True)
    rows: list[Row] = [_row(name, each) for name, each in found.items()]
    seconds = {str(row["who"]): float(row["seconds"] or 0) for row in rows}
    marks = [
        Mark(f"seconds of {name} to those of the DuckDB script", most, seconds[name] / peer)
        for name, most in _MARKS.items()
        if name in seconds and (peer := seconds.get("duckdb"))
    ]
    given = {"events": events, "visitors": visitors, "bytes": size, "runs": runs, "on": on}
    about = f"{HOURS} dumps in a new process" + (", or by a warm Airflow" if airflow else "")
    return Outcome("backfill", about, given, rows, marks)


@dataclass(frozen=True)
class _Place:
    """Where `tidegate run` finds dumps and makes lakes.

    Attributes:
        dumps: URI or folder.
        lakes: URI or folder that lakes are made in.
        environment: how they are reached.
        put: is given the files of the dumps.
    """

    dumps: str
    lakes: str
    environment: Mapping[str, str]
    put: Callable[[Sequence[Path]], None]


@contextmanager
def _place(on: str, folder: Path) -> Iterator[_Place]:
    """Yield a place; on S3 it is a server of its own, as the stack has it."""
    if on == "folder":
        yield _Place(f"{folder}/dumps", str(folder), {}, lambda _: None)
        return
    with running_seaweed(folder) as s3:
        environment = {
            "AWS_ENDPOINT_URL_S3": str(s3.endpoint),
            "AWS_ACCESS_KEY_ID": str(s3.access_key),
            "AWS_SECRET_ACCESS_KEY": str(s3.secret_key),
            "AWS_REGION": s3.region,
        }
        yield _Place(DUMPS, f"s3://{LAKE_BUCKET}", environment, partial(put_dumps, s3))


def _airflow(settings: Settings, tell: Callable[[str], None], files: Sequence[Path]) -> Ended:
    """Backfill the dumps through a new Airflow that has landed an hour before.

    The seconds are those from asking for the backfill to a release that pins all its hours; the memory is
    that of the whole stack.
    """
    hours = [hour_of(number) for number in range(HOURS)]
    with airflow_lab(settings, tell) as own:
        own.unpause()
        warm_up = Traffic(1000, 1000)
        own.put([warm_up.write(_WARM_UP, own.folder / "dumps")[0], *files])
        own.api.trigger(DAG, hour_of(_WARM_UP), interval=HOUR)
        own.wait_for_release([hour_of(_WARM_UP)], _DEADLINE_S)
        own.wait_for_rest(_DEADLINE_S)
        watch = Watch(own.pid, every_s=1.0)
        try:
            begun = time.time()
            own.api.create_backfill(DAG, hours[0], hours[-1], max_active_runs=_AT_ONCE)
            ended = own.wait_for_release(hours, _DEADLINE_S)
        finally:
            watch.end()
        own.wait_for_rest(_DEADLINE_S)
        return Ended(ended - begun, watch.peak, json.dumps(_counts(own)))


def _counts(own: AirflowLab) -> dict[str, int]:
    """Return the released rows by table, without those of the hour that was landed to warm up."""
    until = hour_of(_WARM_UP) - timedelta(days=1)
    times = dict(zip(_TABLES, ("event_time", "session_start", "hour", "date"), strict=True))
    with connect(own.settings) as connection:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE {time} < ?", [until]
            ).fetchall()[0][0]
            for table, time in times.items()
        }


def _peer(name: str, folder: Path, out: Path) -> Ended:
    asked = {"dumps": str(folder / "dumps"), "out": str(out), "gap_s": _GAP_S}
    if find_spec(name) is None:
        raise TidegateError(
            f"{name} is not installed",
            where="tidegate bench backfill",
            expected="the packages that pyproject.toml lists under bench",
            todo="run: python3 infra/bootstrap.py env, or leave it out: --peers duckdb",
        )
    module = f"tidegate.bench.peers.{name}_script"
    return run_command([sys.executable, "-m", module], json.dumps(asked))


def _compare(name: str, ended: Ended, ours: Ended) -> None:
    """Raise unless both counted the same rows."""
    got, expected = (
        {table: json.loads(each.output).get(table) for table in _TABLES} for each in (ended, ours)
    )
    if got != expected:
        raise TidegateError(
            f"{name} counts other rows than tidegate",
            expected=str(expected),
            got=str(got),
            todo="a comparison of other work means nothing: mend the script",
        )


def _row(name: str, runs: Sequence[Ended]) -> Row:
    seconds = [each.seconds for each in runs]
    return {
        "who": name,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "peak_gib": median(each.peak_bytes for each in runs) / 2**30,
    }
