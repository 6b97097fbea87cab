"""warehouse/events: one row an event, and which events of a dump are withheld as duplicates."""

from __future__ import annotations

from datetime import timedelta

from tidegate.tables.model import Column, Table

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
        Column("user_key_kind", "string", "which of the two: user or anonymous; NULL for no user"),
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
    version=3,
)

USER = "(CASE WHEN user_key_kind = 'anonymous' THEN 'a:' ELSE 'u:' END || user_key)"
"""The expression of whose event, or session, a row is: user 42 and visitor 42 are two; NULL for no user."""

BASE_COLUMNS = frozenset(TABLE.column_names)
"""Columns of every source; a source file's own columns come after them."""


NO_IDS = (
    "SELECT CAST(NULL AS TIMESTAMPTZ) AS dump_hour, CAST(NULL AS VARCHAR) AS event_id WHERE false"
)
"""What `withheld` takes where no dump contains an id."""


def withheld(within: timedelta, ids: str = "SELECT dump_hour, event_id FROM {ids}") -> str:
    """Return the query of the events that are duplicates of an earlier dump: `dump_hour`, `event_id`.

    An event is a duplicate if and only if a dump of an earlier hour, at most `within` hours earlier,
    contains its id, whether or not that dump keeps it. So the nearest earlier hour that has the id decides.

    Few ids come twice: to count 64 bits of hash moves a tenth of what the rows themselves are. Ids are compared one
    by one afterwards, so that none is lost to a hash that two share; the hash itself decides nothing.

    Args:
        within: how far back a duplicate is looked for.
        ids: query of `dump_hour`, `event_id`: the ids that each dump contains; repeats do no harm.
    """
    return f"""
        WITH ids AS ({ids}),
        several AS (
            SELECT h FROM (SELECT hash(event_id) AS h FROM ids) i GROUP BY h HAVING count(*) > 1
        )
        SELECT dump_hour, event_id
        FROM (
            SELECT dump_hour, event_id,
                lag(dump_hour) OVER (PARTITION BY event_id ORDER BY dump_hour) AS before
            FROM (
                SELECT DISTINCT dump_hour, event_id FROM ids
                WHERE hash(event_id) IN (SELECT h FROM several)
            ) d
        ) o
        WHERE epoch_us(dump_hour) - epoch_us(before) <= {within // timedelta(microseconds=1)}"""


REPEATS = """
    WITH several AS (
        SELECT dump_hour, h
        FROM (SELECT dump_hour, hash(event_id) AS h FROM {staged}) i
        GROUP BY dump_hour, h HAVING count(*) > 1
    )
    SELECT dump_hour, file, line
    FROM (
        SELECT s.dump_hour, s.file, s.line, row_number() OVER (
            PARTITION BY s.dump_hour, s.event_id ORDER BY s.file, s.line
        ) AS place
        FROM {staged} s
        SEMI JOIN several v ON s.dump_hour = v.dump_hour AND hash(s.event_id) = v.h
    ) o
    WHERE place > 1"""
"""The query of the lines that repeat an id of an earlier line of their own dump: `dump_hour`, `file`, `line`.

The first line by file name, then line number, is not among them. `staged` are `dump_hour`, `event_id`, `file`,
`line` of the lines that are events.
"""
