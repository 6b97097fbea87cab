"""An independent reckoning of what Tidegate must find: plain Python, none of its code.

It follows the definitions of the design and nothing else, holds everything in memory, and is meant
to be read: the tests compare the system's tables with it. Order of decisions on a line: bytes,
blank, form, id, time, the accept window, values.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a dump; `event_id` is its own or, where the source has none, file and line."""

    source: str
    dump_hour: datetime
    event_id: str
    event_time: datetime
    event_type: str | None
    user_key: str | None
    file: str
    line: int
    user_key_kind: str = "user"


@dataclass(frozen=True)
class Description:
    """How the lines of a source are read.

    Attributes:
        source: its name.
        event_time: dotted path or column of the time.
        event_type: the same of the type.
        event_id: the same of the id, or None where events have none.
        user_id: the same of the user's id.
        anonymous_id: the same of what stands in for it.
        unit: `iso`, `epoch_s` or `epoch_ms`.
        late: how far before its dump hour an event may lie.
        future: how far after the end of its dump hour.
        fits: by dotted path, whether the text of a value fits its declared type.

    """

    source: str
    event_time: str
    event_type: str | None = None
    event_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    unit: str = "iso"
    late: timedelta = timedelta(days=3)
    future: timedelta = timedelta(hours=1)
    fits: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)


@dataclass
class Dump:
    """The lines of one dump: their number, its events by file and line, the rest by reason."""

    lines: int = 0
    events: list[Event] = field(default_factory=list)
    quarantined: Counter[str] = field(default_factory=Counter)


@dataclass
class Kept:
    """Events without duplicates, and how many duplicates there were."""

    events: list[Event] = field(default_factory=list)
    within: int = 0
    across: int = 0


@dataclass(frozen=True)
class Session:
    """A run of one user's events of one source, in order of time, then id."""

    source: str
    user_key: str
    events: tuple[Event, ...]
    user_key_kind: str = "user"

    @property
    def start(self) -> datetime:
        """The time of its first event."""
        return self.events[0].event_time

    @property
    def end(self) -> datetime:
        """The time of its last event."""
        return self.events[-1].event_time

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the first event to the last, exact."""
        return Fraction((self.end - self.start) // MICROSECOND, 1_000_000)

    @property
    def is_bounce(self) -> bool:
        """Whether it is a single event."""
        return len(self.events) == 1


@dataclass(frozen=True)
class Day:
    """A source's day; mean, median and rate are None where no session began."""

    events: int
    users: int
    sessions: int
    mean_duration_s: Fraction | None
    median_duration_s: Fraction | None
    bounce_rate: Fraction | None


# -- from files to events ------------------------------------------------------------------------


def read_json_lines(about: Description, dump_hour: datetime, files: Mapping[str, bytes]) -> Dump:
    """Read a dump of JSON lines; `files` holds the bytes by the name below the dumps' root."""

    def decide(line: str) -> Callable[[str], str | None] | str:
        try:
            # Numbers stay the text they are, so that ids of any size are exact.
            found = json.loads(line, parse_int=str, parse_float=str, parse_constant=_no_constant)
        except ValueError:
            return "not_json"
        if not isinstance(found, dict):
            return "not_object"
        return lambda path: _at(found, path)

    return _read(about, dump_hour, files, decide, header=False)


def read_delimited(
    about: Description, dump_hour: datetime, files: Mapping[str, bytes], delimiter: str
) -> Dump:
    """Read a dump of delimited text whose first line names the columns."""
    columns: list[str] = []

    def decide(line: str) -> Callable[[str], str | None] | str | None:
        if not columns:
            columns.extend(next(csv.reader([line], delimiter=delimiter)))
            return None
        values = next(csv.reader([line], delimiter=delimiter))
        if len(values) != len(columns):
            return "wrong_columns"
        named = dict(zip(columns, values, strict=True))
        return lambda name: named.get(name) or None

    whole = Dump()
    for name in sorted(files):
        columns.clear()
        one = _read(about, dump_hour, {name: files[name]}, decide, header=True)
        whole.lines += one.lines
        whole.events += one.events
        whole.quarantined.update(one.quarantined)
    return whole


_Decide = Callable[[str], Callable[[str], str | None] | str | None]


def _read(
    about: Description,
    dump_hour: datetime,
    files: Mapping[str, bytes],
    decide: _Decide,
    *,
    header: bool,
) -> Dump:
    dump = Dump()
    for name in sorted(files):
        for number, raw in enumerate(_lines(files[name]), start=1):
            if header and number == 1:
                decide(raw.decode().rstrip("\r"))
                continue
            dump.lines += 1
            found = _event(about, dump_hour, name, number, raw, decide)
            if isinstance(found, Event):
                dump.events.append(found)
            else:
                dump.quarantined[found] += 1
    return dump


def _lines(body: bytes) -> list[bytes]:
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    lines = body.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _event(
    about: Description, dump_hour: datetime, name: str, number: int, raw: bytes, decide: _Decide
) -> Event | str:
    """Return the event of a line, or the reason why it is none."""
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    if not line.strip(" \t\r"):
        return "blank_line"
    get = decide(line.rstrip("\r"))
    if get is None or isinstance(get, str):
        return get or "header"
    event_id = f"{name}:{number}" if about.event_id is None else _id(get, about.event_id)
    if event_id is None:
        return "missing_event_id"
    written = (get(about.event_time) or "").strip()
    if not written:
        return "missing_event_time"
    time = parse_time(written, about.unit)
    if time is None:
        return "bad_event_time"
    if time < dump_hour - about.late:
        return "too_late"
    if time > dump_hour + HOUR + about.future:
        return "too_early"
    for path, fits in about.fits.items():
        value = get(path)
        if value is not None and not fits(value):
            return "bad_value"
    user = _id(get, about.user_id)
    return Event(
        source=about.source,
        dump_hour=dump_hour,
        event_id=event_id,
        event_time=time,
        event_type=None if about.event_type is None else get(about.event_type),
        user_key=user or _id(get, about.anonymous_id),
        user_key_kind="user" if user else "anonymous",
        file=name,
        line=number,
    )


def _id(get: Callable[[str], str | None], path: str | None) -> str | None:
    """Return an id as text; an empty one is none."""
    return (get(path) or "").strip() or None if path is not None else None


def _at(found: Any, path: str) -> str | None:
    for part in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    if found is None or isinstance(found, str):
        return found
    return json.dumps(found)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r"\s?(Z|z|UTC|GMT|([+-])(\d{2})(?::?(\d{2}))?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(written: str, unit: str) -> datetime | None:
    """Return a time in UTC, None for what is none; ISO text without a zone is UTC."""
    try:
        if unit != "iso":
            scale = {"epoch_s": 1_000_000, "epoch_ms": 1_000}[unit]
            return _EPOCH + int(Decimal(written) * scale) * MICROSECOND
        found = _ISO.fullmatch(written)
        if found is None:
            return None
        year, month, day, hour, minute, second, fraction, _, sign, off_h, off_m = found.groups()
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC
        ) + MICROSECOND * int((fraction or "").ljust(6, "0")[:6])
        offset = timedelta(hours=int(off_h or 0), minutes=int(off_m or 0))
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError, InvalidOperation):
        return None


# -- duplicates ----------------------------------------------------------------------------------


def keep_events(dumps_by_hour: Mapping[datetime, Sequence[Event]], within_hours: int) -> Kept:
    """Drop the duplicates of one source's dumps.

    An event is a duplicate if and only if an earlier line (by file name, then line) of its own dump
    has its id, or the dump of an earlier hour, at most `within_hours` earlier, kept there or not.
    """
    ids = {hour: {event.event_id for event in events} for hour, events in dumps_by_hour.items()}
    kept = Kept()
    for hour in sorted(dumps_by_hour):
        earlier: set[str] = set()
        for step in range(1, within_hours + 1):
            earlier |= ids.get(hour - step * HOUR, set())
        own: set[str] = set()
        for event in sorted(dumps_by_hour[hour], key=lambda e: (e.file, e.line)):
            if event.event_id in own:
                kept.within += 1
            elif event.event_id in earlier:
                kept.across += 1
            else:
                kept.events.append(event)
            own.add(event.event_id)
    return kept


# -- sessions and activity -----------------------------------------------------------------------


def sessions_of(events: Iterable[Event], gap_s: float, max_s: float) -> list[Session]:
    """Return the sessions, by source, user and start.

    An event more than `gap_s` after the user's previous one starts a new session; exactly `gap_s`
    does not. An event `max_s` or more after the start of its session starts a new one too. Events
    without a user are in none.
    """
    gap, longest = timedelta(seconds=gap_s), timedelta(seconds=max_s)
    by_user: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.user_key is not None:
            by_user[event.source, event.user_key, event.user_key_kind].append(event)
    sessions = []
    for (source, user, kind), own in sorted(by_user.items()):
        run: list[Event] = []
        for event in sorted(own, key=lambda e: (e.event_time, e.event_id)):
            if run and (
                event.event_time - run[-1].event_time > gap
                or event.event_time - run[0].event_time >= longest
            ):
                sessions.append(Session(source, user, tuple(run), kind))
                run = []
            run.append(event)
        sessions.append(Session(source, user, tuple(run), kind))
    return sessions


def hourly_of(
    events: Iterable[Event],
) -> dict[tuple[str, datetime, str | None], tuple[int, int]]:
    """Return events and distinct users by source, UTC hour of the event, and event type."""
    found: dict[tuple[str, datetime, str | None], list[Event]] = defaultdict(list)
    for event in events:
        hour = event.event_time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        found[event.source, hour, event.event_type].append(event)
    return {key: (len(own), _users(own)) for key, own in found.items()}


def daily_of(events: Iterable[Event], sessions: Iterable[Session]) -> dict[tuple[str, date], Day]:
    """Return the activity by source and UTC date; a session belongs to the date of its start."""
    events_of: dict[tuple[str, date], list[Event]] = defaultdict(list)
    sessions_by: dict[tuple[str, date], list[Session]] = defaultdict(list)
    for event in events:
        events_of[event.source, event.event_time.astimezone(UTC).date()].append(event)
    for session in sessions:
        sessions_by[session.source, session.start.astimezone(UTC).date()].append(session)
    return {
        key: _day(events_of.get(key, []), sessions_by.get(key, []))
        for key in sorted({*events_of, *sessions_by})
    }


def _day(events: Sequence[Event], sessions: Sequence[Session]) -> Day:
    durations = sorted(session.duration_s for session in sessions)
    count = len(durations)
    return Day(
        events=len(events),
        users=_users(events),
        sessions=count,
        mean_duration_s=sum(durations, Fraction(0)) / count if count else None,
        median_duration_s=(durations[(count - 1) // 2] + durations[count // 2]) / 2
        if count
        else None,
        bounce_rate=Fraction(sum(s.is_bounce for s in sessions), count) if count else None,
    )


def _users(events: Iterable[Event]) -> int:
    return len({(e.user_key_kind, e.user_key) for e in events if e.user_key is not None})
