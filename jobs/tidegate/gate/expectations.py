"""Expectations: what Great Expectations makes of entries, and which of its types work on Spark."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tidegate.nearest import nearest
from tidegate.suites import Entry, Suite

NO_LIMIT = {"min_value": -1.7e308, "max_value": 1.7e308}
"""What stands for a limit that is not known yet."""

_NEEDS_PYTHON = "it runs Python on Spark's executors, which need have none"
_NOT_FOR_SPARK = "Great Expectations has it for other engines only"
NOT_ON_SPARK: Mapping[str, str] = {
    "expect_column_values_to_be_dateutil_parseable": _NOT_FOR_SPARK,
    "expect_column_values_to_be_json_parseable": _NEEDS_PYTHON,
    "expect_column_values_to_match_json_schema": _NEEDS_PYTHON,
    "expect_column_values_to_match_like_pattern": _NOT_FOR_SPARK,
    "expect_column_values_to_match_like_pattern_list": _NOT_FOR_SPARK,
    "expect_column_values_to_match_strftime_format": _NEEDS_PYTHON,
    "expect_column_values_to_not_match_like_pattern": _NOT_FOR_SPARK,
    "expect_column_values_to_not_match_like_pattern_list": _NOT_FOR_SPARK,
    "expect_query_results_to_match_comparison": _NOT_FOR_SPARK,
    "expect_table_row_count_to_equal_other_table": _NOT_FOR_SPARK,
}
"""Types that do not work on Spark, and why not; a test asks each type that is known."""


def faults(suite: Suite) -> list[str]:
    """Return what Great Expectations can't take of a suite: unknown types, wrong arguments."""
    found = []
    for entry in suite.entries:
        try:
            expectation(entry.with_limits({key: NO_LIMIT[key] for key in entry.usual}), 0)
        except EntryFaultError as error:
            found.append(str(error))
    return found


class EntryFaultError(Exception):
    """An entry that is no expectation."""


def expectation(entry: Entry, number: int) -> Any:
    """Return an entry as Great Expectations has it, with its number in its `meta`.

    Raises:
        EntryFaultError: it is none, or none that works on Spark.
    """
    quiet()
    from great_expectations.compatibility import pydantic
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )
    from great_expectations.expectations.row_conditions import PassThroughCondition

    try:
        kind = get_expectation_impl(entry.type)
    except ExpectationNotFoundError as error:
        hint = nearest(entry.type, list_registered_expectation_implementations())
        raise EntryFaultError(
            f"unknown expectation type {entry.type!r}"
            + (f"; did you mean {hint!r}?" if hint else "")
        ) from error
    if entry.type in NOT_ON_SPARK:
        raise EntryFaultError(f"{entry.type} does not work on Spark: {NOT_ON_SPARK[entry.type]}")
    args = dict(entry.args)
    if entry.where is not None:
        if "row_condition" not in kind.__fields__:
            raise EntryFaultError(f"{entry.type} takes no condition on rows (`where`)")
        args["row_condition"] = PassThroughCondition(pass_through_filter=entry.where)
    try:
        return kind(**args, severity=FailureSeverity(entry.severity), meta={"entry": number})
    except pydantic.ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(p) for p in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        raise EntryFaultError(f"{entry.type}: wrong arguments: {told}") from error
    except (TypeError, ValueError) as error:
        raise EntryFaultError(f"{entry.type}: wrong arguments: {error}") from error


def quiet() -> None:
    """Keep Great Expectations from drawing progress bars and from calling home."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
