"""Lines that could not become events: how many by reason and hour, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tidegate.common.hours import HOUR
from tidegate.query.hour_status import STANDING
from tidegate.report.grid import DAYS, earlier_day, later_day
from tidegate.report.rows import TEXT, utc

if TYPE_CHECKING:
    import duckdb


RAW = 500
"""Characters of a bad line that are shown."""

_SAMPLES = 5


@dataclass(frozen=True)
class Sample:
    """A bad line, cut to what can be shown."""

    dump_hour: datetime
    reason: str
    file: str
    line: int
    detail: str | None
    raw: str | None
    whole: int | None


@dataclass(frozen=True)
class Quarantine:
    """Bad lines of a source: how many by reason and hour, and samples by reason."""

    source: str
    counts: Mapping[datetime, Mapping[str, int]]
    reasons: tuple[str, ...]
    samples: tuple[Sample, ...]
    earlier: date | None
    later: date | None

    def total(self, reason: str) -> int:
        """Return how many lines a reason has."""
        return sum(found.get(reason, 0) for found in self.counts.values())

    def hours(self, reason: str) -> list[datetime]:
        """Return the hours that have lines of a reason, newest first."""
        return [hour for hour, found in self.counts.items() if reason in found]


_QUARANTINED_ENDS = """
SELECT min(dump_hour), max(dump_hour) FROM ops.landings WHERE source = ? AND quarantined > 0
"""

_QUARANTINED = f"""
SELECT dump_hour, entry.key AS reason, entry.value AS lines
FROM (SELECT dump_hour, unnest(map_entries(quarantined_by_reason)) AS entry
      FROM ({STANDING.format(where="l.quarantined_by_reason IS NOT NULL")})
      WHERE source = ? AND dump_hour BETWEEN ? AND ?)
WHERE lines > 0 ORDER BY dump_hour DESC, reason
"""

_SAMPLED = f"""
SELECT dump_hour, reason, left(file, {TEXT}), line, left(detail, {TEXT}), left(raw, {RAW}),
       length(raw)
FROM ops.quarantine WHERE source = ? AND dump_hour BETWEEN ? AND ?
QUALIFY row_number() OVER (
    PARTITION BY reason ORDER BY dump_hour DESC, file, line) <= {_SAMPLES}
ORDER BY reason, dump_hour DESC, file, line
"""


def bad_lines(
    connection: duckdb.DuckDBPyConnection, source: str, to: date | None = None
) -> Quarantine:
    """Return the bad lines of a source's last days.

    Args:
        connection: of `query.connect`.
        source: its name.
        to: the last day; None for the last that has any.
    """
    ends = connection.execute(_QUARANTINED_ENDS, [source]).fetchone()
    if ends is None or ends[0] is None:
        return Quarantine(source, {}, (), (), None, None)
    first, last = utc(ends[0]), utc(ends[1])
    end = to or last.date()
    start = datetime(end.year, end.month, end.day, tzinfo=UTC) - (DAYS - 1) * 24 * HOUR
    stop = start + (DAYS * 24 - 1) * HOUR
    counts: dict[datetime, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for hour, reason, lines in connection.execute(_QUARANTINED, [source, start, stop]).fetchall():
        counts.setdefault(utc(hour), {})[reason] = lines
        totals[reason] = totals.get(reason, 0) + lines
    return Quarantine(
        source=source,
        counts=counts,
        reasons=tuple(sorted(totals, key=lambda reason: (-totals[reason], reason))),
        samples=samples_of(connection, source, start, stop),
        earlier=earlier_day(start, first),
        later=later_day(stop, last),
    )


def samples_of(
    connection: duckdb.DuckDBPyConnection, source: str, first: datetime, last: datetime
) -> tuple[Sample, ...]:
    """Return some bad lines of each reason, of a range of hours."""
    rows = connection.execute(_SAMPLED, [source, first, last]).fetchall()
    return tuple(Sample(utc(row[0]), *row[1:]) for row in rows)
