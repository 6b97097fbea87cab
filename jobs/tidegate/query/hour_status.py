"""Completeness: how every hour of a source stands, and which days are partial. Views of DuckDB and of Spark.

`ops.hours` is what the books say now, of each hour that was landed. `completeness_by_hour` and
`completeness_by_day` are for analysts: of each hour from a source's first to its last, whether the tables of
their release have it. `freshness` is how far each source's published events reach.

Both engines get the same text but for a few words, so that a BI tool and a notebook are told the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Dialect:
    """What DuckDB and Spark say in different words, to be filled in by `str.format`.

    Attributes:
        each: the elements of an array, a row each.
        hours: the hours from one to another, as an array.
        joined: texts of a group joined, in their order.
        seconds: how many there are between two times.
    """

    each: str
    hours: str
    joined: str
    seconds: str


DUCKDB = Dialect(
    each="unnest({})",
    hours="generate_series({}, {}, INTERVAL 1 HOUR)",
    joined="string_agg({}, '; ' ORDER BY {})",
    seconds="epoch({1} - ({0}))",
)
SPARK = Dialect(
    each="explode({})",
    hours="sequence({}, {}, INTERVAL 1 HOUR)",
    joined="string_agg({}, '; ') WITHIN GROUP (ORDER BY {})",
    seconds="timestampdiff(MICROSECOND, {0}, {1}) / 1000000.0D",
)

BOOKS = frozenset({"landings", "publications", "audits", "releases"})
"""The books that the views are made from."""

STANDING = """
SELECT l.* FROM ops.landings l LEFT JOIN (
    SELECT source, configuration FROM ops.publications WHERE table_name = 'events'
    QUALIFY row_number() OVER (PARTITION BY source ORDER BY sequence DESC) = 1) f USING (source)
WHERE {where}
-- A rebuild that was held or killed leaves landings that stand for nothing.
QUALIFY row_number() OVER (
    PARTITION BY l.source, l.dump_hour
    ORDER BY coalesce(l.configuration = f.configuration, false) DESC,
             l.landed_at DESC, l.landing_id DESC) = 1
"""
"""The landing that stands for each hour, of those `where`: the latest by the configuration in force."""


def texts(dialect: Dialect, version: str, release: str) -> dict[str, str]:
    """Return the views' queries by their names, each after those that it is made from.

    Args:
        dialect: whose.
        version: of `events` that the release pins, as SQL.
        release: its id, as SQL.
    """
    slices = dialect.each.format("slices")
    hours = dialect.each.format(dialect.hours.format("min(dump_hour)", "max(dump_hour)"))
    failed = "expectation || ': expected ' || expected || ', observed ' || observed || ' (' || why || ')'"
    age = dialect.seconds.format("newest_hour + INTERVAL 1 HOUR", "now()")
    return {
        "hours": f"""
WITH latest AS ({STANDING.format(where="true")}), published AS (
    SELECT source, s.slice AS dump_hour, s.landing_id AS landing_id, s.rows AS rows, delta_version,
           publication_id
    FROM (SELECT source, sequence, delta_version, publication_id, {slices} AS s
          FROM ops.publications WHERE table_name = 'events')
    QUALIFY row_number() OVER (PARTITION BY source, s.slice ORDER BY sequence DESC) = 1
), failure AS (
    SELECT source, dump_hour, audited_at, {dialect.joined.format(failed, "expectation")} AS why
    FROM (SELECT *, {slices} AS dump_hour FROM ops.audits
          WHERE table_name = 'events' AND NOT success AND severity = 'critical')
    GROUP BY source, dump_hour, audited_at
), failed AS (
    SELECT l.source, l.dump_hour, max_by(f.why, f.audited_at) AS why, min(f.audited_at) AS since
    FROM latest l JOIN failure f
      ON f.source = l.source AND f.dump_hour = l.dump_hour AND f.audited_at >= l.landed_at
    GROUP BY l.source, l.dump_hour
)
SELECT l.source, l.dump_hour,
       CASE WHEN p.landing_id IS NOT DISTINCT FROM l.landing_id THEN 'published'
            WHEN l.status = 'unreadable' THEN 'unreadable'
            WHEN f.why IS NOT NULL THEN 'held'
            ELSE 'waiting' END AS state,
       coalesce(l.error, f.why) AS why,
       coalesce(f.since, l.landed_at) AS since,
       l.landing_id, l.landed_at,
       p.landing_id AS published_landing_id, p.publication_id, p.delta_version, p.rows
FROM latest l
LEFT JOIN published p USING (source, dump_hour)
LEFT JOIN failed f USING (source, dump_hour)
""",
        "completeness_by_hour": f"""
WITH shown AS (
    SELECT source, s.slice AS dump_hour, s.rows AS rows, s.landing_id AS landing_id
    FROM (SELECT source, sequence, {slices} AS s FROM ops.publications
          WHERE table_name = 'events' AND delta_version <= {version})
    QUALIFY row_number() OVER (PARTITION BY source, s.slice ORDER BY sequence DESC) = 1
), every AS (
    SELECT source, {hours} AS dump_hour
    FROM ops.hours GROUP BY source
)
SELECT e.source, e.dump_hour, CAST(e.dump_hour AS DATE) AS dump_date,
       CASE WHEN s.dump_hour IS NOT NULL THEN 'published'
            WHEN h.state IN ('held', 'unreadable') THEN h.state
            WHEN h.dump_hour IS NOT NULL THEN 'waiting'
            ELSE 'missing' END AS state,
       coalesce(s.rows, 0) AS rows,
       -- Older rows are shown where a newer landing is held.
       coalesce(s.landing_id = h.landing_id, false) AS is_latest,
       CASE WHEN h.state IN ('held', 'unreadable') THEN h.why END AS why
FROM every e
LEFT JOIN ops.hours h USING (source, dump_hour)
LEFT JOIN shown s USING (source, dump_hour)
""",
        "completeness_by_day": """
SELECT source, dump_date,
       count(*) FILTER (WHERE state = 'published') < 24 AS is_partial,
       count(*) FILTER (WHERE state = 'published') AS hours_published,
       count(*) FILTER (WHERE state IN ('held', 'unreadable')) AS hours_held,
       count(*) FILTER (WHERE state = 'waiting') AS hours_waiting,
       count(*) FILTER (WHERE state = 'missing') AS hours_missing,
       24 - count(*) AS hours_outside,
       CAST(sum(rows) AS BIGINT) AS rows
FROM completeness_by_hour GROUP BY source, dump_date
""",
        "freshness": f"""
WITH shown AS (
    SELECT source, max(dump_hour) FILTER (WHERE state = 'published') AS newest_hour,
           coalesce(min(dump_hour) FILTER (WHERE state <> 'published') - INTERVAL 1 HOUR, max(dump_hour)) AS whole_to,
           min(dump_hour) AS first_hour
    FROM completeness_by_hour GROUP BY source
), made AS (
    SELECT source, max(published_at) AS published_at FROM ops.publications
    WHERE table_name = 'events' AND delta_version <= {version} GROUP BY source
)
SELECT source, newest_hour, CASE WHEN whole_to >= first_hour THEN whole_to END AS whole_to, published_at,
       (SELECT released_at FROM ops.releases WHERE release_id = {release}) AS released_at,
       {age} AS age_s
FROM shown LEFT JOIN made USING (source)
""",
    }


def make_views(connection: duckdb.DuckDBPyConnection, version: int | None) -> None:
    """Make the views in a connection that has those of `BOOKS`.

    Args:
        connection: where.
        version: of `events` that its other views are pinned to; None for the latest.
    """
    newest = str(2**62 if version is None else int(version))
    for name, text in texts(DUCKDB, newest, "getvariable('tidegate_release')").items():
        view = f"ops.{name}" if name == "hours" else name
        connection.execute(f"CREATE VIEW {view} AS {text}")
