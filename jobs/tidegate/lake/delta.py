"""Delta tables through delta-rs: created, appended to, replaced a slice at a time, and compacted.

This needs no server and no JVM. Any number of processes may write one lake so: each commit creates its entry of the
log only where there is none yet, on a local disk and on S3 (see `commits`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import DeltaError

from tidegate.common.errors import TidegateError
from tidegate.lake import compaction
from tidegate.lake.actions import ActiveFile, Change, Commit, SnapshotFiles
from tidegate.lake.commits import CommittedTable, pause
from tidegate.lake.model import TABLE_PROPERTIES, Compacted
from tidegate.lake.parquet import DataFile, DataWriter, Layout, read_batches, write_rows
from tidegate.lake.schema import (
    Row,
    arrow_schema,
    arrow_type,
    plain_type,
    rows_to_arrow,
    spark_type,
)
from tidegate.lake.slices import Overlap, Slices
from tidegate.lake.storage import Storage, storage_error
from tidegate.storage.s3 import S3Access
from tidegate.tables.model import Table

_CREATIONS = 20


class DeltaTables:
    """The Delta tables of a lake. One object serves a process; threads may share it.

    Args:
        root: an absolute path, or `s3a://bucket/prefix`.
        s3: how S3 is reached.
    """

    def __init__(self, root: str, s3: S3Access) -> None:
        self._storage = Storage(root.rstrip("/"), s3)
        self._tables: dict[str, CommittedTable] = {}
        self._lock = threading.Lock()

    def _table(self, table: Table) -> CommittedTable:
        place = f"{table.area}/{table.name}"
        with self._lock:
            if place not in self._tables:
                self._tables[place] = CommittedTable(self._storage, place)
            return self._tables[place]

    # -- tables ---------------------------------------------------------------------------------

    def create(self, table: Table) -> None:
        """Create a table if it is missing; several processes may do so at once.

        Args:
            table: its columns, their meanings, its partition columns and statistics.

        Raises:
            TryAgainError: the storage fails.
        """
        committed = self._table(table)
        for attempt in range(_CREATIONS):
            if committed.exists():
                return
            try:
                DeltaTable.create(
                    committed.uri,
                    _delta_schema(table),
                    mode="ignore",
                    partition_by=list(table.partition),
                    description=f"One row is {table.meaning}.",
                    configuration={
                        **TABLE_PROPERTIES,
                        "delta.dataSkippingStatsColumns": ",".join(table.statistics),
                    },
                    storage_options=self._storage.options,
                    commit_properties=CommitProperties(max_commit_retries=0),
                    post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
                )
            except (OSError, DeltaError) as error:
                # Another process may have been first, or the answer was lost: then the table is there.
                if attempt + 1 == _CREATIONS:
                    raise storage_error(
                        error, "a table cannot be created", committed.uri
                    ) from error
                pause(attempt)

    def exists(self, table: Table) -> bool:
        """Return whether a table is there.

        Raises:
            TryAgainError: the storage fails.
        """
        return self._table(table).exists()

    def version(self, table: Table) -> int:
        """Return the latest version of a table."""
        return int(self._table(table).snapshot().version())

    def columns(self, table: Table) -> dict[str, str]:
        """Return the columns that a table has now: name → Spark type."""
        return {column.name: spark_type(column.type) for column in self._schema(table)}

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """Add columns that a table lacks; others may add the same ones at the same time.

        Args:
            table: which.
            wanted: name → Spark type.

        Raises:
            TidegateError: the table has such a column with another type.
            TryAgainError: the storage fails, or other writers are always faster.
        """

        def add(snapshot: DeltaTable, properties: CommitProperties) -> None:
            missing = self._missing(table, wanted, _arrow_schema(snapshot))
            if missing:
                snapshot.alter.add_columns(
                    list(Schema.from_arrow(arrow_schema(missing)).fields),
                    commit_properties=properties,
                    post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
                )

        self._table(table).alter(add)

    def _missing(
        self, table: Table, wanted: Mapping[str, str], present: pa.Schema
    ) -> dict[str, str]:
        """Return which of the columns a table lacks."""
        types = {column.name: spark_type(column.type) for column in present}
        missing = {}
        for name, kind in wanted.items():
            if name not in types:
                missing[name] = kind
            elif arrow_type(kind) != present.field(name).type:
                raise TidegateError(
                    f"column {name} of {table.name} has another type",
                    where=f"{self._storage.root}/{table.area}/{table.name}",
                    expected=f"{types[name]}, as in the table",
                    got=f"{kind}, as the source file says",
                    todo="give the column another name in the source file, or the table's type",
                )
        return missing

    # -- rows -----------------------------------------------------------------------------------

    def append(self, table: Table, rows: Sequence[Row] | pa.Table) -> int:
        """Append rows in one commit, and return the version that it made. Many processes may do so at once.

        Args:
            table: which.
            rows: Python rows (see `schema.rows_to_arrow`), or Arrow. Columns that they lack are NULL. Without rows
                there is no commit.

        Raises:
            TidegateError: the table cannot hold the rows; nothing was written.
            TryAgainError: the storage fails; its text says where the outcome is unknown.
        """
        if len(rows) == 0:
            return self.version(table)
        version = self._append(table, rows, None, None)
        assert version is not None, "an append gives up only for a number"
        return version

    def append_next(
        self,
        table: Table,
        rows: Sequence[Row] | pa.Table,
        app: str,
        number: int,
        record: Row | None = None,
    ) -> bool:
        """Append rows only if no commit of `app` has this number or a higher one; return whether they were.

        Args:
            table: which.
            rows: see `append`.
            app: whose numbers they are.
            number: of this commit.
            record: goes into the commit as its user metadata.

        Raises:
            TidegateError: as `append`.
        """
        return self._append(table, rows, app, number, record) is not None

    def _append(
        self,
        table: Table,
        rows: Sequence[Row] | pa.Table,
        app: str | None,
        number: int | None,
        record: Row | None = None,
    ) -> int | None:
        committed, layout = self._table(table), self._layout(table)
        if not isinstance(rows, pa.Table):
            rows = rows_to_arrow(rows, layout.schema, layout.where)
        # A slice has a file of its own only where slices are replaced.
        appended = replace(layout, slice_column=None)
        files = write_rows(committed.files, appended, rows, lambda _: None)
        change = Change(add=files)
        return committed.commit(lambda _: change, record=record, app=app, number=number)

    def replace(
        self,
        table: Table,
        rows: pa.RecordBatchReader | pa.Table,
        where: Slices,
        *,
        record: Row | None = None,
        app: str | None = None,
        number: int | None = None,
    ) -> int | None:
        """Replace exactly the rows of some slices, in one commit.

        Rows of a slice come into files of their own. A file that holds rows of other slices too is written again
        without those that are replaced. Nothing in place of nothing makes a commit too, which holds the record.

        Args:
            table: which.
            rows: columns of the table, in any order; those that they lack are NULL. Rows that come slice by slice
                need the least memory.
            where: the slices.
            record: goes into the commit as its user metadata.
            app: with `number`, the commit is made only while no commit of `app` has this number or a higher one.
            number: see `app`.

        Returns:
            The version that the commit made; None where another commit of `app` was first.

        Raises:
            TidegateError: a row is outside the slices, or the table cannot hold it; nothing was written.
            TryAgainError: the storage fails; its text says where the outcome is unknown.
        """
        committed, layout = self._table(table), self._layout(table)
        files = write_rows(
            committed.files, layout, rows, lambda batch: where.check(batch, table, layout.where)
        )
        replacement = _Replacement(committed, layout, where, files)
        # What has to be written again is written before the commit, and only looked up within it.
        replacement.plan(committed.active_files())
        return committed.commit(replacement.plan, record=record, app=app, number=number)

    # -- files ----------------------------------------------------------------------------------

    def history(self, table: Table, limit: int | None = None) -> list[Commit]:
        """Return the last commits of a table, newest first; None for all that the log still has."""
        return self._table(table).history(limit)

    def files(self, table: Table, version: int | None = None) -> list[str]:
        """Return the data files of a table, as it is or as it was at a version, below its folder."""
        committed = self._table(table)
        if version is None:
            return [file["path"] for file in committed.active_files().matching()]
        from tidegate.lake.data_files import DataFiles

        place = f"{table.area}/{table.name}"
        return DataFiles(self._storage.uri("").rstrip("/"), self._storage.s3).paths(place, version)

    def needs_compaction(self, table: Table) -> bool:
        """Return whether a partition of a table has more than 50 small files. It reads only the log."""
        return bool(self._crowded(table))

    def compact_crowded(self, table: Table) -> Compacted | None:
        """Compact the partitions of a table that have more than 50 small files; see `compact`."""
        return compaction.compact(self._table(table), self._layout(table), self._crowded(table))

    def compact(self, table: Table, partitions: Mapping[str, Sequence[str]]) -> Compacted | None:
        """Put the small files of some partitions together, in one commit; rows stay as they are.

        Args:
            table: which.
            partitions: by partition column, the values whose partitions are meant, as text; columns that are missing
                may have any value.

        Returns:
            What changed; None where another commit took out one of the files first.
        """
        return compaction.compact(self._table(table), self._layout(table), partitions)

    def checkpoint(self, table: Table) -> None:
        """Write a checkpoint of a table's latest version, so that readers need not read its older commits."""
        committed = self._table(table)
        try:
            committed.snapshot().create_checkpoint()
        except (OSError, DeltaError) as error:
            raise storage_error(error, "a checkpoint cannot be written", committed.uri) from error

    def _crowded(self, table: Table) -> set[compaction.Partition]:
        files = self._table(table).active_files()
        return compaction.crowded_partitions(files, table.partition)

    def _schema(self, table: Table) -> pa.Schema:
        return _arrow_schema(self._table(table).snapshot())

    def _layout(self, table: Table) -> Layout:
        return Layout(
            where=f"{self._storage.root}/{table.area}/{table.name}",
            schema=self._schema(table),
            partition=table.partition,
            statistics=table.statistics,
            slice_column=table.slice_time if table.slice else None,
        )


class _Replacement:
    """The change that replaces slices, for whatever snapshot it is committed to."""

    def __init__(
        self, table: CommittedTable, layout: Layout, where: Slices, add: Sequence[DataFile]
    ) -> None:
        self._table = table
        self._layout = layout
        self._where = where
        self._add = add
        self._remainders: dict[str, list[DataFile] | None] = {}
        """By file that was read: new files with the rows that stay; None where no row of it is replaced."""

    def plan(self, files: SnapshotFiles) -> Change:
        """Return the change to a snapshot's files."""
        add, remove = [*self._add], []
        for file in files.matching(self._where.partitions(self._layout.partition)):
            overlap = self._where.overlap(file, self._layout.partition)
            if overlap is Overlap.NONE:
                continue
            remainder: list[DataFile] | None = []
            if overlap is Overlap.SOME:
                remainder = self._remainder(file)
            if remainder is not None:
                add += remainder
                remove.append(file)
        return Change(add, remove)

    def _remainder(self, file: ActiveFile) -> list[DataFile] | None:
        path = file["path"]
        if path not in self._remainders:
            self._remainders[path] = self._read(file)
        return self._remainders[path]

    def _read(self, file: ActiveFile) -> list[DataFile] | None:
        values = tuple(file[f"partition.{name}"] for name in self._layout.partition)
        if not self._has_replaced_rows(file):
            return None
        with DataWriter(self._table.files, self._layout) as writer:
            for batch in read_batches(self._table.files, file["path"], self._layout):
                stays = pc.invert(self._where.mask(batch))
                rows = batch.filter(stays)
                if rows.num_rows:
                    writer.add_to(values, rows)
            return writer.close()

    def _has_replaced_rows(self, file: ActiveFile) -> bool:
        """Return whether any row of a file is replaced. It reads the columns that tell only."""
        names = {name for name in ("source", self._where.column) if name is not None}
        batches = read_batches(self._table.files, file["path"], self._layout, names)
        return any(pc.any(self._where.mask(batch)).as_py() for batch in batches)


def _arrow_schema(snapshot: DeltaTable) -> pa.Schema:
    schema = pa.schema(snapshot.schema().to_arrow())
    return pa.schema([(column.name, plain_type(column.type)) for column in schema])


def _delta_schema(table: Table) -> Schema:
    fields = [
        pa.field(column.name, arrow_type(column.type), metadata={"comment": column.meaning})
        for column in table.columns
    ]
    return Schema.from_arrow(pa.schema(fields))
