"""Where the brackets of a JSON text are, and how deep: many at once, in text that comes in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_QUOTE, _BACKSLASH, _FEED = ord('"'), ord("\\"), ord("\n")
_CASE = 0x20
"""The bit by which `{` and `}` differ from `[` and `]`."""


@dataclass(frozen=True)
class Brackets:
    """The brackets of a piece of text that are outside of strings, in order.

    Attributes:
        places: where each is in the piece.
        bytes: each bracket itself.
        opens: whether it opens.
        depths: how many are open behind it.
        stop: up to where the piece was read: its length, or the place of a fault.
        is_broken_string: whether the fault is a line feed within a string. Else it is a bracket that
            closes nothing.
    """

    places: Ints
    bytes: npt.NDArray[np.uint8]
    opens: Mask
    depths: Ints
    stop: int
    is_broken_string: bool = False

    def __len__(self) -> int:
        return len(self.places)

    def until(self, count: int) -> Brackets:
        """Return the first brackets, with the next one as the fault."""
        if count == len(self):
            return self
        return Brackets(
            self.places[:count],
            self.bytes[:count],
            self.opens[:count],
            self.depths[:count],
            int(self.places[count]),
        )


class Scanner:
    """Finds brackets piece by piece.

    Attributes:
        depth: how many brackets are open.
        in_string: whether the text ends within a string.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self._is_escaped = False

    def read(self, piece: bytes) -> Brackets:
        """Return the brackets of the next piece, up to the first fault.

        Behind a fault the next piece is read as if no string were open.
        """
        text = np.frombuffer(piece, np.uint8)
        quotes, ends_escaped = self._quotes(text)
        folded = text | _CASE
        places = np.flatnonzero((folded == ord("{")) | (folded == ord("}")))
        places = places[~self._inside(quotes, places)]
        opens = folded[places] == ord("{")
        depths = self.depth + np.cumsum(np.where(opens, 1, -1))
        found = Brackets(places, text[places], opens, depths, len(piece))
        below = np.flatnonzero(depths < 0)
        if len(below):
            found = found.until(int(below[0]))
        feeds = np.flatnonzero(text[: found.stop] == _FEED)
        broken = np.flatnonzero(self._inside(quotes, feeds))
        if len(broken):
            stop = int(feeds[broken[0]])
            count = int(np.searchsorted(found.places, stop))
            found = Brackets(
                found.places[:count],
                found.bytes[:count],
                found.opens[:count],
                found.depths[:count],
                stop,
                is_broken_string=True,
            )
        if found.stop < len(piece):
            self.in_string = self._is_escaped = False
        else:
            self.in_string ^= len(quotes) % 2 == 1
            self._is_escaped = ends_escaped
        if len(found):
            self.depth = int(found.depths[-1])
        return found

    def return_to(self, found: Brackets, depth: int) -> None:
        """Go on behind a fault that the caller found in what was read.

        Args:
            found: what is left of the piece's brackets.
            depth: at the beginning of the piece.
        """
        self.depth = int(found.depths[-1]) if len(found) else depth
        self.in_string = self._is_escaped = False

    def _inside(self, quotes: Ints, places: Ints) -> Mask:
        """Return which places are within strings."""
        inside: Mask = (np.searchsorted(quotes, places) + self.in_string) % 2 == 1
        return inside

    def _quotes(self, text: npt.NDArray[np.uint8]) -> tuple[Ints, bool]:
        """Return where strings begin and end, and whether the next byte is escaped."""
        quotes = np.flatnonzero(text == _QUOTE)
        slashes = np.flatnonzero(text == _BACKSLASH)
        if self._is_escaped:
            slashes = np.concatenate([[-1], slashes])
        if not len(slashes):
            return quotes, False
        # Of backslashes one behind the other, every second one is escaped itself.
        ranks = np.arange(len(slashes))
        is_first = np.concatenate([[True], np.diff(slashes) > 1])
        first = np.maximum.accumulate(np.where(is_first, ranks, 0))
        escaping = slashes[(ranks - first) % 2 == 0]
        is_escaped = np.zeros(len(text) + 1, np.bool_)
        is_escaped[escaping + 1] = True
        return quotes[~is_escaped[quotes]], bool(is_escaped[-1])
