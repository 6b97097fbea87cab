"""A lake: its tables, what is staged in it, and queries of both.

`<lake>/staging` holds candidates, `<lake>/warehouse` what is published, `<lake>/ops` the system tables. Small queries
and all writes to system tables go through this process; rows are computed and published by the lake's engine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.common.sql_quoting import quoted
from tidegate.lake.delta import DeltaTables
from tidegate.lake.model import Compacted
from tidegate.lake.reader import LakeReader, Place, typed
from tidegate.lake.schema import arrow_schema, rows_to_arrow
from tidegate.lake.slices import Slices
from tidegate.lake.table_refs import At, Parts
from tidegate.storage.lake_files import open_files
from tidegate.storage.s3 import S3Access
from tidegate.tables import OPS, WAREHOUSE, Table
from tidegate.tables.types import duckdb_type

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.lake.actions import Commit
    from tidegate.lake.engine import Engine

Row = dict[str, Any]

_AT_ONCE = 4
MEMORY = "1GB"
"""Memory of DuckDB's queries; more goes to the disk."""


@dataclass(frozen=True)
class Staged:
    """Rows that were written once, to be queried often.

    Attributes:
        place: their folder, below the lake or as an absolute path of this machine.
        columns: of the rows, with their types as tables name them.
    """

    place: str
    columns: Mapping[str, str]


Rows = str | Staged | Sequence[str] | At | Parts
"""What a query reads: the place, or places, where rows were staged, the folder of a partition for one; rows that were
staged apart; or a table at a version."""


class Lake:
    """A lake, reached through this process and one engine.

    Args:
        root: URI or absolute path of the lake.
        s3: how S3 is reached.
        scratch: a folder of this process's own for what it computes on the way. Where a Spark server can't read
            it, None: then that is staged in the lake.
        start_engine: returns what computes rows; None where the lake is only read, or system tables are written.
        memory: of DuckDB's queries in this process, as DuckDB takes it; more goes to the disk.
    """

    def __init__(
        self,
        root: str,
        s3: S3Access | None = None,
        scratch: Path | None = None,
        start_engine: Callable[[Lake], Engine] | None = None,
        memory: str = MEMORY,
    ) -> None:
        self.root = root.rstrip("/")
        self.scratch = scratch
        access = s3 or S3Access()
        self.s3 = access
        self.tables = DeltaTables(self.root, access)
        self._start_engine = start_engine
        self._memory = memory
        self._reader: LakeReader | None = None
        self._engine: Engine | None = None
        self._complete: set[str] = set()
        """System tables that are known to have all their columns."""

    @property
    def reader(self) -> LakeReader:
        """Queries of this lake, through DuckDB."""
        if self._reader is None:
            self._reader = LakeReader(self.root, self.s3, self.scratch, self._memory)
        return self._reader

    @property
    def engine(self) -> Engine:
        """What computes rows of this lake."""
        if self._engine is None:
            assert self._start_engine is not None, "this lake was opened without an engine"
            self._engine = self._start_engine(self)
        return self._engine

    def close(self) -> None:
        """Close the connections that queries went through."""
        if self._reader is not None:
            self._reader.close()
            self._reader = self._engine = None

    # -- places ---------------------------------------------------------------------------------

    def path(self, table: Table) -> str:
        """Return where a table lies."""
        return f"{self.root}/{table.path}"

    @staticmethod
    def staging(*parts: str) -> str:
        """Return a place under staging, below the lake."""
        return "/".join(("staging", *parts))

    def own(self, place: str) -> str:
        """Return where rows lie that would be at a place under staging, and that only this process needs.

        That is its scratch folder; where there is none, the place itself.
        """
        return place if self.scratch is None else f"{self.scratch}/{place}"

    # -- tables ---------------------------------------------------------------------------------

    def create_tables(self) -> None:
        """Create what tables are missing, and add columns that system tables lack.

        Several processes may do so at once.
        """
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            list(pool.map(self._create, (*WAREHOUSE, *OPS[:-1])))
        self._create(OPS[-1])  # last: a lake that has it has all of them

    def _create(self, table: Table) -> None:
        self.tables.create(table)
        if table in OPS:
            self._complete_columns(table)

    def _complete_columns(self, table: Table) -> None:
        """Add the columns that a system table lacks, since an older version created it."""
        if table.name not in self._complete:
            self.tables.add_columns(table, table.types)
            self._complete.add(table.name)

    def complete_published(self) -> None:
        """Create published tables that are new, and add new columns to the others; older rows have NULL there."""

        def complete(table: Table) -> None:
            self.tables.create(table)
            self.add_columns(table, table.types)

        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            list(pool.map(complete, WAREHOUSE))

    def exists(self) -> bool:
        """Return whether all tables are there."""
        return self.tables.exists(OPS[-1])

    def columns(self, table: Table) -> dict[str, str]:
        """Return the columns that a table has now: name -> type as tables name it."""
        return self.tables.columns(table)

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """Add columns that a table lacks; others may add the same ones at the same time.

        Args:
            table: where.
            wanted: name -> type as tables name it.

        Raises:
            TidegateError: the table has such a column with another type.
        """
        missing = self.missing_columns(table, wanted)
        if missing:
            self._writer(table).add_columns(table, missing)

    def missing_columns(self, table: Table, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return which of the columns a table lacks.

        Raises:
            TidegateError: the table has such a column with another type.
        """
        present = self.columns(table)
        for name, kind in wanted.items():
            if name in present and present[name] != kind:
                raise TidegateError(
                    f"column {name} of {table.name} has another type",
                    where=self.path(table),
                    expected=f"{present[name]}, as in the table",
                    got=f"{kind}, as the source file says",
                    todo="give the column another name in the source file, or the table's type",
                )
        return {name: kind for name, kind in wanted.items() if name not in present}

    def history(self, table: Table, limit: int) -> list[tuple[int, str | None]]:
        """Return (version, user metadata) of a table's last commits, newest first."""
        return [(each.version, each.user_metadata) for each in self.tables.history(table, limit)]

    def commits(self, table: Table) -> list[Commit]:
        """Return all commits of a table, newest first."""
        return self.tables.history(table, None)

    def version(self, table: Table) -> int:
        """Return the latest version of a table."""
        return self.tables.version(table)

    def compact(self, table: Table, partitions: Mapping[str, Sequence[str]]) -> Compacted | None:
        """Put the small files of some partitions of a table together, in one commit; rows stay as they are.

        Args:
            table: which.
            partitions: by partition column, the values of the partitions, as text.

        Returns:
            What changed; None where another commit was first, and the table is left as it was.
        """
        return self._writer(table).compact(table, partitions)

    def _writer(self, table: Table) -> Engine | DeltaTables:
        """Return what commits to a table: to published ones the engine alone."""
        return self.tables if table.area == "ops" else self.engine

    def files(self, table: Table, version: int | None = None) -> list[str]:
        """Return the data files of a table, as it is or as it was at a version, below its folder."""
        return self.tables.files(table, version)

    def discard(self, place: str) -> None:
        """Remove what was staged below a place for this process alone."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch / place, ignore_errors=True)
        files = open_files(self.root, self.s3)
        if files is not None:
            files.remove(place, [file.name for file in files.below(place)], tidy=True)

    # -- queries --------------------------------------------------------------------------------

    def book(
        self,
        table: Table,
        where: str = "true",
        select: Sequence[str] = ("*",),
        version: int | None = None,
    ) -> list[Row]:
        """Return rows of a small table.

        Args:
            table: which.
            where: predicate.
            select: columns, or aggregates over all rows.
            version: of the table; None for the latest.

        Returns:
            Times are ISO 8601 text (see `parse_time`).
        """
        return self.reader.rows(table.path, where, select, version)

    def look(self, query: str, **of: Rows) -> list[Row]:
        """Return the rows of a small query of what is staged or published.

        Args:
            query: DuckDB SQL; `{name}` stands for the rows of a place.
            of: by name.

        Returns:
            Times are ISO 8601 text (see `parse_time`).
        """
        return self.reader.query(query, self.places(of))

    def select(self, query: str, place: str, columns: Mapping[str, str], **of: Rows) -> Staged:
        """Write the rows of a query once, to query them often: by this process, which few rows need.

        Args:
            query: as for `look`.
            place: where, as `staging` or `own` gives it.
            columns: of the rows, with their types as tables name them.
            of: as for `look`.
        """
        self.reader.write(query, self.places(of), columns, place)
        return Staged(place, columns)

    def build(self, query: str, place: str, columns: Mapping[str, str], **of: Rows) -> Staged:
        """Write the rows of a query once, by the lake's engine: as `select`, for many rows.

        Args:
            query: as for `look`.
            place: as for `select`.
            columns: as for `select`.
            of: as for `look`.
        """
        self.engine.write(query, self.places(of), columns, place)
        return Staged(place, columns)

    def places(self, of: Mapping[str, Rows]) -> dict[str, Place]:
        """Return what queries read, by name."""
        return {name: _place(rows) for name, rows in of.items()}

    # -- writes ---------------------------------------------------------------------------------

    def append(self, table: Table, rows: Sequence[Row] | pa.Table) -> None:
        """Append rows to a system table in one commit."""
        if len(rows):
            self._complete_columns(table)
            self.tables.append(table, rows)
            self._compact_crowded(table)

    def append_next(
        self, table: Table, rows: Sequence[Row], app: str, number: int, record: Row | None = None
    ) -> bool:
        """Append rows unless a commit under `app` has this number or a higher one; return whether they were.

        Together with the refusal of concurrent ones that is a compare-and-swap.

        Args:
            table: a system table.
            rows: none of them make a commit too.
            app: whose numbers they are.
            number: of this commit.
            record: goes into the commit as its user metadata.
        """
        self._complete_columns(table)
        is_first = self.tables.append_next(table, rows, app, number, record=record)
        self._compact_crowded(table)
        return is_first

    def _compact_crowded(self, table: Table) -> None:
        """Keep a system table in few files: each append adds one, and each query opens all of them."""
        if self.tables.needs_compaction(table):
            self.tables.compact_crowded(table)

    def append_query(self, table: Table, query: str, **of: Rows) -> None:
        """Append the rows of a query to a system table in one commit; they have to fit into memory."""
        text = typed(self.reader.resolve(query, self.places(of)), table.types)
        with self.reader.cursor() as own:
            self.append(table, own.execute(text).to_arrow_table())

    def replace_rows(self, table: Table, query: str, slices: Slices, **of: Rows) -> None:
        """Replace exactly some slices of a system table by the rows of a query, in one commit."""
        self._complete_columns(table)
        text = typed(self.reader.resolve(query, self.places(of)), self.columns(table))
        with self.reader.cursor() as own:
            self.tables.replace(
                table,
                own.execute(text).to_arrow_reader(),
                slices,
                record=None,
                app=None,
                number=None,
            )

    def replace_with(self, table: Table, rows: Sequence[Row], slices: Slices) -> None:
        """Replace exactly some slices of a system table by some rows, in one commit."""
        self._complete_columns(table)
        self.tables.replace(
            table,
            rows_to_arrow(rows, arrow_schema(table.types), self.path(table)),
            slices,
            record=None,
            app=None,
            number=None,
        )

    def publish(
        self,
        table: Table,
        query: str,
        columns: Mapping[str, str],
        slices: Slices,
        *,
        record: Row,
        app: str,
        number: int,
        **of: Rows,
    ) -> None:
        """Replace exactly some slices of a published table by the rows of a query, in one commit.

        Where another commit under `app` has this number or a higher one, nothing is committed: whose commit it is,
        the table's history tells.

        Args:
            table: where.
            query: as for `look`.
            columns: of its rows, with their types; others of the table are NULL.
            slices: what is replaced; rows outside are refused.
            record: goes into the commit as its user metadata.
            app: with `number`, a compare-and-swap as in `append_next`.
            number: see `app`.
            of: as for `look`.
        """
        wanted = self.columns(table)
        nulls = "".join(
            f", CAST(NULL AS {duckdb_type(kind)}) AS {quoted(name)}"
            for name, kind in wanted.items()
            if name not in columns
        )
        whole = f"SELECT q.*{nulls} FROM ({query}) q"
        self.engine.replace(table, whole, self.places(of), wanted, slices, record, app, number)


def _place(rows: Rows) -> Place:
    if isinstance(rows, At | Parts):
        return rows
    if isinstance(rows, Staged):
        return [rows.place]
    return [rows] if isinstance(rows, str) else rows


def table_named(name: str) -> Table:
    """Return a table by its name.

    Raises:
        TidegateError: there is none of that name.
    """
    from tidegate.tables import BY_NAME

    if name not in BY_NAME:
        raise TidegateError("no such table", expected=", ".join(sorted(BY_NAME)), got=name)
    return BY_NAME[name]
