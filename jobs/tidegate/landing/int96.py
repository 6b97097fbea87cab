"""Columns of a Parquet file by their paths; and how many times of the old type INT96 lose nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tidegate.landing.json_values import stored

Ints = npt.NDArray[np.int64]

_BATCH_ROWS = 32_768


def open_parquet(file: BinaryIO, unit: str) -> pq.ParquetFile:
    """Return a file, whose INT96 is read in a unit."""
    return pq.ParquetFile(
        file,
        pre_buffer=False,
        buffer_size=1 << 20,
        coerce_int96_timestamp_unit=unit,
        page_checksum_verification=True,
    )


def value_at(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """Return the values of a path; of one that the file has not, nulls."""
    nothing = pa.nulls(len(batch))
    at = batch.schema.get_field_index(names[0])
    if at < 0:
        return nothing
    column = stored(batch.column(at))
    for name in names[1:]:
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index(name) >= 0:
            column = column.flatten()[kind.get_field_index(name)]
        elif pa.types.is_map(kind) and _is_text(kind.key_type):
            column = pc.map_lookup(column, pa.scalar(name.encode()).cast(kind.key_type), "first")
        else:
            return nothing
        column = stored(column)
    return column


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    )


def counts_of(times: pa.Array) -> Ints:
    """Return what times count since 1970; 0 where there is none."""
    return np.asarray(times.cast(pa.int64()).fill_null(0))


class Int96:
    """Counts the times of type INT96 that lost nanoseconds, batch by batch.

    Microseconds have room for all years, nanoseconds have not: they overflow. But their difference to the
    microseconds is right all the same.

    Args:
        file: the file.
        parquet: the file, as it is read.
        used: names of the columns that are used.
    """

    def __init__(self, file: BinaryIO, parquet: pq.ParquetFile, used: AbstractSet[str]) -> None:
        columns = [parquet.schema.column(at) for at in range(len(parquet.schema))]
        of_type = [column.path for column in columns if column.physical_type == "INT96"]
        self._names = sorted(
            name for name in used if any(f"{path}.".startswith(f"{name}.") for path in of_type)
        )
        self._batches = (
            open_parquet(file, "ns").iter_batches(
                batch_size=_BATCH_ROWS, columns=self._names, use_threads=False
            )
            if self._names
            else iter(())
        )
        self._rest: pa.RecordBatch | None = None

    def cut_times(self, batch: pa.RecordBatch, paths: Mapping[str, tuple[str, ...]]) -> int:
        """Return how many times of the next rows lost nanoseconds."""
        mine = [names for names in paths.values() if names[0] in self._names]
        if not mine:
            return 0
        exact = self._next(len(batch))
        cut = 0
        for names in mine:
            nanos = value_at(exact, names)
            if pa.types.is_timestamp(nanos.type) and nanos.type.unit == "ns":
                micros = value_at(batch, names)
                if micros.type.unit == "us":
                    lost = counts_of(nanos) - counts_of(micros) * 1_000
                    cut += int(np.count_nonzero(lost))
        return cut

    def _next(self, count: int) -> pa.RecordBatch:
        parts = []
        while count:
            part = self._rest if self._rest is not None else next(self._batches)
            parts.append(part.slice(0, count))
            self._rest = part.slice(count) if len(part) > count else None
            count -= len(parts[-1])
        return pa.concat_batches(parts)
