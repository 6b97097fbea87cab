"""What a page's address says, as it came from outside."""

from __future__ import annotations

from datetime import date, datetime

from tidegate.common.errors import TidegateError
from tidegate.common.hours import parse_hour
from tidegate.common.identifiers import NAME

_YEARS = (1970, 9000)


class UnknownPageError(TidegateError):
    """The books have nothing of what was asked for."""


def parse_source(text: str) -> str:
    """Return a source's name as it came from outside.

    Raises:
        UnknownPageError: no source can have that name.
    """
    if not NAME.fullmatch(text):
        raise UnknownPageError("no such source", expected="a-z, 0-9 and _, from a letter on")
    return text


def parse_page_hour(text: str) -> datetime:
    """Return an hour as it came from outside.

    Raises:
        UnknownPageError: it is none.
    """
    try:
        hour = parse_hour(text)
    except TidegateError as error:
        raise UnknownPageError(error.what, expected=error.expected) from error
    parse_day(hour.date().isoformat())
    return hour


def parse_day(text: str) -> date:
    """Return a day as it came from outside.

    Raises:
        UnknownPageError: it is none, or so far away that there is nothing to reckon with.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UnknownPageError("not a day", expected="a date, such as 2015-01-31") from error
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise UnknownPageError(
            "no day of any dump", expected=f"a year from {_YEARS[0]} to {_YEARS[1]}"
        )
    return day
