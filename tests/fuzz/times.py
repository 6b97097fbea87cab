"""Times, and the forms in which they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from corpus.chance import Chance
from fuzz.chances import between, weighted
from fuzz.clocks import Clock
from fuzz.model import BAD, HOUR, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999 in microseconds since 1970."""
ONE_HOUR = 3_600_000_000
NO_TIMES = (
    *("noon", "2024-02-30T12:00:00Z", "2023-02-29T12:00:00Z", "2024-03-01T24:00:00Z", "2024-03-01"),
    *("2024-03-01T12:60:00Z", "2024-03-01T12:00:61Z", "2024-03-01T12:00:60Z", "0000-03-01T12:00:00Z"),
    *("2024-03-01T12:00:00+18:01", "2024-03-01T12:00:00+19:00", "2024-03-01T12:00:00-23:00"),
    *("2024-W09-5T12:00:00Z", "2024-061T12:00:00Z", "12:00:00", "1.2.2024 12:00", "03/01/2024 12:00:00"),
    *("2024-03-01T12:00:00 Europe/Berlin", "2024-03-01T12:00:00ZZ", "2024-03-01T12:00:00.Z", "24-03-01T12:00Z"),
    *("2024-3-1T12:00:00Z", "10000-01-01T00:00:00Z", "2024-03-01T12:00:00+1", "2024-13-01T12:00:00Z", "x", "-"),
    *("2024-03-01T12:00:00+05:60", "٢٠٢٤-03-01T12:00:00Z", "2024-03-01T1२:00:00Z", "2024-03-01  12:00:00Z"),
    *("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2024-03-01T12:00:00\u00a0Z", "true", "{}"),
)  # fmt: skip
NO_NUMBERS = (
    "noon",
    "1e400",
    "1e99",
    "0x10",
    "NaN",
    "Infinity",
    "1_000",
    "2024-03-01T12:00:00Z",
    "1,5",
    "-",
    "١٢",
    "--1",
)
"""Texts that are no number of seconds since 1970, or none within the years 1 to 9999."""


def event_micros(chance: Chance, late: int, future: int) -> int:
    """Return the time of an event: mostly within its hour, else at an edge of what the source accepts."""
    hour = micros_of(HOUR)
    first, last = hour - late * ONE_HOUR, hour + (1 + future) * ONE_HOUR
    at = weighted(
        chance,
        [(40, "inside"), (1, "first"), (1, "last"), (1, "before"), (1, "behind"), (1, "far")],
    )
    if at == "inside":
        return between(chance, max(first, hour - 10**10, FIRST), min(last, hour + 36 * 10**8, LAST))
    if at == "far":
        return between(chance, FIRST, LAST)
    edge = {"first": first, "last": last, "before": first - 1, "behind": last + 1}[at]
    return min(max(edge, FIRST), LAST)


def any_micros(chance: Chance) -> int:
    """Return a time: of these years, or at an edge of what a calendar has."""
    shape = weighted(chance, [(6, "near"), (2, "far"), (1, "edge"), (1, "whole")])
    if shape == "near":
        return between(chance, 0, 2 * 10**15)
    if shape == "far":
        return between(chance, FIRST, LAST)
    if shape == "whole":
        return 60_000_000 * between(chance, -(10**7), 5 * 10**7)
    edges = (
        FIRST,
        LAST,
        0,
        -1,
        1,
        -999_999,
        951_782_400_000_000,
        -2_203_891_200_000_000,
        2**31 * 10**6,
    )
    return chance.choice(edges)


def micros_of(at: datetime) -> int:
    """Return the microseconds of a time since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def written_iso(chance: Chance, micros: int) -> Value:
    """Return a time as ISO 8601 has it, in one of the forms that are read."""
    if chance.happens(0.4):  # what most producers write
        local = EPOCH + timedelta(microseconds=micros)
        text = f"{_date(local, '-')}T{local:%H:%M:%S}"
        text += f".{micros % 10**6:06}" if micros % 10**6 or chance.happens(0.3) else ""
        return Value(f"{text}Z", micros)
    offset, zone = _zone(chance)
    if not FIRST <= micros + offset * 60_000_000 <= LAST:
        offset, zone = 0, "Z"
    micros_local = micros + offset * 60_000_000
    local = EPOCH + timedelta(microseconds=micros_local)
    is_basic = chance.happens(0.2)
    mark = "" if is_basic else ":"
    day = _date(local, "" if is_basic else "-") + chance.choice("TTt" if is_basic else "TTTt ")
    fraction, is_cut = _fraction(chance, micros_local % 10**6)
    clock = f"{local:%H}{mark}{local:%M}"
    is_leap = (
        micros_local % 60_000_000 < 1_000_000
        and _follows_leap_second(micros)
        and chance.happens(0.7)
    )
    if is_leap:
        before = local - timedelta(minutes=1)
        day = _date(before, "" if is_basic else "-") + day[-1]
        clock = f"{before:%H}{mark}{before:%M}{mark}60{fraction}"
    elif fraction or local.second or chance.happens(0.7):
        clock += f"{mark}{local:%S}{fraction}"
    blank = chance.choice((" ", "\t", "\n", " \r")) if chance.happens(0.03) else ""
    return Value(f"{blank}{day}{clock}{zone}{blank}", micros, is_cut=is_cut)


def _date(at: datetime, mark: str) -> str:
    return f"{at.year:04}{mark}{at.month:02}{mark}{at.day:02}"


def _zone(chance: Chance) -> tuple[int, str]:
    """Return the minutes that a zone is ahead of UTC, and how it is written."""
    if chance.happens(0.5):
        return 0, chance.choice(
            ("Z", "Z", "z", "", "UTC", " UTC", "GMT", " Z", "+00:00", "-00:00", "+0000", "+00")
        )
    minutes = chance.choice(
        (60, 120, -300, 330, 345, 765, 840, 18 * 60, -18 * 60, 1, -1, 17 * 60 + 59, -150)
    )
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    forms = [
        f"{sign}{hours:02}:{rest:02}",
        f"{sign}{hours:02}{rest:02}",
        f" {sign}{hours:02}:{rest:02}",
    ]
    if not rest:
        forms.append(f"{sign}{hours:02}")
    return minutes, chance.choice(forms)


def _fraction(chance: Chance, micros: int) -> tuple[str, bool]:
    """Return how the fraction of a second is written, and whether digits of it are lost."""
    mark = chance.choice("...,")
    digits = f"{micros:06}"
    if chance.happens(0.15):
        more = chance.choice(("0", "000", "1", "999", "5", "001", "9" * 20, "0" * 30 + "1"))
        return mark + digits + more, bool(more.strip("0"))
    short = digits.rstrip("0")
    if not short:
        return chance.choice(("", "", mark + "0", mark + "000")), False
    return mark + (digits if chance.happens(0.4) else short), False


def _follows_leap_second(micros: int) -> bool:
    second = micros // 10**6 * 10**6
    if second - 1 < FIRST:
        return False
    before = EPOCH + timedelta(microseconds=second - 1)
    return (before.month, before.day) in ((6, 30), (12, 31)) and (before.hour, before.minute) == (
        23,
        59,
    )


def written_epoch(chance: Chance, micros: int, unit: str) -> Value:
    """Return a time as a number since 1970, in one of the forms that are read."""
    places = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0}[unit]
    number = Decimal(micros).scaleb(-places)
    text = f"{number:f}"
    if "." in text and chance.happens(0.7):
        text = text.rstrip("0").rstrip(".")
    form = weighted(chance, [(8, "plain"), (1, "more"), (1, "exponent"), (1, "blank"), (1, "plus")])
    if form == "more":
        digits = f"{number:.{places}f}"
        more = chance.choice(("4", "999", "000", "0001", "5" * 30))
        return Value(
            digits + ("" if "." in digits else ".") + more, micros, is_cut=bool(more.strip("0"))
        )
    if form == "exponent" and micros:
        text = f"{number:E}" if chance.happens(0.5) else f"{Decimal(micros)}e-{places}"
    elif form == "blank":
        text = f" {text}\t"
    elif form == "plus" and micros >= 0:
        text = f"+{text}"
    return Value(text, micros)


def event_time(
    chance: Chance, unit: str, late: int, future: int, clock: Clock | None = None
) -> Value:
    """Return the value of a record's time: right, absent, or no time."""
    shape = weighted(chance, [(60, "right"), (1, "none"), (1, "empty"), (2, "bad")])
    if shape == "none":
        return Value(None, None, "null")
    if shape == "empty":
        return Value(chance.choice(("", " ", "   ")), None)
    if shape == "bad" and clock is None:
        return bad_time(chance, unit)
    micros = event_micros(chance, late, future)
    if clock is not None:
        return clock.written(chance, micros)
    return written_iso(chance, micros) if unit == "iso" else written_epoch(chance, micros, unit)


def bad_time(chance: Chance, unit: str = "iso") -> Value:
    """Return a text that is no time."""
    return Value(chance.choice(NO_TIMES if unit == "iso" else NO_NUMBERS), BAD)
