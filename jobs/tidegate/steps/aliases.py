"""Aliases: after each publication of sessions, every id that it took away leads to where its events are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.lake import literal, slices_where
from tidegate.ledger import Publication
from tidegate.steps.candidates import Candidate, by_slice, hours_in, in_dumps, new_place
from tidegate.tables import events, session_aliases, sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_ALIASES = session_aliases.TABLE


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
    where = slices_where(sessions.TABLE, name, [each.slice for each in change.slices])
    old = work.lake.read(sessions.TABLE, change.delta_version - 1).where(where)
    new = work.lake.read(sessions.TABLE, change.delta_version).where(where)
    before = work.ledger.numbered(sessions.TABLE, name, change.sequence - 1)
    lost = old.join(new.select("session_id"), "session_id", "left_anti")
    work.lake.stage(lost.select(*sessions.TABLE.column_names), f"{place}/lost")
    lost = work.lake.staged(f"{place}/lost", schema=sessions.TABLE.ddl)
    were = session_aliases.members(_events_of(work, name, before, lost), lost)
    work.lake.stage(
        session_aliases.members(_events_of(work, name, change, new), new), f"{place}/moved"
    )
    moved = work.lake.staged(
        f"{place}/moved", schema="session_id string, event_id string, t bigint"
    )

    mine = work.lake.read(_ALIASES).where(f"source = {literal(name)}")
    touched = _touched(mine, old, new, moved)
    retired = lost.join(session_aliases.listed(were), "session_id")
    built = session_aliases.build(
        retired,
        touched.join(new.select("session_id"), "session_id", "left_anti"),
        old.select("session_id"),
        moved,
        source.duplicates.within,
    )
    work.lake.stage(built, f"{place}/built")
    rows = work.lake.staged(f"{place}/built", schema=_ALIASES.ddl)
    slices = hours_in(touched.select("start_hour").unionByName(rows.select("start_hour")))
    # A slice is replaced whole: what of it is not touched goes in again as it is.
    kept = (
        mine.where(slices_where(_ALIASES, name, sorted(slices)))
        .join(touched.select("session_id"), "session_id", "left_anti")
        .select(*_ALIASES.column_names)
        if slices
        else None
    )
    target = f"{place}/candidate"
    work.lake.stage((rows if kept is None else rows.unionByName(kept)).coalesce(1), target)
    counts = {hour: each["n"] for hour, each in by_slice(work, _ALIASES, target).items()}
    return Candidate(
        _ALIASES,
        target,
        {hour: counts.get(hour, 0) for hour in sorted(slices)},
        {
            "rows": sum(counts.values()),
            "unaccounted": lost.count() - rows.join(lost, "session_id", "left_semi").count(),
            "dangling": rows.where("live_session_id is not null")
            .join(
                work.lake.read(sessions.TABLE, change.delta_version)
                .where(f"source = {literal(name)}")
                .selectExpr("session_id as live_session_id"),
                "live_session_id",
                "left_anti",
            )
            .count(),
        },
    )


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


def _events_of(work: Work, source: str, made: Publication, rows: DataFrame) -> DataFrame:
    """Return the events that a publication made some sessions of: of those dumps, and maybe more."""
    from pyspark.sql import functions as F

    dumps = hours_in(rows.select(F.explode("dump_hours").alias("dump_hour")))
    return (
        work.lake.read(events.TABLE, made.input_versions[events.TABLE.name])
        .where(f"source = {literal(source)}")
        .where(in_dumps(sorted(dumps)))
    )
