"""Queries of what a lake holds, through DuckDB in this process: system tables, published versions, staged rows."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tidegate.common.sql_quoting import literal, quoted
from tidegate.lake.connection import duckdb_uri, open_connection
from tidegate.lake.data_files import DataFiles
from tidegate.lake.functions import define_functions
from tidegate.lake.table_refs import At, Parts
from tidegate.storage.s3 import S3Access
from tidegate.tables.types import duckdb_type

if TYPE_CHECKING:
    import duckdb

_COMMITS_AT_ONCE = 200
"""Commits read at a time: one may be as long as a day's files are many."""
_FILES_AT_ONCE = 500
"""Data files looked into at a time."""
_MEMORY_WITHOUT_DISK = "1GB"
"""Memory of queries where there is no disk to spill to: what needs more fails."""
_TIMES_EPSILON = "INTERVAL 1 MILLISECOND"
"""Maxima of times in Delta's statistics are cut to milliseconds."""

Place = Sequence[str] | At | Parts
"""What a query reads: folders of Parquet files, below the lake or of this machine, that all have the columns that
are asked for, partitioned or not; or a table."""


@dataclass(frozen=True)
class ScanResult:
    """Rows of data files that met a condition.

    Attributes:
        rows: how many, by file.
        unreadable: files that could not be read.
    """

    rows: Mapping[str, int]
    unreadable: Sequence[str]


class LakeReader:
    """Queries of one lake. Each sees what is committed when it runs; threads may share a reader.

    Args:
        lake: a lake on S3 or in a local folder.
        s3: how S3 is reached.
        scratch: a folder to spill to; None for none.
        memory: what queries may take before they spill, as DuckDB writes it.
    """

    def __init__(
        self, lake: str, s3: S3Access, scratch: Path | None = None, memory: str = "256MB"
    ) -> None:
        self._base = duckdb_uri(lake)
        self._connection = open_connection(lake, s3)
        spill = "" if scratch is None else str(scratch / "spill")
        limit = _MEMORY_WITHOUT_DISK if scratch is None else memory
        self._connection.execute(f"SET memory_limit = '{limit}'")
        self._connection.execute(f"SET temp_directory = {literal(spill)}")
        self._connection.execute("SET preserve_insertion_order = false")
        define_functions(self._connection)
        # Not the pool of threads that waits on the network: Python threads share the connection.
        self._lock = threading.RLock()
        self._attached: dict[str, int] = {}
        self._files = DataFiles(self._base, s3)

    def close(self) -> None:
        """Close the connection and what was opened through it."""
        with self._lock:
            self._connection.close()

    # -- system tables --------------------------------------------------------------------------

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
            source = self._latest(table) if version is None else self._scan(table, version)
            return self._rows(f"SELECT {', '.join(select)} FROM {source} WHERE {where}")

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

        Versions have no gaps, so the neighbours of a known one tell whether it still is: a short listing. Old commits
        are removed, though, oldest first, so the whole log is listed where the known one is gone.
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

    # -- queries --------------------------------------------------------------------------------

    def query(self, query: str, places: Mapping[str, Place]) -> list[dict[str, Any]]:
        """Return the rows of a small query.

        Args:
            query: `{name}` in it stands for the rows of a place.
            places: by name.

        Returns:
            Values as JSON has them; times as ISO 8601 text in UTC.
        """
        with self._lock:
            return self._rows(self.resolve(query, places))

    def resolve(self, query: str, places: Mapping[str, Place]) -> str:
        """Return a query with its places filled in.

        Args:
            query: `{name}` in it stands for the rows of a place.
            places: by name.
        """
        with self._lock:
            texts = {name: self._place(place) for name, place in places.items()}
        return fill_in(query, texts)

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of one's own to the same database, for a query that takes long."""
        with self._lock:
            own = self._connection.cursor()
        with own:
            yield own

    def write(
        self, query: str, places: Mapping[str, Place], columns: Mapping[str, str], folder: str
    ) -> str:
        """Write the rows of a query as one Parquet file into a folder, in place of what is there.

        Args:
            query: as for `query`.
            places: by name.
            columns: of the rows, with their types as tables name them; each is cast to its type.
            folder: an absolute path of this machine, or a place below the lake.

        Returns:
            The file's name.
        """
        place = self.target(folder)
        if place.startswith("/"):
            shutil.rmtree(place, ignore_errors=True)
            Path(place).mkdir(parents=True)
        # Never the name of another file: what was read of a file is taken to hold.
        name = f"part-{uuid4().hex}.parquet"
        text = typed(self.resolve(query, places), columns)
        with self.cursor() as own:  # beside the queries of other threads, which are short
            own.execute(f"COPY ({text}) TO {literal(f'{place}/{name}')} (FORMAT parquet)")
        return name

    def target(self, folder: str) -> str:
        """Return the URI, or absolute path, of a folder that is below the lake or a path of this machine already."""
        return folder if folder.startswith("/") else f"{self._base}/{folder}"

    def _place(self, place: Place) -> str:
        if isinstance(place, At):
            return self._at(place)
        if isinstance(place, Parts):
            if not place.places:
                return _no_row(place.columns)
            return self._staged(place.places, partitioned=True)
        return self._staged(place)

    def _at(self, at: At) -> str:
        table = f"{at.table.area}/{at.table.name}"
        if at.version is None:
            return self._latest(table)
        paths = self._paths(table, at.version, at)
        # Columns that the table did not have at that version are NULL.
        nothing = _no_row(at.table.types)
        if not paths:
            rows = f"SELECT * FROM {self._scan(table, at.version)} WHERE false"
            return f"({rows} UNION ALL BY NAME SELECT * FROM {nothing} n)"
        listed = ", ".join(literal(f"{self._base}/{table}/{path}") for path in paths)
        types = {column.name: duckdb_type(column.type) for column in at.table.partition_columns}
        hive = ", ".join(f"{literal(name)}: {kind}" for name, kind in types.items())
        rows = (
            f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = {bool(types)}"
            f"{f', hive_types = {{{hive}}}' if types else ''})"
        )
        return f"({rows} UNION ALL BY NAME SELECT * FROM {nothing} n)"

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
            ranges = ", ".join(
                f"(TIMESTAMPTZ '{lo.isoformat()}', TIMESTAMPTZ '{hi.isoformat()}')"
                for lo, hi in within.stretches
            )
            # A file without any such time has no minimum: it may hold all of them.
            conditions.append(
                f"EXISTS (SELECT 1 FROM (VALUES {ranges}) s(lo, hi) "
                f'WHERE coalesce("max.{within.ends}" + {_TIMES_EPSILON} >= lo, true) '
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

    def _staged(self, places: Sequence[str], *, partitioned: bool = False) -> str:
        listed = ", ".join(
            literal(place if place.endswith(".parquet") else f"{place}/*.parquet")
            for place in (
                place if place.startswith("/") else f"{self._base}/{place}" for place in places
            )
        )
        return (
            f"read_parquet([{listed}], hive_partitioning = {partitioned}, "
            f"hive_types_autocast = false, union_by_name = true)"
        )

    # -- commits and files ----------------------------------------------------------------------

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

    def holding(self, files: Sequence[str], condition: str) -> ScanResult:
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
        return ScanResult(found, unreadable)

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


def fill_in(query: str, texts: Mapping[str, str]) -> str:
    """Return a query with `{name}` replaced by the text of that name; other braces stay."""
    if not texts:
        return query
    names = "|".join(re.escape(name) for name in texts)
    return re.sub(rf"\{{({names})\}}", lambda match: texts[match[1]], query)


def typed(query: str, columns: Mapping[str, str]) -> str:
    """Return a query whose columns are these, in this order, each cast to its type.

    Args:
        query: complete DuckDB SQL.
        columns: name -> type, as tables name types.
    """
    casts = ", ".join(
        f"CAST({quoted(name)} AS {duckdb_type(kind)}) AS {quoted(name)}"
        for name, kind in columns.items()
    )
    return f"SELECT {casts} FROM ({query}) typed"


def _no_row(columns: Mapping[str, str]) -> str:
    listed = ", ".join(
        f"CAST(NULL AS {duckdb_type(kind)}) AS {quoted(name)}" for name, kind in columns.items()
    )
    return f"(SELECT {listed} WHERE false)"


def _unreadable_errors() -> tuple[type[Exception], ...]:
    """Return what DuckDB raises of a file that is not whole, or not there any more."""
    import duckdb

    return duckdb.InvalidInputException, duckdb.IOException, duckdb.HTTPException
