"""The numbers that producers gave their events: a query of what was staged."""

from __future__ import annotations

MAX_RUNS = 10_000
"""How many runs of numbers of a producer a landing keeps. Who has more in an hour does not count its events."""


def received(lines: str) -> str:
    """Return the DuckDB SQL of what numbers each producer's events have, by dump.

    Its rows have `source`, `dump_hour`, `_dump`, `producer`, `received`, `first`, `last` and `runs`: the columns of
    `ops/numbers` but the landing's id. Lines without a number are in none of them.

    Args:
        lines: what stands after FROM: lines as they were staged of a source with a sequence, with `source`,
            `dump_hour`, `_dump`, `_producer` and `_number`.
    """
    return f"""
        WITH by_number AS (
            SELECT source, dump_hour, _dump, _producer, _number, count(*) AS n,
                -- Numbers of one run are all ahead of their place by as much.
                CAST(_number AS HUGEINT) - row_number() OVER (
                    PARTITION BY source, dump_hour, _dump, _producer ORDER BY _number
                ) AS run
            FROM {lines}
            WHERE _number IS NOT NULL
            GROUP BY source, dump_hour, _dump, _producer, _number
        ), runs AS (
            SELECT source, dump_hour, _dump, _producer,
                min(_number) AS first, max(_number) AS last, sum(n) AS n
            FROM by_number
            GROUP BY source, dump_hour, _dump, _producer, run
        )
        SELECT source, dump_hour, _dump, _producer AS producer,
            CAST(sum(n) AS BIGINT) AS received, min(first) AS first, max(last) AS last,
            CASE WHEN count(*) <= {MAX_RUNS} THEN list(
                struct_pack("first" := first, "last" := last) ORDER BY first
            ) END AS runs
        FROM runs
        GROUP BY source, dump_hour, _dump, _producer"""
