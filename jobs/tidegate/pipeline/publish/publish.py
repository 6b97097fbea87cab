"""Publish: one Delta commit that replaces exactly the audited slices, and its row in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate import gate
from tidegate.common.errors import TryAgainError
from tidegate.common.hours import hours_text
from tidegate.lake import Slices, parse_time, slices_where
from tidegate.lake.ledger import Publication, SliceRecord
from tidegate.lake.table_refs import slices as at_slices
from tidegate.pipeline.context import erasures
from tidegate.pipeline.context.effective_config import in_force, record, refuse_outdated
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.ingest.land_again import land_without_dump
from tidegate.pipeline.publish.audit import Audit, audit_plan, audit_rows, suite_of
from tidegate.pipeline.publish.plan import Plan, PlannedSlice, make_plan, rows_of
from tidegate.tables import events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_ATTEMPTS = 10


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


def publish_events(work: Work, asked: Source, hours: Sequence[datetime]) -> Published:
    """Publish the latest landings of some hours, all that pass in one commit.

    An hour that fails its audit stays out, and so does one that would change a later slice so that
    it fails its own. Rows are audited as they are published: when another publication of the
    source comes first, duplicates are looked for again, and what changed is audited again.

    Raises:
        TidegateError: others were faster too often, or other code made what is published.
    """
    gate.preload()  # beside the plan
    work.ledger.refresh()
    waiting = sorted(set(hours))
    held: dict[datetime, tuple[Audit, ...]] = {}
    seen: dict[str, Audit] = {}
    beaten = 0
    while waiting and beaten < _ATTEMPTS:
        with work.stage("plan"):
            refuse_outdated(work, asked)
            source = in_force(work, asked)
            _land_again(work, source, waiting)
            plan = make_plan(work, source, waiting)
        # What only the publication needs is found beside the audits.
        with ThreadPoolExecutor(max_workers=1) as pool:
            event_hours = pool.submit(event_hours_of, work.apart(), plan)
            with work.stage("audit"):
                audits = audit_plan(work, plan)
        seen.update({each.audit_id: each for each in audits})
        failed = [
            (each, audit) for each, audit in zip(plan.slices, audits, strict=True) if audit.held
        ]
        if failed:
            own = {each.hour for each, _ in failed if not each.again}
            blamed = {
                hour: tuple(
                    audit for each, audit in failed if hour in _to_blame(source, plan, each)
                )
                for each, _ in failed
                for hour in _to_blame(source, plan, each)
            }
            waiting = [hour for hour in waiting if hour not in blamed]
            if len(blamed.keys() - own) > 1:
                waiting = _with_innocent(work, source, waiting, blamed.keys() - own)
            stopped = {hour: audits for hour, audits in blamed.items() if hour not in waiting}
            held |= stopped
            _tell_of_later(work, plan, {h: each for h, each in stopped.items() if h not in own})
            continue
        if not plan.slices:
            break
        with work.stage("commit"):
            publication = publish_plan(work, plan, audits, event_hours.result())
        if publication is not None:
            return Published(publication, held, tuple(seen.values()))
        beaten += 1
    if beaten:
        raise beaten_error(asked)
    return Published(None, held, tuple(seen.values()))


def publish_plan(
    work: Work, plan: Plan, audits: Sequence[Audit], event_hours: Sequence[datetime]
) -> Publication | None:
    """Publish a plan that passed its audits; None where another publication, or an erasure, was faster.

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
    work.tell(f"publishing {source.source} {hours_text(s.hour for s in plan.slices)}")
    record(work, source, events.TABLE)
    publication = _publication(work, plan, audits, event_hours)
    own = {name: column.type for name, column in source.columns.items()}
    work.lake.add_columns(events.TABLE, own)
    rows = rows_of(work, plan, plan.slices)
    slices = Slices.of(events.TABLE, source.source, [each.hour for each in plan.slices])
    done = work.ledger.publish(
        events.TABLE, publication, rows.select(), rows.columns, slices, **rows.of
    )
    return publication if done else None


def beaten_error(source: Source) -> TryAgainError:
    """Return the error of one who never came first."""
    return TryAgainError(
        "others published this source faster, again and again",
        where=f"warehouse/events, source {source.source}",
        expected=f"to be first within {_ATTEMPTS} tries",
        todo="run the step again when fewer run at once",
    )


def _land_again(work: Work, source: Source, hours: Sequence[datetime]) -> None:
    """Land hours again that were landed by another configuration only, or before a person was erased."""
    within = (hours[0], hours[-1])
    every = work.ledger.landings(source.source, within)
    mine = work.fingerprint(source, events.TABLE)
    known = every
    if any(row["configuration"] != mine for row in every.values()):
        known = work.ledger.landings(source.source, within, mine)
    unaware = erasures.outdated(work, source, known.values())
    others = [
        hour
        for hour in hours
        if hour in every and (hour not in known or known[hour]["landing_id"] in unaware)
    ]
    if others:
        for each in land(work, source, others):
            gone = each.outcome == "missing" and each.hour in known
            landed = land_without_dump(work, source, each) if gone else each
            work.tell(landed.describe())


def _to_blame(source: Source, plan: Plan, failed: PlannedSlice) -> set[datetime]:
    """Return the hours that are not to be published because of a slice that failed."""
    if not failed.again:
        return {failed.hour}
    return {
        other.hour
        for other in plan.slices
        if not other.again and other.hour < failed.hour <= other.hour + source.duplicates.within
    }


def _tell_of_later(work: Work, plan: Plan, stopped: Mapping[datetime, tuple[Audit, ...]]) -> None:
    """Write down that hours are held which pass themselves: by the later slices that they would spoil."""
    from tidegate.pipeline.context.run_context import new_id

    suite = suite_of(work, events.TABLE)
    rows = []
    for each in plan.slices:
        if each.hour in stopped:
            told = gate.Result(
                "later slices keep passing",
                "critical",
                "failed",
                observed="; ".join(audit.describe() for audit in stopped[each.hour]),
                expected="hours that lose rows to this one, or regain them, to pass their audits",
                why="What is published must go on meeting its suite.",
            )
            audit = Audit(new_id(), events.TABLE.name, plan.source.source, (each.hour,), (told,))
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


def _publication(
    work: Work, plan: Plan, audits: Sequence[Audit], event_hours: Sequence[datetime]
) -> Publication:
    from tidegate.pipeline.context.run_context import new_id, now

    return Publication(
        publication_id=new_id(),
        table_name=events.TABLE.name,
        source=plan.source.source,
        sequence=plan.sequence,
        slices=tuple(
            SliceRecord(each.hour, each.rows, each.standing.landing_id, each.withheld)
            for each in plan.slices
        ),
        rows=sum(each.rows for each in plan.slices),
        event_hours=tuple(event_hours),
        inputs=tuple(each.standing.landing_id for each in plan.slices),
        input_versions={},
        audit_ids=(
            *(each.audit_id for each in audits),
            *sorted({approval for each in audits for approval in each.approvals}),
        ),
        configuration=work.fingerprint(plan.source, events.TABLE),
        code_version=events.TABLE.version,
        suite=suite_of(work, events.TABLE).fingerprint,
        run_id=work.run_id,
        published_at=now(),
    )


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
