"""Scene `backfill`: a day of dumps, from files to a release, beside scripts that do the same work."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import yaml

from tidegate.bench.lab import scratch
from tidegate.bench.process import Ended, run_command
from tidegate.bench.report import Mark, Outcome, Row
from tidegate.bench.traffic import DESCRIPTION, NAME, Traffic, hour_of
from tidegate.errors import TidegateError
from tidegate.hours import hour_text
from tidegate.settings import Settings

MOST = 1.5
"""Times the seconds of the DuckDB script that `tidegate run` may take."""
PEERS = ("duckdb", "polars", "pyspark")
_HOURS = 24
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
) -> Outcome:
    """Measure 24 dumps through `tidegate run` and through other scripts, in turn, each a new process.

    Args:
        settings: of the project.
        tell: is given a line of progress at a time.
        events: of all dumps, about.
        visitors: how many different ones there are.
        runs: of each.
        peers: of `PEERS`.

    Raises:
        TidegateError: a script counts other rows than Tidegate.
    """
    with scratch(settings) as folder:
        traffic = Traffic(events // _HOURS, visitors)
        size = sum(traffic.write(number, folder / "dumps")[1] for number in range(_HOURS))
        tell(f"{_HOURS} dumps of {size / 1e6:,.0f} MB")
        described = {**DESCRIPTION, "dumps": f"{folder}/dumps/{NAME}"}
        (folder / "bench.yml").write_text(yaml.safe_dump(described, sort_keys=False))
        found: dict[str, list[Ended]] = {}
        for n in range(runs):
            for name in ("tidegate", *peers):
                out = folder / f"{name}-{n}"
                ended = (
                    _tidegate(settings, folder, out)
                    if name == "tidegate"
                    else _peer(name, folder, out)
                )
                found.setdefault(name, []).append(ended)
                tell(f"{name}: {ended.seconds:.1f} s, {ended.peak_bytes / 2**30:.2f} GiB")
                _compare(name, ended, found["tidegate"][0])
                shutil.rmtree(out, ignore_errors=True)
    rows: list[Row] = [_row(name, each) for name, each in found.items()]
    seconds = {str(row["who"]): float(row["seconds"] or 0) for row in rows}
    marks = (
        [
            Mark(
                "seconds to those of the DuckDB script",
                MOST,
                seconds["tidegate"] / seconds["duckdb"],
            )
        ]
        if "duckdb" in seconds
        else []
    )
    given = {"events": events, "visitors": visitors, "bytes": size, "runs": runs}
    return Outcome("backfill", f"{_HOURS} dumps in a new process", given, rows, marks)


def _tidegate(settings: Settings, folder: Path, lake: Path) -> Ended:
    first, last = hour_text(hour_of(0)), hour_text(hour_of(_HOURS - 1))
    command = [sys.executable, "-m", "tidegate", "run", str(folder / "bench.yml")]
    ended = run_command(
        [*command, "--from", first, "--to", last, "--lake", str(lake), "--json"],
        environment={
            "TIDEGATE_PROJECT": str(settings.project),
            "TIDEGATE_HOME": str(settings.home),
            "TIDEGATE_SPARK": "",
        },
    )
    published = {each["table"]: each["rows"] for each in json.loads(ended.output)["published"]}
    return Ended(ended.seconds, ended.peak_bytes, json.dumps(published))


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
