"""Literals: values of suites as parts of DuckDB's SQL, with every digit that they have."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from tidegate.common.sql_quoting import literal as quoted_text
from tidegate.gate.rows import Column

_WIDEST = 38
"""Digits that a decimal of DuckDB has at most."""


def value_sql(value: Any, column: Column | None = None) -> str:
    """Return a value as a literal.

    Args:
        value: of a suite.
        column: what it is compared with, where that is known: exact numbers are compared exactly.

    Raises:
        ValueError: SQL has no literal for it.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"({value})" if value < 0 else str(value)
    if isinstance(value, float):
        exact = column is not None and column.digits is not None and math.isfinite(value)
        return _decimal(Decimal(repr(value))) if exact else _double(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"TIMESTAMPTZ '{at.strftime('%Y-%m-%d %H:%M:%S.%f')}+00'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        # The parser reads no text behind a NUL.
        return " || chr(0) || ".join(map(quoted_text, value.split("\x00")))
    raise ValueError(
        f"a value of a suite is a text, a number, a truth value or a date, got {value!r}"
    )


def compare(column: Column, operator: str, limit: Any) -> str:
    """Return the condition that the values of a column lie on one side of a limit.

    An exact number is compared with an exact number: a double that stands between two values of the column
    is moved to the nearer one on the right side, so that nothing is rounded.

    Args:
        column: the column.
        operator: `<`, `<=`, `>` or `>=`.
        limit: the limit.
    """
    digits = column.digits
    number = isinstance(limit, int | float | Decimal) and not isinstance(limit, bool)
    if digits is None or not number or not math.isfinite(limit):
        if number and not isinstance(limit, bool) and column.is_float:
            return f"{column.sql} {operator} {_double(float(limit))}"
        return f"{column.sql} {operator} {value_sql(limit)}"
    before, after = digits
    exact = Decimal(repr(limit)) if isinstance(limit, float) else Decimal(limit)
    if abs(exact) >= Decimal(10) ** before:
        return "TRUE" if (exact > 0) == operator.startswith("<") else "FALSE"
    # x <= 5.5 is x <= 5 and x < 5.5 is x < 6 of whole numbers; likewise at the last digit of a decimal.
    rounding = ROUND_FLOOR if operator in ("<=", ">") else ROUND_CEILING
    with localcontext() as context:
        context.prec = 2 * _WIDEST + 2
        nearest = exact.quantize(Decimal(1).scaleb(-after), rounding=rounding)
    if abs(nearest) >= Decimal(10) ** before:  # rounded beyond what the column can hold
        return "TRUE" if (nearest > 0) == operator.startswith("<") else "FALSE"
    return f"{column.sql} {operator} {_decimal(nearest)}"


def _double(value: float) -> str:
    return f"CAST('{value!r}' AS DOUBLE)"


def _decimal(value: Decimal) -> str:
    """Return an exact number as a decimal, or as a double where it has too many digits for one."""
    text = format(value, "f")
    digits = text.lstrip("-").replace(".", "").lstrip("0")
    after = len(text.partition(".")[2])
    width = max(len(digits), after + 1, 1)
    if width > _WIDEST:
        return _double(float(value))
    return f"CAST('{text}' AS DECIMAL({width}, {after}))"
