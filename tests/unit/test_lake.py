"""A lake: literals and predicates of its queries, its system tables, and rows that engines compute the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Row
from project import HOUR, NOON, Project
from tidegate.common.errors import TidegateError
from tidegate.lake import Lake, literal, parse_time, slices_where, table_named
from tidegate.lake.table_refs import At
from tidegate.tables import OPS, WAREHOUSE, daily_activity, events, sessions
from tidegate.tables.system_tables import RELEASES
from workbench import Workbench


def value_of(lake: Lake, expression: str) -> object:
    [row] = lake.look(f"SELECT {expression} AS v")
    return row["v"]


@given(st.text(max_size=20))
def test_a_literal_of_a_text_is_that_text_quoted(text: str) -> None:
    quoted = literal(text)
    assert quoted[0] == quoted[-1] == "'"
    assert "'" not in quoted[1:-1].replace("''", "")
    assert quoted[1:-1].replace("''", "'") == text


def test_literals_mean_what_they_say(project: Project) -> None:
    lake = project.lake()
    for text in ('it\'s \\ "so"', "\\", "''", "a\nb 🌊 {rows} $1 %s"):
        assert value_of(lake, literal(text)) == text
    time = NOON + timedelta(microseconds=7)
    assert parse_time(str(value_of(lake, literal(time)))) == time
    assert value_of(lake, literal(date(2024, 2, 29))) == "2024-02-29"


def test_a_predicate_of_slices_names_source_dates_and_times() -> None:
    two = [NOON + HOUR, NOON, NOON]
    text = slices_where(events.TABLE, "it's", two)
    assert text.startswith("source = 'it''s' AND ")
    assert text.count("TIMESTAMPTZ '") == 2
    assert "DATE '2024-03-01'" in text
    days = slices_where(daily_activity.TABLE, "web", [datetime(2024, 3, 1, tzinfo=UTC)])
    assert days == "source = 'web' AND date IN (DATE '2024-03-01')"


def test_a_lake_is_there_once_all_its_tables_are(project: Project) -> None:
    lake = project.lake()
    assert lake.exists()
    for table in (*WAREHOUSE, *OPS):
        assert tuple(lake.columns(table)) == table.column_names
    assert not Lake(lake.root + "-none").exists()


def test_columns_that_several_add_at_once_are_there_once(project: Project) -> None:
    wanted = {"n": "int", "price": "decimal(10,2)"}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: project.lake().add_columns(events.TABLE, wanted), range(4)))
    lake = project.lake()
    assert lake.columns(events.TABLE).items() >= wanted.items()
    version = lake.version(events.TABLE)
    lake.add_columns(events.TABLE, wanted)
    assert lake.version(events.TABLE) == version
    with pytest.raises(TidegateError, match="column n of events has another type") as raised:
        lake.add_columns(events.TABLE, {"n": "string"})
    assert raised.value.expected is not None
    assert "int" in raised.value.expected


def test_a_system_table_stays_in_few_files_however_often_rows_are_added(project: Project) -> None:
    lake = project.lake()
    for number in range(0, 60, 2):
        lake.append(RELEASES, [{"sequence": number}])
        assert lake.append_next(RELEASES, [{"sequence": number + 1}], "app", number + 1)
    assert sorted(row["sequence"] for row in lake.book(RELEASES)) == [*range(60)]
    assert len(lake.files(RELEASES)) < 50


def test_a_system_table_is_read_at_its_latest_or_at_an_older_version(project: Project) -> None:
    lake = project.lake()
    rows = [
        {
            "sequence": n,
            "release_id": f"r'{n}",
            "released_at": NOON + n * HOUR,
            "versions": {"a": n},
        }
        for n in range(3)
    ]
    empty = lake.version(RELEASES)
    lake.append(RELEASES, rows[:2])
    version = lake.version(RELEASES)
    lake.append(RELEASES, rows[2:])
    lake.append(RELEASES, [])
    assert lake.version(RELEASES) == version + 1
    some = ("sequence", "release_id", "versions", "released_at")
    read = lake.book(RELEASES, f"released_at > {literal(NOON)}", some)
    read.sort(key=lambda row: int(row["sequence"]))
    assert [{**row, "released_at": parse_time(row["released_at"])} for row in read] == rows[1:]
    counts = ["max(sequence) AS n", "count(*) AS m"]
    assert lake.book(RELEASES, select=counts, version=version) == [{"n": 1, "m": 2}]
    assert lake.book(RELEASES, version=empty) == []
    [row] = lake.look("SELECT count(*) AS n FROM {rows}", rows=At(RELEASES, version))
    assert row["n"] == 2
    assert [number for number, _ in lake.history(RELEASES, 2)] == [version + 1, version]


STAGED = {"h": "timestamp", "d": "date", "t": "timestamp", "hs": "array<timestamp>"}
QUERIES: dict[str, tuple[dict[str, str], list[Row]]] = {
    "SELECT epoch_us(h) AS s, epoch_us(t) AS us, CAST(d AS varchar) AS d FROM {kept}": (
        {"s": "bigint", "us": "bigint", "d": "string"},
        [
            {"s": 1709294400000000, "us": 1709294400000000, "d": "2024-02-28"},
            {"s": 1709298000000000, "us": 1709294400000000, "d": "2024-02-29"},
            {"s": None, "us": None, "d": None},
        ],
    ),
    "SELECT d, count(*) AS n, count(CASE WHEN t >= h THEN 1 END) AS c FROM {kept} GROUP BY d": (
        {"d": "date", "n": "bigint", "c": "bigint"},
        [
            {"d": "2024-02-28", "n": 1, "c": 1},
            {"d": "2024-02-29", "n": 1, "c": 0},
            {"d": None, "n": 1, "c": 0},
        ],
    ),
    "SELECT DISTINCT h FROM (SELECT unnest(hs) AS h FROM {kept}) u": (
        {"h": "timestamp"},
        [{"h": "2024-03-01 12:00:00"}, {"h": "2024-03-01 13:00:00"}],
    ),
    "SELECT count(*) AS n FROM {kept} k WHERE NOT EXISTS (SELECT 1 FROM {none} n WHERE n.h = k.h)": (
        {"n": "bigint"},
        [{"n": 3}],
    ),
    "SELECT coalesce(max(epoch_us(t)) > 0, false) AS cut, max(t) AS m FROM {none}": (
        {"cut": "boolean", "m": "timestamp"},
        [{"cut": False, "m": None}],
    ),
}


def test_a_query_of_staged_rows_gives_the_same_on_either_engine(workbench: Workbench) -> None:
    rows: list[Row] = [
        {"h": NOON + n * HOUR, "d": date(2024, 2, 28 + n), "t": NOON, "hs": [NOON, NOON + n * HOUR]}
        for n in range(2)
    ]
    rows.append({"h": None, "d": None, "t": None, "hs": []})
    kept, none = workbench.stage(rows, STAGED, files=2), workbench.stage([], STAGED)
    assert workbench.rows(none) == []
    for query, (columns, expected) in QUERIES.items():
        got = workbench.run(query, columns, kept=kept, none=none)
        assert sorted(got, key=str) == sorted(expected, key=str), query


def test_staged_rows_take_the_place_of_what_was_staged_there(workbench: Workbench) -> None:
    place = str(workbench.build("SELECT 1 AS n", {"n": "int"}).place)
    for query, expected in (("SELECT 2 AS n", [{"n": 2}]), ("SELECT 1 AS n WHERE false", [])):
        staged = workbench.lake.build(query, place, {"n": "int"})
        assert workbench.rows(staged) == expected


def test_a_table_that_does_not_exist_is_reported_with_those_that_do() -> None:
    assert table_named("sessions") is sessions.TABLE
    with pytest.raises(TidegateError, match="no such table") as raised:
        table_named("session")
    assert raised.value.expected is not None
    assert "sessions" in raised.value.expected
