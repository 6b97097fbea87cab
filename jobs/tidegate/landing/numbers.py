"""The numbers that producers gave their events: a pure function of what was staged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_RUNS = 10_000
"""How many runs of numbers of a producer a landing keeps. Who has more in an hour does not count its events."""


def received(lines: DataFrame) -> DataFrame:
    """Return what numbers each producer's events have, by dump.

    Args:
        lines: as they were staged of a source with a sequence: `source`, `dump_hour`, `_dump`,
            `_producer`, `_number`.

    Returns:
        `_dump` and the columns of `ops/numbers`, but the landing's id; lines without a number are in
        none of its rows.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    one = ["source", "dump_hour", "_dump", "_producer"]
    in_order = Window.partitionBy(*one).orderBy("_number")
    by_number = (
        lines.where("_number is not null")
        .groupBy(*one, "_number")
        .agg(F.count(F.lit(1)).alias("n"))
        # Numbers of one run are all ahead of their place by as much.
        .withColumn("run", F.col("_number") - F.row_number().over(in_order))
    )
    runs = (
        by_number.groupBy(*one, "run")
        .agg(F.min("_number").alias("first"), F.max("_number").alias("last"), F.sum("n").alias("n"))
        .withColumn("place", F.row_number().over(Window.partitionBy(*one).orderBy("first")))
    )
    kept = F.expr(f"if(place <= {MAX_RUNS}, struct(first, last), null)")
    return (
        runs.groupBy(*one)
        .agg(
            F.sum("n").alias("received"),
            F.min("first").alias("first"),
            F.max("last").alias("last"),
            F.count(F.lit(1)).alias("runs_in_all"),
            F.sort_array(F.collect_list(kept)).alias("kept"),
        )
        .select(
            "source",
            "dump_hour",
            "_dump",
            F.col("_producer").alias("producer"),
            "received",
            "first",
            "last",
            F.expr(f"if(runs_in_all <= {MAX_RUNS}, kept, null)").alias("runs"),
        )
    )
