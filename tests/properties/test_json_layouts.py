"""Whatever layout objects are written in, and whatever pieces the file comes in, they are read as they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegate.common.unreadable import UnreadableError
from tidegate.landing.json_frames import ListAtPath, Values
from tidegate.landing.json_layout import json_blocks
from tidegate.landing.json_records import split_records
from tidegate.landing.split import Block

TEXTS = st.text(st.sampled_from('ab"\\{}[],:\n é€😀\u2028'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=6)
Objects = Sequence[dict[str, Any]]


def _pretty(objects: Objects) -> str:
    return json.dumps(objects, indent=2)


LAYOUTS: dict[str, Callable[[Objects], str]] = {
    "an object a line": lambda objects: "".join(json.dumps(o) + "\n" for o in objects),
    "an array with an object a line": lambda objects: (
        "[" + ",\n".join(map(json.dumps, objects)) + "]\n"
    ),
    "an array with brackets of their own lines": lambda objects: (
        "[\n" + ",\n".join(map(json.dumps, objects)) + "\n]"
    ),
    "an array on one line": lambda objects: json.dumps(objects, ensure_ascii=False),
    "a pretty-printed array": _pretty,
    "one behind the other": lambda objects: "".join(map(json.dumps, objects)),
    "pretty-printed one behind the other": lambda objects: "".join(
        json.dumps(o, indent=1) + "\n" for o in objects
    ),
}


def values_of(text: str, cuts: Sequence[int], path: tuple[str, ...] | None = None) -> list[Any]:
    return [json.loads(line) for line in _lines(json_blocks(_pieces(text.encode(), cuts), path))]


def _pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[begin:end] for begin, end in pairwise(places)]


def _lines(blocks: Any) -> list[bytes]:
    lines: list[bytes] = []
    for block in blocks:
        assert isinstance(block, Block)
        assert block.first == len(lines) + 1
        begin = 0
        for feed in block.feeds.tolist():
            lines.append(block.data[begin:feed])
            assert b"\n" not in lines[-1]
            begin = feed + 1
        assert begin == len(block.data)
    return lines


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=150, deadline=None)
@given(objects=OBJECTS, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_each_layout_gives_the_same_values_in_the_same_order(
    layout: str, objects: Objects, cuts: Sequence[int]
) -> None:
    # A first line that is one whole object makes a file of lines.
    assume(layout != "pretty-printed one behind the other" or not objects or objects[0])
    assert values_of(LAYOUTS[layout](objects), cuts) == list(objects)


@settings(max_examples=150, deadline=None)
@given(
    before=st.dictionaries(TEXTS, VALUES, max_size=3),
    objects=OBJECTS,
    after=st.dictionaries(TEXTS, VALUES, max_size=3),
    indent=st.sampled_from([None, 1]),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_a_list_at_a_path_gives_its_elements(
    before: dict[str, Any],
    objects: Objects,
    after: dict[str, Any],
    indent: int | None,
    cuts: Sequence[int],
) -> None:
    inner = {**before, "Records": objects, **{k: v for k, v in after.items() if k not in before}}
    text = json.dumps({"Records": 1, "detail": inner, "z": inner}, indent=indent)
    assert values_of(text * 2, cuts, ("detail", "Records")) == [*objects, *objects]


@settings(max_examples=300, deadline=None)
@given(
    objects=OBJECTS,
    layout=st.sampled_from([name for name in LAYOUTS if "array" in name]),
    cut=st.integers(1, 400),
)
def test_an_array_that_is_cut_is_unreadable(objects: Objects, layout: str, cut: int) -> None:
    text = LAYOUTS[layout](objects).strip().encode()
    assume(cut < len(text))
    with pytest.raises(UnreadableError):
        _lines(json_blocks([text[:cut]]))


PARTS = st.lists(
    st.sampled_from(
        [
            '{"a":1}',
            '{"b":"}{"}',
            "[",
            "]",
            "{",
            "}",
            ",",
            "\n",
            '"',
            "\\",
            "x",
            "1",
            " ",
            "[1]",
            ":",
        ]
    ),
    max_size=24,
)


@settings(max_examples=1_000, deadline=None)
@given(parts=PARTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_nothing_is_lost_of_any_text_and_its_pieces_do_not_matter(
    parts: list[str], cuts: Sequence[int]
) -> None:
    body = "".join(parts).encode()

    def found(pieces: list[bytes]) -> list[bytes] | int | None:
        try:
            return _lines(split_records(pieces, Values()))
        except UnreadableError as error:
            return error.line

    whole = found([body])
    assert found(_pieces(body, cuts)) == whole
    if isinstance(whole, list):
        # All but white space, commas and the brackets of arrays around records is in a record, in order.
        left = iter(body)
        records = b"".join(line.replace(b" ", b"") for line in whole)
        assert all(byte in left for byte in records)
        for byte in b'{}"\\x1:':
            assert body.count(byte) == records.count(byte)


@settings(max_examples=500, deadline=None)
@given(parts=PARTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_pieces_do_not_matter_for_a_list_at_a_path(parts: list[str], cuts: Sequence[int]) -> None:
    body = ('{"a":[' + "".join(parts) + "]}").encode()

    def found(pieces: list[bytes]) -> list[bytes] | str | None:
        try:
            return _lines(split_records(pieces, ListAtPath(("a",))))
        except UnreadableError as error:
            return error.what

    assert found(_pieces(body, cuts)) == found([body])
