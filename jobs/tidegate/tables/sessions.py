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

KEY = "coalesce('i:' || source_session_id, 'u:' || user_key)"
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
    and the last one `last`: what the session keeps of it, NULL in all others. `after` is the time (µs) of the
    key's next event.
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
        .drop("before")
    )


def _cut(runs: DataFrame, rules: Rules) -> DataFrame:
    """Return runs with those cut that are as long as `max`.

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
        .withColumn("first", F.expr(f"if(t = s, {_FIRST}, null)"))
        .withColumn(
            "last",
            F.expr(
                "if(last is not null or after >= array_min(filter(cuts, c -> c > t)), "
                f"{_LAST}, null)"
            ),
        )
        .drop("cuts")
    )


def _collapse(assigned: DataFrame) -> DataFrame:
    """Return the columns of `TABLE`, one row a session, from events that know their session.

    Of `first` the least and of `last` the greatest one counts. Few events have them, so few groups differ by
    them; and to count groups takes half the time that an aggregate of structs and lists does.
    """
    from pyspark.sql import functions as F

    alike = assigned.groupBy(
        "source",
        "k",
        "s",
        "first",
        "last",
        F.coalesce("event_type", F.lit(UNTYPED)).alias("type"),
        "dump_hour",
    ).agg(F.count(F.lit(1)).alias("n"))
    whole = (
        alike.groupBy("source", "k", "s")
        .agg(
            F.sum("n").alias("event_count"),
            F.collect_list(F.struct("type", "n")).alias("counts"),
            F.min("first").alias("first"),
            F.max("last").alias("last"),
            F.array_sort(F.collect_set("dump_hour")).alias("dump_hours"),
        )
        .withColumn(
            "events_by_type",
            F.expr(
                "map_from_entries(transform(array_sort(array_distinct(counts.type)), type -> "
                "struct(type, aggregate(filter(counts, c -> c.type = type), 0L, (sum, c) -> sum + c.n))))"
            ),
        )
        .withColumn("source_session_id", F.expr("if(k like 'i:%', substr(k, 3), null)"))
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


def affected(rules: Rules) -> str:
    """Return the query of the ranges of time, by key, whose sessions have to be built again.

    Sessions and touched stretches of a key that lie within `gap` of each other form an island: outside an
    island nothing can change, since a pause longer than `gap` parts it from the rest, before the change
    and after. Within one, what comes before the last session that starts at or before the first
    touched time stays as it is, since sessions are cut from left to right. So the range begins there.
    Where it can end before the island does, `RESUMED` tells.

    It is in words that Spark and DuckDB both know, of these rows:

    - `touched`: `k`, `lo`, `hi` (µs): stretches in which a key gained or lost events.
    - `old`: `k`, `lo`, `hi` (µs): the published sessions of those keys near the stretches.

    It gives `k`, `lo`, `hi` (µs: the range, which ends where the island does), `last` (µs: the end of what was
    touched) and `after`, the number of `old` sessions of the island that start after that. Sessions of
    the key that start up to `gap` after `hi` have to be among `old`, unless the range is resumed. A
    key of the source's own session ids is one island, however long its pauses.
    """
    return f"""
        WITH stretches AS (
            SELECT k, lo, hi, true AS is_touched FROM {{touched}}
            UNION ALL
            SELECT k, lo, hi, false AS is_touched FROM {{old}}
        ),
        reached AS (
            SELECT *, max(hi) OVER (
                PARTITION BY k ORDER BY lo, hi ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reach
            FROM stretches
        ),
        islands AS (
            SELECT *, max(
                CASE WHEN reach IS NULL OR (k LIKE 'u:%' AND lo - reach > {rules.gap_us}) THEN lo END
            ) OVER (PARTITION BY k ORDER BY lo, hi) AS island
            FROM reached
        ),
        spans AS (
            SELECT *,
                min(CASE WHEN is_touched THEN lo END) OVER (PARTITION BY k, island) AS lo_touched,
                max(CASE WHEN is_touched THEN hi END) OVER (PARTITION BY k, island) AS hi_touched
            FROM islands
        ),
        whole AS (
            SELECT k, island, lo_touched, hi_touched, max(hi) AS hi,
                max(CASE WHEN NOT is_touched AND lo <= lo_touched THEN lo END) AS anchor,
                count(CASE WHEN NOT is_touched AND lo > hi_touched AND k LIKE 'u:%' THEN 1 END) AS after
            FROM spans
            WHERE lo_touched IS NOT NULL
            GROUP BY k, island, lo_touched, hi_touched
        )
        SELECT k,
            CASE WHEN k LIKE 'i:%' THEN island ELSE coalesce(anchor, lo_touched) END AS lo,
            hi, hi_touched AS last, after
        FROM whole"""


RESUMED = """
    SELECT r.k, r.lo, coalesce(min(s.lo) - 1, r.hi) AS hi, min(s.lo) IS NOT NULL AS is_resumed
    FROM {ranges} r
    LEFT JOIN (
        SELECT o.k, o.lo FROM {old} o
        SEMI JOIN {fresh} f ON o.k = f.k AND o.lo = f.lo AND o.session_id = f.session_id
    ) s ON r.k = s.k AND r.k LIKE 'u:%' AND s.lo > r.last AND s.lo BETWEEN r.lo AND r.hi
    GROUP BY r.k, r.lo, r.hi"""
"""The query of ranges that end where the old sessions go on as they were.

A session that starts after all that was touched, before the change and after it, is followed by the same
sessions in both, since each is cut from the start of the one before. So a user who never pauses has
two or three sessions built again, not all of them to this day.

It is in words that Spark and DuckDB both know, of these rows:

- `ranges`: as `affected` gives them.
- `old`: `k`, `lo` (µs, start), `session_id` of the published sessions in the ranges, and of others.
- `fresh`: the same of those built from the events in the ranges.

It gives `k`, `lo`, `hi` (µs) and `is_resumed`. Sessions in `fresh` that start after `hi` are not needed.
"""
