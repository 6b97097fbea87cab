"""Audit: the suite of a table is run on a candidate, and what it said is written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate import gate
from tidegate.common.errors import HeldError
from tidegate.common.hints import command
from tidegate.common.hours import hour_text, hours_text
from tidegate.config.suites import Entry, Suite, load_suite
from tidegate.lake import Row, Rows, literal, parse_time, table_named
from tidegate.lake.table_refs import Query
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.publish import approvals
from tidegate.pipeline.publish.candidate import Candidate
from tidegate.pipeline.publish.facts import OF_MORE, facts_of
from tidegate.pipeline.publish.history import history
from tidegate.pipeline.publish.plan import Plan, PlannedSlice, make_plan, rows_of
from tidegate.tables import Table, events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Audit:
    """What a suite said of a candidate.

    Attributes:
        audit_id: its id in `ops/audits`.
        table: the table that the candidate is of.
        source: whose rows.
        slices: the candidate's slices.
        results: one an expectation.
        approvals: ids of the approvals without which it would be held.
    """

    audit_id: str
    table: str
    source: str
    slices: tuple[datetime, ...]
    results: tuple[gate.Result, ...]
    approvals: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether the candidate may not be published."""
        return any(each.holds for each in self.results)

    def describe(self) -> str:
        """Return how many expectations were met or have too little history, and those that failed, a line each."""
        head = f"{self.table} {self.source} {hours_text(self.slices)}"
        counts = Counter(each.status for each in self.results)
        parts = []
        if counts["met"]:
            parts.append(f"{counts['met']} of {len(self.results)} expectations met")
        if counts["warming up"]:
            few = "compare with earlier hours, of which there are too few yet (warming up)"
            parts.append(f"{counts['warming up']} {few}")
        lines = [f"{head}: {'; '.join(parts)}"] if parts else []
        lines += [
            f"{head}: {each.severity if each.status == 'failed' else each.status}: {each.describe()}"
            for each in self.results
            if each.status in ("failed", "approved")
        ]
        return "\n".join(lines)


def held_error(audits: Sequence[Audit]) -> HeldError:
    """Return the error that tells of held candidates."""
    held = [each for each in audits if each.held]
    tables = sorted({each.table for each in held})
    first = held[0]
    name = (
        f"{first.source}/{hour_text(first.slices[0])}"
        if first.table == events.TABLE.name
        else f"{first.table}/{first.source}"
    )
    approve = command("approve", name, "--reason", "…", source=first.source)
    return HeldError(
        f"held by the gate: {', '.join(f'{a.source} {hours_text(a.slices)}' for a in held)}",
        where=", ".join(f"warehouse/{table}" for table in tables) + " (left as it was)",
        expected="every critical expectation met",
        got="\n    "
        + "\n    ".join(
            f"{a.table} {a.source} {hours_text(a.slices)}: {each.severity}: {each.describe()}"
            for a in held
            for each in a.results
            if each.holds
        ),
        todo=f"fix the dump or the source file and land the hour again, or publish it knowingly: {approve}; "
        f"{command('held')} lists what waits",
    )


def audit_events(work: Work, source: Source, hours: Sequence[datetime]) -> list[Audit]:
    """Audit what the next publication of some hours would put in.

    Returns:
        One audit a slice, later slices that would lose or regain rows included.
    """
    return audit_plan(work, make_plan(work, in_force(work, source), hours))


def audit_plan(work: Work, plan: Plan) -> list[Audit]:
    """Audit the slices of a plan, approvals taken into account.

    Contents that this suite has seen already are not run again, unless history decides and may say
    something else by now of what it held.
    """
    if not plan.slices:
        return []
    suite = suite_of(work, events.TABLE)
    landings = work.ledger.landings_by_id(each.standing.landing_id for each in plan.slices)
    done = _known(work, plan, suite, landings)
    fresh = [each for each in plan.slices if each.content not in done]
    if fresh:
        hours = hours_text(each.hour for each in fresh)
        work.tell(f"auditing {plan.source.source} {hours}")
        facts, found = judge(
            work,
            plan.source,
            suite.entries_for(plan.source.source),
            fresh,
            lambda slices: rows_of(work, plan, slices),
            landings,
        )
        rows: list[Row] = []
        for each in fresh:
            audit = _audit(suite, plan.source.source, [each.hour], found[each.hour])
            done[each.content] = audit
            rows += audit_rows(work, audit, suite, each.content, facts[each.hour])
        work.lake.append(AUDITS, rows)
    return approvals.apply(
        work,
        [done[each.content] for each in plan.slices],
        [
            approvals.of_dump(landings[each.standing.landing_id]["fingerprint"])
            for each in plan.slices
        ],
    )


Facts = Mapping[str, Any]


def judge(
    work: Work,
    source: Source,
    entries: Sequence[Entry],
    slices: Sequence[PlannedSlice],
    rows: Callable[[Sequence[PlannedSlice]], Query],
    landings: Mapping[str, Row],
    *,
    before: int | None = None,
    versions: Mapping[str, int] | None = None,
) -> tuple[dict[datetime, Facts], dict[datetime, list[gate.Result]]]:
    """Ask entries of a suite of slices of events; nothing is written down.

    Args:
        work: where.
        source: whose slices.
        entries: of the suite of events.
        slices: the slices.
        rows: gives the query of the rows of some of them.
        landings: rows of `ops/landings` by id.
        before: history knows publications with a lower number only; None for all.
        versions: of tables that queries are not to read as they are now.

    Returns:
        The facts of each slice, and the results, by hour.
    """
    query = rows(slices)
    facts = facts_of(work, source, slices, query, landings, before)
    past = history(work, entries, source.source, [each.hour for each in slices], before)
    hours = [each.hour for each in slices]
    with candidate_rows(work, query.select(), query.columns, query.of) as candidate:
        found = gate.audit_slices(
            entries,
            hours,
            facts,
            candidate,
            events.TABLE.slice_time,
            past,
            published(work, source.source, versions),
        )
    return facts, found


@contextmanager
def candidate_rows(
    work: Work, query: str, columns: Mapping[str, str], of: Mapping[str, Rows]
) -> Iterator[gate.Rows]:
    """Yield the rows of a candidate as the gate takes them.

    Args:
        work: where.
        query: of the rows, as `Lake.look` takes it.
        columns: of the rows, with their types.
        of: what the query reads, by name.
    """
    text = work.lake.reader.resolve(query, work.lake.places(of))
    with work.lake.reader.cursor() as own:
        yield gate.Rows(own, text, columns)


def published(work: Work, source: str, versions: Mapping[str, int] | None = None) -> gate.Tables:
    """Return what gives a suite's queries the published rows of a source, as what follows `FROM`.

    Args:
        work: where.
        source: whose rows.
        versions: of tables that are not to be read as they are now.
    """

    def read(name: str) -> str:
        at = work.at(table_named(name), source, (versions or {}).get(name))
        return work.lake.reader.resolve(
            f"(SELECT * FROM {{rows}} WHERE source = {literal(source)})", {"rows": at}
        )

    return read


def audit_candidate(
    work: Work, candidate: Candidate, content: str, facts: Facts, tables: gate.Tables
) -> Audit:
    """Audit a candidate of a derived table as a whole, approvals taken into account.

    Args:
        work: where.
        candidate: the candidate.
        content: what `ops/audits` records its rows under.
        facts: what its suite may use beside its rows.
        tables: what its suite's queries of other tables read.
    """
    suite, rows = suite_of(work, candidate.table), candidate.rows
    source, slices = candidate.source.source, [record.slice for record in candidate.slices]
    with candidate_rows(work, rows.select(), rows.columns, rows.of) as staged:
        results = gate.audit(suite.entries_for(source), staged, facts, tables)
    audit = _audit(suite, source, slices, results)
    work.lake.append(AUDITS, audit_rows(work, audit, suite, content, facts))
    [audit] = approvals.apply(work, [audit], [approvals.of_publication(candidate.sequence)])
    return audit


def _audit(
    suite: Suite, source: str, slices: Sequence[datetime], results: Sequence[gate.Result]
) -> Audit:
    from tidegate.pipeline.context.run_context import new_id

    return Audit(new_id(), suite.table, source, tuple(sorted(slices)), tuple(results))


def audit_rows(work: Work, audit: Audit, suite: Suite, content: str, facts: Facts) -> list[Row]:
    """Return the rows of an audit in `ops/audits`; the first one has the facts."""
    from tidegate.pipeline.context.run_context import now

    at = now()
    rows: list[Row] = [
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
            "status": each.status,
            "metric": each.metric,
        }
        for each in audit.results
    ]
    if rows:
        rows[0]["facts"] = json.dumps(dict(facts))
    return rows


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
    fickle = {
        entry.name for entry in suite.entries if entry.usual or OF_MORE.intersection(entry.columns)
    }
    audits = {
        found[0]["content"]: audit_of(found)
        for found in by_audit.values()
        if len(found) == len(suite.entries_for(plan.source.source))
    }
    return {
        content: audit
        for content, audit in audits.items()
        if not any(each.holds and each.expectation in fickle for each in audit.results)
    }


def audit_of(rows: Sequence[Row]) -> Audit:
    """Return the audit that rows of `ops/audits` tell of."""
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
                row["status"] or ("met" if row["success"] else "failed"),
                row["observed"],
                row["expected"],
                row["why"],
                row["metric"],
            )
            for row in rows
        ),
    )


def suite_of(work: Work, table: Table) -> Suite:
    """Return the suite of a table."""
    return load_suite(work.settings.expectations, table.name)
