"""Parquet: each type as the value that was written, the whole row as JSON, and which files are refused."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import pickle
import random
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegate.common.unreadable import UnreadableError
from tidegate.landing import parquet_rows
from tidegate.landing.columnar import Rows
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.parquet_rows import read_rows

UTC = dt.UTC
AT = dt.datetime(2026, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)


def written(columns: Mapping[str, pa.Array] | pa.Table, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    pq.write_table(table, file, **options)
    file.seek(0)
    return file


def parts(columns: Mapping[str, pa.Array] | pa.Table, wanted: str, **options: Any) -> list[Rows]:
    return list(read_rows(written(columns, **options), frozenset(wanted.split())))


def one(column: pa.Array, **options: Any) -> tuple[Rows, list[Any], list[Any]]:
    """Return what a file with a column `x` gives: the rows, the column's values, and those in `body`."""
    (rows,) = parts({"x": column}, "x", **options)
    bodies = [json.loads(text, parse_float=Decimal) for text in rows.body.to_pylist()]
    return rows, rows.columns["x"].to_pylist(), [body.get("x") for body in bodies]


GOLDEN: dict[str, tuple[pa.Array, pa.DataType, list[Any], list[str | None]]] = {
    "text": (
        pa.array(["é\u2028", 'a"\\\n\x1f', "", None]),
        pa.string(),
        ["é\u2028", 'a"\\\n\x1f', "", None],
        ['"é\u2028"', '"a\\"\\\\\\n\\u001F"', '""', None],
    ),
    "text without its mark": (
        pa.array([b"caf\xc3\xa9", None], pa.binary()),
        pa.string(),
        ["café", None],
        ['"café"', None],
    ),
    "text of a fixed width": (
        pa.array([b"abcd"], pa.binary(4)),
        pa.string(),
        ["abcd"],
        ['"abcd"'],
    ),
    "large text": (pa.array(["a"], pa.large_string()), pa.string(), ["a"], ['"a"']),
    "dictionary": (
        pa.array(["a", None, "a"]).dictionary_encode(),
        pa.string(),
        ["a", None, "a"],
        ['"a"', None, '"a"'],
    ),
    "uuid": (
        pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()),
        pa.string(),
        ["00000000-0000-0000-0000-000000000005", None],
        ['"00000000-0000-0000-0000-000000000005"', None],
    ),
    "tinyint": (pa.array([-128, None], pa.int8()), pa.int64(), [-128, None], ["-128", None]),
    "bigint": (
        pa.array([-(2**63), 2**63 - 1]),
        pa.int64(),
        [-(2**63), 2**63 - 1],
        ["-9223372036854775808", "9223372036854775807"],
    ),
    "unsigned int": (pa.array([2**32 - 1], pa.uint32()), pa.int64(), [2**32 - 1], ["4294967295"]),
    "unsigned bigint": (
        pa.array([2**63 - 1, None], pa.uint64()),
        pa.int64(),
        [2**63 - 1, None],
        ["9223372036854775807", None],
    ),
    "unsigned beyond bigint": (
        pa.array([2**64 - 1, 0], pa.uint64()),
        pa.string(),
        ["18446744073709551615", "0"],
        ["18446744073709551615", "0"],
    ),
    "float": (
        pa.array([0.1, 16777216.0, None], pa.float32()),
        pa.float32(),
        [0.10000000149011612, 16777216.0, None],
        ["0.1", "16777216", None],
    ),
    "double": (
        pa.array([0.1, 1e300, 5e-324, -0.0]),
        pa.float64(),
        [0.1, 1e300, 5e-324, -0.0],
        ["0.1", "1e+300", "5e-324", "-0"],
    ),
    "no numbers": (
        pa.array([float("inf"), float("-inf"), None]),
        pa.float64(),
        [float("inf"), float("-inf"), None],
        ['"Infinity"', '"-Infinity"', None],
    ),
    "half": (pa.array([1.5], pa.float16()), pa.float32(), [1.5], ["1.5"]),
    "decimal": (
        pa.array(
            [Decimal("12.5"), Decimal(0), Decimal("-0.000000000000000001")], pa.decimal128(38, 18)
        ),
        pa.decimal128(38, 18),
        [Decimal("12.500000000000000000"), Decimal("0E-18"), Decimal("-1E-18")],
        ["12.500000000000000000", "0.000000000000000000", "-0.000000000000000001"],
    ),
    "wide decimal": (
        pa.array([Decimal("1" * 50 + ".25")], pa.decimal256(60, 2)),
        pa.string(),
        ["1" * 50 + ".25"],
        ["1" * 50 + ".25"],
    ),
    "boolean": (
        pa.array([True, False, None]),
        pa.bool_(),
        [True, False, None],
        ["true", "false", None],
    ),
    "date": (
        pa.array([dt.date(2026, 5, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
        pa.date32(),
        [dt.date(2026, 5, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
        ['"2026-05-01"', '"0001-01-01"', '"9999-12-31"', None],
    ),
    "microseconds": (
        pa.array([AT, None], pa.timestamp("us", "UTC")),
        pa.timestamp("us", "UTC"),
        [AT, None],
        ['"2026-05-01T10:00:00.123456Z"', None],
    ),
    "milliseconds": (
        pa.array([1, -1], pa.timestamp("ms", "UTC")),
        pa.timestamp("us", "UTC"),
        [
            dt.datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        ],
        ['"1970-01-01T00:00:00.001Z"', '"1969-12-31T23:59:59.999Z"'],
    ),
    "another zone": (
        pa.array([AT], pa.timestamp("us", "Asia/Kolkata")),
        pa.timestamp("us", "UTC"),
        [AT],
        ['"2026-05-01T10:00:00.123456Z"'],
    ),
    "local time": (
        pa.array([AT.replace(tzinfo=None)], pa.timestamp("us")),
        pa.timestamp("us"),
        [AT.replace(tzinfo=None)],
        ['"2026-05-01T10:00:00.123456Z"'],
    ),
    "time of day": (
        pa.array([dt.time(1, 2, 3, 4), None], pa.time64("us")),
        pa.string(),
        ["01:02:03.000004", None],
        ['"01:02:03.000004"', None],
    ),
    "duration": (pa.array([5], pa.duration("ms")), pa.int64(), [5], ["5"]),
    "nothing": (pa.nulls(2), pa.null(), [None, None], [None, None]),
    "struct": (
        pa.array([{"a": 1, "b": None}, {"a": None, "b": None}, None]),
        pa.string(),
        ['{"a":1}', "{}", None],
        ['{"a":1}', "{}", None],
    ),
    "list": (
        pa.array([["a", None, '"'], [], None]),
        pa.string(),
        ['["a",null,"\\""]', "[]", None],
        ['["a",null,"\\""]', "[]", None],
    ),
    "list of structs": (
        pa.array([[{"a": [1, 2]}, None], [{"a": None}]]),
        pa.string(),
        ['[{"a":[1,2]},null]', "[{}]"],
        ['[{"a":[1,2]},null]', "[{}]"],
    ),
    "map": (
        pa.array([[("k", 1), ('"', None)], [], None], pa.map_(pa.string(), pa.int32())),
        pa.string(),
        ['{"k":1,"\\"":null}', "{}", None],
        ['{"k":1,"\\"":null}', "{}", None],
    ),
    "map of numbers": (
        pa.array([[(7, ["x"])]], pa.map_(pa.int64(), pa.list_(pa.string()))),
        pa.string(),
        ['{"7":["x"]}'],
        ['{"7":["x"]}'],
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_a_value_is_what_was_written(case: str) -> None:
    column, kind, values, texts = GOLDEN[case]
    (rows,) = parts({"x": column}, "x")
    assert rows.columns["x"].type == kind
    assert rows.columns["x"].to_pylist() == values
    assert rows.body.to_pylist() == ["{}" if text is None else f'{{"x":{text}}}' for text in texts]
    assert rows.fault.to_pylist() == [None] * len(values)
    assert rows.cut_times == 0
    assert rows.nested == ({"x"} if pa.types.is_nested(column.type) else set())
    json.loads(rows.body[0].as_py())


def test_nanoseconds_are_cut_and_counted() -> None:
    counts = [at := 1_777_629_600_123_456_000, at + 1, at + 999, -1, None]
    rows, values, bodies = one(pa.array(counts, pa.timestamp("ns", "UTC")), version="2.6")
    before = dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert values == [AT, AT, AT, before, None]
    assert rows.cut_times == 3
    assert bodies[1] == "2026-05-01T10:00:00.123456001Z"


def test_int96_keeps_microseconds_far_from_1970_too() -> None:
    far = dt.datetime(2500, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    column = pa.array([AT, far, None], pa.timestamp("us", "UTC"))
    rows, values, _ = one(column, use_deprecated_int96_timestamps=True)
    assert values == [AT.replace(tzinfo=None), far.replace(tzinfo=None), None]
    assert rows.cut_times == 0


@pytest.mark.parametrize("count", [1, 200])
def test_nanoseconds_of_int96_are_cut_and_counted(count: int) -> None:
    at = 1_777_629_600_123_456_000
    column = pa.array([at, at + 1, None, at + 999, -1] * count, pa.timestamp("ns"))
    file = {"deep": pa.StructArray.from_arrays([column], ["x"]), "unused": column}
    found = parts(file, "deep.x", use_deprecated_int96_timestamps=True, row_group_size=300)
    assert sum(rows.cut_times for rows in found) == 3 * count
    assert sum(len(rows) for rows in found) == 5 * count
    before = dt.datetime(1969, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
    assert found[0].columns["deep.x"].to_pylist()[:5][-1] == before


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_times_outside_the_years_1_to_9999_are_a_fault_of_their_row(unit: str) -> None:
    per_second = {"ms": 1_000, "us": 1_000_000}[unit]
    first, behind = -62_135_596_800 * per_second, 253_402_300_800 * per_second
    counts = [first - 1, first, behind - 1, behind, 2**63 - 1, None]
    rows, values, _ = one(pa.array(counts, pa.timestamp(unit)))
    assert [value is not None for value in values] == [False, True, True, False, False, False]
    assert values[1] == dt.datetime(1, 1, 1)  # noqa: DTZ001
    assert rows.fault.to_pylist() == ["bad_value", None, None, "bad_value", "bad_value", None]
    assert "in the years 1 to 9999" in rows.detail[0].as_py()
    # What a column has that is not used is no fault.
    (unused,) = parts({"x": pa.array(counts, pa.timestamp(unit))}, "y")
    assert unused.fault.to_pylist() == [None] * 6
    assert all(json.loads(body) is not None for body in unused.body.to_pylist())


def test_dates_outside_the_years_1_to_9999_are_a_fault_of_their_row() -> None:
    days = pa.array([-719_163, -719_162, 2_932_896, 2_932_897, 2**31 - 1, None], pa.int32())
    rows, values, _ = one(days.cast(pa.date32()))
    assert values == [None, dt.date(1, 1, 1), dt.date(9999, 12, 31), None, None, None]
    assert rows.fault.to_pylist() == ["bad_value", None, None, "bad_value", "bad_value", None]


def test_bytes_that_are_no_text_are_a_fault_where_they_are_used_and_base64_elsewhere() -> None:
    column = pa.array([b"a", b"\xff\x00", None], pa.binary())
    rows, values, bodies = one(column)
    assert values == ["a", None, None]
    assert rows.fault.to_pylist() == [None, "not_utf8", None]
    assert bodies == ["a", base64.b64encode(b"\xff\x00").decode(), None]
    (unused,) = parts({"x": column, "id": pa.array(["1", "2", "3"])}, "id")
    assert unused.fault.to_pylist() == [None] * 3


def test_text_is_not_trusted_to_be_utf_8() -> None:
    marked = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    rows, values, _ = one(marked)
    assert values == ["a", None]
    assert rows.fault.to_pylist() == [None, "not_utf8"]


def test_a_path_leads_into_structs_and_maps_and_nowhere_else() -> None:
    table = {
        "geo": pa.array([{"city": "Ulm", "in": {"x": 1}}, None, {"city": None, "in": None}]),
        "tags": pa.array([["a"], None, []]),
        "a.b": pa.array([1, 2, 3]),
        "attrs": pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string())),
    }
    (rows,) = parts(table, "geo.city geo.in.x geo.none tags.a `a.b` attrs.k a none")
    assert {path: column.to_pylist() for path, column in rows.columns.items()} == {
        "geo.city": ["Ulm", None, None],
        "geo.in.x": [1, None, None],
        "geo.none": [None] * 3,
        "tags.a": [None] * 3,
        "`a.b`": [1, 2, 3],
        "attrs.k": ["v", None, None],
        "a": [None] * 3,
        "none": [None] * 3,
    }
    assert rows.nested == set()


def test_rows_are_numbered_through_all_row_groups_and_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 2_000)
    table = pa.table({"id": pa.array(range(1_000)), "s": pa.array(["x" * 50] * 1_000)})
    batches = parts(table, "id", row_group_size=300)
    assert len(batches) > 10
    assert [n for rows in batches for n in rows.line.to_pylist()] == list(range(1, 1_001))
    assert [n for rows in batches for n in rows.columns["id"].to_pylist()] == list(range(1_000))


def test_values_that_a_dictionary_makes_small_are_read_in_small_batches() -> None:
    table = {"id": pa.array(range(2_000)), "s": pa.array(["x" * 100_000] * 2_000)}
    file = written(table)
    assert len(file.getvalue()) < 1_000_000
    sizes = [rows.body.nbytes for rows in read_rows(file, frozenset({"id"}))]
    assert sum(sizes) > 200_000_000
    assert max(sizes) < 3 * parquet_rows.BATCH_BYTES


def test_of_a_row_that_is_too_long_the_head_is_kept() -> None:
    (rows,) = parts({"id": pa.array([1, 2]), "s": pa.array(["é" * MAX_LINE_BYTES, "y"])}, "id")
    assert rows.fault.to_pylist() == ["too_long", None]
    assert MAX_RAW_BYTES - 3 < len(rows.body[0].as_py().encode()) <= MAX_RAW_BYTES
    assert rows.length[0].as_py() == 2 * MAX_LINE_BYTES + len('{"id":1,"s":""}')
    assert rows.columns["id"].to_pylist() == [1, 2]


def test_files_without_rows_or_without_columns_have_no_rows() -> None:
    assert parts({"id": pa.array([], pa.string())}, "id") == []
    assert parts(pa.table({}), "id") == []
    assert parts(pa.table({"id": pa.array([], pa.null())}), "id") == []


def test_of_a_private_file_there_is_no_body_and_no_value_in_a_message() -> None:
    table = {"id": pa.array([1, 2]), "day": pa.array([0, 2_932_897], pa.int32()).cast(pa.date32())}
    (rows,) = read_rows(written(table), frozenset({"day"}), private=True)
    assert rows.body.to_pylist() == [None, None]
    assert "2932897" not in rows.detail[1].as_py()
    (rows,) = read_rows(written(table), frozenset({"other"}), private=True)
    assert rows.columns["other"].to_pylist() == [None, None]


def test_a_column_that_is_there_twice_hurts_only_where_it_is_used() -> None:
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["x", "x", "id"])
    (rows,) = parts(table, "id")
    assert json.loads(rows.body[0].as_py()) == {"x": 1, "_c1": 2, "id": 3}
    with pytest.raises(UnreadableError, match="several columns named x"):
        parts(table, "x")


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_every_codec_that_arrow_writes_is_read(codec: str) -> None:
    (rows,) = parts({"id": pa.array(["a", "b"])}, "id", compression=codec)
    assert rows.columns["id"].to_pylist() == ["a", "b"]


def refused(data: bytes) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        list(read_rows(io.BytesIO(data), frozenset({"id"})))
    assert "Error" not in caught.value.reason
    assert "Arrow" not in caught.value.reason
    return pickle.loads(pickle.dumps(caught.value))  # type: ignore[no-any-return] # noqa: S301


def test_what_is_no_whole_parquet_file_is_refused_with_the_reason() -> None:
    whole = written({"id": pa.array([str(n) for n in range(1_000)])}).getvalue()
    assert "not a Parquet file" in refused(b'{"id":1}\n').what
    assert "an empty file" in refused(b"").reason
    assert "cut short" in refused(whole[:-1]).what
    assert "cut short" in refused(whole[: len(whole) // 2]).what
    assert "cut short" in refused(b"PAR1").what
    assert "encrypted" in refused(b"PARE" + whole[4:-4] + b"PARE").what
    footer = int.from_bytes(whole[-8:-4], "little")
    damaged = whole[: -8 - footer] + bytes(footer) + whole[-8:]
    assert "can't be read: its description" in refused(damaged).what


@pytest.mark.parametrize(("code", "name"), [(6, "LZO"), (100, "codec 50")])
def test_a_codec_that_nothing_here_can_read_is_named(code: int, name: str) -> None:
    whole = written({"id": pa.array(["a"])}, compression="snappy").getvalue()
    snappy, other = b"\x02id\x15\x02", b"\x02id\x15" + bytes([code])
    assert snappy in whole
    error = refused(whole.replace(snappy, other))
    assert f"is compressed by {name}, which can't be read" in error.what


def test_rows_that_a_file_declares_and_does_not_have_are_missed() -> None:
    whole = written(
        {"id": pa.array([str(n) for n in range(7_777)])}, row_group_size=1_000
    ).getvalue()
    # The number of rows of the whole file, as the footer has it before the list of row groups: a zigzag varint.
    total = b"\x16\xc2\x79\x19"
    assert whole.count(total) == 1
    assert "number of rows" in refused(whole.replace(total, b"\x16\xc4\x79\x19")).what


def test_a_row_group_without_rows_that_declares_some_is_no_file_without_rows() -> None:
    whole = written({"id": pa.array([str(n) for n in range(7_777)])}).getvalue()
    # The number of values of the column, which comes before those of rows: a zigzag varint, here of -65.
    bent = whole.replace(b"\x16\xc2\x79", b"\x16\x81\x01", 1)
    assert "number of rows" in refused(bent).what


def test_damaged_pages_are_never_rows() -> None:
    values = [f"{n:06d}" for n in range(5_000)]
    whole = written(
        {"id": pa.array(values)}, write_page_checksum=True, compression="zstd"
    ).getvalue()
    seed = random.Random(7)
    for _ in range(50):
        data = bytearray(whole)
        data[seed.randrange(4, len(whole) // 2)] ^= 1 << seed.randrange(8)
        try:
            batches = [
                n
                for r in read_rows(io.BytesIO(data), frozenset({"id"}))
                for n in r.columns["id"].to_pylist()
            ]
        except UnreadableError:
            continue
        assert batches == values


def test_a_connection_that_is_lost_says_nothing_of_the_file() -> None:
    class Lost(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() < 100 and (size or 0) > 8:
                raise ConnectionResetError(104, "reset")
            return super().read(size)

    whole = written({"id": pa.array([str(n) for n in range(100_000)])}).getvalue()
    with pytest.raises(ConnectionError):
        list(read_rows(Lost(whole), frozenset({"id"})))
