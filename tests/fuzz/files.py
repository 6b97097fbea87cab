"""Files: a source, records and a layout become bytes, and what the kernel has to make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from corpus.chance import Chance
from fuzz.access_logs import Log, random_log
from fuzz.chances import between, chance_of, weighted
from fuzz.delimited import Table, random_table
from fuzz.dialects import ENCODINGS
from fuzz.json_lines import MAX_LINE, Lines, random_lines
from fuzz.json_shapes import LINES, joined, random_shape
from fuzz.model import Expected, Written
from fuzz.parquet import Sheet, random_sheet
from fuzz.sources import Spec, random_source
from tidegate.config.source import split_path

Kind = Literal["json", "csv", "parquet", "access_log"]
_FILES_A_SOURCE = 8
_MARK = "\ufeff"


@dataclass(frozen=True)
class Draft:
    """A file before it is bent and packed.

    Attributes:
        seed: of the run.
        number: of the file.
        kind: its format.
        spec: its source.
        head: what stands before its records, as text.
        records: in their order, those that are none too.
        codec: Python's name of the encoding.
        has_mark: whether it begins with a byte order mark.
        is_open: whether its last line has no end.
        by_line: whether a line feed always ends a record, so that a bent record can't reach into others.
        layout: how its records are written.
        shape: the layout of JSON.
    """

    seed: int
    number: int
    kind: Kind
    spec: Spec
    head: str
    records: tuple[Written, ...]
    codec: str
    has_mark: bool
    is_open: bool
    by_line: bool
    layout: Lines | Table | Sheet | Log
    shape: str = LINES

    def chance(self, *purpose: str) -> Chance:
        """Return chance for a purpose, which is the same however many records are left."""
        return chance_of(self.seed, self.number, *purpose)

    def only(self, records: Sequence[Written]) -> Draft:
        """Return the same file with other records."""
        return replace(self, records=tuple(records))

    @property
    def lines_before(self) -> int:
        """How many lines stand before the first record."""
        return self.head.count("\n")

    def encoded(self, text: bytes, *, is_start: bool) -> bytes:
        """Return a part of the file as it is stored; `text` is UTF-8, perhaps with bytes that are none."""
        mark = _MARK if self.has_mark and is_start else ""
        if self.codec == "utf-8":
            return mark.encode() + text
        codec = "utf-16le" if self.codec == "utf-16" else self.codec
        return (mark + text.decode()).encode(codec)

    def content(self) -> tuple[bytes, list[int]]:
        """Return the bytes of a text file, unpacked, and where each record begins; the end comes last."""
        if self.shape != LINES:
            texts = [record.data.strip(b" \t\r\n") for record in self.records]
            data = joined(self.chance("shape"), self.shape, texts, _path(self.spec))
            return self.encoded(data, is_start=True), []
        start = self.encoded(self.head.encode(), is_start=True)
        parts = [self.encoded(record.data, is_start=False) for record in self.records]
        places = [len(start)]
        for part in parts:
            places.append(places[-1] + len(part))
        return start + b"".join(parts), places

    def expected(self) -> list[tuple[int, Expected]]:
        """Return what has to become of each record, with its line."""
        line = 1 + self.lines_before
        out = []
        for record in self.records:
            if record.expected is not None:
                out.append((line, record.expected))
            line += record.lines
        return out


def draft(seed: int, number: int, source: int | None = None) -> Draft:
    """Return the file of a number, of the source of a number."""
    layout = _layout(seed, number // _FILES_A_SOURCE if source is None else source)
    chance = chance_of(seed, number, "records")
    count = weighted(
        chance,
        [
            (6, between(chance, 0, 12)),
            (6, between(chance, 10, 60)),
            (3, between(chance, 50, 200)),
            (1, 500),
        ],
    )
    if isinstance(layout, Sheet):
        sheet = random_sheet(chance, layout.spec)
        records = [sheet.record(_chance(seed, number, at), at) for at in range(count)]
        return Draft(
            seed,
            number,
            "parquet",
            sheet.spec,
            "",
            tuple(records),
            "utf-8",
            False,
            False,
            False,
            sheet,
        )
    if isinstance(layout, Lines):
        return _json(seed, number, layout, count)
    if isinstance(layout, Log):
        rows = tuple(layout.record(_chance(seed, number, at)) for at in range(count))
        return Draft(
            seed, number, "access_log", layout.spec, "", rows, "utf-8", False, False, True, layout
        )
    return _csv(seed, number, layout, count)


@lru_cache(maxsize=8)
def _layout(seed: int, number: int) -> Lines | Table | Sheet | Log:
    """Return a source, and how files of it are written."""
    chance = chance_of(seed, "source", number)
    kind = weighted(chance, [(8, "json"), (8, "csv"), (4, "parquet"), (1, "access_log")])
    if kind == "access_log":
        return random_log(chance)
    if kind == "csv":
        return random_table(chance)
    form = {"type": kind}
    if kind == "json" and chance.happens(0.15):
        form["records"] = chance.choice(("Records", "detail.`the.list`", "a.b.c"))
    spec = random_source(chance, form, is_flat=False)
    return random_lines(chance, spec) if kind == "json" else random_sheet(chance, spec)


def _path(spec: Spec) -> tuple[str, ...]:
    """Return the path of the list that holds the records of files; empty where the source names none."""
    return split_path(spec.form["records"]) if "records" in spec.form else ()


def _chance(seed: int, number: int, at: int) -> Chance:
    return Chance((seed * 1_000_003 + number) * 1_000_003 + at)


def _json(seed: int, number: int, layout: Lines, count: int) -> Draft:
    chance = chance_of(seed, number, "layout")
    shape = random_shape(chance, _path(layout.spec))
    if shape != LINES:
        is_pretty = shape.endswith("pretty")
        layout = replace(layout, is_pretty=is_pretty, is_element=True)
        records = [layout.record(_chance(seed, number, at), at) for at in range(count)]
        mark = chance.happens(0.1)
        return Draft(
            seed,
            number,
            "json",
            layout.spec,
            "",
            tuple(records),
            "utf-8",
            mark,
            False,
            False,
            layout,
            shape,
        )
    sizes = dict.fromkeys(range(count), 0)
    if count and chance.happens(0.01):
        sizes[chance.below(count)] = MAX_LINE + chance.choice((-1, 0, 1, 2, 100_000, 4_000_000))
    records = [
        layout.record(_chance(seed, number, at), at, size=size) for at, size in sizes.items()
    ]
    is_open = bool(records) and chance.happens(0.3) and records[-1].data not in (b"\n", b"\r\n")
    if is_open:
        records[-1] = replace(records[-1], data=records[-1].data[:-1])
    mark = chance.happens(0.1)
    return Draft(
        seed, number, "json", layout.spec, "", tuple(records), "utf-8", mark, is_open, True, layout
    )


def _csv(seed: int, number: int, layout: Table, count: int) -> Draft:
    chance = chance_of(seed, number, "layout")
    dialect = layout.dialect
    records: list[Written] = []
    for at in range(count):
        is_first = all(record.expected is None for record in records)
        records.append(layout.record(_chance(seed, number, at), at, is_first=is_first))
    ending = dialect.end.encode()
    is_open = bool(records) and chance.happens(0.3) and records[-1].data != ending
    if is_open:
        records[-1] = replace(records[-1], data=records[-1].data[: -len(ending)])
        records[-1] = _without_return(records[-1])
    mark = dialect.encoding == "utf-16" or (
        dialect.encoding.startswith("utf") and chance.happens(0.2)
    )
    by_line = dialect.quote is None and dialect.escape is None
    codec = ENCODINGS[dialect.encoding]
    head = layout.head(chance)
    return Draft(
        seed,
        number,
        "csv",
        layout.spec,
        head,
        tuple(records),
        codec,
        mark,
        is_open,
        by_line,
        layout,
    )


def _without_return(record: Written) -> Written:
    """Return a record without a line end: a carriage return is not part of its text."""
    expected = record.expected
    if expected is None or expected.raw is None or not expected.raw.endswith(b"\r"):
        return replace(record, lines=record.lines - 1)
    return replace(
        record, lines=record.lines - 1, expected=replace(expected, raw=expected.raw[:-1])
    )
