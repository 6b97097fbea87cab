"""Data files of Delta tables: written a slice at a time, with the statistics that a commit says of them.

delta-rs writes files of its own choice: one a partition, or one a thousand rows. Here a slice has files of its own,
so that to replace an hour rewrites that hour and not its day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import IO, Any
from urllib.parse import quote
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tidegate.common.errors import TidegateError
from tidegate.common.threads import BoundedThreads
from tidegate.lake.schema import conform
from tidegate.lake.storage import storage_error
from tidegate.lake.table_files import TableFiles

GROUP_ROWS = 122_880
"""Rows of a row group: readers read groups side by side."""
GROUP_BYTES = 64 * 2**20
"""Bytes in memory after which a row group is written, however few its rows are."""
FILE_BYTES = 256 * 2**20
"""Bytes on the disk after which a slice goes on in another file."""
_OPEN_FILES = 32
_WRITERS = 2
"""Threads that write row groups, and groups that they have at once."""
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"

Values = Mapping[str, str | None]


@dataclass(frozen=True)
class DataFile:
    """A data file that no commit names yet.

    Attributes:
        path: below the table's folder.
        size: in bytes.
        partition: values of the columns that the table is partitioned by, as text.
        rows: their number.
        statistics: of its columns, JSON as in Delta's log.
        modified_ms: when it was written, milliseconds since 1970.
    """

    path: str
    size: int
    partition: Values
    rows: int
    statistics: str
    modified_ms: int


@dataclass(frozen=True)
class Layout:
    """How the files of a table are laid out.

    Attributes:
        where: the table, for errors.
        schema: all columns of the table.
        partition: columns that it is partitioned by, in order.
        statistics: columns whose minima and maxima are kept.
        slice_column: the column whose values have files of their own; None for no such column.
    """

    where: str
    schema: pa.Schema
    partition: tuple[str, ...]
    statistics: tuple[str, ...]
    slice_column: str | None

    @property
    def file_schema(self) -> pa.Schema:
        """Columns that are in the files: those that the table is not partitioned by."""
        return pa.schema([column for column in self.schema if column.name not in self.partition])


class DataWriter:
    """Writes rows into new data files of a table, a file a partition and slice.

    Rows may come in any order. Those that come slice by slice take the least memory, and no slice has more files
    than its size needs. Use it as a context, so that no thread of it stays.

    Args:
        files: of the table's folder.
        layout: how its files are laid out.
    """

    def __init__(self, files: TableFiles, layout: Layout) -> None:
        self._files = files
        self._layout = layout
        self._threads = BoundedThreads(_WRITERS, _WRITERS)
        self._open: dict[tuple[Any, ...], _OpenFile] = {}
        self._closed: list[DataFile] = []

    def __enter__(self) -> DataWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.stop()
        for file in self._open.values():  # after an error
            file.abandon()

    def add(self, batch: pa.RecordBatch) -> None:
        """Write rows, which have all columns of the table."""
        for key, rows in self._parts(batch):
            self.add_to(key, rows)

    def add_to(self, key: tuple[Any, ...], rows: pa.RecordBatch) -> None:
        """Write rows of one partition, and of one slice, into the file that is open for them.

        Args:
            key: values of the partition columns, then anything that tells files apart.
            rows: all columns of the table, or all that are in files.
        """
        if key not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._close(next(iter(self._open)))
            self._open[key] = _OpenFile.created(self._files, self._layout, key, self._threads)
        file = self._open[key]
        with _reported(self._layout.where):
            file.add(rows.select(file.schema.names))
            # The data of a slice that does not come in one piece would be kept until the end.
            if sum(each.waiting_bytes for each in self._open.values()) > 2 * GROUP_BYTES:
                for each in self._open.values():
                    each.write_group()
        if file.sink.tell() >= FILE_BYTES:
            self._close(key)

    def close(self) -> list[DataFile]:
        """Finish all files and return them."""
        with _reported(self._layout.where):
            for each in self._open.values():  # side by side, before one after another is finished
                each.write_group()
        for key in list(self._open):
            self._close(key)
        return self._closed

    def _close(self, key: tuple[Any, ...]) -> None:
        with _reported(self._layout.where):
            self._closed.append(self._open.pop(key).close(self._files))

    def _parts(self, batch: pa.RecordBatch) -> Iterator[tuple[tuple[Any, ...], pa.RecordBatch]]:
        """Split rows by partition and slice."""
        slice_column = self._layout.slice_column
        columns = list(self._layout.partition)
        if slice_column is not None and slice_column not in columns:
            columns.append(slice_column)
        if not columns or not batch.num_rows:
            yield from [((), batch)] if batch.num_rows else []
            return
        keys = pa.Table.from_batches([batch]).select(columns).group_by(columns).aggregate([])
        for row in keys.to_pylist():
            key = tuple(row[name] for name in columns)
            if keys.num_rows == 1:
                yield key, batch
                return
            fits = pa.repeat(True, batch.num_rows)
            for name, value in row.items():
                column = batch.column(name)
                same = pc.is_null(column) if value is None else pc.equal(column, value)
                fits = pc.and_(fits, pc.fill_null(same, False))
            yield key, batch.filter(fits)


@dataclass
class _OpenFile:
    """A data file that is being written."""

    layout: Layout
    schema: pa.Schema
    path: str
    partition: Values
    sink: IO[bytes]
    writer: pq.ParquetWriter
    threads: BoundedThreads
    writing: Future[None] | None = None
    waiting: list[pa.RecordBatch] = field(default_factory=list)
    waiting_bytes: int = 0
    rows: int = 0
    ranges: dict[str, list[Any]] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def created(
        files: TableFiles, layout: Layout, key: tuple[Any, ...], threads: BoundedThreads
    ) -> _OpenFile:
        """Return a new file of a partition."""
        values = dict(zip(layout.partition, map(partition_text, key), strict=False))
        path = "/".join([*map(_folder, values.items()), f"part-{uuid4()}.zstd.parquet"])
        schema = layout.file_schema
        with _reported(layout.where):
            sink = files.create(path)
            writer = pq.ParquetWriter(sink, schema, compression="zstd")
        return _OpenFile(layout, schema, path, values, sink, writer, threads)

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows; they are written once they make a row group."""
        self.waiting.append(rows)
        self.waiting_bytes += rows.nbytes
        self.rows += rows.num_rows
        for name in self.layout.statistics:
            if name in rows.schema.names:
                self._count(name, rows.column(name))
        waiting_rows = sum(each.num_rows for each in self.waiting)
        if waiting_rows >= GROUP_ROWS or self.waiting_bytes >= GROUP_BYTES:
            self.write_group()

    def write_group(self) -> None:
        """Write the rows that wait as a row group, in a thread: the file's groups one after another."""
        if self.waiting:
            table = pa.Table.from_batches(self.waiting, self.schema)
            self.waiting, self.waiting_bytes = [], 0
            self._await()
            self.writing = self.threads.run(
                lambda: self.writer.write_table(table, row_group_size=GROUP_ROWS)
            )

    def _await(self) -> None:
        if self.writing is not None:
            self.writing.result()

    def close(self, files: TableFiles) -> DataFile:
        """Finish the file and return it."""
        self.write_group()
        self._await()
        self.writer.close()
        size = files.store(self.path, self.sink)
        return DataFile(
            self.path,
            size,
            self.partition,
            self.rows,
            self._statistics(),
            int(time.time() * 1000),
        )

    def abandon(self) -> None:
        """Close the file as it is: no commit names it."""
        # What stopped it stops this too, such as a full disk.
        with suppress(OSError, pa.ArrowException):
            self.writer.close()
        with suppress(OSError):
            self.sink.close()

    def _count(self, name: str, column: pa.Array) -> None:
        self.nulls[name] = self.nulls.get(name, 0) + column.null_count
        if not _has_range(column.type):
            return
        bounds = pc.min_max(column).as_py()
        known = self.ranges.setdefault(name, [])
        known[:] = [value for value in (*known, *bounds.values()) if value is not None]
        known[:] = [min(known), max(known)] if known else []

    def _statistics(self) -> str:
        known = {name: bounds for name, bounds in self.ranges.items() if bounds}
        return json.dumps(
            {
                "numRecords": self.rows,
                "minValues": {name: _statistic(low) for name, (low, _) in known.items()},
                "maxValues": {name: _statistic(high) for name, (_, high) in known.items()},
                "nullCount": self.nulls,
            }
        )


def write_rows(
    files: TableFiles,
    layout: Layout,
    rows: pa.Table | pa.RecordBatchReader,
    check: Callable[[pa.RecordBatch], None],
) -> list[DataFile]:
    """Write rows into new data files of a table, and return the files.

    Args:
        files: of the table's folder.
        layout: how its files are laid out.
        rows: any of the table's columns, in any order of columns.
        check: raises where a row must not be written.

    Raises:
        TidegateError: a row must not be written, or the storage does not take it.
    """
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    with DataWriter(files, layout) as writer:
        for batch in batches:
            whole = conform(batch, layout.schema, layout.where)
            check(whole)
            writer.add(whole)
        return writer.close()


def read_batches(
    files: TableFiles, path: str, layout: Layout, names: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a data file.

    Args:
        files: of the table's folder.
        path: of the file, below that folder.
        layout: how the table's files are laid out.
        names: columns to read, those that files do not have left out; None for all that files of the table have now.
            Columns that this file lacks are NULL.
    """
    schema = layout.file_schema
    if names is not None:
        schema = pa.schema([column for column in schema if column.name in names])
    with _reported(layout.where), files.open(path) as source:
        file = pq.ParquetFile(source)
        present = [name for name in schema.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=GROUP_ROWS // 4, columns=present):
            yield conform(batch, schema, f"{layout.where}/{path}")


def partition_text(value: Any) -> str | None:
    """Return a value of a partition column as Delta's log has it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no partition by a {type(value).__name__}")


def _folder(item: tuple[str, str | None]) -> str:
    """Return the folder of a value of a partition column, as Hive names it."""
    name, value = item
    return f"{name}={quote(value, safe='') if value else _NO_VALUE}"


def _has_range(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_timestamp(kind) or types.is_date(kind) or types.is_integer(kind))


def _statistic(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value


class _reported:  # noqa: N801 (a context manager)
    """Errors of the storage within the block are raised as the project's own."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError | pa.ArrowException) and not isinstance(error, TidegateError):
            raise storage_error(
                error, "a data file cannot be written or read", self._where
            ) from error
