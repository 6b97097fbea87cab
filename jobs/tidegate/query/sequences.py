"""Sequences: what of the numbers that producers give their events arrived, by producer and hour.

One rule, in SQL, over `ops/numbers`: analysts have it as the view `ops.sequences`, audits ask it of what
is about to be published. So it is always as the landings that stand are, whatever their order.

- For an hour stands what is published of it, or else its latest landing: what is held has arrived.
- Expected of an hour are the numbers above the highest of the hours before it, up to its own highest.
  Of those, lost is what no hour has: a late one fills the gap of the hour that it was missed in.
- A gap that reaches back over an hour of which nothing is known (not landed, or unreadable) is awaited.
- A number that came before is a repeat; one that is below the highest and new is late. So a producer
  that begins anew at 1 repeats itself.
- A producer that is not heard of for `REACH` begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.lake import literal

if TYPE_CHECKING:
    from tidegate.lake import Row

REACH = timedelta(days=7)
"""How far an hour's numbers are compared with those of other hours, back and ahead."""
SILENT = timedelta(hours=24)
"""How long a producer that sends nothing is told of."""

_STANDING = """
standing AS (
    SELECT h.source, h.dump_hour, l.landing_id, h.published_landing_id IS NOT NULL AS published
    FROM ops.hours h JOIN ops.landings l
      ON l.source = h.source AND l.landing_id = coalesce(h.published_landing_id, h.landing_id)
    WHERE l.unnumbered IS NOT NULL
), numbers AS (SELECT * FROM ops.numbers),
"""

_HOURS = int(REACH / timedelta(hours=1))
_RULE = f"""
known AS (
    SELECT *, row_number() OVER (PARTITION BY source ORDER BY dump_hour) AS place FROM standing
), heard AS (
    SELECT k.source, k.dump_hour, k.landing_id, k.published, k.place, n.producer, n.received,
           n.first, n.last, n.runs,
           list_sum([r.last - r.first + 1 FOR r IN n.runs])::HUGEINT AS different
    FROM numbers n JOIN known k USING (source, dump_hour, landing_id)
), before AS (
    SELECT *,
           max(CASE WHEN runs IS NOT NULL
                    THEN struct_pack(last := last, hour := dump_hour, place := place) END) OVER past AS high,
           max(CASE WHEN runs IS NULL THEN dump_hour END) OVER past AS cut_hour,
           max(dump_hour) OVER past AS previous_hour,
           lead(dump_hour) OVER (PARTITION BY source, producer ORDER BY dump_hour) AS next_hour
    FROM heard
    WINDOW past AS (
        PARTITION BY source, producer ORDER BY dump_hour
        RANGE BETWEEN INTERVAL {_HOURS} HOUR PRECEDING AND INTERVAL 1 HOUR PRECEDING)
), bounded AS (
    SELECT *, coalesce(high.last, first - 1) AS floor,
           coalesce(
               cut_hour > high.hour
               OR place - high.place < date_diff('hour', high.hour, dump_hour), false) AS has_unknown
    FROM before WHERE runs IS NOT NULL AND {{asked}}
), measured AS (
    SELECT *, greatest(last - floor, 0) AS expected,
           list_sum([greatest(r.last - greatest(r.first, floor + 1) + 1, 0) FOR r IN runs])::HUGEINT
               AS above,
           -- The first number above what came before: where the gap to it ends.
           list_min([greatest(r.first, floor + 1) FOR r IN runs IF r.last > floor]) AS edge
    FROM bounded
), later AS (
    SELECT m.source, m.producer, m.dump_hour, m.floor, m.last, m.edge, m.has_unknown, o.runs
    FROM measured m JOIN heard o
      ON o.source = m.source AND o.producer = m.producer
     AND o.dump_hour > m.dump_hour AND o.dump_hour <= m.dump_hour + INTERVAL {_HOURS} HOUR
     AND o.first <= m.last AND o.last > m.floor
    WHERE m.expected > m.above
), earlier AS (
    SELECT m.source, m.producer, m.dump_hour, m.first, m.last, o.runs
    FROM measured m JOIN heard o
      ON o.source = m.source AND o.producer = m.producer
     AND o.dump_hour < m.dump_hour AND o.dump_hour >= m.dump_hour - INTERVAL {_HOURS} HOUR
     AND o.first <= m.last AND o.last >= m.first
    WHERE m.first <= m.high.last
), spans AS (
    SELECT source, producer, dump_hour, 'gap' AS of, floor + 1 AS low, last AS top, unnest(runs) AS r
    FROM (SELECT source, producer, dump_hour, floor, last, runs FROM later UNION ALL
          SELECT source, producer, dump_hour, floor, last, runs FROM measured
          WHERE expected > above)
    UNION ALL
    SELECT source, producer, dump_hour, 'edge', floor + 1, edge - 1, unnest(runs)
    FROM later WHERE has_unknown
    UNION ALL
    SELECT source, producer, dump_hour, 'before', first, last, unnest(runs) FROM earlier
    UNION ALL
    SELECT source, producer, dump_hour, 'every', first, last, unnest(runs)
    FROM (SELECT source, producer, dump_hour, first, last, runs FROM earlier UNION ALL
          SELECT source, producer, dump_hour, first, last, runs FROM measured
          WHERE first <= high.last)
), clipped AS (
    SELECT source, producer, dump_hour, of,
           greatest(r.first, low) AS first, least(r.last, top) AS last
    FROM spans WHERE r.first <= top AND r.last >= low
), pieces AS (
    -- How many different numbers there are in overlapping runs.
    SELECT source, producer, dump_hour, of,
           greatest(last - greatest(first, coalesce(1 + max(last) OVER (
               PARTITION BY source, producer, dump_hour, of ORDER BY first, last
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), first)) + 1, 0) AS n
    FROM clipped
), covered AS (
    SELECT source, producer, dump_hour, sum(n) FILTER (of = 'gap') AS gap,
           sum(n) FILTER (of = 'edge') AS edge, sum(n) FILTER (of = 'before') AS before,
           sum(n) FILTER (of = 'every') AS every
    FROM pieces GROUP BY ALL
), counted AS (
    SELECT m.*, coalesce(c.gap, m.above) AS found,
           CASE WHEN m.has_unknown AND m.edge IS NOT NULL
                THEN m.edge - m.floor - 1 - coalesce(c.edge, 0) ELSE 0 END AS awaited,
           CASE WHEN c.every IS NULL THEN 0
                ELSE m.different + coalesce(c.before, 0) - c.every END AS seen
    FROM measured m LEFT JOIN covered c USING (source, producer, dump_hour)
)
SELECT source, dump_hour, producer, received, expected::BIGINT AS expected,
       (expected - found - awaited)::BIGINT AS lost, awaited::BIGINT AS awaited,
       (different - seen - above)::BIGINT AS late, (received - (different - seen))::BIGINT AS repeated,
       first, last, previous_hour, published, landing_id
FROM counted
UNION ALL
SELECT source, dump_hour, producer, received, NULL, NULL, NULL, NULL, NULL,
       first, last, previous_hour, published, landing_id
FROM before WHERE runs IS NULL AND {{asked}}
UNION ALL
SELECT b.source, k.dump_hour, b.producer, 0, NULL, NULL, NULL, 0, 0,
       NULL, NULL, b.dump_hour, k.published, k.landing_id
FROM before b JOIN (SELECT * FROM known WHERE {{asked}}) k
  ON k.source = b.source AND k.dump_hour > b.dump_hour
 AND k.dump_hour <= b.dump_hour + INTERVAL {int(SILENT / timedelta(hours=1))} HOUR
 AND (b.next_hour IS NULL OR k.dump_hour < b.next_hour)
WHERE b.next_hour IS NULL OR b.next_hour > b.dump_hour + INTERVAL 1 HOUR
"""

VIEW = f"CREATE VIEW ops.sequences AS WITH {_STANDING}{_RULE.format(asked='true')}"
"""The statement that makes the view, beside `ops.hours`, `ops.landings` and `ops.numbers`.

One row is an hour and a producer that it, or the 24 hours before it, heard of:

- `received`: lines with a number; 0 of a producer that was silent;
- `expected`: numbers above the highest before, up to the hour's own highest; NULL: not known;
- `lost`: those that no hour has; `awaited`: those that an hour between may have of which nothing is known;
- `late`: new numbers below the highest before;
- `repeated`: lines whose number was received before, in the hour or in an earlier one;
- `first`, `last`: the smallest and the largest number;
- `previous_hour`: in which the producer was heard of before;
- `published`: whether the hour is, else it is held; `landing_id`: what stands for it.
"""

_GIVEN = """
standing AS (
    SELECT unnest(json_transform($standing, '[{"source": "VARCHAR", "dump_hour": "TIMESTAMPTZ",
        "landing_id": "VARCHAR", "published": "BOOLEAN"}]'), recursive := true)
), numbers AS (
    SELECT n.source, n.dump_hour, n.landing_id, n.producer, n.received, n.first, n.last, n.runs
    FROM (SELECT unnest(json_transform($numbers, '[{"source": "VARCHAR", "dump_hour": "TIMESTAMPTZ",
        "landing_id": "VARCHAR", "producer": "VARCHAR", "received": "BIGINT", "first": "BIGINT",
        "last": "BIGINT", "runs": [{"first": "BIGINT", "last": "BIGINT"}]}]')) AS n)
),
"""


def sequences(
    standing: Sequence[Row], numbers: Sequence[Row], hours: Sequence[datetime] | None = None
) -> list[Row]:
    """Return the rows of `ops.sequences` as they are, or would be, by some landings.

    Args:
        standing: what stands for each hour: `source`, `dump_hour`, `landing_id`, `published`.
        numbers: rows of `ops/numbers`; those of other landings have no part in it.
        hours: only rows of these; of all by default.

    Returns:
        As `VIEW` tells; values as JSON has them; times as ISO 8601 text in UTC.
    """
    import duckdb

    asked = "true"
    if hours is not None:
        asked = f"dump_hour IN ({', '.join(map(literal, hours))})"
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"SELECT to_json(t) FROM (WITH {_GIVEN}{_RULE.format(asked=asked)}) t",
            {
                "standing": json.dumps(standing, default=str),
                "numbers": json.dumps(numbers, default=str),
            },
        ).fetchall()
    return [json.loads(row[0]) for row in found]
