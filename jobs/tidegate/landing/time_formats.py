"""Times of text in a format of the user's own, one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from tidegate.config.source.time_format import NUMBERS, format_tokens
from tidegate.landing.times import BLANKS, OFFSET, Reading, reading

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH_NUMBERS = {name[:3]: number for number, name in enumerate(_MONTHS, 1)}
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _any(words: Sequence[str]) -> str:
    return f"(?i:{'|'.join(words)})"


_PATTERNS = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%e": "[ ]?[0-9]{1,2}",
    "%j": "[0-9]{3}",
    "%f": "[0-9]+",
    "%L": "[0-9]{3}",
    "%s": "[0-9]+",
    "%b": _any([name[:3] for name in _MONTHS]),
    "%B": _any(_MONTHS),
    "%a": _any([name[:3] for name in _DAYS]),
    "%A": _any(_DAYS),
    "%p": _any(["AM", "PM"]),
    "%z": OFFSET,
}
_MONTH_WORDS = frozenset(["%b", "%B"])
_REWRITTEN = frozenset(["%Y", "%m", "%d", "%H", "%M", "%S", "%f", "%L", "%z"]) | _MONTH_WORDS


@lru_cache(maxsize=64)
def format_reader(text: str) -> Callable[[str], Reading | None]:
    """Return what reads texts by a format; it gives None for a text that is none of its times.

    Args:
        text: the format, without a fault.
    """
    pattern = re.compile(_pattern(format_tokens(text)), re.ASCII)

    def read(value: str) -> Reading | None:
        match = pattern.fullmatch(value.strip(BLANKS))
        return _reading(match.groupdict()) if match is not None else None

    return read


def _pattern(tokens: Sequence[str]) -> str:
    """Return a format as a pattern, with a group named after the letter of each directive."""
    parts = []
    for place, token in enumerate(tokens):
        if token == "%%":  # noqa: S105 - a percent sign
            parts.append("%")
        elif token[0] != "%":
            parts.append(re.sub(r"(?:\\?[ \t\n])+", r"[ \\t]+", re.escape(token)))
        else:
            before, behind = (
                tokens[place - 1] if place else "",
                "".join(tokens[place + 1 : place + 2]),
            )
            # Beside another digit a number has all of its own.
            is_alone = not (
                before in NUMBERS
                or before[-1:].isdigit()
                or behind in NUMBERS
                or behind[:1].isdigit()
            )
            pattern = _PATTERNS.get(token, "[0-9]{1,2}" if is_alone else "[0-9]{2}")
            parts.append(f"(?P<{token[1]}>{pattern})")
    return "".join(parts)


@dataclass(frozen=True)
class IsoRewriting:
    """How texts in a format become ISO 8601, for RE2.

    Attributes:
        pattern: of times with all their digits.
        iso: what replaces it. Of a month as a word it has no number: only `YYYY-` and what follows the month.
        month: what replaces it by the word of the month; None where the month is a number.
    """

    pattern: str
    iso: str
    month: str | None


YEAR_LENGTH = len("YYYY-")


@lru_cache(maxsize=64)
def iso_rewriting(text: str) -> IsoRewriting | None:
    """Return how many times of a format are rewritten at once.

    None for a format with parts that are neither digits nor the word of a month.

    Args:
        text: the format, without a fault.
    """
    tokens = format_tokens(text)
    parts = [token for token in tokens if token[0] == "%"]
    word = next((token for token in parts if token in _MONTH_WORDS), None)
    if not _REWRITTEN >= set(parts) >= ({"%Y", "%d"} | ({word} if word else {"%m"})):
        return None
    patterns = {token: f"({_PATTERNS.get(token, '[0-9]{2}')})" for token in parts}
    pattern = "".join(patterns.get(token, re.escape(token)) for token in tokens)
    clock = ":".join(token if token in parts else "00" for token in ("%H", "%M", "%S"))
    form = ("%Y-" if word else "%Y-%m") + f"-%dT{clock}"
    form += "".join(f".{token}" for token in ("%f", "%L") if token in parts)
    form += "%z" if "%z" in parts else ""
    for number, token in enumerate(parts, 1):
        form = form.replace(token, rf"\{number}")
    month = rf"\{parts.index(word) + 1}" if word else None
    return IsoRewriting(f"^{pattern}$", form, month)


def month_numbers() -> dict[str, str]:
    """Return the two digits of each month, by the first three letters of its name in lower case."""
    return {name: f"{number:02}" for name, number in _MONTH_NUMBERS.items()}


def _reading(part: dict[str, str]) -> Reading | None:
    fraction = part.get("f") or part.get("L") or ""
    if "s" in part:
        # No such number has more digits than its years.
        digits = part["s"].lstrip("0")
        micros = int(digits or 0) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
        return Reading(micros, is_cut=bool(fraction[6:].strip("0"))) if len(digits) < 13 else None
    day = _date(part)
    hour = _hour(part)
    if day is None or hour is None:
        return None
    name = (part.get("a") or part.get("A") or "").lower()
    if name and not _DAYS[day.weekday()].startswith(name):
        return None
    minute, second = int(part.get("M", 0)), int(part.get("S", 0))
    return reading(
        day.year,
        day.month,
        day.day,
        hour,
        minute,
        second,
        fraction=fraction,
        offset=part.get("z"),
    )


def _date(part: dict[str, str]) -> date | None:
    """Return the day of a text; None where there is no such day."""
    if "Y" in part:
        year = int(part["Y"])
    else:
        short = int(part["y"])
        year = short + (1900 if short > 68 else 2000)
    try:
        if "j" in part:
            day = date(year, 1, 1) + timedelta(days=int(part["j"]) - 1)
            return day if day.year == year else None
        word = part.get("b") or part.get("B")
        month = _MONTH_NUMBERS[word[:3].lower()] if word is not None else int(part["m"])
        return date(year, month, int(part.get("d") or part["e"]))
    except (ValueError, OverflowError):
        return None


def _hour(part: dict[str, str]) -> int | None:
    """Return the hour of a text, 0 where it has none; None where there is no such hour."""
    if "I" not in part:
        return int(part.get("H", 0))
    hour = int(part["I"])
    return hour % 12 + 12 * (part["p"].lower() == "pm") if 1 <= hour <= 12 else None
