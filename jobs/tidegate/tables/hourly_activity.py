"""warehouse/hourly_activity: one row a source, hour and event type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.tables.model import Column, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
)


def build(events: DataFrame) -> DataFrame:
    """Aggregate events to hours.

    Args:
        events: `source`, `event_time`, `event_type`, `user_key` of all events of the hours wanted.

    Returns:
        The columns of `TABLE`.
    """
    from pyspark.sql import functions as F

    return (
        events.withColumn("hour", F.expr("date_trunc('hour', event_time)"))
        .groupBy("source", "hour", "event_type")
        .agg(F.count(F.lit(1)).alias("events"), F.countDistinct("user_key").alias("users"))
        .withColumn("date", F.to_date("hour"))
        .select(*TABLE.column_names)
    )
