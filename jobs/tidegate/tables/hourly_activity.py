"""warehouse/hourly_activity: one row a source, hour and event type."""

from __future__ import annotations

from datetime import timedelta

from tidegate.tables.events import USER
from tidegate.tables.model import Aggregate, Column, Input, Table

_HOUR_US = 3_600_000_000

QUERY = f"""
    WITH counted AS (
        SELECT source, event_type, epoch_us(event_time) - mod(mod(epoch_us(event_time), {_HOUR_US})
            + {_HOUR_US}, {_HOUR_US}) AS us, {USER} AS who
        FROM {{events}}
    )
    SELECT source, CAST(make_timestamp(us) AS DATE) AS date, make_timestamptz(us) AS hour, event_type,
        count(*) AS events, count(DISTINCT who) AS users
    FROM counted GROUP BY source, us, event_type"""
"""The query of the rows of some hours.

`events`: `source`, `event_time`, `event_type`, `user_key`, `user_key_kind` of all events of the hours wanted. Hours
are found in whole microseconds: to truncate a time by its calendar takes ten times as long.
"""

TABLE = Table(
    name="hourly_activity",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("date", "date", "UTC date of the hour"),
        Column("hour", "timestamp", "UTC hour in which the events happened"),
        Column("event_type", "string", "what happened; NULL for events without a type"),
        Column("events", "bigint", "number of events"),
        Column("users", "bigint", "number of different users, exact"),
    ),
    key=("source", "hour", "event_type"),
    slice=("source", "hour"),
    partition=("source", "date"),
    statistics=("hour",),
    meaning="a source's hour and event type",
    built_from=("events",),
    aggregate=Aggregate(
        query=QUERY,
        grain=timedelta(hours=1),
        inputs=(Input("events", "event_time", counted_by="events", measures=("events", "users")),),
    ),
    version=2,
)
