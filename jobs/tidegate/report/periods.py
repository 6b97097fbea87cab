"""The dump hours behind a period of a metric: which are published, which are held, what was corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tidegate.common.hours import HOUR, floor_hour, hour_text
from tidegate.report.rows import rows, utc

if TYPE_CHECKING:
    import duckdb

_ALIVE = timedelta(hours=48)
_LISTED = 3
_HOURS = """
SELECT source, dump_hour, state FROM completeness_by_hour WHERE dump_hour >= ? ORDER BY ALL
"""
_CORRECTIONS = """
SELECT source, hour, published_at, rows, landing_id, definition,
       previous_rows, previous_landing_id, previous_definition
FROM (
    SELECT source, sequence, published_at, s.slice AS hour, s.rows AS rows, s.landing_id AS landing_id,
           configuration || '/' || code_version AS definition,
           lag(s.rows) OVER standing AS previous_rows,
           lag(s.landing_id) OVER standing AS previous_landing_id,
           lag(configuration || '/' || code_version) OVER standing AS previous_definition
    FROM (SELECT source, sequence, published_at, configuration, code_version, unnest(slices) AS s
          FROM ops.publications
          WHERE table_name = 'events' AND slice_max >= ? AND delta_version <= ?)
    WINDOW standing AS (PARTITION BY source, s.slice ORDER BY sequence)
)
WHERE previous_rows IS NOT NULL AND hour >= ?
  AND (rows <> previous_rows OR landing_id IS DISTINCT FROM previous_landing_id
       OR definition IS DISTINCT FROM previous_definition)
ORDER BY hour, published_at
"""
_LATE = """
SELECT source, date_trunc('hour', event_time) AS hour, dump_hour, count(*) AS events
FROM events
WHERE event_time < dump_hour AND event_time >= ?
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Period:
    """A period of a metric and the dump hours that it is made from.

    Attributes:
        start: the instant at which it begins.
        local: what the clocks of the metric's time zone show then.
        end: the instant at which it ends.
        hours: how many dump hours it should have, of all sources together.
        published: how many of those the release has.
        held: those that are held: source and hour.
        corrections: what changed the period's rows after they were first published, in sentences.
    """

    start: datetime
    local: datetime
    end: datetime
    hours: int = 0
    published: int = 0
    held: tuple[tuple[str, datetime], ...] = ()
    corrections: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether the release lacks any of its hours."""
        return self.published < self.hours


@dataclass(frozen=True)
class Change:
    """A change of a dump hour's or an event hour's rows after they were first published.

    Attributes:
        source: whose.
        hour: the hour that was changed.
        by: the dump hour whose late events changed it; None for a new publication of the hour itself.
        text: what happened; `{}` stands for the number of events.
        events: how many late events.
    """

    source: str
    hour: datetime
    by: datetime | None
    text: str
    events: int = 0


@dataclass(frozen=True)
class HourFacts:
    """States of dump hours, and what was corrected, of a range of hours."""

    states: dict[str, dict[datetime, str]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    def period(
        self, start: datetime, local: datetime, interval: str, zone: str, sources: Sequence[str]
    ) -> Period:
        """Return a period with what is known of its hours.

        Args:
            start: the instant at which it begins.
            local: what the clocks of the zone show then.
            interval: hour, day, week or month.
            zone: IANA name of the metric's time zone.
            sources: those that the metric reads; all for none.
        """
        end = period_end(start, local, interval, zone)
        counted = [name for name in self._counted(start, end) if not sources or name in sources]
        states = {
            (source, hour): self.states[source].get(hour)
            for source in counted
            for hour in _hours(start, end)
        }
        return Period(
            start=start,
            local=local,
            end=end,
            hours=len(states),
            published=sum(state == "published" for state in states.values()),
            held=tuple(at for at, state in states.items() if state in ("held", "unreadable")),
            corrections=self._corrections(start, end, interval, counted),
        )

    def _counted(self, start: datetime, end: datetime) -> list[str]:
        """Return the sources that have begun by a period and have not ended before it."""
        newest = max((max(hours) for hours in self.states.values()), default=start)
        return [
            source
            for source, hours in self.states.items()
            if min(hours) < end and (max(hours) >= start or newest - max(hours) <= _ALIVE)
        ]

    def _corrections(
        self, start: datetime, end: datetime, interval: str, sources: Sequence[str]
    ) -> tuple[str, ...]:
        found: list[str] = []
        late: dict[str, tuple[int, datetime]] = {}
        for change in self.changes:
            if change.source not in sources or not start <= change.hour < end:
                continue
            if change.by is None:
                found.append(change.text)
            elif interval != "hour" and change.by >= end:  # within an hour, late is usual
                events, by = late.get(change.source, (0, change.by))
                late[change.source] = events + change.events, max(by, change.by)
        more = len(found) - _LISTED
        found = found[-_LISTED:] + ([f"and {more} more publications"] if more > 0 else [])
        for source, (events, by) in late.items():
            plural = "" if events == 1 else "s"
            found.append(
                f"{events:,} late event{plural} of {source}, in dumps up to {hour_text(by)}"
            )
        return tuple(found)


def hour_facts(
    connection: duckdb.DuckDBPyConnection, first: datetime, version: int | None
) -> HourFacts:
    """Return what is known of all dump hours from one on.

    Args:
        connection: of `query.connect`.
        first: the first hour.
        version: of `events` that the release pins; None for the latest.
    """
    states: dict[str, dict[datetime, str]] = {}
    for source, hour, state in connection.execute(_HOURS, [first]).fetchall():
        states.setdefault(source, {})[utc(hour)] = state
    newest = 2**62 if version is None else version
    changes = [
        Change(row["source"], row["hour"], None, _cause(row))
        for row in rows(connection, _CORRECTIONS, [first, newest, first])
    ]
    changes += [
        Change(row["source"], row["hour"], row["dump_hour"], "", row["events"])
        for row in rows(connection, _LATE, [first])
    ]
    return HourFacts(states, tuple(changes))


def period_end(start: datetime, local: datetime, interval: str, zone: str) -> datetime:
    """Return the instant at which a period ends."""
    if interval == "hour":
        return start + HOUR
    if interval == "month":
        after = (local.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        after = local + timedelta(days=7 if interval == "week" else 1)
    return after.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _cause(row: Any) -> str:
    """Return in words what changed the rows of a dump hour."""
    where = f"{row['source']} {hour_text(row['hour'])}"
    counts = f"{row['previous_rows']:,} to {row['rows']:,} rows"
    when = f"{row['published_at']:%Y-%m-%d %H:%M}"
    if row["definition"] != row["previous_definition"]:
        return f"{where} was rebuilt by another source file or code, {counts}, {when}"
    if row["landing_id"] != row["previous_landing_id"]:
        return f"{where} was landed again, {counts}, {when}"
    return f"{where} changed with the duplicates of an earlier hour, {counts}, {when}"


def _hours(start: datetime, end: datetime) -> list[datetime]:
    first = floor_hour(start)
    return [first + n * HOUR for n in range(max(1, (end - first) // HOUR))]
