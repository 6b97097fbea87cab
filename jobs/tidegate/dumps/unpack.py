"""The bytes of a file as they were before it was compressed: whole, or not at all.

A file that ends early or has other bytes after its end is an error, never a shorter file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from tidegate.common.unreadable import UnreadableError

_PIECE = 256 * 1024
"""Bytes of a file that are read at once."""
_MOST = 4 * 1024 * 1024
"""Bytes that are unpacked at once."""
MAX_RATIO = 1_000
"""How many times its size a file may unpack to. Text is far below; above it are files made to fill memory."""
MAX_BYTES = 100 * 10**9
"""Bytes that a packed file may unpack to. An hour's file is far below; more would run for hours."""
_FREE = 16 * 1024 * 1024
"""Bytes that any file may unpack to."""
SNAPPY_HEAD = b"\xff\x06\x00\x00sNaPpY"
"""What framed Snappy begins with."""
_FRAME_HEAD = 4
_FIRST_SKIPPED, _HEAD_TYPE = 0x80, 0xFF
_AGAIN = "upload the file again, whole"


def unpacked(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the content of a file piece by piece.

    Args:
        stream: the file as it is stored.
        name: of the file: what ends in `.gz` is gzip, in `.zst` or `.zstd` Zstandard, in `.sz` or `.snappy`
            framed Snappy, anything else plain.

    Raises:
        UnreadableError: it can't be unpacked to its end, or unpacks to too much.
    """
    lower = name.lower()
    if lower.endswith(".gz"):
        yield from _gunzipped(stream)
    elif lower.endswith((".zst", ".zstd")):
        yield from _zstandard(stream)
    elif lower.endswith((".sz", ".snappy")):
        yield from _snappy(stream)
    else:
        while piece := stream.read(_PIECE):
            yield piece


def _gunzipped(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold; zeros may follow the last one."""
    unzip = zlib.decompressobj(wbits=31)
    read = written = 0
    is_between = False  # whether a member has ended and no other has begun
    while piece := stream.read(_PIECE):
        read += len(piece)
        while piece:
            if is_between:
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                unzip, is_between = zlib.decompressobj(wbits=31), False
            try:
                out = unzip.decompress(piece, _MOST)
            except zlib.error as error:
                raise _damaged("gzip", written, str(error)) from error
            written += len(out)
            _check_size(read, written)
            if out:
                yield out
            is_between = unzip.eof
            piece = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    # What the last call kept back.
    while not is_between and (out := unzip.decompress(b"", _MOST)):
        written += len(out)
        _check_size(read, written)
        yield out
        is_between = unzip.eof
    if not is_between:
        raise UnreadableError(
            "the gzip file is cut short",
            expected="a file that can be read to its end",
            got=f"its end after {read:,} bytes, within a member" if read else "no byte at all",
            todo=_AGAIN,
        )


def _zstandard(stream: BinaryIO) -> Iterator[bytes]:
    import pyarrow as pa  # what only lists dumps needs none of it

    counted = _Counted(stream)
    written = 0
    try:
        with pa.CompressedInputStream(pa.PythonFile(counted, "r"), "zstd") as unpack:
            # Where `read` fails it never frees the memory that it took for the piece.
            while piece := unpack.read_buffer(_MOST).to_pybytes():
                written += len(piece)
                _check_size(counted.count, written)
                yield piece
    except (OSError, pa.ArrowException) as error:
        raise _damaged("Zstandard", written, str(error).split(". Detail")[0]) from error
    if not counted.count:
        raise UnreadableError(
            "the Zstandard file is cut short",
            expected="a file that can be read to its end",
            got="no byte at all",
            todo=_AGAIN,
        )


def _snappy(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what the frames of a Snappy file hold, each at most 64 KiB; their checksums are checked."""
    import cramjam  # what only lists dumps needs none of it

    counted = _Counted(stream)
    written = 0
    head = counted.whole(len(SNAPPY_HEAD))
    if head != SNAPPY_HEAD:
        raise UnreadableError(
            "the file is no framed Snappy",
            expected="the frame format of Snappy (bytes ff 06 00 00 73 4e at its beginning)",
            got=f"bytes {head[:6].hex(' ')}" if head else "no byte at all",
            todo="write it so, or with gzip or Zstandard: raw Snappy and Hadoop's can't be read",
        )
    while start := counted.whole(_FRAME_HEAD):
        size = int.from_bytes(start[1:], "little")
        frame = counted.whole(size)
        if len(start) < _FRAME_HEAD or len(frame) < size:
            raise _damaged("Snappy", written, "its end within a frame")
        if _FIRST_SKIPPED <= start[0] < _HEAD_TYPE:
            continue  # padding, or what only its writer knows
        try:
            out = bytes(cramjam.snappy.decompress(SNAPPY_HEAD + start + frame))
        except cramjam.DecompressionError as error:
            raise _damaged("Snappy", written, str(error)) from error
        written += len(out)
        _check_size(counted.count, written)
        if out:
            yield out


class _Counted:
    """A stream that counts what is read of it."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        return piece

    def whole(self, size: int) -> bytes:
        """Return so many bytes, or what is left."""
        pieces: list[bytes] = []
        while size and (piece := self.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Leave the stream open: whoever opened it closes it."""


def _damaged(kind: str, written: int, cause: str) -> UnreadableError:
    return UnreadableError(
        f"the {kind} file is damaged or cut short",
        expected="a file that can be read to its end",
        got=f"after {written:,} unpacked bytes: {cause}",
        todo=_AGAIN,
    )


def _check_size(read: int, written: int) -> None:
    if written > MAX_BYTES:
        raise UnreadableError(
            "the file unpacks to too much",
            expected=f"at most {MAX_BYTES:,} bytes",
            got=f"more from its first {read:,} bytes",
            todo="write the hour in several files, or land it unpacked",
        )
    if written > _FREE and written > MAX_RATIO * read:
        raise UnreadableError(
            "the file unpacks to far more than its size",
            expected=f"at most {MAX_RATIO:,} times its size",
            got=f"{written:,} bytes from {read:,}",
            todo="look at how the file was made; land it unpacked if it is right",
        )
