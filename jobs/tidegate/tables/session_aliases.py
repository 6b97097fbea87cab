"""warehouse/session_aliases: where the events of sessions are whose ids were published and are no more.

The id of a session is made of its first event, so a late event before it, or a corrected dump without it,
gives the session another id. Who kept the old one, in a link or a report, finds here what became of it.
"""

from __future__ import annotations

from datetime import timedelta

from tidegate.tables.model import Column, Table
from tidegate.tables.sessions import KEY

TABLE = Table(
    name="session_aliases",
    area="warehouse",
    columns=(
        Column("source", "string", "name of the source"),
        Column("start_date", "date", "UTC date on which the session started, as last published"),
        Column("start_hour", "timestamp", "UTC hour in which it started, as last published"),
        Column("session_id", "string", "an id that was published, and that no session has now"),
        Column(
            "live_session_id",
            "string",
            "the session that has the first of its events that there still is; NULL: all are gone",
        ),
        Column("user_key", "string", "whose session it was, as last published"),
        Column("session_start", "timestamp", "time of its first event, as last published"),
        Column("session_end", "timestamp", "time of its last event, as last published"),
        Column(
            "events",
            "array<struct<event_id:string,event_time:timestamp,session_id:string>>",
            "its events as last published, in order, and the session that each is in now (or NULL)",
        ),
    ),
    key=("session_id",),
    slice=("source", "start_hour"),
    partition=("source", "start_date"),
    statistics=("start_hour", "session_start", "session_end"),
    meaning="an id of a session that is no more",
    built_from=("events", "sessions"),
    rebuildable=False,
)


ABOUT = tuple(name for name in TABLE.column_names if name not in ("events", "live_session_id"))
"""What a row says of the session that was; columns of `warehouse/sessions` too."""


def members(of: str = "true") -> str:
    """Return the query of which event is in which session: `session_id`, `event_id`, `t` (µs).

    It is a query of these rows:

    - `events`: `sessions.EVENT_COLUMNS`, all that the sessions were made of, others too.
    - `sessions`: `session_id`, `source`, `source_session_id`, `user_key`, `user_key_kind`, `session_start` and
      `session_end` of sessions. Those of one key lie apart in time.

    Args:
        of: predicate of the events that are wanted.
    """
    return f"""
        SELECT s.session_id, e.event_id, e.t
        FROM (
            SELECT source, {KEY} AS k, epoch_us(event_time) AS t, event_id
            FROM {{events}} WHERE user_key IS NOT NULL AND {of}
        ) e
        JOIN (
            SELECT source, {KEY} AS k, session_id,
                epoch_us(session_start) AS lo, epoch_us(session_end) AS hi
            FROM {{sessions}}
        ) s ON e.source = s.source AND e.k = s.k AND e.t BETWEEN s.lo AND s.hi"""


def build(within: timedelta) -> str:
    """Return the query of the rows of ids that are no more, each with the sessions that its events are in now.

    It gives the columns of `TABLE` for all of `lost` that had events and all of `known`, from these rows:

    - `lost`: rows of `warehouse/sessions` (`ABOUT` at least) whose ids no session has any more.
    - `were`: what `members` gives of those.
    - `known`: rows of `TABLE` that there are already.
    - `replaced`: `session_id` of sessions that were there before, and were built again or taken away.
    - `moved`: what `members` gives of the sessions that came in their place.

    Args:
        within: how far apart in time one id stands for one event. An id that came again after that is another
            event, so the nearest in time is meant.
    """
    about = ", ".join(ABOUT)
    of_lost = ", ".join(f"l.{name}" for name in ABOUT)
    us = within // timedelta(microseconds=1)
    return f"""
    WITH members AS (
        SELECT {of_lost}, w.event_id, w.t, CAST(NULL AS VARCHAR) AS was_in
        FROM {{lost}} l JOIN {{were}} w ON l.session_id = w.session_id
        UNION ALL
        SELECT {about}, e.event_id AS event_id, epoch_us(e.event_time) AS t, e.session_id AS was_in
        FROM (SELECT {about}, unnest(events) AS e FROM {{known}}) k
    ),
    numbered AS (
        SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY t, event_id) AS number FROM members
    ),
    found AS (
        SELECT m.*, g.session_id IS NOT NULL AS is_gone, n.session_id AS now_in, row_number() OVER (
            PARTITION BY m.session_id, m.number ORDER BY abs(n.t - m.t), n.session_id
        ) AS place
        FROM numbered m
        LEFT JOIN (SELECT DISTINCT session_id FROM {{replaced}}) g ON m.was_in = g.session_id
        LEFT JOIN {{moved}} n ON n.event_id = m.event_id AND abs(n.t - m.t) <= {us}
    ),
    placed AS (
        SELECT {about}, number, t, event_id,
            coalesce(now_in, CASE WHEN is_gone THEN NULL ELSE was_in END) AS live
        FROM found WHERE place = 1
    ),
    whole AS (
        SELECT {about},
            list_sort(list(struct_pack(number := number, t := t, event_id := event_id, live := live))) AS es,
            arg_min(live, number) FILTER (WHERE live IS NOT NULL) AS live_session_id
        FROM placed GROUP BY {about}
    )
    SELECT {about}, live_session_id,
        list_transform(es, lambda x: struct_pack(
            event_id := x.event_id, event_time := make_timestamptz(x.t), session_id := x.live
        )) AS events
    FROM whole"""
