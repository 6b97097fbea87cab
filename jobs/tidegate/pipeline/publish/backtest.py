"""Backtest: what a proposed suite would have said of publications, against what did happen.

Each publication's slices are audited as they were published, with the history that there was before it; and
what is held now, as it waits in staging. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from tidegate import gate
from tidegate.common.hours import hours_text
from tidegate.config.suites import Suite
from tidegate.lake import Row, literal, parse_time, slices_where
from tidegate.lake.ledger import Publication, published_landings
from tidegate.lake.table_refs import Query
from tidegate.lake.table_refs import slices as at_slices
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.maintain.promise import kept_from
from tidegate.pipeline.publish.audit import candidate_rows, judge, published
from tidegate.pipeline.publish.plan import PlannedSlice, Standing, make_plan, rows_of
from tidegate.tables import BY_NAME, events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

Verdict = Literal["passed", "warned", "approved", "held"]


@dataclass(frozen=True)
class Retried:
    """A slice, or the slices of a derived publication.

    Attributes:
        source: whose.
        slices: what was, or would be, published together under one audit.
        publication_id: the publication; None for what is held.
        did: what did happen.
        results: what the proposed suite says.
        unknown: names of entries that could not be asked, since nobody wrote the facts down then.
    """

    source: str
    slices: tuple[datetime, ...]
    publication_id: str | None
    did: Verdict
    results: tuple[gate.Result, ...]
    unknown: tuple[str, ...] = ()

    @property
    def would(self) -> Verdict:
        """What would have happened."""
        if any(each.holds for each in self.results):
            return "held"
        warned = any(r.status == "failed" and r.severity == "warning" for r in self.results)
        return "warned" if warned else "passed"

    @property
    def warming(self) -> tuple[str, ...]:
        """Entries that knew too little history."""
        return tuple(each.expectation for each in self.results if each.status == "warming up")

    def describe(self) -> str:
        """Return it in a line, and what fails in one each."""
        head = f"{self.source} {hours_text(self.slices)}: {self.did}, would be {self.would}"
        return "\n".join(
            [
                head,
                *(
                    f"  {each.severity}: {each.describe()}"
                    for each in self.results
                    if each.status == "failed"
                ),
            ]
        )


def backtest(work: Work, suite: Suite, sources: Sequence[Source], last: int) -> Iterator[Retried]:
    """Audit the last publications of a suite's table by it, oldest first, then what is held.

    Args:
        work: where.
        suite: the proposal, without faults (`check.suite_faults`).
        sources: whose publications.
        last: how many, over all sources.
    """
    work.ledger.refresh()
    table = BY_NAME[suite.table]
    known = {source.source: source for source in sources}
    made = [each for each in work.ledger.publications(table) if each.source in known][-last:]
    # An events publication is judged beside the version that it met.
    kept = kept_from(work).get(f"{table.area}/{table.name}", 0)
    gone = [each for each in made if each.delta_version - 1 < kept]
    if gone:
        work.tell(
            f"{len(gone)} of these {len(made)} publications can't be tried any more: versions of "
            f"{table.name} before {kept} were removed in time (TIDEGATE_KEEP_RELEASES)"
        )
        made = made[len(gone) :]
    for each in made:
        work.tell(f"{each.source} {hours_text(s.slice for s in each.slices)}")
        if table is events.TABLE:
            yield from _of_events(work, suite, known[each.source], each)
        elif each.slices:
            yield _of_derived(work, suite, each)
    if table is events.TABLE:
        for source in sources:
            yield from _held(work, suite, source)


def _of_events(work: Work, suite: Suite, source: Source, made: Publication) -> Iterator[Retried]:
    slices = [
        PlannedSlice(
            each.slice,
            Standing(str(each.landing_id), each.rows + each.duplicates),
            each.duplicates,
            "",
            again=False,
        )
        for each in made.slices
    ]

    columns = work.lake.columns(events.TABLE)

    def rows(wanted: Sequence[PlannedSlice]) -> Query:
        hours = [each.hour for each in wanted]
        where = slices_where(events.TABLE, made.source, hours)
        at = work.at(events.TABLE, made.source, made.delta_version, at_slices(events.TABLE, hours))
        return Query(columns, f"{{published}} e WHERE {where}", {"published": at})

    _, found = judge(
        work,
        source,
        suite.entries_for(made.source),
        slices,
        rows,
        work.ledger.landings_by_id(each.standing.landing_id for each in slices),
        before=made.sequence,
        versions={events.TABLE.name: made.delta_version - 1},
    )
    audits = _audits(work, made)
    for each in slices:
        did = _verdict(audits, made.audit_of(each.hour), [each.hour])
        results = tuple(found[each.hour])
        yield Retried(made.source, (each.hour,), made.publication_id, did, results)


def _of_derived(work: Work, suite: Suite, made: Publication) -> Retried:
    table = BY_NAME[suite.table]
    hours = tuple(each.slice for each in made.slices)
    audits = _audits(work, made)
    facts = next((row["facts"] for row in audits if row["facts"]), None)
    entries = suite.entries_for(made.source)
    asked = [each for each in entries if facts is not None or each.of == "rows"]
    where = slices_where(table, made.source, hours)
    at = work.at(table, made.source, made.delta_version)
    with candidate_rows(
        work, f"SELECT * FROM {{rows}} WHERE {where}", table.types, {"rows": at}
    ) as rows:
        results = gate.audit(
            asked,
            rows,
            json.loads(facts or "{}"),
            published(work, made.source, made.input_versions),
        )
    did = _verdict(audits, made.audit_ids[0] if made.audit_ids else None, hours)
    unknown = tuple(each.name for each in entries if each not in asked)
    return Retried(made.source, hours, made.publication_id, did, tuple(results), unknown)


def _held(work: Work, suite: Suite, source: Source) -> Iterator[Retried]:
    """Audit the candidates that are not published."""
    now = in_force(work, source)
    landed = work.ledger.landings(source.source)
    standing = published_landings(work.ledger.publications(events.TABLE, source.source))
    waiting = [
        hour
        for hour, row in landed.items()
        if row["status"] == "landed"
        and (hour not in standing or standing[hour][0].landing_id != row["landing_id"])
    ]
    if not waiting:
        return
    failed = _failed_since(work, source, {hour: landed[hour] for hour in waiting})
    plan = make_plan(work, now, waiting)
    mine = [each for each in plan.slices if each.hour in failed]
    if not mine:
        return
    _, found = judge(
        work,
        source,
        suite.entries_for(source.source),
        mine,
        lambda slices: rows_of(work, plan, slices),
        work.ledger.landings_by_id(each.standing.landing_id for each in mine),
    )
    for each in mine:
        yield Retried(source.source, (each.hour,), None, "held", tuple(found[each.hour]))


def _failed_since(work: Work, source: Source, landed: Mapping[datetime, Row]) -> set[datetime]:
    """Return the hours that failed an audit since they were landed."""
    since = {hour: parse_time(row["landed_at"]) for hour, row in landed.items()}
    rows = work.lake.book(
        AUDITS,
        f"table_name = {literal(events.TABLE.name)} and source = {literal(source.source)} "
        f"and not success and severity = 'critical' and audited_at >= {literal(min(since.values()))}",
        ("slices", "audited_at"),
    )
    return {
        hour
        for row in rows
        for hour in map(parse_time, row["slices"])
        if hour in since and parse_time(row["audited_at"]) >= since[hour]
    }


def _audits(work: Work, made: Publication) -> list[Row]:
    listed = ", ".join(literal(each) for each in made.audit_ids)
    if not listed:
        return []
    return work.lake.book(
        AUDITS, f"table_name = {literal(made.table_name)} and audit_id in ({listed})"
    )


def _verdict(audits: Sequence[Row], audit_id: str | None, hours: Sequence[datetime]) -> Verdict:
    """Return what became of slices of a publication: it was published, so nothing held it."""
    wanted = set(hours)
    if any(
        row["status"] == "approved" and wanted & {parse_time(each) for each in row["slices"]}
        for row in audits
    ):
        return "approved"
    warned = any(
        row["success"] is False and row["severity"] == "warning"
        for row in audits
        if row["audit_id"] == audit_id
    )
    return "warned" if warned else "passed"
