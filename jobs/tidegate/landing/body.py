"""JSON objects of columns of text: one text a row."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
ESCAPES = {**{code: f"\\u{code:04X}" for code in range(32)}, **_SHORT}
"""How JSON writes characters that can't stand in a text as they are; for `str.translate`."""
_COMMON = (92, 34, 10, 13, 9)
_CONTROLS = {code: text for code, text in ESCAPES.items() if code < 32}
_CONTROL = r"[\x00-\x1f]"
_SPECIAL = r'[\x00-\x1f"\\]'


def json_objects(names: Sequence[str], columns: Sequence[pa.Array]) -> pa.Array:
    """Return a JSON object a row, with the names of those columns that have a value in it.

    Args:
        names: of the members, each once.
        columns: arrays of strings of one length.
    """
    members = [
        pc.binary_join_element_wise(f',{json_text(name)}:"', escaped(column), '"', "")
        for name, column in zip(names, columns, strict=True)
    ]
    return objects_of(members)


def objects_of(members: Sequence[pa.Array]) -> pa.Array:
    """Return a JSON object a row, of texts such as `,"name":1`; those that are NULL are left out."""
    # The braces keep rows of nothing but NULLs: Arrow drops a row of which it joins no text.
    joined = pc.binary_join_element_wise("{", *members, "}", "", null_handling="skip")
    return pc.replace_substring(joined, "{,", "{", max_replacements=1)


def escaped(column: pa.Array) -> pa.Array:
    """Return texts as they stand between the quotes of JSON."""
    if not pc.any(pc.match_substring_regex(column, _SPECIAL)).as_py():
        return column
    # The backslash comes first: the others are written with one.
    for code in _COMMON:
        column = pc.replace_substring(column, chr(code), ESCAPES[code])
    rest = pc.match_substring_regex(column, _CONTROL)
    if not pc.any(rest).as_py():
        return column
    rest = rest.fill_null(False)
    texts = [text.translate(_CONTROLS) for text in column.filter(rest).to_pylist()]
    return pc.replace_with_mask(column, rest, pa.array(texts, column.type))


def json_text(text: str) -> str:
    """Return a text as JSON."""
    return f'"{text.translate(ESCAPES)}"'
