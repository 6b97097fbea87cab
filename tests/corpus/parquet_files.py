"""Write the Parquet files of the corpus: `PYTHONPATH=tests python -m corpus.parquet_files`.

The files are kept as they were written, since another version of the writer writes other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "parquet"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
Columns = dict[str, Any]


def tables() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield the name, the table and the options of the writer, of each file."""
    import pyarrow as pa

    for name, columns in {**_times(pa), **_ids(pa), **_values(pa), **_nested(pa)}.items():
        yield name, pa.table(columns), {}
    base = _base(pa, 3)
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        yield f"codec-{codec}", pa.table(base), {"compression": codec}
    yield "int96", pa.table(base), {"use_deprecated_int96_timestamps": True}
    ns = pa.array(
        [NOON + timedelta(microseconds=n) for n in (1, 999_999)], pa.timestamp("ns", "UTC")
    )
    edges = {"id": pa.array(["1", "2"]), "at": ns, "ts": ns}
    yield "int96-nanoseconds", pa.table(edges), {"use_deprecated_int96_timestamps": True}
    yield "page-version-2", pa.table(base), {"data_page_version": "2.0"}
    yield "row-groups", pa.table(_base(pa, 10)), {"row_group_size": 3}
    yield "without-dictionary", pa.table(base), {"use_dictionary": False}
    yield "without-rows", pa.table(base).slice(0, 0), {}
    yield "without-columns", pa.table({}), {}
    yield "equal-names-by-case", pa.table({**base, "ID": pa.array(["x", "y", "z"])}), {}
    yield "other-names", pa.table({"x": pa.array([1, 2])}), {}


def _base(pa: Any, rows: int) -> Columns:
    return {
        "id": pa.array([f"e{n}" for n in range(rows)]),
        "at": pa.array(
            [NOON + timedelta(microseconds=123_456 + n) for n in range(rows)],
            pa.timestamp("us", "UTC"),
        ),
        "type": pa.array(["view", None, ""][:rows] + ["click"] * (rows - 3)),
    }


def _times(pa: Any) -> dict[str, Columns]:
    def of(values: list[Any], kind: Any) -> Columns:
        ids = pa.array([str(n) for n in range(len(values))])
        return {"id": ids, "at": pa.array(values, kind), "ts": pa.array(values, kind)}

    aware = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=999_999), None]
    naive = [moment and moment.replace(tzinfo=None) for moment in aware]
    whole = [NOON, NOON + timedelta(seconds=1), None]
    nanos = [1709294400_000000001, 1709294400_000001000, 1709294400_999999999, 1709294399_999999999]
    edges = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1582, 10, 10, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    return {
        "at-us-utc": of(aware, pa.timestamp("us", "UTC")),
        "at-us-local": of(naive, pa.timestamp("us")),
        "at-us-berlin": of(aware, pa.timestamp("us", "Europe/Berlin")),
        "at-us-edges": of(edges, pa.timestamp("us", "UTC")),
        "at-us-beyond": of([253402300800_000000, -62135596800_000001], pa.timestamp("us", "UTC")),
        "at-ms-utc": of(whole, pa.timestamp("ms", "UTC")),
        "at-ms-local": of(
            [moment and moment.replace(tzinfo=None) for moment in whole], pa.timestamp("ms")
        ),
        "at-s-utc": of(whole, pa.timestamp("s", "UTC")),
        "at-ns-utc": of([*nanos, None], pa.timestamp("ns", "UTC")),
        "at-ns-local": of([*nanos, None], pa.timestamp("ns")),
        "at-date": of([date(2024, 3, 1), None], pa.date32()),
        "at-text": of(["2024-03-01T12:00:01.123456Z", "noon", "", None], pa.string()),
        "at-int": of([1709294400, None], pa.int64()),
        "at-double": of([1709294400.5, None], pa.float64()),
        "at-binary": of([b"2024-03-01T12:00:01Z", b"\xff", None], pa.binary()),
        "at-time": of([time(12, 0, 1), None], pa.time64("us")),
        "at-null": of([None, None], pa.null()),
    }


def _ids(pa: Any) -> dict[str, Columns]:
    def of(values: list[Any], kind: Any) -> Columns:
        ids = pa.array(values, kind)
        rows = len(values)
        at = pa.array([NOON] * rows, pa.timestamp("us", "UTC"))
        user = pa.StructArray.from_arrays([ids], names=["id"])
        return {"id": ids, "at": at, "user": user, "anon": ids}

    names = ["a", " x ", "", " ", "\u2028", 'q"', "\\", "\x00", "\x01", "🌊", None]
    raw = [
        b"a",
        b" x ",
        b"",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        "é".encode(),
        b"\x00",
        b"0123456789abcdef",
        None,
    ]
    return {
        "id-string": of(names, pa.string()),
        "id-large-string": of(names, pa.large_string()),
        "id-string-view": of(names, pa.string_view()),
        "id-dictionary": {
            **of(names, pa.string()),
            "id": pa.array(names, pa.string()).dictionary_encode(),
        },
        "id-binary": of(raw, pa.binary()),
        "id-fixed-binary": of([b"0123456789abcdef", b"\x00" * 15 + b"\xff", None], pa.binary(16)),
        "id-int64": of([0, -1, 2**53 + 1, 2**63 - 1, None], pa.int64()),
        "id-int32": of([0, -1, 2**31 - 1, None], pa.int32()),
        "id-uint64": of([0, 2**63, 2**64 - 1, None], pa.uint64()),
        "id-double": of(
            [0.0, -0.0, 1.0, 1.5, 1e22, 2.0**53, float("nan"), float("inf"), None], pa.float64()
        ),
        "id-float": of([1.0, 0.1, 16777216.0, None], pa.float32()),
        "id-decimal": of(
            [Decimal("1.50"), Decimal("12345678901234567890.12"), None], pa.decimal128(38, 2)
        ),
        "id-boolean": of([True, False, None], pa.bool_()),
        "id-date": of([date(2024, 3, 1), None], pa.date32()),
        "id-timestamp": of([NOON, None], pa.timestamp("us", "UTC")),
        "id-null": of([None, None], pa.null()),
    }


def _values(pa: Any) -> dict[str, Columns]:
    def of(columns: Columns) -> Columns:
        rows = len(next(iter(columns.values())))
        ids = pa.array([str(n) for n in range(rows)])
        return {"id": ids, "at": pa.array([NOON] * rows, pa.timestamp("us", "UTC")), **columns}

    wide = [
        Decimal("123456789012345678.12345678901234567890"),
        Decimal("0.00000000000000000001"),
        None,
    ]
    small = [Decimal("1234.50"), Decimal("-0.01"), None]
    long = [Decimal("123456789012345678901234567890123456.78"), Decimal("-1.00"), None]
    doubles = [
        0.1,
        -0.0,
        1e22,
        1e-7,
        1.5e300,
        5e-324,
        float("nan"),
        float("inf"),
        float("-inf"),
        None,
    ]
    floats = [0.1, 1.5, 16777217.0, 1e-7, 3.4e38, 1e-45, float("nan"), float("inf"), -0.0, None]
    whole = [0, 1, -1, 127, -128, None]
    return {
        "integers": of(
            {
                "i": pa.array(whole, pa.int32()),
                "b": pa.array(whole, pa.int64()),
                "x": pa.array(whole, pa.int8()),
                "y": pa.array(whole, pa.int16()),
                "s": pa.array(whole, pa.int8()),
                "d": pa.array(whole, pa.int16()),
            }
        ),
        "unsigned": of(
            {
                "i": pa.array([0, 2**32 - 1, None], pa.uint32()),
                "b": pa.array([0, 2**64 - 1, None], pa.uint64()),
            }
        ),
        "unsigned-small": of(
            {
                "i": pa.array([0, 255, None], pa.uint8()),
                "b": pa.array([0, 65535, None], pa.uint16()),
                "s": pa.array([0, 2**32 - 1, None], pa.uint32()),
                "whole": pa.array([0, 2**64 - 1, None], pa.uint64()),
            }
        ),
        "int-from-int64": of(
            {"i": pa.array([0, 2**31 - 1, 2**31, -(2**31) - 1, None], pa.int64())}
        ),
        "int-from-double": of(
            {
                "i": pa.array([1.0, 1.5, 1e10, float("nan"), None], pa.float64()),
                "b": pa.array([1.0, 1.5, 1e18, 1e19, None], pa.float64()),
            }
        ),
        "int-from-text": of(
            {
                "i": pa.array(["1", " 1 ", "1.0", "x", "", None]),
                "b": pa.array(["1", "2", "1e2", "", "9" * 19, None]),
            }
        ),
        "int-from-decimal": of(
            {"i": pa.array([Decimal("1.00"), Decimal("1.50"), None], pa.decimal128(10, 2))}
        ),
        "doubles": of({"x": pa.array(doubles, pa.float64()), "s": pa.array(doubles, pa.float64())}),
        "doubles-as-float": of({"y": pa.array([0.1, 1e39, 1.5, None], pa.float64())}),
        "floats": of(
            {
                "y": pa.array(floats, pa.float32()),
                "x": pa.array(floats, pa.float32()),
                "s": pa.array(floats, pa.float32()),
            }
        ),
        "half-floats": of({"y": pa.array([0.5, 1.5, None], pa.float16())}),
        "decimals": of(
            {
                "d": pa.array(small, pa.decimal128(6, 2)),
                "wide": pa.array(wide, pa.decimal128(38, 20)),
                "full": pa.array(long, pa.decimal128(38, 2)),
                "s": pa.array(wide, pa.decimal128(38, 20)),
            }
        ),
        "decimals-of-other-scales": of(
            {
                "d": pa.array(
                    [Decimal("1.500"), Decimal("1.505"), Decimal("99999.000"), None],
                    pa.decimal128(9, 3),
                ),
                "x": pa.array(
                    [Decimal("0.100"), Decimal("123456.789"), Decimal("0.000"), None],
                    pa.decimal128(9, 3),
                ),
            }
        ),
        "decimals-of-256-bits": of(
            {"full": pa.array([Decimal("1.50"), None], pa.decimal256(50, 2))}
        ),
        "decimal-from-double": of({"d": pa.array([0.1, 1.005, 1e10, None], pa.float64())}),
        "booleans": of(
            {
                "flag": pa.array([True, False, None], pa.bool_()),
                "s": pa.array([True, False, None], pa.bool_()),
                "i": pa.array([True, False, None], pa.bool_()),
            }
        ),
        "boolean-from-int": of({"flag": pa.array([1, 0, 2, None], pa.int32())}),
        "dates": of(
            {
                "day": pa.array(
                    [
                        date(2024, 2, 29),
                        date(1, 1, 1),
                        date(9999, 12, 31),
                        date(1582, 10, 10),
                        None,
                    ],
                    pa.date32(),
                ),
                "s": pa.array([date(2024, 2, 29)] * 5, pa.date32()),
                "ts": pa.array([date(2024, 2, 29)] * 5, pa.date32()),
            }
        ),
        "dates-from-timestamps": of(
            {"day": pa.array([NOON, NOON.replace(hour=0), None], pa.timestamp("us", "UTC"))}
        ),
        "dates-of-64-bits": of({"day": pa.array([date(2024, 2, 29), None], pa.date64())}),
        "times-of-day": of({"s": pa.array([time(12, 0, 1, 5), None], pa.time64("us"))}),
        "times-of-day-unread": of(
            {
                "clock": pa.array([time(12, 0, 1, 5), None], pa.time64("us")),
                "clock_ms": pa.array([time(12), None], pa.time32("ms")),
                "clock_ns": pa.array([1, None], pa.time64("ns")),
            }
        ),
        "durations": of({"s": pa.array([timedelta(seconds=1), None], pa.duration("us"))}),
        "null-columns": of(
            {"s": pa.nulls(2), "i": pa.nulls(2), "ts": pa.nulls(2), "unread": pa.nulls(2)}
        ),
        "texts": of(
            {"s": pa.array(["", " ", "a\x00b", "\u2028", "🌊", "\r\n", '"', "x" * 5000, None])}
        ),
        "binary-texts": of(
            {"s": pa.array([b"text", "é".encode(), b"", b"\xff\xfe", b"\x00", None], pa.binary())}
        ),
        "binary-unread": of({"unread": pa.array([b"text", b"\xff\xfe", None], pa.binary())}),
        "fixed-binary": of({"s": pa.array([b"abcd", b"\xff\x00\x01\x02", None], pa.binary(4))}),
        "uuid-text": of({"s": pa.array(["00000000-0000-0000-0000-000000000000", None])}),
        "long-text": of(
            {"s": pa.array(["x" * (1024 * 1024 - 200), "y" * (1024 * 1024 + 1), None])}
        ),
    }


def _nested(pa: Any) -> dict[str, Columns]:
    def of(columns: Columns) -> Columns:
        rows = len(next(iter(columns.values())))
        ids = pa.array([str(n) for n in range(rows)])
        return {"id": ids, "at": pa.array([NOON] * rows, pa.timestamp("us", "UTC")), **columns}

    user = pa.struct([("id", pa.string()), ("age", pa.int32())])
    deep = pa.struct([("b", pa.struct([("c", pa.string())]))])
    return {
        "struct": of(
            {"user": pa.array([{"id": "u", "age": 5}, {"id": None, "age": None}, None], user)}
        ),
        "struct-deep": of({"a": pa.array([{"b": {"c": "deep"}}, {"b": None}, None], deep)}),
        "struct-of-other-names": of(
            {"user": pa.array([{"name": "u"}, None], pa.struct([("name", pa.string())]))}
        ),
        "struct-as-text": of(
            {"s": pa.array([{"id": "u", "age": 5}, {"id": None, "age": None}, None], user)}
        ),
        "user-text": of({"user": pa.array(["u", None])}),
        "list": of({"s": pa.array([["a", "b"], [], [None], None], pa.list_(pa.string()))}),
        "list-of-structs": of({"s": pa.array([[{"id": "u", "age": 1}], [], None], pa.list_(user))}),
        "list-of-decimals": of(
            {"s": pa.array([[Decimal("1.50")], None], pa.list_(pa.decimal128(6, 2)))}
        ),
        "map": of(
            {
                "s": pa.array(
                    [[("k", "v"), ("l", None)], [], None], pa.map_(pa.string(), pa.string())
                )
            }
        ),
        "map-of-numbers": of(
            {"s": pa.array([[(1, 0.5)], [], None], pa.map_(pa.int32(), pa.float64()))}
        ),
        "nested-unread": of(
            {
                "unread": pa.array(
                    [[{"t": NOON, "d": Decimal("1.5")}], None],
                    pa.list_(
                        pa.struct([("t", pa.timestamp("ns", "UTC")), ("d", pa.decimal128(9, 3))])
                    ),
                )
            }
        ),
        "dotted-names": of({"k.l": pa.array(["x", None]), "user.id": pa.array(["u", None])}),
    }


def write(folder: Path = FOLDER) -> None:
    """Write all files."""
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    for name, table, options in tables():
        pq.write_table(table, folder / f"{name}.parquet", **options)


if __name__ == "__main__":
    write()
