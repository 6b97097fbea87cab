"""Trace: from a row to its files, on a lake made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from handmade_books import HOUR, Books
from tidegate.cli.app import app
from tidegate.cli.trace import lines
from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.query.connect import connect
from tidegate.query.lineage import KEYS, KeyUsageError, Trace, trace

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
ELEVEN = TEN + HOUR
DAY = date(2026, 5, 1)


def event(number: int, hour: datetime, file: str = "a.json", **more: Any) -> dict[str, Any]:
    return {
        "source": "shop",
        "dump_date": DAY,
        "dump_hour": hour,
        "event_id": f"e{number}",
        "event_time": TEN + timedelta(minutes=number),
        "event_type": "view",
        "user_key": "ann",
        "user_key_kind": "user",
        "file": file,
        "line": number,
        **more,
    }


def derived(books: Books, table: str, at: datetime, sequence: int = 1, **more: Any) -> None:
    books.rows["publications"].append(
        {
            "publication_id": f"{table}-{sequence}",
            "table_name": table,
            "source": "shop",
            "sequence": sequence,
            "delta_version": 0,
            "slices": [{"slice": at, "landing_id": None, "rows": 1, "duplicates": 0}],
            "slice_min": at,
            "slice_max": at,
            "rows": 1,
            "inputs": ["p00001", "p00002"],
            "audit_ids": ["a00003"],
            "configuration": "c",
            "code_version": 1,
            "suite": "s",
            "run_id": "derive/1",
            "published_at": at + 2 * HOUR,
            **more,
        }
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake of two dumps that feed one session, one hour and one day."""
    books = Books(tmp_path_factory.mktemp("trace"))
    files = [
        {"name": name, "uri": f"s3a://b/{name}", "size": 9, "etag": f"tag-{name}", "lines": 50}
        for name in ("a.json", "b\x1b[31m.json")
    ]
    stale = books.land("shop", TEN, run_id="land_shop/first")
    first = books.land(
        "shop", TEN, files=files, quarantined_by_reason={"not_json": 2}, landed_at=TEN + 2 * HOUR
    )
    second = books.land("shop", ELEVEN)
    books.publish("shop", TEN, stale)
    books.rows["publications"][0]["audit_ids"] = []
    books.publish("shop", TEN, first, version=1)
    books.publish("shop", ELEVEN, second, version=2)
    books.publish("shop", ELEVEN, "later", version=3)
    for made, audits in zip(books.rows["publications"][1:3], (["a00001"], ["a00002"]), strict=True):
        made["audit_ids"] = audits  # type: ignore[index]
    odd = {"expectation": "odd", "status": "warming up"}
    books.audit(
        "shop", TEN, [{"expectation": "fine"}, odd, {"expectation": "bad", "status": "failed"}]
    )
    books.audit("shop", ELEVEN, [{"expectation": "other slice"}])
    books.audit("shop", TEN, [{"expectation": "of sessions"}], table_name="sessions", slices=[TEN])
    for table, at in (
        ("sessions", TEN),
        ("hourly_activity", TEN),
        ("daily_activity", TEN.replace(hour=0)),
        ("session_aliases", TEN),
    ):
        derived(books, table, at)
    books.shown["events"] = [
        event(1, TEN),
        event(2, TEN, "b\x1b[31m.json"),
        event(3, ELEVEN),
        event(9, TEN, source="app", user_key="bob"),
        event(9, ELEVEN, source="app", user_key="bob"),
    ]
    session = {
        "source": "shop",
        "start_date": DAY,
        "start_hour": TEN,
        "session_id": "s1",
        "user_key": "ann",
        "user_key_kind": "user",
        "session_start": TEN + timedelta(minutes=1),
        "session_end": TEN + timedelta(minutes=3),
        "event_count": 3,
        "first_event_id": "e1",
        "dump_hours": [TEN, ELEVEN],
    }
    books.shown["sessions"] = [session]
    books.shown["hourly_activity"] = [
        {"source": "shop", "date": DAY, "hour": TEN, "event_type": "view", "events": 3, "users": 1},
        {"source": "shop", "date": DAY, "hour": TEN, "event_type": "buy", "events": 0, "users": 0},
    ]
    books.shown["daily_activity"] = [
        {"source": "shop", "date": DAY, "events": 4, "users": 1, "users_sketch": b"\x00"}
    ]
    books.shown["session_aliases"] = [
        {**session, "session_id": "old", "live_session_id": "s1"},
        {**session, "session_id": "gone", "live_session_id": None},
    ]
    books.bad_lines(
        "shop", TEN, [{"landing_id": first, "reason": "not_json", "raw": '{"id": "e77"'}]
    )
    books.land("shop", ELEVEN + HOUR, status="unreadable", error="cut")
    books.release(TEN + 5 * HOUR, 2)
    return books.write()


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(settings) as connection:
        yield connection


def refused(connection: duckdb.DuckDBPyConnection, table: str, *key: str) -> str:
    with pytest.raises(TidegateError) as caught:
        trace(connection, table, key)
    return str(caught.value)


def told(found: Trace) -> str:
    return "\n".join(lines(found))


def test_an_event_leads_to_its_file_and_line(connection: duckdb.DuckDBPyConnection) -> None:
    found = trace(connection, "events", ["shop", "e2"])
    assert found.release == "r00001"
    assert found.version == 2
    assert (found.rows[0]["file"], found.rows[0]["line"]) == ("b\x1b[31m.json", 2)
    assert found.publication is not None
    assert found.publication["publication_id"] == "p00002"
    [dump] = found.dumps
    assert dump.landing is not None
    assert dump.landing["files"][1]["etag"] == "tag-b\x1b[31m.json"
    assert dump.events == {"b\x1b[31m.json": 1}


def test_the_publication_is_the_one_in_force_at_the_release(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = trace(connection, "events", ["e3"])
    assert found.publication is not None
    assert found.publication["delta_version"] == 2  # version 3 is of no release yet


def test_what_was_not_met_comes_first_and_audits_are_those_of_the_slice(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = trace(connection, "events", ["e1"])
    assert [each["expectation"] for each in found.audits] == ["bad", "odd", "fine"]


def test_a_session_leads_to_the_dumps_of_its_events(connection: duckdb.DuckDBPyConnection) -> None:
    found = trace(connection, "sessions", ["s1"])
    assert {each.hour: sum(each.events.values()) for each in found.dumps} == {TEN: 2, ELEVEN: 1}
    assert [each["publication_id"] for each in found.inputs] == ["p00001", "p00002"]
    assert [each["expectation"] for each in found.audits] == ["of sessions"]
    assert not found.notes


def test_an_hour_may_be_asked_for_whole_or_by_type(connection: duckdb.DuckDBPyConnection) -> None:
    whole = trace(connection, "hourly_activity", ["shop", "2026-05-01T10"])
    assert len(whole.rows) == 2
    [row] = trace(connection, "hourly_activity", ["shop", "2026-05-01T10", "view"]).rows
    assert row["events"] == 3
    assert "did you mean 'view'?" in refused(
        connection, "hourly_activity", "shop", "2026-05-01T10", "veiw"
    )


def test_a_number_that_its_events_do_not_add_up_to_is_told(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = trace(connection, "daily_activity", ["shop", "2026-05-01"])
    assert found.notes == ["the row says 4 events, in the table there are 3: tidegate verify shop"]
    assert found.slice == TEN.replace(hour=0)


def test_an_alias_leads_to_its_session(connection: duckdb.DuckDBPyConnection) -> None:
    assert "tidegate trace sessions s1" in refused(connection, "sessions", "old")
    assert "all of its events are gone" in refused(connection, "sessions", "gone")
    assert "it is alive" in refused(connection, "session_aliases", "s1")
    assert "in another session now" in trace(connection, "session_aliases", ["old"]).notes[0]


@pytest.mark.parametrize("key", ["ann", "e1"])
def test_a_user_or_an_event_is_led_to_its_sessions(
    connection: duckdb.DuckDBPyConnection, key: str
) -> None:
    assert "tidegate trace sessions s1" in refused(connection, "sessions", key)


def test_an_event_in_quarantine_is_said_to_be_there(connection: duckdb.DuckDBPyConnection) -> None:
    text = refused(connection, "events", "shop", "e77")
    assert "in quarantine" in text
    assert "line 1" in text
    assert "tidegate quarantine --source shop" in text


def test_a_part_of_an_id_is_not_found_in_quarantine(connection: duckdb.DuckDBPyConnection) -> None:
    text = refused(connection, "events", "shop", "e7")
    assert "nothing in quarantine" in text
    assert "shop 2026-05-01T12 is unreadable" in text


def test_an_id_that_a_later_dump_repeats_was_withheld_there(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    text = refused(connection, "events", "shop", "e1", "2026-05-01T11")
    assert "withheld there as a duplicate" in text
    assert "2026-05-01T10" in text


def test_an_id_that_several_events_have_wants_the_dump_hour(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert "app e9 2026-05-01T10; app e9 2026-05-01T11" in refused(connection, "events", "e9")
    found = trace(connection, "events", ["app", "e9", "2026-05-01T11"])
    assert found.slice == ELEVEN
    assert found.publication is None
    assert "no publication of the slice" in found.notes[0]


def test_a_wrong_source_is_told_the_right_one(connection: duckdb.DuckDBPyConnection) -> None:
    assert "the source that has it: shop" in refused(connection, "events", "shpo", "e1")
    assert "did you mean 'shop'?" in refused(connection, "daily_activity", "shpo", "2026-05-01")


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("sesions", ("x",), "did you mean 'sessions'?"),
        ("ops.audits", ("x",), "no published table"),
        ("sessions", ("nothing",), "no session 'nothing'"),
        ("sessions", ("s1xyzabcd",), "a session_id of sessions"),
        ("daily_activity", ("shop", "2026-05-02"), "from 2026-05-01 to 2026-05-01"),
        ("daily_activity", ("shop", "yesterday"), "not a date"),
        ("hourly_activity", ("shop", "2026-05-01T12"), "2026-05-01T12 is unreadable"),
        ("hourly_activity", ("shop", "noon"), "not an hour"),
        ("events", ("it's",), "no event"),
        ("events", ("(",), "no event"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    connection: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(connection, table, *key)


@pytest.mark.parametrize("table", KEYS)
def test_a_key_of_the_wrong_length_is_told_how_it_is_written(
    connection: duckdb.DuckDBPyConnection, table: str
) -> None:
    with pytest.raises(KeyUsageError, match="is named by"):
        trace(connection, table, ["a", "b", "c", "d"])


def test_text_of_dumps_does_not_steer_the_terminal(connection: duckdb.DuckDBPyConnection) -> None:
    text = told(trace(connection, "events", ["e2"]))
    assert "\x1b" not in text
    assert r"b\x1b[31m.json" in text


def test_the_lines_name_everything_on_the_way(connection: duckdb.DuckDBPyConnection) -> None:
    text = told(trace(connection, "sessions", ["s1"]))
    for part in (
        "sessions, version 0 (release r00001)",
        "slice        shop 2026-05-01T10",
        "publication  sessions-1",
        "run        derive/1",
        "1 expectations: 1 met",
        "events p00002",
        "run land_shop/scheduled",
        "100 = 98 events + 0 duplicates + 2 quarantined (2 not_json)",
        "s3a://b/a.json",
        "9 bytes, 50 lines, etag tag-a.json, 1 event of the row",
    ):
        assert part in text


def test_long_lists_are_cut_for_people_and_whole_in_json(tmp_path: Path) -> None:
    books = Books(tmp_path)
    hours = [TEN + at * HOUR for at in range(12)]
    files = [
        {"name": f"{at}.json", "uri": f"/d/{at}.json", "size": 1, "etag": "", "lines": 9}
        for at in range(9)
    ]
    for at, hour in enumerate(hours):
        books.publish("shop", hour, books.land("shop", hour, files=files), version=at)
    books.shown["events"] = [event(at, hour, f"{at % 9}.json") for at, hour in enumerate(hours)]
    books.shown["daily_activity"] = [{"source": "shop", "date": DAY, "events": 12, "users": 1}]
    derived(
        books, "daily_activity", TEN.replace(hour=0), inputs=[f"p{at:05d}" for at in range(1, 13)]
    )
    settings = books.write()
    with connect(settings) as connection:
        found = trace(connection, "daily_activity", ["shop", "2026-05-01"])
    assert found.release is None
    text = told(found)
    assert "no release yet" in text
    assert "and 7 more" in text  # publications
    assert "and 6 more" in text  # hours
    assert "and 5 more" in text  # files
    whole = json.loads(json.dumps(found.as_json()))
    assert len(whole["inputs"]) == len(whole["dumps"]) == 12
    assert len(whole["dumps"][0]["landing"]["files"]) == 9


def test_the_command_follows_a_row(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_LAKE", settings.lake)
    runner = CliRunner()
    shown = runner.invoke(app, ["trace", "sessions", "s1", "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["rows"][0]["session_id"] == "s1"
    assert runner.invoke(app, ["trace", "sessions", "a", "b"]).exit_code == 2
    assert "sessions, version 0" in runner.invoke(app, ["trace", "sessions", "s1"]).stdout
    gone = runner.invoke(app, ["trace", "sessions", "s1", "--release", "r9"])
    assert isinstance(gone.exception, TidegateError)


def test_a_lake_without_a_table_says_so(tmp_path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]

    from handmade_delta import write_delta

    write_delta(tmp_path / "warehouse/events", pa.table({"event_id": ["a"]}))
    with connect(Settings(tmp_path, tmp_path, str(tmp_path))) as connection:
        assert "has not got what is needed" in refused(connection, "sessions", "s1")
