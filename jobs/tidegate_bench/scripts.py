"""The scripts beside Tidegate: those that come along and a user's own, on the same dumps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.config.source import Source
from tidegate.config.source.model import Fields
from tidegate_bench.day import Workload
from tidegate_bench.process import Ended, run_command

PEERS = ("duckdb", "polars", "pyspark")


def scripts(peers: Sequence[str], load: Workload) -> dict[str, Callable[[Path], Ended]]:
    """Return by name what runs a script on a workload, given a folder that it may write.

    Args:
        peers: of `PEERS`, or files of scripts.
        load: the dumps.

    Raises:
        TidegateError: one of `PEERS` is not installed, or can't read such dumps.
    """
    if any(each in PEERS for each in peers):
        check_readable(load.source)
    asked = script_input(load)
    return {name: partial(_run, command, asked) for name, command in map(_command, peers)}


def _command(peer: str) -> tuple[str, list[str]]:
    """Return name and arguments of a script."""
    if peer not in PEERS:
        return Path(peer).name, [sys.executable, peer]
    if find_spec(peer) is None:
        raise TidegateError(
            f"{peer} is not installed",
            where="tidegate bench backfill",
            expected="the packages that pyproject.toml lists under bench",
            todo="run: python3 infra/bootstrap.py env, or leave it out: --peers duckdb",
        )
    return peer, [sys.executable, "-m", f"tidegate_bench.peers.{peer}_script"]


def _run(command: Sequence[str], asked: Mapping[str, object], out: Path) -> Ended:
    return run_command(command, json.dumps({**asked, "out": str(out)}))


def script_input(load: Workload) -> dict[str, object]:
    """Return what scripts are asked for, as `peers.asked.Asked` reads it, but for `out`."""
    fields, columns = load.source.fields, load.source.columns
    return {
        "dumps": [str(file) for file in load.files],
        "gap_s": int(load.source.sessions.gap.total_seconds()),
        "fields": [
            *(
                {
                    "column": name,
                    "names": list(ref.names()) if ref else [],
                    "type": "timestamp" if name == "event_time" else "string",
                }
                for name in Fields.model_fields
                for ref in [getattr(fields, name)]
            ),
            *(
                {"column": name, "names": list(column.names()), "type": column.type}
                for name, column in columns.items()
            ),
        ],
    }


def check_readable(source: Source) -> None:
    """Raise unless the scripts of `PEERS` can do for a source what Tidegate does."""
    fields, faults = source.fields, []
    if source.format.type != "json":
        faults.append(f"files of {source.format.type}")
    if source.format.records is not None:
        faults.append("records in a list within an object")
    if fields.event_id is None:
        faults.append("no event_id: ids are computed")
    if fields.event_time.unit != "iso":
        faults.append(f"times in {fields.event_time.unit}")
    if any(ref.sql is not None for ref in source.refs().values()):
        faults.append("expressions")
    if source.sessions.id is not None:
        faults.append("session ids of its own")
    if source.pii:
        faults.append("pii")
    if faults:
        raise TidegateError(
            f"the scripts beside Tidegate can't do the work of {source.source}",
            where=str(source.path),
            expected="JSON with ids and ISO 8601 times, all by paths",
            got=", ".join(faults),
            todo="give a script of your own (--peers FILE.py), or none (--peers '')",
        )
