"""The analyst's door: what it shows, what it pins, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import typer
from typer.testing import CliRunner

from handmade_delta import write_delta
from tidegate.cli.sql import sql
from tidegate.common.errors import TidegateError
from tidegate.common.text_output import csv_lines, json_lines, table_lines, visible
from tidegate.config.settings import Settings
from tidegate.lake.connection import extension_file
from tidegate.query.connect import check_query, connect, pinned, run, tables
from tidegate.storage.s3 import S3Access

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")


def events(*ids: str) -> pa.Table:
    return pa.table(
        {
            "event_id": pa.array(ids, pa.string()),
            "event_time": pa.array([MOMENT for _ in ids], STAMP),
            "price": pa.array([Decimal("1.10") for _ in ids], pa.decimal128(10, 2)),
        }
    )


def sessions(count: int) -> pa.Table:
    return pa.table({"session_id": pa.array([f"s{at}" for at in range(count)], pa.string())})


def releases(*versions: dict[str, int]) -> pa.Table:
    return pa.table(
        {
            "release_id": pa.array([f"r{at}" for at in range(len(versions))], pa.string()),
            "released_at": pa.array(
                [MOMENT + timedelta(hours=at) for at in range(len(versions))], STAMP
            ),
            "versions": pa.array(
                [list(found.items()) for found in versions], pa.map_(pa.string(), pa.int64())
            ),
        }
    )


def settings_for(lake: str, s3: S3Access | None = None) -> Settings:
    return Settings(project=Path("/"), home=Path("/"), lake=lake, s3=s3 or S3Access())


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Make a lake of two releases whose tables have moved on since."""
    lake = tmp_path / "a lake's ü % folder"
    write_delta(lake / "warehouse/events", events("a"), events("a", "b"), events("a", "b", "c"))
    write_delta(lake / "warehouse/sessions", sessions(1), sessions(2))
    write_delta(lake / "staging/events", events("never"))
    write_delta(
        lake / "ops/releases",
        releases({"events": 0, "sessions": 0}, {"events": 1, "sessions": 1}),
    )
    return lake


@pytest.fixture
def connection(lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(settings_for(str(lake))) as connection:
        yield connection


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = run(connection, f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def fault(lake: Path | str, release: str | None = None, s3: S3Access | None = None) -> str:
    with pytest.raises(TidegateError) as caught:
        connect(settings_for(str(lake), s3), release)
    return str(caught.value)


def refused(query: str) -> str:
    with pytest.raises(TidegateError) as caught:
        check_query(query)
    return str(caught.value)


def failed(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    with pytest.raises(TidegateError) as caught:
        run(connection, query)
    return str(caught.value)


# -- what is shown ---------------------------------------------------------------------------------


def test_tables_are_pinned_to_the_latest_release(connection: duckdb.DuckDBPyConnection) -> None:
    assert (count(connection, "events"), count(connection, "sessions")) == (2, 2)
    assert pinned(connection) == "r1"


def test_tables_can_be_pinned_to_an_older_release(lake: Path) -> None:
    with connect(settings_for(str(lake)), "r0") as connection:
        assert (count(connection, "events"), count(connection, "sessions")) == (1, 1)
        assert pinned(connection) == "r0"


def test_without_a_release_tables_are_as_they_are_now(tmp_path: Path) -> None:
    write_delta(tmp_path / "warehouse/events", events("a"), events("a", "b"))
    write_delta(tmp_path / "ops/releases", releases())
    with connect(settings_for(str(tmp_path))) as connection:
        assert count(connection, "events") == 2
        assert pinned(connection) is None


def test_the_books_are_a_schema_of_their_own(connection: duckdb.DuckDBPyConnection) -> None:
    assert tables(connection) == ["events", "sessions", "ops.releases"]
    assert count(connection, "ops.releases") == 2


def test_times_are_utc_and_exact(connection: duckdb.DuckDBPyConnection) -> None:
    row = run(connection, "SELECT event_time, event_time::varchar FROM events").fetchone()
    assert row == (MOMENT, "2026-03-01 12:00:00.123456+00")


# -- what is refused -------------------------------------------------------------------------------


def test_a_connection_reads_nothing_beside_published_tables_and_books(
    lake: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    (lake / "other.csv").write_text("a\n1\n")
    quoted = str(lake).replace("'", "''")
    for query in (
        f"FROM read_csv('{quoted}/other.csv')",
        f"FROM '{quoted}/staging/events/part-0.parquet'",
        f"FROM delta_scan('{quoted}/staging/events')",
        f"FROM read_text('{quoted}/warehouse/../other.csv')",
        "FROM glob('/etc/*')",
        "FROM read_text('http://127.0.0.1:9/x')",
    ):
        assert "disabled by configuration" in failed(connection, query)


def test_a_connection_writes_no_file_outside_and_stays_locked(
    lake: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    target = str(lake / "out.csv").replace("'", "''")
    for statement in (
        f"COPY (SELECT 1) TO '{target}'",
        f"ATTACH '{target}' AS x",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
    assert not (lake / "out.csv").exists()
    assert count(connection, "events") == 2


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE x (a int)",
        "INSERT INTO events SELECT * FROM events",
        "DELETE FROM events",
        "DROP VIEW events",
        "COPY events TO 'x.csv'",
        "ATTACH 'x.db'",
        "PRAGMA database_list",
        "/* a */ -- b\n PRAGMA version",
        "SET threads = 1",
        "INSTALL delta",
        "LOAD delta",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN CREATE TABLE x (a int)",
    ],
)
def test_what_is_no_query_is_refused(statement: str) -> None:
    told = refused(statement)
    assert "not a query" in told or "not SQL" in told


def test_several_statements_are_refused() -> None:
    assert "2 statements" in refused("SELECT 1; SELECT 2")
    assert "several statements" in refused("PIVOT (SELECT 1 a) ON a; DROP VIEW events")


def test_no_statement_is_refused() -> None:
    assert "empty query" in refused(" -- nothing\n")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        "-- why\nFROM range(2)",
        "WITH x AS (SELECT 1) TABLE x",
        "VALUES (1)",
        "DESCRIBE events",
        "SHOW TABLES",
        "SUMMARIZE events",
        "EXPLAIN SELECT * FROM events",
        "explain analyze SELECT count(*) FROM events",
        "PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b)",
    ],
)
def test_queries_of_all_kinds_run(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    assert run(connection, query).fetchall()


# -- errors ----------------------------------------------------------------------------------------


def test_a_wrong_table_is_answered_with_the_nearest_right_one(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert "did you mean 'events'?" in failed(connection, "SELECT * FROM event")
    assert "did you mean 'ops.releases'?" in failed(connection, "SELECT * FROM ops.release")
    told = failed(connection, "SELECT * FROM xyz")
    assert "known: events, sessions, ops.releases" in told


def test_errors_of_the_query_are_one_error_with_what_duckdb_says(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert "nope" in failed(connection, "SELECT nope FROM events")
    assert "syntax error" in failed(connection, "SELEC 1")


def test_a_lake_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = fault(tmp_path / "none")
    assert "no lake there" in told and "none" in told and "tidegate run" in told


def test_a_path_that_the_delta_reader_would_decode_is_refused(tmp_path: Path) -> None:
    write_delta(tmp_path / "a%20b/warehouse/events", events("a"))
    assert "would decode" in fault(tmp_path / "a%20b")


def test_a_lake_without_tables_says_what_to_run(tmp_path: Path) -> None:
    told = fault(tmp_path)
    assert "no published tables yet" in told and "tidegate run" in told


def test_an_unknown_release_is_answered_with_the_latest(lake: Path, tmp_path: Path) -> None:
    told = fault(lake, "r9")
    assert "no release 'r9'" in told and "r1, r0" in told
    write_delta(tmp_path / "other/warehouse/events", events("a"))
    assert "nothing has been released yet" in fault(tmp_path / "other", "r9")


def test_a_release_whose_files_were_removed_in_time_is_told_from_the_others(lake: Path) -> None:
    def kept(*rows: tuple[str, int | None]) -> pa.Table:
        places, versions = zip(*rows, strict=True)
        return pa.table({"place": places, "kept_from": pa.array(versions, pa.int64())})

    write_delta(
        lake / "ops/maintenance",
        kept(("staging/events", None), ("warehouse/events", 0), ("warehouse/events", 1)),
    )
    told = fault(lake, "r0")
    assert "release r0 can't be read any more" in told
    assert "1 releases that are kept, from r1 on" in told
    assert "events is pinned at version 0, kept from 1" in told
    with connect(settings_for(str(lake)), "r1") as connection:
        assert count(connection, "events") == 2


def test_a_release_whose_version_is_gone_is_an_error(lake: Path) -> None:
    (lake / "warehouse/events/_delta_log" / f"{0:020d}.json").unlink()
    told = fault(lake)
    assert "can't be read" in told and "events, version 1" in told


def test_a_bucket_needs_credentials_and_no_error_shows_them() -> None:
    assert "no credentials" in fault("s3a://bucket/lake")
    keys = S3Access("http://127.0.0.1:9", "an-access-key", "a-secret-key")
    told = fault("s3a://bucket/lake", s3=keys)
    assert "can't be read" in told and "Could not connect" in told
    assert "a-secret-key" not in told and "an-access-key" not in told


def test_extensions_come_from_wheels_and_a_missing_one_is_named() -> None:
    assert extension_file("delta").is_file() and extension_file("httpfs").is_file()
    with pytest.raises(TidegateError, match="duckdb-extension-nosuch"):
        extension_file("nosuch")


# -- the forms of an answer ------------------------------------------------------------------------

NAMES = ["n", "price", "at", "day", "text", "list", "raw", "text"]
ROWS = [
    (1, Decimal("12.50"), MOMENT, date(2026, 3, 1), 'a,"b"\n', [1, None], b"\x00\xff", ""),
    (None, None, None, None, None, None, None, None),
]


def test_csv_has_null_as_nothing_and_everything_else_exact() -> None:
    found = "".join(csv_lines(NAMES, ROWS))
    assert found.endswith('"[1, null]",00ff,""\n,,,,,,,\n')
    header, first, _ = csv.reader(io.StringIO(found))
    assert header == NAMES
    assert first[:5] == ["1", "12.50", "2026-03-01T12:00:00.123456Z", "2026-03-01", 'a,"b"\n']


def test_json_is_one_array_and_equal_names_are_told_apart() -> None:
    first, second = json.loads("".join(json_lines(NAMES, ROWS)))
    assert first == {
        "n": 1,
        "price": "12.50",
        "at": "2026-03-01T12:00:00.123456Z",
        "day": "2026-03-01",
        "text": 'a,"b"\n',
        "list": [1, None],
        "raw": "00ff",
        "text_1": "",
    }
    assert set(second) == set(first) and set(second.values()) == {None}
    assert json.loads("".join(json_lines(["a"], []))) == []
    (odd,) = json.loads("".join(json_lines(["a", "a_1", "a"], [(float("nan"), float("-inf"), 3)])))
    assert odd == {"a": "NaN", "a_1": "-Infinity", "a_2": 3}


def test_a_table_is_aligned_with_numbers_to_the_right() -> None:
    lines = table_lines(
        ["name", "n"],
        ["VARCHAR", "BIGINT"],
        [[("a", 1), ("日本", 12345), (None, None)], [("NULL", 1)]],
    )
    assert "".join(lines).splitlines() == [
        "name          n",
        "varchar  bigint",
        "-------  ------",
        "a             1",
        "日本      12345",
        "NULL       NULL",
        "'NULL'        1",
    ]
    assert len(list(table_lines(["a"], ["BIGINT"], []))) == 3


def test_what_would_steer_a_terminal_is_escaped() -> None:
    assert visible("a\x1b[31m\n\x9b\u202eé\U000e0001") == "a\\x1b[31m\\n\\x9b\\u202eé\\U000e0001"
    (*_, row) = table_lines(["a\x1b"], ["VARCHAR"], [[("\x1b]0;x\x07",)]])
    assert row == "\\x1b]0;x\\x07\n"


def test_a_long_value_is_cut_in_a_table_only() -> None:
    (*_, row) = table_lines(["a"], ["VARCHAR"], [[("x" * 500,)]])
    assert row == "x" * 79 + "…\n"
    assert "x" * 500 in "".join(csv_lines(["a"], [("x" * 500,)]))


# -- the command -----------------------------------------------------------------------------------

APP = typer.Typer()
APP.command()(sql)


def command(lake: Path, *words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(lake))
    result = CliRunner().invoke(APP, [*words, "--lake", str(lake)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_writes_data_to_stdout_and_the_count_beside_it(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT event_id, price FROM events ORDER BY 1"
    out, err = command(lake, query, monkeypatch=monkeypatch)
    assert out.splitlines()[3:] == ["a                  1.10", "b                  1.10"]
    assert err == "(2 rows; release r1)\n"
    out, err = command(lake, query, "--format", "csv", "--release", "r0", monkeypatch=monkeypatch)
    assert (out, err) == ("event_id,price\na,1.10\n", "")
    out, err = command(lake, query, "--format", "json", monkeypatch=monkeypatch)
    prices = [{"event_id": "a", "price": "1.10"}, {"event_id": "b", "price": "1.10"}]
    assert (json.loads(out), err) == (prices, "")


def test_the_command_fails_with_our_error(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TidegateError, match="not a query"):
        command(lake, "DROP VIEW events", monkeypatch=monkeypatch)
    with pytest.raises(TidegateError, match="the query failed"):
        command(lake, "SELECT error('late') FROM events", monkeypatch=monkeypatch)


def test_a_query_plan_is_shown_as_it_is(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = command(lake, "EXPLAIN SELECT * FROM events", monkeypatch=monkeypatch)
    assert "\\n" not in out and len(out.splitlines()) > 3
