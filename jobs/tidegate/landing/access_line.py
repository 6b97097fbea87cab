r"""One line of an access log, in the common or the combined form, as Apache and nginx write it.

    [vhost] host ident user [time] "request" status bytes ["referer" "agent"] [rest]

- `-` and empty text are no value.
- `time` becomes RFC 3339: `2026-05-01T10:00:00+02:00`. `rest` is what follows, as it is written.
- A user may have spaces where `ident` is `-`. A line has a vhost where a host and a `-` follow it.
- In user, request, referer and agent `\"`, `\\`, `\xhh` and the likes of `\t` become what they stand for. But a value
  stays as it is written where the result is not UTF-8 or has `\x` as text: so two different texts never become one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FAULTS: Mapping[str, str] = {
    "not_access_log": "the line has neither the common nor the combined form of access logs",
}
"""Reasons of this module that other formats don't have."""

MONTHS: Sequence[str] = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]
TIME = rf"[0-9]{{2}}/(?:{'|'.join(MONTHS)})/[0-9]{{4}}(?::[0-9]{{2}}){{3}} [+-][0-9]{{4}}"
"""Pattern of a time, such as `01/May/2026:10:00:00 +0200`."""
REQUEST = r"(?s)^(?P<method>[^ ]+) (?P<path>.*) (?P<protocol>HTTP/[0-9](?:\.[0-9])?)"
"""Pattern of a request up to its end."""
NO_VALUE = ("", "-")

_TEXT = r'(?:[^"\\]++|\\.)*+'
_PARTS: Sequence[tuple[str, str]] = (
    (
        "a host",
        rf'(?:(?P<vhost>[^ "]+) (?=(?!- )[^ "]+ - (?!\[{TIME}\])))?(?P<host>[^ "]+) ',
    ),
    ("'-' or a name by ident", r'(?P<ident>[^ "]+) '),
    (
        "a user and a time, such as - [01/May/2026:10:00:00 +0200]",
        rf'(?P<user>(?:[^"\\]|\\.)+?) \[(?P<time>{TIME})\] ',
    ),
    ("a request in quotes", rf'"(?P<request>{_TEXT})" '),
    ("a status of three digits", r"(?P<status>[0-9]{3}|-) "),
    ("a number of bytes", r"(?P<bytes>[0-9]+|-)(?= |\Z)"),
    (
        "a referer and an agent, each in quotes",
        rf'(?: "(?P<referer>{_TEXT})" "(?P<agent>{_TEXT})"(?= |\Z)|(?= [^"])|(?= ?\Z))',
    ),
    ("values whose quotes are closed", rf'(?: (?P<rest>(?:[^"]|"{_TEXT}")*+))?\Z'),
)
"""The parts of a line: what is expected there, and its pattern."""
_STARTS = [
    re.compile("".join(pattern for _, pattern in _PARTS[: count + 1]), re.DOTALL)
    for count in range(len(_PARTS))
]
_LINE = _STARTS[-1]
_REQUEST = re.compile(REQUEST + r"\Z")
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\bfnrtv]))')
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED = ("user", "request", "referer", "agent")


@dataclass(frozen=True)
class Line:
    """What a line is read as.

    Attributes:
        values: those that it has, by name.
        reason: why it can't be used, or None.
        detail: what was expected, and where.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None


def read_line(text: str) -> Line:
    """Return what a line is read as, given without its line feed."""
    if not text.strip(" \t\r"):
        return Line(reason="blank_line", detail="expected an event")
    text = text.removesuffix("\r")
    match = _LINE.match(text)
    if match is None:
        return _other_form(text)
    values = match.groupdict()
    user = values["user"]
    if " " in user and (values["ident"] != "-" or user.startswith("- ")):
        return _not_access_log(_PARTS[2][0], match.start("user"))
    known = {name: value for name, value in values.items() if value and value != "-"}
    known["time"] = _rfc3339(values["time"])
    for name in _ESCAPED:
        if "\\" in known.get(name, ""):
            known[name] = unescaped(known[name])
    request = _REQUEST.match(known.get("request", ""))
    if request is not None:
        parts = request.groupdict().items()
        known |= {name: value for name, value in parts if value not in NO_VALUE}
    return Line(known)


def unescaped(text: str) -> str:
    r"""Return what a text in quotes stands for, or the text where that can't be told from another one."""
    plain = _ESCAPE.sub(_character, text.encode())
    try:
        return plain.decode() if b"\\x" not in plain else text
    except UnicodeDecodeError:
        return text


def _character(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return bytes.fromhex(escape[1].decode())
    return _ESCAPES.get(escape[2], escape[2])


def _rfc3339(time: str) -> str:
    month = MONTHS.index(time[3:6]) + 1
    return f"{time[7:11]}-{month:02}-{time[:2]}T{time[12:20]}{time[21:24]}:{time[24:]}"


def _other_form(text: str) -> Line:
    """Return the fault of a line, with the first part that is not there."""
    at = 0
    for (expected, _), start in zip(_PARTS, _STARTS, strict=True):
        match = start.match(text)
        if match is None:
            return _not_access_log(expected, at)
        at = match.end()
    raise AssertionError("a line that has all parts is no fault")


def _not_access_log(expected: str, at: int) -> Line:
    detail = f"expected {expected} at character {at + 1}"
    return Line(reason="not_access_log", detail=detail)
