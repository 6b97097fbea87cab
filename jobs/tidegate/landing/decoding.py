"""From the bytes of a text file to UTF-8, chunk by chunk; what is no character stays invalid.

Rows are separated in UTF-8 whatever the file is written in. Bytes that are no character become bytes that
are not UTF-8, so that only the record they stand in is quarantined.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain

from tidegate.common.unreadable import UnreadableError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32le"),
    (codecs.BOM_UTF32_BE, "utf-32be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
_LONGEST_MARK = 4


def utf8_chunks(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text of a file as UTF-8, without its byte order mark.

    Args:
        chunks: the file's bytes.
        encoding: what the file is written in if it has no byte order mark: a value of
            `tidegate.config.source.format.ENCODINGS`. A mark decides.

    Raises:
        UnreadableError: the file ends within a character, or is UTF-16 of an unknown byte order.
    """
    chunks = iter(chunks)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _LONGEST_MARK:
            break
    # After the mark of UTF-16 a NUL may follow; both together are the mark of UTF-32.
    marks = _MARKS[1:] if encoding.startswith("utf-16") else _MARKS
    mark, actual = next((pair for pair in marks if head.startswith(pair[0])), (b"", encoding))
    head = head[len(mark) :]
    if actual == "utf-16":
        actual = _byte_order(head) if head else "utf-8"
    rest = chain([head], chunks)
    if actual == "utf-8":
        yield from (chunk for chunk in rest if chunk)
    else:
        yield from _transcoded(rest, actual)


def _byte_order(head: bytes) -> str:
    """Return the UTF-16 of a file without a mark, by its first character: text begins in ASCII."""
    if len(head) > 1 and head[0] == 0 and head[1] != 0:
        return "utf-16be"
    if len(head) > 1 and head[1] == 0 and head[0] != 0:
        return "utf-16le"
    raise UnreadableError(
        "the byte order of the file is unknown",
        expected="UTF-16 with a byte order mark, or with an ASCII character first",
        got=f"the bytes {head[:2].hex(' ')}",
        todo="write encoding: utf-16le or utf-16be in the source's format",
    )


def _transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    # Both handlers keep what is no character, so that it is invalid in UTF-8 too: a byte without a
    # meaning as itself, half of a surrogate pair as three bytes.
    errors = "surrogatepass" if encoding.startswith("utf-") else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        for chunk in chunks:
            text = decoder.decode(chunk)
            if text:
                yield text.encode("utf-8", errors)
        text = decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        raise UnreadableError(
            "the file ends within a character, or is written in another encoding",
            expected=encoding.upper(),
            got=f"{error.reason} at its end",
            todo="upload the file again, or set 'encoding' in the source's format",
        ) from error
    if text:
        yield text.encode("utf-8", errors)


class Window:
    """A part of a stream of UTF-8, which moves on over it.

    Attributes:
        data: the bytes at hand.
        at: how many of them were read.
        line: the number of the physical line at that place, from 1.
        is_final: whether the stream ends with `data`.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self.data = b""
        self.at = 0
        self.line = 1
        self.is_final = False

    @property
    def remaining(self) -> int:
        """How many bytes at hand were not read yet."""
        return len(self.data) - self.at

    def fill(self, size: int) -> None:
        """Let at least `size` unread bytes be at hand, unless the stream ends before."""
        if self.is_final or self.remaining >= size:
            return
        parts = [self.data[self.at :]]
        count = len(parts[0])
        # Some more, so that small chunks don't make it copy what is at hand again and again.
        while count < size + size // 4:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.is_final = True
                break
            parts.append(chunk)
            count += len(chunk)
        self.data = b"".join(parts)
        self.at = 0

    def move(self, end: int) -> None:
        """Read on to a place in `data`."""
        self.line += self.data.count(b"\n", self.at, end)
        self.at = end

    def skip_line(self) -> None:
        """Read on to behind the next line feed, however far it is."""
        while True:
            self.fill(1 << 16)
            end = self.data.find(b"\n", self.at)
            if end >= 0:
                self.move(end + 1)
                return
            self.move(len(self.data))
            if self.is_final:
                return


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are text in UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
