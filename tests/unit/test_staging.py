"""Dumps become Parquet files and counts; one that can't be read whole costs its own hour only."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernel import HOUR, NOON, source_of
from tidegate.common.errors import TidegateError
from tidegate.config.source import Source
from tidegate.dumps.dumps import Dumps
from tidegate.landing import parquet_files
from tidegate.landing.kernel import Rules
from tidegate.landing.limits import MAX_RAW_BYTES
from tidegate.landing.staging import DumpResult, DumpTask, TaskFile, land_dumps
from tidegate.pipeline.ingest import producer_numbers as numbers
from tidegate.storage.s3 import S3Access

AT = "2024-03-01T12:00:01Z"


def line(number: int, members: str = "", at: str = AT) -> bytes:
    return f'{{"id":"{number}","at":"{at}"{members}}}\n'.encode()


class Lab:
    """A folder with dumps, and a place to land them in."""

    def __init__(self, root: Path) -> None:
        self.dumps = root / "dumps"
        self.target = root / "staging"
        self.dumps.mkdir()

    def source(self, **keys: Any) -> Source:
        return source_of(dumps=f"{self.dumps}/{{dump_hour:%Y-%m-%d-%H}}*", **keys)

    def land(
        self, files: Mapping[str, bytes], source: Source | None = None, **keys: Any
    ) -> list[DumpResult]:
        """Write files, and land the hours that their names begin with."""
        source = source or self.source()
        for name, body in files.items():
            (self.dumps / name).write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
        return self.land_hours(source, [NOON, NOON + HOUR], **keys)

    def land_hours(self, source: Source, hours: list[datetime], **keys: Any) -> list[DumpResult]:
        dumps = Dumps(source, S3Access())
        listed = {hour: dumps.files(hour) for hour in hours}
        tasks = [
            DumpTask(hour, tuple(TaskFile(file.name, file.size) for file in files))
            for hour, files in listed.items()
            if files
        ]
        opener = dumps.opener([file for files in listed.values() for file in files])
        return land_dumps(tasks, Rules(source), opener, self.target, **keys)

    def rows(self, result: DumpResult) -> pa.Table:
        tables = [pq.ParquetFile(self.target / file.path).read() for file in result.files]
        return pa.concat_tables(tables).sort_by([("file", "ascending"), ("line", "ascending")])

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*.parquet"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_rows_lie_in_folders_of_dump_and_outcome_and_are_counted(lab: Lab) -> None:
    body = line(1, ',"n":1') + b"broken\n" + line(2) + b"\n" + line(3, ',"n":"x"')
    [noon] = lab.land({"2024-03-01-12.json": body})
    assert [Path(file.path).parent.as_posix() for file in noon.files] == [
        "_dump=20240301T12/_outcome=event",
        "_dump=20240301T12/_outcome=quarantined",
    ]
    assert [file.rows for file in noon.files] == [2, 3]
    assert all((lab.target / file.path).stat().st_size == file.size for file in noon.files)
    [count] = noon.counts
    assert (count.name, count.records) == ("2024-03-01-12.json", 5)
    assert [(g.outcome, g.reason, g.n, g.last) for g in count.groups] == [
        ("event", None, 2, 3),
        ("quarantined", "bad_value", 1, 5),
        ("quarantined", "blank_line", 1, 4),
        ("quarantined", "not_json", 1, 2),
    ]
    assert count.groups[0].present["n"] == 1
    table = lab.rows(noon)
    assert table.column("line").to_pylist() == [1, 2, 3, 4, 5]
    assert {"_dump", "_outcome"}.isdisjoint(table.column_names)


def test_an_unreadable_file_is_the_error_of_its_dump_and_leaves_nothing(lab: Lab) -> None:
    whole = gzip.compress(b"".join(line(n) for n in range(50_000)))
    results = lab.land(
        {
            "2024-03-01-12-a.json": line(1) * 3,
            "2024-03-01-13-a.json": line(1, at="2024-03-01T13:00:00Z"),
        }
    )
    assert [result.error for result in results] == [None, None]
    (lab.dumps / "2024-03-01-12-b.json.gz").write_bytes(whole[:-20])
    noon, one = lab.land_hours(lab.source(), [NOON, NOON + HOUR])
    assert noon.error is not None
    assert noon.error.startswith("2024-03-01-12-b.json.gz: the gzip file is cut short")
    assert (noon.files, noon.error_file) == ((), "2024-03-01-12-b.json.gz")
    assert one.error is None
    named = {file.path for result in [*results, one] for file in result.files}
    assert set(lab.left()) == named


@pytest.mark.parametrize("kept", [1, 15, 0.3, 0.9, 0.999])
def test_a_gzip_file_cut_anywhere_is_unreadable(kept: float, lab: Lab) -> None:
    whole = gzip.compress(os.urandom(100_000).hex().encode() + b"\n" + line(1) * 9)
    size = int(kept if kept >= 1 else len(whole) * kept)
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(whole[:size])
    [noon] = lab.land_hours(lab.source(), [NOON])
    assert noon.error is not None
    assert not lab.left()


def test_several_members_zeros_after_the_end_and_empty_members_are_read_whole(lab: Lab) -> None:
    members = [gzip.compress(line(n)) for n in range(3_000)]
    members.insert(5, gzip.compress(b""))
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(b"".join(members) + bytes(10_000))
    [noon] = lab.land_hours(lab.source(), [NOON])
    assert noon.error is None
    assert noon.counts[0].records == 3_000


@pytest.mark.parametrize(
    "tail",
    [b"x", b"\0\0x", b"\x1f\x8b", gzip.compress(b"x", mtime=0)[:-3]],
    ids=["a letter", "zeros and a letter", "a magic number", "a member that is cut"],
)
def test_other_bytes_after_the_end_make_a_file_unreadable(tail: bytes, lab: Lab) -> None:
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(gzip.compress(line(1)) + tail)
    [noon] = lab.land_hours(lab.source(), [NOON])
    assert noon.error is not None


def test_an_empty_gzip_file_is_unreadable_and_an_empty_plain_one_has_no_records(lab: Lab) -> None:
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(b"")
    (lab.dumps / "2024-03-01-13.json").write_bytes(b"")
    noon, one = lab.land_hours(lab.source(), [NOON, NOON + HOUR])
    assert noon.error is not None
    assert (one.error, one.files, one.counts[0].records) == (None, (), 0)


def test_zstandard_is_read_and_a_cut_file_is_unreadable(lab: Lab) -> None:
    body = os.urandom(300_000).hex().encode() + b"\n" + line(1)
    packed = pa.compress(body, "zstd", asbytes=True)
    (lab.dumps / "2024-03-01-12.json.zst").write_bytes(packed + packed)
    (lab.dumps / "2024-03-01-13.json.zst").write_bytes(packed[:-100])
    noon, one = lab.land_hours(lab.source(), [NOON, NOON + HOUR])
    assert (noon.error, noon.counts[0].records) == (None, 4)
    assert one.error is not None


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(lab: Lab) -> None:
    zeros = pa.compress(bytes(200_000_000), "zstd", asbytes=True)
    (lab.dumps / "2024-03-01-12.json.zst").write_bytes(zeros)
    [noon] = lab.land_hours(lab.source(), [NOON])
    assert noon.error is not None
    assert "far more than its size" in noon.error


def test_a_line_of_200_mb_is_quarantined_with_its_head_its_length_and_its_hash(lab: Lab) -> None:
    long = b'{"id":"' + b"x" * 200_000_000 + b'"}'
    packer = zlib.compressobj(1, wbits=31)
    packed = packer.compress(line(1) + long + b"\n" + line(2)) + packer.flush()
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(packed)
    [noon] = lab.land_hours(lab.source(), [NOON])
    assert noon.error is None
    table = lab.rows(noon)
    assert table.column("_reason").to_pylist() == [None, "too_long", None]
    row = table.slice(1, 1).to_pylist()[0]
    assert row["_raw"] == long[:MAX_RAW_BYTES].decode()
    assert str(len(long)) in row["_detail"]
    assert hashlib.sha256(long).hexdigest() in row["_detail"]


def test_a_file_that_is_replaced_after_it_was_listed_is_unreadable(lab: Lab) -> None:
    source = lab.source()
    path = lab.dumps / "2024-03-01-12.json"
    path.write_bytes(line(1))
    dumps = Dumps(source, S3Access())
    files = dumps.files(NOON)
    path.write_bytes(line(1) + line(2))
    task = DumpTask(NOON, (TaskFile(files[0].name, files[0].size),))
    [noon] = land_dumps([task], Rules(source), dumps.opener(files), lab.target)
    assert noon.error is not None
    assert "was replaced" in noon.error


def test_a_file_that_is_gone_is_unreadable(lab: Lab) -> None:
    source = lab.source()
    (lab.dumps / "2024-03-01-12.json").write_bytes(line(1))
    dumps = Dumps(source, S3Access())
    files = dumps.files(NOON)
    (lab.dumps / "2024-03-01-12.json").unlink()
    task = DumpTask(NOON, (TaskFile(files[0].name),))
    [noon] = land_dumps([task], Rules(source), dumps.opener(files), lab.target)
    assert noon.error is not None


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_files_become_few_and_nothing_is_lost(threads: int, lab: Lab) -> None:
    files = {f"2024-03-01-12-{n:04d}.json": line(n) + b"x\n" for n in range(300)}
    [noon] = lab.land(files, threads=threads)
    assert len(noon.files) <= 2 * threads
    assert [count.name for count in noon.counts] == sorted(files)
    assert all([g.n for g in count.groups] == [1, 1] for count in noon.counts)
    ids = [one for one in lab.rows(noon).column("event_id").to_pylist() if one]
    assert sorted(ids, key=int) == [str(n) for n in range(300)]


def test_row_groups_stay_small_and_hold_all_rows(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "_GROUP_BYTES", 1_000_000)
    body = b"".join(line(n, f',"s":"{"x" * 900}"') for n in range(20_000))
    [noon] = lab.land({"2024-03-01-12.json.gz": body})
    [file] = noon.files
    metadata = pq.ParquetFile(lab.target / file.path).metadata
    assert metadata.num_row_groups > 1
    assert metadata.num_rows == 20_000


def test_files_go_to_a_target_that_is_no_folder(lab: Lab) -> None:
    class Bucket:
        def __init__(self) -> None:
            self.stored: dict[str, bytes] = {}

        def put(self, path: str, local_file: Path) -> None:
            self.stored[path] = local_file.read_bytes()

    source = lab.source()
    (lab.dumps / "2024-03-01-12.json").write_bytes(line(1) + b"x\n")
    (lab.dumps / "2024-03-01-13.json.gz").write_bytes(b"\x1f\x8b")
    dumps = Dumps(source, S3Access())
    hours = {hour: dumps.files(hour) for hour in (NOON, NOON + HOUR)}
    bucket = Bucket()
    results = land_dumps(
        [DumpTask(hour, (TaskFile(files[0].name),)) for hour, files in hours.items()],
        Rules(source),
        dumps.opener([file for files in hours.values() for file in files]),
        bucket,
    )
    assert sorted(bucket.stored) == [file.path for file in results[0].files]
    assert [len(bucket.stored[file.path]) for file in results[0].files] == [
        file.size for file in results[0].files
    ]
    assert results[1].error is not None


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["write_table", "close"])
def test_a_full_disk_is_an_error_of_writing_and_not_of_the_file_that_is_read(
    name: str, threads: int, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, name, full)
    monkeypatch.setattr(parquet_files, "_GROUP_ROWS", 100)
    files = {
        "2024-03-01-12.json": b"".join(line(n) for n in range(1_000)),
        "2024-03-01-13.json": line(1, at="2024-03-01T13:00:00Z"),
    }
    with pytest.raises(TidegateError, match="staged rows can't be written") as raised:
        lab.land(files, threads=threads)
    assert raised.value.got == "No space left on device"
    assert not lab.left()


def test_one_large_file_is_read_and_written_by_two_threads_and_nothing_is_lost(lab: Lab) -> None:
    count = 120_000
    lines = [line(n) if n % 1_000 else b"x\n" for n in range(count)]
    (lab.dumps / "2024-03-01-12.json.gz").write_bytes(gzip.compress(b"".join(lines), 1))
    [noon] = lab.land_hours(lab.source(), [NOON])
    table = lab.rows(noon)
    assert table.column("line").to_pylist() == list(range(1, count + 1))
    assert table.column("event_id").null_count == count // 1_000


def test_times_that_lose_digits_are_counted(lab: Lab) -> None:
    times = ["2024-03-01T12:00:00.1234567Z", "2024-03-01T12:00:00.1234560Z", AT]
    body = b"".join(line(n, at=at) for n, at in enumerate(times))
    [noon] = lab.land({"2024-03-01-12.json": body})
    assert noon.counts[0].notes == {"cut_times": 1}


def test_numbers_of_producers_are_received_as_runs(lab: Lab) -> None:
    source = lab.source(sequence={"producer": "host", "number": "seq"})
    given = [("a", 1), ("a", 2), ("a", 2), ("a", 5), ("b", 7), ("a", None), (None, 3), ("a", -1)]
    body = b"".join(
        line(n, f',"host":{f"{chr(34)}{host}{chr(34)}" if host else "null"},"seq":{seq or "null"}')
        for n, (host, seq) in enumerate(given)
    )
    [noon] = lab.land({"2024-03-01-12.json": body}, source)
    assert noon.counts[0].groups[0].unnumbered == 3
    lines = f"read_parquet('{lab.target}/*/*/*.parquet', hive_partitioning = true)"
    found = duckdb.sql(numbers.received(lines)).to_arrow_table().to_pylist()
    told = sorted(found, key=lambda row: str(row["producer"]))
    assert [
        (row["producer"], row["received"], row["first"], row["last"], row["runs"]) for row in told
    ] == [
        ("a", 4, 1, 5, [{"first": 1, "last": 2}, {"first": 5, "last": 5}]),
        ("b", 1, 7, 7, [{"first": 7, "last": 7}]),
    ]
    assert {(row["source"], row["_dump"]) for row in told} == {("web", "20240301T12")}


@pytest.mark.slow
def test_an_hour_of_20_000_files_is_landed_in_few_files(lab: Lab) -> None:
    [noon] = lab.land({f"2024-03-01-12-{n:05}.json": line(n) for n in range(20_000)})
    assert sum(file.rows for file in noon.files) == 20_000
    assert len(noon.files) == 2, "one a thread"
    assert [count.records for count in noon.counts] == [1] * 20_000
