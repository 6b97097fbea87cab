"""Lines of text: JSON objects, and how delimited text is delimited. Pure."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.propose.snowplow import COLUMNS, are_enriched

_DELIMITERS = ",\t;|"
_LOOKED_AT = 200
_NAME = re.compile(r"[A-Za-z_][\w .:()/%#-]{0,62}")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@dataclass(frozen=True)
class Dialect:
    """How a line is split.

    Attributes:
        delimiter: between columns.
        quote: around what holds a delimiter, or None.
        header: whether the first line names the columns.
        names: of the columns; `_c0`, … where there are none.
        are_known: whether the names are those of a known format, and stand in no file.
    """

    delimiter: str
    quote: str | None
    header: bool
    names: tuple[str, ...]
    are_known: bool = False


def json_record(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        ValueError: it holds something else; the message says what.
    """
    if not line.strip():
        raise ValueError("the line is empty")
    try:
        text = line.decode()
        found = json.loads(text, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise ValueError("the line is not UTF-8") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[error.pos :].lstrip().startswith("{"):
            raise ValueError(
                "several JSON objects in one line, without a line feed between"
            ) from error
        if line.strip() in (b"{", b"[") or error.pos >= len(text.rstrip()):
            raise ValueError(f"the line ends within a JSON value ({error.msg})") from error
        raise ValueError(f"not JSON at column {error.colno} ({error.msg})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got a {type(found).__name__}")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def guess_dialect(files: Sequence[Sequence[bytes]], *, is_tsv: bool = False) -> Dialect:
    """Return how delimited files of one source are written.

    Args:
        files: the first lines of each.
        is_tsv: whether their names say that tabs are between.
    """
    texts = [
        line.decode(errors="replace") for lines in files for line in lines[:_LOOKED_AT] if line
    ][: _LOOKED_AT * 4]
    wanted = "\t" + _DELIMITERS if is_tsv else _DELIMITERS
    delimiter = max(dict.fromkeys(wanted), key=lambda each: _agreement(texts, each, '"'))
    quote: str | None = '"'
    quoted = sum(_has_quoted(text, delimiter) for text in texts)
    if (delimiter == "\t" and not quoted) or _agreement(texts, delimiter, None) > _agreement(
        texts, delimiter, '"'
    ):
        quote = None
    bare = Dialect(delimiter, quote, header=False, names=())
    firsts = [split_line(lines[0].decode(errors="replace"), bare) for lines in files if lines]
    seconds = [
        split_line(line.decode(errors="replace"), bare) for lines in files for line in lines[1:20]
    ]
    if are_enriched([*firsts, *seconds]):
        return Dialect(delimiter, quote, False, COLUMNS, are_known=True)
    header = _is_header(firsts, seconds)
    names = firsts[0] if header else [f"_c{at}" for at in range(len(firsts[0]))]
    return Dialect(delimiter, quote, header, tuple(names))


def split_line(text: str, dialect: Dialect) -> list[str]:
    """Return the cells of a line.

    Raises:
        csv.Error: a cell is too long, or a quote has no end.
    """
    if dialect.quote is None:
        return text.split(dialect.delimiter)
    reader = csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quote)
    return next(reader, [])


def _agreement(texts: Sequence[str], delimiter: str, quote: str | None) -> tuple[float, int]:
    """Return which share of lines have the usual number of columns, if above one, and that number."""
    dialect = Dialect(delimiter, quote, header=False, names=())
    counts: Counter[int] = Counter()
    for text in texts:
        try:
            counts[len(split_line(text, dialect))] += 1
        except csv.Error:
            counts[0] += 1
    [(columns, lines)] = counts.most_common(1) or [(0, 0)]
    return (lines / len(texts), columns) if columns > 1 else (0.0, columns)


def _has_quoted(text: str, delimiter: str) -> bool:
    at = re.escape(delimiter)
    return re.search(rf'(^|{at})"[^"]*"($|{at})', text) is not None


def _is_header(firsts: Sequence[Sequence[str]], seconds: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line of each file names the columns."""
    first = firsts[0]
    folded = [name.casefold() for name in first]
    if any(not _NAME.fullmatch(name) for name in first) or len(set(folded)) < len(folded):
        return False
    if len(firsts) > 1:
        return all(sorted(each) == sorted(first) for each in firsts)
    # Of one file only: a line of names looks like no other line.
    known = {cell for row in seconds for cell in row}
    has_values = any(_NUMBER.fullmatch(cell) or ":" in cell or "-" in cell for cell in known)
    return not set(first) & known and (has_values or not seconds)
