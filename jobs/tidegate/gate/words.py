"""Words: what was expected and observed, as audits tell it, and as a number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tidegate.config.suites import QUERY, Entry

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


def observed(
    entry: Entry, success: bool, report: Mapping[str, Any], facts: Mapping[str, Any]
) -> tuple[str, float | None]:
    """Return what a report of Great Expectations says was observed, and that as a number if it is one.

    Args:
        entry: what was asked.
        success: whether it was met.
        report: the report.
        facts: what is known of the candidate, where it was asked of that.
    """
    text, number = _observed(entry, success, report, facts)
    return _cut(text), number


def _observed(
    entry: Entry, success: bool, report: Mapping[str, Any], facts: Mapping[str, Any]
) -> tuple[str, float | None]:
    column = str(entry.args.get("column"))
    if column in facts:
        return _number_text(facts[column]), _metric(facts[column])
    details = report.get("details") or {}
    if report.get("observed_value") is not None:
        value = report["observed_value"]
        if rows := details.get("unexpected_rows"):
            return f"{value} rows{_such_as(rows)}", _metric(value)
        return str(value), _metric(value)
    if details and not success:
        return json.dumps(details, default=str), None
    if "unexpected_count" in report:
        count, of = report["unexpected_count"], report.get("element_count")
        examples = report.get("partial_unexpected_list") or []
        return f"{count} of {of} rows{_such_as(examples)}", _metric(count / of if of else None)
    return "as expected" if success else "not so", None


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


def failed_check(error: Exception) -> str:
    """Return what is observed where a check raised an exception: the first line of its message, or its name."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _cut(f"the check failed: {lines[0]}")
