"""Scene `backfill`: a day of dumps, or real ones, to a release, beside scripts that do the same work."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, hour_text
from tidegate.config.settings import EngineName, Settings
from tidegate.config.source import Source
from tidegate.query.connect import connect
from tidegate.stack.seaweed import LAKE_BUCKET, running_seaweed
from tidegate_bench.airflow_lab import DAG, AirflowLab, airflow_lab
from tidegate_bench.day import (
    DUMPS,
    HOURS,
    Workload,
    put_dumps,
    real_dumps,
    run_day,
    write_day,
)
from tidegate_bench.lab import scratch
from tidegate_bench.process import Ended, Watch, java_cache
from tidegate_bench.report import Mark, Outcome, Row
from tidegate_bench.scripts import scripts
from tidegate_bench.traffic import Traffic, hour_of

PLACES = ("folder", "s3")
MARKS: Mapping[str, tuple[float, str]] = {
    "tidegate, duckdb, folder": (2.2, "duckdb"),
    "tidegate, duckdb, s3": (3.0, "duckdb"),
    "tidegate, spark, folder": (1.2, "pyspark"),
    "airflow, duckdb": (4.0, "duckdb"),
    "airflow, spark": (7.0, "duckdb"),
}
"""By what is measured: a limit of its seconds, as a multiple of those of a script."""
_AT_ONCE = 8
_WARM_UP = 40 * HOURS
"""Number of an hour that is landed before: of a day that no dump that is measured has to do with."""
_DEADLINE_S = 3600.0
_TABLES = ("events", "sessions", "hourly_activity", "daily_activity")


def backfill(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    events: int,
    visitors: int,
    seed: int,
    runs: int,
    peers: Sequence[str],
    engines: Sequence[EngineName],
    places: Sequence[str],
    airflow: bool,
) -> Outcome:
    """Measure 24 made-up dumps through `tidegate run` and through scripts, in turn, each in a new process.

    Args:
        settings: of the project.
        tell: is given a line of progress at a time.
        events: of all dumps, about.
        visitors: how many different ones there are.
        seed: of all chance.
        runs: of each.
        peers: of `scripts.PEERS`, or files of scripts; they read and write a folder.
        engines: that compute rows for `tidegate run`.
        places: of `PLACES`: where `tidegate run` reads the dumps and writes the lake.
        airflow: whether to measure a backfill through a warm Airflow too, from S3 to S3, with each engine.

    Raises:
        TidegateError: something that was to be measured failed.
    """
    with scratch(settings) as folder, ExitStack() as held:
        day = write_day(folder, events, visitors, seed=seed)
        tell(f"{HOURS} dumps of {day.size / 1e6:,.0f} MB")
        todo: dict[str, Callable[[Path], Ended]] = {}
        for name in places:
            place = held.enter_context(_place(name, folder, day.files))
            for engine in engines:
                todo[f"tidegate, {engine}, {name}"] = partial(_run, settings, day, place, engine)
        for engine in engines if airflow else ():
            todo[f"airflow, {engine}"] = partial(_airflow, settings, tell, day.files, engine)
        measured = _measure(tell, runs, folder, {**todo, **scripts(peers, day)})
    given = {
        "events": events,
        "visitors": visitors,
        "seed": seed,
        "bytes": day.size,
        "runs": runs,
        "java_cache": java_cache(settings.home),
    }
    about = f"{HOURS} dumps in a new process" + (", or by a warm Airflow" if airflow else "")
    return outcome_of(about, given, measured)


def backfill_of(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    source: Source,
    first: datetime,
    last: datetime,
    runs: int,
    peers: Sequence[str],
    engines: Sequence[EngineName],
) -> Outcome:
    """Measure a source's own dumps, where they are, as `backfill` measures made-up ones. The lake is a folder.

    Args:
        settings: of the project; they say how S3 is reached and whether dumps are elsewhere.
        tell: is given a line of progress at a time.
        source: whose dumps.
        first: dump hour.
        last: dump hour, inclusive.
        runs: of each.
        peers: of `scripts.PEERS`, or files of scripts; what is on S3 is copied for them before the clock.
        engines: that compute rows for `tidegate run`.

    Raises:
        TidegateError: something that was to be measured failed.
    """
    with scratch(settings) as folder:
        load = real_dumps(settings, source, first, last, folder)
        tell(f"files: {len(load.files):,}, of {load.size / 1e6:,.1f} MB")
        place = _Place(load.root, str(folder), {})
        todo = {f"tidegate, {name}": partial(_run, settings, load, place, name) for name in engines}
        measured = _measure(tell, runs, folder, {**todo, **scripts(peers, load)})
    given = {
        "source": source.source,
        "hours": f"{hour_text(first)}..{hour_text(last)}",
        "bytes": load.size,
        "runs": runs,
        "java_cache": java_cache(settings.home),
    }
    return outcome_of("dumps of a source in a new process", given, measured)


@dataclass(frozen=True)
class Measured:
    """What a run cost, and the rows by table that it reported."""

    ended: Ended
    rows: Mapping[str, int]


def _measure(
    tell: Callable[[str], None],
    runs: int,
    folder: Path,
    todo: Mapping[str, Callable[[Path], Ended]],
) -> dict[str, list[Measured]]:
    """Do each thing in turn, given where to write, which is removed; return what was found, run by run."""
    found: dict[str, list[Measured]] = {}
    for number in range(runs):
        for name, do in todo.items():
            out = folder / f"{name.replace(', ', '-')}-{number}"
            ended = do(out)
            tell(f"{name}: {ended.seconds:.1f} s, {ended.peak_bytes / 2**30:.2f} GiB")
            found.setdefault(name, []).append(Measured(ended, _counted(name, ended.output)))
            shutil.rmtree(out, ignore_errors=True)
    return found


def outcome_of(
    about: str, given: Mapping[str, object], found: Mapping[str, Sequence[Measured]]
) -> Outcome:
    """Return what runs come to.

    Args:
        about: what a row is, in one sentence.
        given: what was asked for.
        found: runs by what was measured; the first of all is what rows are compared with.
    """
    rows: list[Row] = [_row(name, measured) for name, measured in found.items()]
    seconds = {str(row["who"]): float(row["seconds"] or 0) for row in rows}
    marks = [
        Mark.ratio(
            f"seconds of {name} to those of the script {peer}", most, seconds[name], seconds[peer]
        )
        for name, (most, peer) in MARKS.items()
        if name in seconds and peer in seconds
    ]
    every = [each.rows for measured in found.values() for each in measured]
    others = sum(rows[table] != every[0][table] for rows in every for table in _TABLES)
    marks.append(Mark("tables of which others count other rows than tidegate", 0, others))
    return Outcome("backfill", about, given, rows, marks)


@dataclass(frozen=True)
class _Place:
    """Where `tidegate run` finds dumps and makes lakes.

    Attributes:
        dumps: URI of the dumps, in place of what the source file says; None for what it says.
        lakes: URI or folder that lakes are made in.
        environment: how they are reached.
    """

    dumps: str | None
    lakes: str
    environment: Mapping[str, str]


@contextmanager
def _place(name: str, folder: Path, files: Sequence[Path]) -> Iterator[_Place]:
    """Yield a place with the dumps. On S3 it is a server of its own, as the stack has it."""
    if name == "folder":
        yield _Place(None, str(folder), {})
        return
    with running_seaweed(folder) as s3:
        put_dumps(s3, files)
        environment = {
            "AWS_ENDPOINT_URL_S3": str(s3.endpoint),
            "AWS_ACCESS_KEY_ID": str(s3.access_key),
            "AWS_SECRET_ACCESS_KEY": str(s3.secret_key),
            "AWS_REGION": s3.region,
        }
        yield _Place(DUMPS, f"s3://{LAKE_BUCKET}", environment)


def _run(settings: Settings, load: Workload, place: _Place, engine: EngineName, out: Path) -> Ended:
    """Run the dumps of a place into a lake there that has the name of a folder."""
    load = replace(load, root=place.dumps)
    return run_day(settings, load, f"{place.lakes}/{out.name}", engine, place.environment)


def _airflow(
    settings: Settings,
    tell: Callable[[str], None],
    files: Sequence[Path],
    engine: EngineName,
    _: Path,
) -> Ended:
    """Backfill the dumps through a new Airflow that has landed an hour before.

    The seconds are those from asking for the backfill to a release that pins all its hours; the memory is
    that of the whole stack.
    """
    hours = [hour_of(number) for number in range(HOURS)]
    with airflow_lab(replace(settings, engine=engine), tell) as own:
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


def _row(name: str, runs: Sequence[Measured]) -> Row:
    seconds = [each.ended.seconds for each in runs]
    return {
        "who": name,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "peak_gib": median(each.ended.peak_bytes for each in runs) / 2**30,
        **runs[0].rows,
    }


def _counted(name: str, output: str) -> dict[str, int]:
    """Return the rows by table that a run told of."""
    try:
        told = json.loads(output)
        return {table: int(told[table]) for table in _TABLES}
    except (ValueError, TypeError, KeyError) as error:
        raise TidegateError(
            f"{name} did not tell how many rows it made",
            expected=f"a JSON object on standard output with the numbers of {', '.join(_TABLES)}",
            got=output[:200] or "nothing",
            todo="have the script print it when it ends",
        ) from error
