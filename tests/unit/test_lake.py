"""The lake's door to Delta: rows in and out, columns, and writes that meet others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import MakeProject
from project import HOUR, NOON, Project
from tidegate.engine import connect
from tidegate.errors import TidegateError
from tidegate.lake import Lake, literal, parse_time, slices_where, table_named
from tidegate.tables import OPS, WAREHOUSE, daily_activity, events, sessions
from tidegate.tables.books import QUARANTINE, RELEASES


@pytest.fixture(scope="module")
def shared(make_project: MakeProject) -> Project:
    return make_project()


@pytest.fixture
def lake(shared: Project) -> Lake:
    return shared.work().lake


def test_rows_come_back_as_they_went_in(lake: Lake) -> None:
    rows = [
        {
            "s": "a'\"\\\n🌊\u0001",
            "t": NOON + timedelta(milliseconds=5),
            "d": date(2024, 2, 29),
            "n": 2**62,
            "x": 0.1,
            "l": [NOON],
            "m": {"a": 1},
            "none": None,
        },
    ]
    ddl = "s string, t timestamp, d date, n bigint, x double, l array<timestamp>, m map<string,int>, none int"
    [found] = lake.rows(lake.frame(rows, ddl))
    assert parse_time(found.pop("t")) == rows[0].pop("t")
    assert [parse_time(each) for each in found.pop("l")] == rows[0].pop("l")
    assert found.pop("d") == "2024-02-29"
    rows[0].pop("d")
    assert found == rows[0]
    assert lake.rows(lake.frame([], ddl)) == []


def test_microseconds_and_zones_are_kept_on_the_way_in(lake: Lake) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    time = datetime(2024, 3, 1, 17, 30, 0, 123456, tzinfo=zone)
    [row] = lake.frame([{"t": time}], "t timestamp").selectExpr("cast(t as string) as t").collect()
    assert row["t"] == "2024-03-01 12:00:00.123456"


@given(st.text(max_size=20))
def test_a_literal_of_a_text_is_that_text_quoted(text: str) -> None:
    quoted = literal(text)
    assert quoted[0] == quoted[-1] == "'"
    inner = quoted[1:-1].replace("\\\\", "").replace("\\'", "")
    assert "'" not in inner
    assert not inner.endswith("\\")


def test_literals_mean_to_spark_what_they_say(lake: Lake) -> None:
    values: list[Any] = ['it\'s \\ "so"', NOON + timedelta(microseconds=7), date(2024, 2, 29)]
    texts = ", ".join(f"cast({literal(each)} as string)" for each in values)
    [row] = lake.spark.sql(f"select {texts}").collect()
    assert tuple(row) == (values[0], "2024-03-01 12:00:00.000007", "2024-02-29")


def test_a_predicate_of_slices_names_source_dates_and_times() -> None:
    two = [NOON + HOUR, NOON, NOON]
    text = slices_where(events.TABLE, "it's", two)
    assert text.startswith("source = 'it\\'s' AND ")
    assert text.count("TIMESTAMP'") == 2
    assert "DATE'2024-03-01'" in text
    days = slices_where(daily_activity.TABLE, "web", [datetime(2024, 3, 1, tzinfo=UTC)])
    assert days.replace("`", "") == "source = 'web' AND date IN (DATE'2024-03-01')"


def test_every_table_is_made_with_its_columns_its_meaning_and_what_other_engines_can_read(
    lake: Lake,
) -> None:
    for table in (*WAREHOUSE, *OPS):
        assert tuple(lake.columns(table)) == table.column_names
        [row] = lake.spark.sql(f"DESCRIBE DETAIL delta.`{lake.path(table)}`").collect()
        assert row["description"] == f"One row is {table.meaning}."
        assert tuple(row["partitionColumns"]) == table.partition
        assert not {"deletionVectors", "columnMapping", "variantType"} & set(row["tableFeatures"])
        assert row["properties"]["delta.enableDeletionVectors"] == "false"
    assert lake.exists()
    assert not Lake(lake.spark, lake.root + "-none").exists()


def test_replacing_slices_leaves_others_and_refuses_rows_outside(project: Project) -> None:
    lake = project.work().lake

    def put(rows: list[tuple[datetime, int]], *slices: datetime) -> None:
        frame = lake.frame(
            [{"source": "web", "dump_hour": hour, "line": line} for hour, line in rows],
            QUARANTINE.ddl,
        )
        lake.replace(QUARANTINE, frame, slices_where(QUARANTINE, "web", slices))

    def lines() -> list[int]:
        return sorted(row["line"] for row in project.table(QUARANTINE))

    put([(NOON, 1), (NOON + HOUR, 2)], NOON, NOON + HOUR)
    put([(NOON, 3), (NOON, 4)], NOON)
    assert lines() == [2, 3, 4]
    put([], NOON)
    assert lines() == [2]
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        put([(NOON, 5)], NOON + HOUR)
    assert lines() == [2]


def test_slices_of_one_table_that_are_replaced_at_once_are_all_replaced(
    project: Project, spark_url: str
) -> None:
    opened = [connect(spark_url) for _ in range(4)]

    def put(n: int) -> None:
        lake = project.work(opened[n]).lake
        hour = NOON + n * HOUR
        frame = lake.frame([{"source": "web", "dump_hour": hour, "line": n}], QUARANTINE.ddl)
        lake.replace(QUARANTINE, frame, slices_where(QUARANTINE, "web", [hour]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(4)))
    for spark in opened:
        spark.stop()
    assert sorted(row["line"] for row in project.table(QUARANTINE)) == [0, 1, 2, 3]


def test_columns_that_several_add_at_once_are_there_once(project: Project, spark_url: str) -> None:
    opened = [connect(spark_url) for _ in range(4)]
    wanted = {"n": "int", "price": "decimal(10,2)"}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: project.work(s).lake.add_columns(events.TABLE, wanted), opened))
    for spark in opened:
        spark.stop()
    lake = project.work().lake
    found = lake.columns(events.TABLE)
    assert found.items() >= wanted.items()
    version = lake.version(events.TABLE)
    lake.add_columns(events.TABLE, wanted)
    assert lake.version(events.TABLE) == version
    with pytest.raises(TidegateError, match="column n of events has another type") as told:
        lake.add_columns(events.TABLE, {"n": "string"})
    assert told.value.expected is not None
    assert "int" in told.value.expected


def test_a_number_that_was_used_appends_nothing_more(project: Project) -> None:
    lake = project.work().lake
    for number in (1, 1, 2):
        lake.append_next(RELEASES, [{"release_id": f"r{number}"}], "app", number)
    lake.append_next(RELEASES, [{"release_id": "other"}], "app2", 1)
    assert sorted(row["release_id"] for row in project.table(RELEASES)) == ["other", "r1", "r2"]


def test_a_book_stays_in_few_files_however_often_rows_are_added(project: Project) -> None:
    lake = project.work().lake
    numbers = [*range(55)]
    for number in numbers:
        lake.append(RELEASES, [{"sequence": number}])
    assert sorted(row["sequence"] for row in lake.book(RELEASES)) == numbers
    assert len(lake.read(RELEASES).inputFiles()) < 50


def test_an_older_version_of_a_table_can_be_read(project: Project) -> None:
    lake = project.work().lake
    version = lake.version(RELEASES)
    lake.append(RELEASES, [{"release_id": "r1"}])
    assert lake.read(RELEASES, version).count() == 0
    assert lake.read(RELEASES).count() == 1
    lake.append(RELEASES, [])
    assert lake.version(RELEASES) == version + 1


def test_a_book_says_the_same_whoever_reads_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = project.work().lake
    rows = [
        {
            "sequence": n,
            "release_id": f"r'{n}",
            "released_at": NOON + n * HOUR,
            "versions": {"a": n},
        }
        for n in range(3)
    ]
    lake.append(RELEASES, rows[:2])
    version = lake.version(RELEASES)
    lake.append(RELEASES, rows[2:])
    found = []
    for quick in (True, False):
        monkeypatch.setattr(Lake, "_by_duckdb", quick)
        some = ("sequence", "release_id", "versions", "released_at")
        late = f"released_at > {literal(NOON)}"
        read = sorted(lake.book(RELEASES, late, some), key=lambda row: int(row["sequence"]))
        found.append(
            [
                [{**row, "released_at": parse_time(row["released_at"])} for row in read],
                lake.book(
                    RELEASES, select=["max(sequence) as n", "count(*) as m"], version=version
                ),
                [number for number, _ in lake.history(RELEASES, 2)],
            ]
        )
    assert found[0] == found[1]
    assert found[0][0] == rows[1:]
    assert found[0][1] == [{"n": 1, "m": 2}]


def test_what_is_staged_says_the_same_whoever_reads_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "a 'b"
    root.mkdir()
    lake = Lake(project.spark, str(root))
    rows = [
        {"h": NOON + n * HOUR, "d": date(2024, 2, 28 + n), "t": NOON, "hs": [NOON, NOON + n * HOUR]}
        for n in range(2)
    ]
    rows.append({"h": None, "d": None, "t": None, "hs": []})
    ddl = "h timestamp, d date, t timestamp, hs array<timestamp>"
    kept = lake.keep(lake.frame(rows, ddl).repartition(2), lake.staging("x", "kept"), ddl)
    none = lake.keep(lake.frame([], ddl), lake.staging("x", "none"), ddl)
    assert lake.rows(none.rows) == []
    queries = (
        "SELECT unix_seconds(h) AS s, unix_micros(t) AS us, CAST(d AS string) AS d FROM {kept} ORDER BY s NULLS FIRST",
        "SELECT unix_seconds(CAST(d AS timestamp)) AS s, count(*) AS n, count(*) FILTER (WHERE t >= h) AS c "
        "FROM {kept} GROUP BY 1 ORDER BY 1 NULLS FIRST",
        "SELECT DISTINCT unix_seconds(h) AS s FROM (SELECT explode(hs) AS h FROM {kept}) t ORDER BY s NULLS FIRST",
        "SELECT count(*) AS n FROM {kept} k WHERE NOT EXISTS (SELECT 1 FROM {none} n WHERE n.h = k.h)",
        "SELECT (SELECT count(*) FROM {kept}) - (SELECT count(*) FROM {none}) AS n",
        "SELECT coalesce(max(unix_micros(t)) > 0, false) AS cut, max(CASE WHEN false THEN t END) AS m FROM {none}",
    )
    found = []
    for quick in (True, False):
        monkeypatch.setattr(Lake, "_by_duckdb", quick)
        found.append([lake.look(each, kept=kept.place, none=none.place) for each in queries])
        times = lake.look("SELECT h FROM {kept} WHERE h IS NOT NULL ORDER BY h", kept=kept.place)
        assert [parse_time(row["h"]) for row in times] == [NOON, NOON + HOUR]
    assert found[0] == found[1]
    assert found[0][3:] == [[{"n": 3}], [{"n": 3}], [{"cut": False, "m": None}]]


def test_a_table_that_does_not_exist_is_told_with_those_that_do() -> None:
    assert table_named("sessions") is sessions.TABLE
    with pytest.raises(TidegateError, match="no such table") as told:
        table_named("session")
    assert told.value.expected is not None
    assert "sessions" in told.value.expected
