"""Derive: sessions and aggregates follow the ledger.

A run takes the publications of its inputs that it has not consumed, in the order of their commits,
and builds again only what they touch. All inputs are read at one version of `warehouse/events`, so that
what is derived belongs together, whatever lands meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate import gate
from tidegate.common.errors import TryAgainError
from tidegate.common.hours import HOUR, hours_text
from tidegate.gate import Tables
from tidegate.lake import Slices, literal, table_named
from tidegate.lake.ledger import Publication, SliceRecord, sources_in
from tidegate.lake.reader import fill_in
from tidegate.lake.table_refs import At, Within
from tidegate.pipeline.context.effective_config import in_force, is_outdated, outdated_text, record
from tidegate.pipeline.derive import aliases
from tidegate.pipeline.derive.candidates import Candidate, Taken, by_slice, new_place
from tidegate.pipeline.derive.sessions import build_sessions
from tidegate.pipeline.derive.time_ranges import Stretch, fold, happened_in
from tidegate.pipeline.publish import approvals
from tidegate.pipeline.publish.audit import (
    Audit,
    audit_rows,
    candidate_rows,
    published,
    run_suite,
    suite_of,
)
from tidegate.tables import (
    Table,
    daily_activity,
    events,
    hourly_activity,
    session_aliases,
    sessions,
)
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_ATTEMPTS = 5
_AT_ONCE = 2
DERIVED = (sessions.TABLE, hourly_activity.TABLE, daily_activity.TABLE)
"""In the order in which they are built: days are built from sessions too."""


@dataclass(frozen=True)
class Derived:
    """What a derive run came to.

    Attributes:
        publications: what was published, in order.
        held: audits of candidates that were not.
        behind: sources whose derived tables lag behind `version`.
        outdated: what can't be added to, since other code made it: a rebuild has to come first.
        version: the version of `warehouse/events` that the run took.
        waiting: slices of events that were left for the next run.
        audits: all audits.
    """

    publications: tuple[Publication, ...]
    held: tuple[Audit, ...]
    behind: tuple[str, ...]
    version: int
    waiting: int
    audits: tuple[Audit, ...] = field(default=())
    outdated: tuple[str, ...] = ()


def derive(work: Work, sources: Sequence[Source], cap: int | None = None) -> Derived:
    """Bring sessions and aggregates up to what is published of events.

    Args:
        work: where.
        sources: the sources known; others that the lake holds are left as they are.
        cap: slices of events to take at most, whole publications; the rest waits for the next run.

    Returns:
        What was published, held and left.
    """
    gate.preload()  # beside the queries
    known = {source.source: source for source in sources}
    with work.stage("look up publications"):
        work.ledger.refresh()
        reached = consumed(work, known)
        fresh = waiting(work, reached)
        taken, left = _upto(fresh, cap)
        version = max(
            (each.delta_version for each in taken), default=max(reached.values(), default=-1)
        )
        unfollowed = {name for name in known if lagging(work, name, sessions.TABLE)}
    names = sorted(unfollowed.union(sources_in(taken)))
    for name in names:
        work.tell(f"deriving {name} from {sum(p.source == name for p in taken)} publications")
    # Sources have no slice in common, and Spark plans with one core each.
    with work.ledger.rows_beside(), ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        each_came_to = list(
            pool.map(lambda name: _derive_source(work.apart(), known[name], version), names)
        )
    audits = [audit for came_to in each_came_to for audit in came_to.audits]
    return Derived(
        tuple(made for came_to in each_came_to for made in came_to.publications),
        tuple(each for each in audits if each.held),
        tuple(name for name, came_to in zip(names, each_came_to, strict=True) if came_to.stopped),
        version,
        sum(len(each.slices) for each in left),
        tuple(audits),
        _outdated(work, sources),
    )


@dataclass(frozen=True)
class _CameTo:
    """What became of one source; stopped, if some of its tables were not brought up."""

    publications: tuple[Publication, ...]
    audits: tuple[Audit, ...]
    stopped: bool

    def then(self, other: _CameTo) -> _CameTo:
        """Return it with what came next."""
        return _CameTo(
            (*self.publications, *other.publications),
            (*self.audits, *other.audits),
            self.stopped or other.stopped,
        )


def _derive_source(work: Work, source: Source, version: int) -> _CameTo:
    """Bring the tables of one source up to a version of events; `work` is this thread's own."""
    # Spark plans on one core: what does not wait for one another is brought up side by side.
    with ThreadPoolExecutor(max_workers=1) as pool:
        hourly = pool.submit(_bring_up, work.apart(), hourly_activity.TABLE, source, version)
        came_to = _bring_up(work, sessions.TABLE, source, version)
        if came_to.stopped:  # what would be built on it waits with it
            return came_to.then(hourly.result())
        daily = pool.submit(_days_after, hourly, work.apart(), source, version)
        followed = _follow(work, in_force(work, source))
        return came_to.then(hourly.result()).then(daily.result()).then(followed)


def _days_after(hourly: Future[_CameTo], work: Work, source: Source, version: int) -> _CameTo:
    """Bring days up, unless hours were not: the two tell of the same events."""
    if hourly.result().stopped:
        return _CameTo((), (), stopped=True)
    return _bring_up(work, daily_activity.TABLE, source, version)


def _bring_up(work: Work, table: Table, source: Source, version: int) -> _CameTo:
    """Bring one table of a source up to a version of events."""
    if is_outdated(work, source, table):
        return _CameTo((), (), stopped=True)
    publication, audit = _derive_table(work, table, source, version)
    return _CameTo(
        (publication,) if publication is not None else (),
        (audit,) if audit is not None else (),
        stopped=audit is not None and audit.held,
    )


def standing(work: Work, sources: Sequence[Source]) -> Derived:
    """Return where the derived tables stand, as a run that had nothing to do would.

    Sources whose tables have consumed less than others stand behind.
    """
    work.ledger.refresh()
    reached = consumed(work, [source.source for source in sources])
    version = max(
        (
            last.input_versions[events.TABLE.name]
            for source in sources
            for table in DERIVED
            if (last := work.ledger.last(table, source.source)) is not None
        ),
        default=-1,
    )
    behind = tuple(
        sorted(
            name
            for name, upto in reached.items()
            if lagging(work, name, sessions.TABLE)
            or work.ledger.publications(
                events.TABLE, name, after_version=upto, upto_version=version
            )
        )
    )
    return Derived((), (), behind, version, 0, (), _outdated(work, sources))


def _outdated(work: Work, sources: Sequence[Source]) -> tuple[str, ...]:
    """Return what to say of derived tables that other code made."""
    return tuple(
        outdated_text(work, source, table)
        for source in sources
        for table in DERIVED
        if is_outdated(work, source, table)
    )


def waiting(work: Work, reached: Mapping[str, int]) -> list[Publication]:
    """Return the publications of events that derived tables have not consumed, by what `consumed` said."""
    return [
        each
        for each in work.ledger.publications(
            events.TABLE, after_version=min(reached.values(), default=-1)
        )
        if each.source in reached and each.delta_version > reached[each.source]
    ]


def consumed(work: Work, names: Iterable[str]) -> dict[str, int]:
    """Return by source the version of events up to which every derived table has consumed it."""
    out: dict[str, int] = {}
    for name in names:
        versions = []
        for table in DERIVED:
            last = work.ledger.last(table, name)
            versions.append(last.input_versions[events.TABLE.name] if last else -1)
        out[name] = min(versions)
    return out


def lagging(work: Work, source: str, of: Table) -> list[str]:
    """Return the tables that have not followed the last publication of events, or of sessions, of a source.

    Of sessions that is so where they were rebuilt, or where a run was killed between the two.
    """
    made = work.ledger.last(of, source)
    if made is None:
        return []
    built_from = DERIVED if of is events.TABLE else (daily_activity.TABLE,)
    late = [
        table.name
        for table in built_from
        if (last := work.ledger.last(table, source)) is None
        or last.input_versions[of.name] < made.delta_version
    ]
    if of is sessions.TABLE and aliases.pending(work, source):
        late.append(session_aliases.TABLE.name)
    return late


def _upto(
    fresh: Sequence[Publication], cap: int | None
) -> tuple[list[Publication], list[Publication]]:
    """Split publications, in order of their commits, where the cap is reached; one is always taken."""
    taken: list[Publication] = []
    slices = 0
    for each in fresh:
        if cap is not None and taken and slices + len(each.slices) > cap:
            break
        taken.append(each)
        slices += len(each.slices)
    return taken, list(fresh[len(taken) :])


def _derive_table(
    work: Work, table: Table, source: Source, version: int
) -> tuple[Publication | None, Audit | None]:
    """Build, audit and publish what a source's unconsumed publications change in one table."""
    for _ in range(_ATTEMPTS):
        taken = take(work, table, in_force(work, source), version)
        if not taken.publications:
            return None, None
        publication, audit = build_and_publish(work, table, taken)
        if audit.held or publication is not None:
            return publication, audit
    raise beaten_error(table, source)


def build_and_publish(work: Work, table: Table, taken: Taken) -> tuple[Publication | None, Audit]:
    """Build of a derived table what was taken, audit and publish it.

    Returns:
        The publication, None where it is held or where another one was faster; and the audit.
    """
    build = {
        sessions.TABLE: build_sessions,
        hourly_activity.TABLE: _hourly,
        daily_activity.TABLE: _daily,
    }[table]
    with work.stage(f"build {table.name}"):
        candidate = build(work, taken)
    return publish_candidate(work, candidate, taken)


def _follow(work: Work, source: Source) -> _CameTo:
    """Bring the aliases of sessions up to the sessions published, one publication of those at a time."""
    table = session_aliases.TABLE
    made: list[Publication] = []
    audits: list[Audit] = []
    beaten = 0
    while beaten < _ATTEMPTS:
        changes = aliases.pending(work, source.source)
        if not changes:
            break
        change = changes[0]
        inputs = {
            events.TABLE.name: change.input_versions[events.TABLE.name],
            sessions.TABLE.name: change.delta_version,
        }
        last = work.ledger.last(table, source.source)
        with work.stage(f"build {table.name}"):
            candidate = aliases.build_aliases(work, source, change)
        publication, audit = publish_candidate(
            work, candidate, Taken(source, inputs, (change,), last)
        )
        audits.append(audit)
        if audit.held:
            return _CameTo(tuple(made), tuple(audits), stopped=True)
        if publication is None:
            beaten += 1
        else:
            made.append(publication)
    else:
        raise beaten_error(table, source)
    return _CameTo(tuple(made), tuple(audits), stopped=False)


def beaten_error(table: Table, source: Source) -> TryAgainError:
    """Return the error of one who never came first."""
    return TryAgainError(
        f"another run published {table.name} of {source.source} faster, again and again",
        where=f"warehouse/{table.name}",
        expected="one derive run at a time",
        todo="let the other one finish, then run derive again",
    )


def publish_candidate(
    work: Work, candidate: Candidate, taken: Taken
) -> tuple[Publication | None, Audit]:
    """Audit a candidate and publish it; no publication where it is held, or where another was faster."""
    table, source = candidate.table, taken.source
    with work.stage(f"audit {table.name}"):
        audit = _audit(work, candidate, taken)
    if audit.held:
        return None, audit
    record(work, source, table)
    publication = _publication(work, candidate, taken, audit)
    if taken.whole:
        slices = Slices.whole_source(source.source)
    elif candidate.slices:
        slices = Slices.of(table, source.source, candidate.slices)
    else:
        slices = Slices.none(table)
    work.tell(f"publishing {table.name} of {source.source}: {len(candidate.slices)} slices")
    with work.stage(f"commit {table.name}"):
        done = work.ledger.publish(
            table,
            publication,
            "SELECT * FROM {rows}",
            table.types,
            slices,
            rows=candidate.place,
        )
    return (publication if done else None), audit


def take(
    work: Work,
    table: Table,
    source: Source,
    version: int,
    *,
    whole: bool = False,
    again: tuple[datetime, datetime] | None = None,
) -> Taken:
    """Return the publications of a table's inputs that it has not consumed.

    Args:
        work: where.
        table: the derived table.
        source: whose, by the configuration to build by.
        version: of events, up to which they are taken.
        whole: whether all is to be built again, whatever was taken.
        again: publications of these dump hours, the first to the last, are taken once more.
    """
    last = work.ledger.last(table, source.source)
    done = last.input_versions if last else {}
    found = work.ledger.publications(
        events.TABLE,
        source.source,
        after_version=done.get(events.TABLE.name, -1),
        upto_version=version,
    )
    inputs = {events.TABLE.name: version}
    if table is daily_activity.TABLE:
        name = sessions.TABLE.name
        built = work.ledger.publications(
            sessions.TABLE, source.source, after_version=done.get(name, -1)
        )
        # Not the version that the table has by now: what came since was not taken.
        inputs[name] = built[-1].delta_version if built else done.get(name, 0)
        found += built
    if again is not None:
        known = {each.publication_id for each in found}
        found += [
            each
            for each in work.ledger.publications(events.TABLE, source.source, upto_version=version)
            if each.publication_id not in known
            and any(again[0] <= part.slice <= again[1] for part in each.slices)
        ]
    return Taken(source, inputs, tuple(found), last, whole)


# -- aggregates -------------------------------------------------------------------------------------


def _hourly(work: Work, taken: Taken) -> Candidate:
    touched = {hour for each in taken.publications for hour in each.event_hours}
    hours = sorted(_every(work, hourly_activity.TABLE, taken) if taken.whole else touched)
    stretches = fold((hour, hour + HOUR) for hour in hours)
    happened = "true" if taken.whole else happened_in(stretches)
    place = new_place(work, hourly_activity.TABLE, taken.source.source)
    work.lake.build(
        fill_in(hourly_activity.QUERY, {"events": _published_in(taken.source, happened)}),
        place,
        hourly_activity.TABLE.types,
        published=_at(work, events.TABLE, taken, stretches),
    )
    found = by_slice(work, hourly_activity.TABLE, place, events="sum(events)")
    read = _count(work, events.TABLE, taken, happened, stretches)
    counted = sum(each["events"] for each in found.values())
    counts = {hour: each["n"] for hour, each in found.items()}
    return Candidate(
        hourly_activity.TABLE,
        place,
        {hour: counts.get(hour, 0) for hour in hours},
        {
            "rows": sum(counts.values()),
            "events_read": read,
            "events_counted": counted,
            "unaccounted": abs(read - counted),
        },
    )


def _daily(work: Work, taken: Taken) -> Candidate:
    touched = {
        time
        for each in taken.publications
        for time in (
            each.event_hours
            if each.table_name == events.TABLE.name
            else [s.slice for s in each.slices]
        )
    }
    times = _every(work, daily_activity.TABLE, taken) if taken.whole else touched
    days = sorted({_day(time) for time in times})
    stretches = fold((day, day + timedelta(days=1)) for day in days)
    happened = "true" if taken.whole else happened_in(stretches)
    started = f"start_date in ({', '.join(literal(day.date()) for day in days) or 'null'})"
    place = new_place(work, daily_activity.TABLE, taken.source.source)
    of = {
        "events": _published_in(taken.source, happened),
        "sessions": _published_in(taken.source, started, "built"),
    }
    work.lake.build(
        fill_in(daily_activity.QUERY, of),
        place,
        daily_activity.TABLE.types,
        published=_at(work, events.TABLE, taken, stretches),
        built=_at(work, sessions.TABLE, taken, stretches),
    )
    found = by_slice(
        work, daily_activity.TABLE, place, events="sum(events)", sessions="sum(sessions)"
    )
    read = _count(work, events.TABLE, taken, happened, stretches)
    counted = sum(each["events"] for each in found.values())
    sessions_read = _count(work, sessions.TABLE, taken, started, stretches)
    sessions_counted = sum(each["sessions"] for each in found.values())
    counts = {day: each["n"] for day, each in found.items()}
    return Candidate(
        daily_activity.TABLE,
        place,
        {day: counts.get(day, 0) for day in days},
        {
            "rows": sum(counts.values()),
            "events_read": read,
            "events_counted": counted,
            "sessions_read": sessions_read,
            "sessions_counted": sessions_counted,
            "unaccounted": abs(read - counted) + abs(sessions_read - sessions_counted),
        },
    )


def _every(work: Work, table: Table, taken: Taken) -> set[datetime]:
    """Return all hours with events, and the slices that the table has now."""
    name = taken.source.source
    mine = f"source = {literal(name)}"
    rows = work.lake.look(
        "SELECT DISTINCT epoch_us(event_time) // 3600000000 AS h "
        f"FROM {{events}} WHERE {mine} UNION SELECT DISTINCT "
        f"epoch_us(CAST({table.slice_time} AS TIMESTAMPTZ)) // 3600000000 AS h FROM {{there}} WHERE {mine}",
        events=work.at(events.TABLE, name, taken.version),
        there=work.at(table, name),
    )
    return {datetime.fromtimestamp(row["h"] * 3600, UTC) for row in rows}


def _count(work: Work, table: Table, taken: Taken, where: str, stretches: Sequence[Stretch]) -> int:
    """Return how many rows of a source a table had that was taken, of those that begin in the stretches."""
    [found] = work.lake.look(
        f"SELECT count(*) AS n FROM {_published_in(taken.source, where, 'rows')} r",
        rows=_at(work, table, taken, stretches),
    )
    return int(found["n"])


def _at(work: Work, table: Table, taken: Taken, stretches: Sequence[Stretch]) -> At:
    """Return a table as it was taken, of rows that begin in the stretches; others may be there too."""
    begin = "session_start" if table is sessions.TABLE else "event_time"
    within = None if taken.whole else Within(begin, begin, tuple(stretches))
    return work.at(table, taken.source.source, taken.inputs[table.name], within)


def _published_in(source: Source, where: str, rows: str = "published") -> str:
    """Return what stands after FROM for some rows of a source."""
    return f"(SELECT * FROM {{{rows}}} WHERE source = {literal(source.source)} AND ({where}))"


# -- auditing and publishing ------------------------------------------------------------------------


def _audit(work: Work, candidate: Candidate, taken: Taken) -> Audit:
    suite = suite_of(work, candidate.table)
    with candidate_rows(
        work, "SELECT * FROM {rows}", candidate.table.types, {"rows": candidate.place}
    ) as rows:
        audit = run_suite(
            suite,
            rows,
            candidate.facts,
            source=taken.source.source,
            slices=list(candidate.slices),
            tables=_beside(work, candidate.table, taken),
        )
    content = candidate.place.rsplit("/", 2)[-1]
    work.lake.append(AUDITS, audit_rows(work, audit, suite, content, candidate.facts))
    [audit] = approvals.apply(work, [audit], [approvals.of_publication(taken.sequence)])
    return audit


def _beside(work: Work, table: Table, taken: Taken) -> Tables:
    """Return what gives a suite's queries other tables as they were at the version of events taken."""

    def read(name: str) -> str:
        versions = dict(taken.inputs)
        other = table_named(name)
        if other is not table and name not in versions:
            followed = [
                each.delta_version
                for each in work.ledger.publications(other, taken.source.source)
                if each.input_versions[events.TABLE.name] <= taken.version
            ]
            versions |= {name: max(followed)} if followed else {}
        return published(work, taken.source.source, versions)(name)

    return read


def _publication(work: Work, candidate: Candidate, taken: Taken, audit: Audit) -> Publication:
    from tidegate.pipeline.context.run_context import new_id, now

    return Publication(
        publication_id=new_id(),
        table_name=candidate.table.name,
        source=taken.source.source,
        sequence=taken.sequence,
        slices=tuple(SliceRecord(each, rows) for each, rows in candidate.slices.items()),
        rows=int(candidate.facts["rows"]),
        event_hours=(),
        inputs=tuple(each.publication_id for each in taken.publications),
        input_versions=dict(taken.inputs),
        audit_ids=(audit.audit_id, *audit.approvals),
        configuration=work.fingerprint(taken.source, candidate.table),
        code_version=candidate.table.version,
        suite=suite_of(work, candidate.table).fingerprint,
        run_id=work.run_id,
        published_at=now(),
        renames=candidate.renames,
    )


def _day(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def describe(derived: Derived) -> str:
    """Return what a derive run did, one line a table."""
    lines = [
        f"{each.table_name} {each.source}: {each.rows:,} rows in {len(each.slices)} slices "
        f"({hours_text(s.slice for s in each.slices)})"
        for each in derived.publications
    ]
    return "\n".join(lines) or "nothing to derive"
