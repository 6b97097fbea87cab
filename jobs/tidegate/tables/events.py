"""warehouse/events: one row an event, and which events of a dump are withheld as duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tidegate.tables.model import Column, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    name="events",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("dump_date", "date", "UTC date of the dump hour"),
        Column("dump_hour", "timestamp", "UTC hour of the dump that brought the event"),
        Column("event_id", "string", "id of the event, unique within its source"),
        Column("event_time", "timestamp", "when it happened, UTC"),
        Column("event_type", "string", "what happened"),
        Column("user_id", "string", "id of a known user"),
        Column("anonymous_id", "string", "id of a device or visitor"),
        Column("user_key", "string", "the user id, or else the anonymous id; NULL for no user"),
        Column("source_session_id", "string", "the source's own session id, where it has one"),
        Column(
            "properties",
            "string",
            "the whole event as it came, as a JSON object; with pii, what that keeps of it",
        ),
        Column("file", "string", "file of the dump, relative to the root of the source's dumps"),
        Column("line", "bigint", "line in that file, from 1"),
    ),
    key=("source", "event_id"),
    slice=("source", "dump_hour"),
    partition=("source", "dump_date"),
    statistics=("dump_hour", "event_time"),
    meaning="an event",
)

BASE_COLUMNS = frozenset(TABLE.column_names)
"""Columns of every source; a source file's own columns come after them."""


def withheld(ids: DataFrame, within: timedelta) -> DataFrame:
    """Return the events that are duplicates of an earlier dump.

    An event is a duplicate if and only if a dump of an earlier hour, at most `within` hours earlier,
    contains its id, whether or not that dump keeps it. So the nearest earlier hour that has the id decides.

    Args:
        ids: `dump_hour`, `event_id`: the ids that each dump contains; repeats do no harm.
        within: how far back a duplicate is looked for.

    Returns:
        `dump_hour`, `event_id`: what each dump has to leave out.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy("event_id").orderBy("dump_hour")
    return (
        _several(ids.select("dump_hour", "event_id"), [])
        .distinct()
        .withColumn("before", F.lag("dump_hour").over(order))
        .where(
            F.unix_timestamp("dump_hour") - F.unix_timestamp("before")
            <= int(within.total_seconds())
        )
        .select("dump_hour", "event_id")
    )


def repeats(staged: DataFrame) -> DataFrame:
    """Return the lines that repeat an id of an earlier line of their own dump.

    Args:
        staged: `dump_hour`, `event_id`, `file`, `line` of the lines that are events.

    Returns:
        `dump_hour`, `file`, `line`; the first line by file name, then line number, is not among them.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy("dump_hour", "event_id").orderBy("file", "line")
    return (
        _several(staged.select("dump_hour", "event_id", "file", "line"), ["dump_hour"])
        .withColumn("place", F.row_number().over(order))
        .where("place > 1")
        .select("dump_hour", "file", "line")
    )


def _several(rows: DataFrame, also: Sequence[str]) -> DataFrame:
    """Return at least the rows whose `event_id`, and what of them is `also` named, another one has too.

    Few have. To count 64 bits of hash moves a tenth of what the rows themselves are; whoever looks at ids
    one by one afterwards has few rows to move, and none is lost to a hash that two ids share.
    """
    from pyspark.sql import functions as F

    hashed = rows.withColumn("_h", F.xxhash64("event_id"))
    several = hashed.groupBy(*also, "_h").agg(F.count(F.lit(1)).alias("n")).where("n > 1").drop("n")
    return hashed.join(several, [*also, "_h"], "left_semi").select(*rows.columns)
