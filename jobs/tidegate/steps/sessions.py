"""What a change of published events means for sessions: which are built again, and what they replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.hours import HOUR
from tidegate.lake import Row, Staged, literal, slices_where
from tidegate.steps import aliases
from tidegate.steps.candidates import (
    Candidate,
    Taken,
    by_slice,
    hours_staged,
    in_dumps,
    new_place,
)
from tidegate.steps.stretches import Stretch, fold, sessions_near
from tidegate.tables import events, session_aliases, sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_STALE = (
    "session_id string, start_hour timestamp, lo bigint, hi bigint, dump_hours array<timestamp>"
)
_STALE_SPAN = ("start_hour", "lo", "hi")
_STALE_COLUMNS = ("session_id", *aliases.SPAN, "dump_hours")
_RANGES = "k string, lo bigint, hi bigint, last bigint, after bigint"
_ENDED = "k string, lo bigint, hi bigint, is_resumed boolean"


@dataclass(frozen=True)
class Affected:
    """What is to be done.

    Attributes:
        needed: the events that sessions were built of, anew.
        built: those sessions; all that `needed` has an event of.
        fresh: those of them that are to be published.
        stale: the published sessions that these replace: `session_id`, `start_hour`, `lo` and `hi` (µs, first
            and last event), `dump_hours`; None where nothing is published.
    """

    needed: DataFrame
    built: _Sessions
    fresh: _Sessions
    stale: Staged | None


@dataclass(frozen=True)
class _Sessions(Staged):
    """Staged sessions.

    Attributes:
        by_slice: how many there are, `n`, of how many `events`, and how many of them are `long`: to be cut.
    """

    by_slice: Mapping[datetime, Row]

    @property
    def is_whole(self) -> bool:
        """Whether none is to be cut."""
        return not any(each["long"] for each in self.by_slice.values())


def build_sessions(work: Work, taken: Taken) -> Candidate:
    """Stage the new content of the slices of sessions that what was taken changes."""
    source, name = taken.source, taken.source.source
    rules = sessions.Rules(gap=source.sessions.gap, max=source.sessions.max)
    place = new_place(work, sessions.TABLE, name)
    published = work.rows(events.TABLE, name, taken.version).where("user_key is not null")
    if taken.whole or taken.last is None:
        built = _build(work, published, rules, place, lasting=True)
        there = None if taken.last is None else _published(work, name, f"{place}/stale")
        found = Affected(published, built, built, there)
    else:
        found = _affected(work, taken, published, rules, place)

    stale_hours = hours_staged(work, "start_hour", found.stale) if found.stale else set()
    slices = sorted(stale_hours | found.fresh.by_slice.keys())
    target, counts = found.fresh.place, found.fresh.by_slice
    if found.stale is not None and slices and not taken.whole:
        # A slice is replaced whole: what of it is not stale goes in again as it is.
        kept = (
            work.lake.read(sessions.TABLE)
            .where(slices_where(sessions.TABLE, name, slices))
            .join(found.stale.rows.select("session_id"), "session_id", "left_anti")
            .select(*sessions.TABLE.column_names)
        )
        target = f"{place}/candidate"
        counts = _stage(work, found.fresh.rows.unionByName(kept), target, lasting=True).by_slice
    rows = {hour: counts[hour]["n"] if hour in counts else 0 for hour in slices}
    read = found.needed.count()
    in_sessions = sum(each["events"] for each in found.built.by_slice.values())
    return Candidate(
        sessions.TABLE,
        target,
        rows,
        {
            "rows": sum(rows.values()),
            "events_read": read,
            "events_in_sessions": in_sessions,
            "unaccounted": abs(read - in_sessions),
        },
        renames=_renames(work, source, found),
    )


def _build(
    work: Work, needed: DataFrame, rules: sessions.Rules, place: str, *, lasting: bool = False
) -> _Sessions:
    """Stage the sessions of some events.

    Hardly any is long enough to be cut: those that are, are built a second time, of their own events.
    """
    uncut, is_long = sessions.uncut(needed, rules), sessions.is_long(rules)
    built = _stage(work, uncut, f"{place}/built", is_long, lasting=lasting)
    if built.is_whole:
        return built
    long = built.rows.where(is_long).selectExpr(*aliases.SPAN, f"{sessions.KEY} as k")
    cut = sessions.sessionize(_events_in(needed, long), rules)
    short = built.rows.where(f"not {is_long}")
    return _stage(work, short.unionByName(cut), f"{place}/cut", lasting=lasting)


def _stage(
    work: Work, rows: DataFrame, place: str, long: str = "false", *, lasting: bool = False
) -> _Sessions:
    kept = work.lake.keep(rows, place, sessions.TABLE.ddl, lasting=lasting)
    found = by_slice(
        work,
        sessions.TABLE,
        kept.place,
        events="sum(event_count)",
        long=f"count(*) FILTER (WHERE {long})",
    )
    return _Sessions(kept.rows, kept.place, found)


def _published(work: Work, source: str, place: str) -> Staged:
    """Return all published sessions of a source, as `Affected.stale` has them."""
    mine = f"source = {literal(source)}"
    there = work.lake.read(sessions.TABLE).where(mine).selectExpr(*_STALE_COLUMNS)
    return work.lake.keep(there, place, _STALE)


def _renames(work: Work, source: Source, found: Affected) -> bool:
    """Return whether published ids are no more, or have to lead elsewhere than they do."""
    from pyspark.sql import functions as F

    if found.stale is None:
        return False
    [gone] = work.lake.look(
        "SELECT count(*) AS n FROM {stale} s "
        "WHERE NOT EXISTS (SELECT 1 FROM {fresh} f WHERE f.session_id = s.session_id)",
        stale=found.stale.place,
        fresh=found.fresh.place,
    )
    if gone["n"]:
        return True
    mine = f"source = {literal(source.source)}"
    if not work.lake.book(session_aliases.TABLE, mine, ["count(*) as n"])[0]["n"]:
        return False
    near = aliases.near(work, source, (found.stale, _STALE_SPAN), (found.fresh, aliases.SPAN))
    known = work.lake.read(session_aliases.TABLE).where(near)
    led = known.select(F.explode("events").alias("e")).select("e.event_id", "e.session_id")
    return not (
        led.join(found.stale.rows, "session_id", "left_semi").isEmpty()
        and led.join(found.needed, "event_id", "left_semi").isEmpty()
    )


def _affected(
    work: Work, taken: Taken, published: DataFrame, rules: sessions.Rules, place: str
) -> Affected:
    """Return what a change of some dumps means for the published sessions."""
    changed = sorted({s.slice for p in taken.publications for s in p.slices})
    gained = _gained(published.where(in_dumps(changed)))
    hours = {hour for each in taken.publications for hour in each.event_hours}
    stretches = fold(((hour, hour + HOUR) for hour in hours), rules.gap + rules.max)
    own_ids = taken.source.sessions.id is not None
    step = rules.max
    while True:
        near = _near(work, taken.source, None if own_ids else stretches, rules.gap, changed)
        # A session that a changed dump had fed may have lost any of its events.
        touched = gained.unionByName(near.where("fed").select("k", "lo", "hi"))
        old = near.join(touched.select("k").distinct(), "k", "left_semi")
        ranges = work.lake.keep(sessions.affected(touched, old, rules), f"{place}/ranges", _RANGES)
        if not own_ids:
            wider, cut = _wider(work, ranges, stretches, rules.gap)
            if wider is not None:
                stretches = wider
                continue
        stale = work.lake.keep(_within(near, ranges.rows), f"{place}/stale", _STALE)
        needed = _needed(work, published, ranges.rows, changed, stale)
        built = _build(work, needed, rules, place)
        if own_ids or not cut:
            return Affected(needed, built, built, stale)
        fresh = built.rows.selectExpr(*_STALE_COLUMNS, f"{sessions.KEY} as k")
        ended = work.lake.keep(
            sessions.resumed(ranges.rows, near, fresh), f"{place}/resumed", _ENDED
        )
        wider, _ = _wider(work, ended, stretches, rules.gap, cut=True)
        if wider is None:
            return Affected(
                needed,
                built,
                _stage(
                    work,
                    built.rows.join(_within(fresh, ended.rows).select("session_id"), "session_id"),
                    f"{place}/fresh",
                ),
                work.lake.keep(_within(near, ended.rows), f"{place}/gone", _STALE),
            )
        # Its cuts fall elsewhere for now: look twice as far each time.
        stretches = fold((lo, hi + step) for lo, hi in wider)
        step *= 2


def _gained(events_of_dumps: DataFrame) -> DataFrame:
    """Return `k`, `lo`, `hi` (µs): by key and hour, where there are events."""
    from pyspark.sql import functions as F

    return (
        events_of_dumps.select(
            F.expr(sessions.KEY).alias("k"), F.unix_micros("event_time").alias("t")
        )
        .groupBy("k", F.expr("t div 3600000000").alias("h"))
        .agg(F.min("t").alias("lo"), F.max("t").alias("hi"))
        .select("k", "lo", "hi")
    )


def _near(
    work: Work,
    source: Source,
    stretches: Sequence[Stretch] | None,
    gap: timedelta,
    changed: Sequence[datetime],
) -> DataFrame:
    """Return published sessions within `gap` of some stretches, or all of a source.

    Beside the columns of `Affected.stale` they have `k` and `fed`, whether a changed dump had fed them.
    """
    from pyspark.sql import functions as F

    fed = F.arrays_overlap("dump_hours", F.expr(f"array({', '.join(map(literal, changed))})"))
    return (
        work.lake.read(sessions.TABLE)
        .where(f"source = {literal(source.source)}")
        .where("true" if stretches is None else sessions_near(stretches, gap))
        .select(*map(F.expr, _STALE_COLUMNS), F.expr(sessions.KEY).alias("k"), fed.alias("fed"))
    )


def _within(found: DataFrame, ranges: DataFrame) -> DataFrame:
    """Return the sessions that start in the ranges, as `Affected.stale` has them."""
    return _inside(found, "lo", ranges).select("session_id", "start_hour", "lo", "hi", "dump_hours")


def _inside(rows: DataFrame, time: str, ranges: DataFrame) -> DataFrame:
    """Return the rows with a time (µs) in a range of their `k`: `k`, `lo`, `hi` (µs)."""
    from pyspark.sql import functions as F

    inside = F.expr(f"a.k = r.k and a.{time} between r.lo and r.hi")
    return rows.alias("a").join(ranges.alias("r"), inside, "left_semi")


def _needed(
    work: Work,
    published: DataFrame,
    ranges: DataFrame,
    changed: Sequence[datetime],
    stale: Staged,
) -> DataFrame:
    """Return the events in the ranges: they came in changed dumps, or in those that fed what is stale."""
    dumps = {*changed, *hours_staged(work, "explode(dump_hours)", stale)}
    return _events_in(published.where(in_dumps(sorted(dumps))), ranges)


def _events_in(found: DataFrame, ranges: DataFrame) -> DataFrame:
    """Return the events that happened in the ranges."""
    from pyspark.sql import functions as F

    keyed = found.withColumn("k", F.expr(sessions.KEY)).withColumn("t", F.unix_micros("event_time"))
    return _inside(keyed, "t", ranges).drop("k", "t")


def _wider(
    work: Work, ranges: Staged, stretches: Sequence[Stretch], gap: timedelta, *, cut: bool = False
) -> tuple[list[Stretch] | None, bool]:
    """Look for ranges that may reach beyond the sessions that were looked at.

    Only sessions cut at `max` follow each other without a pause, so this is rare.

    Args:
        work: where.
        ranges: as `sessions.affected` or `sessions.resumed` gives them.
        stretches: near which sessions were looked at.
        gap: how near.
        cut: whether to look at all ranges that are not resumed; else only at those without a session to
            resume at.

    Returns:
        Wider stretches, or None; and whether any range has a session to resume at.
    """
    which = "not is_resumed" if cut else "after = 0"
    beyond = "".join(
        f", max(CASE WHEN {which} AND hi > {_us(hi)} AND lo <= {_us(hi + gap)} AND hi >= {_us(lo)} "
        f"THEN hi END) AS s{n}"
        for n, (lo, hi) in enumerate(stretches)
    )
    some = "false" if cut else "coalesce(max(after) > 0, false)"
    [row] = work.lake.look(f"SELECT {some} AS cut{beyond} FROM {{ranges}}", ranges=ranges.place)
    ends = [row[f"s{n}"] for n in range(len(stretches))]
    if all(end is None for end in ends):
        return None, row["cut"]
    return [
        (lo, hi if end is None else datetime.fromtimestamp(-(-end // 1_000_000), UTC))
        for (lo, hi), end in zip(stretches, ends, strict=True)
    ], row["cut"]


def _us(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
