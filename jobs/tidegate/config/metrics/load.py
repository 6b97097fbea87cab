"""Load: metric files are read, and every fault of a file is told at once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from tidegate.common.durations import parse_duration
from tidegate.common.errors import FaultsError
from tidegate.common.identifiers import NAME
from tidegate.common.suggestions import hint, nearest
from tidegate.config.metrics.model import (
    BY,
    COMMON,
    DAYS,
    INTERVALS,
    KEYS,
    KINDS,
    PERIODS,
    REQUIRED,
    TABLES,
    UTC,
    Metric,
    Step,
    percentile_name,
)
from tidegate.config.user_sql import ExpressionError, read_expression

SUFFIXES = (".yml", ".yaml")
_LEAST_STEPS = 2
_MOST_STEPS = 20
_MOST_PERIODS = 400
_MOST_DAYS = 366
_COHORTS = ("day", "week")
# DuckDB knows all names of the IANA but this one, which means another zone on every machine.
_NO_ZONE = frozenset(["localtime"])


@dataclass(frozen=True)
class Read:
    """What the metric files of a folder came to.

    Attributes:
        metrics: of the files that are right, by name.
        faults: of the others: name of the metric, as far as it can be told, → what is wrong, with the file.
        files: name of the metric → its file.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def load_metrics(folder: Path) -> dict[str, Metric]:
    """Return the metrics of a folder, by name; none where there is no folder.

    Raises:
        FaultsError: a file is wrong; every fault of every file at once.
    """
    read = readable_metrics(folder)
    faults = [each for told in read.faults.values() for each in told]
    if faults:
        raise FaultsError(str(folder), faults, "the metrics")
    return dict(read.metrics)


def readable_metrics(folder: Path) -> Read:
    """Return the metrics of a folder whose files are right, and the faults of the others.

    Of two files that describe one metric neither is taken: it is not known which is meant.
    """
    from tidegate.common.yaml_strict import read_yaml

    found: dict[str, Metric] = {}
    faults: dict[str, list[str]] = {}
    files: dict[str, Path] = {}
    named: list[tuple[str, Path]] = []
    for path in metric_files(folder):
        name = path.stem
        try:
            data = read_yaml(path)
            name = data["metric"] if _is_name(data.get("metric")) else name
            found[name] = parse_metric(data, path)
        except FaultsError as error:
            faults.setdefault(name, []).extend(f"{path.name}: {each}" for each in error.faults)
        files.setdefault(name, path)
        named.append((name, path))
    counts = Counter(name for name, _ in named)
    for name, path in named:
        first = files[name]
        if counts[name] > 1 and path is not first:
            told = f"{path.name}: metric '{name}' is described by {first.name} too"
            faults.setdefault(name, []).append(told)
    right = {name: found[name] for name in sorted(found) if name not in faults}
    return Read(right, {name: tuple(faults[name]) for name in sorted(faults)}, files)


def metric_files(folder: Path) -> list[Path]:
    """Return the metric files of a folder, by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")
    )


def canonical(metric: Metric) -> str:
    """Return a definition as the JSON that travels with a release: equal for equal definitions."""
    return json.dumps(
        metric.definition(), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )


def from_canonical(text: str) -> Metric:
    """Return the metric that travelled with a release.

    Raises:
        TidegateError: a newer Tidegate wrote it, or nobody.
    """
    where = "ops.releases"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise FaultsError(where, [f"not JSON: {error}"], "the metric's definition") from error
    if not isinstance(data, dict):
        raise FaultsError(where, ["expected an object"], "the metric's definition")
    columns = data.pop("columns", {})
    # Types become a part of queries as they are.
    if not isinstance(columns, dict) or not all(map(_is_type, columns.values())):
        raise FaultsError(where, ["columns: not names and types"], "the metric's definition")
    metric = parse_metric(data, Path(where))
    return Metric(**{**vars(metric), "columns": columns})


def _is_type(value: object) -> bool:
    return isinstance(value, str) and bool(
        re.fullmatch(r"[A-Z][A-Z ]*(\(\d+,\d+\))?(\[\])?", value)
    )


def parse_metric(data: Mapping[str, Any], path: Path) -> Metric:
    """Return the metric that YAML data describes.

    Args:
        data: what the file holds.
        path: the file, for errors.

    Raises:
        FaultsError: it is wrong; every fault at once.
    """
    faults: list[str] = []
    reader = _Reader(data, faults)
    kind = reader.choice("kind", KINDS, None)
    for key in COMMON:
        if data.get(key) is None:
            faults.append(f"{key} is missing: {_EXAMPLES[key]}")
    if kind is None:
        # What keys it may have is not known; what none has is wrong all the same.
        _unknown(data, {key for keys in KEYS.values() for key in keys}, "", faults)
        raise FaultsError(str(path), faults, "the metric file")
    _unknown(data, set(KEYS[kind]), kind, faults)
    faults += [
        f"{key} is missing: a metric of kind {kind} needs it: {_EXAMPLES[key]}"
        for key in REQUIRED.get(kind, ())
        if data.get(key) is None
    ]
    metric = Metric(
        name=reader.name("metric") or "",
        kind=kind,
        description=" ".join(reader.text("description").split()),
        owner=reader.text("owner").strip(),
        table=reader.choice("table", TABLES, "events") or "",
        sources=reader.sources(),
        where=reader.expression("where"),
        interval=reader.choice("interval", _COHORTS if kind == "retention" else INTERVALS, "day")
        or "",
        time_zone=reader.zone(),
        group_by=reader.columns(kind),
        value=reader.expression("value"),
        percentiles=reader.percentiles(),
        days=reader.days(),
        returns=reader.expression("returns"),
        periods=reader.whole("periods", 1, _MOST_PERIODS, PERIODS),
        steps=reader.steps(),
        by=reader.choice("by", BY, "user") or "",
        window=reader.window(),
        numerator=reader.name("numerator"),
        denominator=reader.name("denominator"),
    )
    faults += _group_faults(metric)
    if faults:
        raise FaultsError(str(path), list(dict.fromkeys(faults)), "the metric file")
    return metric


_EXAMPLES = {
    "metric": "its name, such as revenue",
    "kind": ", ".join(KINDS),
    "description": "what it tells, in one sentence",
    "owner": "who answers for it",
    "value": "an expression over a row's columns, such as price * quantity",
    "percentiles": "such as [50, 90, 99]",
    "steps": "a list of conditions, such as event_type = 'purchase'",
    "window": "the longest time from the first step to the last, such as 24h",
    "numerator": "the name of a metric",
    "denominator": "the name of a metric",
}


class _Reader:
    """Values of a file's keys, in their types; what is wrong is added to the faults."""

    def __init__(self, data: Mapping[str, Any], faults: list[str]) -> None:
        self._data = data
        self._faults = faults

    def _fault(self, key: str, expected: str, got: object) -> None:
        self._faults.append(f"{key}: expected {expected}, got {_got(got)}")

    def text(self, key: str) -> str:
        value = self._data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self._fault(key, "a text", value)
            return ""
        return value

    def choice(self, key: str, known: tuple[str, ...], default: str | None) -> str | None:
        value = self._data.get(key, default)
        if value is None or value in known:
            return None if value is None else str(value)
        near = nearest(value, known) if isinstance(value, str) else None
        self._fault(key, f"one of {', '.join(known)}", value)
        if near is not None:
            self._faults[-1] += f"; did you mean '{near}'?"
        return None

    def name(self, key: str) -> str | None:
        value = self._data.get(key)
        if value is not None and not _is_name(value):
            self._fault(
                key, "small letters, digits and _, beginning with a letter, at most 63", value
            )
            return None
        return None if value is None else str(value)

    def whole(self, key: str, least: int, most: int, default: int) -> int:
        value = self._data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._fault(key, f"a whole number from {least} to {most}", value)
            return default
        return value

    def sources(self) -> tuple[str, ...]:
        value = self._data.get("source")
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        if (
            not isinstance(listed, list)
            or not all(isinstance(s, str) and NAME.fullmatch(s) for s in listed)
            or len(set(listed)) < len(listed)
        ):
            self._fault("source", "the name of a source, or a list of different ones", value)
            return ()
        return tuple(sorted(listed))

    def columns(self, kind: str) -> tuple[str, ...]:
        value = self._data.get("group_by", [])
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(c, str) and c for c in listed):
            self._fault("group_by", "a column, or a list of columns", value)
            return ()
        if len({each.casefold() for each in listed}) < len(listed):
            self._fault("group_by", "different columns", value)
        if kind == "active_users" and listed not in ([], ["source"]):
            self._fault("group_by", "source, the only one that sketches are kept by", value)
        return tuple(listed)

    def expression(self, key: str) -> str | None:
        return self._checked(key, self.text(key))

    def _checked(self, key: str, text: str) -> str | None:
        if not text:
            return None
        try:
            return read_expression(text.strip()).text
        except ExpressionError as error:
            self._faults += [f"{key}: {each}" for each in error.faults]
            return None

    def zone(self) -> str:
        value = self._data.get("time_zone", UTC)
        if value == UTC:
            return UTC
        known = _zones()
        if isinstance(value, str) and value in known:
            return value
        near = nearest(value, known) if isinstance(value, str) else None
        self._fault("time_zone", "an IANA time zone, such as Europe/Berlin", value)
        if near is not None:
            self._faults[-1] += f"; did you mean '{near}'?"
        return UTC

    def percentiles(self) -> tuple[float, ...]:
        value = self._data.get("percentiles")
        if value is None:
            return ()
        if not isinstance(value, list) or not value or not all(map(_is_percentile, value)):
            self._fault("percentiles", "a list of numbers from 0 to 100", value)
            return ()
        if len({percentile_name(each) for each in value}) < len(value):
            self._fault("percentiles", "different numbers", value)
        return tuple(map(float, value))

    def days(self) -> tuple[int, ...]:
        value = self._data.get("days", list(DAYS))
        if (
            not isinstance(value, list)
            or len(value) != len(DAYS)
            or not all(type(d) is int and 0 < d <= _MOST_DAYS for d in value)
            or value != sorted(set(value))
        ):
            expected = f"three rising numbers of days from 1 to {_MOST_DAYS}, such as {list(DAYS)}"
            self._fault("days", expected, value)
            return DAYS
        return tuple(value)

    def steps(self) -> tuple[Step, ...]:
        value = self._data.get("steps")
        if value is None:
            return ()
        if not isinstance(value, list) or not _LEAST_STEPS <= len(value) <= _MOST_STEPS:
            expected = f"a list of {_LEAST_STEPS} to {_MOST_STEPS} conditions"
            self._fault("steps", expected, value)
            return ()
        steps = [self._step(f"steps.{at}", each) for at, each in enumerate(value, start=1)]
        names = Counter(step.name for step in steps if step)
        self._faults += [
            f"steps: two steps are called {name!r}: give them names of their own"
            for name, count in names.items()
            if count > 1
        ]
        return tuple(step for step in steps if step)

    def _step(self, at: str, value: object) -> Step | None:
        if isinstance(value, str):
            value = {"name": " ".join(value.split()), "where": value}
        if not isinstance(value, dict):
            self._fault(at, "a condition, or {name: …, where: …}", value)
            return None
        _unknown(value, {"name", "where"}, at, self._faults, common=())
        reader = _Reader(value, mine := [])
        name, where = reader.text("name").strip(), reader.text("where")
        mine += [f"{key} is missing" for key in ("name", "where") if value.get(key) is None]
        self._faults += [f"{at}.{each}" for each in mine]
        text = self._checked(at, where)
        return Step(name, text) if name and text else None

    def window(self) -> timedelta | None:
        value = self._data.get("window")
        if value is None:
            return None
        try:
            return parse_duration(value)
        except ValueError as error:
            self._faults.append(f"window: {error}")
            return None


def _group_faults(metric: Metric) -> list[str]:
    taken = {name.casefold() for name in metric.output()} if metric.kind in KEYS else set()
    return [
        f"group_by: {name!r} is what a column of the metric itself is called; its own are "
        + ", ".join(metric.output())
        for name in metric.group_by
        if name.casefold() in taken
    ]


def _unknown(
    data: Mapping[Any, Any],
    known: set[str],
    kind: str,
    faults: list[str],
    common: tuple[str, ...] = COMMON,
) -> None:
    every = sorted({*known, *common})
    of = f" of {kind}" if kind else ""
    for key in data:
        if key in every:
            continue
        if not isinstance(key, str):
            faults.append(f"unknown key {key!r}{of}; keys are text")
            continue
        kinds = [each for each, keys in KEYS.items() if key in keys] if common else []
        told = f"it is a key of {', '.join(kinds)}" if kinds else hint(key, every)
        faults.append(f"unknown key {key!r}{of}; {told}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _is_percentile(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones()) - _NO_ZONE


def _got(value: object) -> str:
    return "nothing" if value is None else repr(value)


__all__ = [
    "Read",
    "canonical",
    "from_canonical",
    "load_metrics",
    "metric_files",
    "parse_metric",
    "readable_metrics",
]
