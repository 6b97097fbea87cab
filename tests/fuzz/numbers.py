"""Numbers, truth values and dates, and the forms in which they are written."""

from __future__ import annotations

import math
import struct
from datetime import date
from decimal import Context, Decimal

from corpus.chance import Chance
from fuzz.chances import between, weighted
from fuzz.model import BAD, Value

_BLANK = (" ", "\t", "\n", " \r\n")
_NO_NUMBERS = (
    "abc",
    "0x10",
    "1_000",
    "1,000",
    "١٢",
    "--1",
    "1e",
    "e5",
    ".",
    "+",
    "-",
    "2 3",
    "1.2.3",
    "1e400",
    "½",
    "",
)
_NO_DATES = (
    *(
        "2024-02-30",
        "2023-02-29",
        "2024-3-1",
        "20240301",
        " 2024-03-01",
        "2024-03-01 ",
        "0000-01-01",
        "x",
        "",
    ),
    *("10000-01-01", "2024-03-01T12:00:00Z", "01.03.2024", "٢٠٢٤-03-01", "1709294400", "-"),
)
_WIDE = Context(prec=100)


def whole(chance: Chance, bits: int) -> Value:
    """Return a whole number for a type of so many bits, its sign included."""
    limit = 1 << (bits - 1)
    if chance.happens(0.08):
        beyond = (
            str(limit),
            str(-limit - 1),
            "120.5",
            "0.1",
            "1e-1",
            "9" * 400,
            "NaN",
            *_NO_NUMBERS,
        )
        return Value(chance.choice(beyond), BAD)
    edges = (0, 1, -1, limit - 1, -limit, 2**31 - 1, min(limit - 1, 2**53 + 1), 10, -120, 1000)
    number = chance.choice(edges) if chance.happens(0.3) else between(chance, -limit, limit - 1)
    if chance.happens(0.4):
        number = number % 1000
    return Value(_spelled(chance, Decimal(number)), number)


def decimal(chance: Chance, precision: int, scale: int) -> Value:
    """Return a number for `decimal(precision,scale)`."""
    if chance.happens(0.08):
        more = f"0.{'0' * scale}1"
        large = "1" + "0" * (precision - scale)
        return Value(
            chance.choice((more, large, f"-{large}", "NaN", "Infinity", *_NO_NUMBERS)), BAD
        )
    most = 10**precision - 1
    unscaled = (
        chance.choice((0, 1, -1, most, -most))
        if chance.happens(0.2)
        else between(chance, -most, most)
    )
    if chance.happens(0.4):
        unscaled %= 10 ** min(precision, 4)
    number = Decimal(unscaled).scaleb(-scale, context=_WIDE)
    return Value(_spelled(chance, number), number)


def _spelled(chance: Chance, number: Decimal) -> str:
    """Return a number in one of the forms that mean exactly it."""
    plain = f"{number:f}"
    form = weighted(
        chance, [(12, "plain"), (2, "zeros"), (1, "exponent"), (1, "blank"), (1, "lead")]
    )
    if form == "zeros":
        return plain + (".0" if "." not in plain else "0") + "0" * chance.below(3)
    if form == "exponent":
        up = between(chance, 0, 6)
        mark = chance.choice("eE") + chance.choice(("", "+") if up else ("", "+", "-"))
        return f"{number.scaleb(-up, context=_WIDE):f}{mark}{up}"
    if form == "blank":
        return chance.choice(_BLANK) + plain + chance.choice(_BLANK)
    if form == "lead":
        sign, digits = ("-", plain[1:]) if plain[0] == "-" else (chance.choice(("", "+")), plain)
        return sign + chance.choice(("0", "00", "")) + digits
    return plain


def floating(chance: Chance, bits: int) -> Value:
    """Return a number for `double` (64) or `float` (32)."""
    shape = weighted(chance, [(10, "any"), (6, "small"), (1, "named"), (1, "bad"), (1, "edge")])
    if shape == "bad":
        beyond = ("1e400", "-1e309") if bits == 64 else ("1e39", "-3.5e38", "1e400")
        return Value(chance.choice((*_NO_NUMBERS, *beyond)), BAD)
    if shape == "named":
        word = chance.choice(
            ("NaN", "nan", "Infinity", "-Infinity", "inf", "-INF", "+inf", " NaN ")
        )
        return Value(word, float(word.strip()))
    if shape == "edge":
        return _edge(chance, bits)
    number = (
        between(chance, -(10**6), 10**6) / 100 if shape == "small" else _any_float(chance, bits)
    )
    if bits == 32:
        number = _single(number)
    text = repr(number) if bits == 64 or chance.happens(0.5) else f"{number:.9g}"
    if chance.happens(0.1):
        text = text.upper()
    elif chance.happens(0.05):
        text = f" {text}\n"
    elif chance.happens(0.05) and 1e-20 < abs(number) < 1e20:
        text = f"{Decimal(number):f}"  # every digit of it
    return Value(text, number)


def _edge(chance: Chance, bits: int) -> Value:
    if bits == 64:
        texts = (
            "1e-400",
            "-0.0",
            "1.7976931348623157e308",
            "5e-324",
            "9007199254740993",
            "0.1",
            "0.10",
            "1e23",
        )
        text = chance.choice(
            (
                *texts,
                "0.1000000000000000055511151231257827",
                "1" + "0" * 300,
                "2.2250738585072011e-308",
            )
        )
        return Value(text, float(text))
    tie = "1.000000059604644775390625"  # between two of 32 bits
    pairs = (
        ("0.1", 0.1),
        ("16777217", 16777216.0),
        (tie, 1.0),
        (tie + "1", 1 + 2**-23),
        ("1e-50", 0.0),
    )
    text, near = chance.choice(
        (*pairs, ("3.4028235e38", 3.4028234663852886e38), ("16777219", 16777220.0))
    )
    return Value(text, _single(near))


def _any_float(chance: Chance, bits: int) -> float:
    form, width = ("<d", 8) if bits == 64 else ("<f", 4)
    while True:
        raw = between(chance, 0, (1 << bits) - 1).to_bytes(width, "little")
        number: float = struct.unpack(form, raw)[0]
        if math.isfinite(number):
            return number


def _single(number: float) -> float:
    single: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return single


def boolean(chance: Chance) -> Value:
    """Return a truth value."""
    if chance.happens(0.08):
        return Value(chance.choice(("2", "-1", "on", "off", "wahr", "01", "1.0", "tru", "")), BAD)
    is_true = chance.happens(0.5)
    word = chance.choice(
        ("true", "true", "t", "yes", "y", "1")
        if is_true
        else ("false", "false", "f", "no", "n", "0")
    )
    word = chance.choice((word, word, word.upper(), word.title(), f" {word}\t"))
    return Value(word, is_true)


def day(chance: Chance) -> Value:
    """Return a date."""
    if chance.happens(0.08):
        return Value(chance.choice(_NO_DATES), BAD)
    edges = (
        date.min,
        date.max,
        date(1970, 1, 1),
        date(1969, 12, 31),
        date(2024, 2, 29),
        date(1900, 2, 28),
    )
    at = (
        chance.choice(edges)
        if chance.happens(0.2)
        else date.fromordinal(between(chance, 1, date.max.toordinal()))
    )
    return Value(at.isoformat(), at)
