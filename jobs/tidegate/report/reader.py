"""What the pages show, read from the system tables through DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.hints import command
from tidegate.query import status as reports
from tidegate.query.connect import connect, pinned, query_errors
from tidegate.report.addresses import UnknownPageError
from tidegate.report.audits import Audit, derived_audits, worrying_hours
from tidegate.report.bad_lines import Quarantine, bad_lines
from tidegate.report.catalogue import Catalogue, catalogue
from tidegate.report.hour import Hour, hour_of
from tidegate.report.metrics import Metrics, metrics_of
from tidegate.report.overview import Overview, overview_of

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings

_NEWEST = """
SELECT (SELECT max(landed_at) FROM ops.landings), (SELECT max(audited_at) FROM ops.audits),
       (SELECT max(published_at) FROM ops.publications)
"""


@contextmanager
def open_reader(settings: Settings) -> Iterator[Reader]:
    """Open the system tables of a lake for the length of the block.

    Raises:
        TidegateError: there is no lake, or it can't be read.
    """
    with (
        connect(settings) as connection,
        query_errors(
            "the system tables can't be read",
            where=settings.lake,
            todo=f"check the lake: {command('status')}",
        ),
    ):
        yield Reader(connection, settings)


class Reader:
    """What each page shows.

    Args:
        connection: of `query.connect`.
        settings: whose sources and suites say what is stale and what the limits are.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._sources = {row["source"]: row for row in reports.hours(connection)}

    @property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """The sources that ever landed anything, with their rows of `reports.hours`."""
        return self._sources

    def overview(self, now: datetime, to: date | None = None) -> Overview:
        """Return all sources.

        Args:
            now: the time; tells which hours are late.
            to: the last day of the grids; None for the last that has anything.
        """
        return overview_of(self._connection, self._settings, self._sources, now, to)

    def hour(self, source: str, hour: datetime, now: datetime) -> Hour:
        """Return an hour of a source.

        Raises:
            UnknownPageError: no such source ever landed anything, or nothing is expected of the hour.
        """
        return hour_of(self._connection, self._settings, self._source(source), hour, now)

    def worrying(self, source: str, first: datetime, last: datetime) -> list[datetime]:
        """Return the hours of a range that are held or whose last audit was not met, oldest first."""
        states = reports.hour_states(self._connection, {source: (first, last)})[source]
        held = {hour for hour, state in states.items() if state in ("held", "unreadable")}
        return sorted(held | worrying_hours(self._connection, source, first, last))

    def quarantine(self, source: str, to: date | None = None) -> Quarantine:
        """Return the bad lines of a source's last days.

        Raises:
            UnknownPageError: no such source ever landed anything.
        """
        self._source(source)
        return bad_lines(self._connection, source, to)

    def derived(self) -> tuple[Audit, ...]:
        """Return the newest audit of each derived table and source."""
        return derived_audits(self._connection)

    def catalogue(self) -> Catalogue:
        """Return what can be queried, and what it means."""
        return catalogue(self._connection)

    def metrics(self) -> Metrics:
        """Return the metrics of the release, with the values of their newest periods."""
        return metrics_of(self._connection)

    def state(self) -> tuple[object, ...]:
        """Return what tells one state of the lake from another: its release, and the newest records."""
        newest = self._connection.execute(_NEWEST).fetchone() or ()
        return (self._settings.lake, pinned(self._connection), *newest)

    def _source(self, source: str) -> Mapping[str, Any]:
        if source not in self._sources:
            raise UnknownPageError(
                "no such source", where=source, expected="a source of which an hour was landed"
            )
        return self._sources[source]
