"""Lines are read whole, each with its file and number, or not at all."""

from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.errors import PySparkException

from conftest import MakeProject
from project import NOON, Project
from tidegate.dumps import Dumps
from tidegate.landing.lines import Input, read_text, uri_path, whole_files


def _inputs(project: Project) -> list[Input]:
    return [Input(NOON, file) for file in Dumps(project.source(), project.settings.s3).files(NOON)]


def test_a_large_plain_file_is_not_split_so_that_its_lines_are_numbered_through(
    project: Project,
) -> None:
    count = 300_000
    project.put("2024-03-01-12.json", b"".join(b"line %d\n" % n for n in range(1, count + 1)))
    lake = project.work().lake
    lines = read_text(lake, _inputs(project))
    wrong = lines.where("value != concat('line ', line)")
    with whole_files(lake):
        assert lines.count() == count
        assert wrong.isEmpty()


def test_many_small_files_keep_a_numbering_each(project: Project) -> None:
    for n in range(40):
        project.put(f"2024-03-01-12-{n:02d}.json.gz", [b"x"] * (n % 4))
    lake = project.work().lake
    lines = read_text(lake, _inputs(project)).select("file", "line")
    with whole_files(lake):
        found = {(row["file"], row["line"]) for row in lines.collect()}
    assert found == {
        (f"2024-03-01-12-{n:02d}.json.gz", line) for n in range(40) for line in range(1, n % 4 + 1)
    }


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_gzip_file_cut_short_is_an_error_and_not_its_first_half(
    kept: float, project: Project
) -> None:
    chance = random.Random(7)
    whole = gzip.compress(b"".join(b"%d\n" % chance.getrandbits(64) for _ in range(20_000)))
    project.put("2024-03-01-12-a.json", [b"sibling"])
    project.put("2024-03-01-12.json.gz", [])
    (project.dumps / "2024-03-01-12.json.gz").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        read_text(project.work().lake, _inputs(project)).count()


def test_a_file_that_spark_spells_in_another_way_is_an_error_and_no_lost_lines(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.put("2024-03-01-12.json", [b"x"])
    monkeypatch.setattr("tidegate.landing.lines.uri_path", lambda uri: uri + "?")
    with pytest.raises(PySparkException, match="no file of the dump is spelled"):
        read_text(project.work().lake, _inputs(project)).collect()


def test_paths_are_spelled_as_spark_does() -> None:
    assert uri_path("s3a://b/a b/é%/x+y=z") == "s3a://b/a%20b/é%25/x+y=z"
    assert uri_path("/tmp/no\u00a0break[1]") == "/tmp/no%C2%A0break%5B1%5D"
    assert uri_path("file:///tmp/x") == "/tmp/x"


@pytest.fixture(scope="module")
def shared(make_project: MakeProject) -> Project:
    return make_project()


pieces = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")),
        st.sampled_from([b"", b"\r", b"\xff", b"{}", b"\x00", "é".encode(), b"\xef\xbb\xbf"]),
    ),
    max_size=8,
)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(pieces, st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_the_lines_of_any_files_come_out_byte_for_byte(
    shared: Project, files: list[tuple[list[bytes], bool, bool]]
) -> None:
    for left in shared.dumps.iterdir():
        left.unlink()
    expected = {}
    for number, (lines, packed, ends) in enumerate(files):
        name = f"2024-03-01-12-{number}.json{'.gz' if packed else ''}"
        body = b"\n".join(lines) + (b"\n" if ends and lines else b"")
        shared.put(name, body)
        # Hadoop's reader takes a byte order mark from the beginning of a file.
        split = body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        split = split[:-1] if split[-1] == b"" else split
        expected.update({(name, at): line for at, line in enumerate(split, start=1)})
    lake = shared.work().lake
    found = read_text(lake, _inputs(shared)).selectExpr(
        "file", "line", "hex(cast(value as binary)) as value"
    )
    with whole_files(lake):
        rows = found.collect()
    assert {(row["file"], row["line"]): bytes.fromhex(row["value"]) for row in rows} == expected


def test_the_session_is_left_as_it_was(project: Project) -> None:
    lake = project.work().lake
    name = "spark.sql.files.maxPartitionBytes"
    before = lake.spark.conf.get(name)
    with pytest.raises(ZeroDivisionError), whole_files(lake):
        assert lake.spark.conf.get(name) != before
        raise ZeroDivisionError
    assert lake.spark.conf.get(name) == before
