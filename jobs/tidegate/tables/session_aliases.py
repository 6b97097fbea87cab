"""warehouse/session_aliases: where the events of sessions are whose ids were published and are no more.

The id of a session is made of its first event, so a late event before it, or a corrected dump without it,
gives the session another id. Who kept the old one, in a link or a report, finds here what became of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tidegate.tables.model import Column, Table
from tidegate.tables.sessions import KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    name="session_aliases",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("start_date", "date", "UTC date on which the session started, as last published"),
        Column("start_hour", "timestamp", "UTC hour in which it started, as last published"),
        Column("session_id", "string", "an id that was published, and that no session has now"),
        Column(
            "live_session_id",
            "string",
            "the session that has the first of its events that there still is; NULL: all are gone",
        ),
        Column("user_key", "string", "whose session it was, as last published"),
        Column("session_start", "timestamp", "time of its first event, as last published"),
        Column("session_end", "timestamp", "time of its last event, as last published"),
        Column(
            "events",
            "array<struct<event_id:string,event_time:timestamp,session_id:string>>",
            "its events as last published, in order, and the session that each is in now (or NULL)",
        ),
    ),
    key=("session_id",),
    slice=("source", "start_hour"),
    partition=("source", "start_date"),
    statistics=("start_hour", "session_start", "session_end"),
    meaning="an id of a session that is no more",
    built_from=("events", "sessions"),
)


ABOUT = tuple(name for name in TABLE.column_names if name not in ("events", "live_session_id"))
"""What a row says of the session that was; columns of `warehouse/sessions` too."""


def members(of: str = "true") -> str:
    """Return the query of which event is in which session: `session_id`, `event_id`, `t` (µs).

    It is in words that Spark and DuckDB both know, of these rows:

    - `events`: `sessions.EVENT_COLUMNS`, all that the sessions were made of, others too.
    - `sessions`: `session_id`, `source`, `source_session_id`, `user_key`, `session_start` and `session_end` of
      sessions. Those of one key lie apart in time.

    Args:
        of: predicate of the events that are asked for.
    """
    return f"""
        SELECT s.session_id, e.event_id, e.t
        FROM (
            SELECT source, {KEY} AS k, unix_micros(event_time) AS t, event_id
            FROM {{events}} WHERE user_key IS NOT NULL AND {of}
        ) e
        JOIN (
            SELECT source, {KEY} AS k, session_id,
                unix_micros(session_start) AS lo, unix_micros(session_end) AS hi
            FROM {{sessions}}
        ) s ON e.source = s.source AND e.k = s.k AND e.t BETWEEN s.lo AND s.hi"""


def listed(members: DataFrame) -> DataFrame:
    """Return `session_id` and its `members` in order: an array of `event_id`, `event_time`."""
    from pyspark.sql import functions as F

    return members.groupBy("session_id").agg(
        F.expr(
            "transform(array_sort(collect_list(struct(t, event_id))), "
            "m -> struct(m.event_id, timestamp_micros(m.t) as event_time))"
        ).alias("members")
    )


def build(
    retired: DataFrame,
    known: DataFrame,
    replaced: DataFrame,
    moved: DataFrame,
    within: timedelta,
) -> DataFrame:
    """Return the rows of ids that are no more, each with the sessions that its events are in now.

    Args:
        retired: rows of `warehouse/sessions` whose ids no session has any more, with `members` as
            `listed` gives them.
        known: rows of `TABLE` that there are already.
        replaced: `session_id` of sessions that were there before, and were built anew or taken away.
        moved: `members` of the sessions that came in their place.
        within: how far apart in time one id stands for one event.

    Returns:
        The columns of `TABLE`: all rows of `retired` and `known`.
    """
    from pyspark.sql import functions as F

    fresh = retired.select(
        *ABOUT, F.posexplode("members").alias("at", "e"), F.lit(None).cast("string").alias("was_in")
    )
    older = known.select(*ABOUT, F.posexplode("events").alias("at", "e")).select(
        *ABOUT, "at", "e", F.col("e.session_id").alias("was_in")
    )
    gone = replaced.select(F.col("session_id").alias("was_in"), F.lit(True).alias("is_gone"))
    placed = (
        fresh.withColumn("e", F.expr("struct(e.event_id, e.event_time)"))
        .unionByName(older.withColumn("e", F.expr("struct(e.event_id, e.event_time)")))
        .join(gone, "was_in", "left")
        .alias("m")
        .join(
            moved.alias("n"),
            F.expr(
                "n.event_id = m.e.event_id and abs(n.t - unix_micros(m.e.event_time)) <= "
                f"{within // timedelta(microseconds=1)}"
            ),
            "left",
        )
        .groupBy(*(f"m.{name}" for name in ABOUT), "m.at", "m.e", "m.was_in", "m.is_gone")
        # An id that came again after `within` is another event: the nearest in time is meant.
        .agg(
            F.expr(
                "min(struct(abs(n.t - unix_micros(m.e.event_time)), n.session_id)).session_id"
            ).alias("now_in")
        )
        .withColumn("session", F.expr("coalesce(now_in, if(is_gone, null, was_in))"))
    )
    whole = placed.groupBy(*ABOUT).agg(
        F.expr("array_sort(collect_list(struct(at, e, session)))").alias("es")
    )
    return whole.select(
        *ABOUT,
        F.expr(
            "transform(es, x -> struct(x.e.event_id, x.e.event_time, x.session as session_id))"
        ).alias("events"),
        F.expr("get(filter(es, x -> x.session is not null), 0).session").alias("live_session_id"),
    ).select(*TABLE.column_names)
