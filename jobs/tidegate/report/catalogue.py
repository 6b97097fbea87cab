"""What the catalogue shows: each table and view, what its columns mean, what it is made from and how fresh it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate.config.metrics.sql import SCHEMA as METRICS
from tidegate.query.status import STATUS
from tidegate.query.views import VIEWS
from tidegate.report.rows import rows, utc
from tidegate.tables import OPS, WAREHOUSE, Table

if TYPE_CHECKING:
    import duckdb

_PUBLISHED = """
SELECT table_name, source, max(slice_max) AS newest, max(published_at) AS published_at,
       count(*) AS publications
FROM ops.publications GROUP BY ALL ORDER BY ALL
"""
# The newest audit of each table and source, and the worst that it says.
_AUDITED = f"""
SELECT table_name, source, audited_at,
       count(*) FILTER ({STATUS} = 'failed' AND severity = 'critical') AS failed,
       count(*) FILTER ({STATUS} = 'failed' AND severity = 'warning') AS warned
FROM ops.audits WHERE audit_id IN (
    SELECT arg_max(audit_id, audited_at) FROM ops.audits GROUP BY table_name, source)
GROUP BY ALL ORDER BY ALL
"""
_DEFINED = """
SELECT source, arg_max(definition, recorded_at) FROM ops.configurations
WHERE table_name = 'events' GROUP BY source ORDER BY source
"""
_DAYS = 7


@dataclass(frozen=True)
class Shown:
    """A column: its name, its type as SQL has it, and what it means."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Standing:
    """How a table stands of a source.

    Attributes:
        source: the source.
        newest: the newest slice that was published.
        published_at: when the last publication was made.
        publications: how many there were.
        audited_at: when a candidate was audited last.
        verdict: what came of that: met, warned, or failed; None if no audit is known.
    """

    source: str
    newest: datetime | None
    published_at: datetime | None
    publications: int
    audited_at: datetime | None
    verdict: str | None


@dataclass(frozen=True)
class Entry:
    """A table or view of the catalogue.

    Attributes:
        name: as queries name it.
        meaning: what one row is.
        columns: its columns.
        key: the columns that identify a row; empty for a view.
        version: of the Delta table that the release pins; None for a view or without a release.
        built_from: what it is made from.
        used_by: what is made from it.
        standing: of each source; of published tables.
    """

    name: str
    meaning: str
    columns: tuple[Shown, ...]
    key: tuple[str, ...] = ()
    version: int | None = None
    built_from: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    standing: tuple[Standing, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """All that can be queried.

    Attributes:
        release: the id of the release, None where there is none.
        sources: their names, with where each one's dumps are below their root.
        tables: published tables, each after those that it is built from.
        views: views of them.
        metrics: views of metrics.
        books: the system's own books.
        freshness: rows of the view `freshness`.
        days: rows of `completeness_by_day` that are partial, of the last days of each source.
    """

    release: str | None
    sources: Mapping[str, str]
    tables: tuple[Entry, ...]
    views: tuple[Entry, ...]
    metrics: tuple[Entry, ...]
    books: tuple[Entry, ...]
    freshness: tuple[Mapping[str, Any], ...]
    days: tuple[Mapping[str, Any], ...]


def catalogue(connection: duckdb.DuckDBPyConnection) -> Catalogue:
    """Return the catalogue of the release that a connection of `query.connect` shows."""
    from tidegate.query.connect import pinned

    release = pinned(connection)
    columns = _columns(connection)
    definitions = {
        source: json.loads(text) for source, text in connection.execute(_DEFINED).fetchall()
    }
    declared = _declared(definitions)
    standing = _standing(connection)
    versions = _versions(connection, release)
    tables = tuple(
        Entry(
            name=table.name,
            meaning=table.meaning,
            columns=tuple(
                Shown(each.name, each.type, each.meaning or declared.get(each.name, ""))
                for each in columns.get(("main", table.name), ())
            ),
            key=table.key,
            version=versions.get(table.name),
            built_from=table.built_from or tuple(sorted(definitions)),
            used_by=_used_by(table),
            standing=standing.get(table.name, ()),
        )
        for table in WAREHOUSE
        if ("main", table.name) in columns
    )
    views = tuple(
        Entry(
            name=each.name if each.schema == "main" else f"{each.schema}.{each.name}",
            meaning=each.meaning,
            columns=columns[each.schema, each.name],
            built_from=each.built_from,
        )
        for each in VIEWS
        if (each.schema, each.name) in columns
    )
    books = tuple(
        Entry(f"ops.{table.name}", table.meaning, columns["ops", table.name], key=table.key)
        for table in OPS
        if ("ops", table.name) in columns
    )
    whole = any(view.name == "freshness" for view in views)
    return Catalogue(
        release=release,
        sources={source: str(said.get("names", "")) for source, said in definitions.items()},
        tables=tables,
        views=views,
        metrics=_metrics(connection, columns),
        books=books,
        freshness=rows(connection, "SELECT * FROM freshness ORDER BY source") if whole else (),
        days=rows(
            connection,
            "SELECT * FROM (FROM completeness_by_day QUALIFY row_number() OVER ("
            f"PARTITION BY source ORDER BY dump_date DESC) <= {_DAYS}) "
            "WHERE is_partial ORDER BY source, dump_date DESC",
        )
        if whole
        else (),
    )


def _metrics(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[tuple[str, str], tuple[Shown, ...]]
) -> tuple[Entry, ...]:
    rows = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'metrics' ORDER BY view_name"
    ).fetchall()
    return tuple(
        Entry(f"metrics.{name}", meaning or "", columns[METRICS, name]) for name, meaning in rows
    )


def _used_by(table: Table) -> tuple[str, ...]:
    tables = [each.name for each in WAREHOUSE if table.name in each.built_from]
    views = [each.name for each in VIEWS if table.name in each.built_from]
    return (*tables, *views)


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[Shown, ...]]:
    """Return the columns of all that can be queried, by schema and name, in their order."""
    found: dict[tuple[str, str], list[Shown]] = {}
    for schema, name, column, kind, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY column_index"
    ).fetchall():
        found.setdefault((schema, name), []).append(Shown(column, kind, comment or ""))
    return {place: tuple(columns) for place, columns in found.items()}


def _declared(definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what columns of sources' own are: by whom they are declared, and from which field."""
    told: dict[str, list[str]] = {}
    for source, said in definitions.items():
        for name, column in said.get("columns", {}).items():
            place = column.get("path") or column.get("sql") or ""
            told.setdefault(name, []).append(f"{place} of {source}")
    return {name: "; ".join(places) for name, places in told.items()}


def _standing(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Standing, ...]]:
    audited = {
        (table, source): (at, "failed" if failed else "warned" if warned else "met")
        for table, source, at, failed, warned in connection.execute(_AUDITED).fetchall()
    }
    found: dict[str, list[Standing]] = {}
    for table, source, newest, published_at, count in connection.execute(_PUBLISHED).fetchall():
        at, verdict = audited.get((table, source), (None, None))
        found.setdefault(table, []).append(
            Standing(source, _utc(newest), _utc(published_at), count, _utc(at), verdict)
        )
    return {table: tuple(rows) for table, rows in found.items()}


def _versions(connection: duckdb.DuckDBPyConnection, release: str | None) -> dict[str, int]:
    row = connection.execute(
        "SELECT map_entries(versions) FROM ops.releases WHERE release_id = ?", [release]
    ).fetchone()
    return {} if row is None else {entry["key"]: entry["value"] for entry in row[0]}


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else utc(time)
