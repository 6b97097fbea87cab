"""The header of a file of delimited text: what its columns are called, and whether they are the right ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tidegate.common.suggestions import nearest
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.format import Format
from tidegate.landing.decoding import Window
from tidegate.landing.scanner import AHEAD, Scanned, Scanner

_SHOWN = 100
"""Characters of a header that a message shows."""
_DELIMITERS = ",;\t| "
_NAMES = "give the names by 'header: [...]' in the source's format"


@dataclass(frozen=True)
class Header:
    """The columns of a file.

    Attributes:
        names: what each is called, no two alike.
        places: the place of each name that is used, from 0; None where the file has no such column.
    """

    names: tuple[str, ...]
    places: Mapping[str, int | None]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.names)


def read_header(
    window: Window,
    form: Format,
    wanted: frozenset[str],
    *,
    needed: Sequence[frozenset[str]],
    private: bool,
) -> Header | None:
    """Return the columns of a file and move the window to its first record, or None if the file has none.

    Args:
        window: at the header, or at the first record of a file without one.
        form: how the file is written.
        wanted: names that are used.
        needed: groups of them; without a name of each group no line is an event.
        private: whether no message may show a value of the file.

    Raises:
        UnreadableError: the first line is no header, or lacks what is needed.
    """
    scanner = Scanner(window, form)
    if isinstance(form.header, tuple):
        return Header(form.header, {name: _place(form.header, name) for name in wanted})
    record = _first(window, scanner, keep=form.header is False)
    if record is None:
        return None
    if form.header is False:
        names = tuple(f"_c{at}" for at in range(len(record.fields)))
        return Header(names, {name: _place(names, name) for name in wanted})
    fields = _names(record, private=private)
    if wanted and not wanted.intersection(fields) and not any(_alike(n, fields) for n in wanted):
        _raise_no_header(fields, wanted, line=record.line, private=private)
    return named_columns(
        fields, wanted, needed=needed, title="the header", line=record.line, private=private
    )


def _raise_no_header(
    fields: Sequence[str], wanted: frozenset[str], *, line: int, private: bool
) -> NoReturn:
    """Raise the error of a first line without any column that is used."""
    expected = f"a header with {_listed(sorted(wanted))}"
    got = _shown(fields, ",", private=private)
    other = next((d for d in _DELIMITERS if wanted.intersection(fields[0].split(d))), None)
    if other is not None:
        raise UnreadableError(
            f"the columns are separated by {other!r}, which is not the delimiter of the source's format",
            expected=expected,
            got=got,
            todo=f"write delimiter: {json.dumps(other)} in the source's format",
            line=line,
        )
    raise UnreadableError(
        "the first line names no column that the source file uses: it seems to be data, not a header",
        expected=expected,
        got=got,
        todo=f"upload the file with its header, or {_NAMES}",
        line=line,
    )


def named_columns(
    fields: Sequence[str],
    wanted: frozenset[str],
    *,
    needed: Sequence[frozenset[str]],
    title: str,
    line: int,
    private: bool,
) -> Header:
    """Return the columns of the names that a file gives.

    Args:
        fields: the names.
        wanted: names that are used.
        needed: groups of them; without a name of each group no line is an event.
        title: what messages call the line.
        line: its number.
        private: whether no message may show a value of the file.

    Raises:
        UnreadableError: a name that is needed is missing, or a name that is used is there twice.
    """
    _check(fields, wanted, needed, title=title, line=line, private=private)
    return Header(_unique(fields), {name: _place(fields, name) for name in wanted})


def _first(window: Window, scanner: Scanner, *, keep: bool) -> Scanned | None:
    """Return the first record, and with `keep` stay in front of it."""
    while True:
        # As far as the scanner looks ahead: what it reads then stays at hand.
        window.fill(AHEAD)
        if not window.remaining:
            return None
        place, line = window.at, window.line
        record = scanner.read()
        if record is None:
            continue
        if keep:
            if record.fault is not None or not record.raw.strip():
                raise UnreadableError(
                    "the first record can't be read, so the number of columns is unknown",
                    expected="a record that shows how many columns there are",
                    got=record.detail or "an empty line",
                    todo=_NAMES,
                    line=record.line,
                )
            window.at, window.line = place, line
        return record


def _names(record: Scanned, *, private: bool) -> list[str]:
    try:
        if record.fault is not None:
            raise ValueError(record.detail if not private else record.fault)
        fields = [name.decode() for name in record.fields]
        if not any(fields):
            raise ValueError("an empty line")
    except ValueError as error:
        got = "bytes that are no characters" if isinstance(error, UnicodeDecodeError) else error
        raise UnreadableError(
            "the header can't be read",
            expected="the names of the columns",
            got=str(got),
            todo=f"upload the file again, correct 'format' in the source file, or {_NAMES}",
            line=record.line,
        ) from error
    return fields


def _check(
    fields: Sequence[str],
    wanted: frozenset[str],
    needed: Sequence[frozenset[str]],
    *,
    title: str,
    line: int,
    private: bool,
) -> None:
    """Raise an error where a header lacks a column or has one twice."""
    if any("\r" in name for name in fields):
        raise UnreadableError(
            "the names of the header hold carriage returns, as if lines ended in them",
            expected="lines that end in a line feed, or in a carriage return and a line feed",
            todo="convert the file's line ends, and upload it again",
            line=line,
        )
    missing = [name for name in sorted(wanted) if name not in fields]
    without = frozenset().union(*(group for group in needed if group.isdisjoint(fields)))
    refused = [name for name in missing if name in without or _alike(name, fields)]
    if refused:
        names = [_with_nearest(name, fields) for name in refused]
        raise UnreadableError(
            f"{title} lacks {_listed(names)}",
            expected=f"{'a column' if len(refused) == 1 else 'columns'} named {_listed(refused)}",
            got=_shown(fields, ", ", private=private),
            todo="correct the name in the source file, or upload the file with the right header",
            line=line,
        )
    twice = sorted(name for name in wanted if fields.count(name) > 1)
    if twice:
        raise UnreadableError(
            f"{title} names {_listed(twice)} twice",
            expected="one column of each name that the source file uses",
            todo=_NAMES,
            line=line,
        )


def _shown(fields: Sequence[str], separator: str, *, private: bool) -> str:
    if private:
        return "columns that are not shown, as the source has personal data"
    return repr(separator.join(fields)[:_SHOWN])


def _with_nearest(name: str, fields: Iterable[str]) -> str:
    near = _alike(name, fields) or nearest(name, [field for field in fields if field])
    return f"{name!r} (the nearest is {near!r})" if near else repr(name)


def _alike(name: str, fields: Iterable[str]) -> str | None:
    """Return a name that differs in case, spaces around it, `-` or `_` only."""
    return next((field for field in fields if _plain(field) == _plain(name)), None)


def _plain(name: str) -> str:
    return name.strip(" \t\r\ufeff\"'").casefold().replace("-", "_").replace(" ", "_")


def _place(names: Sequence[str], name: str) -> int | None:
    return list(names).index(name) if name in names else None


def _unique(fields: Sequence[str]) -> tuple[str, ...]:
    """Return names that are all different; what repeats one or is empty is called after its place."""
    names: dict[str, None] = {}
    for at, name in enumerate(fields):
        unique = name if name and name not in names else f"_c{at}"
        while unique in names or (unique != name and unique in fields):
            unique += "_"
        names[unique] = None
    return tuple(names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
