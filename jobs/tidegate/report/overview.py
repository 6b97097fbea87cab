"""All sources: their hours, what is held, what is stale, and the latest release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR
from tidegate.config.suites import load_suite
from tidegate.privacy.key import with_known_key
from tidegate.query import status as reports
from tidegate.query.freshness import Freshness, freshness
from tidegate.report.grid import DAYS, Grid, grid_of, last_due
from tidegate.report.rows import utc
from tidegate.tables import REBUILDABLE

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings
    from tidegate.config.source import Source


@dataclass(frozen=True)
class Overview:
    """All sources, what is held, what is stale, and the latest release.

    Attributes:
        grids: a source's hours each.
        held: what is held.
        stale: tables that are not what their files now say.
        wrong: source files and suites that have faults, so that nothing can be said by them.
        release: the id and time of the latest release.
        rolled_back: what that is, in words, if somebody rolled back to an earlier one.
    """

    grids: tuple[Grid, ...]
    held: tuple[reports.Held, ...]
    stale: tuple[reports.Stale, ...]
    wrong: tuple[str, ...]
    release: tuple[str, datetime] | None
    rolled_back: str | None

    @property
    def behind(self) -> tuple[Freshness, ...]:
        """The sources that do not keep what they promise, for how long they don't, longest first."""
        promises = [each.promise for each in self.grids if each.promise is not None]
        late = [each for each in promises if each.missing]
        return tuple(sorted(late, key=lambda each: each.since or each.now))


def overview_of(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    sources: Mapping[str, Mapping[str, Any]],
    now: datetime,
    to: date | None = None,
) -> Overview:
    """Return all sources.

    Args:
        connection: of `query.connect`.
        settings: whose files say what is stale.
        sources: rows of `reports.hours` by source.
        now: the time; tells which hours are late.
        to: the last day of the grids; None for the last that has anything.
    """
    shown: dict[str, tuple[datetime, datetime]] = {}
    for source, row in sources.items():
        end = to or last_due(row, now).date()
        start = datetime(end.year, end.month, end.day, tzinfo=UTC) - (DAYS - 1) * 24 * HOUR
        shown[source] = (start, start + (DAYS * 24 - 1) * HOUR)
    states = reports.hour_states(connection, shown)
    of_files, faulty = _files(settings)
    stale, unread = _stale(connection, settings, of_files)
    promises = {each.source: each for each in freshness(connection, of_files, now)}
    return Overview(
        grids=tuple(
            replace(
                grid_of(source, row, shown[source], states[source], now),
                promise=promises.get(source),
            )
            for source, row in sources.items()
        ),
        held=tuple(reports.held(connection)),
        stale=stale,
        wrong=(*faulty, *unread),
        release=_release(connection),
        rolled_back=reports.rolled_back(connection),
    )


def _files(settings: Settings) -> tuple[list[Source], list[str]]:
    """Return the sources as their files are now, and the files that are wrong."""
    from tidegate.config.source import load_source, source_files

    sources: list[Source] = []
    wrong = []
    for file in source_files(settings.sources):
        try:
            sources.append(with_known_key(load_source(file), settings.home))
        except TidegateError:
            wrong.append(file.name)
    return sources, wrong


def _stale(
    connection: duckdb.DuckDBPyConnection, settings: Settings, sources: Sequence[Source]
) -> tuple[tuple[reports.Stale, ...], tuple[str, ...]]:
    """Return what is stale, and the suites that can't tell, since they are wrong."""
    suites: dict[str, str] = {}
    wrong = []
    for name in (table.name for table in REBUILDABLE):
        try:
            suites[name] = load_suite(settings.expectations, name).fingerprint
        except TidegateError:
            wrong.append(f"{name}.yml")
    return tuple(reports.stale(connection, sources, suites)), tuple(wrong)


def _release(connection: duckdb.DuckDBPyConnection) -> tuple[str, datetime] | None:
    row = connection.execute(
        "SELECT release_id, released_at FROM ops.releases ORDER BY released_at DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (str(row[0]), utc(row[1]))
