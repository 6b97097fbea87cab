"""Columns to the type of a source's column: exactly, or not at all."""

from __future__ import annotations

import random
from decimal import Context, Decimal

import pyarrow as pa
import pytest

from tidegate.landing.convert import to_type

WIDE = Context(prec=100)


def fitting(number: Decimal, precision: int, scale: int) -> Decimal | None:
    """Return a number if a decimal has all of its digits."""
    scaled = number.scaleb(scale, context=WIDE)
    is_whole = scaled == scaled.to_integral_value(context=WIDE)
    return number if is_whole and scaled.copy_abs() < Decimal(10) ** precision else None


def check(values: pa.Array, numbers: list[Decimal], precision: int, scale: int) -> None:
    typed = to_type(values, f"decimal({precision},{scale})")
    typed.validate(full=True)
    assert typed.to_pylist() == [fitting(number, precision, scale) for number in numbers]


@pytest.mark.parametrize("number", [0, 1, -1, 9, 58, 99, 10**18, 2**63 - 1, -(2**63)])
def test_whole_numbers_are_decimals_that_can_hold_them_and_no_others(number: int) -> None:
    for precision, scale in [
        (1, 0),
        (2, 2),
        (20, 1),
        (38, 0),
        (38, 19),
        (38, 20),
        (38, 37),
        (38, 38),
    ]:
        check(pa.array([number], pa.int64()), [Decimal(number)], precision, scale)


def test_decimals_of_any_width_are_decimals_that_can_hold_them_and_no_others() -> None:
    chance = random.Random(5)
    for _ in range(800):
        width, places = (bound := chance.randint(1, 38)), chance.randint(0, bound)
        counts = [0, 1, -1, 10**width - 1, chance.randint(-(10**width) + 1, 10**width - 1)]
        numbers = [Decimal(count).scaleb(-places, context=WIDE) for count in counts]
        precision = chance.randint(1, 38)
        for number in numbers:
            values = pa.array([number], pa.decimal128(width, places))
            check(values, [number], precision, chance.randint(0, precision))
            check(
                values.cast(pa.decimal256(76, places)),
                [number],
                precision,
                chance.randint(0, precision),
            )
