"""Delimited text to records: a pure function from the bytes of a file, in bounded memory.

The unit is a record of RFC 4180: a line, or several where a quoted value holds line breaks. It is numbered
by its first physical line. Each record comes out once, in order, with its values or its fault; the header,
comments and skipped lines are no records. `scanner` has the rules of quotes and escapes, `plain_text` reads what
follows RFC 4180 to the letter a block at a time; the values are the same.

- A value is NULL where its text, quoted or not, is one of the format's `null`; by default the empty text.
- Of two columns with one name, and of a column without a name, `body` has `_cN` for all but the first, N being
  its place from 0. That a name is given twice only hurts where the source file uses it.
- A name that the source file uses and the header lacks is refused if no event is without it, or if
  the header has it spelled in another way. Else no row of the file has a value for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tidegate.config.source.format import Format
from tidegate.landing.body import json_objects
from tidegate.landing.decoding import Window, is_utf8, utf8_chunks
from tidegate.landing.extended_log import (
    FIELDS,
    SECTION_BYTES,
    extended_log,
    is_extended_log,
    is_section,
    next_section,
    read_fields,
)
from tidegate.landing.header import Header, named_columns, read_header
from tidegate.landing.plain_text import Ints, Layout, plain_layout
from tidegate.landing.scanner import Scanned, Scanner

Mask = npt.NDArray[np.bool_]

BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes of text that are read at once."""
_SPAN = 64 * 1024
_BLANKS = b" \t\r"
_MARK = b"\xef\xbb\xbf"

FAULTS: Mapping[str, str] = {
    "bad_quotes": "text follows a closing quote within a field",
}
"""Reasons of this module that JSON lines don't have."""


@dataclass(frozen=True)
class Records:
    """Records of one file, in order; each array has a value a record.

    Attributes:
        line: int64, the record's first physical line, from 1.
        raw: binary, its bytes as UTF-8 without the line feed at its end; of one that is too long the head.
        length: int64, bytes of the whole record as UTF-8.
        fault: string, why it can't be used: too_long, not_utf8, blank_line, bad_quotes or wrong_columns; or NULL.
        detail: string, what was expected and what is there; NULL where there is no fault.
        columns: name -> string values, for each name that is used; NULL where the record has a fault.
        body: string, a JSON object of all values but NULLs, by name; NULL where the record has a fault, and
            everywhere if the file is private.
    """

    line: pa.Array
    raw: pa.Array
    length: pa.Array
    fault: pa.Array
    detail: pa.Array
    columns: Mapping[str, pa.Array]
    body: pa.Array

    def __len__(self) -> int:
        return len(self.line)


def read_records(
    chunks: Iterator[bytes],
    format: Format,  # noqa: A002 # what it is called everywhere
    wanted: frozenset[str],
    *,
    needed: Sequence[frozenset[str]] = (),
    private: bool = False,
) -> Iterator[Records]:
    """Yield the records of a file of delimited text, some MiB at a time.

    Args:
        chunks: the file's bytes, unpacked.
        format: how the file is written.
        wanted: names of the columns that are used; a header without any of them is taken for data.
        needed: groups of them; without a column of each group no line is an event.
        private: whether the file holds personal data: no `body` is made, and no error shows a value of it.

    Raises:
        UnreadableError: the file can't be read whole: a quote is not closed, the header lacks what is needed or
            is none, or the text ends within a character.
    """
    window = Window(utf8_chunks(chunks, format.encoding))
    for _ in range(format.skip):
        window.skip_line()
    is_log = is_extended_log(window)
    form = extended_log(format) if is_log else format
    if is_log and form.header is True:
        parts = _log_parts(window, form, wanted, needed=needed, private=private)
    else:
        header = read_header(window, form, wanted, needed=needed, private=private)
        if header is None:
            return
        parts = _parts(window, form, _Batches(header, form, private=private))
    yield from _merged(parts)


def _log_parts(
    window: Window,
    form: Format,
    wanted: frozenset[str],
    *,
    needed: Sequence[frozenset[str]],
    private: bool,
) -> Iterator[Records]:
    """Yield the records of an extended log, whose columns may change on the way."""
    fields: tuple[bytes, int] | None = None
    while (fields := read_fields(window, fields)) is not None:
        text, number = fields
        names = [name.decode("utf-8", "replace") for name in text.removeprefix(FIELDS).split()]
        header = named_columns(
            names,
            wanted,
            needed=needed,
            title=f"the line '{FIELDS.decode()}'",
            line=number,
            private=private,
        )
        yield from _parts(window, form, _Batches(header, form, private=private), text)


def _parts(
    window: Window, form: Format, batches: _Batches, fields: bytes | None = None
) -> Iterator[Records]:
    """Yield the records up to the file's end, or up to a `#Fields:` line that is not the one given."""
    scanner = Scanner(window, form, batches.width)
    span = _SPAN
    while True:
        window.fill(BLOCK_BYTES)
        stop = len(window.data)
        if fields is not None:
            stop = next_section(window.data, window.at, fields)
        if stop == window.at:
            return
        data = window.data[window.at : stop]
        is_final = window.is_final and stop == len(window.data)
        layout = plain_layout(data, form, is_final=is_final)
        if len(layout.ends):
            yield batches.of_layout(data, layout, window.line)
            window.move(window.at + layout.stop)
        # Where plain stretches are short, the search for them costs more than it saves.
        span = _SPAN if layout.stop > span else min(2 * span, BLOCK_BYTES)
        if layout.stop < len(data):
            yield from _scanned(window, scanner, batches, span, fields)


def _scanned(
    window: Window, scanner: Scanner, batches: _Batches, span: int, fields: bytes | None
) -> Iterator[Records]:
    """Yield records of about `span` bytes, one at least if there is any."""
    records: list[Scanned] = []
    count = 0
    while count < span:
        window.fill(SECTION_BYTES)
        if not window.remaining:
            break
        if fields is not None and is_section(window.data, window.at, fields):
            break
        record = scanner.read()
        if record is None:
            count += 1
            continue
        records.append(record)
        count += len(record.raw) + 1
    if records:
        yield batches.of_scanned(records)


class _Batches:
    """Makes arrays of records, for one file."""

    def __init__(self, header: Header, form: Format, *, private: bool) -> None:
        self._header = header
        self._form = form
        self._private = private
        self._null = pa.array(form.null, pa.string())

    @property
    def width(self) -> int:
        """How many columns the file has."""
        return self._header.width

    def of_layout(self, data: bytes, layout: Layout, line: int) -> Records:
        """Return the records at the head of a block that begins at a line."""
        count = len(layout.ends)
        values = np.frombuffer(data, np.uint8)[: layout.stop]
        feeds = layout.ends[layout.ends < len(data)]
        text = np.delete(values, feeds)
        offsets = np.append(layout.starts, layout.stop) - np.arange(count + 1)
        if len(feeds) < count:
            offsets[-1] += 1
        raw = _binary(offsets, text)
        keep = np.ones(count, bool)
        if self._form.comment is not None:
            keep = ~np.asarray(pc.starts_with(raw, pattern=self._form.comment.encode()))
        faults = self._faults(raw, layout.fields)
        good = keep.copy()
        good[list(faults)] = False
        parsed = data[: layout.stop]
        if not good.all():
            sizes = np.minimum(layout.ends + 1, layout.stop) - layout.starts
            parsed = values[np.repeat(good, sizes)].tobytes()
        columns = self._parsed(parsed)
        records = self._records(
            line + layout.lines, raw, np.asarray(pc.binary_length(raw)), faults, good, columns
        )
        return records if keep.all() else _filtered(records, pa.array(keep))

    def of_scanned(self, records: Sequence[Scanned]) -> Records:
        """Return records that were read one by one."""
        raw = pa.array([record.raw for record in records], pa.binary())
        widths = np.array([len(record.fields) for record in records])
        faults = self._faults(raw, widths)
        for at, record in enumerate(records):
            # One that is too long is cut, perhaps within a character.
            if record.fault == "too_long" or (record.fault and faults[at][0] != "not_utf8"):
                faults[at] = (record.fault, record.detail or "")
        good = np.ones(len(records), bool)
        good[list(faults)] = False
        rows = [record.fields for record, is_good in zip(records, good, strict=True) if is_good]
        columns = [
            self._nulled(pa.array(column, pa.binary()).cast(pa.string()))
            for column in zip(*rows, strict=True)
        ] or [pa.array([], pa.string())] * self._header.width
        lines = np.array([record.line for record in records])
        lengths = np.array([record.length for record in records])
        return self._records(lines, raw, lengths, faults, good, columns)

    def _parsed(self, data: bytes) -> list[pa.Array]:
        """Return the columns of text that has nothing but right records."""
        names = [str(at) for at in range(self._header.width)]
        if not data:
            return [pa.array([], pa.string())] * len(names)
        if data.startswith(_MARK):  # it is text here, and Arrow's reader drops one
            data = _MARK + data
        table = pa.csv.read_csv(
            pa.py_buffer(data),
            pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            pa.csv.ParseOptions(
                delimiter=self._form.delimiter,
                quote_char=self._form.quote if self._form.quote is not None else False,
                double_quote=self._form.quote is not None,
                newlines_in_values=self._form.quote is not None,
                ignore_empty_lines=False,
            ),
            pa.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(self._form.null),
                strings_can_be_null=True,
            ),
        )
        return [column.combine_chunks() for column in table.columns]

    def _nulled(self, column: pa.Array) -> pa.Array:
        return pc.if_else(pc.is_in(column, value_set=self._null), None, column)

    def _faults(self, raw: pa.Array, widths: Ints) -> dict[int, tuple[str, str]]:
        """Return the records that can't be used, by place: fault and detail."""
        width = self._header.width
        faults = {
            int(at): ("wrong_columns", self._wrong_columns(int(widths[at])))
            for at in np.flatnonzero(widths != width)
        }
        for at in _maybe_blank(raw):
            if not raw[at].as_py().strip(_BLANKS):
                faults[at] = ("blank_line", "expected an event")
        try:
            raw.cast(pa.string())
        except pa.ArrowInvalid:
            for at, text in enumerate(raw.to_pylist()):
                if not is_utf8(text):
                    faults[at] = ("not_utf8", f"expected {self._form.encoding.upper()}")
        return faults

    def _wrong_columns(self, got: int) -> str:
        detail = f"expected {self._header.width} columns, got {got}"
        return (
            detail if got > 1 else f"{detail}: no delimiter {self._form.delimiter!r} between values"
        )

    def _records(
        self,
        lines: Ints,
        raw: pa.Array,
        lengths: Ints,
        faults: Mapping[int, tuple[str, str]],
        good: Mask,
        columns: Sequence[pa.Array],
    ) -> Records:
        """Return records whose good ones have the values given."""
        if columns and len(columns[0]) != int(good.sum()):
            raise AssertionError("two readers of one block disagree on the number of its records")
        count = len(raw)
        body = (
            pa.nulls(int(good.sum()), pa.string())
            if self._private
            else json_objects(self._header.names, columns)
        )
        used = {
            name: columns[at] if at is not None else pa.nulls(int(good.sum()), pa.string())
            for name, at in self._header.places.items()
        }
        if not good.all():
            places = pa.array(np.cumsum(good) - 1, mask=~good)
            used = {name: column.take(places) for name, column in used.items()}
            body = body.take(places)
        reasons: list[str | None] = [None] * count
        details: list[str | None] = [None] * count
        for at, (reason, detail) in faults.items():
            reasons[at], details[at] = reason, detail
        return Records(
            line=pa.array(lines, pa.int64()),
            raw=raw,
            length=pa.array(lengths, pa.int64()),
            fault=pa.array(reasons, pa.string()),
            detail=pa.array(details, pa.string()),
            columns=used,
            body=body,
        )


def _binary(offsets: Ints, text: npt.NDArray[np.uint8]) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _maybe_blank(raw: pa.Array) -> list[int]:
    """Return the places of records that are empty, or begin and end with white space."""
    ends = [pc.binary_slice(raw, 0, 1), pc.binary_slice(raw, -1)]
    blank = pa.array([b"", *(bytes([code]) for code in _BLANKS)], pa.binary())
    both = pc.and_(*(pc.is_in(end, value_set=blank) for end in ends))
    return np.flatnonzero(np.asarray(both)).tolist()


def _filtered(records: Records, keep: pa.Array) -> Records:
    return Records(
        **{
            name: getattr(records, name).filter(keep)
            for name in ("line", "raw", "length", "fault", "detail", "body")
        },
        columns={name: column.filter(keep) for name, column in records.columns.items()},
    )


def _merged(parts: Iterator[Records]) -> Iterator[Records]:
    """Yield records in batches of about a block: many small ones would cost their readers more."""
    waiting: list[Records] = []
    size = 0
    for part in parts:
        if not len(part):
            continue
        waiting.append(part)
        size += part.raw.nbytes
        if size >= BLOCK_BYTES // 2:
            yield _joined(waiting)
            waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Records]) -> Records:
    if len(parts) == 1:
        return parts[0]
    return Records(
        **{
            name: pa.concat_arrays([getattr(part, name) for part in parts])
            for name in ("line", "raw", "length", "fault", "detail", "body")
        },
        columns={
            name: pa.concat_arrays([part.columns[name] for part in parts])
            for name in parts[0].columns
        },
    )
