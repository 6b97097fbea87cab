"""The door to published tables for analysts: DuckDB over the lake, without a JVM.

Views with the tables' bare names are pinned to the versions of one release, so that what is joined
belongs together. Schema `metrics` has the metrics of that release, computed from those views. Schema `ops`
has the system's own books as they are now. A connection reaches the
lake's `warehouse` and `ops` folders and nothing else: not staging, no other file.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from tidegate import completeness, drift, views
from tidegate.at import At, Parts
from tidegate.errors import TidegateError, TryAgainError
from tidegate.lake.data_files import DataFiles
from tidegate.lost import lost
from tidegate.nearest import hint
from tidegate.quoting import literal, quoted
from tidegate.releases import lost_tables, parse_moment
from tidegate.sequences import VIEW
from tidegate.settings import S3Access, Settings
from tidegate.stand_ins import set_aside
from tidegate.tables import OPS, WAREHOUSE
from tidegate.tables.books import MAINTENANCE, NUMBERS
from tidegate.tables.events import TABLE as EVENTS

if TYPE_CHECKING:
    import duckdb

EXTENSIONS = ("delta", "httpfs")
RELEASE_VARIABLE = "tidegate_release"
"""SQL variable with the id of the release that the views are pinned to: `getvariable('…')`."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # To check the signature of an extension DuckDB hashes its 80 MB whenever a connection is opened. Those that are
    # loaded came as wheels, whose hashes are pinned; others can't be, once external access is off.
    "allow_unsigned_extensions": True,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "allow_unredacted_secrets": False,
    # No file of a lake is ever written again, so what was read of one holds. To ask S3 whether it does is a
    # request for each file and query: two thirds of the time of a look at a book of twenty files.
    "validate_external_file_cache": "NO_VALIDATION",
    # Else the name of any Python variable of the caller would be a table.
    "python_enable_replacements": False,
}
# What the Delta reader says where no table is: on a local disk and in a bucket.
_ABSENT = ("Path does not exist", "No files in log segment", "InvalidTableLocation", "FileNotFound")
_LATEST_SHOWN = 3
_COMMITS_AT_ONCE = 200
"""Commits read at a time: one may be as long as a day's files are many."""
_FILES_AT_ONCE = 500
"""Data files looked into at a time."""


_ROWS_A_GROUP = 20_480
"""Of a file that Spark reads at once: it reads groups side by side."""
_MEMORY = "256MB"
"""For what of a lake is looked at; more goes to the disk, and takes no longer. Beside a JVM every byte counts."""
_MEMORY_WITHOUT_DISK = "1GB"
"""The same where there is no disk to go to: what is more fails."""

Place = Sequence[str] | At | Parts
"""What a query reads: folders of Parquet files, below the lake or of this machine, that all have what is asked for,
partitioned or not; or a table."""


class EmptyLakeError(TidegateError):
    """Nothing was ever published in a lake, or there is none."""


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
    base = _duckdb_uri(settings.lake)
    connection = _open(settings.lake, settings.s3)
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


def _open(lake: str, s3: S3Access) -> duckdb.DuckDBPyConnection:
    """Return a connection that can read Delta tables of a lake; it has no views yet.

    Raises:
        TidegateError: the lake can't be reached.
    """
    import duckdb

    base = _duckdb_uri(lake)
    connection = duckdb.connect(":memory:", config=_CONFIG)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for name in EXTENSIONS:
            connection.execute(f"LOAD {literal(str(extension_file(name)))}")
        if base.startswith("s3://"):
            _set_secret(connection, base, s3)
            _knock(connection, base)
        else:
            _check_folder(base)
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Looked:
    """What a look into data files came to: how many rows met the condition, by file; and what can't be read."""

    rows: Mapping[str, int]
    unreadable: Sequence[str]


def _unreadable_errors() -> tuple[type[Exception], ...]:
    """Return what DuckDB raises of a file that is not whole, or not there any more."""
    import duckdb

    return duckdb.InvalidInputException, duckdb.IOException, duckdb.HTTPException


_SPARKS = {
    "unix_seconds(t)": "CAST(epoch(t) AS BIGINT)",
    "unix_micros(t)": "epoch_us(t)",
    "explode(l)": "unnest(l)",
    "xxhash64(x)": "hash(x)",  # 64 bits as well, but others
}
"""Functions of Spark that DuckDB has under other names."""


class Books:
    """A quick look at small tables of a lake and at the commits of its tables.

    A query of Spark costs some tenths of a second however little it reads, a look through DuckDB some
    hundredths. It sees what is committed when it looks.

    Args:
        lake: a lake on S3 or in a local folder.
        s3: how S3 is reached.
        scratch: a folder for what is too much for the memory; None for no such thing.
    """

    def __init__(self, lake: str, s3: S3Access, scratch: Path | None = None) -> None:
        self._base = _duckdb_uri(lake)
        self._connection = _open(lake, s3)
        memory, spill = _MEMORY_WITHOUT_DISK, ""
        if scratch is not None:
            memory, spill = _MEMORY, str(scratch / "spill")
        self._connection.execute(f"SET memory_limit = '{memory}'")
        self._connection.execute(f"SET temp_directory = {literal(spill)}")
        for name, meant in _SPARKS.items():
            self._connection.execute(f"CREATE MACRO {name} AS {meant}")
        # Not the pool of threads that waits on the network: Python threads share the connection.
        self._lock = threading.RLock()
        self._attached: dict[str, int] = {}
        self._files = DataFiles(self._base, s3)

    def rows(
        self,
        table: str,
        where: str,
        select: Sequence[str] = ("*",),
        version: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return rows of a table.

        Args:
            table: its place below the lake, such as `ops/landings`.
            where: predicate.
            select: columns, or aggregates over all rows.
            version: of the table; None for the latest.

        Returns:
            Values as JSON has them; times as ISO 8601 text in UTC.
        """
        with self._lock:
            found = self._latest(table) if version is None else self._scan(table, version)
            return self._rows(f"SELECT {', '.join(select)} FROM {found} WHERE {where}")

    def _latest(self, table: str) -> str:
        """Return the name of a table at its latest version, attached.

        To attach it lists the table's log, which may be long.
        """
        known = self._attached.get(table)
        version = self._newest(table, known)
        if version != known:
            if known is not None:
                self._connection.execute(f"DETACH {_attached_name(table, known)}")
                del self._attached[table]
            options = f"TYPE delta, PIN_SNAPSHOT, VERSION {max(version, 0)}"
            where = literal(f"{self._base}/{table}")
            self._connection.execute(
                f"ATTACH {where} AS {_attached_name(table, version)} ({options})"
            )
            self._attached[table] = version
        return _attached_name(table, version)

    def _newest(self, table: str, known: int | None) -> int:
        """Return a table's latest version; -1 where it has none.

        Its neighbours tell whether a known one is, since versions have no gaps: a short list of few names.
        Old commits are removed, though, oldest first, so it is all of the log where the known one is gone.
        """
        while known is not None:
            shared_with_next = f"{known:020}".rstrip("9")[:-1]
            near = self._commits(table, shared_with_next)
            if known not in near:
                break
            if max(near) == known:
                return known
            known = max(near)
        return max(self._commits(table), default=-1)

    def look(self, query: str, places: Mapping[str, Place]) -> list[dict[str, Any]]:
        """Return the rows of a query.

        Args:
            query: `{name}` in it stands for the rows of a place.
            places: by name.

        Returns:
            Values as JSON has them; times as ISO 8601 text in UTC.
        """
        with self._lock:
            return self._rows(query.format(**self._named(places)))

    def write(self, query: str, places: Mapping[str, Place], folder: Path) -> None:
        """Write the rows of a query to a folder of this machine, as Parquet, in place of what is there.

        Args:
            query: as for `look`.
            places: by name.
            folder: which.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Never the name of another file: what was read of a file is taken to hold.
        file = literal(str(folder / f"part-{uuid4().hex}.parquet"))
        with self._lock:
            copy = (
                f"COPY ({query.format(**self._named(places))}) TO {file} "
                f"(FORMAT parquet, ROW_GROUP_SIZE {_ROWS_A_GROUP})"
            )
            own = self._connection.cursor()
        with own:  # beside the looks of other threads, which are short
            own.execute(copy)

    def _named(self, places: Mapping[str, Place]) -> dict[str, str]:
        """Return what stands for places in a query."""
        return {name: self._place(place) for name, place in places.items()}

    def _place(self, place: Place) -> str:
        if isinstance(place, At):
            return self._at(place)
        if isinstance(place, Parts):
            return self._staged(place.places, partitioned=True)
        return self._staged(place)

    def _at(self, at: At) -> str:
        table = f"{at.table.area}/{at.table.name}"
        if at.version is None:
            return self._latest(table)
        paths = self._paths(table, at.version, at)
        if not paths:
            return f"(SELECT * FROM {self._scan(table, at.version)} WHERE false)"
        listed = ", ".join(literal(f"{self._base}/{table}/{path}") for path in paths)
        kinds = {"string": "VARCHAR", "date": "DATE"}
        types = {column.name: kinds[column.type] for column in at.table.partition_columns}
        said = ", ".join(f"{literal(name)}: {kind}" for name, kind in types.items())
        return (
            f"read_parquet([{listed}], union_by_name = true, hive_partitioning = {bool(types)}"
            f"{f', hive_types = {{{said}}}' if types else ''})"
        )

    def _paths(self, table: str, version: int, at: At) -> list[str]:
        """Return the data files of a table at a version that may hold what is asked for."""
        files = self._files.of(table, version)
        known, conditions = set(files.column_names), []
        if at.source is not None and "partition.source" in known:
            conditions.append(f'"partition.source" = {literal(at.source)}')
        within = at.within
        if within is not None and not within.stretches:
            return []
        if within is not None and {f"max.{within.ends}", f"min.{within.starts}"} <= known:
            stretches = ", ".join(
                f"(TIMESTAMPTZ '{lo.isoformat()}', TIMESTAMPTZ '{hi.isoformat()}')"
                for lo, hi in within.stretches
            )
            # Maxima of times are cut to milliseconds; and of a file without any there may be all.
            conditions.append(
                f"EXISTS (SELECT 1 FROM (VALUES {stretches}) s(lo, hi) "
                f'WHERE coalesce("max.{within.ends}" + INTERVAL 1 MILLISECOND >= lo, true) '
                f'AND coalesce("min.{within.starts}" <= hi, true))'
            )
        where = " AND ".join(conditions) or "true"
        self._connection.register("data_files", files)
        try:
            return [path for (path,) in self._fetch(f"SELECT path FROM data_files WHERE {where}")]
        finally:
            self._connection.unregister("data_files")

    def _scan(self, table: str, version: int) -> str:
        return f"delta_scan({literal(f'{self._base}/{table}')}, version := {version})"

    def _staged(self, folders: Sequence[str], *, partitioned: bool = False) -> str:
        files = ", ".join(
            literal(f"{each if each.startswith('/') else f'{self._base}/{each}'}/*.parquet")
            for each in folders
        )
        return f"read_parquet([{files}], hive_partitioning = {partitioned}, hive_types_autocast = false)"

    def commits(self, table: str, limit: int) -> list[tuple[int, str | None]]:
        """Return (version, user metadata) of a table's last commits, newest first."""
        versions = self._commits(table)
        wanted = sorted(versions, reverse=True)[:limit]
        if not wanted:
            return []
        listed = ", ".join(literal(versions[version]) for version in wanted)
        texts = dict(self._fetch(f"SELECT filename, content FROM read_text([{listed}])"))
        return [(version, _metadata(texts[versions[version]])) for version in wanted]

    def _commits(self, table: str, digits: str = "") -> dict[int, str]:
        """Return the files of a table's commits by version: of those whose names begin with some digits."""
        pattern = literal(f"{self._base}/{table}/_delta_log/{digits}*.json")
        return {
            int(match[1]): name
            for (name,) in self._fetch(f"SELECT file FROM glob({pattern})")
            if (match := re.search(r"/(\d{20})\.json$", name))
        }

    def added(self, table: str, after: int) -> set[str]:
        """Return the names, without folders, of the data files that commits after a version put in."""
        names = [name for version, name in self._commits(table).items() if version > after]
        found: set[str] = set()
        for at in range(0, len(names), _COMMITS_AT_ONCE):
            listed = ", ".join(literal(name) for name in names[at : at + _COMMITS_AT_ONCE])
            for (text,) in self._fetch(f"SELECT content FROM read_text([{listed}])"):
                actions = map(json.loads, text.splitlines())
                found |= {
                    each["add"]["path"].rpartition("/")[2] for each in actions if "add" in each
                }
        return found

    def holding(self, files: Sequence[str], condition: str) -> Looked:
        """Look for rows that meet a condition in Parquet files.

        Args:
            files: their places below the lake; of one kind, though some may lack columns.
            condition: predicate; `_words` is all that a row says, as text.
        """
        found: dict[str, int] = {}
        unreadable: list[str] = []
        waiting = [files[at : at + _FILES_AT_ONCE] for at in range(0, len(files), _FILES_AT_ONCE)]
        while waiting:
            part = waiting.pop()
            try:
                found |= self._holding(part, condition)
            except _unreadable_errors():
                if len(part) == 1:
                    unreadable += part
                else:  # which of them it is, halves tell
                    waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
        return Looked(found, unreadable)

    def _holding(self, files: Sequence[str], condition: str) -> dict[str, int]:
        if not files:
            return {}
        listed = ", ".join(literal(f"{self._base}/{name}") for name in files)
        words = "concat_ws(chr(10), *COLUMNS(* EXCLUDE (_file)))"
        rows = self._fetch_anew(
            f"SELECT _file, count(*) FROM (SELECT *, {words} AS _words FROM read_parquet([{listed}], "
            "union_by_name = true, filename = '_file', hive_partitioning = false)) "
            f"WHERE {condition} GROUP BY _file"
        )
        return {str(name).removeprefix(f"{self._base}/"): int(n) for name, n in rows}

    def columns(self, file: str) -> list[str]:
        """Return the columns of a Parquet file below the lake; none where it can't be read."""
        path = literal(f"{self._base}/{file}")
        try:
            rows = self._fetch_anew(
                f"DESCRIBE SELECT * FROM read_parquet({path}, hive_partitioning = false)"
            )
        except _unreadable_errors():
            return []
        return [str(row[0]) for row in rows]

    def naming(self, files: Sequence[str], pattern: str) -> list[str]:
        """Return which files, below the lake, have bytes that match a regular expression."""
        if not files:
            return []
        listed = ", ".join(literal(f"{self._base}/{name}") for name in files)
        rows = self._fetch_anew(
            f"SELECT filename FROM read_text([{listed}]) WHERE regexp_matches(content, {literal(pattern)})"
        )
        return [str(name).removeprefix(f"{self._base}/") for (name,) in rows]

    def _rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows as JSON has them."""
        return [json.loads(row[0]) for row in self._fetch(f"SELECT to_json(t) FROM ({query}) t")]

    def _fetch_anew(self, query: str) -> list[tuple[Any, ...]]:
        """Fetch what is in files now, whatever was read of them before."""
        with self._lock:
            self._connection.execute("SET validate_external_file_cache = 'VALIDATE_ALL'")
            try:
                return self._fetch(query)
            finally:
                self._connection.execute("SET validate_external_file_cache = 'NO_VALIDATION'")

    def _fetch(self, query: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query).fetchall()


def _attached_name(table: str, version: int) -> str:
    return quoted(f"{table} {version}")


def _metadata(commit: str) -> str | None:
    """Return the user metadata of a commit's file."""
    for line in commit.splitlines():
        action = json.loads(line)
        if "commitInfo" in action:
            found = action["commitInfo"].get("userMetadata")
            return None if found is None else str(found)
    return None


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
        raise TidegateError("not SQL that DuckDB reads", got=_visible(str(error))) from error
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


def extension_file(name: str) -> Path:
    """Return the file of a DuckDB extension that came as a wheel, of this DuckDB's version.

    Raises:
        TidegateError: the wheel is not installed or is one for another DuckDB.

    """
    import duckdb

    package = f"duckdb_extension_{name}"
    version = f"v{duckdb.__version__}"
    try:
        folder = Path(str(import_module(package).__file__)).parent / "extensions"
    except ImportError:
        folder = Path(package)
    found = folder / version / f"{name}.duckdb_extension"
    if found.is_file():
        return found
    there = sorted(path.name for path in folder.glob("v*")) if folder.is_dir() else []
    raise TidegateError(
        f"DuckDB's extension '{name}' is not installed for this DuckDB",
        where=str(found),
        expected=f"the wheel duckdb-extension-{name} of {duckdb.__version__}",
        got=f"one for {', '.join(there)}" if there else "none",
        todo="install the versions of requirements.lock",
    )


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
            todo="leave out --release for the tables as they are now, or run: tidegate release",
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
        raise _nothing(base, "no published tables yet")
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
    from tidegate.metrics import from_canonical, make_views

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
        'tidegate sql "SELECT release_id, released_at FROM ops.releases ORDER BY 2"; '
        "TIDEGATE_KEEP_RELEASES says how long they are kept",
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
            got=_visible(message.splitlines()[0]),
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
        'tidegate sql "SELECT release_id, released_at FROM ops.releases ORDER BY 2"',
    )


def _nothing(base: str, what: str) -> EmptyLakeError:
    return EmptyLakeError(
        what,
        where=base,
        expected="a lake with tables under warehouse/",
        todo="check --lake (or TIDEGATE_LAKE), or publish something first: "
        "tidegate run SOURCE --from HOUR --to HOUR",
    )


def _set_secret(connection: duckdb.DuckDBPyConnection, base: str, s3: S3Access) -> None:
    """Tell DuckDB how to reach the lake's bucket, for the lake and nothing else in it."""
    if not s3.access_key or not s3.secret_key:
        raise TidegateError(
            "no credentials for the lake's bucket",
            where=base,
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of keys that may read the lake",
            got="none",
            todo="set them, or run beside the stack that the lake belongs to",
        )
    options = {
        "KEY_ID": literal(s3.access_key),
        "SECRET": literal(s3.secret_key),
        "REGION": literal(s3.region),
        "SCOPE": literal(base),
    }
    if s3.url is not None:
        endpoint = urlsplit(s3.url)
        options["ENDPOINT"] = literal(endpoint.netloc)
        options["URL_STYLE"] = "'path'"
        options["USE_SSL"] = "false" if endpoint.scheme == "http" else "true"
    listed = ", ".join(f"{key} {value}" for key, value in options.items())
    connection.execute(f"CREATE SECRET lake (TYPE s3, {listed})")


def _knock(connection: duckdb.DuckDBPyConnection, base: str) -> None:
    """Check that the bucket answers: the Delta reader would try ten times and then say little.

    Raises:
        TidegateError: it doesn't, or not to these keys.

    """
    import duckdb

    try:
        connection.execute(f"SELECT count(*) FROM glob({literal(base + '/_tidegate*')})")
    except duckdb.Error as error:
        told = _trimmed(str(error).partition("\nLINE ")[0].splitlines())
        kind = TryAgainError if lost(error) else TidegateError
        raise kind(
            "the lake's bucket can't be read",
            where=base,
            expected="a bucket that these keys may list and read",
            got=_visible("; ".join(told[:2])),
            todo="check --lake, the endpoint (AWS_ENDPOINT_URL) and the keys (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY)",
        ) from error


def _check_folder(base: str) -> None:
    """Check that a folder is there and has a name that DuckDB's Delta reader can take.

    Raises:
        TidegateError: it isn't, or hasn't.

    """
    if not Path(base).is_dir():
        raise _nothing(base, "no lake there")
    if re.search(r"%[0-9A-Fa-f]{2}|\\", base):
        raise TidegateError(
            "the lake's path can't be read by DuckDB's Delta reader, which would decode it",
            where=base,
            expected="a path without backslashes and without % before two hexadecimal digits",
            todo="move the lake, or reach it by a symbolic link",
        )


def _failed(connection: duckdb.DuckDBPyConnection, query: str, error: Exception) -> TidegateError:
    """Return DuckDB's error as ours; for a wrong table name, with the nearest right one."""
    message = str(error)
    found = re.search(r"Table with name (\S+) does not exist", message)
    if found is None:
        return TidegateError("the query failed", where=_visible(query), got=_visible(message))
    wrong = found.group(1)
    names = tables(connection)
    # Of two names that differ in their schema only, the table's.
    bare = {name.rpartition(".")[2]: name for name in reversed(names)}
    near = hint(wrong, bare)
    for name, full in bare.items():
        near = near.replace(f"'{name}'", f"'{full}'")
    if near.startswith("known:"):
        near = f"known: {', '.join(names)}"
    return TidegateError(f"no table {wrong!r}", where=_visible(query), expected=near)


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


def _duckdb_uri(lake: str) -> str:
    """Return the lake's address as DuckDB wants it: its secrets and its Delta reader know `s3://`."""
    if lake.startswith("s3a://"):
        return "s3://" + lake.removeprefix("s3a://").rstrip("/")
    return lake.rstrip("/")


def _visible(text: str) -> str:
    from tidegate.rendering import visible

    return "\n".join(visible(line) for line in _trimmed(text.splitlines()))


def _trimmed(lines: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip()]
