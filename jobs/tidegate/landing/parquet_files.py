"""Staged rows to Parquet files: one file for each outcome, whatever the number of batches."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tidegate.common.threads import BoundedThreads
from tidegate.landing.records import mask_of

OUTCOMES = ("event", "quarantined")

_GROUP_ROWS = 122_880
_GROUP_BYTES = 48 * 1024 * 1024
"""When a row group is full: rows as many as DuckDB reads at once, or bytes that must not fill the memory."""
_MANY_DIFFERENT = frozenset(
    ["event_id", "event_time", "properties", "line", "_raw", "_raw_bytes", "_detail", "_number"]
)
"""Columns in which a dictionary costs time and saves nothing."""
_BATCHES_BEHIND = 4
_FEW = 64
"""Rows of another outcome around which a batch is cut; with more of them it is copied."""


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file of staged rows.

    Attributes:
        path: relative to the target.
        rows: how many it has.
        size: in bytes.
    """

    path: str
    rows: int
    size: int

    @property
    def outcome(self) -> str:
        """What became of its rows: `event` or `quarantined`."""
        return self.path.partition("/_outcome=")[2].partition("/")[0]


class Writers:
    """Writes the rows of a dump.

    Args:
        folder: below which files are written.
        place: the dump's folder there.
        name: what names of files begin with.
        schema: of staged rows.
    """

    def __init__(self, folder: Path, place: str, name: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema.remove(schema.get_field_index("_outcome"))
        self._paths = {
            outcome: f"{place}/_outcome={outcome}/{name}.parquet" for outcome in OUTCOMES
        }
        self._open: dict[str, _File] = {}
        self.files: list[StagedFile] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows with the columns of staged rows, each to the file of its outcome."""
        is_event = mask_of(pc.equal(rows.column("_outcome"), "event"))
        rows = rows.remove_column(rows.schema.get_field_index("_outcome"))
        for outcome, which in zip(OUTCOMES, (is_event, ~is_event), strict=True):
            if which.any():
                file = self._open.get(outcome) or self._begin(outcome)
                if which.all():
                    file.add(rows)
                elif len(others := np.flatnonzero(~which)) > _FEW:
                    file.add(rows.filter(pa.array(which)))
                else:
                    start = 0
                    for stop in (*others.tolist(), len(rows)):
                        if stop > start:
                            file.add(rows.slice(start, stop - start))
                        start = stop + 1

    def _begin(self, outcome: str) -> _File:
        path = self._folder / self._paths[outcome]
        path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open[outcome] = _File(path, self._schema)
        return file

    def close(self) -> None:
        """Finish the files; `files` names them."""
        for outcome, file in self._open.items():
            file.close()
            self.files.append(StagedFile(self._paths[outcome], file.rows, file.path.stat().st_size))
        self._open = {}

    def abandon(self) -> None:
        """Remove what was written, finished or not."""
        for file in self._open.values():
            file.abandon()
        for path in self._paths.values():
            (self._folder / path).unlink(missing_ok=True)
        self._open = {}
        self.files = []


class _File:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in schema.names if name not in _MANY_DIFFERENT],
            write_statistics=["event_time", "dump_hour", "line"],
        )

    def add(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        self._waiting_bytes += rows.get_total_buffer_size()
        self.rows += len(rows)
        if self._waiting_rows >= _GROUP_ROWS or self._waiting_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what waits as one row group."""
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        with suppress(OSError):  # the disk may be full: the file goes anyway
            self._writer.close()


class Behind:
    """Writes in a thread of its own, a few batches behind, so that one large file keeps two cores busy.

    Args:
        writers: that write.
    """

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._thread = BoundedThreads(1, _BATCHES_BEHIND)

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows later; an error of rows before them is raised here."""
        self._thread.run(lambda: self._writers.write(rows))

    def close(self) -> None:
        """Wait until all is written."""
        self._thread.finish()
