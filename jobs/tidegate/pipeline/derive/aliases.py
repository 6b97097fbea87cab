"""Aliases: after each publication of sessions, every id that it took away leads to where its events are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.common.durations import parse_duration
from tidegate.lake import Staged, literal, slices_where
from tidegate.lake.ledger import Publication
from tidegate.lake.reader import fill_in
from tidegate.lake.table_refs import At, Within
from tidegate.lake.table_refs import slices as at_slices
from tidegate.pipeline.context.erasures import erased_from
from tidegate.pipeline.derive.candidates import (
    Built,
    by_slice,
    hours_staged,
    in_dumps,
    new_place,
    rest_of,
)
from tidegate.pipeline.derive.time_ranges import fold, sessions_near, sessions_within
from tidegate.tables import events, session_aliases, sessions
from tidegate.tables.system_tables import CONFIGURATIONS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_ALIASES = session_aliases.TABLE
IN = {"session_id": "string", "event_id": "string", "t": "bigint"}
"""What `session_aliases.members` gives."""
_SESSION_COLUMNS = (
    *session_aliases.ABOUT,
    "user_key_kind",
    "source_session_id",
    "dump_hours",
)
"""What is asked of sessions."""
_SESSIONS = sessions.TABLE.types_of(_SESSION_COLUMNS)
LOST = "SELECT o.* FROM {old} o ANTI JOIN {new} n ON o.session_id = n.session_id"
"""The query of the `old` sessions whose ids none of the `new` ones has."""
_WANTED = """
    SELECT event_id FROM {were}
    UNION ALL SELECT e.event_id FROM (SELECT unnest(events) AS e FROM {mine}) x"""
"""Ids of events whose session is asked for."""
_TOUCHED = """
    WITH led AS (
        SELECT alias, e.event_id AS event_id, e.session_id AS led_to
        FROM (SELECT session_id AS alias, unnest(events) AS e FROM {mine}) x
    )
    SELECT m.* FROM {mine} m
    WHERE m.session_id IN (SELECT session_id FROM {new})
    OR m.session_id IN (
        SELECT alias FROM led
        WHERE led_to IN (SELECT session_id FROM {old}) OR event_id IN (SELECT event_id FROM {moved})
    )"""
"""The aliases to be made anew: of what was replaced, of events that moved; and ids that are alive again."""
SPAN = ("start_hour", "epoch_us(session_start) AS lo", "epoch_us(session_end) AS hi")
"""What `near` asks of sessions, of rows of `warehouse/sessions`."""


def pending(work: Work, source: str) -> list[Publication]:
    """Return the publications of sessions that took ids away and that aliases have not followed yet."""
    last = work.ledger.last(_ALIASES, source)
    done = last.input_versions[sessions.TABLE.name] if last else -1
    return [
        each
        for each in work.ledger.publications(sessions.TABLE, source, after_version=done)
        if each.renames
    ]


def build_aliases(work: Work, source: Source, change: Publication) -> Built:
    """Stage the new content of the slices of aliases that one publication of sessions changes.

    What it took away and what came in its place are read at the versions around its commit, so that
    the same comes of it whenever it is done.
    """
    name = source.source
    place = new_place(work, _ALIASES, name)

    def kept(what: str, query: str, columns: Mapping[str, str], **of: At | Staged) -> Staged:
        """Stage the rows of a query: few, and queried several times."""
        return work.lake.select(query, work.lake.own(f"{place}/{what}"), columns, **of)

    replaced_slices = [each.slice for each in change.slices]
    where = slices_where(sessions.TABLE, name, replaced_slices)
    of_these = at_slices(sessions.TABLE, replaced_slices)
    replaced = f"SELECT {', '.join(_SESSION_COLUMNS)} FROM {{sessions}} WHERE {where}"
    then = work.at(sessions.TABLE, name, change.delta_version - 1, of_these)
    now = work.at(sessions.TABLE, name, change.delta_version, of_these)
    old = kept("old", replaced, _SESSIONS, sessions=then)
    new = kept("new", replaced, _SESSIONS, sessions=now)
    lost = _kept_of(work, name, kept("lost", LOST, _SESSIONS, old=old, new=new), place)
    before = work.ledger.numbered(sessions.TABLE, name, change.sequence - 1)
    dumps = _dumps_of(work, lost)
    were = kept(
        "were",
        session_aliases.members(in_dumps(dumps)),
        IN,
        events=_events_of(work, name, before, dumps),
        sessions=lost,
    )
    near_by, within = near(work, source, (old, SPAN), (new, SPAN))
    mine = kept(
        "mine",
        f"SELECT {', '.join(_ALIASES.column_names)} FROM {{aliases}} WHERE {near_by}",
        _ALIASES.types,
        aliases=work.at(_ALIASES, name, within=within),
    )
    # Few events are looked for: those of ids that are no more.
    dumps = _dumps_of(work, new)
    moved = kept(
        "moved",
        session_aliases.members(f"{in_dumps(dumps)} AND event_id IN ({_WANTED})"),
        IN,
        events=_events_of(work, name, change, dumps),
        sessions=new,
        were=were,
        mine=mine,
    )
    touched = kept("touched", _TOUCHED, _ALIASES.types, mine=mine, old=old, new=new, moved=moved)
    build = fill_in(
        session_aliases.build(source.duplicates.within),
        {
            "known": "(SELECT * FROM {touched} WHERE session_id NOT IN (SELECT session_id FROM {new}))"
        },
    )
    rows = kept(
        "built",
        build,
        _ALIASES.types,
        lost=lost,
        were=were,
        touched=touched,
        new=new,
        replaced=old,
        moved=moved,
    )
    slices = hours_staged(work, "start_hour", touched, rows)
    if slices:
        # A slice is replaced whole: what of it is not touched goes in again as it is.
        rest = kept(
            "rest",
            rest_of(_ALIASES, name, sorted(slices)),
            _ALIASES.types,
            published=work.at(_ALIASES, name, within=at_slices(_ALIASES, slices)),
            replaced=touched,
        )
    target = f"{place}/candidate"
    whole = "SELECT * FROM {rows}"
    of = {"rows": rows}
    if slices:
        whole += " UNION ALL SELECT * FROM {rest}"
        of["rest"] = rest
    work.lake.build(whole, target, _ALIASES.types, **of)
    counts = {hour: each["n"] for hour, each in by_slice(work, _ALIASES, target).items()}
    return Built(
        _ALIASES,
        target,
        {hour: counts.get(hour, 0) for hour in sorted(slices)},
        {
            "rows": sum(counts.values()),
            "unaccounted": _unaccounted(work, lost, rows),
            "dangling": _dangling(work, source, change, rows),
        },
    )


def _unaccounted(work: Work, lost: Staged, built: Staged) -> int:
    """Return how many more ids are no more than have an alias."""
    [found] = work.lake.look(
        "SELECT (SELECT count(*) FROM {lost}) - (SELECT count(*) FROM {built} b "
        "WHERE b.session_id IN (SELECT session_id FROM {lost})) AS n",
        lost=lost,
        built=built,
    )
    return int(found["n"])


def _dangling(work: Work, source: Source, change: Publication, built: Staged) -> int:
    """Return how many ids lead to a session that there is not."""
    near_by, within = near(work, source, (built, SPAN))
    [found] = work.lake.look(
        "SELECT count(*) AS n FROM {built} b WHERE live_session_id IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM (SELECT session_id FROM {{sessions}} WHERE {near_by}) s "
        "WHERE s.session_id = b.live_session_id)",
        built=built,
        sessions=work.at(sessions.TABLE, source.source, change.delta_version, within),
    )
    return int(found["n"])


def _kept_of(work: Work, source: str, lost: Staged, place: str) -> Staged:
    """Return ids that are no more, without those of persons who asked to be forgotten: these lead nowhere."""
    erased = erased_from(work, source)
    if erased is None:
        return lost
    users = work.lake.look("SELECT DISTINCT user_key FROM {lost}", lost=lost)
    gone = erased.among(row["user_key"] for row in users)
    if not gone:
        return lost
    listed = ", ".join(map(literal, sorted(gone)))
    return work.lake.select(
        f"SELECT * FROM {{lost}} WHERE user_key NOT IN ({listed})",
        work.lake.own(f"{place}/known"),
        _SESSIONS,
        lost=lost,
    )


def near(
    work: Work, source: Source, *spans: tuple[Staged, Sequence[str]]
) -> tuple[str, Within | None]:
    """Return the predicate of sessions, or aliases, whose events can be those of some sessions, and their times.

    One id stands for one event only within the window of duplicates, so they are near in time. The source's
    own sessions can be anywhere.

    Args:
        work: where.
        source: whose.
        spans: staged sessions, and what of them is `start_hour`, `lo` and `hi` (µs, first and last event).
    """
    mine = f"source = {literal(source.source)}"
    if source.sessions.id is not None:
        return mine, None
    margin = _widest_window(work, source)
    rows = [
        row
        for staged, columns in spans
        for row in work.lake.look(
            "SELECT start_hour, min(lo) AS lo, max(hi) AS hi "
            f"FROM (SELECT {', '.join(columns)} FROM {{rows}}) t GROUP BY start_hour",
            rows=staged,
        )
    ]
    stretches = fold(((_time(row["lo"]), _time(row["hi"])) for row in rows), 2 * margin)
    predicate = f"{mine} and ({sessions_near(stretches, margin)})"
    return predicate, sessions_within(stretches, margin)


def _widest_window(work: Work, source: Source) -> timedelta:
    """Return the widest window of duplicates that ids of a source were ever matched in."""
    where = f"source = {literal(source.source)} and table_name = {literal(events.TABLE.name)}"
    said = [json.loads(row["definition"]) for row in work.lake.book(CONFIGURATIONS, where)]
    known = (parse_duration(each["duplicates"]["within"], zero=True) for each in said)
    return max(known, default=source.duplicates.within)


def _time(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _dumps_of(work: Work, of: Staged) -> list[datetime]:
    """Return the hours of the dumps that some sessions' events came in."""
    return sorted(hours_staged(work, "unnest(dump_hours)", of))


def _events_of(work: Work, source: str, made: Publication, dumps: Sequence[datetime]) -> At:
    """Return the events of some dumps that a publication made sessions of."""
    version = made.input_versions[events.TABLE.name]
    return work.at(events.TABLE, source, version, at_slices(events.TABLE, dumps))
