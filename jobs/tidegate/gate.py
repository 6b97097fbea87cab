"""The gate: the only place that knows Great Expectations.

A candidate is audited by the suite of its table. An exception in a check is a failure of the check.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.nearest import nearest
from tidegate.suites import Entry, Severity, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ALONE = threading.Lock()
"""Great Expectations has one current context a process: audits of several threads follow one another."""
_EXAMPLES = 3
"""Values shown of those that an expectation did not expect."""


@dataclass(frozen=True)
class Result:
    """What an expectation said of a candidate."""

    expectation: str
    severity: Severity
    success: bool
    observed: str
    expected: str
    why: str

    @property
    def holds(self) -> bool:
        """Whether it holds the slice."""
        return not self.success and self.severity == "critical"

    def describe(self) -> str:
        """Return it in one line."""
        return (
            f"{self.expectation}: expected {self.expected}, observed {self.observed} ({self.why})"
        )


def audit(suite: Suite, rows: DataFrame, facts: Mapping[str, Any]) -> list[Result]:
    """Run a suite on a candidate.

    Args:
        suite: what is asked.
        rows: the candidate.
        facts: what is known of it beside its rows (`suites.FACTS`).

    Returns:
        One result an entry, in the suite's order.
    """
    with _ALONE:
        return _audit(suite, rows, facts)


def _audit(suite: Suite, rows: DataFrame, facts: Mapping[str, Any]) -> list[Result]:
    by_subject = {
        subject: [(n, e) for n, e in enumerate(suite.entries) if e.of == subject]
        for subject in ("rows", "facts")
    }
    results: dict[int, Result] = {}
    if by_subject["rows"]:
        results.update(_validate(by_subject["rows"], rows, spark=True))
    if by_subject["facts"]:
        import pandas as pd

        frame = pd.DataFrame([dict(facts)])
        results.update(_validate(by_subject["facts"], frame, spark=False))
    return [results[n] for n in range(len(suite.entries))]


def faults(suite: Suite) -> list[str]:
    """Return what Great Expectations can't take of a suite: unknown types, wrong arguments."""
    found = []
    for entry in suite.entries:
        try:
            _expectation(entry, 0)
        except _EntryFaultError as error:
            found.append(str(error))
    return found


class _EntryFaultError(Exception):
    """An entry that is no expectation."""


def _expectation(entry: Entry, number: int) -> Any:
    _quiet()
    from great_expectations.compatibility import pydantic
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    try:
        kind = get_expectation_impl(entry.type)
    except ExpectationNotFoundError as error:
        hint = nearest(entry.type, list_registered_expectation_implementations())
        raise _EntryFaultError(
            f"unknown expectation type {entry.type!r}"
            + (f"; did you mean {hint!r}?" if hint else "")
        ) from error
    try:
        return kind(**entry.args, severity=FailureSeverity(entry.severity), meta={"entry": number})
    except pydantic.ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(p) for p in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        raise _EntryFaultError(f"{entry.type}: wrong arguments: {told}") from error
    except (TypeError, ValueError) as error:
        raise _EntryFaultError(f"{entry.type}: wrong arguments: {error}") from error


def _validate(
    entries: Sequence[tuple[int, Entry]], frame: Any, *, spark: bool
) -> dict[int, Result]:
    _quiet()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    results: dict[int, Result] = {}
    known: list[Any] = []
    asked = dict(entries)
    for number, entry in entries:
        try:
            known.append(_expectation(entry, number))
        except _EntryFaultError as error:
            results[number] = _result(entry, success=False, observed=str(error))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    if spark:
        # Without persist=False every audited DataFrame would stay in the server's memory.
        source: Any = context.data_sources.add_spark("candidate", persist=False)
    else:
        source = context.data_sources.add_pandas("candidate")
    batch = (
        source.add_dataframe_asset("candidate")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    # Examples cost a query an expectation: they are looked for only where something failed.
    results.update(_run(batch, known, asked, examples=0))
    failed = [each for each in known if not results[each.meta["entry"]].success]
    results.update(_run(batch, failed, asked, examples=_EXAMPLES))
    return results


def _run(
    batch: Any, expectations: Sequence[Any], asked: Mapping[int, Entry], *, examples: int
) -> dict[int, Result]:
    """Run expectations on a batch; the results of failed ones show so many examples at most."""
    import great_expectations as gx

    if not expectations:
        return {}
    report = batch.validate(
        gx.ExpectationSuite(name="suite", expectations=list(expectations)),
        result_format={"result_format": "BASIC", "partial_unexpected_count": examples},
    )
    results = {}
    for each in report.results:
        number = each.expectation_config.meta["entry"]
        results[number] = _result(
            asked[number], success=bool(each.success), observed=_observed(each)
        )
    for expectation in expectations:
        number = expectation.meta["entry"]
        if number not in results:
            results[number] = _result(
                asked[number], success=False, observed="Great Expectations gave no result for it"
            )
    return results


def _result(entry: Entry, *, success: bool, observed: str) -> Result:
    return Result(
        expectation=entry.name,
        severity=entry.severity,
        success=success,
        observed=observed,
        expected=_expected(entry),
        why=entry.why,
    )


def _expected(entry: Entry) -> str:
    limits = {
        key: value
        for key, value in entry.args.items()
        if key not in ("column", "column_A", "column_B", "column_list")
    }
    told = ", ".join(f"{key} {value}" for key, value in limits.items())
    plain = entry.type.removeprefix("expect_").replace("_", " ")
    return f"{plain} [{told}]" if told else plain


def _observed(report: Any) -> str:
    raised = _exception(report.exception_info)
    if raised:
        return f"the check failed: {raised}"
    found = report.result or {}
    if "observed_value" in found:
        return str(found["observed_value"])
    if "unexpected_count" in found:
        text = f"{found['unexpected_count']} of {found.get('element_count', '?')} rows"
        examples = found.get("partial_unexpected_list") or []
        return text + (
            f", such as {json.dumps(examples[:_EXAMPLES], default=str)[:200]}" if examples else ""
        )
    return "nothing"


def _exception(info: Any) -> str | None:
    """Return the message of an exception, if one was raised; the shape of the report varies."""
    if not isinstance(info, Mapping):
        return None
    if "raised_exception" in info:
        return str(info.get("exception_message")) if info["raised_exception"] else None
    for each in info.values():
        if (message := _exception(each)) is not None:
            return message.splitlines()[0] if message else message
    return None


def _quiet() -> None:
    """Keep Great Expectations from drawing progress bars and from calling home."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
