"""What stops a query in the middle of the work, as a user and Airflow hear of it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.config.settings import Settings
from tidegate.engine.start import open_lake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"), engine="duckdb")


@pytest.mark.parametrize(
    "text",
    [
        "IO Error: Could not connect to server error for HTTP GET to 'http://127.0.0.1:1/b/x'",
        "HTTP Error: Request returned HTTP 503 for HTTP GET to 'http://127.0.0.1:1/b/x'",
    ],
)
def test_a_lost_s3_server_is_tried_again(settings: Settings, text: str) -> None:
    with pytest.raises(TryAgainError, match="S3 did not answer") as caught, open_lake(settings):
        raise duckdb.IOException(text)
    assert "HTTP GET" in str(caught.value.got)


def test_a_staged_file_that_was_removed_is_named(settings: Settings) -> None:
    with (
        pytest.raises(TidegateError, match="a file that rows are computed of") as caught,
        open_lake(settings) as lake,
    ):
        rows = lake.select("SELECT 1 AS n", lake.own(lake.staging("x")), {"n": "bigint"})
        for file in Path(str(rows.place)).iterdir():
            file.unlink()
        lake.look("SELECT * FROM {gone}", gone=rows)
    assert str(rows.place) in str(caught.value.got)


def test_what_needs_more_memory_than_there_is_says_so(settings: Settings) -> None:
    with (
        pytest.raises(TidegateError, match="more memory") as caught,
        open_lake(settings) as lake,
        lake.reader.cursor() as own,
    ):
        own.execute("SET memory_limit = '1MB'")
        own.execute("SET temp_directory = ''")
        own.execute("SELECT list(range) FROM range(10_000_000) GROUP BY range % 3").fetchall()
    assert not isinstance(caught.value, TryAgainError)


def test_a_fault_of_the_query_itself_stays_what_it_is(settings: Settings) -> None:
    with pytest.raises(duckdb.BinderException), open_lake(settings) as lake:
        lake.look("SELECT nothing")
