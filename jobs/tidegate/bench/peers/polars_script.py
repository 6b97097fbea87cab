"""Parse, deduplicate, sessionize, aggregate and write Parquet: a straightforward Polars script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl

_FIELDS = pl.Struct(
    {
        "id": pl.String,
        "ts": pl.String,
        "type": pl.String,
        "user": pl.Struct({"id": pl.String, "anonymous_id": pl.String}),
        "page": pl.String,
        "device": pl.String,
        "product": pl.Struct({"id": pl.String}),
        "price": pl.Decimal(10, 2),
    }
)


def main() -> None:
    """Do the work that standard input asks for."""
    asked = json.load(sys.stdin)
    events = _events(Path(asked["dumps"]))
    sessions = _sessions(events, int(asked["gap_s"]))
    tables = {
        "events": events,
        "sessions": sessions,
        "hourly_activity": _hours(events),
        "daily_activity": _days(events, sessions),
    }
    out = Path(asked["out"])
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    json.dump({name: table.height for name, table in tables.items()}, sys.stdout)


def _events(dumps: Path) -> pl.DataFrame:
    line, parsed = pl.col("line"), pl.col("e").struct
    user = parsed.field("user").struct
    return (
        pl.scan_lines(dumps / "*.json.gz", include_file_paths="file")
        # json_decode fails as a whole on one broken line; a path found in it is one that parses.
        .filter(line.str.json_path_match("$.id").is_not_null())
        .select(line.str.json_decode(_FIELDS).alias("e"), line.alias("properties"), "file")
        .select(
            parsed.field("id").alias("event_id"),
            parsed.field("ts")
            .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
            .alias("event_time"),
            parsed.field("type").alias("event_type"),
            user.field("id").alias("user_id"),
            user.field("anonymous_id"),
            pl.coalesce(user.field("id"), user.field("anonymous_id")).alias("user_key"),
            parsed.field("page"),
            parsed.field("device"),
            parsed.field("product").struct.field("id").alias("product_id"),
            parsed.field("price"),
            "properties",
            "file",
        )
        .filter(pl.col("event_time").is_not_null())
        .sort("file")
        .unique("event_id", keep="first")
        .collect(engine="streaming")
    )


def _sessions(events: pl.DataFrame, gap_s: int) -> pl.DataFrame:
    time, user = pl.col("event_time"), pl.col("user_key")
    paused = (time - time.shift()).dt.total_microseconds() > gap_s * 1_000_000
    length = time.max() - time.min()
    return (
        events.lazy()
        .select("user_key", "event_time", "event_id")
        .filter(user.is_not_null())
        .sort("user_key", "event_time", "event_id")
        .with_columns(
            ((user != user.shift()) | paused).fill_null(value=True).cum_sum().alias("run")
        )
        .group_by("user_key", "run")
        .agg(
            time.min().alias("session_start"),
            time.max().alias("session_end"),
            pl.len().alias("event_count"),
            pl.col("event_id").first().alias("first_event_id"),
            (length.dt.total_microseconds() / 1e6).alias("duration_s"),
        )
        .drop("run")
        .collect(engine="streaming")
    )


def _hours(events: pl.DataFrame) -> pl.DataFrame:
    return events.group_by(pl.col("event_time").dt.truncate("1h").alias("hour"), "event_type").agg(
        pl.len().alias("events"), pl.col("user_key").drop_nulls().n_unique().alias("users")
    )


def _days(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    days = events.group_by(pl.col("event_time").dt.date().alias("date")).agg(
        pl.len().alias("events"), pl.col("user_key").drop_nulls().n_unique().alias("users")
    )
    lengths = sessions.group_by(pl.col("session_start").dt.date().alias("date")).agg(
        pl.len().alias("sessions"),
        pl.col("duration_s").mean().alias("mean_duration_s"),
        pl.col("duration_s").median().alias("median_duration_s"),
        (pl.col("event_count") == 1).mean().alias("bounce_rate"),
    )
    return days.join(lengths, on="date", how="left")


if __name__ == "__main__":
    main()
