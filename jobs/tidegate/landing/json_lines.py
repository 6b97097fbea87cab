"""JSON to records: most by Arrow's reader, the others one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing.decoding import is_utf8
from tidegate.landing.json_exact import Fields, Treat, read_line
from tidegate.landing.json_fast import Kinds, leaf, parse_lines
from tidegate.landing.json_layout import json_blocks
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.plan import Names, Plan
from tidegate.landing.records import Mask, Records, mask_of
from tidegate.landing.split import Block, LongLine

Ints = npt.NDArray[np.int64]

_FEW = 48
"""Lines up to which it costs less to read each by itself."""
_SAMPLE = 64
"""Lines of a block by which the kinds of values are chosen."""
_MISFITS = 3
"""Blocks in a row that did not fit before every line of the file is read by itself."""
_SPACE = np.zeros(256, np.bool_)
_SPACE[[9, 13, 32]] = True
_MOST_SPACE = 4
"""White space at a line's end that is looked through before the line is read by itself."""
_SEVERAL = r"\}[ \t\r]*\{"
_LONG_NUMBER = "[0-9]{28}"
"""Of a decimal of 256 bits that overflows, with at most 38 digits behind the point, half of all digits at least."""
_TRAPS = (b"NaN", b"Inf", b"\0")


class JsonLines:
    """Reads the records of a file.

    Args:
        plan: what is wanted of a line.
        treat: what becomes of personal values; with it each line is read by itself.
    """

    def __init__(self, plan: Plan, treat: Treat | None = None) -> None:
        self._plan = plan
        self._treat = treat
        self._kinds = Kinds(plan)
        self._is_known = False
        self._misfits = 0

    def records(self, chunks: Iterable[bytes]) -> Iterator[Records]:
        """Yield all records of a file; those of a block come in one part or in two.

        Args:
            chunks: the file's content.
        """
        for block in json_blocks(chunks, self._plan.source.format.path):
            if isinstance(block, LongLine):
                yield self._long(block)
            else:
                yield from self._block(block)

    def again(self, records: Records, which: Mask) -> Records:
        """Return some of the records that `records` gave, each read by itself."""
        places = np.flatnonzero(which)
        raw = records.raw.take(pa.array(places)).cast(pa.binary()).to_pylist()
        numbers = np.asarray(records.line)[places]
        return self._by_itself(list(zip(numbers.tolist(), raw, strict=True)))

    def _block(self, block: Block) -> Iterator[Records]:
        lines = _Lines(block)
        if self._treat is not None or lines.count <= _FEW or self._misfits >= _MISFITS:
            yield self._by_itself(lines.some(np.arange(lines.count)))
            return
        plain = lines.plain()
        if not self._is_known:
            self._learn(lines, plain)
        if self._kinds.schema is None:
            yield self._by_itself(lines.some(np.arange(lines.count)))
            return
        fast, slow = self._fast(lines, plain, self._kinds.schema)
        if slow.sum() < lines.count:
            yield fast
        if slow.any():
            yield self._by_itself(lines.some(np.flatnonzero(slow)))

    def _fast(self, lines: _Lines, plain: Mask, schema: pa.Schema) -> tuple[Records, Mask]:
        """Return the records of a block, and which of them have to be read by themselves."""
        if any(pa.types.is_decimal(kind) for kind in self._kinds.types.values()):
            plain = plain & ~lines.long_numbers()
        data, ends = lines.data, lines.ends
        if not plain.all():
            data, ends = lines.without(~plain)
        parsed = parse_lines(data, ends, schema)
        if parsed.is_misfit:
            # Several objects on a line give more rows than lines; the other lines may still be plain.
            several = mask_of(pc.match_substring_regex(lines.raw, _SEVERAL)) & plain
            if several.any():
                return self._fast(lines, plain & ~several, schema)
        slow = ~plain
        slow[parsed.refused] = True
        self._misfits = self._misfits + 1 if parsed.is_misfit else 0
        self._is_known = not parsed.is_misfit and len(parsed.refused) < lines.count // 8
        columns = {names: leaf(parsed.rows, names) for names in self._plan.paths}
        for values in columns.values():
            if pa.types.is_floating(values.type):  # beyond the type, whatever the digits were
                slow |= mask_of(pc.invert(pc.is_finite(values)))
        if b"-0" in lines.data:  # as a whole number it can't be told from 0
            for names in self._plan.exact:
                if pa.types.is_integer(columns[names].type):
                    slow |= mask_of(pc.equal(columns[names], 0))
        return (
            Records(
                line=pa.array(lines.numbers),
                raw=lines.raw,
                length=pa.array(lines.lengths),
                columns=columns,
                body=lines.trimmed(),
                skipped=slow if slow.any() else None,
            ),
            slow,
        )

    def _learn(self, lines: _Lines, plain: Mask) -> None:
        sample = np.flatnonzero(plain)
        step = max(1, len(sample) // _SAMPLE)
        texts = lines.some(sample[::step][:_SAMPLE])
        self._kinds.learn([read_line(raw.decode(), self._plan).kinds for _, raw in texts])
        self._is_known = self._kinds.schema is not None

    # -- lines one by one ---------------------------------------------------------------------------

    def _by_itself(self, lines: Sequence[tuple[int, bytes]]) -> Records:
        """Return the records of lines, given by number and bytes."""
        fields: list[Fields] = []
        raws: list[bytes] = []
        for _, raw in lines:
            fields.append(self._decide(raw))
            is_long = len(raw) > MAX_LINE_BYTES
            raws.append(raw[:MAX_RAW_BYTES] if is_long else raw)
        numbers = [number for number, _ in lines]
        return self._records(numbers, raws, [len(raw) for _, raw in lines], fields)

    def _decide(self, raw: bytes) -> Fields:
        if len(raw) > MAX_LINE_BYTES:
            return self._too_long(len(raw), hashlib.sha256(raw).hexdigest())
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return Fields(reason="not_utf8", detail="expected UTF-8")
        fields = read_line(text, self._plan, self._treat)
        if self._treat is None and fields.reason in (None, "bad_value"):
            fields.body = text.strip(" \t\r")
        return fields

    def _too_long(self, length: int, digest: str) -> Fields:
        detail = f"expected at most {MAX_LINE_BYTES} bytes, got {length}"
        if self._treat is None:
            detail += f"; sha256 {digest}"
        return Fields(reason="too_long", detail=detail)

    def _long(self, line: LongLine) -> Records:
        fields = self._too_long(line.length, line.digest)
        return self._records([line.number], [line.head], [line.length], [fields])

    def _records(
        self,
        numbers: Sequence[int],
        raws: Sequence[bytes],
        lengths: Sequence[int],
        fields: Sequence[Fields],
    ) -> Records:
        def column(names: Names) -> pa.Array:
            return pa.array([line.texts.get(names) for line in fields], pa.string())

        return Records(
            line=pa.array(numbers, pa.int64()),
            raw=pa.array(raws, pa.binary()),
            length=pa.array(lengths, pa.int64()),
            columns={names: column(names) for names in self._plan.paths},
            body=pa.array([line.body for line in fields], pa.string()),
            reason=pa.array([line.reason for line in fields], pa.string()),
            detail=pa.array([line.detail for line in fields], pa.string()),
        )


class _Lines:
    """The lines of a block, and where they are in it."""

    def __init__(self, block: Block) -> None:
        data, feeds = block.data, block.feeds
        self.data = data
        self._bytes = np.frombuffer(data, np.uint8)
        self.count = len(feeds)
        self.ends: Ints = feeds + 1
        self._starts: Ints = np.concatenate([[0], self.ends[:-1]])
        self._stops: Ints = feeds
        self.lengths: Ints = feeds - self._starts
        self.numbers: Ints = np.arange(block.first, block.first + self.count)
        self._plain_ends: Ints | None = None
        self.raw = block.raw

    def some(self, places: Ints) -> list[tuple[int, bytes]]:
        """Return lines by their places: number and bytes."""
        spans = zip(
            self.numbers[places].tolist(),
            self._starts[places].tolist(),
            self._stops[places].tolist(),
            strict=True,
        )
        return [(number, self.data[start:stop]) for number, start, stop in spans]

    def plain(self) -> Mask:
        """Return which lines Arrow's reader may be given."""
        stops = self._stops.copy()
        for _ in range(_MOST_SPACE):
            space = _SPACE[self._bytes[stops - 1]] & (stops > self._starts)
            if not space.any():
                break
            stops -= space
        self._plain_ends = stops
        plain: Mask = (
            (self.lengths >= 2)
            & (self.lengths <= MAX_LINE_BYTES)
            & (self._bytes[self._starts] == ord("{"))
            & (self._bytes[stops - 1] == ord("}"))
        )
        for trap in _TRAPS:
            if self._may_have(trap):
                plain &= ~mask_of(pc.match_substring(self.raw, trap))
        try:
            self.raw = self.raw.cast(pa.string())
        except pa.ArrowInvalid:
            valid = [is_utf8(raw) for raw in self.raw.to_pylist()]
            plain &= np.array(valid, np.bool_)
            safe = pc.if_else(pa.array(plain), self.raw, pa.scalar(b"", pa.binary()))
            self.raw = safe.cast(pa.string())
        return plain

    def _may_have(self, trap: bytes) -> bool:
        """Return whether three bytes may be somewhere in the lines; to search for them costs more."""
        if trap[:1] not in self.data:
            return False
        if len(trap) == 1:
            return True
        return bool(((self._bytes[:-2] == trap[0]) & (self._bytes[2:] == trap[2])).any())

    def long_numbers(self) -> Mask:
        """Return which lines may have a number with so many digits that it overflows a decimal."""
        # Of so many digits in a row four stand at places that are multiples of seven, and all between them are
        # digits too.
        digits = (self._bytes[::7] >= ord("0")) & (self._bytes[::7] <= ord("9"))
        four = np.flatnonzero(digits[:-3] & digits[1:-2] & digits[2:-1] & digits[3:]) * 7
        between = self._bytes[four[:, None] + np.arange(1, 21)]
        if not ((between >= ord("0")) & (between <= ord("9"))).all(axis=1).any():
            return np.zeros(self.count, np.bool_)
        return mask_of(pc.match_substring_regex(self.raw, _LONG_NUMBER))

    def without(self, which: Mask) -> tuple[bytes, Ints]:
        """Return the lines with an empty object in place of some, and where each ends."""
        view = memoryview(self.data)
        pieces: list[memoryview | bytes] = []
        at = 0
        for place in np.flatnonzero(which).tolist():
            pieces += [view[at : self._starts[place]], b"{}\n"]
            at = int(self.ends[place])
        pieces.append(view[at:])
        sizes = np.where(which, 3, self.ends - self._starts)
        return b"".join(pieces), np.cumsum(sizes)

    def trimmed(self) -> pa.Array:
        """Return the lines without white space at their ends."""
        if self._plain_ends is None or (self._plain_ends == self._stops).all():
            return self.raw
        return pc.utf8_rtrim(self.raw, characters=" \t\r")
