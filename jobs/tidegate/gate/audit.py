"""Audits: entries of a suite are asked of a candidate, and Great Expectations decides.

It receives every metric that it asks for, computed by DuckDB, and says whether the expectation is met. An
exception in a check is a failure of the check, unless it says nothing of the candidate: a connection was lost, or
the machine lacks memory. Then the audit ends without a verdict. Where a limit follows from history and too little
is known, the expectation is asked without that limit, and what comes of it is neither met nor failed: it is warming up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tidegate.config.suites import QUERY, Entry
from tidegate.gate.expectations import NO_LIMIT, EntryFaultError, expectation
from tidegate.gate.facts import facts_candidates
from tidegate.gate.failure import Failure
from tidegate.gate.gx_patches import Needs, decide, needs
from tidegate.gate.measure import SHOWN, Measure
from tidegate.gate.metric import Metric
from tidegate.gate.results import Result, Status
from tidegate.gate.rows import NO_SLICE, Candidate, Rows, Tables, slice_key
from tidegate.gate.words import EXAMPLES, expected, failed_check, observed

History = Callable[[Entry, datetime], tuple[Mapping[str, float], Mapping[str, str]]]
"""Says of an entry with usual values, for an hour: the limits that are known, and how to describe all."""
_PLAIN = (int, float, str, Decimal, list, type(None))
"""Metrics whose text tells them from any other."""
_Results = dict[int, dict[int, Result]]
_Facts = Mapping[int, Mapping[str, Any]]


def audit(
    entries: Sequence[Entry],
    rows: Rows,
    facts: Mapping[str, Any],
    tables: Tables | None = None,
) -> list[Result]:
    """Ask entries of a suite of a candidate as a whole.

    Args:
        entries: what is asked; without usual values.
        rows: the candidate.
        facts: what is known of it beside its rows (`suites.FACTS`).
        tables: what the suite's queries may read beside it.

    Returns:
        One result an entry, in their order.

    Raises:
        TryAgainError: a connection was lost; nothing was judged.
        TidegateError: the machine lacks memory; nothing was judged.
    """
    asked = {NO_SLICE: [_Asked(n, entry) for n, entry in enumerate(entries)]}
    return _audit(asked, Candidate(rows), {NO_SLICE: facts}, tables)[NO_SLICE]


def audit_slices(
    entries: Sequence[Entry],
    slices: Sequence[datetime],
    facts: Mapping[datetime, Mapping[str, Any]],
    rows: Rows,
    column: str,
    history: History,
    tables: Tables | None = None,
) -> dict[datetime, list[Result]]:
    """Ask entries of a suite of each of some slices; the rows are read once for all of them.

    Args:
        entries: what is asked.
        slices: the slices; one without rows is audited as an empty one.
        facts: what is known of each beside its rows.
        rows: the rows of all slices.
        column: of `rows`, which says which slice a row is of.
        history: gives usual values their numbers.
        tables: what the suite's queries may read beside the candidate.

    Returns:
        As `audit`, by slice.

    Raises:
        TryAgainError: a connection was lost; nothing was judged.
        TidegateError: the machine lacks memory; nothing was judged.
    """
    keys = {slice_key(hour): hour for hour in slices}
    asked = {
        key: [_ask(n, entry, hour, history) for n, entry in enumerate(entries)]
        for key, hour in keys.items()
    }
    by_key = {key: facts[hour] for key, hour in keys.items()}
    results = _audit(asked, Candidate(rows, column), by_key, tables)
    return {hour: results[key] for key, hour in keys.items()}


@dataclass(frozen=True)
class _Asked:
    """An entry with its number in the suite, as it is asked of one slice.

    Attributes:
        number: its place.
        entry: with numbers for limits.
        limits: how to describe limits that follow from history.
        warming: whether one of them is not known yet.
    """

    number: int
    entry: Entry
    limits: Mapping[str, str] = field(default_factory=dict)
    warming: bool = False


def _ask(number: int, entry: Entry, hour: datetime, history: History) -> _Asked:
    if not entry.usual:
        return _Asked(number, entry)
    known, described = history(entry, hour)
    unknown = {key: NO_LIMIT[key] for key in entry.usual if key not in known}
    return _Asked(number, entry.with_limits({**known, **unknown}), described, bool(unknown))


def _audit(
    asked: Mapping[int, Sequence[_Asked]],
    candidate: Candidate,
    facts: _Facts,
    tables: Tables | None,
) -> dict[int, list[Result]]:
    results: _Results = {key: {} for key in asked}

    def of(subject: str, keys: Iterable[int]) -> dict[int, list[_Asked]]:
        return {key: [each for each in asked[key] if each.entry.of == subject] for key in keys}

    on_rows = of("rows", asked)
    if any(on_rows.values()):
        _judge(on_rows, candidate, tables, {}, results)
    if any(of("facts", asked).values()):
        for keys, known in facts_candidates(facts):
            on_facts = of("facts", keys)
            _judge(on_facts, known(candidate.rows.connection), None, facts, results)
    return {key: [found[n] for n in sorted(found)] for key, found in results.items()}


@dataclass(frozen=True)
class _Check:
    """An expectation, and the metrics that it needs.

    Attributes:
        entry: of the suite.
        expectation: what Great Expectations makes of it.
        needed: what that asks for.
        metrics: likewise, by name.
        decided: what it decided already, by the values of the metrics.
    """

    entry: Entry
    expectation: Any
    needed: Needs
    metrics: Mapping[str, Metric]
    decided: dict[str, tuple[bool, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Metric]:
        """The metrics that only show what was not expected."""
        return {name: each for name, each in self.metrics.items() if each.name.endswith(SHOWN)}


@dataclass(frozen=True)
class _Verdict:
    """What Great Expectations decided of an entry."""

    success: bool
    observed: str
    metric: float | None = None


def _judge(
    asked: Mapping[int, Sequence[_Asked]],
    candidate: Candidate,
    tables: Tables | None,
    facts: _Facts,
    results: _Results,
) -> None:
    """Judge slices: all metrics are computed first, those of examples where an expectation was not met."""
    checks: dict[tuple[int, str], _Check | _Verdict] = {}
    for each in (each for slice_ in asked.values() for each in slice_):
        key = each.number, repr(each.entry.args)
        if key not in checks:
            checks[key] = _check(each)
    measure = Measure(candidate, list(asked), tables)
    measure.compute(
        metric
        for check in checks.values()
        if isinstance(check, _Check)
        for metric in check.metrics.values()
        if not metric.name.endswith(SHOWN)
    )
    for slice_, entries in asked.items():
        for each in entries:
            verdict = checks[each.number, repr(each.entry.args)]
            if isinstance(verdict, _Check):
                verdict = _verdict(verdict, measure, slice_, facts.get(slice_, {}))
            results[slice_][each.number] = _result(each, verdict)


def _check(asked: _Asked) -> _Check | _Verdict:
    """Return what checks an entry, or why it fails before any row was read."""
    try:
        made = expectation(asked.entry, asked.number)
        needed = needs(made, _form(asked.entry))
    except EntryFaultError as error:
        return _Verdict(success=False, observed=str(error))
    except Exception as error:
        return _Verdict(success=False, observed=failed_check(error))
    entry = asked.entry
    exact = {key: value for key, value in entry.args.items() if _is_rounded(value)}
    metrics = {}
    for name, each in needed.metrics.items():
        values = each.metric_value_kwargs or {}
        metrics[name] = Metric(
            name=each.metric_name,
            domain=each.metric_domain_kwargs or {},
            values=values,
            where=entry.where,
            exact={key: value for key, value in exact.items() if key in values},
        )
    return _Check(entry, made, needed, metrics)


def _is_rounded(value: Any) -> bool:
    """Return whether Great Expectations, which makes a float of it, rounds a number."""
    return isinstance(value, int) and not isinstance(value, bool) and int(float(value)) != value


def _form(entry: Entry) -> dict[str, Any]:
    """Return how much an expectation is to report: rows of a query are in the longest form only."""
    form = "COMPLETE" if entry.type == QUERY else "BASIC"
    return {"result_format": form, "partial_unexpected_count": EXAMPLES}


def _verdict(check: _Check, measure: Measure, slice_: int, facts: Mapping[str, Any]) -> _Verdict:
    """Have Great Expectations decide; a second time with examples where an expectation was not met."""
    shown = check.shown
    values = {
        name: [] if name in shown else measure.value(metric, slice_)
        for name, metric in check.metrics.items()
    }
    verdict = _decide(check, values, facts)
    if verdict.success or not shown or _failure(values) is not None:
        return verdict
    if check.entry.args.get("column") in facts:  # its value is shown anyway
        return verdict
    for name, metric in shown.items():
        values[name] = measure.examples(metric, slice_, EXAMPLES)
    return _decide(check, values, facts)


def _decide(check: _Check, values: Mapping[str, Any], facts: Mapping[str, Any]) -> _Verdict:
    """Return the decision on some values of metrics; it is asked for once where slices have the same ones."""
    if (failure := _failure(values)) is not None:
        return _Verdict(success=False, observed=failed_check(failure.error))
    key = repr(values) if all(isinstance(each, _PLAIN) for each in values.values()) else None
    decision = check.decided.get(key) if key is not None else None
    if decision is None:
        try:
            decision = decide(check.expectation, check.needed, values)
        except Exception as error:
            return _Verdict(success=False, observed=failed_check(error))
        if key is not None:
            check.decided[key] = decision
    success, report = decision
    return _Verdict(success, *observed(check.entry, success, report, facts))


def _failure(values: Mapping[Any, Any]) -> Failure | None:
    return next((each for each in values.values() if isinstance(each, Failure)), None)


def _result(asked: _Asked, verdict: _Verdict) -> Result:
    entry = asked.entry
    status: Status = "failed"
    if verdict.success:
        status = "warming up" if asked.warming else "met"
    return Result(
        expectation=entry.name,
        severity=entry.severity,
        status=status,
        observed=verdict.observed,
        expected=expected(entry, asked.limits),
        why=entry.why,
        metric=verdict.metric,
    )
