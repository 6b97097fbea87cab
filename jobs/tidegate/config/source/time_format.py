"""Formats of times: `%d/%b/%Y:%H:%M:%S %z`, in directives of strptime that mean one thing whatever the machine."""

from __future__ import annotations

import itertools
import re

DIRECTIVES = {
    "%Y": "year, four digits",
    "%y": "year, two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068",
    "%m": "month as a number",
    "%b": "month as three English letters, in any case",
    "%B": "month as an English word, in any case",
    "%d": "day of the month",
    "%e": "day of the month, a space before one digit",
    "%j": "day of the year, three digits",
    "%H": "hour, 0 to 23",
    "%I": "hour, 1 to 12, with %p",
    "%p": "AM or PM, in any case",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second, any number of digits",
    "%L": "milliseconds, three digits",
    "%s": "seconds since 1970",
    "%z": "offset: +0200, +02:00, +02, Z, UTC or GMT",
    "%a": "day of the week as three English letters",
    "%A": "day of the week as an English word",
    "%%": "a percent sign",
}
"""What a format may have, and what each means."""

_SHORT = {
    "%F": "%Y-%m-%d",
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%-m": "%m",
    "%-d": "%d",
    "%-H": "%H",
    "%-I": "%I",
    "%-M": "%M",
    "%-S": "%S",
}
_GIVES = {
    "%Y": "year",
    "%y": "year",
    "%m": "month",
    "%b": "month",
    "%B": "month",
    "%d": "day",
    "%e": "day",
    "%j": "day of the year",
    "%H": "hour",
    "%I": "hour",
    "%p": "half of the day",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction",
    "%L": "fraction",
    "%s": "seconds since 1970",
    "%z": "offset",
    "%a": "day of the week",
    "%A": "day of the week",
}
NUMBERS = frozenset(["%Y", "%y", "%m", "%d", "%e", "%j", "%H", "%I", "%M", "%S", "%f", "%L", "%s"])
"""Directives that stand for digits."""
_NO_ZONE_NAMES = (
    "; a name such as CET is no zone: write it as plain text, and 'zone' beside 'format'"
)
_OPEN_ENDED = frozenset(["%f", "%s", "%z"])
_NEEDS = {"minute": "hour", "second": "minute"}
_TOKEN = re.compile(r"%-?.|[^%]+|%$", re.DOTALL)


def format_tokens(text: str) -> tuple[str, ...]:
    """Return a format as its directives, each in its one spelling, and the texts between them.

    White space around it does not count.

    Raises:
        ValueError: it has unknown directives, or does not say one instant.
    """
    tokens: list[str] = []
    for token in _TOKEN.findall(text.strip()):
        tokens += _TOKEN.findall(_SHORT.get(token, token))
    for token in tokens:
        if token[0] == "%" and token not in DIRECTIVES:
            tip = _NO_ZONE_NAMES if token.endswith("Z") else ""
            known = " ".join([*DIRECTIVES, *_SHORT])
            raise ValueError(f"unknown directive {token} in {text!r}{tip} (known: {known})")
    _check_parts(text, tokens)
    _check_neighbours(text, tokens)
    return tuple(tokens)


def _check_parts(text: str, tokens: list[str]) -> None:
    parts: dict[str, str] = {}
    for token in tokens:
        part = _GIVES.get(token)
        if part is not None and part in parts:
            raise ValueError(f"{parts[part]} and {token} both give the {part}, in {text!r}")
        if part is not None:
            parts[part] = token
    if "seconds since 1970" in parts:
        if others := sorted({*parts} - {"seconds since 1970", "fraction"}):
            raise ValueError(f"%s says it all, but {parts[others[0]]} is beside it, in {text!r}")
        return
    is_day_of_year = "day of the year" in parts
    if is_day_of_year and (both := [parts[part] for part in ("month", "day") if part in parts]):
        raise ValueError(f"%j and {both[0]} both give the day, in {text!r}")
    needed = ["year"] if is_day_of_year else ["year", "month", "day"]
    if absent := [part for part in needed if part not in parts]:
        raise ValueError(
            f"expected a format with year, month and day, got {text!r} without the {absent[0]}"
        )
    if (parts.get("hour") == "%I") != ("half of the day" in parts):
        raise ValueError(f"%I and %p need each other, in {text!r}")
    for part, other in {**_NEEDS, "fraction": "second"}.items():
        if part in parts and other not in parts:
            raise ValueError(f"{parts[part]} needs the {other}, in {text!r}")


def _check_neighbours(text: str, tokens: list[str]) -> None:
    for token, behind in itertools.pairwise(tokens):
        if token in _OPEN_ENDED and (behind in NUMBERS or behind[0].isdigit()):
            raise ValueError(f"where {token} ends and {behind} begins is unclear, in {text!r}")
