"""What the pages show, read from the books through DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, hour_text, parse_hour
from tidegate.common.identifiers import NAME
from tidegate.config.suites import Suite, load_suite
from tidegate.privacy.key import with_known_key
from tidegate.query import status as reports
from tidegate.query.connect import connect, query_errors
from tidegate.query.freshness import Freshness, freshness
from tidegate.query.hour_status import STANDING
from tidegate.report.catalogue import Catalogue, catalogue
from tidegate.tables import REBUILDABLE, WAREHOUSE

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings
    from tidegate.config.source import Source

DAYS = 7
"""Days that a grid of hours has."""
HISTORY = timedelta(days=28)
"""How far back a number's history goes, as usual values do by default."""
_AFTER = timedelta(days=1)  # of a number's history: whether it went on like that
_LIVE = timedelta(hours=48)
_LATE = timedelta(hours=1)
_YEARS = (1970, 9000)
# Bounds of what one page holds: what is beyond them is counted.
_AUDITS = 12
_LANDINGS = 10
_PUBLICATIONS = 10
_FILES = 20
_SAMPLES = 5
_TEXT = 1_000
RAW = 500
"""Characters of a bad line that are shown."""

Key = tuple[str, str]
"""An expectation's name and severity."""

_RANKS = ("critical", "warning", "info")
_STATUSES = ("failed", "approved", "warming up", "not known", "met")


class UnknownPageError(TidegateError):
    """The books have nothing of what was asked for."""


@dataclass(frozen=True)
class Day:
    """A day of a source's grid.

    Attributes:
        date: the day, UTC.
        states: of its 24 hours; None where nothing is expected.
    """

    date: date
    states: tuple[str | None, ...]

    @property
    def partial(self) -> bool:
        """Whether not all its hours are published."""
        return any(state != "published" for state in self.states)

    @property
    def hours(self) -> list[tuple[datetime, str | None]]:
        """Its hours with their states."""
        start = datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)
        return [(start + n * HOUR, state) for n, state in enumerate(self.states)]


@dataclass(frozen=True)
class Grid:
    """A source's hours by day.

    Attributes:
        source: its name.
        counts: a row of `reports.hours`.
        days: of the last seven those of which anything is expected, oldest first.
        earlier: the last day of the grid before this one, None if nothing was landed before.
        later: that of the one after it.
        late: how many hours are late, shown or not.
        promise: how it keeps what its file promises, None where that promises nothing.
    """

    source: str
    counts: Mapping[str, Any]
    days: tuple[Day, ...]
    earlier: date | None
    later: date | None
    late: int
    promise: Freshness | None = None


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


@dataclass(frozen=True)
class Result:
    """An expectation run; as in `ops/audits`."""

    expectation: str
    severity: str
    status: str
    observed: str | None
    expected: str | None
    why: str | None
    approved_by: str | None
    metric: float | None

    @property
    def key(self) -> Key:
        """What tells expectations apart, of one audit and over time; limits move with history."""
        return self.expectation, self.severity


@dataclass(frozen=True)
class Audit:
    """A run of a suite on a candidate, and what was known of that; the worst results first."""

    audit_id: str
    table: str
    source: str
    first: datetime | None
    last: datetime | None
    audited_at: datetime
    run_id: str | None
    facts: Mapping[str, Any]
    results: tuple[Result, ...]

    @property
    def place(self) -> int:
        """The place of its table after those that it is built from."""
        names = [table.name for table in WAREHOUSE]
        return names.index(self.table) if self.table in names else len(names)

    @property
    def approval(self) -> bool:
        """Whether it is no run of the suite but somebody's word that what failed may be published."""
        return all(each.status == "approved" for each in self.results)

    @property
    def verdict(self) -> str:
        """The worst of its results in one word."""
        failed = {each.severity for each in self.results if each.status == "failed"}
        if "critical" in failed:
            return "held"
        if "warning" in failed:
            return "warned"
        return min((each.status for each in self.results), key=_status_rank, default="met")


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
class History:
    """A number of an expectation over time.

    Attributes:
        points: by slice, oldest first.
        least: what it may be at least, as the suite is now; None where there is no such limit.
        most: what it may be at most.
    """

    points: tuple[tuple[datetime, float], ...]
    least: float | None = None
    most: float | None = None


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


@contextmanager
def opened(settings: Settings) -> Iterator[Books]:
    """Open the books of a lake for the length of the block.

    Raises:
        TidegateError: there is no lake, or it can't be read.
    """
    with (
        connect(settings) as connection,
        query_errors(
            "the system tables can't be read",
            where=settings.lake,
            todo="check the lake: tidegate status",
        ),
    ):
        yield Books(connection, settings)


class Books:
    """The books of a lake, as the pages need them.

    Args:
        connection: of `query.connect`.
        settings: whose sources and suites say what is stale and what the limits are.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._sources = {row["source"]: row for row in reports.hours(connection)}

    def catalogue(self) -> Catalogue:
        """Return what can be queried, and what it means."""
        return catalogue(self._connection)

    def overview(self, now: datetime, to: date | None = None) -> Overview:
        """Return all sources.

        Args:
            now: the time; tells which hours are late.
            to: the last day of the grids; None for the last that has anything.
        """
        shown: dict[str, tuple[datetime, datetime]] = {}
        for source, row in self._sources.items():
            end = to or _last_due(row, now).date()
            start = datetime(end.year, end.month, end.day, tzinfo=UTC) - (DAYS - 1) * 24 * HOUR
            shown[source] = (start, start + (DAYS * 24 - 1) * HOUR)
        states = reports.hour_states(self._connection, shown)
        sources, faulty = self._files()
        stale, unread = self._stale(sources)
        promises = {each.source: each for each in freshness(self._connection, sources, now)}
        return Overview(
            grids=tuple(
                replace(
                    _grid(source, row, shown[source], states[source], now),
                    promise=promises.get(source),
                )
                for source, row in self._sources.items()
            ),
            held=tuple(reports.held(self._connection)),
            stale=stale,
            wrong=(*faulty, *unread),
            release=self._release(),
            rolled_back=reports.rolled_back(self._connection),
        )

    def hour(self, source: str, hour: datetime, now: datetime) -> Hour:
        """Return an hour of a source.

        Raises:
            UnknownPageError: no such source ever landed anything, or nothing is expected of the hour.
        """
        row = self._source(source)
        ends = (hour - HOUR, hour + HOUR)
        found = reports.hour_states(self._connection, {source: ends})[source]
        before, state, after = (_state(at, found, row, now) for at in (ends[0], hour, ends[1]))
        if state is None:
            raise UnknownPageError(
                "nothing is known of this hour",
                where=f"{source} {hour:%Y-%m-%dT%H}",
                expected=f"an hour from {row['first_hour']} to {row['last_hour']}",
            )
        audits, older = self._audits_of(source, hour)
        newest = next((each.results for each in audits if not each.approval), ())
        return Hour(
            source=source,
            hour=hour,
            state=state,
            before=ends[0] if before else None,
            after=ends[1] if after else None,
            held=self._held(source, hour) if state in ("held", "unreadable") else None,
            landings=self._rows(_LANDINGS_OF, [source, hour]),
            publications=self._rows(_PUBLICATIONS_OF, [hour, source, hour, hour]),
            audits=audits,
            older_audits=older,
            samples=self._samples(source, hour, hour),
            histories=self._histories(source, hour, newest),
        )

    def worrying(self, source: str, first: datetime, last: datetime) -> list[datetime]:
        """Return the hours of a range that are held or whose last audit was not met, oldest first."""
        states = reports.hour_states(self._connection, {source: (first, last)})[source]
        held = {hour for hour, state in states.items() if state in ("held", "unreadable")}
        rows = self._connection.execute(_WORRYING, [source, first, last]).fetchall()
        return sorted(held | {_utc(row[0]) for row in rows})

    def quarantine(self, source: str, to: date | None = None) -> Quarantine:
        """Return the bad lines of a source's last days.

        Args:
            source: its name.
            to: the last day; None for the last that has any.

        Raises:
            UnknownPageError: no such source ever landed anything.
        """
        self._source(source)
        ends = self._connection.execute(_QUARANTINED_ENDS, [source]).fetchone()
        if ends is None or ends[0] is None:
            return Quarantine(source, {}, (), (), None, None)
        first, last = _utc(ends[0]), _utc(ends[1])
        end = to or last.date()
        start = datetime(end.year, end.month, end.day, tzinfo=UTC) - (DAYS - 1) * 24 * HOUR
        stop = start + (DAYS * 24 - 1) * HOUR
        counts: dict[datetime, dict[str, int]] = {}
        totals: dict[str, int] = {}
        for hour, reason, lines in self._connection.execute(
            _QUARANTINED, [source, start, stop]
        ).fetchall():
            counts.setdefault(_utc(hour), {})[reason] = lines
            totals[reason] = totals.get(reason, 0) + lines
        return Quarantine(
            source=source,
            counts=counts,
            reasons=tuple(sorted(totals, key=lambda reason: (-totals[reason], reason))),
            samples=self._samples(source, start, stop),
            earlier=_earlier(start, first),
            later=_later(stop, last),
        )

    def derived(self) -> tuple[Audit, ...]:
        """Return the newest audit of each derived table and source."""
        rows = self._connection.execute(_DERIVED, [_TEXT] * 4).fetchall()
        return tuple(_audits(rows))

    @property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """The sources that ever landed anything, with their rows of `reports.hours`."""
        return self._sources

    def _source(self, source: str) -> Mapping[str, Any]:
        if source not in self._sources:
            raise UnknownPageError(
                "no such source", where=source, expected="a source of which an hour was landed"
            )
        return self._sources[source]

    def _held(self, source: str, hour: datetime) -> reports.Held | None:
        asked = "events", source, hour_text(hour)
        for each in reports.held(self._connection):
            if (each.table_name, each.source, each.slice) == asked:
                return each
        return None

    def _files(self) -> tuple[list[Source], list[str]]:
        """Return the sources as their files are now, and the files that are wrong."""
        from tidegate.config.source import load_source, source_files

        sources: list[Source] = []
        wrong = []
        for file in source_files(self._settings.sources):
            try:
                sources.append(with_known_key(load_source(file), self._settings.home))
            except TidegateError:
                wrong.append(file.name)
        return sources, wrong

    def _stale(
        self, sources: Sequence[Source]
    ) -> tuple[tuple[reports.Stale, ...], tuple[str, ...]]:
        """Return what is stale, and the suites that can't tell, since they are wrong."""
        suites: dict[str, str] = {}
        wrong = []
        for name in (table.name for table in REBUILDABLE):
            try:
                suites[name] = load_suite(self._settings.expectations, name).fingerprint
            except TidegateError:
                wrong.append(f"{name}.yml")
        return tuple(reports.stale(self._connection, sources, suites)), tuple(wrong)

    def _release(self) -> tuple[str, datetime] | None:
        row = self._connection.execute(
            "SELECT release_id, released_at FROM ops.releases ORDER BY released_at DESC LIMIT 1"
        ).fetchone()
        return None if row is None else (str(row[0]), _utc(row[1]))

    def _rows(self, query: str, values: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
        result = self._connection.execute(query, values)
        names = [column[0] for column in result.description or []]
        return tuple(
            {name: _plain(value) for name, value in zip(names, row, strict=True)}
            for row in result.fetchall()
        )

    def _audits_of(self, source: str, hour: datetime) -> tuple[tuple[Audit, ...], int]:
        rows = self._connection.execute(_AUDITS_OF, [*[_TEXT] * 4, source, hour]).fetchall()
        older = rows[0][-1] - _AUDITS if rows else 0
        return tuple(_audits([row[:-1] for row in rows])), max(older, 0)

    def _samples(self, source: str, first: datetime, last: datetime) -> tuple[Sample, ...]:
        rows = self._connection.execute(_SAMPLED, [source, first, last]).fetchall()
        return tuple(Sample(_utc(row[0]), *row[1:]) for row in rows)

    def _histories(
        self, source: str, hour: datetime, results: Sequence[Result]
    ) -> dict[Key, History]:
        """Return the numbers of expectations in the weeks before an hour, with today's limits."""
        points: dict[Key, list[tuple[datetime, float]]] = {}
        for name, severity, slice_, metric in self._connection.execute(
            _METRICS, [source, hour - HISTORY, hour - HISTORY, hour + _AFTER]
        ).fetchall():
            points.setdefault((name, severity), []).append((_utc(slice_), metric))
        try:
            suite = load_suite(self._settings.expectations, "events")
        except TidegateError:
            suite = None
        return {
            each.key: History(tuple(points[each.key]), *_limits(suite, source, each))
            for each in results
            if each.key in points
        }


# Books that are older than these columns are read too.
_ALL_AUDITS = """(
    SELECT * FROM ops.audits UNION ALL BY NAME
    SELECT NULL::VARCHAR AS status, NULL::DOUBLE AS metric, NULL::VARCHAR AS approved_by,
           NULL::VARCHAR AS facts WHERE false
)"""
_RESULT = f"""
audit_id, table_name, source, list_min(slices), list_max(slices), audited_at, run_id, facts,
expectation, severity,
{reports.STATUS},
left(observed, ?), left(expected, ?), left(why, ?), left(approved_by, ?),
CASE WHEN isfinite(metric) THEN metric END
"""
_AUDITS_OF = f"""
WITH found AS (
    SELECT *, dense_rank() OVER (ORDER BY audited_at DESC, audit_id) AS place
    FROM (SELECT {_RESULT} FROM {_ALL_AUDITS}
          WHERE table_name = 'events' AND source = ? AND list_contains(slices, ?))
)
SELECT * EXCLUDE (place), max(place) OVER () FROM found
QUALIFY place <= {_AUDITS} ORDER BY place
"""
_DERIVED = f"""
SELECT {_RESULT} FROM {_ALL_AUDITS} WHERE table_name <> 'events'
QUALIFY rank() OVER (PARTITION BY table_name, source ORDER BY audited_at DESC, audit_id) = 1
ORDER BY table_name, source
"""
# What is audited has been landed, and what is landed was dumped: so the time of the audit, by which
# files can be skipped, is not before the slice.
_METRICS = f"""
SELECT expectation, severity, slices[1] AS slice, metric
FROM {_ALL_AUDITS}
WHERE table_name = 'events' AND source = ? AND len(slices) = 1 AND isfinite(metric)
  AND audited_at >= ? AND slices[1] BETWEEN ? AND ?
QUALIFY row_number() OVER (
    PARTITION BY expectation, severity, slices[1] ORDER BY audited_at DESC) = 1
ORDER BY slice
"""
_WORRYING = f"""
SELECT slices[1] FROM (
    SELECT *, max(audited_at) OVER (PARTITION BY slices) AS newest FROM {_ALL_AUDITS}
    WHERE table_name = 'events' AND source = ? AND len(slices) = 1
      AND slices[1] BETWEEN ? AND ?
) WHERE audited_at = newest AND severity <> 'info'
    AND coalesce(status, CASE WHEN NOT success THEN 'failed' END) IN ('failed', 'approved')
GROUP BY ALL
"""
_LANDINGS_OF = f"""
SELECT landing_id, status, left(error, {_TEXT}) AS error,
       [{{'name': left(f.name, {_TEXT}), 'size': f.size, 'lines': f.lines}}
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
SELECT dump_hour, reason, left(file, {_TEXT}), line, left(detail, {_TEXT}), left(raw, {RAW}),
       length(raw)
FROM ops.quarantine WHERE source = ? AND dump_hour BETWEEN ? AND ?
QUALIFY row_number() OVER (
    PARTITION BY reason ORDER BY dump_hour DESC, file, line) <= {_SAMPLES}
ORDER BY reason, dump_hour DESC, file, line
"""


def parse_source(text: str) -> str:
    """Return a source's name as it came from outside.

    Raises:
        UnknownPageError: no source can have that name.
    """
    if not NAME.fullmatch(text):
        raise UnknownPageError("no such source", expected="a-z, 0-9 and _, from a letter on")
    return text


def parse_page_hour(text: str) -> datetime:
    """Return an hour as it came from outside.

    Raises:
        UnknownPageError: it is none.
    """
    try:
        hour = parse_hour(text)
    except TidegateError as error:
        raise UnknownPageError(error.what, expected=error.expected) from error
    parse_day(hour.date().isoformat())
    return hour


def parse_day(text: str) -> date:
    """Return a day as it came from outside.

    Raises:
        UnknownPageError: it is none, or so far away that there is nothing to reckon with.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UnknownPageError("not a day", expected="a date, such as 2015-01-31") from error
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise UnknownPageError(
            "no day of any dump", expected=f"a year from {_YEARS[0]} to {_YEARS[1]}"
        )
    return day


def _grid(
    source: str,
    row: Mapping[str, Any],
    ends: tuple[datetime, datetime],
    known: Mapping[datetime, str],
    now: datetime,
) -> Grid:
    first, last = parse_hour(row["first_hour"]), parse_hour(row["last_hour"])
    due = _last_due(row, now)
    start, stop = ends
    days = [
        Day(
            (start + day * 24 * HOUR).date(),
            tuple(_state(start + (day * 24 + n) * HOUR, known, row, now) for n in range(24)),
        )
        for day in range(DAYS)
    ]
    return Grid(
        source=source,
        counts=row,
        days=tuple(day for day in days if any(day.states)),
        earlier=_earlier(start, first),
        later=_later(stop, due),
        late=(due - last) // HOUR,
    )


def _state(
    hour: datetime, known: Mapping[datetime, str], row: Mapping[str, Any], now: datetime
) -> str | None:
    """Return the state of an hour; None where nothing is expected of it."""
    if hour in known:
        return known[hour]
    if hour < parse_hour(row["first_hour"]):
        return None
    if hour < parse_hour(row["last_hour"]):
        return "missing"
    return "late" if hour <= _last_due(row, now) else None


def _last_due(row: Mapping[str, Any], now: datetime) -> datetime:
    """Return the last hour that should have been landed by now, of a source that is still alive."""
    last = parse_hour(row["last_hour"])
    if now - last > _LIVE:
        return last
    late = now - _LATE - HOUR
    return max(last, late.replace(minute=0, second=0, microsecond=0))


def _earlier(start: datetime, first: datetime) -> date | None:
    return (start - HOUR).date() if first < start else None


def _later(stop: datetime, last: datetime) -> date | None:
    return (stop + DAYS * 24 * HOUR).date() if last > stop else None


def _audits(rows: Sequence[tuple[Any, ...]]) -> list[Audit]:
    """Return audits of rows as `_RESULT` has them, in the order of the rows."""
    by_id: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_id.setdefault(row[0], []).append(row)
    audits = []
    for audit_id, found in by_id.items():
        _, table, source, first, last, audited_at, run_id = found[0][:7]
        told = next((row[7] for row in found if row[7] is not None), "{}")  # one row has them
        results = sorted((Result(*row[8:]) for row in found), key=_rank)
        audits.append(
            Audit(
                audit_id=audit_id,
                table=table,
                source=source,
                first=first and _utc(first),
                last=last and _utc(last),
                audited_at=_utc(audited_at),
                run_id=run_id,
                facts=json.loads(told),
                results=tuple(results),
            )
        )
    return audits


def _rank(result: Result) -> tuple[int, int, str, str]:
    severity = _RANKS.index(result.severity) if result.severity in _RANKS else len(_RANKS)
    return _status_rank(result.status), severity, result.expectation, result.expected or ""


def _status_rank(status: str) -> int:
    return _STATUSES.index(status) if status in _STATUSES else 0


def _limits(suite: Suite | None, source: str, result: Result) -> tuple[float | None, float | None]:
    """Return what a number may be at least and at most, by the one rule of the suite that it is of.

    Limits that follow from history are others for each hour: there is no line for them.
    """
    entries = [
        each
        for each in (suite.entries_for(source) if suite else ())
        if (each.name, each.severity) == (result.expectation, result.severity)
    ]
    if len(entries) != 1:
        return None, None
    args = entries[0].args
    if entries[0].of == "rows":  # the number is the share of rows that are not as expected
        mostly = args.get("mostly", 1)
        return None, 1 - mostly if isinstance(mostly, int | float) else None
    least, most = args.get("min_value"), args.get("max_value")
    return (
        float(least) if isinstance(least, int | float) else None,
        float(most) if isinstance(most, int | float) else None,
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _plain(value: Any) -> Any:
    return _utc(value) if isinstance(value, datetime) else value
