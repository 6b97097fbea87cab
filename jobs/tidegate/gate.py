"""The gate: the only place that knows Great Expectations.

A candidate is audited by the suite of its table. An exception in a check is a failure of the check.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tidegate.nearest import nearest
from tidegate.suites import Entry, Severity, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

K = TypeVar("K")

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
        return _audit(suite, {None: rows}, {None: facts})[None]


def audit_slices(
    suite: Suite,
    rows: Mapping[datetime, DataFrame],
    facts: Mapping[datetime, Mapping[str, Any]],
    whole: DataFrame,
    column: str,
) -> dict[datetime, list[Result]]:
    """Run a suite on each of some slices; what can be counted of all of them at once, is.

    Args:
        suite: what is asked.
        rows: the candidate of each slice.
        facts: what is known of it beside its rows, of the same slices.
        whole: the rows of all slices.
        column: of `whole`, which says which slice a row is of.

    Returns:
        As `audit`, by slice.
    """
    with _ALONE:
        return _audit(suite, rows, facts, _Whole(whole, column))


@dataclass(frozen=True)
class _Whole:
    rows: DataFrame
    column: str


def _audit(
    suite: Suite,
    rows: Mapping[K, DataFrame],
    facts: Mapping[K, Mapping[str, Any]],
    whole: _Whole | None = None,
) -> dict[K, list[Result]]:
    of_rows, of_facts = (
        [(n, e) for n, e in enumerate(suite.entries) if e.of == subject]
        for subject in ("rows", "facts")
    )
    results: dict[K, dict[int, Result]] = {key: {} for key in rows}
    if of_rows:
        for key, found in _validate(of_rows, rows, spark=True, whole=whole).items():
            results[key].update(found)
    if of_facts:
        import pandas as pd

        frames = {key: pd.DataFrame([dict(each)]) for key, each in facts.items()}
        for key, found in _validate(of_facts, frames, spark=False).items():
            results[key].update(found)
    return {key: [found[n] for n in range(len(suite.entries))] for key, found in results.items()}


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
    entries: Sequence[tuple[int, Entry]],
    frames: Mapping[K, Any],
    *,
    spark: bool,
    whole: _Whole | None = None,
) -> dict[K, dict[int, Result]]:
    """Return by frame what entries, with their numbers, come to."""
    _quiet()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    unknown: dict[int, Result] = {}
    known: list[Any] = []
    asked = dict(entries)
    for number, entry in entries:
        try:
            known.append(_expectation(entry, number))
        except _EntryFaultError as error:
            unknown[number] = _result(entry, success=False, observed=str(error))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    if spark:
        # Without persist=False every audited DataFrame would stay in the server's memory.
        source: Any = context.data_sources.add_spark("candidate", persist=False)
    else:
        source = context.data_sources.add_pandas("candidate")
    engine = source.get_execution_engine()
    _ask_for_no_values(engine)
    once = _Once(engine, whole) if whole is not None else None
    definition = source.add_dataframe_asset("candidate").add_batch_definition_whole_dataframe(
        "whole"
    )
    results: dict[K, dict[int, Result]] = {}
    for key, frame in frames.items():
        batch = definition.get_batch(batch_parameters={"dataframe": frame})
        if once is not None:
            once.turn_to(key)
        # Examples cost a query an expectation: they are looked for only where something failed.
        found = {**unknown, **_run(batch, known, asked, examples=0)}
        failed = [each for each in known if not found[each.meta["entry"]].success]
        found.update(_run(batch, failed, asked, examples=_EXAMPLES))
        results[key] = found
    return results


class _Once:
    """Lets an engine of Great Expectations count once, by slice, what is asked of one slice after another.

    An engine asks Spark for all aggregates of a batch in one query. Those of the first slice are asked
    of all slices, grouped by them; for the others the answers are there.
    """

    def __init__(self, engine: Any, whole: _Whole) -> None:
        self._engine, self._whole = engine, whole
        self._alone = engine.resolve_metric_bundle
        self._answers: dict[tuple[Any, ...], dict[Any, Any]] = {}
        self._slice: Any = None
        engine.resolve_metric_bundle = self._resolve

    def turn_to(self, slice_: Any) -> None:
        """Say of which slice the next questions are."""
        self._slice = slice_

    def _resolve(self, metric_fn_bundle: Iterable[Any]) -> dict[Any, Any]:
        by_domain: dict[tuple[Any, ...], list[Any]] = {}
        for each in metric_fn_bundle:
            by_domain.setdefault(_without_batch(each.compute_domain_kwargs or {}), []).append(each)
        found: dict[Any, Any] = {}
        for domain, questions in by_domain.items():
            questions.sort(key=_question)  # they come in another order for each slice
            asked = (domain, *map(_question, questions))
            if asked not in self._answers:
                self._answers[asked] = self._by_slice(questions)
            answer = self._answers[asked].get(self._slice)
            if answer is None:  # of a slice without such rows there is no group
                found.update(self._alone(metric_fn_bundle=questions))
            else:
                ids = (each.metric_configuration.id for each in questions)
                found.update(zip(ids, answer, strict=True))
        return found

    def _by_slice(self, questions: Sequence[Any]) -> dict[Any, Sequence[Any]]:
        from great_expectations.execution_engine.sparkdf_batch_data import SparkDFBatchData
        from great_expectations.util import convert_to_json_serializable
        from pyspark.errors import PySparkException
        from pyspark.sql import functions as F

        kwargs = questions[0].compute_domain_kwargs or {}
        batches, own = self._engine.batch_manager.batch_data_cache, kwargs["batch_id"]
        # The engine applies a domain's conditions itself: to the rows of all slices this once.
        kept = batches[own]
        batches[own] = SparkDFBatchData(self._engine, self._whole.rows)
        try:
            rows = self._engine.get_domain_records(domain_kwargs=kwargs)
        finally:
            batches[own] = kept
        key = F.unix_seconds(self._whole.column).alias("slice")
        try:
            counted = rows.groupBy(key).agg(*(each.metric_fn for each in questions)).collect()
        except PySparkException:
            # Some slice's rows can't be computed. Each is asked alone then, and fails or not by itself.
            return {}
        return {
            datetime.fromtimestamp(row[0], UTC): [
                convert_to_json_serializable(data=value) for value in row[1:]
            ]
            for row in counted
        }


def _question(asked: Any) -> tuple[Any, ...]:
    metric = asked.metric_configuration
    return (
        metric.metric_name,
        _without_batch(metric.metric_domain_kwargs),
        str(metric.metric_value_kwargs_id),
    )


def _without_batch(kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((k, repr(v)) for k, v in kwargs.items() if k != "batch_id"))


def _ask_for_no_values(engine: Any) -> None:
    """Keep an engine from asking Spark for no unexpected value at all, which costs a query each time."""
    resolve = engine.resolve_metrics

    def without(metrics_to_resolve: Iterable[Any], *args: Any, **kwargs: Any) -> dict[Any, Any]:
        asked: list[Any] = []
        none: dict[Any, Any] = {}
        for each in metrics_to_resolve:
            form = each.metric_value_kwargs.get("result_format")
            if (
                each.metric_name.endswith(".unexpected_values")
                and isinstance(form, Mapping)
                and form.get("partial_unexpected_count") == 0
            ):
                none[each.id] = []
            else:
                asked.append(each)
        return {**none, **resolve(asked, *args, **kwargs)}

    engine.resolve_metrics = without


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
