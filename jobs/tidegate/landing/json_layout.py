"""How the records of a JSON file lie in it, by its beginning: one a line, or in another layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tidegate.landing.json_frames import ListAtPath, Values
from tidegate.landing.json_records import WINDOW, split_records
from tidegate.landing.json_scan import Scanner
from tidegate.landing.limits import MAX_LINE_BYTES
from tidegate.landing.split import Block, LongLine, split, without_marks

HEAD_BYTES = 4 * MAX_LINE_BYTES
"""Bytes of a file's beginning by which its layout is known, if it has so few line feeds."""
_LINES = 3
_SPACE = b" \t\r\n"
_NAME_OR_END = b'"}'
_VALUE = b'"{[]-0123456789tfn'


def json_blocks(
    chunks: Iterable[bytes], path: tuple[str, ...] | None = None
) -> Iterator[Block | LongLine]:
    """Yield the records of a JSON file as lines, whatever its layout.

    Args:
        chunks: the content of the file.
        path: where the list of records is in each object of the file, or None where an object is a record.

    Raises:
        UnreadableError: it ends within a value, or an object has no list at the path.
    """
    pieces = without_marks(chunks)
    if path is not None:
        yield from split_records(_joined(pieces), ListAtPath(path))
        return
    head: list[bytes] = []
    size = feeds = 0
    enough = _LINES
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        feeds += piece.count(b"\n")
        if size > HEAD_BYTES:
            break
        if feeds >= enough:
            if _is_enough(b"".join(head)):
                break
            enough = 2 * feeds  # many blank lines must not be looked at again and again
    else:
        pieces = iter(())
    start = b"".join(head)
    if is_lines(start[:HEAD_BYTES]):
        yield from split(chain([start], pieces))
    else:
        yield from split_records(_joined(chain([start], pieces)), Values())


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks of some size: to search many small ones would cost more."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= WINDOW:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _is_enough(head: bytes) -> bool:
    """Return whether the first lines that are not blank are there whole."""
    return sum(1 for line in head.split(b"\n")[:-1] if line.strip(_SPACE)) >= _LINES


def is_lines(head: bytes) -> bool:
    """Return whether a file has one record a line, by its first lines that are not blank.

    Anything that may be a file of lines with a damaged first line is one. The rules are in README.md.

    Args:
        head: the beginning of the file, or all of it.
    """
    lines = [line.strip(_SPACE) for line in head.lstrip(_SPACE).split(b"\n", 64)]
    first, second, third = [*(line for line in lines if line), b"", b"", b""][:3]
    if first[:1] not in (b"[", b"{"):
        return True
    is_array = first.startswith(b"[")
    start = _look(first, is_all=not second)
    if _is_object(second) and (not is_array or not start.is_in_array or third.startswith(b"{")):
        # Each line that can stand alone does, unless the first one can be nothing but an array's beginning.
        return not (start.is_closed and start.objects > (0 if is_array else 1))
    if start.is_damaged:
        return start.objects < (1 if is_array else 2)
    if start.is_closed:
        if is_array:
            return not (start.objects or not second or second.startswith(b"["))
        return start.objects < 2
    if is_array:
        return start.depth == 1 and not start.is_in_array and second[:1] not in (b",", b"]", b"")
    if start.objects:
        return start.objects < 2
    last = first[-1:]
    expected = _NAME_OR_END if last in b"{," else _VALUE if last in b"[:" else b""
    return not second or second[:1] not in expected


@dataclass(frozen=True)
class _Start:
    """What a line has that begins a file.

    Attributes:
        objects: values of it that are whole.
        depth: brackets that are open at its end.
        is_damaged: whether it is not a part of JSON.
        is_in_array: whether it ends in an array where an element is next.
    """

    objects: int
    depth: int
    is_damaged: bool
    is_in_array: bool

    @property
    def is_closed(self) -> bool:
        """Whether nothing is open at its end."""
        return not self.is_damaged and self.depth == 0


def _look(line: bytes, *, is_all: bool = False) -> _Start:
    """Return what a line has; if it is all there is of the file, it may end within a string."""
    scanner = Scanner()
    found = scanner.read(line)
    marks = Values().read(found, line, 1)
    is_fault = found.stop < len(line) or marks.count < len(found)
    return _Start(
        int(np.count_nonzero(marks.is_end)),
        scanner.depth,
        is_fault or (scanner.in_string and not is_all),
        scanner.depth == 1 and line.startswith(b"[") and line[-1:] in (b"[", b","),
    )


def _is_object(line: bytes) -> bool:
    """Return whether a line is one object and nothing else, as far as its brackets show."""
    if not line.startswith(b"{") or not line.endswith(b"}"):
        return False
    start = _look(line)
    return start.is_closed and start.objects == 1
