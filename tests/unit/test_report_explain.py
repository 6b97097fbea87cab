"""What an hour's page says first, and what would make a failed check pass."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.report.audits import Result
from tidegate.report.explain import observed, remedy

LANDING = {"lines": 1000, "quarantined": 21, "by_reason": [{"key": "not_json", "value": 21}]}
BETWEEN = "expect_column_values_to_be_between"


def failed(
    column: str, expected: str, metric: float | None, seen: str = "x", **more: Any
) -> Result:
    values = {
        "expectation": f"{BETWEEN}({column})",
        "severity": "critical",
        "status": "failed",
        "observed": seen,
        "expected": f"column values to be between [{expected}]",
        "why": "Because.",
        "approved_by": None,
        "metric": metric,
    }
    return Result(**{**values, **more})


def test_broken_lines_are_told_as_a_share_with_their_reasons() -> None:
    result = failed("quarantined_share", "max_value 0.005", 0.021)
    assert observed(result, LANDING) == (
        "2.1 % of the lines are broken, at most 0.5 % may be: 21 not_json"
    )
    assert str(remedy(result, LANDING)).startswith(
        "It passes when at most 5 of 1,000 lines are broken: 16 fewer."
    )


def test_too_few_rows_are_told_with_the_least_that_must_be() -> None:
    result = failed("rows", "min_value 100, max_value 900", 3.0)
    assert observed(result, LANDING) == "the hour has 3 rows, at least 100 must be"
    assert remedy(result, LANDING) == "It passes when rows is at least 100; it is 3."


def test_limits_that_follow_from_history_are_told_as_the_audit_has_them() -> None:
    result = failed("rows", "min_value 0.02 x usual rows = 12", 3.0)
    assert "0.02 x usual rows = 12" in observed(result, LANDING)
    assert "0.02 x usual rows = 12" in str(remedy(result, LANDING))


def test_missing_values_are_told_with_how_many_fewer_pass() -> None:
    result = failed(
        "event_type",
        "mostly 0.99",
        None,
        seen="30 of 1,000 rows",
        expectation="expect_column_values_to_not_be_null(event_type)",
    )
    assert observed(result, None) == (
        "event_type has no value in 30 of 1,000 rows, at most 1 % may lack it"
    )
    assert remedy(result, None) == (
        "It passes when at most 10 of 1,000 rows lack event_type: 20 fewer."
    )


@pytest.mark.parametrize("expectation", ["expect_x", "expect_x(a, b)", "<script>"])
def test_a_check_that_is_not_known_is_told_in_its_own_words(expectation: str) -> None:
    result = failed("x", "z", None, seen="seen", expectation=expectation)
    assert observed(result, None).startswith(f"{expectation}: observed seen, expected ")
    assert remedy(result, None)


def test_a_check_that_is_met_needs_nothing() -> None:
    assert remedy(failed("rows", "min_value 1", 3.0, status="met"), LANDING) is None
