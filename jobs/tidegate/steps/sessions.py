"""What a change of published events means for sessions: which are built again, and what they replace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.hours import HOUR
from tidegate.lake import literal, slices_where
from tidegate.ledger import Publication
from tidegate.steps.candidates import (
    Candidate,
    Taken,
    by_slice,
    hours_in,
    in_dumps,
    new_place,
)
from tidegate.tables import events, session_aliases, sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.steps.work import Work

_STALE = "session_id string, start_hour timestamp, dump_hours array<timestamp>"


@dataclass(frozen=True)
class Affected:
    """What is to be done.

    Attributes:
        needed: the events to build sessions of, anew.
        stale: the published sessions that those replace: `session_id`, `start_hour`, `dump_hours`.
        slices: the slices that the stale ones lie in.
    """

    needed: DataFrame
    stale: DataFrame | None
    slices: frozenset[datetime]


def build_sessions(work: Work, taken: Taken) -> Candidate:
    """Stage the new content of the slices of sessions that what was taken changes."""
    source, name = taken.source, taken.source.source
    rules = sessions.Rules(gap=source.sessions.gap, max=source.sessions.max)
    place = new_place(work, sessions.TABLE, name)
    published = work.lake.read(events.TABLE, taken.version).where(
        f"source = {literal(name)} and user_key is not null"
    )
    changed_hours = sorted({s.slice for p in taken.publications for s in p.slices})
    if taken.whole:
        found = _all(work, taken, published)
    elif taken.last is None:
        found = Affected(published.where(in_dumps(changed_hours)), None, frozenset())
    else:
        found = _affected(work, taken, published, changed_hours, rules, place)

    rebuilt = f"{place}/rebuilt"
    work.lake.stage(sessions.sessionize(found.needed, rules), rebuilt)
    fresh = work.lake.staged(rebuilt, schema=sessions.TABLE.ddl)
    made = by_slice(work, sessions.TABLE, rebuilt, "event_count")
    in_sessions = sum(each["event_count"] for each in made.values())
    slices = found.slices | made.keys()
    kept = None
    if found.stale is not None and slices and not taken.whole:
        # A slice is replaced whole: what of it is not stale goes in again as it is.
        kept = (
            work.lake.read(sessions.TABLE)
            .where(slices_where(sessions.TABLE, name, sorted(slices)))
            .join(found.stale.select("session_id"), "session_id", "left_anti")
            .select(*sessions.TABLE.column_names)
        )
    whole = fresh if kept is None else fresh.unionByName(kept)
    target = f"{place}/candidate"
    work.lake.stage(whole, target)
    counts = {hour: each["n"] for hour, each in by_slice(work, sessions.TABLE, target).items()}
    read = found.needed.count()
    return Candidate(
        sessions.TABLE,
        target,
        {hour: counts.get(hour, 0) for hour in sorted(slices)},
        {
            "rows": sum(counts.values()),
            "events_read": read,
            "events_in_sessions": in_sessions,
            "unaccounted": abs(read - in_sessions),
        },
        renames=_renames(work, name, found, fresh),
    )


def _all(work: Work, taken: Taken, published: DataFrame) -> Affected:
    """Return all sessions of a source as affected."""
    there = (
        work.lake.read(sessions.TABLE)
        .where(f"source = {literal(taken.source.source)}")
        .select("session_id", "start_hour", "dump_hours")
    )
    return Affected(published, there, frozenset(hours_in(there.select("start_hour"))))


def _renames(work: Work, source: str, found: Affected, fresh: DataFrame) -> bool:
    """Return whether published ids are no more, or have to lead elsewhere than they do."""
    from pyspark.sql import functions as F

    if found.stale is None:
        return False
    if found.slices and not found.stale.join(fresh, "session_id", "left_anti").isEmpty():
        return True
    mine = f"source = {literal(source)}"
    if not work.lake.book(session_aliases.TABLE, mine, ["count(*) as n"])[0]["n"]:
        return False
    known = work.lake.read(session_aliases.TABLE).where(mine)
    led = known.select(F.explode("events").alias("e")).select("e.event_id", "e.session_id")
    return not (
        led.join(found.stale, "session_id", "left_semi").isEmpty()
        and led.join(found.needed, "event_id", "left_semi").isEmpty()
    )


def _affected(
    work: Work,
    taken: Taken,
    published: DataFrame,
    changed_hours: Sequence[datetime],
    rules: sessions.Rules,
    place: str,
) -> Affected:
    """Return what a change of some dumps means for the published sessions."""
    from pyspark.sql import functions as F

    key = F.expr(sessions.KEY)
    gained = (
        published.where(in_dumps(changed_hours))
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
    work.lake.stage(stale, f"{place}/stale")
    stale = work.lake.staged(f"{place}/stale", schema=_STALE)
    slices, fed_by = _hours_of(stale)
    dumps = set(changed_hours) | fed_by
    needed = (
        published.where(in_dumps(sorted(dumps)))
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
    return Affected(needed, stale, slices)


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


def _hours_of(stale: DataFrame) -> tuple[frozenset[datetime], frozenset[datetime]]:
    """Return the hours in which sessions start, and those of the dumps that fed them."""
    rows = (
        stale.selectExpr("unix_seconds(start_hour) as started", "explode(dump_hours) as dump")
        .selectExpr("started", "unix_seconds(dump) as dump")
        .distinct()
        .collect()
    )
    return (
        frozenset(datetime.fromtimestamp(row["started"], UTC) for row in rows),
        frozenset(datetime.fromtimestamp(row["dump"], UTC) for row in rows),
    )
