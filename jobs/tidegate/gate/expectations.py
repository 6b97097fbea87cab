"""Expectations: what Great Expectations makes of entries, and which of its types work here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.common.suggestions import nearest
from tidegate.config.suites import QUERY, Entry, Suite
from tidegate.config.user_sql import CONDITION, ExpressionError, read_expression, read_query
from tidegate.gate.aggregates import plain
from tidegate.gate.gx_patches import great_expectations

NO_LIMIT = {"min_value": -1.7e308, "max_value": 1.7e308}
"""What stands for a limit that is not known yet."""

UNSUPPORTED: Mapping[str, str] = {
    "expect_query_results_to_match_comparison": "it compares with another data source; "
    "compare with a published table by unexpected_rows_expectation",
    "expect_table_row_count_to_equal_other_table": "a candidate has some slices, a table has all; "
    "compare with a published table by unexpected_rows_expectation",
}
"""Types that do not work on candidates, and why not; a test asks each type that is known."""


def faults(suite: Suite) -> list[str]:
    """Return what can't be run of a suite: unknown types, wrong arguments, SQL that is not allowed."""
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
        EntryFaultError: it is none, or none that works on candidates.
    """
    great_expectations()
    from great_expectations.compatibility import pydantic
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.row_conditions import PassThroughCondition

    kind = _kind(entry.type)
    # Great Expectations compares times without a zone: those of a suite are in UTC then, as metrics are.
    args = {key: plain(value) for key, value in entry.args.items()}
    if entry.where is not None:
        if "row_condition" not in kind.__fields__:
            raise EntryFaultError(f"{entry.type} takes no condition on rows (`where`)")
        args["row_condition"] = PassThroughCondition(pass_through_filter=entry.where)
    _check_sql(entry)
    try:
        return kind(**args, severity=FailureSeverity(entry.severity), meta={"entry": number})
    except pydantic.ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(p) for p in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        raise EntryFaultError(f"{entry.type}: wrong arguments: {told}") from error
    except (TypeError, ValueError) as error:
        raise EntryFaultError(f"{entry.type}: wrong arguments: {error}") from error


def _kind(name: str) -> Any:
    """Return the class of a type.

    Raises:
        EntryFaultError: it is unknown, or does not work on candidates.
    """
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    if name in UNSUPPORTED:
        raise EntryFaultError(f"{name} does not work on candidates: {UNSUPPORTED[name]}")
    try:
        return get_expectation_impl(name)
    except ExpectationNotFoundError as error:
        hint = nearest(name, list_registered_expectation_implementations())
        raise EntryFaultError(
            f"unknown expectation type {name!r}" + (f"; did you mean {hint!r}?" if hint else "")
        ) from error


def _check_sql(entry: Entry) -> None:
    """Check the SQL of an entry.

    Raises:
        EntryFaultError: it does what is not allowed.
    """
    try:
        key = "where"
        if entry.where is not None:
            read_expression(entry.where, CONDITION)
        key = "unexpected_rows_query"
        if entry.type == QUERY and isinstance(entry.args.get(key), str):
            read_query(entry.args[key])
    except ExpressionError as error:
        raise EntryFaultError(f"{entry.type}: {key}: {error}") from error
