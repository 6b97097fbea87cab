"""Numbers of text in the types of columns: nothing is rounded twice, nothing is guessed."""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import rows_of, source_of
from reference.values import value_of
from tidegate.landing.convert import to_type
from tidegate.landing.exact import floating

MIDDLE = Fraction(1) + Fraction(1, 2**24)
"""In the middle of 1.0 and the next number of 32 bits."""
AT = '"id":"1","at":"2024-03-01T12:00:00Z"'


def digits(number: Fraction) -> str:
    """Return all digits of a number whose denominator is a power of two."""
    return f"{Context(prec=400).divide(Decimal(number.numerator), Decimal(number.denominator)):f}"


@pytest.mark.parametrize(
    ("text", "single"),
    [
        (digits(MIDDLE), 1.0),
        (digits(MIDDLE) + "1", 1.0000001192092896),
        (digits(MIDDLE) + "0" * 30 + "1", 1.0000001192092896),
        (digits(MIDDLE)[:-1] + "4" + "9" * 30, 1.0),
        ("-" + digits(MIDDLE) + "1", -1.0000001192092896),
        ("0.1", 0.10000000149011612),
        ("16777217", 16777216.0),
        ("16777217.0000000000000000001", 16777218.0),
        ("3.4028235677973366e38", 3.4028234663852886e38),
        ("340282356779733661637539395458142568447.9", 3.4028234663852886e38),
        ("340282356779733661637539395458142568448", None),
        ("1e39", None),
        ("1e-50", 0.0),
        ("7.006492321624085e-46", 0.0),
        ("7.0064923216240854e-46", 1.401298464324817e-45),
        ("NaN", "nan"),
        ("-Infinity", float("-inf")),
    ],
)
def test_a_number_of_32_bits_is_rounded_once(text: str, single: float | str | None) -> None:
    found = floating(text, 32)
    assert (str(found) if single == "nan" else found) == single
    [column] = to_type(pa.array([text]), "float").to_pylist()
    assert (str(column) if single == "nan" else column) == single


@given(
    st.integers(0, 0x7F7FFFFE),
    st.sampled_from(["", "1", "000000000000000000000000001"]),
    st.booleans(),
)
def test_texts_near_the_middle_of_two_numbers_are_those_of_the_reference(
    bits: int, more: str, is_negative: bool
) -> None:
    low, high = (struct.unpack("<f", struct.pack("<i", n))[0] for n in (bits, bits + 1))
    middle = (Fraction(low) + Fraction(high)) / 2
    text = digits(middle)
    text = ("-" if is_negative else "") + text + ("." if "." not in text else "") + more
    assert repr(floating(text, 32)) == value_of(text, "float")


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_any_number_is_that_of_the_reference(text: str) -> None:
    for kind, bits in (("float", 32), ("double", 64)):
        found = floating(text, bits)
        assert (None if found is None else repr(found)) == value_of(text, kind)


def test_doubles_of_a_file_are_rounded_by_their_value() -> None:
    values = pa.array([float(MIDDLE), 1.0000000596046448, 1e39, float("inf"), None, 0.1])
    single = [1.0, 1.0, None, float("inf"), None, 0.10000000149011612]
    assert to_type(values, "float").to_pylist() == single


@pytest.mark.parametrize("copies", [1, 50])
def test_json_keeps_every_digit_and_knows_whole_numbers(copies: int) -> None:
    columns = {
        "whole": {"path": "w", "type": "int"},
        "big": {"path": "w", "type": "bigint"},
        "exact": {"path": "d", "type": "decimal(38,18)"},
        "single": {"path": "f", "type": "float"},
    }
    middle = digits(MIDDLE)
    lines = [
        f'{{{AT},"w":{whole},"d":{exact},"f":{single}}}'
        for whole, exact, single in [
            ("120", "12345678901234567890.123456789012345678", middle + "1"),
            ("120.0", "1e-18", middle),
            ("1.2e2", "0.10", "0.1"),
            ("120.5", "1", "1"),
            ("1", "1e-19", "1"),
            ("1", "1", "1e39"),
        ]
        for _ in range(copies)
    ]
    rows = rows_of(source_of(columns=columns), lines)[::copies]
    assert [row["_reason"] for row in rows] == [None, None, None, *["bad_value"] * 3]
    assert [(row["whole"], row["big"]) for row in rows[:3]] == [(120, 120)] * 3
    assert [row["exact"] for row in rows[:3]] == [
        "12345678901234567890.123456789012345678",
        "1E-18",
        "0.100000000000000000",
    ]
    assert [row["single"] for row in rows[:3]] == [1.0000001192092896, 1.0, 0.10000000149011612]
