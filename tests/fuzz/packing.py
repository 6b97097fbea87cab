"""Compressed files: gzip of several members, Zstandard of several frames, framed Snappy of several streams."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import cramjam
import pyarrow as pa

from corpus.chance import Chance
from fuzz.chances import weighted


@dataclass(frozen=True)
class Packed:
    """A file as it is stored.

    Attributes:
        data: its bytes.
        ends: places where it could end and still be whole: behind each member.
        suffix: of its name.
    """

    data: bytes
    ends: tuple[int, ...]
    suffix: str


def packed(chance: Chance, content: bytes) -> Packed:
    """Return a file of some content, compressed or not."""
    kind = weighted(
        chance, [(6, ""), (3, ".gz"), (2, ".zst"), (1, ".zstd"), (1, ".sz"), (1, ".snappy")]
    )
    if not kind:
        return Packed(content, (), "")
    count = weighted(chance, [(3, 1), (1, 2), (1, 5)])
    cuts = sorted(chance.below(len(content) + 1) for _ in range(count - 1))
    parts = [
        content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)
    ]
    data, ends = b"", []
    for part in parts:
        data += _member(chance, part, kind)
        ends.append(len(data))
    if kind == ".gz" and chance.happens(0.2):
        data += b"\0" * chance.choice((1, 7, 512))
        ends.append(len(data))
    suffix = kind.upper() if chance.happens(0.1) else kind
    return Packed(data, tuple(ends), suffix)


def _member(chance: Chance, content: bytes, kind: str) -> bytes:
    if kind == ".gz":
        return gzip.compress(content, chance.choice((0, 1, 6, 9)), mtime=0)
    if kind in (".sz", ".snappy"):
        return bytes(cramjam.snappy.compress(content)) or b"\xff\x06\x00\x00sNaPpY"
    return _frame(content)


def _frame(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def bomb(chance: Chance, suffix: str) -> bytes:
    """Return a small file that unpacks to far more than its size."""
    content = chance.choice((b" ", b"\0", b"a")) * (20 << 20)
    return gzip.compress(content, 9, mtime=0) if suffix == ".gz" else _frame(content)
