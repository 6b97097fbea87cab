"""Where the records of delimited text end, for all records of a block at once.

Only a prefix of the block whose structure is beyond doubt is taken: RFC 4180 to the letter. Every quote in
it opens a value, closes one or is doubled within one, so that a line feed ends a record exactly if an even
number of quotes stands before it. What comes behind is for `scanner`, which reads record by record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate.config.source.format import Format
from tidegate.landing.limits import MAX_LINE_BYTES

Ints = npt.NDArray[np.int64]
_LF, _CR = 10, 13


@dataclass(frozen=True)
class Layout:
    """The records at the head of a block.

    Attributes:
        starts: where each record begins in the block.
        ends: where each record's line feed is, or the block's end.
        fields: how many fields each record has.
        lines: how many line feeds stand before each record.
        stop: where the last of them ends, its line feed included.
    """

    starts: Ints
    ends: Ints
    fields: Ints
    lines: Ints
    stop: int


def plain_layout(data: bytes, form: Format, *, is_final: bool) -> Layout:
    """Return the records at the head of a block whose structure is beyond doubt.

    Args:
        data: a block that begins where a record does.
        form: how the file is written.
        is_final: whether the file ends with the block.
    """
    limit = _first_unusual(data, form)
    values = np.frombuffer(data, np.uint8)
    quotes = _places(values, form.quote)
    if len(quotes):
        limit = min(limit, _first_stray(values, quotes, ord(form.delimiter), is_final=is_final))
    feeds = np.flatnonzero(values == _LF)
    ends = feeds
    if is_final and len(data) and data[-1] != _LF:
        ends = np.append(feeds, len(data))
    ends = ends[ends < limit] if limit < len(data) else ends
    delimiters = _places(values, form.delimiter)
    if len(quotes):
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])[: len(ends)]
    too_long = np.flatnonzero(ends - starts > MAX_LINE_BYTES)
    if len(too_long):
        starts, ends = starts[: too_long[0]], ends[: too_long[0]]
    inside = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, starts)
    lines = np.searchsorted(feeds, starts)
    stop = min(int(ends[-1]) + 1, len(data)) if len(ends) else 0
    return Layout(starts, ends, inside + 1, lines, stop)


def _places(values: npt.NDArray[np.uint8], character: str | None) -> Ints:
    if character is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(values == ord(character))


def _first_unusual(data: bytes, form: Format) -> int:
    """Return where the first thing stands that has to be read record by record, or the block's end."""
    if not (form.delimiter + (form.quote or "") + (form.escape or "")).isascii():
        return 0
    limit = len(data)
    if form.escape is not None:
        # Before any other character it is text, such as in \N.
        marks = re.escape((form.escape + form.delimiter + (form.quote or "")).encode())
        escape = re.search(re.escape(form.escape.encode()) + rb"(?:[\r\n" + marks + rb"]|\Z)", data)
        limit = min(limit, escape.start() if escape else limit)
    # A carriage return within a value is text, which Arrow's reader would take for a line's end.
    lone = re.search(rb"\r(?!\n|\Z)", data) if b"\r" in data else None
    limit = min(limit, lone.start() if lone else limit)
    if form.comment is not None and form.quote is not None:
        begin = re.escape(form.comment.encode())
        quote = re.escape(form.quote.encode())
        quoted = re.search(rb"(?m)^" + begin + rb"[^\n]*?" + quote, data)
        limit = min(limit, quoted.start() if quoted else limit)
    return limit


def _first_stray(
    values: npt.NDArray[np.uint8], quotes: Ints, delimiter: int, *, is_final: bool
) -> int:
    """Return where the first run of quotes stands that RFC 4180 does not allow, or the block's end.

    A run outside a value opens one: it stands at a field's start, and if its length is even, it closes it
    too. Within a value a run of even length is doubled quotes, and one of odd length closes the value. What
    closes a value has the end of the field behind it.
    """
    first = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
    at = quotes[first]
    length = np.diff(first, append=len(quotes))
    is_odd = length % 2 == 1
    is_inside = first % 2 == 1  # as many quotes stand before the run
    size = len(values)
    # Two more bytes behind the block: its end is that of a record, or not known yet.
    padding = [_LF, _LF] if is_final else [0, 0]
    padded = np.concatenate([values, np.array(padding, np.uint8)])
    before = np.where(at > 0, padded[at - 1], _LF)
    behind = at + length
    after, second = padded[behind], padded[np.minimum(behind + 1, size + 1)]
    ends_field = (after == delimiter) | (after == _LF) | ((after == _CR) & (second == _LF))
    begins_field = (before == delimiter) | (before == _LF)
    is_right = np.where(is_inside, ~is_odd | ends_field, begins_field & (is_odd | ends_field))
    stray = np.flatnonzero(~is_right)
    return int(at[stray[0]]) if len(stray) else size
