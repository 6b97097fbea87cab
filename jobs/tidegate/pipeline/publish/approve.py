"""Approve: a held slice is published knowingly; who, when and why are kept in `ops/audits`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import HeldError, TidegateError
from tidegate.common.hints import command
from tidegate.common.hours import hour_text, hours_text, parse_hour
from tidegate.common.suggestions import hint
from tidegate.lake import literal, parse_time
from tidegate.lake.ledger import Publication
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.ingest.current import ensure_current
from tidegate.pipeline.publish import approvals
from tidegate.pipeline.publish.audit import Audit, audit_of, audit_plan, suite_of
from tidegate.pipeline.publish.plan import make_plan
from tidegate.pipeline.publish.publish import publish_events
from tidegate.tables import BY_NAME, WAREHOUSE, Table, events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_FORM = "SOURCE/HOUR for events, such as shop/2026-05-01T10, or TABLE/SOURCE, such as sessions/shop"


@dataclass(frozen=True)
class HeldSlice:
    """What is to be approved: an hour of events, or the next publication of a derived table.

    Attributes:
        table: the table.
        source: whose.
        hour: the dump hour; None for derived tables, which are held whole.
    """

    table: Table
    source: str
    hour: datetime | None

    def __str__(self) -> str:
        """Return it as `parse_slice` takes it."""
        if self.hour is None:
            return f"{self.table.name}/{self.source}"
        return f"{self.source}/{hour_text(self.hour)}"


def parse_slice(text: str) -> HeldSlice:
    """Return what a text such as `shop/2026-05-01T10` or `sessions/shop` names.

    Raises:
        TidegateError: it names nothing.
    """
    first, slash, second = text.partition("/")
    derived = [table.name for table in WAREHOUSE if table is not events.TABLE]
    if first in derived and second:
        return HeldSlice(BY_NAME[first], second, None)
    if not slash or not first or not second:
        raise TidegateError("that names no slice", expected=_FORM, got=text, todo=command("held"))
    try:
        return HeldSlice(events.TABLE, first, parse_hour(second))
    except TidegateError as error:
        raise TidegateError(
            "that names no slice",
            expected=_FORM,
            got=text,
            todo=f"tables are {', '.join(derived)}: {hint(first, derived)}",
        ) from error


@dataclass(frozen=True)
class Approved:
    """What came of an approval.

    Attributes:
        slice: what was approved.
        audits: the audits that held it, as they are with the approval.
        publication: what was published; None for derived tables, which the next derive run publishes.
    """

    slice: HeldSlice
    audits: tuple[Audit, ...]
    publication: Publication | None

    def describe(self) -> str:
        """Return it in words: what was approved, and what becomes of it."""
        approved = [
            f"{audit.table} {audit.source} {hours_text(audit.slices)}: {each.describe()}"
            for audit in self.audits
            for each in audit.results
            if each.status == "approved"
        ]
        if self.publication is None:
            came = f"the next derive run publishes {self.slice.table.name} of {self.slice.source}"
        else:
            came = f"publication {self.publication.publication_id}: {self.publication.rows:,} rows"
        return "\n".join([*(approved or [f"{self.slice} passes without an approval"]), came])


def approve(work: Work, source: Source, held: HeldSlice, *, by: str, reason: str) -> Approved:
    """Publish a held slice knowingly.

    Later slices that fail because this hour takes rows from them, or gives them back, are approved with it.
    A derived table is published by the next derive run.

    Args:
        work: where.
        source: whose slice.
        held: the slice.
        by: who approves.
        reason: why.

    Raises:
        TidegateError: there is no reason, or nothing is held there that could be published.
        HeldError: it is held all the same, for something else than what was approved.
    """
    if not reason.strip():
        raise TidegateError(
            "an approval needs a reason",
            expected="a sentence for those who find these rows later",
            got="nothing",
            todo="say why, with --reason",
        )
    work.ledger.refresh()
    if held.hour is None:
        return _approve_derived(work, held, by, reason)
    ensure_current(work, source, [held.hour])
    now = in_force(work, source)
    _refuse_unreadable(work, now, held.hour)
    plan = make_plan(work, now, [held.hour])
    if not plan.slices:
        raise TidegateError(
            f"{held} is not held",
            where="warehouse/events",
            expected="an hour whose latest landing is not published",
            got="it is published as it was landed",
            todo=f"{command('held')} lists what is held",
        )
    audits = audit_plan(work, plan)
    suite = suite_of(work, events.TABLE).fingerprint
    landings = work.ledger.landings_by_id(each.standing.landing_id for each in plan.slices)
    work.lake.append(
        AUDITS,
        [
            row
            for each, audit in zip(plan.slices, audits, strict=True)
            for row in approvals.rows(
                work,
                audit,
                approvals.of_dump(landings[each.standing.landing_id]["fingerprint"]),
                suite,
                by,
                reason,
            )
        ],
    )
    done = publish_events(work, source, [held.hour])
    if done.publication is None:
        raise HeldError(
            f"{held} is held all the same",
            where="warehouse/events (left as it was)",
            expected="to fail as it did when it was approved",
            got="\n    " + "\n    ".join(each.describe() for each in done.held),
            todo="look at what is new, then approve again",
        )
    return Approved(held, tuple(done.audits), done.publication)


def _refuse_unreadable(work: Work, source: Source, hour: datetime) -> None:
    landed = work.ledger.landings(
        source.source, (hour, hour), work.fingerprint(source, events.TABLE)
    ).get(hour)
    if landed is None:
        raise TidegateError(
            f"{source.source} {hour_text(hour)} was never landed",
            expected="an hour that the gate holds",
            todo=f"{command('held')} lists what is held",
        )
    if landed["status"] != "landed":
        raise TidegateError(
            f"{source.source} {hour_text(hour)} can't be approved: its files could not be read whole",
            expected="a candidate that failed its audit",
            got=landed["error"],
            todo="have the files uploaded again, then land the hour again",
        )


def _approve_derived(work: Work, held: HeldSlice, by: str, reason: str) -> Approved:
    latest = _latest_audit(work, held)
    if latest is None or not latest.held:
        raise TidegateError(
            f"{held} is not held",
            where=f"warehouse/{held.table.name}",
            expected="a table whose last candidate failed its audit",
            got="none was audited" if latest is None else "the last one passed",
            todo=f"{command('held')} lists what is held",
        )
    last = work.ledger.last(held.table, held.source)
    subject = approvals.of_publication(last.sequence + 1 if last else 1)
    suite = suite_of(work, held.table).fingerprint
    work.lake.append(AUDITS, approvals.rows(work, latest, subject, suite, by, reason))
    return Approved(held, tuple(approvals.apply(work, [latest], [subject])), None)


def _latest_audit(work: Work, held: HeldSlice) -> Audit | None:
    mine = (
        f"table_name = {literal(held.table.name)} and source = {literal(held.source)} "
        "and coalesce(status, '') <> 'approved'"
    )
    [newest] = work.lake.book(AUDITS, mine, ["max(audited_at) as audited_at"])
    if newest["audited_at"] is None:
        return None
    at = literal(parse_time(newest["audited_at"]))
    return audit_of(work.lake.book(AUDITS, f"{mine} and audited_at = {at}"))
