"""The fields of many lines of JSON at once, by Arrow's reader.

That reader is as strict as RFC 8259, and it refuses an object that has a wanted name twice. It gives numbers
exactly or not at all. Four wrong things it accepts, so lines that may have them are kept from it: bytes that are not
UTF-8, `NaN` and `Infinity`, NUL bytes, at which it stops, and decimals with so many digits that they overflow. It knows
nothing of lines. But each line that it is given begins with `{` and ends with `}`, and after `}`, a line feed and `{`
an object can't go on. So if it finds as many objects as there are lines, each line is one object.

Whatever it refuses is left to `json_exact`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from tidegate.landing.plan import Names, Plan, Tree

MAX_FAULTS = 48
"""Lines of a block that may be refused before what is left of it is not tried any more."""

_ROW = re.compile(r" in row (\d+)$")


@dataclass
class Kinds:
    """What kind of JSON values each path has in a file, as far as it was seen.

    Attributes:
        plan: which paths are wanted.
        types: the Arrow type by which each path is read.
    """

    plan: Plan
    types: dict[Names, pa.DataType] = field(default_factory=dict)
    schema: pa.Schema | None = None

    def learn(self, lines: Sequence[Mapping[Names, str]]) -> None:
        """Choose the types by the kinds of some lines; without a type for one path there is no schema."""
        for names in self.plan.paths:
            seen = Counter(line[names] for line in lines if line.get(names, "null") != "null")
            kind = seen.most_common(1)[0][0] if seen else "string"
            if kind == "int" and "fraction" in seen:
                kind = "fraction"
            chosen = self._type(names, kind)
            if chosen is None:
                self.schema = None
                return
            self.types[names] = chosen
        self.schema = pa.schema(_fields(self.plan.tree, (), self.types))

    def _type(self, names: Names, kind: str) -> pa.DataType | None:
        if kind == "string":
            return pa.string()
        if kind == "boolean":
            return pa.bool_()
        if kind == "int":
            return pa.int64()
        if kind != "fraction" or names in self.plan.exact:
            return None
        types = set(self.plan.types(names))
        for name, arrow in (("double", pa.float64()), ("float", pa.float32())):
            if name in types:
                return arrow if types == {name} else None
        if not types:
            return None
        # Some digits more than the columns have, so that a number with too many is found by itself.
        scales = [int(kind[:-1].partition(",")[2]) for kind in types if kind.startswith("decimal")]
        return pa.decimal256(76, min(38, max([*scales, 9]) + 6))


def _fields(tree: Tree, above: Names, types: Mapping[Names, pa.DataType]) -> list[pa.Field]:
    return [
        pa.field(
            name,
            pa.struct(_fields(below, (*above, name), types)) if below else types[*above, name],
        )
        for name, below in tree.items()
    ]


@dataclass
class Parsed:
    """Rows of lines that were read.

    Attributes:
        rows: a row a line, in order; NULL in all columns for lines that were refused.
        refused: places of those lines, from 0.
        is_misfit: whether the types did not fit.
    """

    rows: pa.RecordBatch
    refused: list[int]
    is_misfit: bool = False


def parse_lines(data: bytes, ends: npt.NDArray[np.int64], schema: pa.Schema) -> Parsed:
    """Read lines, each of which begins with `{` and ends with `}`, but for white space at its end.

    Args:
        data: the lines, each with its line feed; UTF-8, without NUL bytes, `NaN` and `Inf`.
        ends: where each line ends in them, after its line feed.
        schema: what is wanted, and how it is read.
    """
    reader = _Reader(data, ends, schema)
    at, count = 0, len(ends)
    while at < count:
        at = reader.read(at, count)
    whole = pa.Table.from_batches(reader.parts, schema).combine_chunks().to_batches()
    return Parsed(whole[0] if whole else _nulls(schema, 0), reader.refused, reader.is_misfit)


class _Reader:
    def __init__(self, data: bytes, ends: npt.NDArray[np.int64], schema: pa.Schema) -> None:
        self._buffer = pa.py_buffer(data)
        self._ends = ends
        self._schema = schema
        self.parts: list[pa.RecordBatch] = []
        self.refused: list[int] = []
        self.is_misfit = False

    def read(self, at: int, stop: int) -> int:
        """Read lines up to the first that is refused, or all that are left; return how far that is."""
        try:
            self._rows(at, stop)
        except _RefusedError as error:
            if error.row is None or len(self.refused) >= MAX_FAULTS:
                self.is_misfit |= error.row is None
                return self._refuse(at, stop)
            bad = at + error.row
        else:
            return stop
        if bad > at:
            try:
                self._rows(at, bad)
            except _RefusedError:  # what was fine a moment ago is not: nothing is known of these
                self._refuse(at, bad)
        return self._refuse(bad, bad + 1)

    def _rows(self, at: int, stop: int) -> None:
        start = int(self._ends[at - 1]) if at else 0
        lines = self._buffer.slice(start, int(self._ends[stop - 1]) - start)
        self.parts.append(_read(lines, stop - at, self._schema))

    def _refuse(self, at: int, stop: int) -> int:
        self.refused += range(at, stop)
        self.parts.append(_nulls(self._schema, stop - at))
        return stop


class _RefusedError(Exception):
    """Arrow's reader refuses a row, or all of them where it does not name one."""

    def __init__(self, row: int | None) -> None:
        self.row = row


def _read(buffer: pa.Buffer, count: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of some lines.

    Raises:
        _RefusedError: one is not as it should be.
    """
    try:
        table = pa.json.read_json(
            pa.BufferReader(buffer),
            read_options=pa.json.ReadOptions(use_threads=False, block_size=buffer.size + 1),
            parse_options=pa.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid as error:
        row = _ROW.search(str(error))
        is_known = row is not None and int(row[1]) < count
        raise _RefusedError(int(row[1]) if row is not None and is_known else None) from error
    if table.num_rows != count:
        raise _RefusedError(None)
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else _nulls(schema, 0)


def _nulls(schema: pa.Schema, count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.nulls(count, column.type) for column in schema], schema=schema
    )


def leaf(rows: pa.RecordBatch, names: Names) -> pa.Array:
    """Return the values of a path."""
    column = rows.column(names[0])
    return pc.struct_field(column, list(names[1:])) if len(names) > 1 else column
