"""Parse, deduplicate, sessionize, aggregate and write Parquet: plain PySpark in one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from tidegate_bench.peers.asked import Asked, Field, answer


def main() -> None:
    """Do the work that standard input asks for."""
    asked = Asked.read()
    # Who started this may speak to a server; this is a Spark of its own.
    os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    out = Path(asked.out)
    by_id = Window.partitionBy("event_id").orderBy("file")
    lines = spark.read.text(asked.dumps)
    parsed = F.from_json("value", _schema(asked.nested({})))
    events = (
        lines.select("value", F.input_file_name().alias("file"), parsed.alias("e"))
        .select(*map(_value, asked.fields), F.col("value").alias("properties"), "file")
        .where("event_id is not null and event_time is not null")
        .withColumn("n", F.row_number().over(by_id))
        .where("n = 1")
        .drop("n")
        .withColumn("user_key", F.coalesce("user_id", "anonymous_id"))
    )
    counts = {"events": _write(events, out / "events")}
    events = spark.read.parquet(str(out / "events"))
    order = Window.partitionBy("user_key").orderBy("event_time", "event_id")
    pause = F.expr(
        f"before is null or unix_micros(event_time) - unix_micros(before) > {asked.gap_s * 1_000_000}"
    )
    runs = (
        events.where("user_key is not null")
        .withColumn("before", F.lag("event_time").over(order))
        .withColumn("run", F.sum(F.when(pause, 1).otherwise(0)).over(order))
    )
    sessions = runs.groupBy("user_key", "run").agg(
        F.min("event_time").alias("session_start"),
        F.max("event_time").alias("session_end"),
        F.count("*").alias("event_count"),
        F.expr("min(struct(event_time, event_id)).event_id").alias("first_event_id"),
        F.expr("(unix_micros(max(event_time)) - unix_micros(min(event_time))) / 1e6").alias(
            "duration_s"
        ),
    )
    counts["sessions"] = _write(sessions.drop("run"), out / "sessions")
    sessions = spark.read.parquet(str(out / "sessions"))
    hours = events.groupBy(F.date_trunc("hour", "event_time").alias("hour"), "event_type").agg(
        F.count("*").alias("events"), F.count_distinct("user_key").alias("users")
    )
    counts["hourly_activity"] = _write(hours, out / "hourly_activity")
    days = events.groupBy(F.to_date("event_time").alias("date")).agg(
        F.count("*").alias("events"), F.count_distinct("user_key").alias("users")
    )
    lengths = sessions.groupBy(F.to_date("session_start").alias("date")).agg(
        F.count("*").alias("sessions"),
        F.avg("duration_s").alias("mean_duration_s"),
        F.expr("percentile(duration_s, 0.5)").alias("median_duration_s"),
        F.avg(F.expr("if(event_count = 1, 1, 0)")).alias("bounce_rate"),
    )
    counts["daily_activity"] = _write(days.join(lengths, "date", "left"), out / "daily_activity")
    answer(counts)
    spark.stop()


def _value(field: Field) -> Column:
    if not field.names:
        return F.lit(None).cast(field.type).alias(field.column)
    return F.col(".".join(map(_name, ["e", *field.names]))).alias(field.column)


def _schema(nested: dict[str, Any]) -> str:
    return (
        "struct<"
        + ", ".join(
            f"{_name(name)}: {_schema(of) if isinstance(of, dict) else of}"
            for name, of in nested.items()
        )
        + ">"
    )


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _write(rows: DataFrame, place: Path) -> int:
    rows.write.mode("overwrite").parquet(str(place))
    return rows.sparkSession.read.parquet(str(place)).count()


if __name__ == "__main__":
    main()
