"""Delimited text read record by record: exact for every file, and slower than `plain_text`.

The rules, where RFC 4180 is silent or files are not as it wants them:

- A quote opens a quoted value only as the first character of a field. Elsewhere in it a quote is text.
- Behind a closing quote the field has to end. What goes on there is `bad_quotes`, up to the line's end.
- With `escape`, that character makes the next one text: a quote or itself within quotes, and outside a
  quote, a delimiter, a line break or itself. Before any other character it is text.
- A record ends at a line feed outside quotes. One carriage return before it belongs to the line's end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.format import Format
from tidegate.landing.decoding import Window
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES

_LINE = re.compile(rb"[^\n]*+")
_MAX_GROUPS = 1000
"""Columns of which a pattern of a whole record is made; to compile one takes time."""
AHEAD = 2 * MAX_LINE_BYTES + 16
"""Bytes at hand at a record's start: one that is not too long ends within them."""


class Scanned(NamedTuple):
    """A record.

    Attributes:
        line: its first physical line, from 1.
        raw: its text as it stands in the file, without the line feed; of one that is too long its head.
        length: bytes of its text.
        fields: its values; empty where it has a fault.
        fault: why it can't be used, or None.
        detail: what was expected and what is there.
    """

    line: int
    raw: bytes
    length: int
    fields: Sequence[bytes] = ()
    fault: str | None = None
    detail: str | None = None


class Scanner:
    """Reads the records of a window one by one."""

    def __init__(self, window: Window, form: Format, width: int | None = None) -> None:
        self._window = window
        self._comment = form.comment.encode() if form.comment is not None else None
        self._delimiter = form.delimiter.encode()
        self._quote = form.quote.encode() if form.quote is not None else None
        self._escape = form.escape.encode() if form.escape is not None else None
        self._bare = re.compile(_bare(self._delimiter, self._quote, self._escape))
        if self._quote is not None:
            self._quoted = re.compile(_quoted(self._quote, self._escape))
        self._usual = None
        if width is not None and width <= _MAX_GROUPS:
            self._usual = re.compile(_record(self._delimiter, self._quote, self._escape, width))
        self._run = re.compile(_run(self._delimiter, self._quote, self._escape))
        # What an escape makes text of, within quotes and outside.
        self._inner = _pairs(self._quote, self._escape, [self._quote, self._escape])
        self._outer = _pairs(
            None, self._escape, [b"\r\n", b"\n", self._delimiter, self._quote, self._escape]
        )

    def read(self) -> Scanned | None:
        """Return the record at the window's place, and move behind it; None for a comment.

        There has to be one: the window must not be at the file's end.

        Raises:
            UnreadableError: a quote is not closed.
        """
        window = self._window
        window.fill(AHEAD)
        if self._comment is not None and window.data.startswith(self._comment, window.at):
            window.skip_line()
            return None
        start, line = window.at, window.line
        usual = (
            self._usual.match(window.data, start, start + MAX_LINE_BYTES) if self._usual else None
        )
        if usual is not None:
            return self._matched(usual, line)
        fields: list[bytes] = []
        at, fault = start, None
        while True:
            end, value = self._field(at)
            if end - start > MAX_LINE_BYTES:
                return self._long(line)
            if value is None:
                fault = f"expected a delimiter or the record's end behind quoted value {len(fields) + 1}"
                break
            fields.append(value)
            if not window.data.startswith(self._delimiter, end):
                break
            at = end + len(self._delimiter)
        stop = window.data.find(b"\n", end, end + 2)
        stop = stop if stop >= 0 else len(window.data)
        raw = window.data[start:stop]
        window.move(min(stop + 1, len(window.data)))
        if len(raw) > MAX_LINE_BYTES:
            return _too_long(line, raw[:MAX_RAW_BYTES], len(raw), hashlib.sha256(raw).hexdigest())
        if fault is not None:
            if self._escape is None and self._quote and b"\\" + self._quote in raw:
                fault += (
                    r"; if a backslash makes quotes text, write escape: '\' in the source's format"
                )
            return Scanned(line, raw, len(raw), fault="bad_quotes", detail=fault)
        return Scanned(line, raw, len(raw), fields)

    def _matched(self, match: re.Match[bytes], line: int) -> Scanned:
        """Return a record with as many fields as the header, matched at once."""
        raw = match[0][:-1]
        self._window.at = match.end()
        self._window.line += 1 + raw.count(b"\n")
        fields = list(match.groups())
        if fields[-1].endswith(b"\r"):
            fields[-1] = fields[-1][:-1]
        quote, escape = self._quote, self._escape
        has_quotes = quote is not None and quote in raw
        if has_quotes or (escape is not None and escape in raw):
            for at, value in enumerate(fields):
                if quote is not None and value.startswith(quote):
                    inner = value[len(quote) : -len(quote)]
                    is_plain = quote not in inner and (escape is None or escape not in inner)
                    fields[at] = inner if is_plain else self._inner.sub(_second, inner)
                elif escape is not None and escape in value:
                    fields[at] = self._outer.sub(_second, value)
        return Scanned(line, raw, len(raw), fields)

    def _field(self, at: int) -> tuple[int, bytes | None]:
        """Return where a field ends (its delimiter, line end, or the data's end), and its value.

        None is the value of one whose closing quote has text behind it; that one ends where the line does.
        """
        data = self._window.data
        if self._quote is not None and data.startswith(self._quote, at):
            end, text = self._quoted_value(at)
            if self._ends_field(end):
                return end, text
            stop = _line_end(data, end)
            return stop - (data[stop - 1 : stop] == b"\r"), None
        match = self._bare.match(data, at)
        assert match is not None, "the pattern matches nothing, too"
        end, text = match.end(), match[0]
        is_last = end == len(data) or data.startswith(b"\n", end)
        if is_last and text.endswith(b"\r"):
            end, text = end - 1, text[:-1]
        if self._escape is not None and self._escape in text:
            text = self._outer.sub(_second, text)
        return end, text

    def _ends_field(self, at: int) -> bool:
        data = self._window.data
        return (
            at == len(data)
            or data.startswith((self._delimiter, b"\n", b"\r\n"), at)
            or (at == len(data) - 1 and data.endswith(b"\r"))
        )

    def _quoted_value(self, at: int) -> tuple[int, bytes]:
        data = self._window.data
        assert self._quote is not None
        last = min(len(data), at + MAX_LINE_BYTES + 2 * len(self._quote))
        match = self._quoted.match(data, at, last)
        # A quote at the very place where the search ends may be the first of a doubled one.
        if match is None or (match.end() == last < len(data)):
            line = self._window.line + data.count(b"\n", self._window.at, at)
            where = "within 1 MiB" if last < len(data) else "before the end of the file"
            raise UnreadableError(
                f"a quote is opened and not closed {where}",
                expected=f"a closing {self._quote.decode()}",
                todo="upload the file again; if quotes are plain text in it, write quote: null in the "
                "source's format, and if a backslash stands before a quote in a value, escape: '\\'",
                line=line,
            )
        value = match[1]
        if self._quote in value or (self._escape is not None and self._escape in value):
            value = self._inner.sub(_second, value)
        return match.end(), value

    def _long(self, line: int) -> Scanned:
        """Return a record that is too long, reading it field by field and keeping its head only."""
        window = self._window
        digest, head, length = hashlib.sha256(), b"", 0

        def take(end: int) -> None:
            nonlocal head, length
            part = window.data[window.at : end]
            digest.update(part)
            length += len(part)
            head = (head + part)[:MAX_RAW_BYTES] if len(head) < MAX_RAW_BYTES else head
            window.move(end)

        rest = None  # how the rest of a field is read, of which a part was taken already
        at = window.at
        while True:
            if len(window.data) - at < AHEAD and not window.is_final:
                take(at)
                window.fill(2 * AHEAD)
                at = window.at
            data = window.data
            if rest is not None:
                match = rest.match(data, at)
                assert match is not None, "the pattern matches nothing, too"
                end = match.end()
            else:
                at = self._end_of_run(at)
                end, value = self._field(at)
                rest = self._bare if value is not None else _LINE
            if end >= len(data) - 1 and not window.is_final:
                at = self._cut(at)
                continue
            rest = None
            if data.startswith(self._delimiter, end):
                at = end + len(self._delimiter)
            else:
                take(_line_end(data, end))
                window.move(min(window.at + 1, len(window.data)))
                return _too_long(line, head, length, digest.hexdigest())

    def _end_of_run(self, at: int) -> int:
        """Return a place behind fields, all at hand, whose values are not needed."""
        data = self._window.data
        stop = len(data) if self._window.is_final else len(data) - AHEAD // 2
        match = self._run.match(data, at, max(at, stop))
        assert match is not None, "the pattern matches nothing, too"
        return match.end()

    def _cut(self, at: int) -> int:
        """Return a place near the data's end at which no pair of an escape and its character is cut."""
        data = self._window.data
        end = len(data) - 16
        while self._escape is not None and end > at and data.startswith(self._escape, end - 1):
            end -= 1
        return max(end, at + 1)


def _bare(delimiter: bytes, quote: bytes | None, escape: bytes | None) -> bytes:
    """Return the pattern of a field without quotes around it."""
    end = re.escape(delimiter)
    if escape is None:
        if len(delimiter) == 1:
            return rb"[^\n" + end + rb"]*+"
        return rb"(?:(?!" + end + rb")[^\n])*+"
    mark = re.escape(escape)
    texts = b"|".join(re.escape(text) for text in (delimiter, quote, escape) if text is not None)
    pair = mark + rb"(?:\r?\n|" + texts + rb")"
    if len(delimiter) == len(escape) == 1:
        return rb"(?:[^\n" + end + mark + rb"]++|" + pair + rb"|" + mark + rb")*+"
    return rb"(?:" + pair + rb"|(?!" + end + rb")[^\n])*+"


def _quoted(quote: bytes, escape: bytes | None) -> bytes:
    """Return the pattern of a quoted value; its group is what stands between the quotes."""
    mark = re.escape(quote)
    if escape is None:
        inner = rb"[^" + mark + rb"]++" if len(quote) == 1 else rb"(?!" + mark + rb")[\s\S]"
        return mark + rb"((?:" + inner + rb"|" + mark + mark + rb")*+)" + mark
    other = re.escape(escape)
    pair = other + rb"(?:" + mark + rb"|" + other + rb")"
    if len(quote) == len(escape) == 1:
        inner = rb"[^" + mark + other + rb"]++|" + pair + rb"|" + other
    else:
        inner = pair + rb"|(?!" + mark + rb")[\s\S]"
    return mark + rb"((?:" + mark + mark + rb"|" + inner + rb")*+)" + mark


def _record(delimiter: bytes, quote: bytes | None, escape: bytes | None, width: int) -> bytes:
    """Return the pattern of a record with its line feed; its groups are its fields."""
    last = first = rb"(" + _bare(delimiter, quote, escape) + rb")"
    if quote is not None:
        mark = re.escape(quote)
        text = _quoted(quote, escape).replace(rb"((?:", rb"(?:(?:", 1)
        bare = rb"(?!" + mark + rb")" + _bare(delimiter, quote, escape)
        first = rb"(" + text + rb"|" + bare + rb")"
        last = rb"(" + text + rb"\r?|" + bare + rb")"
    return re.escape(delimiter).join([first] * (width - 1) + [last]) + rb"\n"


def _run(delimiter: bytes, quote: bytes | None, escape: bytes | None) -> bytes:
    """Return the pattern of fields with their delimiters, of which a quoted one is short and simple."""
    field = _bare(delimiter, quote, escape)
    if quote is not None:
        mark = re.escape(quote)
        simple = (
            mark + rb"(?:(?!" + mark + rb"|" + re.escape(escape or quote) + rb")[\s\S]){0,4096}+"
        )
        field = rb"(?:" + simple + mark + rb"|(?!" + mark + rb")" + field + rb")"
    return rb"(?:" + field + re.escape(delimiter) + rb")*+"


def _pairs(
    quote: bytes | None, escape: bytes | None, texts: list[bytes | None]
) -> re.Pattern[bytes]:
    """Return the pattern of a mark and the text that it makes plain, the latter as its group."""
    doubled = [re.escape(quote) + rb"(" + re.escape(quote) + rb")"] if quote is not None else []
    escaped = b"|".join(re.escape(text) for text in texts if text is not None)
    pair = [re.escape(escape) + rb"(" + escaped + rb")"] if escape is not None else []
    return re.compile(b"|".join([*doubled, *pair]))


def _second(pair: re.Match[bytes]) -> bytes:
    return pair[pair.lastindex or 0]


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return end if end >= 0 else len(data)


def _too_long(line: int, head: bytes, length: int, digest: str) -> Scanned:
    return Scanned(
        line,
        head,
        length,
        fault="too_long",
        detail=f"expected at most {MAX_LINE_BYTES} bytes, got {length}; sha256 {digest}",
    )
