"""Aliases: after each publication of sessions, every id that it took away leads to where its events are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.durations import parse_duration
from tidegate.lake import Staged, literal, slices_where
from tidegate.landing.erased import MARK, marked
from tidegate.ledger import Publication
from tidegate.steps.candidates import Candidate, by_slice, hours_staged, in_dumps, new_place
from tidegate.steps.erasures import erased_from
from tidegate.steps.stretches import fold, sessions_near
from tidegate.tables import events, session_aliases, sessions
from tidegate.tables.books import CONFIGURATIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_ALIASES = session_aliases.TABLE
_IN = "session_id string, event_id string, t bigint"
"""What `session_aliases.members` gives."""
SPAN = ("start_hour", "unix_micros(session_start) as lo", "unix_micros(session_end) as hi")
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


def build_aliases(work: Work, source: Source, change: Publication) -> Candidate:
    """Stage the new content of the slices of aliases that one publication of sessions changes.

    What it took away and what came in its place are read at the versions around its commit, so that
    the same comes of it whenever it is done.
    """
    name = source.source
    place = new_place(work, _ALIASES, name)

    def kept(what: str, frame: DataFrame, schema: str) -> Staged:
        """Return rows that are few and asked for often as they are staged: Delta plans each read anew."""
        return work.lake.keep(frame, f"{place}/{what}", schema)

    where = slices_where(sessions.TABLE, name, [each.slice for each in change.slices])
    whole = sessions.TABLE.ddl
    old = kept("old", _sessions_at(work, name, change.delta_version - 1, where), whole)
    new = kept("new", _sessions_at(work, name, change.delta_version, where), whole)
    before = work.ledger.numbered(sessions.TABLE, name, change.sequence - 1)
    gone = old.rows.join(new.rows.select("session_id"), "session_id", "left_anti")
    # Of a person who asked to be forgotten no id leads anywhere.
    gone = marked(gone, erased_from(work, name), ["user_key"]).where(f"not `{MARK}`").drop(MARK)
    lost = kept("lost", gone, whole)
    then = _events_of(work, name, before, lost)
    were = kept("were", session_aliases.members(then, lost.rows), _IN)
    near_by = near(work, source, (old, SPAN), (new, SPAN))
    mine = kept("mine", work.lake.read(_ALIASES).where(near_by), _ALIASES.ddl)
    # Few events are looked for: those of ids that are no more.
    wanted = were.rows.select("event_id").unionByName(
        mine.rows.selectExpr("explode(events) as e").select("e.event_id")
    )
    now = _events_of(work, name, change, new)
    looked_at = now.join(wanted.distinct(), "event_id", "left_semi")
    moved = kept("moved", session_aliases.members(looked_at, new.rows), _IN)
    touched = kept("touched", _touched(mine.rows, old.rows, new.rows, moved.rows), _ALIASES.ddl)
    built = session_aliases.build(
        lost.rows.join(session_aliases.listed(were.rows), "session_id"),
        touched.rows.join(new.rows.select("session_id"), "session_id", "left_anti"),
        old.rows.select("session_id"),
        moved.rows,
        source.duplicates.within,
    )
    rows = kept("built", built, _ALIASES.ddl)
    slices = hours_staged(work, "start_hour", touched, rows)
    if slices:
        # A slice is replaced whole: what of it is not touched goes in again as it is.
        rest = (
            work.lake.read(_ALIASES)
            .where(slices_where(_ALIASES, name, sorted(slices)))
            .join(touched.rows.select("session_id"), "session_id", "left_anti")
            .select(*_ALIASES.column_names)
        )
    target = f"{place}/candidate"
    work.lake.stage((rows.rows.unionByName(rest) if slices else rows.rows).coalesce(1), target)
    counts = {hour: each["n"] for hour, each in by_slice(work, _ALIASES, target).items()}
    return Candidate(
        _ALIASES,
        target,
        {hour: counts.get(hour, 0) for hour in sorted(slices)},
        {
            "rows": sum(counts.values()),
            "unaccounted": _unaccounted(work, lost, rows),
            "dangling": rows.rows.where("live_session_id is not null")
            .join(
                work.rows(sessions.TABLE, name, change.delta_version)
                .where(near(work, source, (rows, SPAN)))
                .selectExpr("session_id as live_session_id"),
                "live_session_id",
                "left_anti",
            )
            .count(),
        },
    )


def _unaccounted(work: Work, lost: Staged, built: Staged) -> int:
    """Return how many more ids are no more than have an alias."""
    [found] = work.lake.look(
        "SELECT (SELECT count(*) FROM {lost}) - (SELECT count(*) FROM {built} b "
        "WHERE b.session_id IN (SELECT session_id FROM {lost})) AS n",
        lost=lost.place,
        built=built.place,
    )
    return int(found["n"])


def _sessions_at(work: Work, source: str, version: int, where: str) -> DataFrame:
    """Return sessions of a source as they were at a version of the table."""
    rows = work.rows(sessions.TABLE, source, version)
    return rows.where(where).select(*sessions.TABLE.column_names)


def near(work: Work, source: Source, *spans: tuple[Staged, Sequence[str]]) -> str:
    """Return the predicate of sessions, or aliases, whose events can be those of some sessions.

    One id stands for one event only within the window of duplicates, so they are near in time. The source's
    own sessions can be anywhere.

    Args:
        work: where.
        source: whose.
        spans: staged sessions, and what of them is `start_hour`, `lo` and `hi` (µs, first and last event).
    """
    mine = f"source = {literal(source.source)}"
    if source.sessions.id is not None:
        return mine
    margin = _widest_window(work, source)
    rows = [
        row
        for staged, columns in spans
        for row in work.lake.look(
            "SELECT start_hour, min(lo) AS lo, max(hi) AS hi "
            f"FROM (SELECT {', '.join(columns)} FROM {{rows}}) t GROUP BY start_hour",
            rows=staged.place,
        )
    ]
    stretches = fold(((_time(row["lo"]), _time(row["hi"])) for row in rows), 2 * margin)
    return f"{mine} and ({sessions_near(stretches, margin)})"


def _widest_window(work: Work, source: Source) -> timedelta:
    """Return the widest window of duplicates that ids of a source were ever matched in."""
    where = f"source = {literal(source.source)} and table_name = {literal(events.TABLE.name)}"
    said = [json.loads(row["definition"]) for row in work.lake.book(CONFIGURATIONS, where)]
    known = (parse_duration(each["duplicates"]["within"], zero=True) for each in said)
    return max(known, default=source.duplicates.within)


def _time(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _touched(mine: DataFrame, old: DataFrame, new: DataFrame, moved: DataFrame) -> DataFrame:
    """Return the aliases to be made anew: of what was replaced, of events that moved, of ids alive again."""
    from pyspark.sql import functions as F

    led = mine.select("session_id", F.explode("events").alias("e")).select(
        F.col("session_id").alias("alias"), "e.event_id", F.col("e.session_id").alias("session_id")
    )
    ids = (
        led.join(old.select("session_id"), "session_id", "left_semi")
        .select("alias")
        .unionByName(led.join(moved.select("event_id"), "event_id", "left_semi").select("alias"))
        .distinct()
        .select(F.col("alias").alias("session_id"))
    )
    # An id that is alive again is no alias any more.
    alive = mine.join(new.select("session_id"), "session_id", "left_semi").select("session_id")
    return mine.join(ids.unionByName(alive).distinct(), "session_id", "left_semi")


def _events_of(work: Work, source: str, made: Publication, of: Staged) -> DataFrame:
    """Return the events that a publication made some sessions of: of those dumps, and maybe more."""
    dumps = hours_staged(work, "explode(dump_hours)", of)
    version = made.input_versions[events.TABLE.name]
    return work.rows(events.TABLE, source, version).where(in_dumps(sorted(dumps)))
