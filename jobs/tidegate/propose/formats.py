"""Which format files are of, by how they begin. Pure."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tidegate.common.errors import TidegateError
from tidegate.common.text_output import clipped
from tidegate.config.source import Format, join_path
from tidegate.dumps.file_format import describe
from tidegate.landing.decoding import is_utf8
from tidegate.propose.text import guess_csv, is_w3c, w3c_format
from tidegate.propose.times import UNITS, time_forms

_SHOWN = 60
_SEEN = 512
_LINES = 50
_REQUEST = re.compile(rb"\S+ \S+ .*?\[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\] \"")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\x01")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]')
_DEEPEST = 3
_TIME = re.compile(r"time|date|stamp|(?:^|_)(?:at|ts)$|At$")


@dataclass(frozen=True)
class Head:
    """The beginning of a file, unpacked.

    Attributes:
        uri: of the file.
        data: its first bytes.
        is_whole: whether that is all of it.
    """

    uri: str
    data: bytes
    is_whole: bool


@dataclass(frozen=True)
class Guess:
    """A format, and what could not be decided of it: what, and what to do next.

    Attributes:
        has_nulls: whether files of the format say themselves what stands for no value.
    """

    form: Format
    undecided: tuple[tuple[str, str], ...] = ()
    has_nulls: bool = True


def guess_format(heads: Sequence[Head]) -> Guess:
    """Return the format of files of one source.

    Raises:
        TidegateError: they have several, or no line at all, or it is one that can't be landed.
    """
    kinds: dict[str, list[tuple[Head, bytes]]] = {}
    encodings = set()
    for head in heads:
        if head.data.startswith((b"PAR1", b"Obj\x01")):
            kind = "parquet" if head.data.startswith(b"PAR1") else "avro"
            kinds.setdefault(kind, []).append((head, head.data))
            continue
        text, encoding, has_mark = _text(head)
        if text.strip():
            kind = _text_kind(head, text, encoding)
            kinds.setdefault(kind, []).append((head, text))
            encodings.add("utf-8" if has_mark else encoding)
    if not kinds:
        raise TidegateError(
            "the samples have no line",
            where=", ".join(head.uri for head in heads[:3]),
            expected="files with events in them",
            got=f"{len(heads)} empty file{'s' if len(heads) > 1 else ''}",
            todo="give other samples",
        )
    if len(kinds) > 1:
        listing = "; ".join(
            f"{kind}: {len(those)}, such as {those[0][0].uri}" for kind, those in kinds.items()
        )
        raise TidegateError(
            "the samples are of several formats",
            expected="samples of one source: all JSON, all delimited text, all Parquet, …",
            got=listing,
            todo="give those of one format; each is a source of its own",
        )
    [(kind, those)] = kinds.items()
    texts = [text for _, text in those]
    if kind == "json":
        return _json(those)
    if kind == "W3C log":
        return Guess(w3c_format(texts))
    if kind == "csv":
        return _csv(those, max(encodings, key=lambda name: name != "utf-8"))
    return Guess(Format.model_validate(kind))


def _text(head: Head) -> tuple[bytes, str, bool]:
    """Return whole lines of a head as UTF-8, what they are written in, and whether a mark says so."""
    mark, actual = next(
        ((mark, name) for mark, name in _MARKS if head.data.startswith(mark)), (b"", "")
    )
    data = head.data[len(mark) :]
    encoding = actual or _byte_order(data[:_SEEN]) or "utf-8"
    if encoding != "utf-8":
        data = data[: len(data) // 4 * 4].decode(encoding, "replace").encode()
    if not head.is_whole and b"\n" in data:
        data = data[: data.rindex(b"\n") + 1]
    elif not head.is_whole:
        data = data.decode(errors="ignore").encode()  # it ends within a character, perhaps
    if not is_utf8(data):
        if set(data) & _CONTROLS:
            raise _no_text(head)
        lines = [line for line in data.splitlines() if line.strip()]
        # One line in a few that is not UTF-8 is a fault of that line.
        if sum(not is_utf8(line) for line in lines) * 10 > len(lines):
            encoding = "windows-1252"
        data = b"\n".join(
            line if is_utf8(line) else line.decode("windows-1252", "replace").encode()
            for line in data.split(b"\n")
        )
    elif b"\x00" in data.lstrip().partition(b"\n")[0]:
        raise _no_text(head)
    return data, encoding, bool(mark)


def _byte_order(data: bytes) -> str:
    """Return the UTF-16 that bytes of mostly ASCII characters are written in, or ""."""
    for order, name in ((1, "utf-16le"), (0, "utf-16be")):
        upper, lower = data[order::2], data[1 - order :: 2]
        if upper and upper.count(0) > 0.9 * len(upper) and not lower.count(0):
            return name
    return ""


def _no_text(head: Head) -> TidegateError:
    return TidegateError(
        "a sample is not text",
        where=head.uri,
        expected="lines of text, Parquet or Avro",
        got=describe(head.data),
        todo="give other samples, or have these written as one of the formats that dags/sources/README.md lists",
    )


def _text_kind(head: Head, text: bytes, encoding: str) -> str:
    first = text.lstrip()
    kind = "csv"
    if first.startswith(b"{") or re.match(rb"\[\s*(?:[{\]]|$)", first):
        kind = "json"
    elif is_w3c(first):
        kind = "W3C log"
    elif _REQUEST.match(first):
        kind = "access_log"
    if kind == "csv":
        suffixes = {suffix.casefold() for suffix in PurePosixPath(head.uri).suffixes}
        is_named = bool(suffixes & {".json", ".jsonl", ".ndjson"})
        if is_named and any(line.startswith(b"{") for line in first.splitlines()[:_LINES]):
            kind = "json"
        elif is_named:
            line = first.splitlines()[0].decode(errors="replace")
            raise TidegateError(
                "a sample is no JSON",
                where=f"{head.uri}, line {1 + text[: len(text) - len(first)].count(10)}",
                expected="JSON objects, one a line or in an array",
                got=repr(clipped(line, _SHOWN)),
                todo="have the events written as JSON objects, or correct the file's name if it is csv",
            )
    if kind != "csv" and encoding != "utf-8":
        raise TidegateError(
            f"a sample is {kind} that is not UTF-8",
            where=head.uri,
            expected="UTF-8: other encodings are read of delimited text only",
            got=encoding,
            todo="have the files written as UTF-8",
        )
    return kind


def _csv(those: Sequence[tuple[Head, bytes]], encoding: str) -> Guess:
    form = guess_csv(
        [text for _, text in those],
        is_tsv=all(".tsv" in head.uri.casefold() for head, _ in those),
        encoding=encoding,
    )
    undecided = []
    if encoding == "windows-1252":
        undecided.append(
            (
                "which encoding the files are written in: they are not UTF-8",
                "look at letters such as ü in the samples, and correct 'encoding' if they are wrong",
            )
        )
    if form.header is False:
        undecided.append(
            (
                "what the columns are called: the first line is no header",
                "write the names as a list: 'header: [...]'",
            )
        )
    return Guess(form, tuple(undecided), has_nulls=False)


def _json(those: Sequence[tuple[Head, bytes]]) -> Guess:
    paths = {_records_path(text.decode(), is_whole=head.is_whole) for head, text in those}
    if len(paths) == 1 and (path := paths.pop()):
        form = Format.model_validate({"type": "json", "records": join_path(path)})
        what = f"whether a file is one event, or holds events in {join_path(path)} as is proposed"
        return Guess(form, ((what, "write format: json if a file is one event"),))
    return Guess(Format(type="json"))


def _records_path(text: str, *, is_whole: bool) -> tuple[str, ...]:
    """Return the path of the list of events that a file's only object holds, or () for other files.

    Args:
        text: how the file begins.
        is_whole: whether that is all of it.
    """
    bare = text.strip()
    if not bare.startswith("{"):
        return ()
    try:
        content, end = json.JSONDecoder().raw_decode(bare)
    except (ValueError, RecursionError):
        # Only a beginning of it is there, if it is one object at all.
        return _open_list(bare) if not is_whole else ()
    if bare[end:].strip() or not isinstance(content, dict):
        return ()
    path = _list_in(content, ())
    if not path:
        return ()
    events: Any = content
    for name in path:
        events = events[name]
    # An event may hold a list of its own, such as an order its items.
    is_event = _has_time(content) and not (len(events) > 1 and _has_time(events[0]))
    return () if is_event else path


def _has_time(value: object) -> bool:
    """Return whether an object has a member that looks like a time, itself or in an object below."""
    if not isinstance(value, dict):
        return False
    return any(
        _has_time(member)
        or any(form not in UNITS or _TIME.search(name) for form in time_forms([member]))
        for name, member in value.items()
    )


def _list_in(value: object, above: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path of a list of objects among the members of an object, the nearest one."""
    if not isinstance(value, dict) or len(above) >= _DEEPEST:
        return ()
    members = [(name, member) for name, member in value.items() if name and name == name.strip()]
    for name, member in members:
        if isinstance(member, list) and member and all(isinstance(each, dict) for each in member):
            return (*above, name)
    inner = (_list_in(member, (*above, name)) for name, member in members)
    return next((path for path in inner if path), ())


def _open_list(text: str) -> tuple[str, ...]:
    """Return the path of the first list that is not closed within a text and has an object in it."""
    open_: list[str] = []
    names: list[str] = []
    name, before = "", ""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "[{":
            if sign == "{" and before == "[" and len(open_) <= _DEEPEST + 1:
                candidate = tuple(names[1:])
                if all(candidate) and candidate and all(bracket == "{" for bracket in open_[:-1]):
                    return candidate
            open_.append(sign)
            names.append(name)
            name = ""
        elif sign in "]}" and open_:
            open_.pop()
            names.pop()
            if not open_:
                return ()
        elif sign[0] == '"':
            name = sign[1:-1]
        before = sign
    return ()
