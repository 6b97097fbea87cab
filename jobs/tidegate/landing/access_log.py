"""Access logs to records: most lines by one pattern for a block, the others one by one.

`access_line` has the rules; both ways give the same values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.config.source.format import ACCESS_LOG
from tidegate.landing.access_line import MONTHS, NO_VALUE, REQUEST, TIME, Line, read_line
from tidegate.landing.body import json_objects
from tidegate.landing.decoding import is_utf8
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.plan import Names
from tidegate.landing.records import Mask, Records, mask_of
from tidegate.landing.split import Block, LongLine, split

_MONTHS = pa.array(MONTHS, pa.string())
_NUMBERS = pa.array([f"{number:02}" for number in range(1, 13)], pa.string())
_SAMPLE = 20
"""Lines at a block's begin that decide by which pattern it is read."""
_WORD = r'[^ "\\]+'
_QUOTED = r'"[^"\\]*"'
_START = (
    rf'(?P<user>{_WORD}) \[(?P<time>{TIME})\] "(?P<request>[^"\\]*)" '
    r"(?P<status>[0-9]{3}|-) (?P<bytes>[0-9]+|-)"
)
_PATTERNS = [
    host + _START + agent
    for host in (
        rf"^(?P<host>{_WORD}) (?P<ident>{_WORD}) ",
        rf"^(?P<vhost>{_WORD}) (?P<host>{_WORD}) (?P<ident>-) ",
    )
    for agent in (
        rf' "(?P<referer>[^"\\]*)" "(?P<agent>[^"\\]*)"(?: (?P<rest>(?:[^"\\]|{_QUOTED})*))?$',
        rf'(?: (?P<rest>[^"\\](?:[^"\\]|{_QUOTED})*)?)?$',
    )
]
"""Patterns of lines without escapes and without spaces in the user, for RE2."""


class AccessLog:
    """Reads the lines of a file.

    Args:
        paths: what is wanted of a line.
        private: whether the file holds personal data: no `body` is made, and no digest.
    """

    def __init__(self, paths: Sequence[Names], *, private: bool) -> None:
        self._paths = paths
        self._private = private

    def records(self, chunks: Iterable[bytes]) -> Iterator[Records]:
        """Yield all records of a file.

        Args:
            chunks: the file's content.
        """
        for block in split(chunks):
            if isinstance(block, LongLine):
                line = self._too_long(block.length, block.digest)
                raw = pa.array([block.head], pa.binary())
                yield self._records(
                    block.number, raw, pa.array([block.length]), line_values([line]), [line]
                )
            else:
                yield self._block(block)

    def _block(self, block: Block) -> Records:
        raw, count = block.raw, len(block.feeds)
        values, is_plain = plain_values(raw)
        lengths = pc.cast(pc.binary_length(raw), pa.int64())
        slow = np.flatnonzero(~is_plain)
        lines: list[Line | None] = [None] * count
        if len(slow):
            texts = raw.take(pa.array(slow)).to_pylist()
            read = [self._line(text) for text in texts]
            for at, line in zip(slow.tolist(), read, strict=True):
                lines[at] = line
            # The plain ones come first, and each is taken from where it is.
            places = np.empty(count, np.int64)
            places[is_plain] = np.arange(count - len(slow))
            places[slow] = np.arange(count - len(slow), count)
            exact = line_values(read)
            mask = pa.array(is_plain)
            values = {
                name: pa.concat_arrays([column.filter(mask), exact[name]]).take(pa.array(places))
                for name, column in values.items()
            }
            if max(map(len, texts)) > MAX_LINE_BYTES:
                raw = pa.array(
                    [
                        text[:MAX_RAW_BYTES] if len(text) > MAX_LINE_BYTES else text
                        for text in raw.to_pylist()
                    ],
                    pa.binary(),
                )
        return self._records(block.first, raw, lengths, values, lines)

    def _line(self, raw: bytes) -> Line:
        if len(raw) > MAX_LINE_BYTES:
            return self._too_long(len(raw), hashlib.sha256(raw).hexdigest())
        try:
            return read_line(raw.decode())
        except UnicodeDecodeError:
            return Line(reason="not_utf8", detail="expected UTF-8")

    def _too_long(self, length: int, digest: str) -> Line:
        detail = f"expected at most {MAX_LINE_BYTES} bytes, got {length}"
        return Line(
            reason="too_long", detail=detail if self._private else f"{detail}; sha256 {digest}"
        )

    def _records(
        self,
        first: int,
        raw: pa.Array,
        lengths: pa.Array,
        values: Mapping[str, pa.Array],
        lines: Sequence[Line | None],
    ) -> Records:
        reason = pa.array([line and line.reason for line in lines], pa.string())
        nothing = pa.nulls(len(raw), pa.string())
        body = nothing
        if not self._private:
            objects = json_objects(ACCESS_LOG, [values[name] for name in ACCESS_LOG])
            body = pc.if_else(reason.is_null(), objects, nothing)
        return Records(
            line=pa.array(np.arange(first, first + len(raw))),
            raw=raw,
            length=lengths,
            columns={names: values.get(names[0], nothing) for names in self._paths},
            body=body,
            reason=reason,
            detail=pa.array([line and line.detail for line in lines], pa.string()),
        )


def line_values(lines: Sequence[Line]) -> dict[str, pa.Array]:
    """Return the values of lines that were read one by one, by name."""
    return {
        name: pa.array([line.values.get(name) for line in lines], pa.string())
        for name in ACCESS_LOG
    }


def plain_values(raw: pa.Array) -> tuple[dict[str, pa.Array], Mask]:
    """Return the values of lines that one pattern reads, by name, and which lines these are.

    Args:
        raw: the lines as bytes. What is too long, is not UTF-8, has escapes or has another form than most
            lines is left to `access_line`.
    """
    count = len(raw)
    is_short = pc.less_equal(pc.binary_length(raw), MAX_LINE_BYTES)
    try:
        text = pc.if_else(is_short, raw, b"").cast(pa.string())
    except pa.ArrowInvalid:
        valid = pc.and_(is_short, pa.array([is_utf8(line) for line in raw.to_pylist()]))
        text = pc.if_else(valid, raw, b"").cast(pa.string())
    text = pc.replace_substring_regex(text, r"\r$", "")
    parts = _parts(text, _pattern(text))
    parts["time"] = _rfc3339(parts["time"])
    parts |= _parts(parts["request"], REQUEST + "$")
    is_plain = mask_of(parts["time"].is_valid())
    if "vhost" in parts:
        is_plain &= ~mask_of(pc.equal(parts["host"], "-"))
    none = pa.array(NO_VALUE)
    values = {name: parts.get(name, pa.nulls(count, pa.string())) for name in ACCESS_LOG}
    return {
        name: pc.if_else(pc.is_in(column, value_set=none), None, column)
        for name, column in values.items()
    }, is_plain


def _pattern(text: pa.Array) -> str:
    """Return the pattern that most of the first lines match; the lines of a file mostly have one form."""
    sample = text[:_SAMPLE]
    return max(
        _PATTERNS,
        key=lambda pattern: pc.sum(pc.match_substring_regex(sample, pattern)).as_py() or 0,
    )


def _parts(text: pa.Array, pattern: str) -> dict[str, pa.Array]:
    """Return what the groups of a pattern match, by name; NULL where the pattern does not match."""
    matches = pc.extract_regex(text, pattern)
    names = [field.name for field in matches.type]
    return dict(zip(names, matches.flatten(), strict=True))


def _rfc3339(time: pa.Array) -> pa.Array:
    def part(start: int, stop: int) -> pa.Array:
        return pc.utf8_slice_codeunits(time, start, stop)

    month = _NUMBERS.take(pc.index_in(part(3, 6), value_set=_MONTHS))
    date = [part(7, 11), "-", month, "-", part(0, 2), "T", part(12, 20)]
    return pc.binary_join_element_wise(*date, part(21, 24), ":", part(24, 26), "")
