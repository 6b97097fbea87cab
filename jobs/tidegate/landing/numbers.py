"""The numbers that producers gave their events: a pure function of what was staged."""

from __future__ import annotations

MAX_RUNS = 10_000
"""Runs of numbers of a producer that a landing keeps. The events of a producer with more in an hour have no order."""

RECEIVED = f"""
    WITH numbered AS (
        SELECT source, dump_hour, _dump, _producer, _number, count(*) AS n
        FROM {{lines}} WHERE _number IS NOT NULL GROUP BY ALL
    ),
    placed AS (
        -- Numbers of one run are all ahead of their place by as much.
        SELECT *, _number - row_number() OVER (
            PARTITION BY source, dump_hour, _dump, _producer ORDER BY _number
        ) AS run
        FROM numbered
    ),
    runs AS (
        SELECT source, dump_hour, _dump, _producer, min(_number) AS first, max(_number) AS last, sum(n) AS n
        FROM placed GROUP BY source, dump_hour, _dump, _producer, run
    )
    SELECT source, dump_hour, _dump, _producer AS producer, CAST(sum(n) AS BIGINT) AS received,
        min(first) AS first, max(last) AS last,
        CASE WHEN count(*) <= {MAX_RUNS}
            THEN list_sort(list(struct_pack(first := first, last := last))) END AS runs
    FROM runs GROUP BY source, dump_hour, _dump, _producer"""
"""The query of which numbers each producer's events have, by dump; lines without a number are in none of its rows.

It gives `_dump` and the columns of `ops/numbers`, but the landing's id, from `lines` as they were staged of a source
with a sequence: `source`, `dump_hour`, `_dump`, `_producer`, `_number`.
"""
