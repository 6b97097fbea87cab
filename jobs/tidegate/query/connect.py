"""The door to published tables for analysts: DuckDB over the lake, without a JVM.

Views with the tables' bare names are pinned to the versions of one release, so that what is joined
belongs together. Schema `metrics` has the metrics of that release, computed from those views. Schema `ops`
has the system's own books as they are now. A connection reaches the
lake's `warehouse` and `ops` folders and nothing else: not staging, no other file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tidegate.common.connection_errors import lost
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.common.sql_quoting import literal, quoted
from tidegate.common.suggestions import hint
from tidegate.config.metrics.placeholder_views import set_aside
from tidegate.config.settings import Settings
from tidegate.lake.connection import (
    duckdb_uri,
    empty_lake,
    open_connection,
    visible_text,
)
from tidegate.query import hour_status as completeness
from tidegate.query import schema_drift as drift
from tidegate.query import views
from tidegate.query.releases import lost_tables, parse_moment
from tidegate.query.sequences import VIEW
from tidegate.tables import OPS, WAREHOUSE
from tidegate.tables.events import TABLE as EVENTS
from tidegate.tables.system_tables import MAINTENANCE, NUMBERS

if TYPE_CHECKING:
    import duckdb

RELEASE_VARIABLE = "tidegate_release"
"""SQL variable with the id of the release that the views are pinned to: `getvariable('…')`."""

# What the Delta reader says where no table is: on a local disk and in a bucket.
_ABSENT = ("Path does not exist", "No files in log segment", "InvalidTableLocation", "FileNotFound")
_LATEST_SHOWN = 3


@dataclass(frozen=True)
class Release:
    """A release: its id, the version of each warehouse table, and the definitions of its metrics (JSON)."""

    release_id: str
    versions: Mapping[str, int]
    metrics: Mapping[str, str]


def connect(settings: Settings, release: str | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection to the published tables of a lake, of one release.

    That is the latest, or the one of an id, or the one that readers saw at a time (ISO 8601, UTC unless it
    says otherwise).

    Where there is no release yet, the views show the current version of each table. Times are UTC.
    The connection's configuration is locked and it reads nothing outside the lake's `warehouse` and
    `ops`. DuckDB has no way to forbid `COPY … TO` below a folder that may be read: whoever hands a
    connection to others uses `run`, which refuses all but queries, or read-only keys.

    Raises:
        EmptyLakeError: there is no lake, or no table in it.
        TidegateError: there is no such release, or the lake can't be reached.

    """
    base = duckdb_uri(settings.lake)
    connection = open_connection(settings.lake, settings.s3)
    try:
        _make_views(connection, base, release)
        areas = ", ".join(literal(f"{base}/{area}/") for area in ("warehouse", "ops"))
        connection.execute(f"SET allowed_directories = [{areas}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def run(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyConnection:
    """Run one query on a connection of `connect` and return it, with the rows ready to be fetched.

    Raises:
        TidegateError: it is no query, more than one, or DuckDB can't run it.

    """
    import duckdb

    check_query(query)
    try:
        return connection.execute(query)
    except duckdb.Error as error:
        raise _failed(connection, query, error) from error


def check_query(query: str) -> None:
    """Check that a text is one query: something that reads and changes nothing.

    Raises:
        TidegateError: it is empty, several statements, another kind of statement, or no SQL.

    """
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise TidegateError("not SQL that DuckDB reads", got=visible_text(str(error))) from error
    kinds = [statement.type for statement in statements]
    select, explain = duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN
    if not kinds:
        raise TidegateError("an empty query", expected="one query, such as SELECT * FROM events")
    # PIVOT is read as the making of a temporary type and a SELECT, neither with a text of its own.
    pivot = kinds == [duckdb.StatementType.CREATE, select] and not any(s.query for s in statements)
    if len(kinds) > 1 and not pivot:
        raise TidegateError(
            "several statements at once",
            expected="one query",
            got=f"{len(kinds)} statements",
            todo="run them one by one",
        )
    word = _first_word(query)
    if kinds[0] == explain:
        inner = _explained(query)
        if inner is not None:
            check_query(inner)
            return
    elif (kinds[0] == select or pivot) and word != "PRAGMA":
        return
    raise TidegateError(
        "not a query, and published tables are only read here",
        expected="SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of those",
        got=f"a statement that begins with {word}",
        todo="write a query; tables change by `tidegate run` only",
    )


def pinned(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the id of the release that a connection's views are pinned to, None for no release."""
    row = connection.execute(f"SELECT getvariable('{RELEASE_VARIABLE}')").fetchone()
    return None if row is None or row[0] is None else str(row[0])


def _make_views(connection: duckdb.DuckDBPyConnection, base: str, wanted: str | None) -> None:
    """Make the views of `ops` and, pinned, those of the warehouse."""
    connection.execute("CREATE SCHEMA ops")
    books = {
        table.name
        for table in OPS
        if _make_view(connection, f'ops."{table.name}"', f"{base}/ops/{table.name}", None)
    }
    release = _release(connection, wanted) if "releases" in books else None
    if release is None and wanted is not None:
        raise TidegateError(
            f"no release {wanted!r}: nothing has been released yet",
            where=f"{base}/ops/releases",
            todo="leave out --release for the tables as they are now, or run: "
            + command("release"),
        )
    versions: Mapping[str, int | None]
    if release is None:
        versions = {table.name: None for table in WAREHOUSE}
    else:
        if wanted is not None and MAINTENANCE.name in books:
            _check_promise(connection, base, release)
        versions = release.versions
        connection.execute(f"SET VARIABLE {RELEASE_VARIABLE} = {literal(release.release_id)}")
    made = [
        name
        for name, version in versions.items()
        if _make_view(connection, quoted(name), f"{base}/warehouse/{name}", version)
    ]
    if not made:
        raise empty_lake(base, "no published tables yet")
    if release is not None:
        _make_metrics(connection, release.metrics)
    if books >= completeness.BOOKS:
        with (
            set_aside(connection, "ops", sorted(books)),
            set_aside(connection, "main", (EVENTS.name,)),
        ):
            completeness.make_views(connection, versions.get(EVENTS.name))
            if EVENTS.name in made:
                connection.execute(drift.VIEW)
            # A lake that an older version wrote last has not got what it is made of.
            if NUMBERS.name in books:
                connection.execute(VIEW)
    views.describe(connection)


def _make_metrics(connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, str]) -> None:
    """Make the views of metrics; of one whose definition can't be read, a view that says why."""
    from tidegate.config.metrics import from_canonical, make_views

    metrics, broken = {}, {}
    for name, text in definitions.items():
        try:
            metrics[name] = from_canonical(text)
        except TidegateError as error:
            broken[name] = f"{error.what}: {error.got}"
    make_views(connection, metrics, broken)


def _check_promise(connection: duckdb.DuckDBPyConnection, base: str, release: Release) -> None:
    """Check that no file of a release was removed because it is not promised any more.

    Raises:
        TidegateError: some may have been.
    """
    kept = {
        str(place).partition("/")[2]: int(version)
        for place, version in connection.execute(
            "SELECT place, max(kept_from) FROM ops.maintenance WHERE kept_from IS NOT NULL GROUP BY 1"
        ).fetchall()
    }
    lost = lost_tables(release.versions, kept)
    if not lost:
        return
    every = connection.execute(
        "SELECT release_id, map_entries(versions) FROM ops.releases ORDER BY released_at, release_id"
    ).fetchall()
    whole = [
        str(release_id)
        for release_id, versions in every
        if not lost_tables({each["key"]: each["value"] for each in versions}, kept)
    ]
    raise TidegateError(
        f"release {release.release_id} can't be read any more: its files were removed in time",
        where=f"{base}/warehouse",
        expected=f"one of the {len(whole)} releases that are kept, from {whole[0]} on"
        if whole
        else "the tables as they are now",
        got="; ".join(lost),
        todo="leave out --release for the latest, or see all: "
        + command("sql", "SELECT release_id, released_at FROM ops.releases ORDER BY 2")
        + "; TIDEGATE_KEEP_RELEASES says how long they are kept",
    )


def _make_view(
    connection: duckdb.DuckDBPyConnection, view: str, path: str, version: int | None
) -> bool:
    """Make a view of a Delta table, at a version or the latest; tell whether the table exists.

    One at a version is attached: its log is read once a connection, and not for each query.
    """
    import duckdb

    if not path.startswith("s3://") and not (Path(path) / "_delta_log").is_dir():
        return False
    # The Delta reader decodes %-escapes, in plain paths too.
    where = literal(path if path.startswith("s3://") else "file://" + quote(path))
    table = f"delta_scan({where})"
    try:
        if version is not None:
            name = quoted("pinned_" + path.rpartition("/")[2])
            options = f"TYPE delta, PIN_SNAPSHOT, VERSION {int(version)}"
            connection.execute(f"ATTACH {where} AS {name} ({options})")
            table = f"{name}.main.{name}"
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {table}")
    except duckdb.Error as error:
        message = str(error)
        if version is None and any(sign in message for sign in _ABSENT):
            return False
        at = "" if version is None else f", version {version}"
        kind = TryAgainError if lost(message) else TidegateError
        raise kind(
            "a table of the lake can't be read",
            where=f"{path}{at}",
            expected="a Delta table that the credentials in use may read",
            got=visible_text(message.splitlines()[0]),
            todo="check the keys in use or, for a release, take a newer one: "
            "the files of old ones are removed in time",
        ) from error
    return True


def _release(connection: duckdb.DuckDBPyConnection, wanted: str | None) -> Release | None:
    """Return the release of an id or a time, or the latest; None where none was ever made."""
    import duckdb

    moment = None if wanted is None else parse_moment(wanted)
    query = (
        "SELECT release_id, map_entries(versions), {} FROM ops.releases "
        "WHERE $wanted IS NULL OR release_id = $wanted OR released_at <= $moment::TIMESTAMPTZ "
        "ORDER BY release_id = $wanted DESC, released_at DESC, release_id DESC LIMIT 1"
    )
    values = {"wanted": wanted, "moment": moment}
    try:
        row = connection.execute(query.format("map_entries(metrics)"), values).fetchone()
    except duckdb.BinderException:  # a lake that an older version wrote last has no such column
        row = connection.execute(query.format("NULL"), values).fetchone()
    if row is not None:
        versions, definitions = (
            {entry["key"]: entry["value"] for entry in entries or ()} for entries in row[1:]
        )
        return Release(str(row[0]), versions, definitions)
    if moment is not None:
        first = connection.execute("SELECT min(released_at) FROM ops.releases").fetchone()
        if first is not None and first[0] is not None:
            raise TidegateError(
                f"no release had been made by {wanted}",
                where="ops.releases",
                expected=f"a time from {first[0].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} on",
                got=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                todo="take a later time, or leave out --release for the latest",
            )
    latest = connection.execute(
        "SELECT release_id FROM ops.releases "
        f"ORDER BY released_at DESC, release_id DESC LIMIT {_LATEST_SHOWN}"
    ).fetchall()
    if not latest:
        return None
    raise TidegateError(
        f"no release {wanted!r}",
        where="ops.releases",
        expected=f"one of the releases; the latest: {', '.join(str(found) for (found,) in latest)}",
        todo="leave out --release for the latest, or see all: "
        + command("sql", "SELECT release_id, released_at FROM ops.releases ORDER BY 2"),
    )


def _failed(connection: duckdb.DuckDBPyConnection, query: str, error: Exception) -> TidegateError:
    """Return DuckDB's error as ours; for a wrong table name, with the nearest right one."""
    message = str(error)
    found = re.search(r"Table with name (\S+) does not exist", message)
    if found is None:
        return TidegateError(
            "the query failed", where=visible_text(query), got=visible_text(message)
        )
    wrong = found.group(1)
    names = tables(connection)
    # Of two names that differ in their schema only, the table's.
    bare = {name.rpartition(".")[2]: name for name in reversed(names)}
    near = hint(wrong, bare)
    for name, full in bare.items():
        near = near.replace(f"'{name}'", f"'{full}'")
    if near.startswith("known:"):
        near = f"known: {', '.join(names)}"
    return TidegateError(f"no table {wrong!r}", where=visible_text(query), expected=near)


def metrics(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the definitions of the metrics of a connection's release: name -> JSON in the words of its file."""
    release = pinned(connection)
    found = None if release is None else _release(connection, release)
    return {} if found is None else dict(sorted(found.metrics.items()))


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names that can be queried: bare ones of the warehouse, `metrics.…`, then `ops.…`."""
    rows = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal "
        "ORDER BY schema_name != 'main', schema_name, view_name"
    ).fetchall()
    return [view if schema == "main" else f"{schema}.{view}" for schema, view in rows]


_COMMENTS = re.compile(r"^(\s+|--[^\n]*(\n|$)|/\*.*?\*/)+", re.DOTALL)
_EXPLAIN = re.compile(r"^EXPLAIN\b(\s+ANALYZE\b|\s*\([^)]*\))?", re.IGNORECASE)


def _first_word(query: str) -> str:
    found = re.match(r"\w+", _COMMENTS.sub("", query))
    return found.group().upper() if found else "?"


def _explained(query: str) -> str | None:
    """Return what an EXPLAIN explains (and, with ANALYZE, runs), None where that is unclear."""
    bare = _COMMENTS.sub("", query)
    found = _EXPLAIN.match(bare)
    return bare[found.end() :] if found else None


@contextmanager
def query_errors(what: str, where: str | None = None, todo: str | None = None) -> Iterator[None]:
    """Translate errors of queries within a block.

    Raises:
        TidegateError: a query failed; it says `what`, `where` and what to do.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise TidegateError(what, where=where, got=visible_text(str(error)), todo=todo) from error
