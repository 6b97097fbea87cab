"""Arrow batches to rows, by the types that their columns have: of Parquet and of Avro.

Nothing goes through text on the way to a column. A value comes as one of these Arrow types:

| in the file | column |
|---|---|
| whole numbers | `int64`; of unsigned ones beyond it a batch comes as text |
| float and double | `float`, `double`: each as wide as it was |
| decimals | `decimal128`; those of more than 38 digits as text |
| text, bytes with or without the mark of text | `string`; bytes that are not UTF-8 are a fault of their row |
| timestamps in s, ms, µs, ns and INT96 | `timestamp[us, UTC]`, without a zone `timestamp[us]` |
| dates | `date32` |
| times of day, UUIDs, structs, lists, maps | text; the last three as JSON |
| durations | `int64` in their unit |
| no value at all, or no such column | `null` |

Nanoseconds are cut to microseconds, and the values that lose something are counted. A time or date outside the
years 1 to 9999 is a fault of its row. Columns that are not used are only written into `body`; see `json_values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing.body import json_text, objects_of
from tidegate.landing.int96 import counts_of, value_at
from tidegate.landing.json_values import is_nested, json_values, value_texts
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES

Mask = npt.NDArray[np.bool_]

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_US = 86_400_000_000
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Rows:
    """Rows of one file, in order; each array has a value a row.

    Attributes:
        line: int64, the row's place in the file, from 1.
        columns: path -> values, for each path that is wanted; the types are those of the module's table, and
            may differ from file to file and from batch to batch.
        nested: those of the paths whose values are JSON of structs, lists or maps.
        fault: string, why the row can't be used: not_utf8, bad_value or too_long; or NULL.
        detail: string, what was expected and what is there; NULL where there is no fault.
        body: string, the whole row as a JSON object, NULLs left out; of one that is too long the head. NULL
            everywhere if the file is private.
        length: int64, bytes of the whole `body`; 0 if the file is private.
        cut_times: how many values of `columns` lost nanoseconds, those of INT96 among them.
    """

    line: pa.Array
    columns: Mapping[str, pa.Array]
    nested: frozenset[str]
    fault: pa.Array
    detail: pa.Array
    body: pa.Array
    length: pa.Array
    cut_times: int

    def __len__(self) -> int:
        return len(self.line)


def rows_of(
    batch: pa.RecordBatch, line: int, paths: Mapping[str, tuple[str, ...]], *, private: bool
) -> Rows:
    """Return the rows of a batch.

    Args:
        batch: its columns are those of the file.
        line: the first row's place in the file, from 1.
        paths: the names of each path that is wanted.
        private: whether the file holds personal data: no `body` is made, and no message shows a value of it.
    """
    faults = _Faults(len(batch), private=private)
    columns: dict[str, pa.Array] = {}
    nested: set[str] = set()
    cut_times = 0
    for path, names in paths.items():
        column = value_at(batch, names)
        if is_nested(column.type):
            nested.add(path)
        columns[path], cut = _normalized(column, path, faults)
        cut_times += cut
    if private:
        body, length = (
            pa.nulls(len(batch), pa.string()),
            pa.repeat(pa.scalar(0, pa.int64()), len(batch)),
        )
    else:
        body = _bodies(batch)
        length = pc.binary_length(body).cast(pa.int64())
        body = _shortened(body, length, faults)
    return Rows(
        line=pa.array(np.arange(line, line + len(batch))),
        columns=columns,
        nested=frozenset(nested),
        fault=pa.array(faults.reasons, pa.string()),
        detail=pa.array(faults.details, pa.string()),
        body=body,
        length=length,
        cut_times=cut_times,
    )


class _Faults:
    """The first fault of each row."""

    def __init__(self, count: int, *, private: bool) -> None:
        self.reasons: list[str | None] = [None] * count
        self.details: list[str | None] = [None] * count
        self._private = private

    def add(
        self, places: Iterable[int], reason: str, detail: str, got: pa.Array | None = None
    ) -> None:
        """Note a fault of some rows; `got` holds the values of all rows, as text."""
        for at in places:
            if self.reasons[at] is None:
                shown = f", got {got[at].as_py()}" if got is not None and not self._private else ""
                self.reasons[at], self.details[at] = reason, detail + shown


def _normalized(column: pa.Array, path: str, faults: _Faults) -> tuple[pa.Array, int]:
    """Return values in a type of the module's table, and how many of them lost nanoseconds."""
    kind = column.type
    if pa.types.is_binary(kind):
        return _text(column, path, faults), 0
    if pa.types.is_timestamp(kind):
        return _times(column, path, faults)
    if pa.types.is_date(kind):
        return _dates(column, path, faults), 0
    if pa.types.is_uint64(kind):
        most = pc.max(column).as_py()
        return column.cast(pa.int64() if most is None or most < 1 << 63 else pa.string()), 0
    if pa.types.is_integer(kind) or pa.types.is_duration(kind):
        return column.cast(pa.int64()), 0
    if pa.types.is_float16(kind):
        return column.cast(pa.float32()), 0
    if pa.types.is_decimal(kind) and kind.precision <= 38:
        return column.cast(pa.decimal128(kind.precision, kind.scale)), 0
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column, 0
    return value_texts(column), 0


def _text(column: pa.Array, path: str, faults: _Faults) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for at, value in enumerate(column.to_pylist()):
            try:
                texts.append(value.decode() if value is not None else None)
            except UnicodeDecodeError:
                texts.append(None)
                faults.add([at], "not_utf8", f"{path}: expected UTF-8")
        return pa.array(texts, pa.string())


def _times(column: pa.Array, path: str, faults: _Faults) -> tuple[pa.Array, int]:
    """Return times in microseconds, with those out of range as NULL, and how many lost nanoseconds."""
    per_second = _PER_SECOND[column.type.unit]
    whole = counts_of(column)
    first, behind = _FIRST_DAY * 86_400 * per_second, (_LAST_DAY + 1) * 86_400
    inside = whole >= first if per_second < _PER_SECOND["ns"] else np.ones(len(whole), np.bool_)
    # Beyond what nanoseconds can say there is no year 10000.
    inside &= whole // per_second < behind
    _outside(column, inside, path, "a time", faults)
    safe = np.where(inside, whole, 0)
    if per_second <= _PER_SECOND["us"]:
        micros, cut = safe * (_PER_SECOND["us"] // per_second), 0
    else:
        step = per_second // _PER_SECOND["us"]
        micros = safe // step
        cut = int(np.count_nonzero(safe - micros * step))
    zone = "UTC" if column.type.tz is not None else None
    return _masked(micros, pa.int64(), column, inside).cast(pa.timestamp("us", zone)), cut


def _dates(column: pa.Array, path: str, faults: _Faults) -> pa.Array:
    days = column.cast(pa.date32()).cast(pa.int32())
    whole = np.asarray(days.fill_null(0))
    inside = (whole >= _FIRST_DAY) & (whole <= _LAST_DAY)
    _outside(column, inside, path, "a date", faults)
    return _masked(whole, pa.int32(), column, inside).cast(pa.date32())


def _masked(values: np.ndarray, kind: pa.DataType, column: pa.Array, inside: Mask) -> pa.Array:
    return pa.array(values, kind, mask=~inside | np.asarray(column.is_null()))


def _outside(
    column: pa.Array,
    inside: Mask,
    path: str,
    what: str,
    faults: _Faults,
) -> None:
    places = np.flatnonzero(~inside).tolist()
    if places:
        got = column.cast(pa.int64() if what == "a time" else pa.int32()).cast(pa.string())
        unit = f" {column.type.unit}" if what == "a time" else " days"
        detail = f"{path}: expected {what} in the years 1 to 9999, counted in{unit} since 1970"
        faults.add(places, "bad_value", detail, got)


def _bodies(batch: pa.RecordBatch) -> pa.Array:
    names: dict[str, None] = {}
    members = []
    for at, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        unique = name if name not in names else f"_c{at}"
        while unique in names:
            unique += "_"
        names[unique] = None
        members.append(
            pc.binary_join_element_wise(f",{json_text(unique)}:", json_values(column), "")
        )
    return objects_of(members)


def _shortened(body: pa.Array, length: pa.Array, faults: _Faults) -> pa.Array:
    """Return the rows with the head of those that are too long."""
    places = np.flatnonzero(np.asarray(length) > MAX_LINE_BYTES).tolist()
    if not places:
        return body
    heads = []
    for at in places:
        size = length[at].as_py()
        faults.reasons[at] = "too_long"
        faults.details[at] = f"expected at most {MAX_LINE_BYTES} bytes as JSON, got {size}"
        heads.append(body[at].as_buffer()[:MAX_RAW_BYTES].to_pybytes().decode(errors="ignore"))
    mask = np.zeros(len(body), np.bool_)
    mask[places] = True
    return pc.replace_with_mask(body, pa.array(mask), pa.array(heads, pa.string()))
