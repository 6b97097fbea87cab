"""Promised freshness: which hours should be readable by now and are not, since when, and what they wait for.

`fresh` in a source file promises how long after its end an hour is published and in a release. Whether that is
kept is computed from the books: Airflow's deadline alerts would fire for every run of a backfill, and never for a
run that was not made.

The promise begins with the hour that was landed first while it was new, so that neither a new source nor the
history that is backfilled into it is late. A stretch is hours in a row none of which was there in time; it is over
when the hour after it was. What was not in time is history that nothing changes, so a stretch keeps its first hour,
by which people are told of it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate.common.durations import duration_text
from tidegate.common.hours import HOUR, hour_text

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.source import Source

NEW_FOR = timedelta(days=1)
"""How long after the promised time an hour that is landed counts as new, as long as a dump is waited for."""
_HELD = ("held", "unreadable")
_SHOWN = 5
"""Runs of hours that a message names; the rest is counted."""

_SEEN = """
WITH promise AS (
    SELECT col0 AS source, col1::TIMESTAMPTZ AS since, to_seconds(col2) AS within,
           ?::TIMESTAMPTZ AS now
    FROM (VALUES {promises})
), began AS (
    SELECT l.source, arg_min(l.dump_hour, l.landed_at) AS first
    FROM ops.landings l JOIN promise p USING (source)
    WHERE l.dump_hour >= p.since
      AND l.landed_at <= l.dump_hour + INTERVAL 1 HOUR + p.within + to_seconds(?)
      -- The last day of a backfill is new too, and its hours come one after the other.
      AND l.run_id NOT LIKE '%/backfill%'
    GROUP BY l.source
), shown AS (
    SELECT source, s.slice AS dump_hour, min(delta_version) AS version
    FROM (SELECT source, delta_version, unnest(slices) AS s FROM ops.publications
          WHERE table_name = 'events')
    GROUP BY ALL
), released AS (
    SELECT versions['events'] AS version, min(released_at) AS released_at FROM ops.releases
    WHERE versions['events'] IS NOT NULL GROUP BY ALL
), there AS (
    SELECT s.source, s.dump_hour, r.released_at
    FROM shown s ASOF LEFT JOIN released r ON s.version <= r.version
), every AS (
    SELECT source, within, now,
           unnest(generate_series(first, date_trunc('hour', now), INTERVAL 1 HOUR)) AS dump_hour
    FROM began JOIN promise USING (source)
), late AS (
    SELECT e.source, e.dump_hour, t.dump_hour IS NOT NULL AS published, t.released_at
    FROM every e LEFT JOIN there t USING (source, dump_hour)
    WHERE e.dump_hour + INTERVAL 1 HOUR + e.within >= e.now OR t.released_at IS NULL
       OR t.released_at > e.dump_hour + INTERVAL 1 HOUR + e.within
)
SELECT b.source, b.first, l.dump_hour, l.published, l.released_at, h.state, h.why
FROM began b
LEFT JOIN late l USING (source)
LEFT JOIN ops.hours h ON h.source = l.source AND h.dump_hour = l.dump_hour
"""


@dataclass(frozen=True)
class Seen:
    """How an hour stands that was not there in time, or need not be there yet.

    Attributes:
        hour: the dump hour.
        published: whether anything of it is published.
        released_at: when a release had it first, None for never.
        state: of its latest landing, as in `ops.hours`; None if it was never landed.
        why: what holds it.
    """

    hour: datetime
    published: bool = False
    released_at: datetime | None = None
    state: str | None = None
    why: str | None = None

    @property
    def waits(self) -> str:
        """What it waits for, in some words that many hours have in common."""
        if self.published:
            return "published, not released yet"
        if self.state is None:
            return "no dump landed yet"
        return self.state if self.state in _HELD else "landed, not published yet"


@dataclass(frozen=True)
class Missing:
    """Hours in a row that are due, are not there, and wait for the same.

    Attributes:
        first: the first of them.
        last: the last of them.
        waits: what they wait for.
        why: what holds the first of them, if that is it.
    """

    first: datetime
    last: datetime
    waits: str
    why: str | None = None

    @property
    def hours(self) -> int:
        """How many they are."""
        return (self.last - self.first) // HOUR + 1

    def describe(self) -> str:
        """Return it in words."""
        what = self.waits
        if self.hours == 1:
            return f"{hour_text(self.first)}: {what}" + (f": {self.why}" if self.why else "")
        span = f"{hour_text(self.first)}..{hour_text(self.last)} ({self.hours:,} hours)"
        return f"{span}: {what}" + (f", the first by: {self.why}" if self.why else "")


@dataclass(frozen=True)
class Stretch:
    """Hours in a row none of which was there in time.

    Attributes:
        first: the first of them.
        last: the last of them so far.
        missing: those that are not there yet, by what they wait for, oldest first.
        over: whether an hour after it was there in time.
    """

    first: datetime
    last: datetime
    missing: tuple[Missing, ...]
    over: bool


@dataclass(frozen=True)
class Freshness:
    """How a source keeps what it promises.

    Attributes:
        source: its name.
        promised: how long after its end an hour is to be there: published, and in a release.
        first: the first hour that this is promised of; None as long as none was landed while it was new.
        whole_to: the newest hour up to which, from the first on, none is missing.
        stretches: hours that were not there in time, oldest first.
        now: when this was so.
    """

    source: str
    promised: timedelta
    first: datetime | None
    whole_to: datetime | None
    stretches: tuple[Stretch, ...]
    now: datetime

    def due(self, hour: datetime) -> datetime:
        """Return by when an hour is to be there."""
        return hour + HOUR + self.promised

    @property
    def late(self) -> tuple[Stretch, ...]:
        """The stretches of which anything is missing."""
        return tuple(each for each in self.stretches if each.missing)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The hours that are due and not there, oldest first."""
        return tuple(missing for each in self.stretches for missing in each.missing)

    @property
    def hours(self) -> int:
        """How many hours are due and not there."""
        return sum(each.hours for each in self.missing)

    @property
    def since(self) -> datetime | None:
        """Since when the promise is not kept; None while it is."""
        return self.due(self.missing[0].first) if self.missing else None

    @property
    def behind(self) -> timedelta | None:
        """For how long the promise is not kept; None while it is."""
        return self.now - self.since if self.since is not None else None

    def describe(self) -> str:
        """Return it in words, on one line."""
        said = f"promised {duration_text(self.promised)} after an hour's end"
        if self.first is None:
            return f"{said}; no hour has been landed yet while it was new"
        if self.behind is not None:
            what = "; ".join(_lines(self.missing))
            return f"{said}, behind for {minutes_text(self.behind)}: {what}"
        upto = "" if self.whole_to is None else f", up to {hour_text(self.whole_to)}"
        return f"{said}, kept{upto}"

    def describe_late(self, stretch: Stretch) -> str:
        """Return what to tell people of a stretch of which anything is missing."""
        since = self.due(stretch.missing[0].first)
        told = (
            f"{self.source} is promised {duration_text(self.promised)} after an hour's end. "
            f"Not so since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC:"
        )
        return "\n".join([told, *_lines(stretch.missing)])

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "source": self.source,
            "fresh": duration_text(self.promised),
            "first_hour": self.first and hour_text(self.first),
            "whole_to": self.whole_to and hour_text(self.whole_to),
            "behind_s": int(self.behind.total_seconds()) if self.behind is not None else None,
            "since": self.since and f"{self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "missing": [
                {
                    "first": hour_text(each.first),
                    "last": hour_text(each.last),
                    "hours": each.hours,
                    "waits": each.waits,
                    "why": each.why,
                }
                for each in self.missing
            ],
        }


def judge(
    source: str,
    promised: timedelta,
    first: datetime | None,
    seen: Iterable[Seen],
    now: datetime,
) -> Freshness:
    """Return how a source keeps its promise.

    Args:
        source: its name.
        promised: how long after its end an hour is to be there.
        first: the first hour that this is promised of.
        seen: the hours from then on that were not there in time, and those that are not due yet; an hour
            that is due and not among them was there in time.
        now: the time.
    """

    def due(hour: datetime) -> datetime:
        return hour + HOUR + promised

    if first is None:
        return Freshness(source, promised, None, None, (), now)
    hours = sorted((each for each in seen if each.hour >= first), key=lambda each: each.hour)
    late = [each for each in hours if due(each.hour) < (each.released_at or now)]
    ahead = [
        each.hour
        for each in hours
        if each.released_at is not None and each.released_at <= due(each.hour)
    ]
    stretches = []
    for run in _in_a_row(late):
        after = run[-1].hour + HOUR
        over = due(after) < now or any(hour >= after for hour in ahead)
        missing = tuple(_missing([each for each in run if each.released_at is None]))
        stretches.append(Stretch(run[0].hour, run[-1].hour, missing, over))
    gap = next((each.hour for each in hours if each.released_at is None), None)
    whole_to = gap - HOUR if gap is not None else max(ahead, default=None)
    if whole_to is not None and whole_to < first:
        whole_to = None
    return Freshness(source, promised, first, whole_to, tuple(stretches), now)


def freshness(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], now: datetime
) -> list[Freshness]:
    """Return how those of the sources that promise anything keep it, in their order.

    Args:
        connection: of `query.connect`.
        sources: as their files are now.
        now: the time.
    """
    asked = [(each, each.fresh) for each in sources if each.fresh is not None]
    if not asked:
        return []
    values: list[object] = [now]
    for source, fresh in asked:
        values += [source.source, source.since, fresh.total_seconds()]
    places = ", ".join("(?, ?, ?)" for _ in asked)
    firsts: dict[str, datetime] = {}
    seen: dict[str, list[Seen]] = {}
    for name, first, hour, published, released_at, state, why in connection.execute(
        _SEEN.format(promises=places), [*values, NEW_FOR.total_seconds()]
    ).fetchall():
        firsts[name] = first.astimezone(UTC)
        if hour is not None:
            at = released_at.astimezone(UTC) if released_at is not None else None
            seen.setdefault(name, []).append(Seen(hour.astimezone(UTC), published, at, state, why))
    return [
        judge(each.source, fresh, firsts.get(each.source), seen.get(each.source, ()), now)
        for each, fresh in asked
    ]


def minutes_text(duration: timedelta) -> str:
    """Return how long something has been so, in full minutes."""
    return duration_text(duration - duration % timedelta(minutes=1)) if duration else "0m"


def _in_a_row(hours: Sequence[Seen]) -> Iterator[list[Seen]]:
    """Yield runs of hours that follow each other, in order."""
    run: list[Seen] = []
    for each in hours:
        if run and each.hour - run[-1].hour != HOUR:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _missing(hours: Sequence[Seen]) -> Iterator[Missing]:
    """Yield hours folded by what they wait for: a month is one line, not 720."""
    found: Missing | None = None
    for each in hours:
        if found is not None and each.hour - found.last == HOUR and each.waits == found.waits:
            found = replace(found, last=each.hour)
            continue
        if found is not None:
            yield found
        why = each.why if each.waits in _HELD else None
        found = Missing(each.hour, each.hour, each.waits, why)
    if found is not None:
        yield found


def _lines(missing: Sequence[Missing]) -> list[str]:
    """Return the first hours in words, and how many more there are."""
    more = sum(each.hours for each in missing[_SHOWN:])
    rest = [f"and {more:,} more hours"] if more > 1 else ["and 1 more hour"] if more else []
    return [*(each.describe() for each in missing[:_SHOWN]), *rest]
