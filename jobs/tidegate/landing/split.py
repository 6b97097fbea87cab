"""Bytes to lines: blocks of whole lines, in bounded memory however long a line is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES

BLOCK_BYTES = 4 * 1024 * 1024
"""About how many bytes of lines are read together."""

_FEED = ord("\n")
_MARK = b"\xef\xbb\xbf"
_MARKS = (b"\xef", b"\xef\xbb")


@dataclass(frozen=True)
class Block:
    """Whole lines, one after the other.

    Attributes:
        first: number of the first line, from 1.
        data: the lines, each with a line feed at its end; the last line of a file gets one if it has none.
        feeds: where the line feeds are in it.
    """

    first: int
    data: bytes
    feeds: npt.NDArray[np.int64]

    @cached_property
    def raw(self) -> pa.Array:
        """The lines without their line feeds, as binary."""
        count = len(self.feeds)
        offsets = np.zeros(count + 1, np.int32)
        offsets[1:] = self.feeds - np.arange(count)
        text = self.data.replace(b"\n", b"")
        return pa.Array.from_buffers(
            pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(text)]
        )


@dataclass(frozen=True)
class LongLine:
    """A line that is too long for memory.

    Attributes:
        number: of the line, from 1.
        head: its first `MAX_RAW_BYTES`.
        length: of all of it, in bytes.
        digest: SHA-256 of all of it, as hex digits.
    """

    number: int
    head: bytes
    length: int
    digest: str


def split(chunks: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[Block | LongLine]:
    """Yield all lines of a file, in order. Lines end at a line feed only.

    Byte order marks at the start of the file are no part of its first line.

    Args:
        chunks: the content of the file.
        size: about how many bytes a block has.
    """
    splitter = _Splitter(size)
    for chunk in without_marks(chunks):
        yield from splitter.take(chunk)
    yield from splitter.end()


class _Splitter:
    def __init__(self, size: int) -> None:
        self._size = size
        self._number = 1
        self._pieces: list[bytes] = []
        self._held = 0
        self._tail = 0  # bytes held since the last line feed
        self._long: LongText | None = None

    def take(self, chunk: bytes) -> Iterator[Block | LongLine]:
        if self._long is not None:
            end = chunk.find(b"\n")
            self._long.add(chunk if end < 0 else chunk[:end])
            if end < 0:
                return
            yield self._long.line(self._number)
            self._number += 1
            self._long = None
            chunk = chunk[end + 1 :]
        last = chunk.rfind(b"\n")
        self._tail = self._tail + len(chunk) if last < 0 else len(chunk) - last - 1
        self._pieces.append(chunk)
        self._held += len(chunk)
        if self._held >= self._size or self._tail > MAX_LINE_BYTES:
            yield from self._flush()

    def _flush(self) -> Iterator[Block]:
        """Yield the whole lines; what is left begins a line that may be a long one."""
        pieces, last = self._pieces[:-1], self._pieces[-1]
        if len(last) < self._tail:  # the line that is left began in an earlier piece
            pieces, last = [], b"".join(self._pieces)
        view = memoryview(last)
        end = len(last) - self._tail
        data, rest = b"".join([*pieces, view[:end]]), bytes(view[end:])
        if data:
            yield self._block(data)
        if len(rest) > MAX_LINE_BYTES:
            self._long = LongText()
            self._long.add(rest)
            rest = b""
        self._pieces = [rest] if rest else []
        self._held = self._tail = len(rest)

    def end(self) -> Iterator[Block | LongLine]:
        if self._long is not None:
            yield self._long.line(self._number)
        elif self._held:
            ending = b"\n" if self._tail else b""
            yield self._block(b"".join([*self._pieces, ending]))

    def _block(self, data: bytes) -> Block:
        feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == _FEED)
        block = Block(self._number, data, feeds)
        self._number += len(feeds)
        return block


class LongText:
    """Takes the pieces of a text that is too long, and keeps what `LongLine` has of it."""

    def __init__(self) -> None:
        self._head = b""
        self._length = 0
        self._digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if len(self._head) < MAX_RAW_BYTES:
            self._head += piece[: MAX_RAW_BYTES - len(self._head)]
        self._length += len(piece)
        self._digest.update(piece)

    def line(self, number: int) -> LongLine:
        """Return what is known of the text, as the line of a number."""
        return LongLine(number, self._head, self._length, self._digest.hexdigest())


def without_marks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks without byte order marks at the start."""
    start: bytes | None = b""
    for chunk in chunks:
        if start is None:
            yield chunk
            continue
        start += chunk
        while start.startswith(_MARK):
            start = start[len(_MARK) :]
        if start and start not in _MARKS:
            yield start
            start = None
    if start:
        yield start
