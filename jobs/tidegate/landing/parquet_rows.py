"""Parquet to rows: a pure function of the bytes of a file. What a value becomes is in `columnar`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.paths import split_path
from tidegate.landing.columnar import Rows, rows_of
from tidegate.landing.int96 import Int96, open_parquet

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of values that a batch is to have, as far as a row group's first rows are like its others."""
_MAX_ROWS = 32_768
_PROBE_ROWS = 64
_MAGIC = b"PAR1"
_CODECS = "snappy, gzip, brotli, zstd, lz4 or none"
_OTHER_CODEC = re.compile(
    r"While (\w+) compression is supported|Unsupported compression codec value: (\d+)"
)
_AGAIN = "upload the file again"


def read_rows(file: BinaryIO, wanted: frozenset[str], *, private: bool = False) -> Iterator[Rows]:
    """Yield the rows of a Parquet file, some MiB at a time.

    Args:
        file: the file; it has to be seekable.
        wanted: dotted paths of the values that are used; a path leads into structs, and into maps by their keys.
        private: whether the file holds personal data: no `body` is made, and no message shows a value of it.

    Raises:
        UnreadableError: the file can't be read whole.
    """
    _check_ends(file)
    with _readable("its description of the columns is damaged"):
        parquet = open_parquet(file, "us")
    names = parquet.schema_arrow.names
    paths = {path: split_path(path) for path in sorted(wanted)}
    used = {path[0] for path in paths.values()}
    twice = sorted(name for name in used if names.count(name) > 1)
    if twice:
        raise UnreadableError(
            f"the file has several columns named {', '.join(twice)}",
            expected="one column of each name that the source file uses",
            todo="name the columns differently where the file is written",
        )
    if not names:
        return
    columns = [name for name in names if name in used] if private else None
    int96 = Int96(file, parquet, used)
    line = 1
    for group in range(parquet.num_row_groups):
        for batch in _batches(parquet, group, columns):
            rows = rows_of(batch, line, paths, private=private)
            with _readable(f"its row group {group + 1} is damaged"):
                cut = int96.cut_times(batch, paths)
            yield replace(rows, cut_times=rows.cut_times + cut)
            line += len(batch)
    if line - 1 != parquet.metadata.num_rows:
        raise UnreadableError(
            "the Parquet file has another number of rows than it declares",
            expected=f"{parquet.metadata.num_rows} rows",
            got=f"{line - 1} rows",
            todo=_AGAIN,
        )


def _batches(
    parquet: pq.ParquetFile, group: int, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    metadata = parquet.metadata.row_group(group)
    if not metadata.num_rows:
        return

    def batches(size: int) -> Iterator[pa.RecordBatch]:
        yield from parquet.iter_batches(
            batch_size=size, row_groups=[group], columns=columns, use_threads=False
        )

    with _readable(f"its row group {group + 1} is damaged"):
        # A dictionary may hide how long values are, so that some of them are read first.
        probe = next(batches(_PROBE_ROWS), None)
        if not probe:  # fewer rows than it declares: their number will not be the file's
            return
        row = max(probe.nbytes / len(probe), metadata.total_byte_size / metadata.num_rows, 1)
        yield from batches(max(1, min(_MAX_ROWS, int(BATCH_BYTES / row))))


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        # With a number it is an error of the connection or the disk and no fault of the file.
        if isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None):
            raise
        message = str(error).partition("\n")[0][:200]
        # The description of a column names its codec too, but to read a number there that Arrow does not know ends
        # the process.
        codec = _OTHER_CODEC.search(message)
        if codec is not None:
            raise UnreadableError(
                f"the Parquet file is compressed by {codec[1] or f'codec {codec[2]}'}, which can't be read",
                expected=_CODECS,
                todo="write the file with another compression",
            ) from error
        raise UnreadableError(
            f"the Parquet file can't be read: {what}", got=message, todo=_AGAIN
        ) from error


def _check_ends(file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(len(_MAGIC))
    file.seek(max(0, size - len(_MAGIC)))
    tail = file.read(len(_MAGIC))
    file.seek(0)
    if b"PARE" in (head, tail):
        raise UnreadableError(
            "the Parquet file is encrypted", expected="a file without encryption", todo=_AGAIN
        )
    if head != _MAGIC:
        got = f"it begins with the bytes {head.hex(' ')}" if head else "an empty file"
        raise UnreadableError(
            "the file is not a Parquet file", expected="PAR1 at its beginning", got=got, todo=_AGAIN
        )
    if tail != _MAGIC or size < 3 * len(_MAGIC):
        raise UnreadableError(
            "the Parquet file is cut short",
            expected="PAR1 at its end",
            got=f"{size} bytes",
            todo=_AGAIN,
        )
