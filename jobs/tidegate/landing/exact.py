"""Values of text, one by one: the rules. `convert` does the same for many at once.

Nothing is rounded and nothing is guessed: what does not fit its type is None.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import date
from decimal import Context, Decimal, InvalidOperation

from tidegate.landing.times import BLANKS

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"nan|[+-]?inf(?:inity)?", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TRUE = frozenset(["true", "t", "yes", "y", "1"])
_FALSE = frozenset(["false", "f", "no", "n", "0"])
_LARGEST_SINGLE = float(2**128 - 2**104)
_WIDE = Context(prec=80)


def whole(text: str, bits: int) -> int | None:
    """Return a whole number: `120`, `120.0` and `1.2e2` are 120, `120.5` is none.

    Args:
        text: of the number.
        bits: of the type that it has to fit, with its sign.
    """
    number = _number(text)
    if number is None or (number and not 0 <= number.adjusted() < 20):
        return None
    value = int(number)
    limit = 1 << (bits - 1)
    return value if value == number and -limit <= value < limit else None


def decimal(text: str, precision: int, scale: int) -> Decimal | None:
    """Return a decimal with every digit of its text; None where it has more of them than the type.

    Args:
        text: of the number.
        precision: digits of the type.
        scale: those of them that follow the point.
    """
    number = _number(text)
    if number is None:
        return None
    if not number:
        return Decimal(0).scaleb(-scale)
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if exponent + zeros < -scale or number.adjusted() >= precision - scale:
        return None
    return number.quantize(Decimal(1).scaleb(-scale), context=_WIDE)


def floating(text: str, bits: int) -> float | None:
    """Return a floating point number; one beyond the type is none, but `NaN` and `Infinity` are.

    Args:
        text: of the number.
        bits: of the type: 32 or 64.
    """
    bare = text.strip(BLANKS)
    if _NOT_FINITE.fullmatch(bare):
        return float(bare)
    if _NUMBER.fullmatch(bare) is None:
        return None
    value = float(bare)
    if value in (float("inf"), float("-inf")):
        return None
    if bits == 64:
        return value
    return _single(bare, value)


def _single(bare: str, near: float) -> float | None:
    """Return the number of 32 bits that is nearest to a text; None beyond the type.

    The double that is nearest to the text may lie in the middle of two of them, where the text does not.

    Args:
        bare: the text.
        near: that double.
    """
    below, above = (_packed(math.nextafter(near, end)) for end in (-math.inf, math.inf))
    if below != above and near - below == above - near:
        text, middle = Decimal(bare), Decimal(near)
        single = below if text < middle else above if text > middle else _packed(near)
    else:
        single = _packed(near)
    return None if abs(single) > _LARGEST_SINGLE else single


def _packed(value: float) -> float:
    """Return a double rounded to 32 bits, as a double; one beyond them is the next power of two."""
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(2.0**128, value)
    return single


def boolean(text: str) -> bool | None:
    """Return a truth value: true, t, yes, y, 1 or false, f, no, n, 0, in any case."""
    word = text.strip(BLANKS).lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def day(text: str) -> date | None:
    """Return a date of the form `2024-03-01`."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _number(text: str) -> Decimal | None:
    bare = text.strip(BLANKS)
    if _NUMBER.fullmatch(bare) is None:
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:  # an exponent beyond any
        return None
