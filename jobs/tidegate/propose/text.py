"""How delimited text is delimited, by the kernel's own reader. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format
from tidegate.landing.decoding import Window
from tidegate.landing.scanner import Scanned, Scanner
from tidegate.propose.shape import text_type
from tidegate.propose.snowplow import COLUMNS, are_enriched

_DELIMITERS = (",", "\t", ";", "|", "\x01")
_LOOKED_AT = 200
_AGREED = 0.5
_SURE_SHARE = 0.99
_FEW, _MANY = 3, 8
"""Columns up to which another delimiter may be a sign within the text of logs, and as many as logs have."""
_MOST_TITLES = 20
"""Lines above a header, at most."""
_NAME = re.compile(r"[A-Za-z_][\w .:()/%#-]{0,62}")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_COMMENTS = ("#", "//", "--")
_W3C = re.compile(rb"#(?:Version|Software|Fields|Date|Remark):")
_FIELDS = b"#Fields:"
_NULLS = ("\\N", "NULL", "null", "(null)", "NA", "N/A", "n/a", "None", "nan", "NaN", "-")
"""What delimited text writes where there is no value."""
_SURE = ("\\N", "NULL", "(null)")
"""Those of them that stand for no value among text, too."""


def is_w3c(head: bytes) -> bool:
    """Return whether a text begins as an extended log of the W3C does."""
    return _W3C.match(head) is not None


def w3c_format(heads: Sequence[bytes]) -> Format:
    """Return how extended logs are written; their columns are in `#Fields:`."""
    delimiter = "\t"
    for head in heads:
        lines = head.splitlines()
        names = next((line for line in lines if line.startswith(_FIELDS)), b"")
        records = [line for line in lines if line and not line.startswith(b"#")]
        if names and records:
            columns = len(names.split()) - 1
            delimiter = "\t" if records[0].count(b"\t") + 1 == columns else " "
            break
    return Format(type="csv", delimiter=delimiter, quote=None)


@dataclass(frozen=True)
class _Dialect:
    """A way to split lines, and how well it does.

    Attributes:
        form: the way.
        columns: how many most records have.
        share: of the lines, those in records of so many columns; 0 if that is one.
    """

    form: Format
    columns: int
    share: float


def guess_csv(heads: Sequence[bytes], *, is_tsv: bool = False, encoding: str = "utf-8") -> Format:
    """Return how delimited files of one source are written.

    Args:
        heads: whole lines from the beginning of each, in UTF-8.
        is_tsv: whether their names say that tabs are between.
        encoding: that the files are written in.
    """
    delimiters = list(dict.fromkeys(("\t", *_DELIMITERS) if is_tsv else _DELIMITERS))
    best = _best(heads, delimiters, encoding)
    spaced = _best(heads, [" "], encoding)
    # Values have spaces in them, so that a space has to be evident.
    is_evident = best.columns <= _FEW and spaced.columns >= _MANY and spaced.share > _SURE_SHARE
    if is_evident or best.share < _AGREED < spaced.share:
        best = spaced
    form = best.form
    if form.quote is None and form.delimiter != "\t" and not any(b'"' in head for head in heads):
        form = form.model_copy(update={"quote": '"'})  # where one comes later, it is one
    form = form.model_copy(update={"comment": _comment(heads, form, best.columns)})
    form = form.model_copy(update={"skip": _titles(heads, form, best.columns)})
    firsts = [next(_cells(head, form), []) for head in heads]
    seconds = [cells for head in heads for cells in list(_cells(head, form))[1:20]]
    if are_enriched([*firsts, *seconds]):
        return form.model_copy(update={"header": COLUMNS})
    return form.model_copy(update={"header": _is_header(firsts, seconds)})


def _best(heads: Sequence[bytes], delimiters: Sequence[str], encoding: str) -> _Dialect:
    """Return the way in which most lines have the same number of columns."""
    ways = [
        (quote, escape)
        for quote, escape in (('"', None), ('"', "\\"), (None, None), ("'", None))
        if quote is None or any(quote.encode() in head for head in heads)
    ]
    dialects = []
    for delimiter in delimiters:
        forms = [
            Format(
                type="csv",
                delimiter=delimiter,
                quote=quote,
                escape=escape,
                header=False,
                encoding=encoding,
            )
            for quote, escape in ways
        ]
        # The first of those that do as well: quotes that stand for nothing would give more columns.
        tried = [_tried(heads, form) for form in forms]
        dialects.append(max(tried, key=lambda dialect: round(dialect.share, 3)))
    return max(dialects, key=lambda dialect: (round(dialect.share, 3), dialect.columns))


def guess_nulls(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the texts that stand for no value in delimited records, the empty text first.

    A text such as `-` is one only in a column whose other values are all numbers, times or dates.
    """
    columns: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in record.items():
            columns.setdefault(name, Counter())[str(value).strip()] += 1
    nulls = {text for texts in columns.values() for text in _SURE if text in texts}
    for texts in columns.values():
        marks = [text for text in _NULLS if text in texts]
        others = [text for text in texts if text not in marks]
        if marks and others and text_type(others, numbers=True) != "string":
            nulls.update(marks)
    return ("", *(text for text in _NULLS if text in nulls))


def _comment(heads: Sequence[bytes], form: Format, columns: int) -> str | None:
    """Return how lines begin that are no records: they have other columns than the others have."""
    records = [record for head in heads for record in _scanned(head, form) if record.raw.strip()]
    for mark in _COMMENTS:
        marked = [len(each.fields) for each in records if each.raw.startswith(mark.encode())]
        if 0 < len(marked) < len(records) and columns not in marked and columns > 1:
            return mark
    return None


def _tried(heads: Sequence[bytes], form: Format) -> _Dialect:
    widths: Counter[int] = Counter()
    every = 0
    for head in heads:
        every += sum(1 for line in head.splitlines()[:_LOOKED_AT] if line.strip())
        for record in _scanned(head, form):
            if record.raw.strip():
                widths[len(record.fields)] += 1 + record.raw.count(b"\n")
    columns, lines = max(widths.items(), key=lambda each: (each[1], each[0]), default=(0, 0))
    return _Dialect(form, columns, min(lines / max(every, 1), 1.0) if columns > 1 else 0.0)


def _scanned(head: bytes, form: Format) -> Iterator[Scanned]:
    """Yield the first records of a text; none behind a quote that has no end."""
    window = Window(iter([head]))
    for _ in range(form.skip):
        window.skip_line()
    scanner = Scanner(window, form)
    try:
        while window.line <= _LOOKED_AT:
            window.fill(1)
            if not window.remaining:
                return
            record = scanner.read()
            if record is not None:
                yield record
    except UnreadableError:
        return


def _cells(head: bytes, form: Format) -> Iterator[list[str]]:
    for record in _scanned(head, form):
        if record.raw.strip():
            yield [cell.decode(errors="replace") for cell in record.fields]


def _titles(heads: Sequence[bytes], form: Format, columns: int) -> int:
    """Return how many lines stand above the header, as in reports that begin with a title."""
    counts = set()
    for head in heads:
        lines = [(record.line, len(record.fields)) for record in _scanned(head, form)]
        first = next((line for line, width in lines if width == columns), 1)
        counts.add(first - 1)
    titles = counts.pop() if len(counts) == 1 else 0
    return titles if titles <= _MOST_TITLES and form.comment is None else 0


def _is_header(firsts: Sequence[Sequence[str]], seconds: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line of a file names the columns: of each file, or at least of every other."""
    folded = Counter(tuple(sorted(map(str.casefold, first))) for first in firsts if first)
    named = [
        each for each in folded if all(map(_NAME.fullmatch, each)) and len(set(each)) == len(each)
    ]
    if not named:
        return False
    names = max(named, key=lambda each: folded[each])
    count = folded[names]
    if count > 1:
        return 2 * count >= len(firsts)
    if len(firsts) > _FEW:
        return False
    # Of one file only: a line of names looks like no other line.
    first = next(each for each in firsts if tuple(sorted(map(str.casefold, each))) == names)
    known = {cell for row in seconds for cell in row}
    has_values = any(_NUMBER.fullmatch(cell) or ":" in cell or "-" in cell for cell in known)
    return not set(first) & known and (has_values or not seconds)
