"""warehouse/sessions: one row a session, computed from events; and what a change of events affects.

A session is a run of one user's events of one source. An event more than `gap` after the user's
previous one starts a new session; exactly `gap` does not. An event `max` or more after its
session's start starts a new session too. Events are ordered by time, then id. Where the source
brings session ids of its own, those are the sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tidegate.tables.model import Column, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    name="sessions",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("start_date", "date", "UTC date on which the session starts"),
        Column("start_hour", "timestamp", "UTC hour in which the session starts"),
        Column(
            "session_id",
            "string",
            "hash of source, user and first event (id and time); or the source's own",
        ),
        Column("source_session_id", "string", "the source's own session id, where it has one"),
        Column("user_key", "string", "whose session it is"),
        Column("session_start", "timestamp", "time of the first event, UTC"),
        Column("session_end", "timestamp", "time of the last event, UTC"),
        Column("duration_s", "double", "seconds from the first event to the last"),
        Column("event_count", "bigint", "number of events"),
        Column("events_by_type", "map<string,bigint>", "number of events by type"),
        Column("first_event_id", "string", "id of the first event"),
        Column("first_event_type", "string", "type of the first event"),
        Column("last_event_id", "string", "id of the last event"),
        Column("last_event_type", "string", "type of the last event"),
        Column("is_bounce", "boolean", "whether it is a session of one event"),
        Column("dump_hours", "array<timestamp>", "hours of the dumps that its events came in"),
    ),
    key=("session_id",),
    slice=("source", "start_hour"),
    partition=("source", "start_date"),
    statistics=("start_hour", "session_start", "session_end"),
    meaning="a session",
    built_from=("events",),
)

EVENT_COLUMNS = (
    "source",
    "user_key",
    "source_session_id",
    "event_time",
    "event_id",
    "event_type",
    "dump_hour",
)
"""What of an event a session is computed from."""

KEY = "coalesce(concat('i:', source_session_id), concat('u:', user_key))"
"""What ties events, and sessions, together: the source's own session id, else the user."""

_FIRST = "struct(t, event_id, event_type, user_key)"
_LAST = "struct(t, event_id, event_type)"

UNTYPED = ""
"""Stands in `events_by_type` for events without a type, since a map's key can't be NULL."""


@dataclass(frozen=True)
class Rules:
    """How a source's events become sessions: the pause that ends one, and the longest there is."""

    gap: timedelta
    max: timedelta

    @property
    def gap_us(self) -> int:
        """The gap in microseconds."""
        return self.gap // timedelta(microseconds=1)

    @property
    def max_us(self) -> int:
        """The longest session in microseconds."""
        return self.max // timedelta(microseconds=1)


def sessionize(events: DataFrame, rules: Rules) -> DataFrame:
    """Compute the sessions of events from scratch.

    Args:
        events: `EVENT_COLUMNS` at least, of any users, each user's events complete from the start
            of a session to a pause; events without a user are left out.
        rules: gap and longest session.

    Returns:
        The columns of `TABLE`.
    """
    return _collapse(_cut(_runs(events, rules), rules))


def uncut(events: DataFrame, rules: Rules) -> DataFrame:
    """Compute what no pause interrupts: sessions as if there were no longest one.

    They are those of `sessionize` but for the few that `is_long` tells of, at less than half of its cost.

    Args:
        events: as `sessionize` takes them.
        rules: of which the gap counts.

    Returns:
        The columns of `TABLE`.
    """
    return _collapse(_runs(events, rules))


def is_long(rules: Rules) -> str:
    """Return the predicate of rows of `uncut` that are no sessions, since they are to be cut again."""
    us = "unix_micros(session_end) - unix_micros(session_start)"
    return f"(source_session_id is null and {us} >= {rules.max_us})"


def _runs(events: DataFrame, rules: Rules) -> DataFrame:
    """Return events with `k` (key), `t` (µs) and `s` (µs): the start of the run that no pause interrupts.

    Its start is a run's name, since times only grow along the order. The first event of a run has `first`
    and the last one `last`: what the session keeps of it, NULL in all others.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keyed = (
        events.where("user_key is not null")
        .select(*EVENT_COLUMNS)
        .withColumn("k", F.expr(KEY))
        .withColumn("t", F.unix_micros("event_time"))
    )
    order = Window.partitionBy("source", "k").orderBy("t", "event_id")
    paused = f"source_session_id is null and {{}} > {rules.gap_us}"
    return (
        keyed.withColumn("before", F.lag("t").over(order))
        .withColumn("after", F.lead("t").over(order))
        .withColumn(
            "first",
            F.expr(
                f"case when before is null or ({paused.format('t - before')}) then {_FIRST} end"
            ),
        )
        .withColumn(
            "last",
            F.expr(f"case when after is null or ({paused.format('after - t')}) then {_LAST} end"),
        )
        .withColumn("s", F.max("first.t").over(order))
        .drop("before", "after")
    )


def _cut(runs: DataFrame, rules: Rules) -> DataFrame:
    """Return runs with those cut that are as long as `max`; any event may be `first` and `last` then.

    Where each cut falls depends on the cut before it, so it is a fold over the run's times; such runs are
    few, and a fold carries only its cuts.
    """
    from pyspark.sql import functions as F

    cuts = (
        runs.where("source_session_id is null")
        .groupBy("source", "k", "s")
        .agg(F.max("t").alias("end"), F.sort_array(F.collect_set("t")).alias("times"))
        .where(f"end - s >= {rules.max_us}")
        .select(
            "source",
            "k",
            "s",
            F.expr(
                "aggregate(times, array(s), (cuts, t) -> "
                f"if(t - element_at(cuts, -1) >= {rules.max_us}, concat(cuts, array(t)), cuts))"
            ).alias("cuts"),
        )
    )
    return (
        runs.join(cuts, ["source", "k", "s"], "left")
        .withColumn("s", F.expr("coalesce(array_max(filter(cuts, c -> c <= t)), s)"))
        .withColumn("first", F.expr(_FIRST))
        .withColumn("last", F.expr(_LAST))
        .drop("cuts")
    )


def _collapse(assigned: DataFrame) -> DataFrame:
    """Return the columns of `TABLE`, one row a session, from events that know their session.

    Of `first` the least and of `last` the greatest one counts. To compare structs is slow: where only one
    event a session has them, this takes half the time.
    """
    from pyspark.sql import functions as F

    by_type = assigned.groupBy(
        "source", "k", "s", F.coalesce("event_type", F.lit(UNTYPED)).alias("type")
    ).agg(
        F.count(F.lit(1)).alias("n"),
        F.min("first").alias("first"),
        F.max("last").alias("last"),
        F.max("source_session_id").alias("source_session_id"),
        F.collect_set("dump_hour").alias("hours"),
    )
    whole = by_type.groupBy("source", "k", "s").agg(
        F.sum("n").alias("event_count"),
        F.expr("map_from_entries(array_sort(collect_list(struct(type, n))))").alias(
            "events_by_type"
        ),
        F.min("first").alias("first"),
        F.max("last").alias("last"),
        F.max("source_session_id").alias("source_session_id"),
        F.expr("array_sort(array_distinct(flatten(collect_list(hours))))").alias("dump_hours"),
    )
    return whole.select(
        "source",
        F.expr("to_date(timestamp_micros(first.t))").alias("start_date"),
        F.expr("date_trunc('hour', timestamp_micros(first.t))").alias("start_hour"),
        F.expr(
            "coalesce(source_session_id, "
            # With its time: after the window of duplicates an id may come again, as another event.
            "left(sha2(to_json(array(source, first.user_key, first.event_id, "
            "cast(first.t as string))), 256), 32))"
        ).alias("session_id"),
        "source_session_id",
        F.col("first.user_key").alias("user_key"),
        F.expr("timestamp_micros(first.t)").alias("session_start"),
        F.expr("timestamp_micros(last.t)").alias("session_end"),
        F.expr("(last.t - first.t) / 1e6d").alias("duration_s"),
        "event_count",
        "events_by_type",
        F.col("first.event_id").alias("first_event_id"),
        F.col("first.event_type").alias("first_event_type"),
        F.col("last.event_id").alias("last_event_id"),
        F.col("last.event_type").alias("last_event_type"),
        F.expr("event_count = 1").alias("is_bounce"),
        "dump_hours",
    ).select(*TABLE.column_names)


def affected(touched: DataFrame, old: DataFrame, rules: Rules) -> DataFrame:
    """Return the ranges of time, by key, whose sessions have to be built again.

    Sessions and touched stretches of a key that lie within `gap` of each other form an island: outside an
    island nothing can change, since a pause longer than `gap` parts it from the rest, before the change
    and after. Within one, what comes before the last session that starts at or before the first
    touched time stays as it is, since sessions are cut from left to right. So the range begins there.
    Where it can end before the island does, `resumed` tells.

    Args:
        touched: `k`, `lo`, `hi` (µs): stretches in which a key gained or lost events.
        old: `k`, `lo`, `hi` (µs): the published sessions of those keys near the stretches.
        rules: gap and longest session.

    Returns:
        `k`, `lo`, `hi` (µs: the range, which ends where the island does), `last` (µs: the end of what was
        touched) and `after`, the number of `old` sessions of the island that start after that. Sessions of
        the key that start up to `gap` after `hi` have to be among `old`, unless the range is `resumed`. A
        key of the source's own session ids is one island, however long its pauses.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    stretches = touched.select("k", "lo", "hi", F.lit(True).alias("is_touched")).unionByName(
        old.select("k", "lo", "hi", F.lit(False).alias("is_touched"))
    )
    order = Window.partitionBy("k").orderBy("lo", "hi")
    so_far = order.rowsBetween(Window.unboundedPreceding, -1)
    islands = (
        stretches.withColumn("reach", F.max("hi").over(so_far))
        .withColumn(
            "starts",
            F.expr(
                f"case when reach is null or (k like 'u:%' and lo - reach > {rules.gap_us}) "
                "then lo end"
            ),
        )
        .withColumn("island", F.max("starts").over(order))
    )
    whole = Window.partitionBy("k", "island")
    return (
        islands.withColumn("first", F.min(F.expr("if(is_touched, lo, null)")).over(whole))
        .withColumn("last", F.max(F.expr("if(is_touched, hi, null)")).over(whole))
        .where("first is not null")
        .groupBy("k", "island", "last")
        .agg(
            F.min("first").alias("first"),
            F.max(F.expr("if(not is_touched and lo <= first, lo, null)")).alias("anchor"),
            F.max("hi").alias("hi"),
            F.count_if(F.expr("not is_touched and lo > last and k like 'u:%'")).alias("after"),
        )
        .select(
            "k",
            F.expr("if(k like 'i:%', island, coalesce(anchor, first))").alias("lo"),
            "hi",
            "last",
            "after",
        )
    )


def resumed(ranges: DataFrame, old: DataFrame, fresh: DataFrame) -> DataFrame:
    """Return ranges that end where the old sessions go on as they were.

    A session that starts after all that was touched, before the change and after it, is followed by the same
    sessions in both, since each is cut from the start of the one before. So a user who never pauses has
    two or three sessions built again, not all of them to this day.

    Args:
        ranges: as `affected` gives them.
        old: `k`, `lo` (µs, start), `session_id` of the published sessions in the ranges.
        fresh: the same of those built from the events in the ranges.

    Returns:
        `k`, `lo`, `hi` (µs) and `is_resumed`. Sessions in `fresh` that start after `hi` are not needed.
    """
    from pyspark.sql import functions as F

    going_on = old.join(fresh.select("k", "lo", "session_id"), ["k", "lo", "session_id"])
    return (
        ranges.alias("r")
        .join(
            going_on.select("k", F.col("lo").alias("start")).alias("s"),
            F.expr(
                "r.k = s.k and r.k like 'u:%' and s.start > r.last and s.start between r.lo and r.hi"
            ),
            "left",
        )
        .groupBy("r.k", "r.lo", "r.hi")
        .agg(F.min("s.start").alias("resumes"))
        .select(
            "k",
            "lo",
            F.expr("coalesce(resumes - 1, hi)").alias("hi"),
            F.expr("resumes is not null").alias("is_resumed"),
        )
    )
