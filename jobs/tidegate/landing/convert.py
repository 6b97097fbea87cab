"""Columns of text, or of typed values, to the type of a column: many at once, by the rules of `exact`.

What is written as most producers write it is read by Arrow. Other texts are read one by one, each different one
once. Both give the same values; a test holds that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing import exact
from tidegate.landing.json_values import value_texts
from tidegate.landing.records import mask_of
from tidegate.landing.schema import arrow_type

_PLAIN_WHOLE = "^-?[0-9]{1,18}$"


def to_type(values: pa.Array, kind: str) -> pa.Array:
    """Return values in the type of a column; NULL where there is none, or one that does not fit.

    Args:
        values: strings, or of any type that a file may have.
        kind: the type, such as `int` or `decimal(10,2)`; times are of `instants`.
    """
    if kind == "string":
        return to_text(values)
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


def joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Return values of several columns as one text, with spaces between; NULL where none has a value.

    Args:
        parts: the columns, of any type that a file may have; one alone stays as it is.
    """
    if len(parts) == 1:
        return parts[0]
    texts = [to_text(part) for part in parts]
    whole = pc.binary_join_element_wise(*[text.fill_null("") for text in texts], " ")
    return pc.if_else(pc.is_valid(pc.coalesce(*texts)), whole, pa.scalar(None, pa.string()))


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
    if kind == "float" and pa.types.is_float64(values.type):
        single = values.cast(pa.float32())
        is_beyond = pc.and_(pc.is_inf(single), pc.is_finite(values))
        return pc.if_else(is_beyond, pa.scalar(None, target), single)
    if kind.startswith("decimal") and (is_whole or pa.types.is_decimal(values.type)):
        return _to_decimal(values, target)
    return None


def _to_decimal(values: pa.Array, target: pa.DataType) -> pa.Array | None:
    if pa.types.is_integer(values.type):
        values = values.cast(pa.decimal128(20, 0))
    # Arrow does not see what overflows 128 bits. Zeros at the end are added, and digits counted, in 256.
    wide = pa.decimal256(target.precision, target.scale)
    try:
        return values.cast(wide).cast(target)
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
