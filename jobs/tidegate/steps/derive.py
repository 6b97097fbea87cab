"""Derive: sessions and aggregates follow the ledger.

A run takes the publications of its inputs that it has not consumed, in the order of their commits,
and builds again only what they touch. All inputs are read at one version of `warehouse/events`, so that
what is derived belongs together, whatever lands meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate import engine
from tidegate.errors import TidegateError
from tidegate.hours import HOUR, hours_text
from tidegate.lake import Row, literal, parse_time, slices_where
from tidegate.ledger import Publication, SliceRecord, sources_in
from tidegate.steps.audit import Audit, audit_rows, run_suite, suite_of
from tidegate.tables import Table, daily_activity, events, hourly_activity, sessions
from tidegate.tables.books import AUDITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_ATTEMPTS = 5
_AT_ONCE = 2
_DERIVED = (sessions.TABLE, hourly_activity.TABLE, daily_activity.TABLE)
"""In the order in which they are built: days are built from sessions too."""


@dataclass(frozen=True)
class Derived:
    """What a derive run came to.

    Attributes:
        publications: what was published, in order.
        held: audits of candidates that were not.
        behind: sources whose derived tables lag behind `version`.
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


@dataclass(frozen=True)
class _Candidate:
    """The staged new content of some slices of a derived table: rows by slice, those without included."""

    table: Table
    place: str
    slices: Mapping[datetime, int]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Taken:
    """What a derived table has not consumed of a source."""

    source: Source
    version: int
    publications: tuple[Publication, ...]
    last: Publication | None

    @property
    def sequence(self) -> int:
        """The number that the next publication has."""
        return self.last.sequence + 1 if self.last else 1


def derive(work: Work, sources: Sequence[Source], cap: int | None = None) -> Derived:
    """Bring sessions and aggregates up to what is published of events.

    Args:
        work: where.
        sources: the sources known; others that the lake holds are left as they are.
        cap: slices of events to take at most, whole publications; the rest waits for the next run.

    Returns:
        What was published, held and left.
    """
    work.ledger.refresh()
    known = {source.source: source for source in sources}
    consumed = _consumed(work, known)
    fresh = [
        each
        for each in work.ledger.publications(
            events.TABLE, after_version=min(consumed.values(), default=-1)
        )
        if each.source in known and each.delta_version > consumed[each.source]
    ]
    taken, left = _upto(fresh, cap)
    version = max(
        (each.delta_version for each in taken), default=max(consumed.values(), default=-1)
    )
    engine.fit(work.lake.spark, sum(each.rows for each in taken))
    names = sources_in(taken)
    for name in names:
        work.tell(f"deriving {name} from {sum(p.source == name for p in taken)} publications")
    # Sources have no slice in common, and Spark plans with one core each.
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        each_came_to = list(
            pool.map(lambda name: _derive_source(replace(work), known[name], version), names)
        )
    audits = [audit for came_to in each_came_to for audit in came_to.audits]
    return Derived(
        tuple(made for came_to in each_came_to for made in came_to.publications),
        tuple(each for each in audits if each.held),
        tuple(
            name
            for name, came_to in zip(names, each_came_to, strict=True)
            if any(each.held for each in came_to.audits)
        ),
        version,
        sum(len(each.slices) for each in left),
        tuple(audits),
    )


@dataclass(frozen=True)
class _CameTo:
    """What became of one source."""

    publications: tuple[Publication, ...]
    audits: tuple[Audit, ...]


def _derive_source(work: Work, source: Source, version: int) -> _CameTo:
    """Bring the tables of one source up to a version of events; `work` is this thread's own."""
    made: list[Publication] = []
    audits: list[Audit] = []
    for table in _DERIVED:
        publication, audit = _derive_table(work, table, source, version)
        if audit is not None:
            audits.append(audit)
        if publication is not None:
            made.append(publication)
        if audit is not None and audit.held:
            break  # what would be built on it waits with it
    return _CameTo(tuple(made), tuple(audits))


def standing(work: Work, sources: Sequence[Source]) -> Derived:
    """Return where the derived tables stand, as a run that had nothing to do would.

    Sources whose tables have consumed less than others stand behind.
    """
    work.ledger.refresh()
    consumed = _consumed(work, {source.source: source for source in sources})
    version = max(
        (
            last.input_versions[events.TABLE.name]
            for source in sources
            for table in _DERIVED
            if (last := work.ledger.last(table, source.source)) is not None
        ),
        default=-1,
    )
    behind = tuple(
        sorted(
            name
            for name, reached in consumed.items()
            if any(
                each.delta_version <= version
                for each in work.ledger.publications(events.TABLE, name, after_version=reached)
            )
        )
    )
    return Derived((), (), behind, version, 0)


def _consumed(work: Work, known: Mapping[str, Source]) -> dict[str, int]:
    """Return by source the version of events up to which every derived table has consumed it."""
    out: dict[str, int] = {}
    for name in known:
        versions = []
        for table in _DERIVED:
            last = work.ledger.last(table, name)
            versions.append(last.input_versions[events.TABLE.name] if last else -1)
        out[name] = min(versions)
    return out


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
        last = work.ledger.last(table, source.source)
        taken = _take(work, table, source, version, last)
        inputs = {events.TABLE.name: version}
        if not taken.publications:
            return None, None
        if table is sessions.TABLE:
            candidate = _sessions(work, taken)
        elif table is hourly_activity.TABLE:
            candidate = _hourly(work, taken)
        else:
            inputs[sessions.TABLE.name] = work.lake.version(sessions.TABLE)
            candidate = _daily(work, taken, inputs[sessions.TABLE.name])
        audit = _audit(work, candidate, source)
        if audit.held:
            return None, audit
        publication = _publication(work, candidate, taken, inputs, audit)
        rows = work.lake.staged(candidate.place, schema=table.ddl)
        if candidate.slices:
            where = slices_where(table, source.source, list(candidate.slices))
        else:
            where = f"source = {literal(source.source)} and false"
        work.tell(f"publishing {table.name} of {source.source}: {len(candidate.slices)} slices")
        if work.ledger.publish(table, publication, _shaped(rows, table, candidate), where):
            return publication, audit
    raise TidegateError(
        f"another run published {table.name} of {source.source} faster, again and again",
        where=f"warehouse/{table.name}",
        expected="one derive run at a time",
        todo="let the other one finish, then run derive again",
    )


def _take(
    work: Work, table: Table, source: Source, version: int, last: Publication | None
) -> _Taken:
    """Return the publications of a table's inputs that it has not consumed, up to `version`."""
    done = last.input_versions if last else {}
    found = [
        each
        for each in work.ledger.publications(
            events.TABLE, source.source, after_version=done.get(events.TABLE.name, -1)
        )
        if each.delta_version <= version
    ]
    if table is daily_activity.TABLE:
        found += work.ledger.publications(
            sessions.TABLE, source.source, after_version=done.get(sessions.TABLE.name, -1)
        )
    return _Taken(source, version, tuple(found), last)


# -- sessions ---------------------------------------------------------------------------------------


def _sessions(work: Work, taken: _Taken) -> _Candidate:
    source, name = taken.source, taken.source.source
    rules = sessions.Rules(gap=source.sessions.gap, max=source.sessions.max)
    place = _place(work, sessions.TABLE, name)
    published = work.lake.read(events.TABLE, taken.version).where(
        f"source = {literal(name)} and user_key is not null"
    )
    changed_hours = sorted({s.slice for p in taken.publications for s in p.slices})
    changed = published.where(_in_dumps(changed_hours))
    if taken.last is None:
        needed, stale = changed, None
    else:
        needed, stale = _affected(work, taken, published, changed_hours, rules, place)

    rebuilt = f"{place}/rebuilt"
    work.lake.stage(sessions.sessionize(needed, rules), rebuilt)
    fresh = work.lake.staged(rebuilt, schema=sessions.TABLE.ddl)
    found = _by_slice(work, sessions.TABLE, rebuilt, "event_count")
    in_sessions = sum(each["event_count"] for each in found.values())
    slices = set(found)
    kept = None
    if stale is not None:
        slices |= _hours(stale, "start_hour")
        if slices:
            # A slice is replaced whole: what of it is not stale goes in again as it is.
            kept = (
                work.lake.read(sessions.TABLE)
                .where(slices_where(sessions.TABLE, name, sorted(slices)))
                .join(stale.select("session_id"), "session_id", "left_anti")
                .select(*sessions.TABLE.column_names)
            )
    whole = fresh if kept is None else fresh.unionByName(kept)
    target = f"{place}/candidate"
    work.lake.stage(whole, target)
    counts = {hour: each["n"] for hour, each in _by_slice(work, sessions.TABLE, target).items()}
    read = needed.count()
    return _Candidate(
        sessions.TABLE,
        target,
        {hour: counts.get(hour, 0) for hour in sorted(slices)},
        {
            "rows": sum(counts.values()),
            "events_read": read,
            "events_in_sessions": in_sessions,
            "unaccounted": abs(read - in_sessions),
        },
    )


def _affected(
    work: Work,
    taken: _Taken,
    published: DataFrame,
    changed_hours: Sequence[datetime],
    rules: sessions.Rules,
    place: str,
) -> tuple[DataFrame, DataFrame]:
    """Return the events to build sessions of again, and the published sessions that they replace."""
    from pyspark.sql import functions as F

    key = F.expr(sessions.KEY)
    gained = (
        published.where(_in_dumps(changed_hours))
        .select(key.alias("k"), F.unix_micros("event_time").alias("t"))
        .withColumn("h", F.expr("t div 3600000000"))
        .groupBy("k", "h")
        .agg(F.min("t").alias("lo"), F.max("t").alias("hi"))
        .select("k", "lo", "hi")
    )
    stretches = _stretches(taken.publications, rules)
    fed = F.arrays_overlap(
        "dump_hours", F.expr(f"array({', '.join(literal(h) for h in changed_hours)})")
    )
    target = f"{place}/ranges"
    own_ids = taken.source.sessions.id is not None
    while True:
        near = (
            work.lake.read(sessions.TABLE)
            .where(f"source = {literal(taken.source.source)}")
            .where("true" if own_ids else _near(stretches, rules.gap))
            .select(
                "session_id",
                key.alias("k"),
                F.unix_micros("session_start").alias("lo"),
                F.unix_micros("session_end").alias("hi"),
                "start_hour",
                "dump_hours",
                fed.alias("fed"),
            )
        )
        # A session that a changed dump had fed may have lost any of its events.
        touched = gained.unionByName(near.where("fed").select("k", "lo", "hi"))
        keys = touched.select("k").distinct()
        old = near.join(keys, "k", "left_semi")
        ranges = sessions.affected(touched, old, rules)
        work.lake.stage(ranges, target)
        found = work.lake.staged(target, schema="k string, lo bigint, hi bigint, end bigint")
        wider = None if own_ids else _wider(found, stretches, rules)
        if wider is None:
            break
        stretches = wider
    stale = (
        near.alias("s")
        .join(
            found.alias("r"),
            F.expr("s.k = r.k and s.lo between r.lo and r.hi"),
            "left_semi",
        )
        .select("session_id", "start_hour", "dump_hours")
    )
    dumps = set(changed_hours) | _hours(
        stale.select(F.explode("dump_hours").alias("dump_hour")), "dump_hour"
    )
    needed = (
        published.where(_in_dumps(sorted(dumps)))
        .withColumn("k", key)
        .withColumn("t", F.unix_micros("event_time"))
        .alias("e")
        .join(
            found.alias("r"),
            F.expr("e.k = r.k and e.t between r.lo and r.hi"),
            "left_semi",
        )
        .drop("k", "t")
    )
    return needed, stale


Stretch = tuple[datetime, datetime]


def _stretches(publications: Iterable[Publication], rules: sessions.Rules) -> list[Stretch]:
    """Return the stretches of time whose events changed, close ones folded into one."""
    hours = sorted({hour for each in publications for hour in each.event_hours})
    folded: list[Stretch] = []
    for hour in hours:
        if folded and hour - folded[-1][1] <= rules.gap + rules.max:
            folded[-1] = (folded[-1][0], hour + HOUR)
        else:
            folded.append((hour, hour + HOUR))
    return folded


def _near(stretches: Sequence[Stretch], gap: timedelta) -> str:
    """Return the predicate of sessions within `gap` of the stretches: literals, so that files are skipped."""
    if not stretches:
        return "false"
    return " or ".join(
        f"(session_end >= {literal(lo - gap)} and session_start <= {literal(hi + gap)})"
        for lo, hi in stretches
    )


def _wider(
    ranges: DataFrame, stretches: Sequence[Stretch], rules: sessions.Rules
) -> list[Stretch] | None:
    """Return wider stretches where an island reaches beyond the sessions that were looked at, or None.

    Only sessions cut at `max` follow each other without a pause, so this is rare.
    """
    wider = []
    grown = False
    for lo, hi in stretches:
        row = (
            ranges.where(f"end > {_us(hi)} and lo <= {_us(hi + rules.gap)} and end >= {_us(lo)}")
            .selectExpr("max(end) as end")
            .collect()[0]
        )
        if row["end"] is None:
            wider.append((lo, hi))
        else:
            grown = True
            wider.append((lo, datetime.fromtimestamp(-(-row["end"] // 1_000_000), UTC)))
    return wider if grown else None


def _us(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# -- aggregates -------------------------------------------------------------------------------------


def _hourly(work: Work, taken: _Taken) -> _Candidate:
    hours = sorted({hour for each in taken.publications for hour in each.event_hours})
    happened = _happened(work, taken, [(hour, hour + HOUR) for hour in hours])
    place = _place(work, hourly_activity.TABLE, taken.source.source)
    work.lake.stage(hourly_activity.build(happened).coalesce(1), place)
    found = _by_slice(work, hourly_activity.TABLE, place, "events")
    read, counted = happened.count(), sum(each["events"] for each in found.values())
    counts = {hour: each["n"] for hour, each in found.items()}
    return _Candidate(
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


def _daily(work: Work, taken: _Taken, sessions_version: int) -> _Candidate:
    days = sorted(
        {
            _day(time)
            for each in taken.publications
            for time in (
                each.event_hours
                if each.table_name == events.TABLE.name
                else [s.slice for s in each.slices]
            )
        }
    )
    happened = _happened(work, taken, [(day, day + timedelta(days=1)) for day in days])
    started = work.lake.read(sessions.TABLE, sessions_version).where(
        f"source = {literal(taken.source.source)} and start_date in "
        f"({', '.join(literal(day.date()) for day in days) or 'null'})"
    )
    place = _place(work, daily_activity.TABLE, taken.source.source)
    work.lake.stage(daily_activity.build(happened, started).coalesce(1), place)
    found = _by_slice(work, daily_activity.TABLE, place, "events", "sessions")
    read, counted = happened.count(), sum(each["events"] for each in found.values())
    sessions_read = started.count()
    sessions_counted = sum(each["sessions"] for each in found.values())
    counts = {day: each["n"] for day, each in found.items()}
    return _Candidate(
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


def _by_slice(work: Work, table: Table, place: str, *sums: str) -> dict[datetime, Row]:
    """Return by slice the number of staged rows, `n`, and sums of some columns."""
    from pyspark.sql import functions as F

    time = F.col(table.slice_time).cast("timestamp").alias("slice")
    grouped = (
        work.lake.staged(place, schema=table.ddl)
        .groupBy(time)
        .agg(F.count(F.lit(1)).alias("n"), *(F.sum(name).alias(name) for name in sums))
    )
    return {parse_time(row["slice"]): row for row in work.lake.rows(grouped)}


def _happened(work: Work, taken: _Taken, stretches: Sequence[Stretch]) -> DataFrame:
    """Return a source's published events that happened in the stretches (end excluded).

    The predicate is of literals over the event time, whose minima and maxima Delta keeps by file.
    """
    folded: list[Stretch] = []
    for lo, hi in stretches:
        if folded and folded[-1][1] == lo:
            folded[-1] = (folded[-1][0], hi)
        else:
            folded.append((lo, hi))
    within = " or ".join(
        f"(event_time >= {literal(lo)} and event_time < {literal(hi)})" for lo, hi in folded
    )
    return (
        work.lake.read(events.TABLE, taken.version)
        .where(f"source = {literal(taken.source.source)}")
        .where(within or "false")
    )


# -- auditing and publishing ------------------------------------------------------------------------


def _audit(work: Work, candidate: _Candidate, source: Source) -> Audit:
    suite = suite_of(work, candidate.table)
    audit = run_suite(
        suite,
        work.lake.staged(candidate.place, schema=candidate.table.ddl),
        candidate.facts,
        source=source.source,
        slices=list(candidate.slices),
    )
    work.lake.append(AUDITS, audit_rows(work, audit, suite, candidate.place.rsplit("/", 2)[-1]))
    return audit


def _publication(
    work: Work, candidate: _Candidate, taken: _Taken, inputs: Mapping[str, int], audit: Audit
) -> Publication:
    from tidegate.steps.work import new_id, now

    return Publication(
        publication_id=new_id(),
        table_name=candidate.table.name,
        source=taken.source.source,
        sequence=taken.sequence,
        slices=tuple(SliceRecord(each, rows) for each, rows in candidate.slices.items()),
        rows=int(candidate.facts["rows"]),
        event_hours=(),
        inputs=tuple(each.publication_id for each in taken.publications),
        input_versions=dict(inputs),
        audit_ids=(audit.audit_id,),
        fingerprint=rules_fingerprint(taken.source),
        run_id=work.run_id,
        published_at=now(),
    )


def rules_fingerprint(source: Source) -> str:
    """Return a hash of what of a source file decides its derived rows."""
    said = f"{source.fingerprint()}/{source.sessions!r}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _shaped(rows: DataFrame, table: Table, candidate: _Candidate) -> DataFrame:
    """Return rows in a file a slice for tables of many rows, in one for the small ones."""
    if table is sessions.TABLE:
        return rows.repartition(max(1, min(len(candidate.slices), 64)), table.slice_time)
    return rows.coalesce(1)


def _place(work: Work, table: Table, source: str) -> str:
    from tidegate.steps.work import new_id

    return work.lake.staging(table.name, source, new_id())


def _in_dumps(hours: Sequence[datetime]) -> str:
    """Return the predicate of events of some dumps: literals of partition and slice columns."""
    if not hours:
        return "false"
    days = sorted({hour.astimezone(UTC).date() for hour in hours})
    return (
        f"dump_date in ({', '.join(literal(day) for day in days)}) "
        f"and dump_hour in ({', '.join(literal(hour) for hour in hours)})"
    )


def _hours(frame: DataFrame, column: str) -> set[datetime]:
    """Return the different hours in a column of hours: as many as slices, not as rows."""
    from pyspark.sql import functions as F

    rows = frame.select(F.unix_seconds(column).alias("s")).distinct().collect()
    return {datetime.fromtimestamp(row["s"], UTC) for row in rows}


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
