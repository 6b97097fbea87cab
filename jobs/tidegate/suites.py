"""Suites as data: `expectations/<table>.yml`, one a table.

An entry names a Great Expectations type, its arguments, how severe a failure is and why it is
asked. Great Expectations drops an entry that it does not understand; a gate must not, so entries are
checked here, all at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from tidegate.errors import TidegateError
from tidegate.nearest import nearest

Severity = Literal["critical", "warning", "info"]
Subject = Literal["rows", "facts"]

FACTS: Mapping[str, Mapping[str, str]] = {
    "events": {
        "lines": "lines read from the dump",
        "candidates": "lines that became events, duplicates within the dump left out",
        "duplicates": "lines that repeat an id of an earlier line of the dump",
        "withheld": "candidate events that are duplicates of other dumps",
        "quarantined": "lines that could not become events",
        "quarantined_share": "those as a share of the lines, 0 to 1; NULL without lines",
        "unaccounted": "lines - candidates - duplicates - quarantined, plus candidates - rows - withheld",
        "rows": "rows to be published",
        "repeated": "rows whose id another row of the slice has too, but for one of each id",
        "usual_rows": "median of the rows of this hour of the day in the last 28 days; NULL with under 3",
        "rows_to_usual": "rows / usual_rows",
        "declared_lines": "lines that the manifest declares; NULL without",
        "declared_bytes": "bytes that it declares; NULL without",
        "lines_off": "by how many lines the files differ from what it declares; NULL without",
        "bytes_off": "by how many bytes; NULL without",
        "unnumbered": "lines without a number of a producer; NULL, as what follows, without a sequence",
        "lost": "numbers that producers gave and that no dump has, as far as known (ops.sequences)",
        "lost_share": "those as a share of the numbers expected, 0 to 1; NULL if none is",
        "repeated_numbers": "lines whose number was received before",
        "silent_producers": "producers of the 24 hours before that sent nothing",
    },
    "sessions": {
        "rows": "rows to be published",
        "events_read": "events with a user that were read to build sessions again",
        "events_in_sessions": "events in the sessions built",
        "unaccounted": "events_read - events_in_sessions",
    },
    "hourly_activity": {
        "rows": "rows to be published",
        "events_read": "events of those hours",
        "events_counted": "sum of events over the rows",
        "unaccounted": "events_read - events_counted",
    },
    "daily_activity": {
        "rows": "rows to be published",
        "events_read": "events of those days",
        "events_counted": "sum of events over the rows",
        "sessions_read": "sessions that start on those days",
        "sessions_counted": "sum of sessions over the rows",
        "unaccounted": "events_read - events_counted, plus sessions_read - sessions_counted",
    },
    "session_aliases": {
        "rows": "rows to be published",
        "unaccounted": "ids that were taken away, less rows made of them",
        "dangling": "rows that lead to a session that is not there",
    },
}
"""What is known of a candidate beside its rows: table → fact → meaning. Suites ask of them with `of: facts`."""


@dataclass(frozen=True)
class Entry:
    """An expectation of a suite.

    Attributes:
        type: its Great Expectations type.
        args: its arguments.
        severity: critical holds the slice, warning publishes and tells, info records.
        why: the reason for it, one sentence.
        of: whether it is asked of the candidate's rows or of the facts about it.
    """

    type: str
    args: Mapping[str, Any]
    severity: Severity
    why: str
    of: Subject = "rows"

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        out: list[str] = []
        for key, value in self.args.items():
            if key in ("column", "column_A", "column_B"):
                out.append(str(value))
            elif key in ("column_list", "column_set"):
                out.extend(map(str, value))
        return out

    @property
    def name(self) -> str:
        """What it is called in audits: type, and the columns that it is about."""
        return f"{self.type}({', '.join(self.columns)})" if self.columns else self.type


@dataclass(frozen=True)
class Suite:
    """The suite of a table."""

    table: str
    owner: str
    entries: tuple[Entry, ...]
    path: Path = field(compare=False)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides what the suite says."""
        text = json.dumps(
            [[e.type, dict(e.args), e.severity, e.of] for e in self.entries], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_suite(folder: Path, table: str) -> Suite:
    """Read the suite of a table.

    Raises:
        TidegateError: there is no such file, or it has faults; all of them are told.
    """
    path = folder / f"{table}.yml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TidegateError(
            f"{table} has no suite",
            where=str(path),
            expected="a file of expectations: what is published is audited first",
            todo=f"write {path.name}; the suites beside it are examples",
        ) from error
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TidegateError(
            "the suite is not YAML", where=str(path), got=str(error), todo="mend the file"
        ) from error
    faults: list[str] = []
    suite = _suite(found, table, path, faults)
    if faults:
        raise TidegateError(
            f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the suite",
            where=str(path),
            got="; ".join(faults),
            todo="mend the file, then run: tidegate check",
        )
    return suite


def _suite(found: object, table: str, path: Path, faults: list[str]) -> Suite:
    if not isinstance(found, dict):
        faults.append("expected a mapping with the keys table, owner, expectations")
        return Suite(table, "", (), path)
    _unknown(found, ("table", "owner", "expectations"), "the suite", faults)
    if found.get("table") != table:
        faults.append(
            f"table: expected {table!r}, as the file is named; got {found.get('table')!r}"
        )
    if not isinstance(found.get("owner"), str):
        faults.append("owner: expected a name, who answers for these rules")
    entries = found.get("expectations")
    if not isinstance(entries, list) or not entries:
        faults.append("expectations: expected a list with at least one entry")
        entries = []
    made = tuple(
        entry
        for place, raw in enumerate(entries, start=1)
        if (entry := _entry(raw, f"expectation {place}", faults)) is not None
    )
    return Suite(table, str(found.get("owner")), made, path)


def _entry(raw: object, where: str, faults: list[str]) -> Entry | None:
    if not isinstance(raw, dict):
        faults.append(f"{where}: expected a mapping with type, args, severity, why")
        return None
    before = len(faults)
    _unknown(raw, ("type", "args", "severity", "why", "of"), where, faults)
    kind = raw.get("type")
    if not isinstance(kind, str):
        faults.append(f"{where}: type: expected the name of an expectation")
    where = f"{where} ({kind})"
    args = raw.get("args", {})
    if not isinstance(args, dict):
        faults.append(f"{where}: args: expected a mapping")
    for key, choices in (("severity", get_args(Severity)), ("of", get_args(Subject))):
        value = raw.get(key, "rows" if key == "of" else None)
        if value not in choices:
            faults.append(f"{where}: {key}: expected one of {', '.join(choices)}; got {value!r}")
    if not isinstance(raw.get("why"), str) or not str(raw.get("why")).strip():
        faults.append(f"{where}: why: expected the reason in one sentence")
    if len(faults) > before:
        return None
    return Entry(
        type=str(kind),
        args=dict(args),
        severity=raw["severity"],
        why=" ".join(str(raw["why"]).split()),
        of=raw.get("of", "rows"),
    )


def column_faults(suite: Suite, columns: Iterable[str]) -> list[str]:
    """Return the faults of entries that name columns which the table, or the facts, have not."""
    of_rows = sorted(columns)
    of_facts = sorted(FACTS.get(suite.table, {}))
    faults = []
    for entry in suite.entries:
        known = of_rows if entry.of == "rows" else of_facts
        for column in entry.columns:
            if column not in known:
                hint = nearest(column, known)
                faults.append(
                    f"{entry.type}: no column {column!r} in the {entry.of} of {suite.table}"
                    + (f"; did you mean {hint!r}?" if hint else "")
                )
    return faults


def _unknown(
    found: Mapping[str, Any], known: tuple[str, ...], where: str, faults: list[str]
) -> None:
    for key in found:
        if key not in known:
            hint = nearest(str(key), known)
            faults.append(
                f"{where}: unknown key {key!r}"
                + (f"; did you mean {hint!r}?" if hint else f"; known are {', '.join(known)}")
            )
