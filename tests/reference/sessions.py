"""Events to sessions, by the definition, with a source's own session ids and kinds of user keys.

The pauses and cuts are those of `reckoning.sessions_of`. Here events are put into the groups that it is applied to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from compare import Row
from reckoned import session_row
from reckoning import Event, Session, sessions_of
from reference.parser import session_id

EventRow = Mapping[str, Any]


def session_rows(events: Iterable[EventRow], gap: timedelta, longest: timedelta) -> list[Row]:
    """Return the rows of `warehouse/sessions`, by source, user and start.

    A user key of one kind and the same text of another kind are two users.

    Args:
        events: `source`, `user_key`, `event_time` and `dump_hour` (aware), `event_id`, `event_type`,
            `source_session_id`, `user_key_kind`. Events without a user are in none.
        gap: an event later than that after the one before begins a session.
        longest: an event so long after the start of its session, or longer, begins one too.
    """
    own: dict[tuple[str, str], list[Event]] = defaultdict(list)
    others: list[Event] = []
    for row in events:
        if row["user_key"] is None:
            continue
        own_id = row["source_session_id"]
        group = others if own_id is None else own[row["source"], own_id]
        group.append(_event(row))
    rows = [
        _row(Session(source, run[0].user_key or "", tuple(run), run[0].user_key_kind), own_id)
        for (source, own_id), unordered in own.items()
        for run in [sorted(unordered, key=lambda event: (event.event_time, event.event_id))]
    ]
    sessions = sessions_of(others, gap.total_seconds(), longest.total_seconds())
    rows += [_row(session, None) for session in sessions]
    return sorted(rows, key=lambda row: (row["source"], row["user_key"], row["session_start"]))


def _row(session: Session, own_id: str | None) -> Row:
    row = session_row(session, own_id)
    if own_id is None:  # `reckoned` knows no escapes but those of plain text
        first = session.events[0]
        row["session_id"] = session_id(
            session.source,
            session.user_key,
            first.event_id,
            first.event_time,
            session.user_key_kind,
        )
    return row


def _event(row: EventRow) -> Event:
    time, hour = row["event_time"], row["dump_hour"]
    assert isinstance(time, datetime)
    assert isinstance(hour, datetime)
    return Event(
        source=row["source"],
        dump_hour=hour,
        event_id=row["event_id"],
        event_time=time,
        event_type=row["event_type"],
        user_key=row["user_key"],
        user_key_kind=row["user_key_kind"],
        file="",
        line=0,
    )
