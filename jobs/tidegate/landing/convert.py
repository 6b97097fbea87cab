"""Columns of text, or of typed values, to the type of a column: many at once, by the rules of `exact` and `times`.

What is written as most producers write it is read by Arrow. Other texts are read one by one, each different one
once. Both give the same values; a test holds that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing import exact, times
from tidegate.landing.json_values import value_texts
from tidegate.landing.records import Mask, mask_of
from tidegate.landing.schema import TIME, arrow_type

_PLAIN_WHOLE = "^-?[0-9]{1,18}$"
_DAY = "(02-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(0[1-9]|[12][0-9]|30)|(0[13578]|1[02])-31)"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-7])(:?[0-5][0-9])?)"
_PLAIN_TIMES = {
    True: f"^[0-9]{{4}}-{_DAY}[T ]{_CLOCK}{_OFFSET}$",
    False: f"^[0-9]{{4}}-{_DAY}[T ]{_CLOCK}$",
}
"""Times that Arrow reads as `times` does: with a zone, and without one."""
_LONG_FRACTION = r"^([^.,]*[.][0-9]{6})[0-9]+"
_FAR_OFFSET = r"[+-](1[89]|2[0-9])(:?[0-9]{2})?$"


def to_type(values: pa.Array, kind: str) -> pa.Array:
    """Return values in the type of a column; NULL where there is none, or one that does not fit.

    Args:
        values: strings, or of any type that a file may have.
        kind: the type, such as `int` or `decimal(10,2)`.
    """
    if kind == "string":
        return to_text(values)
    if kind == "timestamp":
        return to_time(values, "iso")
    target = arrow_type(kind)
    if values.type == target:
        return values
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), target)
    if not pa.types.is_string(values.type):
        direct = _directly(values, kind, target)
        if direct is not None:
            return direct
        values = to_text(values)
    return _of_text(values, kind, target)


def to_text(values: pa.Array) -> pa.Array:
    """Return values as text: what a file has as text stays as it is."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.string())
    return value_texts(values).cast(pa.string())


def to_time(values: pa.Array, unit: str) -> pa.Array:
    """Return times in UTC, with microseconds; NULL where there is none, or none that is valid.

    Args:
        values: as for `to_type`.
        unit: `iso` for text, else what numbers count: `epoch_s`, `epoch_ms` or `epoch_us`.
    """
    if pa.types.is_timestamp(values.type):
        return _within(values.cast(TIME))
    if unit != "iso":
        return _epochs(values, unit)
    if not pa.types.is_string(values.type):  # a number or a date alone is no time
        return pa.nulls(len(values), TIME)
    try:
        parsed = values.cast(TIME)
    except pa.ArrowInvalid:
        return _times(values)
    # Arrow takes offsets up to a day, and any four digits for a year.
    if not pc.all(pc.ends_with(values, "Z")).as_py():
        far = pc.match_substring_regex(values, _FAR_OFFSET)
        if pc.any(far).as_py():
            return _times(values)
    return _within(parsed)


def _times(values: pa.Array) -> pa.Array:
    """Return the times of texts of several forms."""
    cut = pc.replace_substring_regex(values, _LONG_FRACTION, r"\1")
    out = pa.nulls(len(values), TIME)
    rest = mask_of(values.is_valid())
    for has_zone, pattern in _PLAIN_TIMES.items():
        plain = mask_of(pc.match_substring_regex(cut, pattern)) & rest
        if plain.any():
            some = cut.filter(pa.array(plain))
            parsed = some.cast(TIME) if has_zone else some.cast(pa.timestamp("us")).cast(TIME)
            out = pc.replace_with_mask(out, pa.array(plain), _within(parsed))
            rest &= ~plain
    if rest.any():
        odd = values.filter(pa.array(rest))
        micros = _one_by_one(odd, times.iso_micros, pa.int64())
        out = pc.replace_with_mask(out, pa.array(rest), micros.cast(TIME))
    return out


def is_cut(values: pa.Array) -> Mask | None:
    """Return which times of ISO text have a fraction beyond microseconds that is not zero; None for none."""
    if not pa.types.is_string(values.type):
        return None
    # No such time is as short as usual ones.
    longest = pc.max(pc.binary_length(values)).as_py()
    if longest is None or longest <= len("2024-03-01T12:00:00.123456Z"):
        return None
    return mask_of(pc.match_substring_regex(values, r"[.,][0-9]{6}[0-9]*[1-9]"))


def _epochs(values: pa.Array, unit: str) -> pa.Array:
    scale = times.UNITS[unit]
    if pa.types.is_integer(values.type):
        limit = times.LATEST // scale
        fits = pc.and_(pc.less_equal(values, limit), pc.greater_equal(values, -limit))
        safe = pc.if_else(fits, values, pa.scalar(None, values.type)).cast(pa.int64())
        return _within(pc.multiply(safe, scale).cast(TIME))
    if not pa.types.is_string(values.type):
        values = to_text(values)
    plain = mask_of(pc.match_substring_regex(values, "^[0-9]{1,17}$"))
    if plain.all():
        return _epochs(values.cast(pa.int64()), unit)
    micros = _one_by_one(values, lambda text: times.epoch_micros(text, unit), pa.int64())
    return micros.cast(TIME)


def _within(parsed: pa.Array) -> pa.Array:
    """Return times, and NULL for those outside of the years 1 to 9999."""
    bounds = pc.min_max(parsed.cast(pa.int64()))
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or (low >= times.EARLIEST and high <= times.LATEST):
        return parsed
    number = parsed.cast(pa.int64())
    is_in = pc.and_(pc.greater_equal(number, times.EARLIEST), pc.less_equal(number, times.LATEST))
    return pc.if_else(is_in, parsed, pa.scalar(None, TIME))


# -- numbers and others -----------------------------------------------------------------------------


def _directly(values: pa.Array, kind: str, target: pa.DataType) -> pa.Array | None:
    """Return values of one Arrow type as another where that is exact; None where text has to decide."""
    is_whole = pa.types.is_integer(values.type) and values.type != pa.uint64()
    if kind in ("int", "bigint") and is_whole:
        limits = np.iinfo(np.int32 if kind == "int" else np.int64)
        fits = pc.and_(
            pc.greater_equal(values.cast(pa.int64()), int(limits.min)),
            pc.less_equal(values.cast(pa.int64()), int(limits.max)),
        )
        return pc.if_else(fits, values, pa.scalar(None, values.type)).cast(target)
    if kind.startswith("decimal") and (is_whole or pa.types.is_decimal(values.type)):
        return _to_decimal(values, target)
    return None


def _to_decimal(values: pa.Array, target: pa.DataType) -> pa.Array | None:
    if pa.types.is_integer(values.type):
        values = values.cast(pa.decimal128(20, 0))
    try:
        return values.cast(target)
    except pa.ArrowInvalid:  # a digit would be lost: text decides which
        return None


def _of_text(values: pa.Array, kind: str, target: pa.DataType) -> pa.Array:
    if kind in ("int", "bigint"):
        return _whole(values, kind, target)
    return _one_by_one(values, _reader(kind, target), target)


def _whole(values: pa.Array, kind: str, target: pa.DataType) -> pa.Array:
    """Return whole numbers of texts: plain ones all at once, others one by one."""
    plain = mask_of(pc.match_substring_regex(values, _PLAIN_WHOLE))
    odd = pa.array(mask_of(values.is_valid()) & ~plain)
    numbers = pc.if_else(pa.array(plain), values, pa.scalar(None, values.type)).cast(pa.int64())
    out = _directly(numbers, kind, target)
    if pc.any(odd).as_py():
        others = _one_by_one(values.filter(odd), _reader(kind, target), target)
        out = pc.replace_with_mask(out, odd, others)
    return out


def _reader(kind: str, target: pa.DataType) -> Callable[[str], Any]:
    if kind.startswith("decimal"):
        return lambda text: exact.decimal(text, target.precision, target.scale)
    readers: dict[str, Callable[[str], Any]] = {
        "int": lambda text: exact.whole(text, 32),
        "bigint": lambda text: exact.whole(text, 64),
        "double": lambda text: exact.floating(text, 64),
        "float": lambda text: exact.floating(text, 32),
        "boolean": exact.boolean,
        "date": exact.day,
    }
    return readers[kind]


def _one_by_one(values: pa.Array, read: Callable[[str], Any], target: pa.DataType) -> pa.Array:
    """Return values of texts, each different one read once."""
    encoded = values.dictionary_encode()
    parsed = pa.array([read(text) for text in encoded.dictionary.to_pylist()], target)
    return parsed.take(encoded.indices)
