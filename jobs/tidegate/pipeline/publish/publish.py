"""Publish events: the landings of some hours that pass their audits, in one commit.

Nothing is landed here; see `tidegate.pipeline.ingest.current`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate import gate
from tidegate.common.errors import TryAgainError
from tidegate.common.hours import hours_text
from tidegate.lake import parse_time, slices_where
from tidegate.lake.ledger import Publication, SliceRecord
from tidegate.lake.table_refs import slices as at_slices
from tidegate.pipeline.context import erasures
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.context.effective_config import in_force, refuse_outdated
from tidegate.pipeline.ingest.current import not_current
from tidegate.pipeline.publish.audit import Audit, audit_plan, audit_rows, suite_of
from tidegate.pipeline.publish.candidate import Candidate
from tidegate.pipeline.publish.commit import commit
from tidegate.pipeline.publish.plan import Plan, PlannedSlice, make_plan, rows_of
from tidegate.tables import events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Published:
    """What a publication came to.

    Attributes:
        publication: what was committed; None where nothing was to be published.
        held_hours: the hours that were left out, and the audits that speak against them: their own,
            or those of later slices that they would spoil.
        audits: all audits.
    """

    publication: Publication | None
    held_hours: Mapping[datetime, tuple[Audit, ...]]
    audits: tuple[Audit, ...]

    @property
    def held(self) -> tuple[Audit, ...]:
        """Audits of candidates that were not published."""
        every = {each.audit_id: each for found in self.held_hours.values() for each in found}
        return tuple(every.values())


def publish_events(work: Work, source: Source, hours: Sequence[datetime]) -> Published:
    """Publish the latest landings of some hours, all that pass in one commit.

    An hour that fails its audit stays out, and so does one that would change a later slice so that
    it fails its own. Rows are audited as they are published: when another publication of the
    source comes first, duplicates are looked for again, and what changed is audited again.

    Args:
        work: where.
        source: whose, as its file says.
        hours: dump hours whose landings are current; see `ensure_current`.

    Raises:
        TryAgainError: other publications came first too often, or an hour has to be landed again.
        TidegateError: other code made what is published.
    """
    gate.preload()  # beside the plan
    work.ledger.refresh()
    waiting = sorted(set(hours))
    held: dict[datetime, tuple[Audit, ...]] = {}
    seen: dict[str, Audit] = {}

    def attempt() -> Published | None:
        nonlocal waiting
        while waiting:
            with work.stage("plan"):
                plan = _plan(work, source, waiting)
            # What only the publication needs is found beside the audits.
            with ThreadPoolExecutor(max_workers=1) as pool:
                event_hours = pool.submit(event_hours_of, work.apart(), plan)
                with work.stage("audit"):
                    audits = audit_plan(work, plan)
            seen.update({audit.audit_id: audit for audit in audits})
            if any(audit.held for audit in audits):
                # Also where no hour is to blame in the end, nothing of this plan is published: it is audited again.
                stopped = _stopped(work, plan, audits, waiting)
                waiting = [hour for hour in waiting if hour not in stopped]
                held.update(stopped)
                continue
            if not plan.slices:
                break
            publication = publish_plan(work, plan, audits, event_hours.result())
            if publication is None:
                return None
            return Published(publication, held, tuple(seen.values()))
        return Published(None, held, tuple(seen.values()))

    return until_first(f"events of {source.source}", attempt)


def _plan(work: Work, source: Source, hours: Sequence[datetime]) -> Plan:
    """Return the plan of some hours by the configuration in force.

    Raises:
        TryAgainError: an hour was landed by another configuration, or before a person was erased.
    """
    refuse_outdated(work, source)
    effective = in_force(work, source)
    if others := not_current(work, effective, hours):
        raise TryAgainError(
            f"{hours_text(others)} of {source.source} has to be landed again",
            where="warehouse/events (left as it was)",
            expected="landings by the configuration in force, made after the last erasure",
            got="the configuration in force has changed, or a person was erased, while the step ran",
            todo="run the step again: it lands these hours first",
        )
    return make_plan(work, effective, hours)


def _stopped(
    work: Work, plan: Plan, audits: Sequence[Audit], waiting: Sequence[datetime]
) -> dict[datetime, tuple[Audit, ...]]:
    """Return the hours that may not be published, with the audits that hold them: their own, or those of later slices.

    That later slices hold an hour is recorded in `ops/audits`.
    """
    failed = [(part, audit) for part, audit in zip(plan.slices, audits, strict=True) if audit.held]
    blamed = {
        hour: tuple(audit for part, audit in failed if hour in _to_blame(plan, part))
        for part, _ in failed
        for hour in _to_blame(plan, part)
    }
    own = {part.hour for part, _ in failed if not part.again}
    free: Sequence[datetime] = ()
    if len(blamed.keys() - own) > 1:
        others = [hour for hour in waiting if hour not in blamed]
        free = _with_innocent(work, plan.source, others, blamed.keys() - own)
    stopped = {hour: found for hour, found in blamed.items() if hour not in free}
    _record_later(work, plan, {hour: found for hour, found in stopped.items() if hour not in own})
    return stopped


def publish_plan(
    work: Work, plan: Plan, audits: Sequence[Audit], event_hours: Sequence[datetime]
) -> Publication | None:
    """Publish a plan that passed its audits; None where another publication, or an erasure, came first.

    Args:
        work: where.
        plan: the plan.
        audits: of its slices.
        event_hours: what `event_hours_of` says of it.
    """
    source = plan.source
    if erasures.erased_from(work, source.source) is not None:
        landings = work.ledger.landings_by_id(each.standing.landing_id for each in plan.slices)
        if erasures.outdated(work, source, landings.values()):
            return None
    candidate = Candidate(
        table=events.TABLE,
        source=source,
        sequence=plan.sequence,
        slices=tuple(
            SliceRecord(part.hour, part.rows, part.standing.landing_id, part.withheld)
            for part in plan.slices
        ),
        rows=rows_of(work, plan, plan.slices),
        inputs=tuple(part.standing.landing_id for part in plan.slices),
        input_versions={},
        event_hours=tuple(event_hours),
    )
    return commit(work, candidate, audits)


def _to_blame(plan: Plan, failed: PlannedSlice) -> set[datetime]:
    """Return the hours that are not to be published because of a slice that failed."""
    if not failed.again:
        return {failed.hour}
    return {
        other.hour
        for other in plan.slices
        if not other.again
        and other.hour < failed.hour <= other.hour + plan.source.duplicates.within
    }


def _record_later(work: Work, plan: Plan, stopped: Mapping[datetime, tuple[Audit, ...]]) -> None:
    """Record that hours are held which pass themselves: by the later slices that would fail."""
    from tidegate.pipeline.context.run_context import new_id

    suite = suite_of(work, events.TABLE)
    rows = []
    for each in plan.slices:
        if each.hour in stopped:
            result = gate.Result(
                "later slices keep passing",
                "critical",
                "failed",
                observed="; ".join(audit.describe() for audit in stopped[each.hour]),
                expected="hours that lose rows to this one, or regain them, to pass their audits",
                why="What is published must go on meeting its suite.",
            )
            audit = Audit(new_id(), events.TABLE.name, plan.source.source, (each.hour,), (result,))
            rows += audit_rows(work, audit, suite, f"later/{each.content}", {})
    work.lake.append(AUDITS, rows)


def _with_innocent(
    work: Work, source: Source, waiting: Sequence[datetime], blamed: Set[datetime]
) -> list[datetime]:
    """Return the waiting hours, and of the blamed ones those that spoil nothing after all.

    Which of several hours takes from a later slice what it can't spare is found by trying.
    """
    kept = list(waiting)
    for hour in sorted(blamed):
        audits = audit_plan(work, make_plan(work, source, [*kept, hour]))
        if not any(audit.held for audit in audits):
            kept.append(hour)
    return sorted(kept)


def event_hours_of(work: Work, plan: Plan) -> tuple[datetime, ...]:
    """Return the hours of the events that the plan puts in and of those that it takes out."""
    if not plan.slices:
        return ()
    name, slices = plan.source.source, [each.hour for each in plan.slices]
    coming = rows_of(work, plan, plan.slices)
    going = f"SELECT event_time FROM {{published}} WHERE {slices_where(events.TABLE, name, slices)}"
    # In whole microseconds: to truncate a time by its calendar takes ten times as long.
    floor = "epoch_us(event_time) - ((epoch_us(event_time) % 3600000000) + 3600000000) % 3600000000"
    hours = work.lake.look(
        f"SELECT make_timestamptz(us) AS hour FROM (SELECT DISTINCT {floor} AS us "
        f"FROM ({coming.select('event_time')} UNION ALL {going}) t) h",
        published=work.at(events.TABLE, name, within=at_slices(events.TABLE, slices)),
        **coming.of,
    )
    return tuple(sorted(parse_time(row["hour"]) for row in hours))
