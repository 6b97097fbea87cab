"""Values of columns: from text to the type of the column, without loss, in the text form of the corpus."""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from reference.times import exact_number, iso_time

_SPACES = "".join(map(chr, range(33))) + "\x7f"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_LARGEST_SINGLE = Fraction((2**24 - 1) * 2**104)
_WIDE = Context(prec=200)


def value_of(text: str, kind: str) -> Any:
    """Return the value of a text; None where it does not fit the type.

    Args:
        text: as it stands in the line.
        kind: type of a column, such as `int` or `decimal(10,2)`.

    Returns:
        What JSON has for text, whole numbers and booleans, and text for all else: `time_text`, a date as in
        ISO 8601, a decimal with all digits of its scale, a float as `repr` writes it.
    """
    if kind == "string":
        return text
    if kind == "timestamp":
        at = iso_time(text)
        return None if at is None else time_text(at)
    if kind == "date":
        return _date(text)
    if kind == "boolean":
        word = text.strip(_SPACES).lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if kind in ("double", "float"):
        number = _float(text, is_single=kind == "float")
        return None if number is None else repr(number)
    exact = exact_number(text)
    if exact is None:
        return None
    if kind in ("int", "bigint"):
        limit = 2 ** (31 if kind == "int" else 63)
        return int(exact) if exact.denominator == 1 and -limit <= exact < limit else None
    precision, scale = map(int, kind[len("decimal(") : -1].split(","))
    scaled = exact * 10**scale
    if scaled.denominator != 1 or abs(scaled) >= 10**precision:
        return None
    return f"{Decimal(int(scaled)).scaleb(-scale, context=_WIDE):f}"


def time_text(at: datetime) -> str:
    """Return a time as the corpus has it."""
    utc = at.astimezone(UTC)
    return f"{utc.year:04d}-{utc:%m-%d %H:%M:%S.%f}"


def _date(text: str) -> str | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _float(text: str, *, is_single: bool) -> float | None:
    bare = text.strip(_SPACES)
    if re.fullmatch(r"(?i)nan|[+-]?inf(inity)?", bare):
        return float(bare)
    exact = exact_number(bare)
    if exact is None:
        return None
    try:
        value = float(bare)
        return _single(exact, value) if is_single else value if abs(value) != float("inf") else None
    except OverflowError:
        return None


def _single(exact: Fraction, near: float) -> float | None:
    """Return the float32 that is nearest to a number, the even one of two; None beyond the type.

    To round a double again may give the other neighbour.
    """
    if abs(exact) >= _LARGEST_SINGLE + 2**103:
        return None
    [bits] = struct.unpack("<i", struct.pack("<f", min(abs(near), float(_LARGEST_SINGLE))))
    near_bits = [b for b in (bits - 1, bits, bits + 1) if 0 <= b <= 0x7F7FFFFF]
    floats = [(struct.unpack("<f", struct.pack("<i", b))[0], b) for b in near_bits]
    value: float = min(floats, key=lambda pair: (abs(Fraction(pair[0]) - abs(exact)), pair[1] % 2))[
        0
    ]
    return -value if near < 0 or (near == 0 and str(near)[0] == "-") else value
