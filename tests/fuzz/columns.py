"""Columns of Parquet files: Arrow types, and what their values mean for the type of a source's column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa

from corpus.chance import Chance
from fuzz import numbers, times
from fuzz.chances import between, weighted
from fuzz.model import BAD, NOTHING, Value
from fuzz.times import EPOCH
from fuzz.values import SCALARS, value

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_WIDE = Context(prec=100)
_UNITS = {"s": 10**6, "ms": 10**3, "us": 1}
Make = Callable[[Chance, int], Value]


@dataclass(frozen=True)
class Carrier:
    """A column of a file.

    Attributes:
        type: of its values.
        make: returns a value for the record of a number; its `arrow` is what the file holds.
    """

    type: pa.DataType
    make: Make


def random_carrier(chance: Chance, kind: str, unit: str) -> Carrier:
    """Return a column that holds values for a type or a field of an event.

    Args:
        chance: that decides.
        kind: such as `bigint`, `event_time` or `user_id`.
        unit: of event times.
    """
    makers: list[tuple[int, Callable[[], Carrier]]] = [(6, lambda: _texts(chance, kind, unit))]
    is_text = kind == "string" or kind in SCALARS
    if kind != "event_id":
        makers.append((1, lambda: Carrier(pa.null(), lambda _c, _n: NOTHING)))
    if kind in ("event_time", "timestamp", "string"):
        makers.append((8 if kind != "string" else 1, lambda: _timestamps(chance, kind)))
    if kind != "float":
        makers.append(
            (
                4 if kind not in ("event_time", "date", "timestamp") else 1,
                lambda: _integers(chance, kind, unit),
            )
        )
    if kind in ("date", "string", "timestamp"):
        makers.append((5 if kind == "date" else 1, lambda: _dates(chance, kind)))
    if kind in ("double", "float", "int", "bigint") or kind.startswith("decimal"):
        makers.append((4, lambda: _doubles(kind)))
    if kind in ("boolean", "string", "int"):
        makers.append((3 if kind == "boolean" else 1, lambda: _booleans(kind)))
    if is_text or kind in ("int", "bigint") or kind.startswith("decimal"):
        makers.append((3, lambda: _decimals(chance, kind)))
    if is_text or kind in ("int", "date"):
        makers.append((1, lambda: _nested(chance, kind)))
    carrier = weighted(chance, makers)()
    share = chance.choice((0.0, 0.05, 0.5)) if kind not in ("event_id", "event_time") else 0.01

    def make(at: Chance, number: int) -> Value:
        return NOTHING if at.happens(share) else carrier.make(at, number)

    return Carrier(carrier.type, make)


def _texts(chance: Chance, kind: str, unit: str) -> Carrier:
    is_binary = chance.happens(0.2)
    arrow = chance.choice(
        (pa.binary(), pa.large_binary())
        if is_binary
        else (pa.string(), pa.string(), pa.large_string())
    )
    if not is_binary and chance.happens(0.2):
        arrow = pa.dictionary(pa.int32(), pa.string())

    def make(at: Chance, number: int) -> Value:
        if is_binary and at.happens(0.02):
            return Value(None, BAD, arrow=b"\xff\x00a", fault="not_utf8")
        made = (
            times.event_time(at, unit, 72, 1)
            if kind == "event_time"
            else value(at, kind, number, is_json=False)
        )
        if made.text is None:
            return made
        return replace(made, arrow=made.text.encode() if is_binary else made.text)

    return Carrier(arrow, make)


def _timestamps(chance: Chance, kind: str) -> Carrier:
    unit = "us" if kind == "string" else chance.choice(("s", "ms", "us", "us", "ns"))
    zone = chance.choice((None, "UTC", "Europe/Berlin"))

    def make(at: Chance, _: int) -> Value:
        micros = times.event_micros(at, 72, 1) if kind == "event_time" else times.any_micros(at)
        if unit == "ns":
            micros = max(min(micros, 9 * 10**15), -9 * 10**15)
            more = at.below(1000) if at.happens(0.5) else 0
            return Value("a time", micros, arrow=micros * 1000 + more)
        count = micros // _UNITS[unit]
        micros = count * _UNITS[unit]
        if kind != "event_time" and at.happens(0.02) and unit != "us":
            return Value("", BAD, arrow=10**14 * (1 if unit == "s" else 100), fault="bad_value")
        whole = EPOCH + timedelta(microseconds=micros)
        text = f"{whole.year:04}-{whole:%m-%dT%H:%M:%S.%f}Z" if kind == "string" else "a time"
        return Value(text, text if kind == "string" else micros, arrow=count)

    return Carrier(pa.timestamp(unit, zone), make)


def _integers(chance: Chance, kind: str, unit: str) -> Carrier:
    name = chance.choice(_INTEGERS)
    arrow = getattr(pa, name)()
    bits = arrow.bit_width
    first, last = (
        (0, (1 << bits) - 1) if name[0] == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    )
    if kind == "event_time" and unit != "iso":
        arrow = pa.int64()

    def make(at: Chance, _: int) -> Value:
        if kind == "event_time" and unit != "iso":
            scale = {"epoch_s": 10**6, "epoch_ms": 10**3, "epoch_us": 1}[unit]
            count = times.event_micros(at, 72, 1) // scale
            return Value(str(count), count * scale, arrow=count)
        number = at.choice((first, last, 0, 1)) if at.happens(0.1) else between(at, first, last)
        if at.happens(0.5):
            number = number % 100
        return Value(str(number), _of_whole(number, kind), arrow=number)

    return Carrier(arrow, make)


def _of_whole(number: int, kind: str) -> Any:
    """Return what a whole number means for a type."""
    if kind in ("int", "bigint"):
        limit = 1 << (31 if kind == "int" else 63)
        return number if -limit <= number < limit else BAD
    if kind.startswith("decimal"):
        return _of_decimal(Decimal(number), kind)
    if kind == "double":
        return float(number)
    if kind == "boolean":
        return {0: False, 1: True}.get(number, BAD)
    return str(number) if kind == "string" or kind in SCALARS else BAD


def _of_decimal(number: Decimal, kind: str) -> Any:
    """Return what a decimal means for a type."""
    if kind in ("int", "bigint"):
        return _of_whole(int(number), kind) if number == int(number) else BAD
    if not kind.startswith("decimal"):
        return f"{number:f}"
    precision, scale = map(int, kind[len("decimal(") : -1].split(","))
    scaled = number.scaleb(scale, context=_WIDE)
    is_exact = scaled == scaled.to_integral_value(context=_WIDE)
    return number if is_exact and scaled.copy_abs() < Decimal(10) ** precision else BAD


def _decimals(chance: Chance, kind: str) -> Carrier:
    precision, scale = chance.choice(((5, 2), (18, 0), (38, 10), (38, 0), (9, 9), (50, 5)))
    arrow = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)

    def make(at: Chance, _: int) -> Value:
        most = 10 ** min(precision, at.choice((2, 4, 10, 60))) - 1
        number = Decimal(between(at, -most, most)).scaleb(-scale, context=_WIDE)
        return Value(f"{number:f}", _of_decimal(number, kind), arrow=number)

    return Carrier(arrow, make)


def _dates(chance: Chance, kind: str) -> Carrier:
    arrow = chance.choice((pa.date32(), pa.date32(), pa.date64()))

    def make(at: Chance, _: int) -> Value:
        if at.happens(0.02) and arrow == pa.date32():
            return Value("", BAD, arrow=4_000_000, fault="bad_value")
        day = date.fromordinal(between(at, 1, date.max.toordinal()))
        count = (day - date(1970, 1, 1)).days
        means: Any = {"date": day, "string": day.isoformat()}.get(kind, BAD)
        return Value(
            day.isoformat(), means, arrow=count if arrow == pa.date32() else count * 86_400_000
        )

    return Carrier(arrow, make)


def _doubles(kind: str) -> Carrier:
    bits = 32 if kind == "float" else 64

    def make(at: Chance, _: int) -> Value:
        if kind in ("double", "float"):
            while (made := numbers.floating(at, bits)).means is BAD:
                pass
            return replace(made, text=str(made.means), arrow=made.means)
        number = between(at, -1000, 1000) / at.choice((1, 1, 2, 10))
        means = _of_decimal(Decimal(repr(number)), kind)
        return Value(repr(number), means, arrow=number)

    return Carrier(pa.float32() if kind == "float" else pa.float64(), make)


def _booleans(kind: str) -> Carrier:
    def make(at: Chance, _: int) -> Value:
        is_true = at.happens(0.5)
        text = "true" if is_true else "false"
        return Value(text, {"boolean": is_true, "string": text}.get(kind, BAD), arrow=is_true)

    return Carrier(pa.bool_(), make)


def _nested(chance: Chance, kind: str) -> Carrier:
    shape = chance.choice(("list", "struct", "map"))
    arrow = {
        "list": pa.list_(pa.int64()),
        "struct": pa.struct([("x", pa.int32()), ("y z", pa.string())]),
        "map": pa.map_(pa.string(), pa.int64()),
    }[shape]
    fault = "bad_value" if kind in SCALARS else None

    def make(at: Chance, _: int) -> Value:
        number, other = between(at, -9, 9), at.choice((None, 0, 12))
        shown = "null" if other is None else str(other)
        values: dict[str, tuple[Any, str]] = {
            "list": ([number, other], f"[{number},{shown}]"),
            "struct": (
                {"x": other, "y z": 'a"b'},
                ("{" if other is None else f'{{"x":{shown},') + '"y z":"a\\"b"}',
            ),
            "map": ([("k", number), ("l", other)], f'{{"k":{number},"l":{shown}}}'),
        }
        held, text = values[shape]
        return Value(text, text if kind == "string" else BAD, arrow=held, fault=fault)

    return Carrier(arrow, make)
