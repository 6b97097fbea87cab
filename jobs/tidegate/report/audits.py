"""Audits as the system tables have them, and the history of their numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.config.suites import Suite, load_suite
from tidegate.query import status as reports
from tidegate.report.rows import TEXT, utc
from tidegate.tables import WAREHOUSE

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.settings import Settings


HISTORY = timedelta(days=28)
"""How far back a number's history goes, as usual values do by default."""

_AFTER = timedelta(days=1)  # of a number's history: whether it went on like that

# Bounds of what one page holds: what is beyond them is counted.
_AUDITS = 12


Key = tuple[str, str]
"""An expectation's name and severity."""

_RANKS = ("critical", "warning", "info")

_STATUSES = ("failed", "approved", "warming up", "not known", "met")


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


def audits_of_hour(
    connection: duckdb.DuckDBPyConnection, source: str, hour: datetime
) -> tuple[tuple[Audit, ...], int]:
    """Return the newest audits of an hour, newest first, and how many older ones there are."""
    rows = connection.execute(_AUDITS_OF, [*[TEXT] * 4, source, hour]).fetchall()
    older = rows[0][-1] - _AUDITS if rows else 0
    return tuple(_audits([row[:-1] for row in rows])), max(older, 0)


def derived_audits(connection: duckdb.DuckDBPyConnection) -> tuple[Audit, ...]:
    """Return the newest audit of each derived table and source."""
    rows = connection.execute(_DERIVED, [TEXT] * 4).fetchall()
    return tuple(_audits(rows))


def histories(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    source: str,
    hour: datetime,
    results: Sequence[Result],
) -> dict[Key, History]:
    """Return the numbers of expectations in the weeks before an hour, with today's limits."""
    points: dict[Key, list[tuple[datetime, float]]] = {}
    for name, severity, slice_, metric in connection.execute(
        _METRICS, [source, hour - HISTORY, hour - HISTORY, hour + _AFTER]
    ).fetchall():
        points.setdefault((name, severity), []).append((utc(slice_), metric))
    try:
        suite = load_suite(settings.expectations, "events")
    except TidegateError:
        suite = None
    return {
        each.key: History(tuple(points[each.key]), *_limits(suite, source, each))
        for each in results
        if each.key in points
    }


def worrying_hours(
    connection: duckdb.DuckDBPyConnection, source: str, first: datetime, last: datetime
) -> set[datetime]:
    """Return the hours of a range whose last audit was not met."""
    return {utc(row[0]) for row in connection.execute(_WORRYING, [source, first, last]).fetchall()}


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
                first=first and utc(first),
                last=last and utc(last),
                audited_at=utc(audited_at),
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
