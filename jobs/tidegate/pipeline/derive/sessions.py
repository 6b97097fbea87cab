"""What a change of published events means for sessions: which are built again, and what they replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.common.hours import HOUR
from tidegate.lake import Row, Staged, literal
from tidegate.lake.reader import fill_in
from tidegate.lake.table_refs import At
from tidegate.lake.table_refs import slices as at_slices
from tidegate.pipeline.derive import aliases
from tidegate.pipeline.derive.candidates import (
    Built,
    Pending,
    by_slice,
    hours_staged,
    in_dumps,
    new_place,
    rest_of,
)
from tidegate.pipeline.derive.time_ranges import Stretch, fold, sessions_near, sessions_within
from tidegate.tables import events, session_aliases, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_STALE = {
    "session_id": "string",
    "start_hour": "timestamp",
    "lo": "bigint",
    "hi": "bigint",
    "dump_hours": "array<timestamp>",
}
_NEAR = {**_STALE, "k": "string", "fed": "boolean"}
_BEGUN_COLUMNS = {**_STALE, "k": "string"}
_EVENTS = events.TABLE.types_of(sessions.EVENT_COLUMNS)
_STALE_SPAN = ("start_hour", "lo", "hi")
_STALE_COLUMNS = ("session_id", *aliases.SPAN, "dump_hours")
_SPANS = {"k": "string", "lo": "bigint", "hi": "bigint"}
_RANGES = {**_SPANS, "last": "bigint", "after": "bigint"}
_ENDED = {**_SPANS, "is_resumed": "boolean"}


@dataclass(frozen=True)
class Affected:
    """What is to be done.

    Attributes:
        needed: the events that sessions were built of, anew; all that were published, or staged ones.
        built: those sessions; all that `needed` has an event of.
        fresh: those of them that are to be published.
        stale: the published sessions that these replace: `session_id`, `start_hour`, `lo` and `hi` (µs, first
            and last event), `dump_hours`; None where nothing is published.
    """

    needed: At | Staged
    built: _Sessions
    fresh: _Sessions
    stale: Staged | None


@dataclass(frozen=True)
class _Sessions(Staged):
    """Staged sessions.

    Attributes:
        by_slice: how many there are, `n`, of how many `events`, and how many of them are `long`: to be cut.
    """

    by_slice: Mapping[datetime, Row]

    @property
    def is_whole(self) -> bool:
        """Whether none is to be cut."""
        return not any(each["long"] for each in self.by_slice.values())


def build_sessions(work: Work, pending: Pending) -> Built:
    """Stage the new content of the slices of sessions that what was taken changes."""
    source, name = pending.source, pending.source.source
    rules = sessions.Rules(gap=source.sessions.gap, max=source.sessions.max)
    place = new_place(work, sessions.TABLE, name)
    if pending.whole or pending.last is None:
        published = work.at(events.TABLE, name, pending.version)
        built = _build(work, name, published, rules, place, lasting=True)
        there = None if pending.last is None else _published(work, name, f"{place}/stale")
        found = Affected(published, built, built, there)
    else:
        found = _affected(work, pending, rules, place)

    stale_hours = hours_staged(work, "start_hour", found.stale) if found.stale else set()
    slices = sorted(stale_hours | found.fresh.by_slice.keys())
    target, counts = found.fresh.place, found.fresh.by_slice
    if found.stale is not None and slices and not pending.whole:
        # A slice is replaced whole: what of it is not stale goes in again as it is.
        kept = work.lake.select(
            rest_of(sessions.TABLE, name, slices),
            work.lake.own(f"{place}/rest"),
            sessions.TABLE.types,
            published=work.at(sessions.TABLE, name, within=at_slices(sessions.TABLE, slices)),
            replaced=found.stale,
        )
        target = f"{place}/candidate"
        whole = "SELECT * FROM {fresh} UNION ALL SELECT * FROM {kept}"
        counts = _stage(work, whole, target, lasting=True, fresh=found.fresh, kept=kept).by_slice
    rows = {hour: counts[hour]["n"] if hour in counts else 0 for hour in slices}
    [needed] = work.lake.look(
        f"SELECT count(*) AS n FROM {{events}} WHERE source = {literal(name)} AND user_key IS NOT NULL",
        events=found.needed,
    )
    read = needed["n"]
    in_sessions = sum(each["events"] for each in found.built.by_slice.values())
    return Built(
        sessions.TABLE,
        target,
        rows,
        {
            "rows": sum(rows.values()),
            "events_read": read,
            "events_in_sessions": in_sessions,
            "unaccounted": abs(read - in_sessions),
        },
        renames=_renames(work, source, found),
    )


def _build(
    work: Work,
    source: str,
    needed: At | Staged,
    rules: sessions.Rules,
    place: str,
    *,
    lasting: bool = False,
) -> _Sessions:
    """Stage the sessions of some events of a source.

    Hardly any is long enough to be cut: those that are, are built a second time, of their own events.
    """
    is_long = sessions.is_long(rules)
    mine = f"(SELECT * FROM {{needed}} WHERE source = {literal(source)})"
    uncut = fill_in(sessions.uncut(rules), {"events": mine})
    built = _stage(work, uncut, f"{place}/built", is_long, lasting=lasting, needed=needed)
    if built.is_whole:
        return built
    long_events = fill_in(sessions.events_of(is_long), {"events": mine, "sessions": "{built}"})
    cut = fill_in(sessions.sessionize(rules), {"events": f"({long_events})"})
    return _stage(
        work,
        f"SELECT * FROM {{built}} WHERE NOT {is_long} UNION ALL SELECT * FROM ({cut}) c",
        f"{place}/cut",
        lasting=lasting,
        needed=needed,
        built=built,
    )


def _stage(
    work: Work,
    query: str,
    place: str,
    long: str = "false",
    *,
    lasting: bool = False,
    **of: At | Staged,
) -> _Sessions:
    target = place if lasting else work.lake.own(place)
    built = work.lake.build(query, target, sessions.TABLE.types, **of)
    return _counted(work, built, long)


def _counted(work: Work, kept: Staged, long: str = "false") -> _Sessions:
    found = by_slice(
        work,
        sessions.TABLE,
        kept.place,
        events="sum(event_count)",
        long=f"count(*) FILTER (WHERE {long})",
    )
    return _Sessions(kept.place, kept.columns, found)


def _published(work: Work, source: str, place: str) -> Staged:
    """Return all published sessions of a source, as `Affected.stale` has them."""
    return work.lake.select(
        f"SELECT {', '.join(_STALE_COLUMNS)} FROM {{sessions}} WHERE source = {literal(source)}",
        place,
        _STALE,
        sessions=work.at(sessions.TABLE, source),
    )


def _renames(work: Work, source: Source, found: Affected) -> bool:
    """Return whether published ids are no more, or have to lead elsewhere than they do."""
    if found.stale is None:
        return False
    [gone] = work.lake.look(
        "SELECT count(*) AS n FROM {stale} s "
        "WHERE NOT EXISTS (SELECT 1 FROM {fresh} f WHERE f.session_id = s.session_id)",
        stale=found.stale,
        fresh=found.fresh,
    )
    if gone["n"]:
        return True
    mine = f"source = {literal(source.source)}"
    if not work.lake.book(session_aliases.TABLE, mine, ["count(*) as n"])[0]["n"]:
        return False
    near, within = aliases.near(
        work, source, (found.stale, _STALE_SPAN), (found.fresh, aliases.SPAN)
    )
    [led] = work.lake.look(
        "SELECT count(*) AS n FROM ("
        "SELECT e.event_id AS event_id, e.session_id AS session_id "
        f"FROM (SELECT unnest(events) AS e FROM {{aliases}} WHERE {near}) x) y "
        "WHERE session_id IN (SELECT session_id FROM {stale}) "
        "OR event_id IN (SELECT event_id FROM {needed})",
        aliases=work.at(session_aliases.TABLE, source.source, within=within),
        stale=found.stale,
        needed=found.needed,
    )
    return bool(led["n"])


def _affected(work: Work, pending: Pending, rules: sessions.Rules, place: str) -> Affected:
    """Return what a change of some dumps means for the published sessions."""
    source = pending.source.source

    def events_of(dumps: Sequence[datetime]) -> At:
        within = at_slices(events.TABLE, dumps)
        return work.at(events.TABLE, source, pending.version, within)

    def kept(what: str, query: str, columns: Mapping[str, str], **of: At | Staged) -> Staged:
        return work.lake.select(query, work.lake.own(f"{place}/{what}"), columns, **of)

    changed = sorted({s.slice for p in pending.publications for s in p.slices})
    gained = kept("gained", _gained(source, changed), _SPANS, events=events_of(changed))
    hours = {hour for each in pending.publications for hour in each.event_hours}
    stretches = fold(((hour, hour + HOUR) for hour in hours), rules.gap + rules.max)
    own_ids = pending.source.sessions.id is not None
    step = rules.max
    while True:
        in_time = "true" if own_ids else sessions_near(stretches, rules.gap)
        within = None if own_ids else sessions_within(stretches, rules.gap)
        there = work.at(sessions.TABLE, source, within=within)
        near = kept("near", _near(source, in_time, changed), _NEAR, sessions=there, gained=gained)
        touched = kept("touched", _TOUCHED, _SPANS, gained=gained, near=near)
        ranges = kept("ranges", sessions.affected(rules), _RANGES, touched=touched, old=near)
        if not own_ids:
            wider, cut = _wider(work, ranges, stretches, rules.gap)
            if wider is not None:
                stretches = wider
                continue
        stale = kept("stale", _WITHIN, _STALE, found=near, ranges=ranges)
        # They came in changed dumps, or in those that fed what is stale.
        dumps = sorted({*changed, *hours_staged(work, "unnest(dump_hours)", stale)})
        needed = kept(
            "needed", _needed(source, dumps), _EVENTS, events=events_of(dumps), ranges=ranges
        )
        built = _build(work, source, needed, rules, place)
        if own_ids or not cut:
            return Affected(needed, built, built, stale)
        begun = kept("begun", _BEGUN, _BEGUN_COLUMNS, built=built)
        ended = kept("resumed", sessions.RESUMED, _ENDED, ranges=ranges, old=near, fresh=begun)
        wider, _ = _wider(work, ended, stretches, rules.gap, cut=True)
        if wider is None:
            wanted = kept("wanted", _WITHIN, _STALE, found=begun, ranges=ended)
            fresh = kept("fresh", _FRESH, sessions.TABLE.types, built=built, wanted=wanted)
            gone = kept("gone", _WITHIN, _STALE, found=near, ranges=ended)
            return Affected(needed, built, _counted(work, fresh), gone)
        # Its cuts fall elsewhere for now: look twice as far each time.
        stretches = fold((lo, hi + step) for lo, hi in wider)
        step *= 2


def _gained(source: str, changed: Sequence[datetime]) -> str:
    """Return the query of `k`, `lo`, `hi` (µs): by key and hour, where there are events of some dumps."""
    return f"""
        SELECT k, min(t) AS lo, max(t) AS hi
        FROM (
            SELECT {sessions.KEY} AS k, epoch_us(event_time) // 3600000000 AS h,
                epoch_us(event_time) AS t
            FROM {{events}}
            WHERE source = {literal(source)} AND user_key IS NOT NULL AND {in_dumps(changed)}
        ) e
        GROUP BY k, h"""


def _near(source: str, in_time: str, changed: Sequence[datetime]) -> str:
    """Return the query of the published sessions of keys that gained events, or were fed by changed dumps.

    Beside the columns of `Affected.stale` they have `k` and `fed`, whether a changed dump had fed them.
    """
    fed = " OR ".join(f"list_contains(dump_hours, {literal(hour)})" for hour in changed)
    return f"""
        WITH near AS (
            SELECT {", ".join(_STALE_COLUMNS)}, {sessions.KEY} AS k, {fed or "false"} AS fed
            FROM {{sessions}} WHERE source = {literal(source)} AND ({in_time})
        )
        SELECT * FROM near
        WHERE k IN (SELECT k FROM {{gained}}) OR k IN (SELECT k FROM near WHERE fed)"""


_TOUCHED = "SELECT k, lo, hi FROM {gained} UNION ALL SELECT k, lo, hi FROM {near} WHERE fed"
"""A session that a changed dump had fed may have lost any of its events."""
_WITHIN = """
    SELECT s.session_id, s.start_hour, s.lo, s.hi, s.dump_hours FROM {found} s
    SEMI JOIN {ranges} r ON s.k = r.k AND s.lo BETWEEN r.lo AND r.hi"""
"""The sessions that start in the ranges, as `Affected.stale` has them."""
_BEGUN = f"SELECT {', '.join(_STALE_COLUMNS)}, {sessions.KEY} AS k FROM {{built}}"
_FRESH = "SELECT b.* FROM {built} b SEMI JOIN {wanted} w ON b.session_id = w.session_id"


def _needed(source: str, dumps: Sequence[datetime]) -> str:
    """Return the query of the events of some dumps that happened in the ranges."""
    columns = sessions.EVENT_COLUMNS
    return f"""
        SELECT {", ".join(f"e.{name}" for name in columns)}
        FROM (
            SELECT {", ".join(columns)}, {sessions.KEY} AS k, epoch_us(event_time) AS t
            FROM {{events}}
            WHERE source = {literal(source)} AND user_key IS NOT NULL AND {in_dumps(dumps)}
        ) e
        SEMI JOIN {{ranges}} r ON e.k = r.k AND e.t BETWEEN r.lo AND r.hi"""


def _wider(
    work: Work, ranges: Staged, stretches: Sequence[Stretch], gap: timedelta, *, cut: bool = False
) -> tuple[list[Stretch] | None, bool]:
    """Look for ranges that may reach beyond the sessions that were looked at.

    Only sessions cut at `max` follow each other without a pause, so this is rare.

    Args:
        work: where.
        ranges: as `sessions.affected` or `sessions.resumed` gives them.
        stretches: near which sessions were looked at.
        gap: how near.
        cut: whether to look at all ranges that are not resumed; else only at those without a session to
            resume at.

    Returns:
        Wider stretches, or None; and whether any range has a session to resume at.
    """
    which = "not is_resumed" if cut else "after = 0"
    beyond = "".join(
        f", max(CASE WHEN {which} AND hi > {_us(hi)} AND lo <= {_us(hi + gap)} AND hi >= {_us(lo)} "
        f"THEN hi END) AS s{n}"
        for n, (lo, hi) in enumerate(stretches)
    )
    some = "false" if cut else "coalesce(max(after) > 0, false)"
    [row] = work.lake.look(f"SELECT {some} AS cut{beyond} FROM {{ranges}}", ranges=ranges.place)
    ends = [row[f"s{n}"] for n in range(len(stretches))]
    if all(end is None for end in ends):
        return None, row["cut"]
    return [
        (lo, hi if end is None else datetime.fromtimestamp(-(-end // 1_000_000), UTC))
        for (lo, hi), end in zip(stretches, ends, strict=True)
    ], row["cut"]


def _us(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
