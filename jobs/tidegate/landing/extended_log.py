"""W3C extended logs, such as those of CloudFront and IIS: delimited text that names its columns in comments.

Lines that begin with `#` are directives and no records. `#Fields:` names the columns of the records behind it, also
where it comes again within a file with other names.
"""

from __future__ import annotations

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.format import NO_VALUE, Format
from tidegate.landing.decoding import Window
from tidegate.landing.limits import MAX_LINE_BYTES

FIELDS = b"#Fields:"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MARKED = _BYTE_ORDER_MARK + b"#"
SECTION_BYTES = len(_BYTE_ORDER_MARK + FIELDS)
"""Bytes by which the beginning of a section is known."""
_DIRECTIVES = (b"#Version:", b"#Software:", FIELDS, b"#Date:", b"#Remark:")


def is_extended_log(window: Window) -> bool:
    """Return whether the line at the window's place is a directive of an extended log."""
    window.fill(max(map(len, _DIRECTIVES)))
    return window.data.startswith(_DIRECTIVES, window.at)


def extended_log(form: Format) -> Format:
    """Return how an extended log is read: `-` is no value too, unless the format names what is none."""
    null = (*NO_VALUE, "-") if form.null == NO_VALUE else form.null
    return form.model_copy(update={"comment": "#", "null": null})


def next_section(data: bytes, at: int, current: bytes) -> int:
    """Return where the next section begins, or the end of the data.

    Args:
        data: lines.
        at: where a line begins.
        current: the whole line that names the columns now.
    """
    places = (_next(data, at, mark, current) for mark in (FIELDS, _MARKED))
    return min(places)


def _next(data: bytes, at: int, mark: bytes, current: bytes) -> int:
    """Return where the next section begins that starts with a mark, or the end of the data."""
    while (place := data.find(mark, at)) >= 0:
        if is_section(data, place, current) and data[place - 1 : place] in (b"", b"\n"):
            return place
        at = place + len(mark)
    return len(data)


def is_section(data: bytes, at: int, current: bytes) -> bool:
    """Return whether a section begins at a place.

    It begins with a `#Fields:` line that has other names than the current ones, or with a directive behind a byte
    order mark, as where files were joined.
    """
    if data.startswith(_MARKED, at):
        return True
    return data.startswith(FIELDS, at) and not data.startswith(current, at)


def read_fields(window: Window, current: tuple[bytes, int] | None) -> tuple[bytes, int] | None:
    """Return the next `#Fields:` line with its line feed, and its number, or None if the file ends before.

    The window moves behind it. A byte order mark before a directive is skipped.

    Args:
        window: the file, at the beginning of a line.
        current: the line that names the columns until here; returned where a record comes first.

    Raises:
        UnreadableError: a record comes first and no line names its columns, or the line is too long.
    """
    while True:
        window.fill(2 * MAX_LINE_BYTES)
        if not window.remaining:
            return None
        if window.data.startswith(_MARKED, window.at):
            window.move(window.at + len(_BYTE_ORDER_MARK))
        if not window.data.startswith(b"#", window.at):
            if current is not None:
                return current
            raise UnreadableError(
                "a line comes before the names of the columns",
                expected="a line that begins with '#Fields:' before the first record",
                got="a line that does not begin with '#'",
                todo="upload the whole file again, or give the names by 'header: [...]' in the source's format",
                line=window.line,
            )
        start, number = window.at, window.line
        is_fields = window.data.startswith(FIELDS, start)
        if not is_fields:
            window.skip_line()
            continue
        feed = window.data.find(b"\n", start)
        end = feed + 1 if feed >= 0 else len(window.data)
        if end - start > MAX_LINE_BYTES:
            raise UnreadableError(
                "the line '#Fields:' is too long",
                expected=f"at most {MAX_LINE_BYTES} bytes",
                todo="upload the file again",
                line=number,
            )
        window.move(end)
        return window.data[start:end], number
