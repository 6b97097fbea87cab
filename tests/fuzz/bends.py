"""Files that something happened to: cut, flipped, mixed up, packed in another way than their names say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from corpus.chance import Chance
from fuzz.chances import between, weighted
from fuzz.delimited import Table
from fuzz.files import Draft
from fuzz.json_shapes import ARRAYS, LINES
from fuzz.model import Expected
from fuzz.packing import Packed, bomb, packed
from fuzz.parquet import Sheet

Placed = tuple[int, Expected]
"""A line and what has to become of the record that begins there."""


@dataclass(frozen=True)
class Demand:
    """What the kernel has to make of a file.

    Attributes:
        rows: records that have to come out, with their lines.
        behind: records that have to come out behind a part that is bent, with lines that may be moved.
        is_whole: whether no other row may come out.
        may_fail: whether the file may be unreadable.
        must_fail: whether it has to be.
        is_free: whether only the form of rows counts.
        lines: how many records there are, where that is known.
    """

    rows: Sequence[Placed] = ()
    behind: Sequence[Placed] = ()
    is_whole: bool = True
    may_fail: bool = False
    must_fail: bool = False
    is_free: bool = False
    lines: int | None = None


UNREADABLE = Demand(must_fail=True)
FREE = Demand(is_free=True, may_fail=True)


@dataclass(frozen=True)
class Made:
    """A file.

    Attributes:
        data: its bytes.
        name: of it.
        bend: what happened to it; empty for nothing.
        demand: what has to become of it.
    """

    data: bytes
    name: str
    bend: str
    demand: Demand = field(repr=False)


def made(draft: Draft) -> Made:
    """Return the file of a draft: bent or not, and packed."""
    chance = draft.chance("bend")
    is_bent = chance.happens(0.35)
    name = f"2024-03-01-12-{draft.number}"
    if isinstance(draft.layout, Sheet):
        data = draft.layout.file(draft.records)
        if is_bent:
            return _bent_parquet(chance, data, f"{name}.parquet")
        return Made(data, f"{name}.parquet", "", _exact(draft))
    suffix = {"json": ".json", "csv": ".csv"}.get(draft.kind, ".log")
    content, places = draft.content()
    if not is_bent:
        file = packed(chance, content)
        return Made(file.data, f"{name}{suffix}{file.suffix}", "", _exact(draft))
    if draft.shape != LINES and chance.happens(0.6):
        bend, content, demand = _bent_shape(chance, draft, content)
        file = packed(chance, content)
        return Made(file.data, f"{name}{suffix}{file.suffix}", bend, demand)
    if draft.shape == LINES and chance.happens(0.6) and draft.codec == "utf-8":
        bend, content, demand = _bent_text(chance, draft, content, places)
        file = packed(chance, content)
        return Made(file.data, f"{name}{suffix}{file.suffix}", bend, demand)
    return _bent_file(chance, draft, packed(chance, content), f"{name}{suffix}")


def _exact(draft: Draft) -> Demand:
    return Demand(draft.expected())


# -- text ---------------------------------------------------------------------------------------------


def _bent_text(
    chance: Chance, draft: Draft, content: bytes, places: list[int]
) -> tuple[str, bytes, Demand]:
    """Return text of which some records in a row are bent, and the others are as they were."""
    least = 1 if draft.kind == "csv" else 0  # by the first record columns may be counted
    if len(draft.records) <= least:
        return "", content, _exact(draft)
    first = between(chance, least, len(draft.records) - 1)
    last = min(len(draft.records) - 1, first + weighted(chance, [(6, 0), (2, 1), (1, 5)]))
    start, stop = places[first], places[last + 1]
    name, change = chance.choice(_CHANGES)
    if name == "quote":
        opened = _open_quote(draft)
        if opened is None:
            return "", content, _exact(draft)
        ending = b"" if content.endswith(b"\n") else b"\n"
        return name, content + ending + opened, UNREADABLE
    new = change(chance, content[start:stop])
    behind = last + 1
    if name == "cut":
        content, behind = content[:start] + new, len(draft.records)
    else:
        # Without a line end the bent part runs into the next record.
        if new and not new.endswith(b"\n"):
            behind += 1
        content = content[:start] + new + content[stop:]
    return name, content, _demand(draft, content, first, behind)


def _bent_shape(chance: Chance, draft: Draft, content: bytes) -> tuple[str, bytes, Demand]:
    """Return a bent file of JSON that is no file of lines."""
    bare = len(content.rstrip()) - 1
    if chance.happens(0.5) and bare > 4:
        cut = content[: between(chance, 4, bare)]
        # Between two objects it is a whole file of fewer, and within the first one a file of a damaged line.
        is_array = draft.shape in ARRAYS and draft.shape != "records"
        return "cut", cut, UNREADABLE if is_array else FREE
    name, change = chance.choice(_CHANGES[:-1])
    return name, change(chance, content) if content else content, FREE


def _demand(draft: Draft, content: bytes, first: int, behind: int) -> Demand:
    """Return what has to become of a file whose records from `first` on, up to `behind`, are bent."""
    before = draft.only(draft.records[:first]).expected()
    if not draft.by_line:
        return Demand(before, is_whole=False, may_fail=True)
    skipped = sum(record.lines for record in draft.records[:behind])
    after = [
        (line + skipped, expected)
        for line, expected in draft.only(draft.records[behind:]).expected()
    ]
    lines = content.count(b"\n") + (not content.endswith(b"\n")) if draft.kind == "json" else None
    return Demand(before, after, is_whole=False, lines=lines if content else 0)


def _open_quote(draft: Draft) -> bytes | None:
    """Return a record whose quote is not closed."""
    layout = draft.layout
    if not isinstance(layout, Table) or layout.dialect.quote is None:
        return None
    return f"{layout.dialect.quote}abc".encode() + b"\n" * 3


def _flip(chance: Chance, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(between(chance, 1, 3)):
        out[chance.below(len(out))] ^= 1 << chance.below(8)
    return bytes(out)


def _drop(chance: Chance, data: bytes) -> bytes:
    start, stop = sorted((chance.below(len(data)), chance.below(len(data))))
    return data[:start] + data[stop + 1 :]


def _insert(chance: Chance, data: bytes) -> bytes:
    at = chance.below(len(data) + 1)
    garbage = (
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\n\n",
        b"\r",
        b'"',
        b"{",
        b"}",
        b"\\",
        b",",
        b"\x1a",
        b"\0" * 600,
        b"PAR1",
    )
    return data[:at] + chance.choice(garbage) + data[at:]


def _cut(chance: Chance, data: bytes) -> bytes:
    return data[: chance.below(len(data))]


def _noise(chance: Chance, data: bytes) -> bytes:
    return data + bytes(chance.below(256) for _ in range(between(chance, 1, 200)))


def _double(chance: Chance, data: bytes) -> bytes:
    at = chance.below(len(data) + 1)
    return data[:at] + data


_CHANGES: tuple[tuple[str, Callable[[Chance, bytes], bytes]], ...] = (
    ("flip", _flip),
    ("drop", _drop),
    ("insert", _insert),
    ("cut", _cut),
    ("noise", _noise),
    ("double", _double),
    ("quote", _cut),
)


# -- files --------------------------------------------------------------------------------------------


def _bent_file(chance: Chance, draft: Draft, file: Packed, name: str) -> Made:
    """Return a compressed file that is bent, or a file with a wrong name."""
    bend = chance.choice(("cut", "flip", "tail", "name", "name", "bomb"))
    if bend == "bomb" and chance.happens(0.1):
        suffix = chance.choice((".gz", ".zst"))
        return Made(bomb(chance, suffix), name + suffix, bend, UNREADABLE)
    if bend == "name" or not file.suffix:
        return _misnamed(chance, file, name)
    whole = name + file.suffix
    is_gzip = file.suffix.lower() == ".gz"
    if bend == "cut":
        at = chance.below(len(file.data))
        if at in file.ends or (is_gzip and not file.data[at:].strip(b"\0")):
            return Made(file.data, whole, "", _exact(draft))
        # Framed Snappy has no end: cut between two chunks it is a shorter file.
        is_snappy = file.suffix.lower() in (".sz", ".snappy")
        return Made(file.data[:at], whole, "cut file", FREE if is_snappy else UNREADABLE)
    if bend == "tail":
        tail = chance.choice((b"x", b"\x1f\x8b", b"\0x", b"garbage behind the end"))
        return Made(file.data + tail, whole, "tail", UNREADABLE)
    demand = Demand(draft.expected(), may_fail=True) if is_gzip else FREE
    return Made(_flip(chance, file.data), whole, "flipped file", demand)


def _misnamed(chance: Chance, file: Packed, name: str) -> Made:
    suffixes = ["", ".gz", ".zst", ".sz"]
    own = file.suffix.lower().replace("zstd", "zst").replace("snappy", "sz")
    suffix = chance.choice([other for other in suffixes if other != own])
    return Made(
        file.data, name + suffix, f"named {suffix or 'plain'}", UNREADABLE if suffix else FREE
    )


def _bent_parquet(chance: Chance, data: bytes, name: str) -> Made:
    bend = chance.choice(("cut", "flip", "tail", "joined", "empty"))
    if bend == "cut":
        return Made(data[: chance.below(len(data) - 1)], name, "cut file", UNREADABLE)
    if bend == "tail":
        return Made(data + chance.choice((b"x", b"\n", b"PAR")), name, bend, UNREADABLE)
    if bend == "empty":
        return Made(
            chance.choice((b"", b"PAR1", b"PAR1PAR1", b"{}\n", b"PAR1\0\0\0\0PAR1")),
            name,
            bend,
            UNREADABLE,
        )
    if bend == "flip":
        return Made(_flip(chance, data), name, "flipped file", FREE)
    return Made(data + data, name, bend, FREE)
