"""Delimited text: which records a file has, what their values are, and which files are refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.format import Format
from tidegate.landing import delimited
from tidegate.landing.delimited import Records, read_records
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.plain_text import Layout

Row = dict[str, Any]


def csv_format(**options: Any) -> Format:
    return Format.model_validate({"type": "csv", **options})


def rows_of(parts: Iterator[Records]) -> list[Row]:
    """Return each record as a dict: `line`, `raw`, `length`, `fault`, `detail`, `body`, `values`."""
    rows = []
    for part in parts:
        simple = {
            name: getattr(part, name).to_pylist()
            for name in ("line", "raw", "length", "fault", "detail", "body")
        }
        for at in range(len(part)):
            values = {name: column[at].as_py() for name, column in part.columns.items()}
            rows.append({**{name: column[at] for name, column in simple.items()}, "values": values})
    return rows


def read(
    text: bytes | str,
    wanted: str = "id",
    *,
    needed: str = "",
    private: bool = False,
    **options: Any,
) -> list[Row]:
    data = text.encode() if isinstance(text, str) else text
    return rows_of(
        read_records(
            iter([data]),
            csv_format(**options),
            frozenset(wanted.split()),
            needed=[frozenset([name]) for name in needed.split()],
            private=private,
        )
    )


def refused(text: bytes | str, wanted: str = "id", **options: Any) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        read(text, wanted, **options)
    return caught.value


def test_a_record_is_numbered_by_its_first_physical_line() -> None:
    rows = read('id,note\n1,"two\nlines"\n2,"three\r\n\r\nlines"\r\n3,x\n', "id note")
    assert [(row["line"], row["values"]["id"]) for row in rows] == [(2, "1"), (4, "2"), (7, "3")]
    assert [row["values"]["note"] for row in rows] == ["two\nlines", "three\r\n\r\nlines", "x"]
    assert rows[1]["raw"] == b'2,"three\r\n\r\nlines"\r'
    assert rows[1]["length"] == len(rows[1]["raw"])


def test_what_a_visitor_writes_into_a_quoted_value_is_no_event() -> None:
    rows = read('id,note\n1,"hello\n2,forged\n3,""quoted"""\n4,x\n', "id note")
    assert [row["values"] for row in rows] == [
        {"id": "1", "note": 'hello\n2,forged\n3,"quoted"'},
        {"id": "4", "note": "x"},
    ]


@pytest.mark.parametrize("inner", ["\r", "\u2028", "\x85", "\v", "\f", "\x1c", "\0", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_characters_that_others_take_for_line_ends_are_text(inner: str, quote: str) -> None:
    rows = read(f"id,note\n1,{quote}a{inner}b{quote}\n2,x\n", "id note")
    assert [row["values"]["note"] for row in rows] == [f"a{inner}b", "x"]
    assert json.loads(rows[0]["body"]) == {"id": "1", "note": f"a{inner}b"}


def test_a_byte_order_mark_is_dropped_at_the_files_begin_only() -> None:
    assert read("\ufeffid\n1\n")[0]["values"] == {"id": "1"}
    # The header is one block, so that the mark begins the next.
    assert read("id\n\ufeff1\n")[0]["values"] == {"id": "\ufeff1"}
    # The same holds where all records before it have a fault.
    assert read("id,n\nx\n\ufeff1,2\n")[1]["values"] == {"id": "\ufeff1"}


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (b"", "blank_line"),
        (b" \t ", "blank_line"),
        (b"\r", "blank_line"),
        (b"1", "wrong_columns"),
        (b"1,2,3", "wrong_columns"),
        (b'1,"a"b', "bad_quotes"),
        (b'1,"a" ', "bad_quotes"),
        (b'1,"a"b\r', "bad_quotes"),
        (b'"1"x,"a"b', "bad_quotes"),
        (b"1,\xff", "not_utf8"),
        (b"1,\xed\xa0\x80", "not_utf8"),
        (b"\xff", "not_utf8"),
        (b'1,"\xc0\x80"', "not_utf8"),
    ],
)
def test_a_record_with_a_fault_harms_no_other(record: bytes, fault: str) -> None:
    rows = read(b'id,n\n0,"z"\n' + record + b"\n2,y\n3,z", "id n")
    assert [row["fault"] for row in rows] == [None, fault, None, None]
    assert rows[1]["raw"] == record
    assert rows[1]["values"] == {"id": None, "n": None}
    assert rows[1]["body"] is None
    assert rows[1]["detail"]
    assert [row["values"]["id"] for row in rows] == ["0", None, "2", "3"]
    assert [row["line"] for row in rows] == [2, 3, 4, 5]


def test_details_of_faults_name_the_option_that_may_be_missing() -> None:
    rows = read('id,n\n1,"a\\"b"\n2,"a"b\n3;x\n4,x,y\n', "id n")
    behind = "expected a delimiter or the record's end behind quoted value 2"
    assert [row["detail"] for row in rows] == [
        f"{behind}; if a backslash makes quotes text, write escape: '\\' in the source's format",
        behind,
        "expected 2 columns, got 1: no delimiter ',' between values",
        "expected 2 columns, got 3",
    ]


def test_a_quote_within_a_field_is_text() -> None:
    rows = read('id,n\n1,6" pipe\n2, "x"\n3,a""b\n', "id n")
    assert [row["values"]["n"] for row in rows] == ['6" pipe', ' "x"', 'a""b']


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('id,n\n1,x\n2,"open\n3,y\n', 3),
        ('id,n\n1,"a\n\nb"\n2,"open', 5),
        ('id,n\n1,""open\n2,"a""\n', 3),
        ('id,n\n1,x\n"', 3),
    ],
)
def test_a_quote_that_is_never_closed_makes_the_file_unreadable(text: str, line: int) -> None:
    error = refused(text)
    assert error.line == line
    assert error.reason.startswith(f"line {line}: a quote is opened and not closed before the end")


def test_a_quote_that_is_closed_after_more_than_the_limit_makes_the_file_unreadable() -> None:
    lines = "x,y\n" * (MAX_LINE_BYTES // 4 + 1)
    error = refused(f'id,n\n1,z\n2,"{lines}"\n3,x\n')
    assert (error.line, "within 1 MiB" in error.reason) == (3, True)
    just = read(f'id,n\n1,"{"x" * (MAX_LINE_BYTES - 4)}"\n', "id n")
    assert (just[0]["fault"], len(just[0]["values"]["n"])) == (None, MAX_LINE_BYTES - 4)


@pytest.mark.parametrize("value", ["x", "ab,", '"a\nb",', "\\,", "\\\\,"])
@pytest.mark.parametrize("escape", [None, "\\"])
def test_of_a_record_that_is_too_long_the_head_is_kept(value: str, escape: str | None) -> None:
    long = "9," + value * (3 * MAX_LINE_BYTES // len(value)) + "z"
    text = f"id,n\n1,x\n{long}\r\n2,y\n"
    data = text.encode()
    pieces = (data[at : at + 77_777] for at in range(0, len(data), 77_777))
    rows = rows_of(read_records(pieces, csv_format(escape=escape), frozenset({"id"})))
    assert [row["fault"] for row in rows] == [None, "too_long", None]
    raw = long.encode() + b"\r"
    assert rows[1]["raw"] == raw[:MAX_RAW_BYTES]
    assert rows[1]["length"] == len(raw)
    assert rows[1]["detail"].endswith(hashlib.sha256(raw).hexdigest())
    assert rows[2]["values"] == {"id": "2"}
    assert rows[2]["line"] == 4 + long.count("\n")


def test_values_of_a_backslash_dialect_are_as_they_were_written() -> None:
    text = 'id,n\n1,"say \\"hi\\", twice"\n2,"C:\\\\dir\\\\"\n3,a\\,b\\\nc\n4,\\d\\N\\\n'
    rows = read(text + '"5"', "id n", escape="\\")
    assert [row["values"]["n"] for row in rows[:3]] == [
        'say "hi", twice',
        "C:\\dir\\",
        "a,b\nc",
    ]
    # A backslash at a line's end makes the line break text.
    assert rows[3]["values"]["n"] == '\\d\\N\n"5"'
    assert [row["line"] for row in rows] == [2, 3, 4, 6]


def test_empty_text_is_no_value_unless_the_format_says_otherwise() -> None:
    text = 'id,n\n1,\n2,""\n3,\\N\n4,"NULL"\n'
    assert [row["values"]["n"] for row in read(text, "n")] == [None, None, "\\N", "NULL"]
    assert [row["body"] for row in read(text, "n")][:2] == ['{"id":"1"}', '{"id":"2"}']
    marked = read(text, "n", null=["\\N", "NULL"])
    assert [row["values"]["n"] for row in marked] == ["", "", None, None]
    assert [row["values"]["n"] for row in read(text, "n", null=[])] == ["", "", "\\N", "NULL"]
    slow = read(text + '5,x"y\n', "n", null=["\\N"], escape="^")
    assert [row["values"]["n"] for row in slow] == ["", "", None, "NULL", 'x"y']


def test_comments_and_skipped_lines_are_no_records_but_are_counted_as_lines() -> None:
    text = 'made by "x\n#v\nid,n\n#,"\n1,"a\n# text"\n## "\n2,#x\n'
    rows = read(text, "id n", comment="#", skip=1)
    assert [(row["line"], row["values"]["n"]) for row in rows] == [(5, "a\n# text"), (8, "#x")]
    tabs = read(
        "#V\n#F\n1\tx\n2\ty\n", "a", comment="#", header=["a", "b"], delimiter="\t", quote=None
    )
    assert [(row["line"], row["values"]["a"]) for row in tabs] == [(3, "1"), (4, "2")]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "utf-32le", "utf-8"])
def test_the_encoding_is_that_of_the_mark_or_the_format(encoding: str, *, marked: bool) -> None:
    if encoding == "utf-32le" and not marked:
        pytest.skip("only a mark says UTF-32")
    text = 'id,n\n1,\u00e9\u2028\U0001f30a\n2,"a\nb"\n'
    configured = "windows-1252" if marked else encoding
    data = (("\ufeff" if marked else "") + text).encode(encoding)
    for size in (1, 3, len(data)):
        pieces = (data[at : at + size] for at in range(0, len(data), size))
        rows = rows_of(read_records(pieces, csv_format(encoding=configured), frozenset({"n"})))
        assert [row["values"]["n"] for row in rows] == ["\u00e9\u2028\U0001f30a", "a\nb"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16le"])
def test_utf_16_whose_first_character_is_nul_is_no_utf_32(encoding: str) -> None:
    data = "\ufeff\0\u00e9\nb\n".encode("utf-16le")
    (first, second) = read(data, "_c0", encoding=encoding, header=False)
    assert (first["line"], second["values"]) == (1, {"_c0": "b"})


def test_utf_16_without_a_mark_is_known_by_its_first_character() -> None:
    for order in ("utf-16le", "utf-16be"):
        assert read("id\n1\n".encode(order), encoding="utf-16")[0]["values"] == {"id": "1"}
    assert "byte order" in refused("\u6c34\n".encode("utf-16be"), encoding="utf-16").what


def test_one_byte_encodings_keep_each_character_and_name_bytes_without_a_meaning() -> None:
    assert read(b"id\n\xe9\x80\n", encoding="windows-1252")[0]["values"] == {"id": "\u00e9\u20ac"}
    assert read(b"id\n\xe9\x80\n", encoding="iso-8859-1")[0]["values"] == {"id": "\u00e9\x80"}
    rows = read(b"id\na\x81b\nc\n", encoding="windows-1252")
    assert [(row["fault"], row["raw"]) for row in rows] == [("not_utf8", b"a\x81b"), (None, b"c")]


def test_half_of_a_surrogate_pair_is_quarantined_and_half_a_character_at_the_end_refused() -> None:
    data = "id\n1\ud800\n2\n".encode("utf-16le", "surrogatepass")
    rows = read(data, encoding="utf-16le")
    assert [row["fault"] for row in rows] == ["not_utf8", None]
    assert "within a character" in refused(data + b"x", encoding="utf-16le").what


@pytest.mark.parametrize("text", ["", "id,n", "id,n\n", "id,n\r\n", "\ufeff", "#x\n"])
def test_a_file_with_nothing_but_a_header_has_no_records(text: str) -> None:
    assert read(text, comment="#") == []


def test_a_first_line_of_data_is_not_taken_for_a_header() -> None:
    error = refused("e3,2026-05-01T10:03:00Z,buy\n", "id at kind")
    assert "data, not a header" in error.what
    assert error.expected == "a header with at, id, kind"
    assert "e3,2026" in str(error.got)
    assert "e3" not in refused("e3,x\n", "id at", private=True).reason


@pytest.mark.parametrize("other", [";", "\t", "|", ","])
def test_a_header_with_another_delimiter_is_refused_with_that_one(other: str) -> None:
    delimiter = ";" if other == "," else ","
    error = refused(f"id{other}at\n1{other}2\n", "id", delimiter=delimiter)
    assert error.what.startswith(f"the columns are separated by {other!r}")
    assert error.todo == f"write delimiter: {json.dumps(other)} in the source's format"


def test_a_header_that_lacks_what_every_event_needs_is_refused_with_the_nearest_name() -> None:
    spaced = refused("id, at,n\n1,2,3\n", "id at")
    assert spaced.what == "the header lacks 'at' (the nearest is ' at')"
    assert "(the nearest is 'User-ID')" in refused("id,User-ID\n", "id user_id").what
    assert "(the nearest is 'time')" in refused("id,time\n", "id tme", needed="tme").what
    assert "carriage returns" in refused("id,at\r1,2\r", "id at").reason
    # No row of the file has a value of a column that is not spelled in another way either.
    assert read("id,n\n1,2\n", "id utm", needed="id")[0]["values"] == {"id": "1", "utm": None}


def test_a_name_that_a_header_has_twice_hurts_only_where_it_is_used() -> None:
    assert refused("id,id\n1,2\n").what == "the header names id twice"
    (row,) = read("id,x,x,,_c2\n1,2,3,4,5\n")
    assert json.loads(row["body"]) == {"id": "1", "x": "2", "_c2_": "3", "_c3": "4", "_c2": "5"}


def test_columns_have_the_names_given_or_are_counted() -> None:
    rows = read("1,x\nid,n\n", "id n", header=["id", "n"])
    assert [row["values"]["id"] for row in rows] == ["1", "id"]
    rows = read('1,x\n2,"y"\n3\n', "_c1", header=False)
    assert [(row["line"], row["values"]["_c1"]) for row in rows] == [(1, "x"), (2, "y"), (3, None)]
    assert "number of columns is unknown" in refused('"a"b\n1,2\n', "_c1", header=False).what


def test_a_row_without_any_value_keeps_its_place_among_others() -> None:
    rows = read("id,n\n,\n1,\n,\n,2\n,\n", "id n")
    assert [row["body"] for row in rows] == ["{}", '{"id":"1"}', "{}", '{"n":"2"}', "{}"]
    assert [row["values"]["id"] for row in rows] == [None, "1", None, None, None]


def test_of_a_private_file_there_is_no_body() -> None:
    (row,) = read("id,mail\n1,a@b\n", private=True)
    assert (row["body"], row["values"]) == (None, {"id": "1"})


def test_an_error_of_a_file_survives_the_way_from_one_process_to_another() -> None:
    error = refused('id\n"')
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 # what was pickled here
    assert (again.reason, again.line, again.todo) == (error.reason, error.line, error.todo)


# -- what was written is what is read ---------------------------------------------------------------


@dataclass
class Writer:
    """Writes files of a dialect, and notes what each record is: the oracle of the tests below."""

    seed: random.Random
    form: Format
    width: int
    ends: str
    tidy: bool
    text: list[str] = field(default_factory=list)
    records: list[tuple[int, list[str] | None]] = field(default_factory=list)
    line: int = 1

    def put(self, values: Sequence[str]) -> None:
        written = self.form.delimiter.join(self._field(value) for value in values)
        if not written.strip(" \t\r"):
            return
        is_whole = len(values) == self.width
        self.records.append((self.line, list(values) if is_whole else None))
        self._add(written)

    def comment(self, text: str) -> None:
        self._add(f"{self.form.comment}{text}")

    def _add(self, text: str) -> None:
        self.text.append(text + self.ends)
        self.line += text.count("\n") + 1

    def _field(self, value: str) -> str:
        quote, escape, special = self.form.quote, self.form.escape, self.form.delimiter
        must = any(mark in value for mark in (special, "\n")) or value.endswith("\r")
        must = must or value.startswith((quote or "\n", self.form.comment or "\n"))
        if quote is not None and (
            must or self.seed.random() < 0.3 or (self.tidy and quote in value)
        ):
            if escape is not None and self.seed.random() < 0.7:
                value = value.replace(escape, escape * 2).replace(quote, escape + quote)
            else:
                value = value.replace(escape, escape * 2) if escape else value
                value = value.replace(quote, quote * 2)
            return f"{quote}{value}{quote}"
        if escape is not None:
            value = value.replace(escape, escape * 2)
            for mark in (special, "\n"):
                value = value.replace(mark, escape + mark)
        return value


PIECES = ["a", "7", " ", ",", ";", "\t", '"', '""', "'", "\\", "\\N", "#", "\r", "\n", "\r\n"]
PIECES += ["\u00e9", "\u2028", "\U0001f30a", "\0", "\x01", "\x1f", "NULL", "\ufeff", "=", "x" * 50]


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Format, list[tuple[int, list[str] | None]]]:
    seed = random.Random(draw(st.integers(0, 2**32)))
    quote = seed.choice(['"', '"', '"', "'", None])
    delimiter = seed.choice([",", ",", ";", "\t", "\u00a6"])
    escape = seed.choice([None, None, None, "\\"])
    width = seed.randint(2, 5)
    names = [f"n{at}" for at in range(width)]
    form = csv_format(
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        header=seed.choice([True, names]),
        comment=seed.choice([None, "#"]),
        null=[],
    )
    writer = Writer(seed, form, width, seed.choice(["\n", "\r\n"]), tidy=seed.random() < 0.5)
    pieces = [p for p in PIECES if quote is not None or p not in (delimiter, '"')]
    if quote is None and escape is None:
        pieces = [p for p in pieces if "\n" not in p]
    if quote is None or escape is not None:  # nothing keeps them apart from a line's end
        pieces = [p for p in pieces if "\r" not in p and p != "#"]
    if form.header is True:
        writer.put(names)
    for _ in range(draw(st.integers(0, 30))):
        if form.comment and seed.random() < 0.1:
            writer.comment(seed.choice(["", '"', ' x,"y', "'"]))
        count = width if seed.random() < 0.9 else seed.randint(1, 6)
        value = "".join
        first = f"{seed.randint(0, 99)}" if form.comment else ""
        row = [value(seed.choices(pieces, k=seed.randint(0, 4))) for _ in range(count)]
        writer.put([first + row[0], *row[1:]])
    text = "".join(writer.text)
    if seed.random() < 0.3:
        text = text.removesuffix("\n").removesuffix("\r")
    if text.startswith("\ufeff"):  # the first one is the file's mark
        text = "\ufeff" + text
    records = writer.records[1:] if form.header is True else writer.records
    return text.encode(), form, records


def nothing_plain(_data: bytes, _form: Format, *, is_final: bool) -> Layout:  # noqa: ARG001
    none = np.zeros(0, np.int64)
    return Layout(none, none, none, none, 0)


def read_pieces(data: bytes, form: Format, size: int) -> list[Row]:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return rows_of(read_records(pieces, form, frozenset({"n0", "n1"})))


@settings(deadline=None, max_examples=300)
@given(file=files(), size=st.integers(1, 200), block=st.integers(1, 400))
def test_each_record_is_read_as_it_was_written(
    file: tuple[bytes, Format, list[tuple[int, list[str] | None]]], size: int, block: int
) -> None:
    data, form, records = file
    whole = read_pieces(data, form, max(1, len(data)))
    expected = [
        (line, values[:2] if values is not None else [None, None]) for line, values in records
    ]
    assert [(row["line"], list(map(row["values"].get, ["n0", "n1"]))) for row in whole] == expected
    for row, (_, values) in zip(whole, records, strict=True):
        assert row["fault"] == (None if values is not None else "wrong_columns")
        if values is not None:
            assert list(json.loads(row["body"]).values()) == values
    assert read_pieces(data, form, size) == whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        patch.setattr(delimited, "_SPAN", 1)
        assert read_pieces(data, form, size) == whole
        patch.setattr(delimited, "plain_layout", nothing_plain)
        assert read_pieces(data, form, size) == whole


@settings(deadline=None, max_examples=500)
@given(
    data=st.lists(
        st.sampled_from([b",", b'"', b"\n", b"\r", b"a", b" ", b"\xc3\xa9", b"\xff"])
    ).map(b"".join),
    block=st.integers(1, 30),
)
def test_both_ways_of_reading_agree_on_any_text(data: bytes, block: int) -> None:
    form = csv_format(header=["n0", "n1"])

    def outcome() -> object:
        try:
            return read_pieces(data, form, 7)
        except UnreadableError as error:
            return error.reason

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        assert outcome() == whole
        patch.setattr(delimited, "plain_layout", nothing_plain)
        assert outcome() == whole


def test_a_backslash_that_is_text_does_not_slow_down_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delimited, "_scanned", lambda *_: pytest.fail("read record by record"))
    rows = read("id,n\n" + '1,\\N\n2,"a\\d"\n' * 5, "id n", escape="\\", null=["\\N"])
    assert [row["values"]["n"] for row in rows] == [None, "a\\d"] * 5
