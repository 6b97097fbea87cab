"""What the books say: hours by source, what is held, what is stale. Through DuckDB, without a JVM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.configuration import changes, definition, fingerprint
from tidegate.tables import BY_NAME, REBUILDABLE

if TYPE_CHECKING:
    import duckdb

    from tidegate.source import Source

_LATEST = """
WITH in_force AS (
    SELECT source, configuration FROM ops.publications WHERE table_name = 'events'
    QUALIFY row_number() OVER (PARTITION BY source ORDER BY sequence DESC) = 1
), latest AS (
    SELECT l.* FROM ops.landings l LEFT JOIN in_force f USING (source)
    -- A rebuild that was held or killed leaves landings that stand for nothing.
    WHERE f.configuration IS NULL OR f.configuration = l.configuration
    QUALIFY row_number() OVER (
        PARTITION BY l.source, dump_hour ORDER BY landed_at DESC, landing_id DESC) = 1
), published AS (
    SELECT source, s.slice AS dump_hour, s.landing_id AS landing_id, delta_version
    FROM (SELECT source, sequence, delta_version, unnest(slices) AS s
          FROM ops.publications WHERE table_name = 'events')
    QUALIFY row_number() OVER (PARTITION BY source, s.slice ORDER BY sequence DESC) = 1
), failed AS (
    SELECT source, dump_hour, audited_at,
           string_agg(expectation || ': expected ' || expected || ', observed ' || observed
                      || ' (' || why || ')', '; ' ORDER BY expectation) AS why
    FROM (SELECT *, unnest(slices) AS dump_hour FROM ops.audits
          WHERE table_name = 'events' AND NOT success AND severity = 'critical')
    GROUP BY source, dump_hour, audited_at
    QUALIFY row_number() OVER (PARTITION BY source, dump_hour ORDER BY audited_at DESC) = 1
)
"""

_HELD = (
    _LATEST
    + """
SELECT l.source, strftime(l.dump_hour, '%Y-%m-%dT%H') AS slice, 'events' AS table_name,
       coalesce(l.error, f.why) AS why,
       strftime(coalesce(f.audited_at, l.landed_at), '%Y-%m-%dT%H:%M:%SZ') AS since,
       p.landing_id IS NOT NULL AS has_older,
       l.status = 'unreadable' AS unreadable
FROM latest l
LEFT JOIN published p USING (source, dump_hour)
LEFT JOIN failed f ON f.source = l.source AND f.dump_hour = l.dump_hour
     AND f.audited_at >= l.landed_at
WHERE p.landing_id IS DISTINCT FROM l.landing_id
  AND (l.status = 'unreadable' OR f.why IS NOT NULL)
ORDER BY ALL
"""
)

_HELD_DERIVED = """
WITH audit AS (
    SELECT table_name, source, audited_at, any_value(slices) AS slices,
           string_agg(expectation || ': expected ' || expected || ', observed ' || observed
                      || ' (' || why || ')', '; ' ORDER BY expectation)
               FILTER (NOT success AND severity = 'critical') AS why
    FROM ops.audits WHERE table_name <> 'events' GROUP BY table_name, source, audited_at
    QUALIFY row_number() OVER (PARTITION BY table_name, source ORDER BY audited_at DESC) = 1
)
SELECT source, strftime(list_min(slices), '%Y-%m-%dT%H') || '..'
       || strftime(list_max(slices), '%Y-%m-%dT%H') AS slice, table_name, why,
       strftime(audited_at, '%Y-%m-%dT%H:%M:%SZ') AS since, true AS has_older, false AS unreadable
FROM audit WHERE why IS NOT NULL ORDER BY ALL
"""

_HOURS = (
    _LATEST
    + """
SELECT l.source,
       strftime(min(l.dump_hour), '%Y-%m-%dT%H') AS first_hour,
       strftime(max(l.dump_hour), '%Y-%m-%dT%H') AS last_hour,
       count(*) AS landed,
       count(p.landing_id) AS published,
       count(*) FILTER (p.landing_id IS DISTINCT FROM l.landing_id
                        AND (l.status = 'unreadable' OR f.why IS NOT NULL)) AS held,
       count(*) FILTER (p.landing_id IS DISTINCT FROM l.landing_id
                        AND l.status = 'landed' AND f.why IS NULL) AS waiting,
       date_diff('hour', min(l.dump_hour), max(l.dump_hour)) + 1 - count(*) AS missing,
       count(p.landing_id) FILTER (p.delta_version > coalesce(
           (SELECT max_by(versions, released_at)['events'] FROM ops.releases), -1)) AS stale
FROM latest l
LEFT JOIN published p USING (source, dump_hour)
LEFT JOIN failed f ON f.source = l.source AND f.dump_hour = l.dump_hour
     AND f.audited_at >= l.landed_at
GROUP BY l.source ORDER BY l.source
"""
)

_STATES = (
    _LATEST
    + """
SELECT l.source, l.dump_hour,
       CASE WHEN p.landing_id = l.landing_id THEN 'published'
            WHEN l.status = 'unreadable' THEN 'unreadable'
            WHEN f.why IS NOT NULL THEN 'held'
            ELSE 'waiting' END AS state
FROM latest l
LEFT JOIN published p USING (source, dump_hour)
LEFT JOIN failed f ON f.source = l.source AND f.dump_hour = l.dump_hour
     AND f.audited_at >= l.landed_at
WHERE """
)

_BUILT = """
WITH newest AS (
    SELECT table_name, source, configuration, code_version FROM ops.publications
    QUALIFY row_number() OVER (PARTITION BY table_name, source ORDER BY sequence DESC) = 1
), standing AS (
    SELECT table_name, source, suite
    FROM (SELECT table_name, source, sequence, suite, unnest(slices).slice AS slice
          FROM ops.publications)
    QUALIFY row_number() OVER (PARTITION BY table_name, source, slice ORDER BY sequence DESC) = 1
), passed AS (
    SELECT table_name, source, suite, count(*) AS n FROM standing GROUP BY ALL
)
SELECT n.table_name, n.source, n.configuration, n.code_version,
       (SELECT any_value(definition) FROM ops.configurations c
        WHERE c.configuration = n.configuration) AS definition,
       (SELECT map_from_entries(list({k: suite, v: p.n})) FROM passed p
        WHERE p.table_name = n.table_name AND p.source = n.source AND suite IS NOT NULL) AS suites
FROM newest n
"""


@dataclass(frozen=True)
class Stale:
    """A table of a source that is not what the source file, the suite and the code of today make of it.

    Attributes:
        table_name: the table.
        source: whose rows.
        why: what has changed since it was built.
    """

    table_name: str
    source: str
    why: str

    @property
    def todo(self) -> str:
        """What to do next."""
        return f"tidegate rebuild {self.table_name} {self.source}"


def stale(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], suites: Mapping[str, str]
) -> list[Stale]:
    """Return what a rebuild would change, in the order in which to do it.

    Args:
        connection: of `query.connect`.
        sources: as their files are now; others are not looked at.
        suites: the fingerprint of each table's suite.
    """
    found = []
    known = {source.source: source for source in sources}
    order = [table.name for table in REBUILDABLE]
    rows = [row for row in connection.execute(_BUILT).fetchall() if row[0] in order]
    for name, source, built_by, code, said, passed in sorted(
        rows, key=lambda row: (order.index(row[0]), row[1])
    ):
        if source not in known:
            continue
        table = BY_NAME[name]
        why = []
        if code != table.version:
            why.append(f"it was built by version {code} of its code, this is {table.version}")
        elif built_by != fingerprint(known[source], table):
            now = definition(known[source], table)
            parts = ", ".join(changes(json.loads(said or "{}"), now))
            why.append(f"{known[source].path.name} has changed ({parts})")
        older = sum(n for suite, n in (passed or {}).items() if suite != suites.get(name))
        if older and name in suites:
            every = sum(passed.values())
            why.append(f"{older} of {every} slices passed another suite than {name}.yml is now")
        if why:
            found.append(Stale(name, source, "; ".join(why)))
    return found


@dataclass(frozen=True)
class Held:
    """A slice whose latest candidate is not published.

    Attributes:
        source: whose.
        slice: the dump hour; of derived tables the first and last slice.
        table_name: the table that it would go to.
        why: what failed.
        since: when that was found, UTC.
        has_older: whether readers see an older publication of it meanwhile.
        unreadable: whether its files could not be read whole.
    """

    source: str
    slice: str
    table_name: str
    why: str
    since: str
    has_older: bool
    unreadable: bool

    @property
    def todo(self) -> str:
        """What to do next."""
        if self.table_name != "events":
            return "mend the cause; the next derive run takes it up again"
        again = f"tidegate run {self.source} --from {self.slice} --to {self.slice}"
        if self.unreadable:
            return f"have the files uploaded again, then clear `land` in Airflow or run: {again}"
        return f"mend the dump or the source file, then clear `land` in Airflow or run: {again}"

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {**asdict(self), "todo": self.todo}


def held(connection: duckdb.DuckDBPyConnection) -> list[Held]:
    """Return what is held, events first.

    Args:
        connection: of `query.connect`.
    """
    rows = [
        *connection.execute(_HELD).fetchall(),
        *connection.execute(_HELD_DERIVED).fetchall(),
    ]
    return [Held(*row) for row in rows]


def hours(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return a row a source: its first and last hour landed, and how many hours are in which state.

    `missing` counts hours between the first and the last that were never landed; `stale` counts
    published hours that no release has yet.
    """
    result = connection.execute(_HOURS)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def hour_states(
    connection: duckdb.DuckDBPyConnection, ranges: Mapping[str, tuple[datetime, datetime]]
) -> dict[str, dict[datetime, str]]:
    """Return the state of each hour that was ever landed: published, held, unreadable or waiting.

    Args:
        connection: of `query.connect`.
        ranges: the first and the last hour that is asked for, by source.
    """
    states: dict[str, dict[datetime, str]] = {source: {} for source in ranges}
    if not ranges:
        return states
    asked = " OR ".join("(l.source = ? AND l.dump_hour BETWEEN ? AND ?)" for _ in ranges)
    values = [value for source, ends in ranges.items() for value in (source, *ends)]
    for source, hour, state in connection.execute(_STATES + asked, values).fetchall():
        states[source][hour.astimezone(UTC)] = state
    return states
