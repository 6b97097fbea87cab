"""Audit: the suite of a table is run on a candidate, and what it said is written down."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate import gate
from tidegate.errors import HeldError
from tidegate.hours import hours_text
from tidegate.lake import Row, literal, parse_time
from tidegate.ledger import published_landings
from tidegate.steps.in_force import in_force
from tidegate.steps.loss import loss_facts
from tidegate.steps.plan import Plan, PlannedSlice, make_plan, rows_of
from tidegate.suites import Suite, load_suite
from tidegate.tables import Table, events
from tidegate.tables.books import AUDITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_USUAL_DAYS = 28
_USUAL_LEAST = 3
_OF_LANDING = ("declared_lines", "declared_bytes", "lines_off", "bytes_off", "unnumbered")


@dataclass(frozen=True)
class Audit:
    """What a suite said of a candidate.

    Attributes:
        audit_id: its id in `ops/audits`.
        table: the table that the candidate is of.
        source: whose rows.
        slices: the candidate's slices.
        results: one an expectation.
    """

    audit_id: str
    table: str
    source: str
    slices: tuple[datetime, ...]
    results: tuple[gate.Result, ...]

    @property
    def held(self) -> bool:
        """Whether the candidate may not be published."""
        return any(each.holds for each in self.results)

    def describe(self) -> str:
        """Return what failed, one line an expectation."""
        failed = [each for each in self.results if not each.success]
        head = f"{self.table} {self.source} {hours_text(self.slices)}"
        if not failed:
            return f"{head}: {len(self.results)} expectations met"
        return "\n".join(f"{head}: {each.severity}: {each.describe()}" for each in failed)


def held_error(audits: Sequence[Audit]) -> HeldError:
    """Return the error that tells of held candidates."""
    held = [each for each in audits if each.held]
    tables = sorted({each.table for each in held})
    return HeldError(
        f"held by the gate: {', '.join(f'{a.source} {hours_text(a.slices)}' for a in held)}",
        where=", ".join(f"warehouse/{table}" for table in tables) + " (left as it was)",
        expected="every critical expectation met",
        got="\n    " + "\n    ".join(each.describe() for each in held),
        todo="mend the dump or the source file and land the hour again; tidegate held lists what waits",
    )


def audit_events(work: Work, source: Source, hours: Sequence[datetime]) -> list[Audit]:
    """Audit what the next publication of some hours would put in.

    Returns:
        One audit a slice, later slices that would lose or regain rows included.
    """
    return audit_plan(work, make_plan(work, in_force(work, source), hours))


def audit_plan(work: Work, plan: Plan) -> list[Audit]:
    """Audit the slices of a plan; contents that this suite has seen already are not run again."""
    if not plan.slices:
        return []
    suite = load_suite(work.settings.expectations, events.TABLE.name)
    landings = work.ledger.landings_by_id(each.standing.landing_id for each in plan.slices)
    done = _known(work, plan, suite, landings)
    if plan.source.sequence is not None:
        # What was lost when the hour was held, another hour may have brought since.
        done = {content: audit for content, audit in done.items() if not audit.held}
    fresh = [each for each in plan.slices if each.content not in done]
    if fresh:
        hours = hours_text(each.hour for each in fresh)
        work.tell(f"auditing {plan.source.source} {hours}")
        usual = _usual_rows(work, plan)
        loss = loss_facts(work, plan)
        whole = rows_of(work, plan, fresh)
        counted = _counted(work, whole)
        facts = {
            each.hour: _facts(
                each,
                landings[each.standing.landing_id],
                counted.get(each.hour),
                usual.get(each.hour),
            )
            | loss[each.hour]
            for each in fresh
        }
        parts = {each.hour: rows_of(work, plan, [each]) for each in fresh}
        found = gate.audit_slices(suite, parts, facts, whole, events.TABLE.slice_time)
        rows: list[Row] = []
        for each in fresh:
            audit = _audit(suite, plan.source.source, [each.hour], found[each.hour])
            done[each.content] = audit
            rows += audit_rows(work, audit, suite, each.content)
        work.lake.append(AUDITS, rows)
    return [done[each.content] for each in plan.slices]


def run_suite(
    suite: Suite,
    rows: DataFrame,
    facts: Mapping[str, Any],
    *,
    source: str,
    slices: Sequence[datetime],
) -> Audit:
    """Run a suite on a candidate; nothing is written down yet."""
    return _audit(suite, source, slices, gate.audit(suite, rows, facts))


def _audit(
    suite: Suite, source: str, slices: Sequence[datetime], results: Sequence[gate.Result]
) -> Audit:
    from tidegate.steps.work import new_id

    return Audit(new_id(), suite.table, source, tuple(sorted(slices)), tuple(results))


def audit_rows(work: Work, audit: Audit, suite: Suite, content: str) -> list[Row]:
    """Return the rows of an audit in `ops/audits`."""
    from tidegate.steps.work import now

    at = now()
    return [
        {
            "audit_id": audit.audit_id,
            "table_name": audit.table,
            "source": audit.source,
            "slices": audit.slices,
            "content": content,
            "suite": suite.fingerprint,
            "expectation": each.expectation,
            "severity": each.severity,
            "success": each.success,
            "observed": each.observed,
            "expected": each.expected,
            "why": each.why,
            "run_id": work.run_of(audit.slices[0]) if audit.slices else work.run_id,
            "audited_at": at,
        }
        for each in audit.results
    ]


def _known(work: Work, plan: Plan, suite: Suite, landings: Mapping[str, Row]) -> dict[str, Audit]:
    """Return audits of the plan's contents by the same suite: content → audit."""
    since = min(parse_time(row["landed_at"]) for row in landings.values())
    contents = ", ".join(literal(each.content) for each in plan.slices)
    rows = work.lake.book(
        AUDITS,
        f"table_name = {literal(suite.table)} and source = {literal(plan.source.source)} "
        f"and suite = {literal(suite.fingerprint)} and audited_at >= {literal(since)} "
        f"and content in ({contents})",
    )
    by_audit: dict[str, list[Row]] = {}
    for row in rows:
        by_audit.setdefault(row["audit_id"], []).append(row)
    return {
        found[0]["content"]: _audit_of(found)
        for found in by_audit.values()
        if len(found) == len(suite.entries)
    }


def _audit_of(rows: Sequence[Row]) -> Audit:
    first = rows[0]
    return Audit(
        first["audit_id"],
        first["table_name"],
        first["source"],
        tuple(parse_time(each) for each in first["slices"]),
        tuple(
            gate.Result(
                row["expectation"],
                row["severity"],
                row["success"],
                row["observed"],
                row["expected"],
                row["why"],
            )
            for row in rows
        ),
    )


def _counted(work: Work, rows: DataFrame) -> dict[datetime, Row]:
    """Return by slice how many `rows` there really are, and how many `distinct` ids they have.

    What should be there is reckoned from landings. To tell ids apart by 64 bits of their hash is several
    times as fast, so only slices where that says that some are alike have them compared.
    """
    from pyspark.sql import functions as F

    def by_slice(frame: DataFrame, distinct: Column) -> dict[datetime, Row]:
        counts = frame.groupBy("dump_hour").agg(
            F.sum("n").alias("rows"), distinct.alias("distinct")
        )
        return {parse_time(row["dump_hour"]): row for row in work.lake.rows(counts)}

    by_hash = rows.groupBy("dump_hour", F.xxhash64("event_id").alias("h")).agg(
        F.count(F.lit(1)).alias("n")
    )
    counted = by_slice(by_hash, F.count(F.lit(1)))
    alike = [hour for hour, row in counted.items() if row["distinct"] < row["rows"]]
    if alike:
        theirs = rows.where(F.col("dump_hour").isin(alike)).withColumn("n", F.lit(1))
        counted |= by_slice(theirs, F.count_distinct("event_id"))
    return counted


def _facts(
    each: PlannedSlice, landing: Row, counted: Row | None, usual: float | None
) -> dict[str, float | None]:
    """Return the facts of a slice of events (`suites.FACTS`); of no row nothing was `counted`."""
    lines, candidates = landing["lines"], landing["events"]
    duplicates, quarantined = landing["duplicates"], landing["quarantined"]
    rows, distinct = (counted["rows"], counted["distinct"]) if counted else (0, 0)
    return {
        "lines": lines,
        "candidates": candidates,
        "duplicates": duplicates,
        "withheld": each.withheld,
        "quarantined": quarantined,
        "quarantined_share": quarantined / lines if lines else None,
        "unaccounted": abs(lines - candidates - duplicates - quarantined)
        + abs(candidates - rows - each.withheld),
        "rows": rows,
        "repeated": rows - distinct,
        "usual_rows": usual,
        "rows_to_usual": rows / usual if usual else None,
        **{name: landing[name] for name in _OF_LANDING},
    }


def _usual_rows(work: Work, plan: Plan) -> dict[datetime, float | None]:
    """Return for each slice the median of the rows of its hour of the day on the days before it."""
    hours = [each.hour for each in plan.slices]
    reach = timedelta(days=_USUAL_DAYS)
    history = {
        hour: record.rows
        for hour, (record, _) in published_landings(
            work.ledger.publications(
                events.TABLE, plan.source.source, slices=(min(hours) - reach, max(hours))
            )
        ).items()
    }
    usual: dict[datetime, float | None] = {}
    for hour in hours:
        past = [
            history[day]
            for n in range(1, _USUAL_DAYS + 1)
            if (day := hour - timedelta(days=n)) in history
        ]
        usual[hour] = statistics.median(past) if len(past) >= _USUAL_LEAST else None
    return usual


def suite_of(work: Work, table: Table) -> Suite:
    """Return the suite of a table."""
    return load_suite(work.settings.expectations, table.name)
