"""Load: suite files are read, and every fault of one is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from tidegate.common.errors import FaultsError, TidegateError
from tidegate.common.suggestions import hint, nearest
from tidegate.common.yaml_strict import load_yaml
from tidegate.config.suites.facts import FACTS
from tidegate.config.suites.model import QUERY, Entry, Severity, Subject, Suite
from tidegate.config.suites.usual import parse_usual

_LIMITS = ("min_value", "max_value")
"""The arguments that may be usual values."""
_TABLE_SLICED_BY_DUMP = "events"
"""The table whose slices are an hour each: an hour has others like it, a run's many slices have not."""


def load_suite(folder: Path, table: str) -> Suite:
    """Read the suite of a table.

    Raises:
        TidegateError: there is no such file, or it has faults; all of them are told.
    """
    return read_suite(folder / f"{table}.yml", table)


def read_suite(path: Path, table: str | None = None) -> Suite:
    """Read a suite from a file of any name.

    Args:
        path: the file.
        table: the table that it is to be of; None for the one that it names.

    Raises:
        TidegateError: there is no such file, or it has faults; all of them are told.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TidegateError(
            f"{table} has no suite" if table else "no such suite",
            where=str(path),
            expected="a file of expectations: what is published is audited first",
            todo=f"write {path.name}; the suites in expectations/ are examples",
        ) from error
    except UnicodeDecodeError as error:
        raise TidegateError(
            "the suite is not UTF-8 text", where=str(path), got=str(error), todo="mend the file"
        ) from error
    try:
        found = load_yaml(text)
    except yaml.YAMLError as error:
        raise TidegateError(
            "the suite is not YAML", where=str(path), got=str(error), todo="mend the file"
        ) from error
    faults: list[str] = []
    suite = _suite(found, table, path, faults)
    if faults:
        raise FaultsError(str(path), faults, "the suite")
    return suite


def _suite(found: object, table: str | None, path: Path, faults: list[str]) -> Suite:
    if not isinstance(found, dict):
        faults.append("expected a mapping with the keys table, owner, expectations")
        return Suite(table or "", "", (), path)
    _unknown(found, ("table", "owner", "expectations"), "the suite", faults)
    if table is not None and found.get("table") != table:
        faults.append(
            f"table: expected {table!r}, as the file is named; got {found.get('table')!r}"
        )
    elif found.get("table") not in FACTS:
        faults.append(
            f"table: no published table {found.get('table')!r}; {hint(str(found.get('table')), FACTS)}"
        )
    table = table or str(found.get("table"))
    if not isinstance(found.get("owner"), str):
        faults.append("owner: expected a name, who answers for these rules")
    entries = found.get("expectations")
    if not isinstance(entries, list) or not entries:
        faults.append("expectations: expected a list with at least one entry")
        entries = []
    made = tuple(
        entry
        for place, raw in enumerate(entries, start=1)
        if (entry := _entry(raw, f"expectation {place}", table, faults)) is not None
    )
    said = [(entry.name, entry.severity) for entry in made]
    faults += [
        f"two {severity} expectations are called {name}: put them together, or give one a name of its own"
        for name, severity in sorted({each for each in said if said.count(each) > 1})
    ]
    return Suite(table, str(found.get("owner")), made, path)


_KEYS = ("type", "args", "severity", "why", "of", "where", "name", "sources")


def _entry(raw: object, where: str, table: str, faults: list[str]) -> Entry | None:
    if not isinstance(raw, dict):
        faults.append(f"{where}: expected a mapping with type, args, severity, why")
        return None
    before = len(faults)
    _unknown(raw, _KEYS, where, faults)
    kind = raw.get("type")
    if not isinstance(kind, str):
        faults.append(f"{where}: type: expected the name of an expectation")
    where = f"{where} ({kind})"
    args = raw.get("args", {})
    if not isinstance(args, dict):
        faults.append(f"{where}: args: expected a mapping")
        args = {}
    faults += [
        f"{where}: args: {key}: conditions on rows are written as `where`, in SQL"
        for key in ("row_condition", "condition_parser")
        if key in args
    ]
    made = {
        str(key): _argument(str(key), value, table, where, faults) for key, value in args.items()
    }
    for key, choices in (("severity", get_args(Severity)), ("of", get_args(Subject))):
        value = raw.get(key, "rows" if key == "of" else None)
        if value not in choices:
            faults.append(f"{where}: {key}: expected one of {', '.join(choices)}; got {value!r}")
    if not isinstance(raw.get("why"), str) or not str(raw.get("why")).strip():
        faults.append(f"{where}: why: expected the reason in one sentence")
    for key in ("where", "name"):
        if key in raw and (not isinstance(raw[key], str) or not raw[key].strip()):
            faults.append(f"{where}: {key}: expected a text; got {raw[key]!r}")
    sources = raw.get("sources")
    if isinstance(sources, str):
        sources = [sources]
    if sources is not None and (not isinstance(sources, list) or not sources):
        faults.append(f"{where}: sources: expected names of sources; got {sources!r}")
    if raw.get("of") == "facts" and "where" in raw:
        faults.append(f"{where}: where: facts are one row; a condition is for `of: rows`")
    if len(faults) > before:
        return None
    return Entry(
        type=str(kind),
        args=made,
        severity=raw["severity"],
        why=_line(raw["why"]),
        of=raw.get("of", "rows"),
        where=_line(raw["where"]) if "where" in raw else None,
        named=_line(raw["name"]) if "name" in raw else None,
        sources=tuple(map(str, sources)) if sources is not None else None,
    )


def _argument(key: str, value: Any, table: str, where: str, faults: list[str]) -> Any:
    """Return an argument, or the usual value that it describes."""
    if not isinstance(value, dict) or "usual" not in value:
        return value
    if key not in _LIMITS:
        faults.append(f"{where}: {key}: a usual value may stand for {' or '.join(_LIMITS)}")
    elif table != _TABLE_SLICED_BY_DUMP:
        faults.append(
            f"{where}: {key}: only {_TABLE_SLICED_BY_DUMP} are audited by the hour, which others can be "
            f"like; here, compare with published rows by a query ({QUERY})"
        )
    else:
        try:
            return parse_usual(value, list(FACTS[table]))
        except ValueError as error:
            faults.append(f"{where}: {key}: {error}")
    return value


def _line(text: str) -> str:
    return " ".join(text.split())


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
