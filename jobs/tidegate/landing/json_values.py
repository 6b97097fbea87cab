"""Arrow values as JSON and as text: exact, and a whole column at once.

- Numbers keep every digit: decimals are written out, floats in the fewest digits that read back as the same value
  of their own width. `NaN` and infinities are texts, as JSON has no such numbers.
- Times are ISO 8601 in UTC with all digits of their unit; a time without a zone is UTC.
- Bytes that are UTF-8 are that text; other bytes are in base64.
- NULL members of a struct are left out. In lists and maps NULL is `null`, since places and keys count.
"""

from __future__ import annotations

import base64
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing.body import escaped, json_text, objects_of

_NO_NUMBERS = r"^-?(nan|inf)$"
_NAMED = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def is_nested(kind: pa.DataType) -> bool:
    """Return whether values of a type are objects or lists in JSON."""
    return bool(pa.types.is_nested(_storage(kind)))


def json_values(column: pa.Array) -> pa.Array:
    """Return each value as JSON, as strings; NULL stays NULL.

    Args:
        column: of any type that a Parquet file may have.
    """
    column = stored(column)
    kind = column.type
    if pa.types.is_struct(kind):
        return _objects(column)
    if pa.types.is_map(kind):
        return _maps(column)
    if pa.types.is_nested(kind):
        return _lists(column)
    texts = value_texts(column)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_duration(kind)
    ):
        return texts
    if pa.types.is_floating(kind):
        odd = pc.match_substring_regex(texts, "^(NaN|-?Infinity)$")
        if not pc.any(odd).as_py():
            return texts
        return pc.if_else(odd, _quoted(texts), texts)
    if pa.types.is_null(kind):
        return texts
    return _quoted(texts)


def value_texts(column: pa.Array) -> pa.Array:
    """Return each value as text, as strings; NULL stays NULL.

    Args:
        column: of any type that a Parquet file may have; objects and lists become JSON.
    """
    column = stored(column)
    kind = column.type
    if pa.types.is_nested(kind):
        return json_values(column)
    if pa.types.is_binary(kind):
        return _texts_of_bytes(column)
    if pa.types.is_decimal(kind):
        return _decimal_texts(column)
    if pa.types.is_floating(kind):
        return _float_texts(column)
    if pa.types.is_timestamp(kind):
        local = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        iso = pc.replace_substring(local, " ", "T", max_replacements=1)
        return _in_range(pc.binary_join_element_wise(iso, "Z", ""), column.cast(pa.int64()))
    if pa.types.is_date(kind):
        days = column.cast(pa.date32())
        return _in_range(days.cast(pa.string()), days.cast(pa.int32()))
    if pa.types.is_duration(kind):
        return column.cast(pa.int64()).cast(pa.string())
    return column.cast(pa.string())


def stored(column: pa.Array) -> pa.Array:
    """Return values without dictionaries, views and types of one library; text as binary.

    A column marked as text may hold other bytes. They are checked where they are used.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return stored(column.dictionary_decode())
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            texts = [str(uuid.UUID(bytes=v)) if v else None for v in column.storage.to_pylist()]
            return pa.array(texts, pa.string()).cast(pa.binary())
        return stored(column.storage)
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or kind in (pa.string_view(), pa.binary_view())
    ):
        return column.cast(pa.binary())
    return column


def _storage(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storage(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _storage(kind.storage_type)
    return kind


def _quoted(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', escaped(texts), '"', "")


def _texts_of_bytes(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text_or_base64(value) for value in column.to_pylist()], pa.string())


def _text_or_base64(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _decimal_texts(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    short = pc.match_substring(texts, "E")
    if not pc.any(short).as_py():
        return texts
    plain = [format(Decimal(text), "f") for text in texts.filter(short).to_pylist()]
    return pc.replace_with_mask(texts, short.fill_null(False), pa.array(plain, pa.string()))


def _float_texts(column: pa.Array) -> pa.Array:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    texts = column.cast(pa.string())
    odd = pc.match_substring_regex(texts, _NO_NUMBERS)
    if not pc.any(odd).as_py():
        return texts
    named = [_NAMED[text] for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(texts, odd.fill_null(False), pa.array(named, pa.string()))


def _in_range(texts: pa.Array, counts: pa.Array) -> pa.Array:
    """Return texts of times; of those that Arrow has no text for, what is counted since 1970."""
    outside = pc.starts_with(texts, "<")
    return pc.if_else(outside, counts.cast(pa.string()), texts)


def _objects(column: pa.StructArray) -> pa.Array:
    names = [column.type.field(at).name for at in range(column.type.num_fields)]
    # `flatten` gives members the NULLs of the struct itself, `field` does not.
    members = [
        pc.binary_join_element_wise(f",{json_text(name)}:", json_values(member), "")
        for name, member in zip(names, column.flatten(), strict=True)
    ]
    objects = objects_of(members) if members else pa.repeat("{}", len(column))
    return pc.if_else(column.is_valid(), objects, None)


def _lists(column: pa.Array) -> pa.Array:
    sizes = pc.list_value_length(column)
    values = json_values(pc.list_flatten(column)).fill_null("null")
    return _wrapped(sizes, values, "[", "]")


def _maps(column: pa.MapArray) -> pa.Array:
    # Its offsets may begin anywhere: as a list of entries it is cut to what is its own.
    entries_kind = pa.list_(
        pa.struct([("key", column.type.key_type), ("value", column.type.item_type)])
    )
    entries = column.cast(entries_kind)
    sizes = pc.list_value_length(entries)
    key, value = pc.list_flatten(entries).flatten()
    pairs = pc.binary_join_element_wise(
        _quoted(value_texts(key)), json_values(value).fill_null("null"), ":"
    )
    return _wrapped(sizes, pairs, "{", "}")


def _wrapped(sizes: pa.Array, values: pa.Array, before: str, behind: str) -> pa.Array:
    """Return values joined by commas, as many as the sizes say, between two texts."""
    offsets = pa.concat_arrays(
        [pa.array([0], pa.int64()), pc.cumulative_sum(sizes.fill_null(0).cast(pa.int64()))]
    )
    lists = pa.ListArray.from_arrays(offsets.cast(pa.int32()), values)
    joined = pc.binary_join_element_wise(before, pc.binary_join(lists, ","), behind, "")
    return pc.if_else(sizes.is_valid(), joined, None)
