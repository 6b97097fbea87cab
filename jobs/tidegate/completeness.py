"""Completeness: how every hour of a source stands, and which days are partial. Views of DuckDB.

`ops.hours` is what the books say now, of each hour that was landed. `completeness_by_hour` and
`completeness_by_day` are for analysts: of each hour from a source's first to its last, whether the tables of
their release have it. `freshness` is how far each source's published events reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

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

_HOURS = f"""
CREATE VIEW ops.hours AS
WITH latest AS ({STANDING.format(where="true")}), published AS (
    SELECT source, s.slice AS dump_hour, s.landing_id AS landing_id, s.rows AS rows, delta_version,
           publication_id
    FROM (SELECT source, sequence, delta_version, publication_id, unnest(slices) AS s
          FROM ops.publications WHERE table_name = 'events')
    QUALIFY row_number() OVER (PARTITION BY source, s.slice ORDER BY sequence DESC) = 1
), failure AS (
    SELECT source, dump_hour, audited_at,
           string_agg(expectation || ': expected ' || expected || ', observed ' || observed
                      || ' (' || why || ')', '; ' ORDER BY expectation) AS why
    FROM (SELECT *, unnest(slices) AS dump_hour FROM ops.audits
          WHERE table_name = 'events' AND NOT success AND severity = 'critical')
    GROUP BY source, dump_hour, audited_at
), failed AS (
    SELECT l.source, l.dump_hour, max_by(f.why, f.audited_at) AS why, min(f.audited_at) AS since
    FROM latest l JOIN failure f
      ON f.source = l.source AND f.dump_hour = l.dump_hour AND f.audited_at >= l.landed_at
    GROUP BY ALL
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
"""

_BY_HOUR = """
CREATE VIEW completeness_by_hour AS
WITH shown AS (
    SELECT source, s.slice AS dump_hour, s.rows AS rows, s.landing_id AS landing_id
    FROM (SELECT source, sequence, unnest(slices) AS s FROM ops.publications
          WHERE table_name = 'events' AND delta_version <= {version})
    QUALIFY row_number() OVER (PARTITION BY source, s.slice ORDER BY sequence DESC) = 1
), every AS (
    SELECT source, unnest(generate_series(min(dump_hour), max(dump_hour), INTERVAL 1 HOUR)) AS dump_hour
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
"""

_BY_DAY = """
CREATE VIEW completeness_by_day AS
SELECT source, dump_date,
       count(*) FILTER (state = 'published') < 24 AS is_partial,
       count(*) FILTER (state = 'published') AS hours_published,
       count(*) FILTER (state IN ('held', 'unreadable')) AS hours_held,
       count(*) FILTER (state = 'waiting') AS hours_waiting,
       count(*) FILTER (state = 'missing') AS hours_missing,
       24 - count(*) AS hours_outside,
       sum(rows)::BIGINT AS rows
FROM completeness_by_hour GROUP BY source, dump_date
"""


_FRESHNESS = """
CREATE VIEW freshness AS
WITH shown AS (
    SELECT source, max(dump_hour) FILTER (state = 'published') AS newest_hour,
           coalesce(min(dump_hour) FILTER (state <> 'published') - INTERVAL 1 HOUR, max(dump_hour)) AS whole_to,
           min(dump_hour) AS first_hour
    FROM completeness_by_hour GROUP BY source
), made AS (
    SELECT source, max(published_at) AS published_at FROM ops.publications
    WHERE table_name = 'events' AND delta_version <= {version} GROUP BY source
)
SELECT source, newest_hour, CASE WHEN whole_to >= first_hour THEN whole_to END AS whole_to, published_at,
       (SELECT released_at FROM ops.releases WHERE release_id = getvariable('tidegate_release')) AS released_at,
       epoch(now() - newest_hour - INTERVAL 1 HOUR) AS age_s
FROM shown LEFT JOIN made USING (source)
"""


def make_views(connection: duckdb.DuckDBPyConnection, version: int | None) -> None:
    """Make the views in a connection that has those of `BOOKS`.

    Args:
        connection: where.
        version: of `events` that its other views are pinned to; None for the latest.
    """
    newest = 2**62 if version is None else int(version)
    connection.execute(_HOURS)
    connection.execute(_BY_HOUR.format(version=newest))
    connection.execute(_BY_DAY)
    connection.execute(_FRESHNESS.format(version=newest))
