"""The records of a JSON file that is not one object a line, as blocks of lines: a record a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from tidegate.common.unreadable import UnreadableError
from tidegate.landing.json_frames import Frames, not_json
from tidegate.landing.json_scan import Brackets, Ints, Mask, Scanner
from tidegate.landing.limits import MAX_LINE_BYTES
from tidegate.landing.split import Block, LongLine, LongText

WINDOW = 1024 * 1024
"""Bytes that are searched at once."""
_SMALL = 4096
"""Bytes that are searched at once behind a fault: many faults must not cost a window each."""
_BREAK = re.compile(rb"\n[ \t\r\n]*")
_TOKEN = re.compile(rb'(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^",\n])++', re.DOTALL)
"""What stands between records: text up to a comma or a line feed that is not within a string."""
_CLEAN = np.zeros(256, np.bool_)
_CLEAN[list(b" \t\r\n,")] = True


def split_records(chunks: Iterable[bytes], frames: Frames) -> Iterator[Block | LongLine]:
    """Yield the records of a file, in order, as `split` yields lines; their numbers are 1, 2, 3, ….

    A line feed within a record, and the white space behind it, becomes one space. What is between records and is
    neither white space nor a comma is a record too, so that nothing is lost.

    Args:
        chunks: the content of the file.
        frames: which parts of it are records.

    Raises:
        UnreadableError: it ends within a value.
    """
    records = _Records(frames)
    for chunk in chunks:
        for at in range(0, len(chunk), WINDOW):
            yield from records.take(chunk[at : at + WINDOW])
    yield from records.end()


class _Records:
    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._scanner = Scanner()
        self._number = 1
        self._line = 1
        self._open = _Open()
        self._done: list[bytes | LongText] = []

    def take(self, text: bytes) -> Iterator[Block | LongLine]:
        """Yield the records that end in the next piece of the file."""
        at, size = 0, len(text)
        while at < len(text):
            piece = text[at : at + size]
            used = self._piece(piece)
            size = _SMALL if used < len(piece) else size * 2
            self._line += piece.count(b"\n", 0, used)
            at += used
        yield from self._blocks()

    def end(self) -> Iterator[Block | LongLine]:
        """Yield what is left at the end of the file."""
        if self._scanner.depth:
            kind = "record" if self._open.is_record else "array or object"
            line = self._open.line if self._open.is_record else self._line
            place = (
                f"record {self._number}" if self._open.is_record else "what is around the records"
            )
            raise UnreadableError(
                f"the file is cut short: it ends before its {kind} is closed",
                expected="a file that can be read to its end",
                got=f"its end within {place}",
                todo="upload the file again, whole",
                line=line,
            )
        self._close(b"")
        yield from self._blocks()

    # -- a piece ------------------------------------------------------------------------------------

    def _piece(self, piece: bytes) -> int:
        """Take a piece up to its first fault; return how much of it was taken."""
        depth = self._scanner.depth
        found = self._scanner.read(piece)
        marks = self._frames.read(found, piece, self._line)
        if marks.count < len(found):
            found = found.until(marks.count)
            self._scanner.return_to(found, depth)
        which = np.flatnonzero(marks.is_start | marks.is_end | marks.is_frame)
        self._parts(
            piece, found, which, marks.is_start[which], marks.is_end[which], marks.is_counted[which]
        )
        if found.stop == len(piece):
            return found.stop
        if not self._open.is_counted and not self._open.is_record:
            raise not_json(self._line + piece.count(b"\n", 0, found.stop))
        if self._open.is_record:
            self._scanner.depth = self._frames.base
        self._close(b"")
        self._open = _Open()
        if found.is_broken_string:
            return found.stop  # the line feed is white space of what follows
        self._done.append(piece[found.stop : found.stop + 1])
        return found.stop + 1

    def _parts(
        self,
        piece: bytes,
        found: Brackets,
        which: Ints,
        is_start: Mask,
        is_end: Mask,
        is_counted: Mask,
    ) -> None:
        """Take the records of a piece and what is between them; the last part stays open."""
        places = found.places[which]
        begins = places + ~is_start  # a record has its brackets, what is between has none
        ends = places + is_end
        if not len(places):
            self._hold(piece[: found.stop])
            return
        self._close(piece[: ends[0]])
        begins_whole, ends_whole, is_record = begins[:-1], ends[1:], is_start[:-1]
        texts = is_counted[:-1] & ~is_record
        special = _dirty(piece, begins_whole, ends_whole, texts)
        special |= is_record & (ends_whole - begins_whole > MAX_LINE_BYTES)
        if not special.any():
            spans = zip(
                begins_whole[is_record].tolist(), ends_whole[is_record].tolist(), strict=True
            )
            self._done += [piece[begin:end] for begin, end in spans]
        else:
            wanted = np.flatnonzero(is_record | special).tolist()
            for at in wanted:
                self._open = _Open(is_record=bool(is_record[at]))
                self._close(piece[begins_whole[at] : ends_whole[at]])
        begin = int(begins[-1])
        line = self._line + piece.count(b"\n", 0, begin) if is_start[-1] else 0
        self._open = _Open(is_record=bool(is_start[-1]), is_counted=bool(is_counted[-1]), line=line)
        self._hold(piece[begin : found.stop])

    def _hold(self, text: bytes) -> None:
        """Keep a part that goes on in the next piece."""
        part = self._open
        if not part.is_record and not part.is_counted:
            return
        part.add(text)
        if part.is_record:
            return
        held = part.whole()
        last = None
        for token in _TOKEN.finditer(held):
            if token.end() == len(held):
                last = token[0]
            elif token[0].strip():
                self._done.append(token[0].strip())
        part.clear()
        part.add(last.lstrip() if last is not None else b"")
        if part.size > MAX_LINE_BYTES:
            raise UnreadableError(
                f"more than {MAX_LINE_BYTES} bytes are no array, no object and not separated by commas",
                expected="JSON objects",
                todo="upload the file again; set the format in the source file if it is another one",
                line=self._line,
            )

    def _close(self, text: bytes) -> None:
        """End the open part with a text."""
        part = self._open
        if part.is_record:
            part.add(text)
            self._done.append(part.long or part.whole())
        elif part.is_counted:
            part.add(text)
            tokens = (token.strip() for token in _TOKEN.findall(part.whole()))
            self._done += [token for token in tokens if token]
        part.clear()

    def _blocks(self) -> Iterator[Block | LongLine]:
        lines: list[bytes] = []
        for record in self._done:
            if isinstance(record, LongText):
                yield from self._block(lines)
                lines = []
                yield record.line(self._number)
                self._number += 1
            else:
                lines.append(_BREAK.sub(b" ", record) if b"\n" in record else record)
        yield from self._block(lines)
        self._done = []

    def _block(self, lines: list[bytes]) -> Iterator[Block]:
        if not lines:
            return
        feeds = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
        yield Block(self._number, b"\n".join([*lines, b""]), feeds)
        self._number += len(lines)


class _Open:
    """A part of the file that has begun: a record, or what is between records."""

    def __init__(self, *, is_record: bool = False, is_counted: bool = True, line: int = 0) -> None:
        self.is_record = is_record
        self.is_counted = is_counted
        self.line = line
        self.clear()

    def clear(self) -> None:
        self.size = 0
        self.long: LongText | None = None
        self._held: list[bytes] = []

    def add(self, text: bytes) -> None:
        self.size += len(text)
        if self.long is not None:
            self.long.add(text)
            return
        self._held.append(text)
        if self.is_record and self.size > MAX_LINE_BYTES:
            self.long = LongText()
            for held in self._held:
                self.long.add(held)
            self._held = []

    def whole(self) -> bytes:
        return b"".join(self._held)


def _dirty(piece: bytes, begins: Ints, ends: Ints, which: Mask) -> Mask:
    """Return which of some texts have more than white space and commas."""
    dirty = np.zeros(len(begins), np.bool_)
    places = np.flatnonzero(which & (ends > begins))
    if not len(places):
        return dirty
    lengths = (ends - begins)[places]
    offsets = np.cumsum(lengths) - lengths
    at = np.repeat(begins[places] - offsets, lengths) + np.arange(lengths.sum())
    is_clean = _CLEAN[np.frombuffer(piece, np.uint8)[at]]
    dirty[places] = ~np.logical_and.reduceat(is_clean, offsets)
    return dirty
