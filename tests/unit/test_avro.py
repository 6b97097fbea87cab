"""Avro: each type as the value that was written, records by their paths, and which files are refused."""

from __future__ import annotations

import bz2
import datetime as dt
import io
import json
import lzma
import random
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import cramjam
import fastavro
import pyarrow as pa
import pytest

from kernel import rows_of as kernel_rows
from kernel import source_of
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.format import Format
from tidegate.dumps.file_format import file_fault
from tidegate.landing import avro_rows as module
from tidegate.landing.avro_rows import read_rows
from tidegate.landing.columnar import Rows

SYNC = bytes(range(16))
Schema = dict[str, Any]


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _deflated,
    "snappy": _snappy,
    "zstandard": lambda data: bytes(cramjam.zstd.compress(data)),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def record(**types: Any) -> Schema:
    """Return the schema of a record; its fields by their types."""
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": "Event", "namespace": "org.shop", "fields": fields}


def encoded(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def container(schema: Any, blocks: Sequence[tuple[int, bytes]], codec: str = "null") -> bytes:
    """Return an Avro file, given the number of records and the bytes of each block."""
    known = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    body = b"Obj\x01" + encoded({"type": "map", "values": "bytes"}, known) + SYNC
    for count, data in blocks:
        packed = CODECS.get(codec, bytes)(data)
        body += encoded("long", count) + encoded("long", len(packed)) + packed + SYNC
    return body


def written(schema: Any, records: Sequence[Any], codec: str = "null", size: int = 100) -> bytes:
    """Return an Avro file of some records, a few a block."""
    parts = [records[at : at + size] for at in range(0, len(records), size)]
    blocks = [(len(part), b"".join(encoded(schema, one) for one in part)) for part in parts]
    return container(schema, blocks, codec)


def parts(
    body: bytes, wanted: str = "", *, private: bool = False, size: int = 1 << 20
) -> list[Rows]:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return list(read_rows(chunks, frozenset(wanted.split()), private=private))


def one(kind: Any, *values: Any) -> tuple[pa.DataType, list[Any], list[Any]]:
    """Return what a field `x` gives: its type, its values, and those in `body`."""
    (rows,) = parts(written(record(x=kind), [{"x": value} for value in values]), "x")
    bodies = [json.loads(text, parse_float=Decimal) for text in rows.body.to_pylist()]
    column = rows.columns["x"]
    assert rows.fault.null_count == len(rows)
    return column.type, column.to_pylist(), [body.get("x") for body in bodies]


AT = dt.datetime(2026, 5, 1, 10, 0, 0, 123456, tzinfo=dt.UTC)
TIME = pa.timestamp("us", "UTC")
ID = uuid.UUID(int=7)


def logical(kind: Any, named: str, **more: Any) -> Schema:
    return {"type": kind, "logicalType": named, **more}


FIXED = {"type": "fixed", "name": "F", "size": 4}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
INNER = {"type": "record", "name": "In", "fields": [{"name": "id", "type": "string"}]}
PRICE = {
    "type": "record",
    "name": "Price",
    "fields": [{"name": "d", "type": logical("bytes", "decimal", precision=4, scale=1)}],
}

GOLDEN: dict[str, tuple[Any, list[Any], pa.DataType, list[Any], list[Any]]] = {
    "text": ("string", ['é"', ""], pa.string(), ['é"', ""], ['é"', ""]),
    "bytes": ("bytes", [b"caf\xc3\xa9"], pa.string(), ["café"], ["café"]),
    "whole": ("int", [-1, 7], pa.int64(), [-1, 7], [-1, 7]),
    "long": ("long", [2**63 - 1], pa.int64(), [2**63 - 1], [2**63 - 1]),
    "float": (
        "float",
        [0.1],
        pa.float32(),
        [pa.scalar(0.1, pa.float32()).as_py()],
        [Decimal("0.1")],
    ),
    "double": (
        "double",
        [0.1, float("nan")],
        pa.float64(),
        [0.1, pytest.approx(float("nan"), nan_ok=True)],
        [Decimal("0.1"), "NaN"],
    ),
    "boolean": ("boolean", [True, False], pa.bool_(), [True, False], [True, False]),
    "nullable": (["null", "string"], [None, "a"], pa.string(), [None, "a"], [None, "a"]),
    "nullable, null last": (["long", "null"], [None, 1], pa.int64(), [None, 1], [None, 1]),
    "one type": (["string"], ["a"], pa.string(), ["a"], ["a"]),
    "whole or long": (
        ["null", "int", "long"],
        [None, 1, 2**40],
        pa.int64(),
        [None, 1, 2**40],
        [None, 1, 2**40],
    ),
    "enum": (ENUM, ["A", "B"], pa.string(), ["A", "B"], ["A", "B"]),
    "fixed": (FIXED, [b"abcd"], pa.string(), ["abcd"], ["abcd"]),
    "millis": (
        logical("long", "timestamp-millis"),
        [AT.replace(microsecond=123000)],
        TIME,
        [AT.replace(microsecond=123000)],
        ["2026-05-01T10:00:00.123Z"],
    ),
    "micros": (
        ["null", logical("long", "timestamp-micros")],
        [AT, None],
        TIME,
        [AT, None],
        ["2026-05-01T10:00:00.123456Z", None],
    ),
    "local micros": (
        logical("long", "local-timestamp-micros"),
        [AT.replace(tzinfo=None)],
        TIME,
        [AT],
        ["2026-05-01T10:00:00.123456Z"],
    ),
    "date": (
        logical("int", "date"),
        [dt.date(2026, 5, 1)],
        pa.date32(),
        [dt.date(2026, 5, 1)],
        ["2026-05-01"],
    ),
    "time": (
        logical("long", "time-micros"),
        [dt.time(1, 2, 3, 4)],
        pa.string(),
        ["01:02:03.000004"],
        ["01:02:03.000004"],
    ),
    "uuid": (logical("string", "uuid"), [ID], pa.string(), [str(ID)], [str(ID)]),
    "uuid of 16 bytes": (
        logical("fixed", "uuid", name="U", size=16),
        [ID.bytes],
        pa.string(),
        [str(ID)],
        [str(ID)],
    ),
    "decimal": (
        logical("bytes", "decimal", precision=10, scale=2),
        [Decimal("-1.10"), Decimal("0")],
        pa.decimal128(38, 2),
        [Decimal("-1.10"), Decimal("0.00")],
        [Decimal("-1.10"), Decimal("0.00")],
    ),
    "fixed decimal": (
        ["null", logical("fixed", "decimal", name="D", size=8, precision=18, scale=6)],
        [Decimal("1.000001"), None],
        pa.decimal128(38, 6),
        [Decimal("1.000001"), None],
        [Decimal("1.000001"), None],
    ),
    "long decimal": (
        logical("bytes", "decimal", precision=50, scale=0),
        [Decimal(10**49)],
        pa.string(),
        [str(10**49)],
        [10**49],
    ),
    "list": (
        {"type": "array", "items": "long"},
        [[1, 2], []],
        pa.string(),
        ["[1,2]", "[]"],
        [[1, 2], []],
    ),
    "map": (
        {"type": "map", "values": ENUM},
        [{"k": "A"}],
        pa.string(),
        ['{"k":"A"}'],
        [{"k": "A"}],
    ),
    "record": (INNER, [{"id": "a"}], pa.string(), ['{"id":"a"}'], [{"id": "a"}]),
    "list of records": (
        {"type": "array", "items": PRICE},
        [[{"d": Decimal("1.5")}]],
        pa.string(),
        ['[{"d":1.5}]'],
        [[{"d": Decimal("1.5")}]],
    ),
    "several types": (
        ["null", "string", "long", "boolean", INNER],
        ["a", 7, True, {"id": "b"}, None],
        pa.string(),
        ["a", "7", "true", '{"id":"b"}', None],
        ["a", "7", "true", '{"id":"b"}', None],
    ),
    "types with logic": (
        ["string", logical("long", "timestamp-millis")],
        [AT.replace(microsecond=0), "a"],
        pa.string(),
        ["2026-05-01T10:00:00.000Z", "a"],
        ["2026-05-01T10:00:00.000Z", "a"],
    ),
    "unknown logic": (logical("string", "colour"), ["a"], pa.string(), ["a"], ["a"]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_values_come_as_they_were_written(name: str) -> None:
    kind, values, arrow, columns, bodies = GOLDEN[name]
    found = one(kind, *values)
    assert found[0] == arrow
    assert found[1] == columns
    assert found[2] == bodies


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [3, 1 << 20])
def test_each_codec_and_any_pieces_give_the_same_rows(codec: str, size: int) -> None:
    records = [{"id": f"e{n}", "n": n} for n in range(250)]
    found = parts(written(record(id="string", n="long"), records, codec), "id n", size=size)
    assert [v for rows in found for v in rows.line.to_pylist()] == list(range(1, 251))
    assert [v for rows in found for v in rows.columns["id"].to_pylist()] == [
        r["id"] for r in records
    ]


def test_what_the_library_writes_is_read() -> None:
    out = io.BytesIO()
    schema = record(
        id="string", user=["null", INNER], tags={"type": "map", "values": "org.shop.In"}
    )
    records = [
        {"id": "a", "user": {"id": "ann"}, "tags": {"x": {"id": "t"}}},
        {"id": "b", "user": None, "tags": {}},
    ]
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec="deflate")
    (rows,) = parts(out.getvalue(), "id user.id tags.x.id tags.y.id none")
    assert rows.columns["user.id"].to_pylist() == ["ann", None]
    assert rows.columns["tags.x.id"].to_pylist() == ["t", None]
    assert rows.columns["tags.y.id"].to_pylist() == [None, None]
    assert rows.columns["none"].to_pylist() == [None, None]
    assert rows.body.to_pylist() == [
        '{"id":"a","user":{"id":"ann"},"tags":{"x":{"id":"t"}}}',
        '{"id":"b","tags":{}}',
    ]


def test_many_small_blocks_come_in_few_batches_and_a_large_one_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [{"n": n} for n in range(5_000)]
    small, large = (written(record(n="long"), values, size=size) for size in (10, 5_000))
    assert [len(rows) for rows in parts(small, "n")] == [5_000]
    monkeypatch.setattr(module, "BATCH_BYTES", 1_000)
    for body in (small, large):
        found = parts(body, "n")
        assert len(found) > 4
        assert [v for rows in found for v in rows.columns["n"].to_pylist()] == list(range(5_000))
    for count in (4_999, 5_001):
        data = b"".join(encoded(record(n="long"), value) for value in values)
        assert "can't be read" in refused(container(record(n="long"), [(count, data)]), "n").reason


def test_a_field_without_a_type_has_no_value() -> None:
    (rows,) = parts(written(record(id="string", x="null", y=["null"]), [{"id": "a"}]), "id x y")
    assert [rows.columns[name].to_pylist() for name in ("x", "y")] == [[None], [None]]
    assert rows.body.to_pylist() == ['{"id":"a"}']


def test_a_file_without_records_has_no_rows() -> None:
    assert parts(written(record(id="string"), []), "id") == []


def test_bytes_that_are_no_text_are_a_fault_of_their_row() -> None:
    schema = record(id="bytes", other="bytes")
    (rows,) = parts(
        written(schema, [{"id": b"\xff", "other": b"a"}, {"id": b"b", "other": b"\xff"}]), "id"
    )
    assert rows.fault.to_pylist() == ["not_utf8", None]
    assert rows.body.to_pylist()[1] == '{"id":"b","other":"/w=="}'
    # A text is known to be one only by its schema.
    broken = container(record(id="string"), [(1, encoded("bytes", b"\xff"))])
    assert parts(broken, "id")[0].fault.to_pylist() == ["not_utf8"]


def test_a_time_out_of_range_is_a_fault_of_its_row() -> None:
    kind = logical("long", "timestamp-millis")
    body = container(record(at=kind), [(2, encoded("long", 2**60) + encoded("long", 0))])
    assert parts(body, "at")[0].fault.to_pylist() == ["bad_value", None]


def test_of_a_private_file_only_what_is_wanted_is_read() -> None:
    body = written(record(id="string", mail="string"), [{"id": "a", "mail": "m@x"}])
    (rows,) = parts(body, "id", private=True)
    assert rows.columns["id"].to_pylist() == ["a"]
    assert rows.body.to_pylist() == [None]
    (rows,) = parts(body, "none", private=True)
    assert len(rows) == 1


def test_names_that_avro_does_not_know_are_read_as_they_are() -> None:
    known = {"avro.schema": json.dumps(record(**{"a-b": "string", "0": "long"})).encode()}
    body = b"Obj\x01" + encoded({"type": "map", "values": "bytes"}, known) + SYNC
    data = encoded("string", "x") + encoded("long", 7)
    body += encoded("long", 1) + encoded("long", len(data)) + data + SYNC
    (rows,) = parts(body, "a-b 0")
    assert [rows.columns[name].to_pylist() for name in ("a-b", "0")] == [["x"], [7]]


GOOD = written(record(id="string", n="long"), [{"id": f"e{n}", "n": n} for n in range(20)], size=7)


def refused(body: bytes, wanted: str = "id") -> UnreadableError:
    with pytest.raises(UnreadableError) as error:
        parts(body, wanted)
    assert error.value.todo
    return error.value


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_is_cut_is_unreadable_unless_it_ends_with_a_block(codec: str) -> None:
    records = [{"id": f"e{n}", "n": n} for n in range(20)]
    body = written(record(id="string", n="long"), records, codec, size=7)
    whole = [
        len(written(record(id="string", n="long"), records[:n], codec, size=7)) for n in (0, 7, 14)
    ]
    for cut in range(len(body)):
        if cut in whole:
            assert sum(map(len, parts(body[:cut], "id"))) in (0, 7, 14)
        else:
            refused(body[:cut])


def test_changed_bytes_give_rows_or_an_unreadable_file() -> None:
    chance = random.Random(7)
    for codec in CODECS:
        body = written(
            record(
                id="string",
                t=["null", "string", {"type": "array", "items": "long"}],
                m={"type": "map", "values": "bytes"},
            ),
            [{"id": f"e{n}", "t": [n], "m": {"k": b"v"}} for n in range(20)],
            codec,
            size=7,
        )
        for _ in range(150):
            changed = bytearray(body)
            for _ in range(chance.randint(1, 3)):
                changed[chance.randrange(len(body))] = chance.randrange(256)
            try:
                parts(bytes(changed), "id t")
            except UnreadableError as error:
                assert error.reason


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "an empty file"),
        (b'{"a": 1}\n', "not an Avro file"),
        (GOOD[:-1] + b"x", "the mark behind block 3"),
        (GOOD + b"\x02\x04ab" + SYNC, "can't be read by the schema"),
        (container(record(id="string"), [(1, encoded("string", "a") + b"x")]), "can't be read by"),
        (container(record(id="string"), [(1, encoded("string", "a") + b"\0")]), "can't be read by"),
        (
            container(record(id="string"), [(1, encoded("string", "a") + b"\2\2b")]),
            "can't be read by",
        ),
        (container(record(id="string"), [(9, b"")]), "9 records in 0 bytes"),
        (container(record(id="string"), [(-1, b"")]), "-1 records"),
        (container(record(id="string"), [], "lzo"), "compressed by 'lzo'"),
        (container("string", []), "no records"),
        (container(record(), []), "no values"),
        (container(record(a="null"), []), "no values"),
        (container(record(a={"type": "array", "items": "null"}), []), "a list of nothing"),
        (
            container(
                {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]},
                [],
            ),
            "within itself",
        ),
        (
            container({"type": "record", "name": "R", "fields": [{"name": "r", "type": "S"}]}, []),
            "damaged",
        ),
        (container(record(a="string"), [])[:20] + b"\xff" * 20, "cut short"),
        (GOOD[:4] + b"\xff" * 20, "damaged"),
    ],
)
def test_files_that_are_no_whole_avro_are_refused(body: bytes, what: str) -> None:
    assert what in refused(body).reason


def test_a_schema_that_grows_beyond_measure_is_refused() -> None:
    kind: Any = "string"
    for depth in range(40):
        kind = {
            "type": "record",
            "name": f"R{depth}",
            "fields": [
                {"name": "a", "type": kind},
                {"name": "b", "type": f"R{depth - 1}" if depth else "string"},
            ],
        }
    assert "types" in refused(container(kind, []), "a").reason
    deep: Any = "string"
    for _ in range(900):
        deep = {"type": "array", "items": deep}
    refused(container(record(a=deep), []), "a")


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "null"])
def test_a_block_that_unpacks_to_too_much_is_refused(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK", 10_000)
    body = container(record(id="string"), [(1, encoded("string", "x" * 20_000))], codec)
    assert "more than 10,000 bytes" in refused(body).reason


def test_a_path_into_a_value_of_several_types_is_refused() -> None:
    body = written(record(user=["null", "string", INNER]), [{"user": "a"}])
    assert "several types" in refused(body, "user.id").reason
    assert parts(body, "user")[0].columns["user"].to_pylist() == ["a"]


def test_a_file_is_known_by_its_first_bytes() -> None:
    form = Format(type="avro")
    assert file_fault("a.avro", 99, GOOD[:512], form) is None
    assert "expected Avro" in str(file_fault("a.avro", 99, b"PAR1\x15", form))
    assert "got Avro" in str(file_fault("a.json", 99, GOOD[:512], Format()))


def test_events_of_avro_are_those_of_json() -> None:
    events = [
        {"id": f"e{n}", "at": "2024-03-01T12:00:00Z", "type": "t", "user": "ann", "n": n}
        for n in range(30)
    ]
    schema = record(id="string", at="string", type=["null", "string"], user="string", n="int")
    source = source_of(format="avro")
    name = "2024-03-01-12.json"
    found = kernel_rows(source, written(schema, events), name)
    lines = kernel_rows(
        source_of(), [json.dumps(event, separators=(",", ":")) for event in events], name
    )
    assert found == lines
    assert kernel_rows(source, written(schema, events), name + ".gz") == [
        {**row, "file": name + ".gz"} for row in lines
    ]


def test_the_format_is_part_of_a_definition() -> None:
    assert source_of(format="avro").format.definition() == {"type": "avro"}
