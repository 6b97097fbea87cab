"""Rows of a query as text: an aligned table for people, CSV and JSON for programs.

In all three, decimals and times are exact and times of a zone are UTC. JSON has decimals as text,
since most readers of JSON would make them binary fractions.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

Row = Sequence[Any]

CELL_WIDTH = 80
"""Widest cell of a table, in character cells; what is longer is cut and marked with `…`."""

# Characters that steer a terminal, or that make text look other than it is.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(value: object) -> Any:
    """Return a value of DuckDB as what JSON can hold, without loss."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value)


def text(value: object) -> str | None:
    """Return a value as bare text, lists and maps as JSON; None for NULL."""
    simple = plain(value)
    if simple is None or isinstance(simple, str):
        return simple
    return json.dumps(simple, ensure_ascii=False)


def visible(value: str) -> str:
    """Return text with every character escaped that would steer a terminal or hide in it."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(_escaped(char) if _steers(char) else char for char in value)


def clipped(value: str, width: int) -> str:
    """Return text made visible and cut to a width in character cells, marked with `…`."""
    from rich.cells import cell_len

    return _cut(visible(value[: width + 1]), cell_len, width)


def csv_lines(names: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield CSV lines (RFC 4180, ends as on Unix): NULL is nothing, an empty text is `""`."""
    yield ",".join(_quoted(name) for name in names) + "\n"
    for row in rows:
        yield ",".join(_quoted(text(value)) for value in row) + "\n"


def json_lines(names: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of one JSON array with an object a row; equal names get a number."""
    keys = _distinct(names)
    before = "[\n"
    for row in rows:
        found = {key: plain(value) for key, value in zip(keys, row, strict=True)}
        yield before + json.dumps(found, ensure_ascii=False, allow_nan=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def table_lines(
    names: Sequence[str], types: Sequence[str], blocks: Iterable[Sequence[Row]]
) -> Iterator[str]:
    """Yield the lines of an aligned table: names, types, a rule and the rows, numbers to the right.

    Widths are those of the blocks seen so far, so that memory does not grow with the rows.

    Args:
        names: the columns' names.
        types: their types as DuckDB names them.
        blocks: the rows, in blocks that fit memory.

    """
    from rich.cells import cell_len

    right = [_is_number(kind) for kind in types]
    kinds = [kind.lower().replace("timestamp with time zone", "timestamptz") for kind in types]
    heads = [[visible(name) for name in names], [visible(kind) for kind in kinds]]
    heads = [[_cut(cell, cell_len) for cell in head] for head in heads]
    widths = [max(cell_len(head[at]) for head in heads) for at in range(len(names))]

    def line(cells: Sequence[str]) -> str:
        parts = []
        for cell, width, to_right in zip(cells, widths, right, strict=True):
            padding = " " * (width - cell_len(cell))
            parts.append(padding + cell if to_right else cell + padding)
        return "  ".join(parts).rstrip() + "\n"

    first = True
    for block in blocks:
        cells = [[_cut(_cell(value), cell_len) for value in row] for row in block]
        for row in cells:
            widths = [max(width, cell_len(cell)) for width, cell in zip(widths, row, strict=True)]
        if first:
            yield from _head(heads, widths, line)
            first = False
        for row in cells:
            yield line(row)
    if first:
        yield from _head(heads, widths, line)


def _head(
    heads: Sequence[Sequence[str]], widths: Sequence[int], line: Callable[[Sequence[str]], str]
) -> Iterator[str]:
    for head in heads:
        yield line(head)
    yield "  ".join("-" * width for width in widths) + "\n"


def _cell(value: object) -> str:
    """Return a table's cell; NULL, an empty text and the text `NULL` are told apart."""
    if value is None:
        return "NULL"
    if value in ("", "NULL"):
        return f"'{value}'"
    return visible(text(value) or "")


def _cut(cell: str, cell_len: Callable[[str], int], width: int = CELL_WIDTH) -> str:
    if len(cell) * 2 <= width or cell_len(cell) <= width:
        return cell
    kept = cell[: width - 1]
    while cell_len(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def _quoted(value: str | None) -> str:
    if value is None:
        return ""
    if value == "" or any(char in value for char in ',"\n\r'):
        return '"' + value.replace('"', '""') + '"'
    return value


def _distinct(names: Sequence[str]) -> list[str]:
    taken = set(names)
    seen: set[str] = set()
    keys = []
    for name in names:
        key, number = name, 0
        while key in seen or (number and key in taken):
            number += 1
            key = f"{name}_{number}"
        seen.add(key)
        keys.append(key)
    return keys


def _key(value: object) -> str:
    return text(value) or ""


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN


def _escaped(char: str) -> str:
    short = _SHORT.get(char)
    if short is not None:
        return short
    number = ord(char)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _is_number(kind: str) -> bool:
    return kind.split("(")[0].upper() in _NUMBERS


_NUMBERS = {
    f"{sign}{name}" for sign in ("", "U") for name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
} | {"HUGEINT", "UHUGEINT", "BIGNUM", "FLOAT", "DOUBLE", "DECIMAL"}
