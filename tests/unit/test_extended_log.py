"""W3C extended logs: which lines are records, what the columns are called, and which files are refused."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_delimited import csv_format, nothing_plain, read_pieces, refused
from test_delimited import read as read_records

from kernel import rows_of as landed
from kernel import source_of
from tidegate.common.unreadable import UnreadableError
from tidegate.dumps.unpack import unpacked
from tidegate.landing import delimited

LOG: dict[str, Any] = {"delimiter": "\t", "quote": None}
CLOUDFRONT = (
    "#Version: 1.0\n"
    "#Fields: date time c-ip cs(Referer)\n"
    "2026-05-01\t10:01:02\t192.0.2.1\t-\n"
    "2026-05-01\t10:02:02\t192.0.2.2\t%2523\n"
)


def read(text: str | bytes, wanted: str = "c-ip", **options: Any) -> list[dict[str, Any]]:
    return read_records(text, wanted, **{**LOG, **options})


def bodies(rows: list[dict[str, Any]]) -> list[tuple[int, dict[str, str]]]:
    return [(row["line"], json.loads(row["body"])) for row in rows]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_columns_are_named_by_the_line_fields(mark: str, ends: str) -> None:
    rows = read((mark + CLOUDFRONT).replace("\n", ends))
    day = {"date": "2026-05-01"}
    assert bodies(rows) == [
        (3, {**day, "time": "10:01:02", "c-ip": "192.0.2.1"}),
        (4, {**day, "time": "10:02:02", "c-ip": "192.0.2.2", "cs(Referer)": "%2523"}),
    ]


@pytest.mark.parametrize("first", ["#Software: IIS", "#Version: 1.0", "#Date: x", "#Remark: y"])
def test_an_extended_log_is_known_by_its_first_line(first: str) -> None:
    text = f'{first}\n#Fields:  date\tc-ip \n# note "\nx y\n#Remark: end'
    assert bodies(read(text, delimiter=" ")) == [(4, {"date": "x", "c-ip": "y"})]


def test_other_comments_do_not_make_an_extended_log() -> None:
    assert "data, not a header" in refused("#Hello: 1\nid\n1\n").what


def test_columns_change_where_the_line_fields_does() -> None:
    text = (
        "#Version: 1.0\n#Fields: a b\n1 2\n#Fields: a b\n3 4\n"
        "#Date: x\n#Fields: b c a\n5 6 7\n8 9\n#Fields: a\n10"
    )
    rows = read(text, "a b", delimiter=" ")
    assert [(row["line"], row["fault"], row["values"]) for row in rows] == [
        (3, None, {"a": "1", "b": "2"}),
        (5, None, {"a": "3", "b": "4"}),
        (8, None, {"a": "7", "b": "5"}),
        (9, "wrong_columns", {"a": None, "b": None}),
        (11, None, {"a": "10", "b": None}),
    ]
    assert rows[3]["detail"] == "expected 3 columns, got 2"


def test_a_byte_order_mark_before_a_directive_in_mid_file_is_no_part_of_it() -> None:
    text = (
        "\ufeff#Version: 1.0\n#Fields: a b\n1 2\n\ufeff#Version: 1.0\n#Fields: b a\n4 3\n"
        "\ufeff#Fields: a\n5\n\ufeff#Fields: a\n6\n\ufeff#Date: x\n7\n\ufeff#Remark: end"
    )
    rows = read(text, "a", delimiter=" ")
    assert [(row["line"], row["fault"], row["values"]["a"]) for row in rows] == [
        (3, None, "1"),
        (6, None, "3"),
        (8, None, "5"),
        (10, None, "6"),
        (12, None, "7"),
    ]


def test_members_of_a_gzip_file_each_have_their_own_lines_at_the_top() -> None:
    other = "#Version: 1.0\n#Fields: c-ip date\n192.0.2.9\t2026-05-01\n"
    packed = b"".join(gzip.compress(text.encode()) for text in [CLOUDFRONT, other] * 50)
    text = b"".join(unpacked(io.BytesIO(packed), "log.gz"))
    rows = read(text)
    assert [row["values"]["c-ip"] for row in rows] == ["192.0.2.1", "192.0.2.2", "192.0.2.9"] * 50
    assert {row["fault"] for row in rows} == {None}


def test_a_list_of_names_counts_and_the_line_fields_does_not() -> None:
    text = "#Version: 1.0\n#Fields: x y\n1\t-\n#Fields: z\n3\t4\n"
    rows = read(text, "a", header=["a", "b"])
    assert bodies(rows) == [(3, {"a": "1"}), (5, {"a": "3", "b": "4"})]
    assert bodies(read(text, "_c0", header=False)) == [
        (3, {"_c0": "1"}),
        (5, {"_c0": "3", "_c1": "4"}),
    ]


def test_a_dash_is_no_value_unless_the_format_names_what_is_none() -> None:
    text = "#Fields: a b c\n-\t\t%2D\n"
    assert bodies(read(text, "a")) == [(2, {"c": "%2D"})]
    assert bodies(read(text, "a", null=[])) == [(2, {"a": "-", "b": "", "c": "%2D"})]
    assert bodies(read(text, "a", null=["%2D"])) == [(2, {"a": "-", "b": ""})]
    # In other files it is text.
    assert bodies(read_records("a\n-\n", "a")) == [(2, {"a": "-"})]


@pytest.mark.parametrize(
    "text", ["#Version: 1.0", "#Version: 1.0\r\n#Fields: a b\r\n", "#Fields: c-ip", "#Date:\n#x\n"]
)
def test_a_log_without_a_request_has_no_records(text: str) -> None:
    assert read(text) == []


def test_a_cut_last_line_is_quarantined() -> None:
    rows = read(CLOUDFRONT + "2026-05-01\t10:0")
    assert [row["fault"] for row in rows] == [None, None, "wrong_columns"]


def test_a_zero_byte_is_text_and_other_bytes_are_not_utf8() -> None:
    rows = read(b"#Fields: c-ip a\n1\t\0\n2\t\xff\n")
    assert [(row["fault"], row["values"]["c-ip"]) for row in rows] == [
        (None, "1"),
        ("not_utf8", None),
    ]


def test_a_record_before_the_names_makes_the_file_unreadable() -> None:
    error = refused("#Version: 1.0\n1\t2\n#Fields: a b\n", "a", **LOG)
    assert error.reason == (
        "line 2: a line comes before the names of the columns; expected a line that begins with "
        "'#Fields:' before the first record; got a line that does not begin with '#'"
    )
    assert "header: [...]" in str(error.todo)


def test_names_that_lack_what_every_event_needs_make_the_file_unreadable() -> None:
    error = refused(CLOUDFRONT + "#Fields: date c_ip\n", "date c-ip", **LOG)
    assert (error.line, error.what) == (
        5,
        "the line '#Fields:' lacks 'c-ip' (the nearest is 'c_ip')",
    )
    assert error.expected == "a column named c-ip"
    error = refused("#Fields:\n1\n", "date", needed="date", **LOG)
    assert (error.line, error.what) == (1, "the line '#Fields:' lacks 'date'")
    assert "secret" not in refused("#Fields: secret\n", "a", needed="a", private=True, **LOG).reason
    assert refused("#Fields: a a\n", "a", **LOG).what == "the line '#Fields:' names a twice"
    long = refused(f"#Version: 1.0\n#Fields: {'a ' * 600_000}\n", "a", **LOG)
    assert (long.line, long.what) == (2, "the line '#Fields:' is too long")


def test_a_log_lands_with_its_date_and_time_and_without_what_is_personal() -> None:
    source = source_of(
        format={"type": "csv", **LOG},
        fields={"event_time": {"sql": "concat(date, 'T', time, 'Z')"}, "user_id": "c-ip"},
        columns={"referer": {"path": "cs(Referer)", "type": "string"}},
        pii={"c-ip": "drop"},
    )
    rows = landed(source, CLOUDFRONT.replace("2026-05-01", "2024-03-01").replace("\t10:", "\t12:"))
    assert [(row["event_time"], row["user_id"], row["referer"]) for row in rows] == [
        ("2024-03-01 12:01:02", None, None),
        ("2024-03-01 12:02:02", None, "%2523"),
    ]
    assert "192.0.2" not in repr(rows)


def test_a_time_of_two_columns_needs_both() -> None:
    paths = {"event_time": {"paths": ["date", "time"]}}
    source = source_of(format={"type": "csv", **LOG}, fields=paths, columns={})
    text = CLOUDFRONT.replace("2026-05-01", "2024-03-01").replace("\t10:", "\t12:")
    assert [row["event_time"] for row in landed(source, text)] == [
        "2024-03-01 12:01:02",
        "2024-03-01 12:02:02",
    ]
    with pytest.raises(UnreadableError, match="lacks 'time'"):
        landed(source, text.replace(" time", " when"))
    hourly = source_of(
        format={"type": "csv", **LOG}, fields={"event_time": "dump_hour"}, columns={}
    )
    assert [row["_reason"] for row in landed(hourly, text)] == [None, None]


def test_of_the_columns_of_an_expression_one_is_enough() -> None:
    either = {"event_time": {"sql": "coalesce(born, made)"}}
    source = source_of(format={"type": "csv"}, fields=either, columns={})
    for name in ("born", "made"):
        (row,) = landed(source, f"{name},x\n2024-03-01T12:00:00Z,1\n")
        assert row["_reason"] is None
    with pytest.raises(UnreadableError, match="lacks 'born', 'made'"):
        landed(source, "#Fields: when,x\n1,1\n")


NAMES = ["a", "b", "c-ip", "cs(Host)", "x"]


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 200), block=st.integers(1, 300))
def test_each_record_is_read_as_it_was_written(seed: int, size: int, block: int) -> None:
    chance = random.Random(seed)
    quote = chance.choice([None, '"'])
    lines, expected = ["#Version: 1.0"], []
    line, names = 2, chance.sample(NAMES, 3)
    lines.append(f"#Fields: {' '.join(names)}")
    for _ in range(chance.randint(0, 30)):
        line += 1
        kind = chance.random()
        if kind < 0.2:
            names = chance.sample(NAMES, chance.randint(2, 5)) if chance.random() < 0.5 else names
            lines.append(f"#Fields: {' '.join(names)}")
        elif kind < 0.3:
            lines.append(chance.choice(["#", "#Fields", "#Remark: 1\t2", "# #Fields: z"]))
        else:
            row = [chance.choice(["1", "22", "é", "#", "-", "#Fields: q"]) for _ in names]
            row[0] = chance.choice(["7", "8"])
            if quote and chance.random() < 0.2:
                row[-1] = "k\n#Fields: q\n#"
            written = [f'"{text}"' if "\n" in text else text for text in row]
            lines.append("\t".join(written))
            known = {n: v for n, v in zip(names, row, strict=True) if v != "-"}
            expected.append((line, known))
            line += lines[-1].count("\n")
    data = ("\n".join(lines) + chance.choice(["", "\n"])).encode()
    form = csv_format(delimiter="\t", quote=quote)
    whole = read_pieces(data, form, len(data))
    assert bodies(whole) == expected
    assert [row["values"] for row in whole] == [{"n0": None, "n1": None}] * len(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        patch.setattr(delimited, "_SPAN", 1)
        assert read_pieces(data, form, size) == whole
        patch.setattr(delimited, "plain_layout", nothing_plain)
        assert read_pieces(data, form, size) == whole
