"""The bytes of a file as they were before it was compressed: whole, or not at all.

A file that ends early or has other bytes after its end is an error, never a shorter file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from tidegate.landing.errors import UnreadableError

_PIECE = 256 * 1024
"""Bytes of a file that are read at once."""
_MOST = 4 * 1024 * 1024
"""Bytes that are unpacked at once."""
MAX_RATIO = 1_000
"""How many times its size a file may unpack to. Text is far below; above it are files made to fill memory."""
_FREE = 16 * 1024 * 1024
"""Bytes that any file may unpack to."""
_AGAIN = "upload the file again, whole"


def unpacked(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the content of a file piece by piece.

    Args:
        stream: the file as it is stored.
        name: of the file: what ends in `.gz` is gzip, in `.zst` or `.zstd` Zstandard, anything else plain.

    Raises:
        UnreadableError: it can't be unpacked to its end, or unpacks to too much.
    """
    lower = name.lower()
    if lower.endswith(".gz"):
        yield from _gunzipped(stream)
    elif lower.endswith((".zst", ".zstd")):
        yield from _zstandard(stream)
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
            _check_ratio(read, written)
            if out:
                yield out
            is_between = unzip.eof
            piece = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    # What the last call kept back.
    while not is_between and (out := unzip.decompress(b"", _MOST)):
        written += len(out)
        _check_ratio(read, written)
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
            while piece := unpack.read(_MOST):
                written += len(piece)
                _check_ratio(counted.count, written)
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


def _check_ratio(read: int, written: int) -> None:
    if written > _FREE and written > MAX_RATIO * read:
        raise UnreadableError(
            "the file unpacks to far more than its size",
            expected=f"at most {MAX_RATIO:,} times its size",
            got=f"{written:,} bytes from {read:,}",
            todo="look at how the file was made; land it unpacked if it is right",
        )
