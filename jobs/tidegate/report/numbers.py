"""Numbers, sizes and times as people write them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal

from tidegate.common.durations import duration_text

NONE = "\N{EN DASH}"
"""What stands where there is no value."""
SHARE, SECONDS = "share", "seconds"
"""Units that numbers have words for."""


def number(value: float | Decimal | None) -> str:
    """Return a number with its thousands apart; four digits of one that is not whole."""
    if value is None:
        return NONE
    if isinstance(value, Decimal):
        return f"{value:,}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    whole = isinstance(value, int) or 1e3 <= abs(value) < 1e15 or value == round(value)
    return f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.4g}"


def percent(value: float | None) -> str:
    """Return a share as a percentage: `2.1 %`, `0.04 %`, `100 %`."""
    if value is None:
        return NONE
    hundred = value * 100
    if hundred and abs(hundred) < 0.01:
        return f"{hundred:.1g} %"
    text = f"{hundred:,.{1 if abs(hundred) >= 1 else 2}f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def seconds(value: float | None) -> str:
    """Return a number of seconds as people say it: `4m 52s`; fractions below a minute."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) < 60:
        return f"{value:.3g}s"
    if abs(value) > timedelta.max.total_seconds():
        return f"{number(value)}s"
    sign = "-" if value < 0 else ""
    return sign + duration_text(timedelta(seconds=round(abs(value))))


def in_unit(value: float | Decimal | None, unit: str | None) -> str:
    """Return a number in its unit, None for a plain one."""
    if value is not None and unit == SHARE:
        return percent(float(value))
    if value is not None and unit == SECONDS:
        return seconds(float(value))
    return number(value)


def short(value: float) -> str:
    """Return a number in few characters: `1.2k`, `3M`, `0.05`."""
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}" if abs(value) < 1e15 else f"{value:.2g}"
    return f"{value:.3g}"


def size(value: int | None) -> str:
    """Return a number of bytes in its largest unit."""
    if value is None:
        return NONE
    if value < 1024:
        return f"{value} B"
    number_, unit = float(value), ""
    for unit in ("KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the last one is the largest there is
        number_ /= 1024
        if number_ < 1024:
            break
    return f"{number_:.3g} {unit}" if number_ < 1000 else f"{number_:.0f} {unit}"


def time(value: datetime | None) -> str:
    """Return a time to the second."""
    return NONE if value is None else f"{value:%Y-%m-%d %H:%M:%S}"
