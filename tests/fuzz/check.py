"""Whether the kernel makes of a file what it has to."""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from fuzz.bends import Demand, Made, Placed
from fuzz.files import Draft
from fuzz.model import HOUR, Expected
from tidegate.common.unreadable import UnreadableError
from tidegate.landing.kernel import CUT_TIMES, STAND_INS, InputFile, Rules, parse_file
from tidegate.landing.reasons import REASONS

Row = Mapping[str, Any]
CPU_LIMIT = 20.0
"""Seconds of the processor for one file."""
_SHOWN = 300


def connection() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB like those that land dumps."""
    own = duckdb.connect(config={"threads": 1, "memory_limit": "256MB"})
    own.execute("SET TimeZone = 'UTC'")
    return own


def faults(draft: Draft, made: Made, own: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what is wrong with what the kernel makes of a file; nothing where all is right."""
    began = time.process_time()
    try:
        batches = list(
            parse_file(io.BytesIO(made.data), InputFile(HOUR, made.name), draft.spec.rules, own)
        )
    except UnreadableError as error:
        is_right = made.demand.must_fail or made.demand.may_fail
        return [] if is_right and error.reason else [f"unreadable: {error.reason}"[:_SHOWN]]
    except Exception:  # whatever it is, it is what is looked for
        return [f"an exception: {traceback.format_exc()[-1500:]}"]
    used = time.process_time() - began
    found = [f"it took {used:.1f} s"] if used > CPU_LIMIT else []
    try:
        rows = rows_of(batches)
    except pa.ArrowInvalid as error:
        return [*found, f"rows that are not valid: {error}"]
    if made.demand.must_fail:
        return [*found, f"it was read, with {len(rows)} rows, and has to be unreadable"]
    found += _form_faults(rows, draft.spec.rules)
    if made.demand.is_free:
        return found
    found += _row_faults(rows, made, made.demand)
    if not made.bend:
        found += _secret_faults(rows, draft)
        if draft.kind != "parquet":
            found += _count_faults(batches, made.demand)
    return found


def rows_of(batches: Sequence[pa.RecordBatch]) -> list[Row]:
    """Return rows in the order of their lines; times are microseconds since 1970."""
    rows: list[Row] = []
    for batch in batches:
        batch.validate(full=True)
        arrays = [
            column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            for column in batch.columns
        ]
        rows += pa.RecordBatch.from_arrays(arrays, names=batch.schema.names).to_pylist()
    return sorted(rows, key=lambda row: row["line"])


def _form_faults(rows: Sequence[Row], rules: Rules) -> list[str]:
    """Return what is wrong with any rows, whatever their file was like."""
    lines = [row["line"] for row in rows]
    found = ["a record came out twice"] if len({*lines}) < len(lines) else []
    if lines and lines[0] < 1:
        found.append(f"a line {lines[0]}")
    for row in rows:
        if row["_outcome"] == "event":
            is_right = row["_reason"] is None and row["event_id"] and row["event_time"] is not None
        else:
            is_right = row["_outcome"] == "quarantined" and row["_reason"] in REASONS
        if not is_right or row["source"] != rules.source.source:
            found.append(f"line {row['line']}: neither an event nor quarantined: {row}"[:_SHOWN])
    return found


def _row_faults(rows: Sequence[Row], made: Made, demand: Demand) -> list[str]:
    """Return where rows are not what was meant."""
    wanted = [*demand.rows, *demand.behind]
    if demand.is_whole and len(rows) != len(wanted):
        got, meant = {row["line"] for row in rows}, {line for line, _ in wanted}
        more = f"without lines {sorted(meant - got)[:5]}, with lines {sorted(got - meant)[:5]}"
        return [f"{len(rows)} rows of {len(wanted)} records: {more}"]
    if demand.lines is not None and [row["line"] for row in rows] != [*range(1, demand.lines + 1)]:
        return [f"{len(rows)} rows of {demand.lines} lines"]
    if len(rows) < len(wanted):
        return [f"{len(rows)} rows, and {len(wanted)} records are as they were"]
    found = []
    for row, (line, expected) in zip(rows, demand.rows, strict=False):
        found += _faults_of(row, line, expected, made.name)
    if demand.behind:
        moved = rows[-1]["line"] - demand.behind[-1][0]
        tail = rows[len(rows) - len(demand.behind) :]
        for row, (line, expected) in zip(tail, demand.behind, strict=True):
            found += _faults_of(row, line + moved, expected, made.name)
    return found


def _faults_of(row: Row, line: int, expected: Expected, name: str) -> list[str]:
    where = f"line {line}: "
    if row["line"] != line:
        return [f"{where}the row says line {row['line']}"]
    if row["file"] != name:
        return [f"{where}the row says {row['file']}"]
    if expected.reasons:
        if row["_reason"] not in expected.reasons:
            got = row["_reason"] or "an event"
            return [
                f"{where}expected {'/'.join(sorted(expected.reasons))}, got {got}: {row}"[:1500]
            ]
        return _raw_faults(row, where, expected)
    if row["_reason"] is not None:
        got = f"{row['_reason']} ({row['_detail']})"
        return [f"{where}expected an event, got {got}: {expected.raw!r:.800}"[:1500]]
    found = [
        f"{where}{name}: expected {meant!r}, got {row[name]!r}"[:_SHOWN]
        for name, meant in expected.values.items()
        if not same(row[name], meant) and not (name == "event_id" and meant is None)
    ]
    if expected.properties is not None and row["properties"] != expected.properties:
        found.append(
            f"{where}properties: {row['properties']!r:.150}, not {expected.properties!r:.150}"
        )
    return found + _member_faults(row, where, expected)


def _raw_faults(row: Row, where: str, expected: Expected) -> list[str]:
    if expected.raw is None or "too_long" in expected.reasons:
        return []
    kept = row["_raw_bytes"] if row["_raw_bytes"] is not None else (row["_raw"] or "").encode()
    if kept == expected.raw:
        return []
    return [f"{where}quarantine has {kept!r:.150}, not {expected.raw!r:.150}"]


def _member_faults(row: Row, where: str, expected: Expected) -> list[str]:
    if expected.members is None:
        return []
    import json

    members = json.loads(row["properties"])
    if members == dict(expected.members):
        return []
    return [f"{where}properties are {members!r:.300}, not {expected.members!r:.300}"]


def same(got: Any, meant: Any) -> bool:
    """Return whether two values are the same; `NaN` is itself, and a zero has a sign."""
    if isinstance(meant, float):
        return isinstance(got, float) and repr(got) == repr(meant)
    return type(got) is type(meant) and bool(got == meant)


def _secret_faults(rows: Sequence[Row], draft: Draft) -> list[str]:
    secrets = {secret for record in draft.records for secret in record.secrets}
    if not secrets:
        return []
    shown = [
        value
        for row in rows
        for name, value in row.items()
        if isinstance(value, str | bytes) and name not in ("file", "source")
    ]
    texts = "\n".join(
        value if isinstance(value, str) else value.decode("latin-1") for value in shown
    )
    return [
        f"a personal value is shown: {secret!r}"[:_SHOWN] for secret in secrets if secret in texts
    ]


def _count_faults(batches: Sequence[pa.RecordBatch], demand: Demand) -> list[str]:
    """Return where what batches count is not what was meant."""
    rows: Sequence[Placed] = demand.rows
    meant = {
        CUT_TIMES: sum(expected.cuts for _, expected in rows if not expected.reasons),
        STAND_INS: sum(expected.is_stand_in for _, expected in rows if not expected.reasons),
    }
    found = []
    for note, count in meant.items():
        got = sum(int((batch.schema.metadata or {}).get(note.encode(), 0)) for batch in batches)
        if got != count:
            found.append(f"{note}: expected {count}, got {got}")
    return found
