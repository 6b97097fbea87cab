"""warehouse/daily_activity: one row a source and UTC date."""

from __future__ import annotations

from datetime import timedelta

from tidegate.tables.events import USER
from tidegate.tables.model import Aggregate, Column, Input, Table

_DAY_US = 86_400_000_000

QUERY = f"""
    WITH users AS (
        SELECT source, day, who, count(*) AS n
        FROM (
            SELECT source, {USER} AS who, epoch_us(event_time) - mod(mod(epoch_us(event_time), {_DAY_US})
                + {_DAY_US}, {_DAY_US}) AS day
            FROM {{events}}
        ) e
        GROUP BY source, day, who
    ),
    days AS (
        SELECT source, CAST(make_timestamp(day) AS DATE) AS date, CAST(sum(n) AS BIGINT) AS events,
            count(who) AS users, theta_sketch_agg(who) AS users_sketch
        FROM users GROUP BY source, day
    ),
    lengths AS (
        SELECT source, start_date AS date, count(*) AS sessions, CAST(sum(us) AS BIGINT) AS total,
            CAST(median(us) AS DOUBLE) AS median, count(CASE WHEN is_bounce THEN 1 END) AS bounces
        FROM (
            SELECT source, start_date, is_bounce, epoch_us(session_end) - epoch_us(session_start) AS us
            FROM {{sessions}}
        ) s
        GROUP BY source, start_date
    )
    SELECT d.source, d.date, d.events, d.users, coalesce(l.sessions, 0) AS sessions,
        CAST(l.total AS DOUBLE) / CAST(l.sessions AS DOUBLE) / CAST(1000000 AS DOUBLE) AS mean_duration_s,
        l.median / CAST(1000000 AS DOUBLE) AS median_duration_s,
        CAST(l.bounces AS DOUBLE) / CAST(l.sessions AS DOUBLE) AS bounce_rate, d.users_sketch
    FROM days d LEFT JOIN lengths l ON d.source = l.source AND d.date = l.date"""
"""The query of the rows of some days; a day without events has no row.

- `events`: `source`, `event_time`, `user_key`, `user_key_kind` of all events of the days wanted.
- `sessions`: `source`, `start_date`, `session_start`, `session_end`, `is_bounce` of all sessions that start on
  those days.

Means are quotients of integers and the sketch keeps the smallest hashes only, so that no row depends on the order
of its input. Users are told apart first: that takes half the time of counting different ones beside a sketch of
all their events.
"""

TABLE = Table(
    name="daily_activity",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("date", "date", "UTC date"),
        Column("events", "bigint", "number of events that happened on it"),
        Column("users", "bigint", "number of different users of those events, exact"),
        Column("sessions", "bigint", "number of sessions that started on it"),
        Column("mean_duration_s", "double", "mean length of those sessions, seconds"),
        Column("median_duration_s", "double", "exact median length of those sessions, seconds"),
        Column("bounce_rate", "double", "share of those sessions that are one event, 0 to 1"),
        Column(
            "users_sketch",
            "binary",
            "Apache DataSketches theta sketch of the users, mergeable over days "
            "(4,096 entries: exact up to there, standard error 1.6 % beyond)",
        ),
    ),
    key=("source", "date"),
    slice=("source", "date"),
    partition=("source",),
    statistics=("date",),
    meaning="a source's day",
    built_from=("events", "sessions"),
    aggregate=Aggregate(
        query=QUERY,
        grain=timedelta(days=1),
        inputs=(
            Input("events", "event_time", counted_by="events", measures=("events", "users")),
            Input(
                "sessions",
                "session_start",
                counted_by="sessions",
                measures=("sessions", "mean_duration_s", "median_duration_s", "bounce_rate"),
            ),
        ),
        after=("hourly_activity",),
    ),
    version=2,
)
