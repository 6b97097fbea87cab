"""warehouse/sessions: one row a session, computed from events; and what a change of events affects.

A session is a run of one user's events of one source. An event more than `gap` after the user's
previous one starts a new session; exactly `gap` does not. An event `max` or more after its
session's start starts a new session too. Events are ordered by time, then id. Where the source
brings session ids of its own, those are the sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tidegate.tables.events import USER
from tidegate.tables.model import Column, Table

TABLE = Table(
    name="sessions",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("start_date", "date", "UTC date on which the session starts"),
        Column("start_hour", "timestamp", "UTC hour in which the session starts"),
        Column(
            "session_id",
            "string",
            "hash of source, user (of which kind, too) and first event (id and time); or the source's own",
        ),
        Column("source_session_id", "string", "the source's own session id, where it has one"),
        Column("user_key", "string", "whose session it is"),
        Column(
            "user_key_kind",
            "string",
            "whether that is a user id or an anonymous id: user or anonymous",
        ),
        Column("session_start", "timestamp", "time of the first event, UTC"),
        Column("session_end", "timestamp", "time of the last event, UTC"),
        Column("duration_s", "double", "seconds from the first event to the last"),
        Column("event_count", "bigint", "number of events"),
        Column("events_by_type", "map<string,bigint>", "number of events by type"),
        Column("first_event_id", "string", "id of the first event"),
        Column("first_event_type", "string", "type of the first event"),
        Column("last_event_id", "string", "id of the last event"),
        Column("last_event_type", "string", "type of the last event"),
        Column("is_bounce", "boolean", "whether it is a session of one event"),
        Column("dump_hours", "array<timestamp>", "hours of the dumps that its events came in"),
    ),
    key=("session_id",),
    slice=("source", "start_hour"),
    partition=("source", "start_date"),
    statistics=("start_hour", "session_start", "session_end"),
    meaning="a session",
    built_from=("events",),
    version=2,
)

EVENT_COLUMNS = (
    "source",
    "user_key",
    "user_key_kind",
    "source_session_id",
    "event_time",
    "event_id",
    "event_type",
    "dump_hour",
)
"""What of an event a session is computed from."""

KEY = f"coalesce('i:' || source_session_id, {USER})"
"""What ties events, and sessions, together: the source's own session id, else the user."""

UNTYPED = ""
"""Stands in `events_by_type` for events without a type, since a map's key can't be NULL."""

_HOUR_US = 3_600_000_000
_ORDER = "PARTITION BY source, k ORDER BY t, event_id, dump_hour, event_type"
"""The order of events: time, then id. Rows that agree in both came in dumps that are far apart."""


@dataclass(frozen=True)
class Rules:
    """How a source's events become sessions: the pause that ends one, and the longest there is."""

    gap: timedelta
    max: timedelta

    @property
    def gap_us(self) -> int:
        """The gap in microseconds."""
        return self.gap // timedelta(microseconds=1)

    @property
    def max_us(self) -> int:
        """The longest session in microseconds."""
        return self.max // timedelta(microseconds=1)


def sessionize(rules: Rules) -> str:
    """Return the query of the sessions of events, computed from scratch.

    Where each cut at `max` falls depends on the cut before it, so a run that is so long has its cuts found by one
    pass over its times; such runs are few.

    Args:
        rules: gap and longest session.

    Returns:
        A query of the columns of `TABLE`, over `events`: `EVENT_COLUMNS` at least, of any users, each user's events
        complete from the start of a session to a pause; events without a user are left out.
    """
    return f"""
    WITH {_runs(rules)},
    cuts AS (
        SELECT source, k, s, session_cuts(list_sort(list(DISTINCT t)), {rules.max_us}) AS cuts
        FROM runs WHERE NOT own GROUP BY source, k, s HAVING max(t) - s >= {rules.max_us}
    ),
    cut AS (
        SELECT r.* EXCLUDE (s, is_first, is_last),
            coalesce(list_max(list_filter(c.cuts, lambda x: x <= r.t)), r.s) AS s
        FROM runs r LEFT JOIN cuts c ON r.source = c.source AND r.k = c.k AND r.s = c.s
    ),
    beside AS (
        SELECT *, lag(s) OVER ({_ORDER}) AS s_before, lead(s) OVER ({_ORDER}) AS s_after FROM cut
    ),
    assigned AS (
        SELECT *, s_before IS NULL OR s_before <> s AS is_first, s_after IS NULL OR s_after <> s AS is_last
        FROM beside
    ),
    {_COLLAPSED}"""


def uncut(rules: Rules) -> str:
    """Return the query of what no pause interrupts: sessions as if there were no longest one.

    They are those of `sessionize` but for the few that `is_long` names, at less than half of its cost.

    Args:
        rules: of which the gap counts.

    Returns:
        As `sessionize`.
    """
    return f"WITH {_runs(rules)}, assigned AS (SELECT * FROM runs), {_COLLAPSED}"


def is_long(rules: Rules) -> str:
    """Return the predicate of rows of `uncut` that are no sessions, since they are to be cut again."""
    us = "epoch_us(session_end) - epoch_us(session_start)"
    return f"(source_session_id IS NULL AND {us} >= {rules.max_us})"


def events_of(where: str) -> str:
    """Return the query of the `events` of those `sessions` that a predicate names."""
    columns = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
    return f"""
        SELECT {columns} FROM (
            SELECT {", ".join(EVENT_COLUMNS)}, {KEY} AS k FROM {{events}} WHERE user_key IS NOT NULL
        ) e
        SEMI JOIN (
            SELECT source, {KEY} AS k, session_start, session_end FROM {{sessions}} WHERE {where}
        ) s ON e.source = s.source AND e.k = s.k AND e.event_time BETWEEN s.session_start AND s.session_end"""


def _runs(rules: Rules) -> str:
    """Return the steps up to `runs`: events with what ties them (`k`), their time and their run's start (`t`, `s`, µs).

    A run is what no pause interrupts. Its start is its name, since times only grow along the order. The source's
    own sessions (`own`) have no pauses.
    """
    paused = f"(NOT own AND {{}} > {rules.gap_us})"
    return f"""
    keyed AS (
        SELECT source, {KEY} AS k, source_session_id IS NOT NULL AS own, user_key, user_key_kind, event_id,
            event_type, dump_hour, epoch_us(event_time) AS t
        FROM {{events}} WHERE user_key IS NOT NULL
    ),
    neighbours AS (
        SELECT *, lag(t) OVER ({_ORDER}) AS t_before, lead(t) OVER ({_ORDER}) AS t_after FROM keyed
    ),
    ends AS (
        SELECT * EXCLUDE (t_before, t_after), t_before IS NULL OR {paused.format("t - t_before")} AS is_first,
            t_after IS NULL OR {paused.format("t_after - t")} AS is_last
        FROM neighbours
    ),
    runs AS (
        SELECT *, max(CASE WHEN is_first THEN t END) OVER (
            {_ORDER} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS s
        FROM ends
    )"""


_ENDS = (
    ("first_event_id", "is_first", "event_id"),
    ("first_event_type", "is_first", "event_type"),
    ("first_user_key", "is_first", "user_key"),
    ("first_user_kind", "is_first", "user_key_kind"),
    ("last_event_id", "is_last", "event_id"),
    ("last_event_type", "is_last", "event_type"),
)
"""What a session keeps of its first event and of its last: name, mark of the event, column of the event."""

_COLLAPSED = f"""
    whole AS (
        SELECT source, k, s, count(*) AS event_count, max(t) AS e,
            list(coalesce(event_type, '{UNTYPED}')) AS types, list_sort(list(DISTINCT dump_hour)) AS dump_hours,
            {", ".join(f"max(CASE WHEN {mark} THEN {column} END) AS {name}" for name, mark, column in _ENDS)}
        FROM assigned GROUP BY source, k, s
    ),
    named AS (
        SELECT *, CASE WHEN k LIKE 'i:%' THEN substring(k, 3) END AS source_session_id FROM whole
    )
    SELECT source, CAST(make_timestamp(s) AS DATE) AS start_date,
        make_timestamptz(s - mod(mod(s, {_HOUR_US}) + {_HOUR_US}, {_HOUR_US})) AS start_hour,
        coalesce(source_session_id, left(sha256(CAST(to_json(
            CASE WHEN first_user_kind = 'anonymous'
                THEN [source, first_user_kind, first_user_key, first_event_id, CAST(s AS VARCHAR)]
                ELSE [source, first_user_key, first_event_id, CAST(s AS VARCHAR)] END
        ) AS VARCHAR)), 32)) AS session_id,
        source_session_id, first_user_key AS user_key, first_user_kind AS user_key_kind,
        make_timestamptz(s) AS session_start, make_timestamptz(e) AS session_end,
        CAST(e - s AS DOUBLE) / CAST(1000000 AS DOUBLE) AS duration_s,
        event_count, counts_by_value(types) AS events_by_type, first_event_id, first_event_type,
        last_event_id, last_event_type, event_count = 1 AS is_bounce, dump_hours
    FROM named"""
"""The steps from `assigned`, events that know their session, to the columns of `TABLE`.

Few events have a mark, so that what one keeps of them costs little. An id is made of its first event's time too:
after the window of duplicates an event id may come again, as another event.
"""


def affected(rules: Rules) -> str:
    """Return the query of the ranges of time, by key, whose sessions have to be built again.

    Sessions and touched stretches of a key that lie within `gap` of each other form an island: outside an
    island nothing can change, since a pause longer than `gap` parts it from the rest, before the change
    and after. Within one, what comes before the last session that starts at or before the first
    touched time stays as it is, since sessions are cut from left to right. So the range begins there.
    Where it can end before the island does, `RESUMED` tells.

    It is a query of these rows:

    - `touched`: `k`, `lo`, `hi` (µs): stretches in which a key gained or lost events.
    - `old`: `k`, `lo`, `hi` (µs): the published sessions of those keys near the stretches.

    It gives `k`, `lo`, `hi` (µs: the range, which ends where the island does), `last` (µs: the end of what was
    touched) and `after`, the number of `old` sessions of the island that start after that. Sessions of
    the key that start up to `gap` after `hi` have to be among `old`, unless the range is resumed. A
    key of the source's own session ids is one island, however long its pauses.
    """
    return f"""
        WITH stretches AS (
            SELECT k, lo, hi, true AS is_touched FROM {{touched}}
            UNION ALL
            SELECT k, lo, hi, false AS is_touched FROM {{old}}
        ),
        reached AS (
            SELECT *, max(hi) OVER (
                PARTITION BY k ORDER BY lo, hi ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reach
            FROM stretches
        ),
        islands AS (
            SELECT *, max(
                CASE WHEN reach IS NULL OR (k NOT LIKE 'i:%' AND lo - reach > {rules.gap_us}) THEN lo END
            ) OVER (PARTITION BY k ORDER BY lo, hi) AS island
            FROM reached
        ),
        spans AS (
            SELECT *,
                min(CASE WHEN is_touched THEN lo END) OVER (PARTITION BY k, island) AS lo_touched,
                max(CASE WHEN is_touched THEN hi END) OVER (PARTITION BY k, island) AS hi_touched
            FROM islands
        ),
        whole AS (
            SELECT k, island, lo_touched, hi_touched, max(hi) AS hi,
                max(CASE WHEN NOT is_touched AND lo <= lo_touched THEN lo END) AS anchor,
                count(CASE WHEN NOT is_touched AND lo > hi_touched AND k NOT LIKE 'i:%' THEN 1 END) AS after
            FROM spans
            WHERE lo_touched IS NOT NULL
            GROUP BY k, island, lo_touched, hi_touched
        )
        SELECT k,
            CASE WHEN k LIKE 'i:%' THEN island ELSE coalesce(anchor, lo_touched) END AS lo,
            hi, hi_touched AS last, after
        FROM whole"""


RESUMED = """
    SELECT r.k, r.lo, coalesce(min(s.lo) - 1, r.hi) AS hi, min(s.lo) IS NOT NULL AS is_resumed
    FROM {ranges} r
    LEFT JOIN (
        SELECT o.k, o.lo FROM {old} o
        SEMI JOIN {fresh} f ON o.k = f.k AND o.lo = f.lo AND o.session_id = f.session_id
    ) s ON r.k = s.k AND r.k NOT LIKE 'i:%' AND s.lo > r.last AND s.lo BETWEEN r.lo AND r.hi
    GROUP BY r.k, r.lo, r.hi"""
"""The query of ranges that end where the old sessions go on as they were.

A session that starts after all that was touched, before the change and after it, is followed by the same
sessions in both, since each is cut from the start of the one before. So a user who never pauses has
two or three sessions built again, not all of them to this day.

It is a query of these rows:

- `ranges`: as `affected` gives them.
- `old`: `k`, `lo` (µs, start), `session_id` of the published sessions in the ranges, and of others.
- `fresh`: the same of those built from the events in the ranges.

It gives `k`, `lo`, `hi` (µs) and `is_resumed`. Sessions in `fresh` that start after `hi` are not needed.
"""
