"""Queries of a lake: each sees what is committed by then, and opens only the files that it needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from handmade_delta import File, forget_before, write_delta, write_files
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.lake.data_files import DataFiles
from tidegate.lake.reader import LakeReader
from tidegate.lake.table_refs import At, Within
from tidegate.storage.s3 import S3Access
from tidegate.tables import Column, Table

TABLE = "ops/numbers"
TIMES = Table(
    name="times",
    area="warehouse",
    columns=(Column("source", "string", "-"), Column("at", "timestamp", "-")),
    key=("at",),
    slice=("source", "at"),
    partition=("source",),
    statistics=("at",),
    meaning="a time",
    built_from=(),
)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def numbers(*values: int) -> list[pa.Table]:
    return [pa.table({"n": [value]}) for value in values]


def shown(reader: LakeReader) -> int:
    (row,) = reader.rows(TABLE, "true")
    return int(row["n"])


@pytest.mark.parametrize("more", [1, 2, 8, 9, 10, 11, 95, 130])
def test_a_look_sees_what_was_committed_since_the_last(tmp_path: Path, more: int) -> None:
    write_delta(tmp_path / TABLE, *numbers(0))
    reader = LakeReader(str(tmp_path), S3Access())
    assert shown(reader) == 0
    write_delta(tmp_path / TABLE, *numbers(*range(1, more + 1)))
    assert shown(reader) == more
    write_delta(tmp_path / TABLE, *numbers(more + 1))
    assert shown(reader) == more + 1


@pytest.mark.parametrize("known", [0, 5, 9, 98])
def test_a_look_sees_what_was_committed_though_old_commits_went(tmp_path: Path, known: int) -> None:
    write_delta(tmp_path / TABLE, *numbers(*range(known + 1)))
    reader = LakeReader(str(tmp_path), S3Access())
    assert shown(reader) == known
    write_delta(tmp_path / TABLE, *numbers(*range(known + 1, known + 4)))
    forget_before(tmp_path / TABLE, known + 2)
    assert shown(reader) == known + 3


# -- what of a table is read -------------------------------------------------------------------------


def file_of(time: datetime, source: str = "web", *, told: bool = True) -> File:
    """Return a file of one time; what the log tells of it is cut to milliseconds, as Delta does."""
    rows = pa.table({"at": pa.array([time], pa.timestamp("us", tz="UTC"))})
    said = {"at": f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"} if told else None
    return File(f"{source}-{time:%H%M%S%f}", source, rows, said, said)


def of(reader: LakeReader, within: Within | None) -> list[str]:
    rows = reader.query('SELECT "at" FROM {times} ORDER BY 1', {"times": At(TIMES, 0, within)})
    return [row["at"][11:19] for row in rows]


def around(*times: datetime) -> Within:
    return Within("at", "at", tuple((time, time) for time in times))


def test_only_files_that_may_hold_what_is_asked_for_are_read(tmp_path: Path) -> None:
    files = [file_of(NOON + n * HOUR) for n in range(5)]
    write_files(tmp_path / "warehouse/times", *files)
    reader = LakeReader(str(tmp_path), S3Access())
    assert of(reader, None) == ["12:00:00", "13:00:00", "14:00:00", "15:00:00", "16:00:00"]
    for n in (0, 2, 4):
        (tmp_path / "warehouse/times" / files[n].path).unlink()
    assert of(reader, around(NOON + HOUR, NOON + 3 * HOUR)) == ["13:00:00", "15:00:00"]
    assert of(reader, Within("at", "at", ((NOON + HOUR, NOON + 1.5 * HOUR),))) == ["13:00:00"]
    with pytest.raises(duckdb.IOException):
        of(LakeReader(str(tmp_path), S3Access()), None)


def test_a_file_whose_greatest_time_is_cut_to_milliseconds_is_not_missed(tmp_path: Path) -> None:
    late = NOON + timedelta(microseconds=1999)
    write_files(tmp_path / "warehouse/times", file_of(late), file_of(NOON + HOUR))
    assert of(LakeReader(str(tmp_path), S3Access()), around(late)) == ["12:00:00"]


def test_a_file_of_which_the_log_tells_nothing_is_read(tmp_path: Path) -> None:
    write_files(tmp_path / "warehouse/times", file_of(NOON, told=False), file_of(NOON + HOUR))
    assert of(LakeReader(str(tmp_path), S3Access()), around(NOON)) == ["12:00:00"]


def test_nothing_of_what_is_asked_for_is_no_rows(tmp_path: Path) -> None:
    write_files(tmp_path / "warehouse/times", file_of(NOON))
    reader = LakeReader(str(tmp_path), S3Access())
    assert of(reader, around(NOON - HOUR)) == []
    assert of(reader, around()) == []


def test_files_of_other_sources_are_not_read(tmp_path: Path) -> None:
    files = [file_of(NOON, "web"), file_of(NOON, "app")]
    write_files(tmp_path / "warehouse/times", *files)
    (tmp_path / "warehouse/times" / files[1].path).unlink()
    at = At(TIMES, 0, around(NOON), "web")
    rows = LakeReader(str(tmp_path), S3Access()).query("SELECT source FROM {times}", {"times": at})
    assert rows == [{"source": "web"}]


def test_what_a_table_is_partitioned_by_has_its_own_type(tmp_path: Path) -> None:
    write_files(tmp_path / "warehouse/times", file_of(NOON, "1"), file_of(NOON, "02"))
    rows = LakeReader(str(tmp_path), S3Access()).query(
        "SELECT source FROM {times} ORDER BY 1", {"times": At(TIMES, 0)}
    )
    assert rows == [{"source": "02"}, {"source": "1"}]


def test_what_is_written_down_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    write_files(tmp_path / "warehouse/times", file_of(NOON), file_of(NOON + HOUR))
    reader = LakeReader(str(tmp_path), S3Access())
    place = tmp_path / "scratch" / "kept"
    for hours, expected in ((2, ["12:00:00", "13:00:00"]), (1, ["12:00:00"]), (0, [])):
        times = [NOON + n * HOUR for n in range(hours)]
        at = At(TIMES, 0, around(*times))
        reader.write("SELECT * FROM {times}", {"times": at}, TIMES.types, str(place))
        rows = reader.query('SELECT "at" FROM {kept} ORDER BY 1', {"kept": [str(place)]})
        assert [row["at"][11:19] for row in rows] == expected


def test_a_version_that_is_gone_is_named(tmp_path: Path) -> None:
    write_files(tmp_path / "warehouse/times", file_of(NOON))
    with pytest.raises(TidegateError, match="warehouse/times, version 7"):
        LakeReader(str(tmp_path), S3Access()).query(
            "SELECT 1 FROM {times}", {"times": At(TIMES, 7)}
        )


def test_a_log_that_s3_does_not_give_is_to_be_tried_again() -> None:
    nobody = S3Access("http://127.0.0.1:9", "key", "secret")
    with pytest.raises(TryAgainError, match="a table's log can't be read") as told:
        DataFiles("s3://bucket/lake", nobody).of("warehouse/times", 0)
    assert "secret" not in str(told.value)
