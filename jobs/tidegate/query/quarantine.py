"""What is in quarantine: lines that could not become events, by source, reason and hour. Without a JVM.

Counts are those of the landings that stand: each hour's latest by the configuration in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.common.hints import command, source_word
from tidegate.common.text_output import clipped
from tidegate.query.hour_status import STANDING

if TYPE_CHECKING:
    import duckdb

_WIDTH = 120
"""How much of a line and of what is wrong with it is shown, in character cells."""

_STANDING = f"""
WITH standing AS (
    SELECT source, strftime(dump_hour, '%Y-%m-%dT%H') AS hour, landing_id, lines,
           quarantined_by_reason
    FROM ({STANDING.format(where="l.quarantined_by_reason IS NOT NULL")})
), wanted AS (
    SELECT * FROM standing
    WHERE source = coalesce($source, source)
      AND hour BETWEEN coalesce($first, hour) AND coalesce($last, hour)
)
"""

_COUNTS = (
    _STANDING
    + """
SELECT source, bad.key AS reason, hour, bad.value AS n, lines
FROM (SELECT *, unnest(map_entries(quarantined_by_reason)) AS bad FROM wanted)
WHERE bad.key = coalesce($reason, bad.key)
ORDER BY ALL
"""
)

_SAMPLES = (
    _STANDING
    + f"""
SELECT q.source, q.reason, w.hour, q.file, q.line,
       left(q.detail, {_WIDTH + 1}) AS detail, left(q.raw, {_WIDTH + 1}) AS raw
FROM ops.quarantine q JOIN wanted w USING (landing_id)
WHERE q.reason = coalesce($reason, q.reason)
QUALIFY row_number() OVER (
    PARTITION BY q.source, q.reason ORDER BY w.hour DESC, q.file, q.line) <= $samples
ORDER BY q.source, q.reason, w.hour DESC, q.file, q.line
"""
)


@dataclass(frozen=True)
class Sample:
    """A quarantined line. Texts are made visible and cut.

    Attributes:
        hour: the dump hour.
        file: the file of the dump.
        line: its number in the file, from 1.
        detail: what was expected, and what was there.
        raw: the line.
    """

    hour: str
    file: str
    line: int
    detail: str
    raw: str


@dataclass(frozen=True)
class Quarantined:
    """The lines of a source that could not become events for one reason.

    Attributes:
        source: whose.
        reason: one of `landing.reasons.REASONS`.
        hours: how many lines by dump hour, in order.
        read: how many lines were read by dump hour, of the same hours.
        samples: some of them, of the latest hours.
    """

    source: str
    reason: str
    hours: Mapping[str, int]
    read: Mapping[str, int]
    samples: tuple[Sample, ...]

    @property
    def lines(self) -> int:
        """How many."""
        return sum(self.hours.values())

    @property
    def share(self) -> float:
        """Their share of the lines of their hours, 0 to 1."""
        return self.lines / sum(self.read.values())

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "source": self.source,
            "reason": self.reason,
            "lines": self.lines,
            "share": self.share,
            "hours": [
                {"hour": hour, "lines": lines, "of": self.read[hour]}
                for hour, lines in self.hours.items()
            ],
            "samples": [vars(each) for each in self.samples],
            "todo": todo(self.source),
        }


def todo(source: str) -> str:
    """Return what to do next about a source's quarantined lines."""
    return f"fix its source file, then: {command('quarantine', 'replay', source_word(source))}"


def quarantined(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str | None = None,
    reason: str | None = None,
    first: str | None = None,
    last: str | None = None,
    samples: int = 3,
) -> list[Quarantined]:
    """Return what is in quarantine, by source and reason.

    Args:
        connection: of `query.connect`.
        source: only this one's.
        reason: only this one.
        first: only dump hours from this one on, as `hours.hour_text` writes them.
        last: only dump hours up to this one.
        samples: lines to bring of each source and reason, at most.
    """
    asked = {"source": source, "reason": reason, "first": first, "last": last}
    shown: dict[tuple[str, str], list[Sample]] = {}
    if samples:
        found = connection.execute(_SAMPLES, {**asked, "samples": samples}).fetchall()
        for name, why, hour, file, line, detail, raw in found:
            shown.setdefault((name, why), []).append(
                Sample(hour, clipped(file, _WIDTH), line, _clipped(detail), _clipped(raw))
            )
    hours: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    for name, why, hour, lines, read in connection.execute(_COUNTS, asked).fetchall():
        hours.setdefault((name, why), {})[hour] = (lines, read)
    return [
        Quarantined(
            name,
            why,
            {hour: lines for hour, (lines, _) in counts.items()},
            {hour: read for hour, (_, read) in counts.items()},
            tuple(shown.get((name, why), ())),
        )
        for (name, why), counts in hours.items()
    ]


def landed_sources(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the sources of which anything was ever landed, by name."""
    found = connection.execute("SELECT DISTINCT source FROM ops.landings ORDER BY 1").fetchall()
    return [str(name) for (name,) in found]


def _clipped(value: str | None) -> str:
    return clipped(value or "", _WIDTH)
