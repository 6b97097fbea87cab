"""Parquet files, written by Arrow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.chance import Chance
from fuzz.chances import between
from fuzz.columns import Carrier, random_carrier
from fuzz.model import NOTHING, Path, Value, Written
from fuzz.records import outcome
from fuzz.sources import Spec

_EXTRAS: Mapping[str, tuple[pa.DataType, tuple[Any, ...]]] = {
    "x_binary": (pa.binary(), (b"\xff\xfe", b"", b"text", None)),
    "x_list": (
        pa.list_(pa.struct([("a", pa.int8()), ("b", pa.list_(pa.string()))])),
        ([], [{"a": 1, "b": [None]}], None),
    ),
    "x_map": (pa.map_(pa.string(), pa.float64()), ([("a", 1.5), ("", None)], [], None)),
    "x_time": (pa.time64("us"), (0, 86_399_999_999, None)),
    "x_wide": (pa.decimal256(60, 5), (None,)),
    "x_ns": (pa.timestamp("ns"), (-(2**63) + 1, 2**63 - 1, 0, None)),
    "x_day": (pa.date32(), (2**31 - 1, -(2**31), 0, None)),
    "x_s": (pa.timestamp("ms"), (2**60, -(2**60), None)),
    "x_half": (pa.float16(), (None,)),
    "x_big": (pa.uint64(), (2**64 - 1, 0, None)),
    "x_span": (pa.duration("us"), (1, -1, None)),
    "x_nothing": (pa.null(), (None,)),
    "x_empty": (pa.struct([("a", pa.null())]), ({"a": None}, None)),
    "x_float": (pa.float32(), (float("nan"), float("inf"), 0.1, None)),
}
"""Columns that no source reads."""


@dataclass(frozen=True)
class Sheet:
    """How the rows of a file are written.

    Attributes:
        spec: the source.
        carriers: the column of each path.
        extras: names of columns that the source does not read.
        options: of Arrow's writer.
    """

    spec: Spec
    carriers: Mapping[Path, Carrier]
    extras: tuple[str, ...]
    options: Mapping[str, Any]

    def record(self, chance: Chance, number: int) -> Written:
        """Return a row."""
        cells: dict[Path, Value] = {}
        for path, carrier in self.carriers.items():
            cells[path] = carrier.make(chance, number)
        for name in self.extras:
            cells[(name,)] = Value(None, None, arrow=chance.choice(_EXTRAS[name][1]))
        used = {path: cells.get(path, NOTHING) for path in self.spec.kinds()}
        held = {path: cell.arrow for path, cell in cells.items()}
        return Written(b"", outcome(self.spec, used), 1, cells=held)

    def file(self, records: Sequence[Written]) -> bytes:
        """Return a file of some rows."""
        tree: dict[str, Any] = {}
        for path, carrier in self.carriers.items():
            place = tree
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = carrier.type
        types = {name: _type(inner) for name, inner in tree.items()}
        types |= {name: _EXTRAS[name][0] for name in self.extras}
        rows = [_row(record.cells) for record in records]
        columns = [_array([row.get(name) for row in rows], kind) for name, kind in types.items()]
        table = pa.Table.from_arrays(columns, names=list(types))
        out = io.BytesIO()
        pq.write_table(table, out, **self.options)
        return out.getvalue()


def _type(inner: Any) -> pa.DataType:
    if isinstance(inner, dict):
        return pa.struct([(name, _type(below)) for name, below in inner.items()])
    return inner


def _row(cells: Mapping[Any, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for path, held in cells.items():
        place = row
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = held
    return row


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_date64(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def random_sheet(chance: Chance, spec: Spec) -> Sheet:
    """Return how the rows of a file of a source are written."""
    kinds = spec.kinds()
    carriers = {
        path: random_carrier(chance, kind, spec.unit)
        for path, kind in kinds.items()
        if kind in ("event_id", "event_time") or chance.happens(0.93)
    }
    extras = [name for name in _EXTRAS if chance.happens(0.1)]
    options: dict[str, Any] = {
        "compression": chance.choice(("snappy", "snappy", "zstd", "gzip", "brotli", "lz4", "none")),
        "use_dictionary": chance.happens(0.6),
        "data_page_version": chance.choice(("1.0", "1.0", "2.0")),
        "row_group_size": chance.choice((1 << 20, between(chance, 1, 200))),
        "write_page_checksum": chance.happens(0.5),
        "write_statistics": chance.happens(0.7),
        "store_schema": chance.happens(0.7),
        "data_page_size": chance.choice((None, 100, 4096)),
    }
    return Sheet(spec, carriers, tuple(extras), options)
