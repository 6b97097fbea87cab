"""Parse, deduplicate, sessionize, aggregate and write Parquet: a straightforward Polars script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tidegate_bench.peers.asked import Asked, Field, answer

_TYPES: dict[str, Any] = {
    "string": pl.String,
    "int": pl.Int32,
    "bigint": pl.Int64,
    "float": pl.Float32,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "timestamp": pl.String,
    "date": pl.String,
}


def main() -> None:
    """Do the work that standard input asks for."""
    asked = Asked.read()
    events = _events(asked)
    sessions = _sessions(events, asked.gap_s)
    tables = {
        "events": events,
        "sessions": sessions,
        "hourly_activity": _hours(events),
        "daily_activity": _days(events, sessions),
    }
    out = Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    answer({name: table.height for name, table in tables.items()})


def _events(asked: Asked) -> pl.DataFrame:
    line = pl.col("line")
    id_path = "$" + "".join(f"[{name!r}]" for name in asked.path("event_id"))
    decimals = {each.type: _decimal(each.type) for each in asked.fields if "decimal" in each.type}
    return (
        pl.scan_lines(asked.dumps, include_file_paths="file")
        # json_decode fails as a whole on one broken line; a path found in it is one that parses.
        .filter(line.str.json_path_match(id_path).is_not_null())
        .select(
            line.str.json_decode(_struct(asked.nested({**_TYPES, **decimals}))).alias("e"),
            line.alias("properties"),
            "file",
        )
        .select(*map(_value, asked.fields), "properties", "file")
        .with_columns(pl.coalesce("user_id", "anonymous_id").alias("user_key"))
        .filter(pl.col("event_time").is_not_null())
        .sort("file")
        .unique("event_id", keep="first")
        .collect(engine="streaming")
    )


def _value(field: Field) -> pl.Expr:
    if not field.names:
        return pl.lit(None, pl.String).alias(field.column)
    value = pl.col("e")
    for name in field.names:
        value = value.struct.field(name)
    if field.type == "timestamp":
        value = value.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
    elif field.type == "date":
        value = value.str.to_date(strict=False)
    return value.alias(field.column)


def _struct(nested: dict[str, Any]) -> pl.Struct:
    return pl.Struct(
        {name: _struct(of) if isinstance(of, dict) else of for name, of in nested.items()}
    )


def _decimal(type_: str) -> pl.Decimal:
    precision, scale = type_.removeprefix("decimal(").removesuffix(")").split(",")
    return pl.Decimal(int(precision), int(scale))


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
