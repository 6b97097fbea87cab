"""Words: what was expected and observed, as audits tell it, and as a number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tidegate.suites import QUERY, Entry

EXAMPLES = 3
"""Values shown of those that an expectation did not expect."""
_LONGEST = 1000
"""Characters kept of what was observed or expected: event text may be as long as a line."""


def expected(entry: Entry, usual: Mapping[str, str]) -> str:
    """Return what an entry asks for.

    Args:
        entry: the entry, with numbers for limits.
        usual: how to describe its limits that follow from history, by argument.
    """
    if entry.type == QUERY:
        return _cut(f"no row of: {' '.join(str(entry.args['unexpected_rows_query']).split())}")
    limits = {
        key: usual.get(key, value)
        for key, value in entry.args.items()
        if key not in ("column", "column_A", "column_B", "column_list")
    }
    told = ", ".join(f"{key} {value}" for key, value in limits.items())
    plain = entry.type.removeprefix("expect_").replace("_", " ")
    if entry.named is not None:
        plain += f" ({', '.join(entry.columns)})" if entry.columns else ""
        plain += f" where {entry.where}" if entry.where is not None else ""
    return _cut(f"{plain} [{told}]" if told else plain)


def observed(report: Any, facts: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return what a report of Great Expectations says was observed, and that as a number if it is one.

    Args:
        report: the report.
        facts: what is known of the candidate, where it was asked of that.
    """
    text, number = _observed(report, facts)
    return _cut(text), number


def _observed(report: Any, facts: Mapping[str, Any]) -> tuple[str, float | None]:
    raised = _exception(report.exception_info)
    if raised is not None:
        return f"the check failed: {raised}", None
    column = report.expectation_config.kwargs.get("column")
    if column in facts:
        return _number_text(facts[column]), _metric(facts[column])
    found = report.result or {}
    details = found.get("details") or {}
    if found.get("observed_value") is not None:
        value = found["observed_value"]
        if rows := details.get("unexpected_rows"):
            return f"{value} rows{_such_as(rows)}", _metric(value)
        return str(value), _metric(value)
    if details and not report.success:
        return json.dumps(details, default=str), None
    if "unexpected_count" in found:
        count, of = found["unexpected_count"], found.get("element_count")
        examples = found.get("partial_unexpected_list") or []
        return f"{count} of {of} rows{_such_as(examples)}", _metric(count / of if of else None)
    return "as expected" if report.success else "not so", None


def _such_as(examples: Sequence[Any]) -> str:
    if not examples:
        return ""
    return f", such as {json.dumps(examples[:EXAMPLES], default=str)[:200]}"


def _number_text(value: Any) -> str:
    if isinstance(value, float):
        return "nothing" if math.isnan(value) else f"{value:.6g}"
    return "nothing" if value is None else str(value)


def _metric(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return float(value) if math.isfinite(value) else None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def raised(report: Any) -> str:
    """Return all that a report of Great Expectations says of exceptions, traces included."""
    return "\n".join(_texts(report.exception_info))


def _texts(info: Any) -> Iterator[str]:
    if isinstance(info, Mapping):
        for each in info.values():
            yield from _texts(each)
    elif isinstance(info, str):
        yield info


def _exception(info: Any) -> str | None:
    """Return the message of an exception, if one was raised; the shape of the report varies."""
    if not isinstance(info, Mapping):
        return None
    if "raised_exception" in info:
        if not info["raised_exception"]:
            return None
        # Some exceptions have no message; the last line of the trace names them all the same.
        told = [
            str(info.get(key) or "").strip() for key in ("exception_message", "exception_traceback")
        ]
        return told[0].splitlines()[0] if told[0] else (told[1].splitlines() or ["unknown"])[-1]
    for each in info.values():
        if (message := _exception(each)) is not None:
            return message
    return None
