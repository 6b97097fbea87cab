"""Layouts of JSON files beside one object a line: arrays, objects without line feeds, lists within objects."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.chance import Chance
from fuzz.chances import weighted
from fuzz.json_text import quoted, tree, written

LINES = "lines"
SHAPES = ("array lines", "array line", "array pretty", "objects", "objects pretty")
"""What a file may be without an option."""
ARRAYS = ("array lines", "array line", "array pretty", "records")


def random_shape(chance: Chance, records: Sequence[str]) -> str:
    """Return the layout of a file.

    Args:
        chance: that decides.
        records: the path of the list that holds the records; empty where the source names none.
    """
    if records:
        return "records"
    return weighted(chance, [(6, LINES), (4, chance.choice(SHAPES))])


def joined(chance: Chance, shape: str, texts: Sequence[bytes], path: Sequence[str]) -> bytes:
    """Return a file of some objects.

    Args:
        chance: that decides.
        shape: how they are laid out.
        texts: the JSON of each.
        path: of the list that holds them, for `records`.
    """
    if shape == "array lines":
        between = chance.choice((b",\n", b"\n,", b",\r\n"))
        return b"[\n" + between.join(texts) + b"\n]" + chance.choice((b"", b"\n"))
    if shape in ("array line", "array pretty"):
        between = chance.choice((b",", b" , ")) if shape == "array line" else b",\n  "
        return b"[" + between.join(texts) + b"]" + chance.choice((b"", b"\n", b" \n"))
    if shape == "records":
        return _within(chance, texts, path)
    between = chance.choice((b"", b"", b" ")) if shape == "objects" else b"\n"
    return between.join(texts) + (chance.choice((b"", b"\n")) if texts else b"")


def _within(chance: Chance, texts: Sequence[bytes], path: Sequence[str]) -> bytes:
    """Return objects that hold lists of objects."""
    out = b""
    at = 0
    while at < len(texts) or not out:
        count = max(1, chance.below(len(texts) + 1))
        inner = b"[" + b",".join(texts[at : at + count]) + b"]"
        for name in reversed(path):
            others = [
                f"{quoted(key)}:{written(tree(chance, 1))}".encode() for key in ("before", "behind")
            ]
            members = [
                *others[: chance.below(2)],
                quoted(name).encode() + b":" + inner,
                *others[1 : 1 + chance.below(2)],
            ]
            inner = b"{" + b",".join(members) + b"}"
        out += inner + chance.choice((b"\n", b"\n", b""))
        at += count
    return out
