"""What the books say: hours by source, what is held, what is stale. Through DuckDB, without a JVM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.hints import command, source_word
from tidegate.config.fingerprint import changes, definition, fingerprint
from tidegate.dumps.hour_files import EXCLUDED
from tidegate.query.hour_status import STANDING
from tidegate.query.releases import rolled_back_text
from tidegate.tables import BY_NAME, REBUILDABLE

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.source import Source

STATUS = "coalesce(status, CASE WHEN success THEN 'met' WHEN NOT success THEN 'failed' ELSE 'not known' END)"
"""What came of an expectation run, in SQL over `ops.audits`; older books have no status."""

_HELD = """
SELECT source, strftime(dump_hour, '%Y-%m-%dT%H') AS slice, 'events' AS table_name,
       why, strftime(since, '%Y-%m-%dT%H:%M:%SZ') AS since,
       strftime(dump_hour, '%Y-%m-%d') || ' is partial: '
       || (SELECT count(published_landing_id) FROM ops.hours d WHERE d.source = h.source
           AND date_trunc('day', d.dump_hour) = date_trunc('day', h.dump_hour))
       || ' of 24 hours published' AS waits,
       published_landing_id IS NOT NULL AS has_older,
       state = 'unreadable' AS unreadable
FROM ops.hours h
WHERE state IN ('held', 'unreadable')
ORDER BY ALL
"""

_HELD_DERIVED = """
WITH audit AS (
    SELECT table_name, source, audited_at, any_value(slices) AS slices,
           string_agg(expectation || ': expected ' || expected || ', observed ' || observed
                      || ' (' || why || ')', '; ' ORDER BY expectation)
               FILTER (NOT success AND severity = 'critical') AS why
    FROM ops.audits WHERE table_name <> 'events' GROUP BY table_name, source, audited_at
), newest AS (
    SELECT * FROM audit
    QUALIFY row_number() OVER (PARTITION BY table_name, source ORDER BY audited_at DESC) = 1
), consumed AS (
    SELECT table_name, source, published_at, input_versions['events'] AS version
    FROM ops.publications WHERE table_name <> 'events'
    QUALIFY row_number() OVER (PARTITION BY table_name, source ORDER BY sequence DESC) = 1
)
SELECT n.source, strftime(list_min(n.slices), '%Y-%m-%dT%H') || '..'
       || strftime(list_max(n.slices), '%Y-%m-%dT%H') AS slice, n.table_name, n.why,
       strftime((SELECT min(a.audited_at) FROM audit a
                 WHERE a.table_name = n.table_name AND a.source = n.source AND a.why IS NOT NULL
                   AND a.audited_at > coalesce(c.published_at, TIMESTAMP '-infinity')),
                '%Y-%m-%dT%H:%M:%SZ') AS since,
       (SELECT count(*) || ' publications of events' FROM ops.publications p
        WHERE p.table_name = 'events' AND p.source = n.source
          AND p.delta_version > coalesce(c.version, -1)) AS waits,
       c.table_name IS NOT NULL AS has_older, false AS unreadable
FROM newest n LEFT JOIN consumed c USING (table_name, source)
WHERE n.why IS NOT NULL
  -- What failed and was approved has been published.
  AND n.audited_at > coalesce(c.published_at, TIMESTAMP '-infinity')
ORDER BY ALL
"""

_UNREAD_DAYS = 7
_UNREAD = f"""
WITH standing AS ({STANDING.format(where=f"l.landed_at >= now() - INTERVAL {_UNREAD_DAYS} DAYS")}),
unread AS (
    SELECT source, dump_hour, unread_count,
           list_filter(unread, lambda each: each.reason <> '{EXCLUDED}') AS others
    FROM standing WHERE unread_count > 0
)
SELECT source, count(*) AS hours, sum(unread_count)::BIGINT AS files,
       strftime(max(dump_hour), '%Y-%m-%dT%H') AS newest_hour,
       max_by(others[1].name || ' (' || others[1].reason || ')', dump_hour) AS example
FROM unread WHERE len(others) > 0 GROUP BY source ORDER BY source
"""

_HOURS = """
SELECT source,
       strftime(min(dump_hour), '%Y-%m-%dT%H') AS first_hour,
       strftime(max(dump_hour), '%Y-%m-%dT%H') AS last_hour,
       count(*) AS landed,
       count(published_landing_id) AS published,
       count(*) FILTER (state IN ('held', 'unreadable')) AS held,
       count(*) FILTER (state = 'waiting') AS waiting,
       date_diff('hour', min(dump_hour), max(dump_hour)) + 1 - count(*) AS missing,
       count(*) FILTER (delta_version > coalesce(
           (SELECT max_by(versions, released_at)['events'] FROM ops.releases), -1)) AS stale
FROM ops.hours GROUP BY source ORDER BY source
"""

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
        return command("rebuild", self.table_name, source_word(self.source))


def rolled_back(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return in words what was rolled back to, and why, if the release of a connection is a rollback."""
    from tidegate.query.connect import pinned

    release = pinned(connection)
    if release is None:
        return None
    columns = {row[0] for row in connection.execute("DESCRIBE ops.releases").fetchall()}
    if "rolled_back_to" not in columns:  # a lake that an older version wrote last
        return None
    row = connection.execute(
        "SELECT rolled_back_to, rolled_back_by, released_at, reason "
        "FROM ops.releases WHERE release_id = ? AND rolled_back_to IS NOT NULL",
        [release],
    ).fetchone()
    if row is None:
        return None
    earlier, by, at, reason = row
    return rolled_back_text(earlier, by, at.astimezone(UTC), reason)


def stale(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], suites: Mapping[str, str]
) -> list[Stale]:
    """Return what a rebuild would change, in the order in which to do it.

    Args:
        connection: of `query.connect`.
        sources: as their files are now; others are not looked at. Whether personal data were hashed by
            another key can be told of those that know theirs (`pii_key.with_known_key`).
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
        before = json.loads(said or "{}")
        now_known = _with_key(known[source], before)
        if code != table.version:
            why.append(f"it was built by version {code} of its code, this is {table.version}")
        elif built_by != fingerprint(now_known, table):
            parts = ", ".join(changes(before, definition(now_known, table)))
            why.append(f"{known[source].path.name} has changed ({parts})")
        older = sum(n for suite, n in (passed or {}).items() if suite != suites.get(name))
        if older and name in suites:
            every = sum(passed.values())
            why.append(f"{older} of {every} slices passed another suite than {name}.yml is now")
        if why:
            found.append(Stale(name, source, "; ".join(why)))
    return found


def _with_key(source: Source, built: Mapping[str, Any]) -> Source:
    """Return a source that knows its key: that of what was built, for a reader who has none."""
    if source.pii_key is not None or not source.hashes:
        return source
    return source.keyed(built.get("pii_key", "a first key"))


@dataclass(frozen=True)
class Held:
    """A slice whose latest candidate is not published.

    Attributes:
        source: whose.
        slice: the dump hour; of derived tables the first and last slice.
        table_name: the table that it would go to.
        why: what failed.
        since: when that was found first, UTC.
        waits: what is not whole without it.
        has_older: whether readers see an older publication of it meanwhile.
        unreadable: whether its files could not be read whole.
    """

    source: str
    slice: str
    table_name: str
    why: str
    since: str
    waits: str
    has_older: bool
    unreadable: bool

    @property
    def todo(self) -> str:
        """What to do next."""
        approve = command("approve", self.approval, "--reason", "…", source=self.source)
        knowingly = f"if it is right: {approve}"
        if self.table_name != "events":
            return f"fix the cause; the next derive run takes it up again; {knowingly}"
        again = command("run", source_word(self.source), "--from", self.slice, "--to", self.slice)
        if self.unreadable:
            return f"have the files uploaded again, then clear `land` in Airflow or run: {again}"
        return (
            f"fix the dump or the source file, then clear `land` in Airflow or run: {again}; "
            f"{knowingly}"
        )

    @property
    def approval(self) -> str:
        """How `tidegate approve` names it."""
        if self.table_name != "events":
            return f"{self.table_name}/{self.source}"
        return f"{self.source}/{self.slice}"

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {**asdict(self), "approval": self.approval, "todo": self.todo}


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


def unread(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a line a source whose hours, landed in the last week, have files that were not read.

    What the source file excludes is no reason for one.

    Args:
        connection: of `query.connect`.
    """
    known = connection.execute(
        "SELECT count(*) FROM duckdb_columns() "
        "WHERE schema_name = 'ops' AND table_name = 'landings' AND column_name = 'unread_count'"
    ).fetchone()
    if known is None or not known[0]:
        return []  # nothing was landed since there is this column
    return [
        f"{source}: {files:,} file{'s' if files > 1 else ''} of {hours:,} hour{'s' if hours > 1 else ''} "
        f"landed in the last {_UNREAD_DAYS} days; of {newest}: {example}"
        for source, hours, files, newest, example in connection.execute(_UNREAD).fetchall()
    ]


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
    asked = " OR ".join("(source = ? AND dump_hour BETWEEN ? AND ?)" for _ in ranges)
    values = [value for source, ends in ranges.items() for value in (source, *ends)]
    for source, hour, state in connection.execute(
        f"SELECT source, dump_hour, state FROM ops.hours WHERE {asked}", values
    ).fetchall():
        states[source][hour.astimezone(UTC)] = state
    return states
