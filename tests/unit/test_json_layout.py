"""The layout of a JSON file is known by its beginning, and no layout loses a record."""

from __future__ import annotations

import pytest

from kernel import rows_of, source_of
from tidegate.common.unreadable import UnreadableError
from tidegate.landing.json_layout import is_lines, json_blocks
from tidegate.landing.limits import MAX_LINE_BYTES
from tidegate.landing.split import LongLine


def records_of(
    body: bytes, path: tuple[str, ...] | None = None, size: int = 1 << 20
) -> list[bytes | LongLine]:
    """Return the records of a file, which are numbered without a gap."""
    records: list[bytes | LongLine] = []
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    for block in json_blocks(chunks, path):
        if isinstance(block, LongLine):
            assert block.number == len(records) + 1
            records.append(block)
            continue
        assert block.first == len(records) + 1
        lines = block.data.split(b"\n")
        assert lines.pop() == b""
        assert [len(line) for line in lines[:1]] == block.feeds.tolist()[:1]
        assert len(lines) == len(block.feeds)
        records += lines
    return records


LINES = [
    b"",
    b"\n\n",
    b'{"a":1}',
    b'{"a":1}\n',
    b'{"a":1}\n{"a":2}\n',
    b'{"a":1}\n{"a":2}{"a":3}\n',
    b'\n \r\n{"a":1}\n{"a":2}\n',
    # a first line that is damaged, and the next one stands alone
    b'{"a":\n{"a":2}\n{"a":3}\n',
    b'{\n{"a":2}\n{"a":3}\n',
    b'{"a":1,\n{"a":2}\n',
    b'{"a":"x\n{"a":2}\n',
    b'{"a":"x{\n{"a":2}\n',
    b'{"a":1}{"a":2}{"a":\n{"a":3}\n',
    b'{"a":1}{"a":\n{"a":3}\n',
    b'{"a":1}}\n{"a":3}\n',
    b'x"}{"a":1}{"a":2}\n{"a":3}\n',
    b'["x"]}\n{"a":2}\n',
    b'["x"],"b":1}\n{"a":2}\n',
    b'[{"k":1}],"b":1}\n{"a":2}\n',
    b'[1,2]\n{"a":2}\n',
    b'[1,2\n{"a":2}\n{"a":3}\n',
    b'[{"a":1},{"b":\n{"a":2}\n',
    b'["x\n{"a":2}\n',
    b'[\n{"a":2}\n{"a":3}\n',
    b'[1,\n{"a":2}\n{"a":3}\n',
    b'[{"a":1}\n{"a":2}\n{"a":3}\n',
    # two damaged lines
    b'{"a": 1,\ngarbage\n',
    b'{"a": 1,\n{"a": 2,\n',
    b'{"a": 1\n"b": 2}\n',
    b"1\n[2]\n",
    b'"[{"',
]


@pytest.mark.parametrize("body", LINES)
def test_a_file_that_may_be_one_of_lines_is_read_as_one(body: bytes) -> None:
    assert is_lines(body)
    lines = body.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for size in (1, 7, 1 << 20):
        assert records_of(body, size=size) == lines


OTHERS: list[tuple[bytes, list[bytes]]] = [
    (b'[{"a":1},\n{"a":2}]', [b'{"a":1}', b'{"a":2}']),
    (b'[\n{"a":1},\n{"a":2}\n]\n', [b'{"a":1}', b'{"a":2}']),
    (b'[\n{"a":1}\n]', [b'{"a":1}']),
    (b'[{"a":1}\n,{"a":2}\n]', [b'{"a":1}', b'{"a":2}']),
    (b'[{"a":1},{"a":2}]', [b'{"a":1}', b'{"a":2}']),
    (b'\xef\xbb\xbf [{"a":1}]', [b'{"a":1}']),
    (b'[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]', [b'{ "a": 1 }', b'{ "a": 2 }']),
    (b'[{"a": 1,\n  "b": 2},\n {"a": 3,\n  "b": 4}]', [b'{"a": 1, "b": 2}', b'{"a": 3, "b": 4}']),
    (b"[]", []),
    (b" [ ]\n", []),
    (b"[]\n[]\n", []),
    (b'[{"a":1}][{"a":2}]', [b'{"a":1}', b'{"a":2}']),
    (b'[{"a":1},{"a":2}]\n[{"a":3}]\n', [b'{"a":1}', b'{"a":2}', b'{"a":3}']),
    (
        b'[1, "x,[y]", null, [2, [3]], {"a":1}]',
        [b"1", b'"x,[y]"', b"null", b"[2, [3]]", b'{"a":1}'],
    ),
    (b'[{"a":1} oops, {"a":2}]', [b'{"a":1}', b"oops", b'{"a":2}']),
    (b'[{"a":1}] and more, "t"\n', [b'{"a":1}', b"and more", b'"t"']),
    (b'[{"a":1}] {"a":2} ]', [b'{"a":1}', b'{"a":2}', b"]"]),
    (b'[{"a":1}, } {"a":2}]', [b'{"a":1}', b"}", b'{"a":2}']),
    (b'{"a":1}{"a":2}', [b'{"a":1}', b'{"a":2}']),
    (b'{"a":1} {"a":2},{"a":3}\n{"a":4}', [b'{"a":1}', b'{"a":2}', b'{"a":3}', b'{"a":4}']),
    (b'{"a":1}x{"a":2}}{"a":3}', [b'{"a":1}', b"x", b'{"a":2}', b"}", b'{"a":3}']),
    (b'{"a":"}{"}{"a":"\\"}"}', [b'{"a":"}{"}', b'{"a":"\\"}"}']),
    (b'{"a":"\\\\"}{"a":"\\\\\\""}', [b'{"a":"\\\\"}', b'{"a":"\\\\\\""}']),
    (b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n', [b'{ "a": 1 }', b'{ "a": 2 }']),
    (b'{\r\n\t"a": 1\r\n}\r\n', [b'{\r "a": 1\r }']),
    (b'{"a": [\n  1\n]}\n', [b'{"a": [ 1 ]}']),
    (b"{\n}\n{\n}\n", [b"{ }", b"{ }"]),
    # a line feed within a string ends what is broken; what follows is read on
    (
        b'{"a":1}{"a":2}{"a":"x\n{"a":3}x',
        [b'{"a":1}', b'{"a":2}', b'{"a":"x', b'{"a":3}', b"x"],
    ),
    (b'[{"a":1},{"a":"x\n, {"a":2}]', [b'{"a":1}', b'{"a":"x', b'{"a":2}']),
    (b'{"a":1}{"a":2}{"a":1\n2}', [b'{"a":1}', b'{"a":2}', b'{"a":1 2}']),
]


@pytest.mark.parametrize(("body", "expected"), OTHERS)
def test_records_of_other_layouts_come_out_one_by_one(body: bytes, expected: list[bytes]) -> None:
    assert not is_lines(body.removeprefix(b"\xef\xbb\xbf"))
    for size in (1, 2, 5, 1 << 20):
        assert records_of(body, size=size) == expected


CUT = [
    (b'[{"a":1},\n{"a":2},', 2, "array"),
    (b"[", 1, "array"),
    (b'[{"a":1},\n{"a":2},\n\n{"a"', 4, "record"),
    (b'[{"a":1},\n{"a":"x', 2, "record"),
    (b'{"a":1}{"a":2}{"a"', 1, "record"),
    (b'{\n"a": 1\n}\n{\n"a"', 4, "record"),
]


@pytest.mark.parametrize(("body", "line", "kind"), CUT)
def test_a_file_that_ends_within_a_value_is_unreadable(body: bytes, line: int, kind: str) -> None:
    for size in (1, 3, 1 << 20):
        with pytest.raises(UnreadableError) as error:
            records_of(body, size=size)
        assert error.value.line == line
        assert "cut short" in error.value.what
        assert kind in error.value.what


LISTS: list[tuple[bytes, list[bytes]]] = [
    (b'{"Records":[{"a":1},{"a":2}]}', [b'{"a":1}', b'{"a":2}']),
    (b'{"x":{"Records":[9]},"Records":[{"a":1}],"y":[{"b":[2]}]}', [b'{"a":1}']),
    (b'{"x":"\\"Records\\":[","Records" :\n [\n{\n"a":1}\n]\n}\n', [b'{ "a":1}']),
    (b'{"Records":[]}', []),
    (b'{"Records":[1,"x",null,[2]]}', [b"1", b'"x"', b"null", b"[2]"]),
    (b'{"Records":[{"a":1}]}\n{"Records":[{"a":2}]}', [b'{"a":1}', b'{"a":2}']),
    (b'{"R\\u0065cords":[{"a":1}]}', [b'{"a":1}']),
    (b'{"Records":[{"Records":[{"a":1}]}]}', [b'{"Records":[{"a":1}]}']),
    (b'{"Records":[{"a":1}]} tail {"Records":[]}', [b'{"a":1}', b"tail"]),
    (b'{"Records":[{"a":1} x} {"a":2}]}', [b'{"a":1}', b"x", b"}", b'{"a":2}']),
    (b'{"Records":[{"a":"x\n,{"a":2}]}', [b'{"a":"x', b'{"a":2}']),
    (b"", []),
]


@pytest.mark.parametrize(("body", "expected"), LISTS)
def test_records_within_an_object_are_found_at_their_path(
    body: bytes, expected: list[bytes]
) -> None:
    for size in (1, 2, 5, 1 << 20):
        assert records_of(body, ("Records",), size) == expected


def test_a_path_of_several_names_leads_through_objects() -> None:
    body = b'{"d":{"Records":[{"a":1}],"e":[{"a":9}]},"Records":[{"a":8}],"d2":{"Records":[7]}}'
    for size in (1, 4, 1 << 20):
        assert records_of(body, ("d", "Records"), size) == [b'{"a":1}']
        assert records_of(body, ("Records",), size) == [b'{"a":8}']


NO_LIST = [
    (b'{"records":[{"a":1}],"x":1}', "did you mean 'records'?"),
    (b'{"x":1,\n"Records":{"a":1}}', "'Records' is no list"),
    (b'{"x":1,"Records":null}', "'Records' is no list"),
    (b'{"x":1,"y":{"Records":[1]}}', "known: x, y"),
    (b"{}", "without members"),
    (b'[{"Records":[1]}]', "no object"),
    (b'{"Records":[1]}\n{"Record":[2]}', "did you mean 'Record'?"),
]


@pytest.mark.parametrize(("body", "got"), NO_LIST)
def test_an_object_without_the_list_makes_its_file_unreadable(body: bytes, got: str) -> None:
    with pytest.raises(UnreadableError) as error:
        records_of(body, ("Records",))
    assert got in error.value.reason
    assert "'Records'" in error.value.what


@pytest.mark.parametrize(
    "body",
    [
        b'{"Records":[{"a":1}',
        b'{"Records":[{"a":1}],"x":{"y":1',
        b'{"x":"a\nb","Records":[]}',
        b'{"x":[},"Records":[]}',
    ],
)
def test_a_file_with_a_list_is_unreadable_if_it_is_no_json_around_it(body: bytes) -> None:
    for size in (1, 5, 1 << 20):
        with pytest.raises(UnreadableError):
            records_of(body, ("Records",), size)


@pytest.mark.parametrize("size", [100_000, 1 << 20, 1 << 23])
def test_a_record_that_is_too_long_is_known_by_head_length_and_digest(size: int) -> None:
    long = b'{"a":"' + b"x" * MAX_LINE_BYTES + b'"}'
    fits = b'{"a":"' + b"x" * (MAX_LINE_BYTES - 8) + b'"}'
    body = b'[{"a":1},\n' + long + b",\n" + fits + b',\n{"a":2}]'
    first, second, third, last = records_of(body, size=size)
    assert isinstance(second, LongLine)
    assert second.length == len(long)
    assert (first, third, last) == (b'{"a":1}', fits, b'{"a":2}')


def test_text_without_an_end_between_records_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="separated"):
        records_of(b'[{"a":1},\n' + b"x" * (3 * MAX_LINE_BYTES) + b"]")
    many = b"[" + b"1," * MAX_LINE_BYTES + b"{}]"
    assert len(records_of(many)) == MAX_LINE_BYTES + 1


EVENT = '{"id": "e%d", "at": "2024-03-01T12:00:00Z", "type": "t", "user": "ann", "n": %d}'


@pytest.mark.parametrize("count", [3, 200])
def test_rows_of_each_layout_are_those_of_lines(count: int) -> None:
    events = [EVENT % (n, n) for n in range(count)]
    source = source_of()
    lines = rows_of(source, events)
    assert len(lines) == count
    for body in ("[" + ",\n".join(events) + "]", "[" + ", ".join(events) + "]\n", "".join(events)):
        assert rows_of(source, body) == lines
    listed = source_of(format={"type": "json", "records": "Records"})
    assert rows_of(listed, '{"v": 1, "Records": [' + ",".join(events) + '], "w": []}') == lines


def test_personal_data_of_elements_is_treated_as_that_of_lines() -> None:
    events = [EVENT % (n, n) for n in range(3)]
    private = source_of(pii={"user": "drop"})
    assert rows_of(private, "[" + ",".join(events) + "]") == rows_of(private, events)


def test_what_is_no_object_is_quarantined_with_its_number() -> None:
    body = f"[{EVENT % (1, 1)}, 7, oops, {EVENT % (2, 2)}] tail"
    found = [(row["line"], row["_reason"]) for row in rows_of(source_of(), body)]
    assert sorted(found) == [
        (1, None),
        (2, "not_object"),
        (3, "not_json"),
        (4, None),
        (5, "not_json"),
    ]
