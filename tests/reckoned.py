"""The rows that the tables must hold, by the independent reckoning."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from compare import Row
from reckoning import MICROSECOND, Event, Session, daily_of, hourly_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(time: datetime) -> str:
    """Return a time as Spark writes it."""
    text = time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.rstrip("0").rstrip(".")


def session_row(session: Session, own_id: str | None = None) -> Row:
    """Return the row of a session in `warehouse/sessions`."""
    first, last = session.events[0], session.events[-1]
    micros = (first.event_time - EPOCH) // MICROSECOND
    kind = ["anonymous"] if session.user_key_kind == "anonymous" else []
    about = [session.source, *kind, session.user_key, first.event_id, str(micros)]
    said = json.dumps(about, separators=(",", ":"))
    types = Counter(event.event_type or "" for event in session.events)
    return {
        "source": session.source,
        "start_date": session.start.strftime("%Y-%m-%d"),
        "start_hour": time_text(session.start.replace(minute=0, second=0, microsecond=0)),
        "session_id": own_id or hashlib.sha256(said.encode()).hexdigest()[:32],
        "source_session_id": own_id,
        "user_key": session.user_key,
        "user_key_kind": session.user_key_kind,
        "session_start": time_text(session.start),
        "session_end": time_text(session.end),
        "duration_s": float(session.duration_s),
        "event_count": len(session.events),
        "events_by_type": dict(types),
        "first_event_id": first.event_id,
        "first_event_type": first.event_type,
        "last_event_id": last.event_id,
        "last_event_type": last.event_type,
        "is_bounce": len(session.events) == 1,
        "dump_hours": sorted({time_text(event.dump_hour) for event in session.events}),
    }


def hourly_rows(events: Iterable[Event]) -> list[Row]:
    """Return the rows of `warehouse/hourly_activity`."""
    return [
        {
            "source": source,
            "date": hour.strftime("%Y-%m-%d"),
            "hour": time_text(hour),
            "event_type": kind,
            "events": count,
            "users": users,
        }
        for (source, hour, kind), (count, users) in hourly_of(events).items()
    ]


def daily_rows(events: Sequence[Event], sessions: Iterable[Session]) -> list[Row]:
    """Return the rows of `warehouse/daily_activity` without the sketch; days without events have none."""

    def number(value: Fraction | None) -> float | None:
        return None if value is None else float(value)

    return [
        {
            "source": source,
            "date": day.isoformat(),
            "events": found.events,
            "users": found.users,
            "sessions": found.sessions,
            "mean_duration_s": number(found.mean_duration_s),
            "median_duration_s": number(found.median_duration_s),
            "bounce_rate": number(found.bounce_rate),
        }
        for (source, day), found in daily_of(events, sessions).items()
    ]


def event_row(event: Event, own_id: str | None = None) -> Row:
    """Return what of an event sessions and aggregates are computed from."""
    return {
        "source": event.source,
        "user_key": event.user_key,
        "user_key_kind": None if event.user_key is None else event.user_key_kind,
        "source_session_id": own_id,
        "event_time": event.event_time,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "dump_hour": event.dump_hour,
    }


EVENT_COLUMNS = {
    "source": "string",
    "user_key": "string",
    "user_key_kind": "string",
    "source_session_id": "string",
    "event_time": "timestamp",
    "event_id": "string",
    "event_type": "string",
    "dump_hour": "timestamp",
}
