"""The gate: the only place that knows Great Expectations.

A candidate is audited by the suite of its table. An exception in a check is a failure of the check, unless
a connection was lost in it: then the audit is cut off, and the candidate is as good as it was. Where
a limit follows from history and too little is known, the expectation is asked without that limit, and
what comes of it is neither met nor failed: it is warming up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tidegate.errors import TryAgainError
from tidegate.gate.expectations import NO_LIMIT, EntryFaultError, expectation, quiet
from tidegate.gate.once import Once, Whole
from tidegate.gate.results import Result, Status
from tidegate.gate.words import EXAMPLES, expected, observed, raised
from tidegate.lost import lost
from tidegate.suites import FACTS, QUERY, Entry, tables_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

K = TypeVar("K")

_ALONE = threading.Lock()
"""Great Expectations has one current context a process: audits of several threads follow one another."""

History = Callable[[Entry, datetime], tuple[Mapping[str, float], Mapping[str, str]]]
"""Says of an entry with usual values, for an hour: the limits that are known, and how to describe all."""


Tables = Callable[[str], "DataFrame"]
"""Gives the published rows of a table, by its name, for queries of a suite."""


def audit(
    entries: Sequence[Entry],
    rows: DataFrame,
    facts: Mapping[str, Any],
    tables: Tables | None = None,
) -> list[Result]:
    """Ask entries of a suite of a candidate.

    Args:
        entries: what is asked; without usual values.
        rows: the candidate.
        facts: what is known of it beside its rows (`suites.FACTS`).
        tables: what the suite's queries may read beside it.

    Returns:
        One result an entry, in their order.
    """
    asked = {None: [_Asked(n, each) for n, each in enumerate(entries)]}
    with _ALONE, _views(entries, rows, tables):
        return _audit(asked, {None: rows}, {None: facts})[None]


def audit_slices(
    entries: Sequence[Entry],
    rows: Mapping[datetime, DataFrame],
    facts: Mapping[datetime, Mapping[str, Any]],
    whole: DataFrame,
    column: str,
    history: History,
    tables: Tables | None = None,
) -> dict[datetime, list[Result]]:
    """Ask entries of a suite of each of some slices; what can be counted of all of them at once, is.

    Args:
        entries: what is asked.
        rows: the candidate of each slice.
        facts: what is known of it beside its rows, of the same slices.
        whole: the rows of all slices.
        column: of `whole`, which says which slice a row is of.
        history: gives usual values their numbers.
        tables: what the suite's queries may read beside the candidate.

    Returns:
        As `audit`, by slice.
    """
    asked = {
        hour: [_ask(n, each, hour, history) for n, each in enumerate(entries)] for hour in rows
    }
    with _ALONE, _views(entries, whole, tables):
        return _audit(asked, rows, facts, Whole(whole, column))


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
    known, told = history(entry, hour)
    unknown = {key: NO_LIMIT[key] for key in entry.usual if key not in known}
    return _Asked(number, entry.with_limits({**known, **unknown}), told, bool(unknown))


@contextmanager
def _views(entries: Sequence[Entry], rows: DataFrame, tables: Tables | None) -> Iterator[None]:
    """Let queries find the published tables that they name."""
    wanted: set[str] = set()
    for entry in entries:
        if entry.type == QUERY:
            with suppress(ValueError):  # a query that is none fails by itself
                wanted |= tables_of(entry)
    if not wanted or tables is None:
        yield
        return
    made = sorted(wanted & FACTS.keys())
    for name in made:
        tables(name).createOrReplaceTempView(name)
    try:
        yield
    finally:
        for name in made:
            rows.sparkSession.catalog.dropTempView(name)


def _audit(
    asked: Mapping[K, Sequence[_Asked]],
    rows: Mapping[K, DataFrame],
    facts: Mapping[K, Mapping[str, Any]],
    whole: Whole | None = None,
) -> dict[K, list[Result]]:
    results: dict[K, dict[int, Result]] = {key: {} for key in rows}

    def of(subject: str) -> dict[K, list[_Asked]]:
        return {key: [a for a in each if a.entry.of == subject] for key, each in asked.items()}

    if any(of("rows").values()):
        for key, found in _validate(of("rows"), rows, spark=True, whole=whole).items():
            results[key].update(found)
    if any(of("facts").values()):
        import pandas as pd

        frames = {key: pd.DataFrame([dict(each)]) for key, each in facts.items()}
        for key, found in _validate(of("facts"), frames, spark=False, facts=facts).items():
            results[key].update(found)
    return {key: [found[n] for n in sorted(found)] for key, found in results.items()}


def _validate(
    asked: Mapping[K, Sequence[_Asked]],
    frames: Mapping[K, Any],
    *,
    spark: bool,
    whole: Whole | None = None,
    facts: Mapping[K, Mapping[str, Any]] | None = None,
) -> dict[K, dict[int, Result]]:
    """Return by frame, and by the number of an entry, what it comes to."""
    quiet()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    if spark:
        # Without persist=False every audited DataFrame would stay in the server's memory.
        source: Any = context.data_sources.add_spark("candidate", persist=False)
    else:
        source = context.data_sources.add_pandas("candidate")
    engine = source.get_execution_engine()
    once = Once(engine, whole) if whole is not None else None
    definition = source.add_dataframe_asset("candidate").add_batch_definition_whole_dataframe(
        "whole"
    )
    results: dict[K, dict[int, Result]] = {}
    for key, frame in frames.items():
        batch = definition.get_batch(batch_parameters={"dataframe": frame})
        if once is not None:
            once.turn_to(key)
        by_number = {each.number: each for each in asked[key]}
        known = (facts or {}).get(key, {})
        found: dict[int, Result] = {}
        expectations = []
        for each in asked[key]:
            try:
                expectations.append(expectation(each.entry, each.number))
            except EntryFaultError as error:
                found[each.number] = _result(each, _Said(success=False, observed=str(error)))
        # Examples cost a query an expectation: they are looked for only where something failed.
        with _frugal(engine):
            said = _run(batch, expectations, known, examples=0)
        failed = [each for each in expectations if not said[each.meta["entry"]].success]
        said.update(_run(batch, failed, known, examples=EXAMPLES))
        found.update({n: _result(by_number[n], each) for n, each in said.items()})
        results[key] = found
    return results


@contextmanager
def _frugal(engine: Any) -> Iterator[None]:
    """Keep an engine from asking Spark for examples of what was not expected: each costs a query."""
    resolve = engine.resolve_metrics

    def without(metrics_to_resolve: Iterable[Any], *args: Any, **kwargs: Any) -> dict[Any, Any]:
        asked: list[Any] = []
        none: dict[Any, Any] = {}
        for each in metrics_to_resolve:
            if each.metric_name.endswith((".unexpected_values", "unexpected_rows_query.table")):
                none[each.id] = []
            else:
                asked.append(each)
        return {**none, **resolve(asked, *args, **kwargs)}

    engine.resolve_metrics = without
    try:
        yield
    finally:
        engine.resolve_metrics = resolve


@dataclass(frozen=True)
class _Said:
    """What Great Expectations said of an entry."""

    success: bool
    observed: str
    metric: float | None = None


def _run(
    batch: Any, expectations: Sequence[Any], facts: Mapping[str, Any], *, examples: int
) -> dict[int, _Said]:
    """Run expectations on a batch; the results of failed ones show so many examples at most."""
    import great_expectations as gx

    said: dict[int, _Said] = {}
    # Rows of a query are given by the most talkative format only, which is too dear for the others.
    queries = [each for each in expectations if examples and each.expectation_type == QUERY]
    others = [each for each in expectations if each not in queries]
    for form, asked in (("BASIC", others), ("COMPLETE", queries)):
        if not asked:
            continue
        report = batch.validate(
            gx.ExpectationSuite(name="suite", expectations=list(asked)),
            result_format={"result_format": form, "partial_unexpected_count": examples},
        )
        for each in report.results:
            missing = lost(raised(each))
            if missing is not None:
                raise TryAgainError(
                    f"{missing} did not answer in the middle of an audit",
                    got=observed(each, facts)[0],
                    todo="see whether it runs (tidegate status), then run this again; nothing was judged",
                )
            number = each.expectation_config.meta["entry"]
            said[number] = _Said(bool(each.success), *observed(each, facts))
    for each in expectations:
        said.setdefault(
            each.meta["entry"], _Said(False, "Great Expectations gave no result for it")
        )
    return said


def _result(asked: _Asked, said: _Said) -> Result:
    entry = asked.entry
    status: Status = "failed"
    if said.success:
        status = "warming up" if asked.warming else "met"
    return Result(
        expectation=entry.name,
        severity=entry.severity,
        status=status,
        observed=said.observed,
        expected=expected(entry, asked.limits),
        why=entry.why,
        metric=said.metric,
    )
