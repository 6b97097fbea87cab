"""All that the system tables have of an hour of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.hours import HOUR, hour_text
from tidegate.query import status as reports
from tidegate.report.addresses import UnknownPageError
from tidegate.report.audits import Audit, History, Key, audits_of_hour, histories
from tidegate.report.bad_lines import Sample, samples_of
from tidegate.report.grid import state_of
from tidegate.report.rows import TEXT, rows

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings


_LANDINGS = 10

_PUBLICATIONS = 10

_FILES = 20


@dataclass(frozen=True)
class Hour:
    """All that the books have of an hour of a source, the newest first.

    Attributes:
        source: its name.
        hour: the dump hour.
        state: as in the grid.
        before: the hour before it, if anything is known of that.
        after: the hour after it.
        held: what holds it.
        landings: rows of `ops/landings`.
        publications: rows of `ops/publications`, each with the `slice` of this hour.
        audits: the newest ones.
        older_audits: how many more there are.
        samples: some of its bad lines.
        histories: numbers of the newest audit's expectations over time.
    """

    source: str
    hour: datetime
    state: str
    before: datetime | None
    after: datetime | None
    held: reports.Held | None
    landings: tuple[Mapping[str, Any], ...]
    publications: tuple[Mapping[str, Any], ...]
    audits: tuple[Audit, ...]
    older_audits: int
    samples: tuple[Sample, ...]
    histories: Mapping[Key, History] = field(default_factory=dict)


_LANDINGS_OF = f"""
SELECT landing_id, status, left(error, {TEXT}) AS error,
       [{{'name': left(f.name, {TEXT}), 'size': f.size, 'lines': f.lines}}
        FOR f IN files[1:{_FILES}]] AS files,
       len(files) AS files_count, bytes, lines, events, duplicates, quarantined,
       map_entries(quarantined_by_reason) AS by_reason, absent, run_id, landed_at
FROM ops.landings WHERE source = ? AND dump_hour = ?
ORDER BY landed_at DESC, landing_id DESC LIMIT {_LANDINGS}
"""

_PUBLICATIONS_OF = f"""
SELECT publication_id, sequence, delta_version, rows, len(slices) AS slices_count,
       list_filter(slices, s -> s.slice = ?)[1] AS slice, run_id, published_at
FROM ops.publications
WHERE table_name = 'events' AND source = ? AND slice_min <= ? AND slice_max >= ?
  AND slice IS NOT NULL
ORDER BY sequence DESC LIMIT {_PUBLICATIONS}
"""


def hour_of(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    row: Mapping[str, Any],
    hour: datetime,
    now: datetime,
) -> Hour:
    """Return an hour of a source.

    Args:
        connection: of `query.connect`.
        settings: whose suite says what the limits are.
        row: the source's row of `reports.hours`.
        hour: the dump hour.
        now: the time; tells whether the hour is late.

    Raises:
        UnknownPageError: nothing is expected of the hour.
    """
    source = row["source"]
    ends = (hour - HOUR, hour + HOUR)
    found = reports.hour_states(connection, {source: ends})[source]
    before, state, after = (state_of(at, found, row, now) for at in (ends[0], hour, ends[1]))
    if state is None:
        raise UnknownPageError(
            "nothing is known of this hour",
            where=f"{source} {hour:%Y-%m-%dT%H}",
            expected=f"an hour from {row['first_hour']} to {row['last_hour']}",
        )
    audits, older = audits_of_hour(connection, source, hour)
    newest = next((each.results for each in audits if not each.approval), ())
    return Hour(
        source=source,
        hour=hour,
        state=state,
        before=ends[0] if before else None,
        after=ends[1] if after else None,
        held=_held(connection, source, hour) if state in ("held", "unreadable") else None,
        landings=rows(connection, _LANDINGS_OF, [source, hour]),
        publications=rows(connection, _PUBLICATIONS_OF, [hour, source, hour, hour]),
        audits=audits,
        older_audits=older,
        samples=samples_of(connection, source, hour, hour),
        histories=histories(connection, settings, source, hour, newest),
    )


def _held(
    connection: duckdb.DuckDBPyConnection, source: str, hour: datetime
) -> reports.Held | None:
    slice_ = "events", source, hour_text(hour)
    for each in reports.held(connection):
        if (each.table_name, each.source, each.slice) == slice_:
            return each
    return None
