"""Which parts of a JSON text are records: values one behind the other, elements of arrays, or of a list at a path."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tidegate.common.suggestions import hint
from tidegate.common.unreadable import UnreadableError
from tidegate.landing.json_scan import Brackets, Mask

_ARRAY, _OBJECT = ord("["), ord("{")
_CLOSING = {_ARRAY: ord("]"), _OBJECT: ord("}")}
_CONTEXT = 4096
"""Bytes before a bracket in which its name is looked for."""
_MAX_NAMES = 100
_NAME = rb'"((?:[^"\\]|\\.)*)"[ \t\r\n]*:'
_NAMES = re.compile(_NAME, re.DOTALL)
_NAME_BEFORE = re.compile(rb"[{,][ \t\r\n]*" + _NAME + rb"[ \t\r\n]*\Z", re.DOTALL)


@dataclass(frozen=True)
class Marks:
    """What the brackets of a piece of text are; each mask has a value a bracket.

    Attributes:
        count: how many brackets were taken. The next one, if there is one, closes what it does not fit.
        is_start: it begins a record.
        is_end: it ends a record.
        is_frame: it is around records and no part of one.
        is_counted: the text behind it, up to the next mark, may hold nothing but records.
    """

    count: int
    is_start: Mask
    is_end: Mask
    is_frame: Mask
    is_counted: Mask


class Frames(Protocol):
    """Knows which brackets of a file begin and end records."""

    @property
    def base(self) -> int:
        """How many brackets are open around a record that is open."""

    def read(self, found: Brackets, piece: bytes, line: int) -> Marks:
        """Return what the brackets of the next piece are; `line` is the piece's first line."""


class Values:
    """Objects one behind the other, and elements of arrays that are not within another value."""

    def __init__(self) -> None:
        self._is_array = False  # what is open on the outermost level

    @property
    def base(self) -> int:
        """Return how many brackets are open around a record that is open."""
        return int(self._is_array)

    def read(self, found: Brackets, piece: bytes, line: int) -> Marks:  # noqa: ARG002 # of all frames
        """Return what brackets are."""
        opens, depths = found.opens, found.depths
        is_top = opens & (depths == 1)
        kinds = np.concatenate([[self._is_array], found.bytes[is_top] == _ARRAY])
        in_array = kinds[np.cumsum(is_top)]
        is_frame = in_array & (is_top | (~opens & (depths == 0)))
        wrong = np.flatnonzero(is_frame & (found.bytes == _CLOSING[_OBJECT]))
        count = int(wrong[0]) if len(wrong) else len(found)
        if count:
            self._is_array = bool(in_array[count - 1])
        is_start = opens & (depths == in_array + 1)
        is_end = ~opens & (depths == in_array) & ~is_frame
        return Marks(
            count,
            is_start[:count],
            is_end[:count],
            is_frame[:count],
            np.ones(count, np.bool_),
        )


class ListAtPath:
    """Elements of the list that is at a path of each object of the file.

    Args:
        path: names on the way to it.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path
        self._open: list[tuple[int, bool]] = []  # the bracket, and whether it is on the path
        self._has_list = self._in_list = False
        self._names: list[dict[str, None]] = [{} for _ in path]
        self._before = b""

    @property
    def base(self) -> int:
        """Return how many brackets are open around a record that is open."""
        return len(self._path) + 1

    def read(self, found: Brackets, piece: bytes, line: int) -> Marks:
        """Return what brackets are.

        Raises:
            UnreadableError: an object has no list at the path, or is no JSON outside of it.
        """
        depths = found.depths
        is_frame = np.where(found.opens, depths <= self.base, depths < self.base)
        is_in_list = [self._in_list]
        is_counted = np.ones(len(found), np.bool_)
        count, behind = len(found), 0
        for at in np.flatnonzero(is_frame).tolist():
            place = int(found.places[at])
            self._note_names(piece[max(behind, place - _CONTEXT * 16) : place])
            behind = place + 1
            where = line + piece.count(b"\n", 0, place)
            if found.opens[at]:
                self._enter(int(found.bytes[at]), piece, place)
            elif not self._leave(int(found.bytes[at]), where):
                count = at
                break
            is_in_list.append(self._in_list)
            is_counted[at] = self._in_list or depths[at] == 0
        if not self._in_list:
            self._note_names(piece[max(behind, len(piece) - _CONTEXT * 16) :])
        self._before = (self._before + piece[-_CONTEXT:])[-_CONTEXT:]
        is_frame = is_frame[:count]
        inside = np.array(is_in_list, np.bool_)[np.cumsum(is_frame)]
        opens, depths = found.opens[:count], depths[:count]
        return Marks(
            count,
            inside & opens & (depths == self.base + 1),
            inside & ~opens & (depths == self.base),
            is_frame,
            is_counted[:count],
        )

    def _enter(self, bracket: int, piece: bytes, place: int) -> None:
        depth = len(self._open)
        if not depth:
            is_on = bracket == _OBJECT
        else:
            before = piece[max(0, place - _CONTEXT) : place]
            if len(before) < _CONTEXT:
                before = self._before + before
            kind = _ARRAY if depth == len(self._path) else _OBJECT
            is_on = (
                self._open[-1][1]
                and bracket == kind
                and _name_before(before) == self._path[depth - 1]
            )
        self._open.append((bracket, is_on))
        if is_on and len(self._open) == self.base:
            self._in_list = self._has_list = True

    def _leave(self, bracket: int, line: int) -> bool:
        """Close what is open; return False if the bracket does not fit a list of records."""
        opened, _ = self._open[-1]
        if bracket != _CLOSING[opened]:
            if self._in_list:
                return False
            raise not_json(line)
        self._open.pop()
        self._in_list = False
        if not self._open:
            if not self._has_list:
                raise self._no_list(line)
            self._has_list = False
            self._names = [{} for _ in self._path]
        return True

    def _note_names(self, text: bytes) -> None:
        """Remember names of members, for the message of an object without the list."""
        depth = len(self._open)
        if self._has_list or not 0 < depth <= len(self._path) or not self._open[-1][1]:
            return
        names = self._names[depth - 1]
        for name in _NAMES.finditer(text):
            if len(names) >= _MAX_NAMES:
                return
            names[_unescaped(name[1])] = None

    def _no_list(self, line: int) -> UnreadableError:
        path = ".".join(self._path)
        level = max((at for at, names in enumerate(self._names) if names), default=0)
        names, wanted = list(self._names[level]), self._path[level]
        if wanted in names:
            kind = "list" if level == len(self._path) - 1 else "object"
            got = f"'{'.'.join(self._path[: level + 1])}' is no {kind}"
        elif names:
            got = f"no member '{wanted}'; {hint(wanted, names)}"
        else:
            got = "an object without members, or no object"
        return UnreadableError(
            f"an object that ends here has no list of records at '{path}'",
            expected="a list, which may be empty",
            got=got,
            todo="set records in the source file to the path of the list",
            line=line,
        )


def not_json(line: int) -> UnreadableError:
    """Return the error of a file that is no JSON outside of its records."""
    return UnreadableError(
        "the text around the records is no JSON",
        expected="JSON",
        got="a bracket or a string that is not closed as it was opened",
        todo="upload the file again, whole",
        line=line,
    )


def _name_before(text: bytes) -> str | None:
    found = _NAME_BEFORE.search(text)
    return _unescaped(found[1]) if found is not None else None


def _unescaped(name: bytes) -> str:
    text = name.decode(errors="replace")
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
