"""What is wrong with an hour, in plain sentences, and what would make each failed check pass."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tidegate.report.audits import Audit, Result
from tidegate.report.hour import Hour
from tidegate.report.numbers import number, percent

_NAME = re.compile(r"^(\w+)\(([^)]*)\)$")
_LIMIT = re.compile(r"(min_value|max_value|mostly) (-?[\d.]+(?:e[+-]?\d+)?)(?=[,\]]| )")
_USUAL = re.compile(r"(min_value|max_value) -?[\d.]* ?x? ?usual")
_OF_ROWS = re.compile(r"^([\d,]+) of ([\d,]+) rows")
_FACTS = {
    "quarantined_share": "{} of the lines are broken",
    "lost_share": "{} of the numbered events never came",
    "withheld_share": "{} of the events were published by earlier hours already",
    "own_hour_share": "{} of the events lie in the hour of their dump",
    "largest_user_share": "one user has {} of the events",
    "rows": "the hour has {} rows",
    "unaccounted": "{} lines are not accounted for",
    "repeated": "{} events are in the dump twice",
    "bytes_off": "the files differ from their manifest by {} bytes",
    "lines_off": "the files differ from their manifest by {} lines",
    "emptied": "the dump has no line, after an hour of {} rows",
    "absent": "{} fields that had values have none",
    "doubtful_users": "{} events have a user that may stand for nobody",
}
"""What a number of the facts of a candidate is, in words."""


def sentence(found: Hour) -> str | None:
    """Return what is to be said first of an hour: why it is held, or what was published; None for a missing one."""
    if not found.landings:
        return None
    landing = found.landings[0]
    if landing["status"] == "unreadable":
        return f"A file can't be read whole: {landing['error']}"
    audit = newest_audit(found)
    failed = [each for each in audit.results if _failed(each)] if audit is not None else []
    critical = [each for each in failed if each.severity == "critical"]
    if found.state == "held" and critical:
        return _joined([observed(each, landing) for each in critical])
    told = f"{number(landing['lines'])} lines were landed"
    if found.state == "waiting":
        return f"{told}; they are not published yet."
    rows = found.publications[0]["slice"]["rows"] if found.publications else None
    first = f"{number(rows)} rows are published of {number(landing['lines'])} lines."
    warned = [observed(each, landing) for each in failed if each.severity == "warning"]
    return f"{first} {_joined(warned)}" if warned else first


def newest_audit(found: Hour) -> Audit | None:
    """Return the newest run of the suite on an hour, None if there was none."""
    return next((each for each in found.audits if not each.approval), None)


def observed(result: Result, landing: Mapping[str, Any] | None) -> str:
    """Return what a failed check saw and what it allows: `2.1 % of the lines are broken, at most 0.5 % may be`."""
    name = _column(result)
    least, most, mostly = _limits(result)
    seen = _OF_ROWS.match(result.observed or "")
    if seen and name is not None and "not_be_null" in result.expectation:
        told = f"{name} has no value in {seen[1]} of {seen[2]} rows"
        return told + (
            f", at most {percent(1 - mostly)} may lack it"
            if mostly is not None
            else ", none may lack it"
        )
    if result.metric is None or name not in _FACTS:
        return f"{result.expectation}: observed {result.observed}, expected {result.expected}"
    told = _FACTS[name].format(_value(name, result.metric))
    if least is not None and result.metric < least:
        told += f", at least {_value(name, least)} must be"
    elif most is not None and result.metric > most:
        told += ", none may be" if most == 0 else f", at most {_value(name, most)} may be"
    elif result.expected:
        told += f", expected {result.expected}"
    if name == "quarantined_share" and landing is not None and landing["by_reason"]:
        told += ": " + ", ".join(f"{number(e['value'])} {e['key']}" for e in landing["by_reason"])
    return told


def remedy(result: Result, landing: Mapping[str, Any] | None) -> str | None:
    """Return what would make a failed check pass; None for one that is met."""
    if not _failed(result):
        return None
    name = _column(result)
    least, most, mostly = _limits(result)
    seen = _OF_ROWS.match(result.observed or "")
    if seen and "not_be_null" in result.expectation:
        missing, rows = (int(text.replace(",", "")) for text in seen.groups())
        allowed = math.floor((1 - (1 if mostly is None else mostly)) * rows + 1e-9)
        return f"It passes when at most {allowed:,} of {rows:,} rows lack {name}: {missing - allowed:,} fewer."
    if result.metric is None or name is None:
        return f"It passes when this holds: {result.expected}"
    if (
        name == "quarantined_share"
        and most is not None
        and landing is not None
        and landing["lines"]
    ):
        allowed = math.floor(most * landing["lines"] + 1e-9)
        fewer = landing["quarantined"] - allowed
        if fewer > 0:
            return (
                f"It passes when at most {allowed:,} of {landing['lines']:,} lines are broken: "
                f"{fewer:,} fewer. Otherwise raise max_value in expectations/events.yml."
            )
    for limit, words, apart in (
        (least, "at least", None if least is None else least - result.metric),
        (most, "at most", None if most is None else result.metric - most),
    ):
        if limit is not None and apart is not None and apart > 0:
            return f"It passes when {name} is {words} {_value(name, limit)}; it is {_value(name, result.metric)}."
    return f"It passes when this holds: {result.expected}"


def _failed(result: Result) -> bool:
    return result.status == "failed"


def _column(result: Result) -> str | None:
    match = _NAME.match(result.expectation)
    return match[2] if match else None


def _limits(result: Result) -> tuple[float | None, float | None, float | None]:
    """Return the least and the most that a check allows, and its share of rows; None where they follow from history."""
    text = result.expected or ""
    if _USUAL.search(text):
        return None, None, None
    found = {name: float(value) for name, value in _LIMIT.findall(text)}
    return found.get("min_value"), found.get("max_value"), found.get("mostly")


def _value(name: str, value: float) -> str:
    return percent(value) if name.endswith("_share") else number(value)


def _joined(texts: list[str]) -> str:
    told = "; ".join(texts)
    return f"{told[:1].upper()}{told[1:]}."
