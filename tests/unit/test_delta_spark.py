"""One table written by Spark and by delta-rs in turn: each reads and replaces what the other wrote."""

from __future__ import annotations

from datetime import timedelta

import pytest

from project import HOUR, NOON, Project
from tidegate.lake import slices_where
from tidegate.lake.delta import DeltaTables
from tidegate.lake.schema import rows_to_arrow
from tidegate.lake.slices import Slices
from tidegate.settings import S3Access
from tidegate.tables import OPS, WAREHOUSE, events, sessions
from tidegate.tables.books import LANDINGS

SOURCE = "a b%'*=:^{"


def test_tables_that_spark_and_delta_rs_write_in_turn_are_the_same_to_both(
    project: Project,
) -> None:
    table, spark = events.TABLE, project.work().lake
    rust = DeltaTables(spark.root, S3Access())
    for each in (*WAREHOUSE, *OPS):
        assert rust.columns(each) == spark.columns(each)
    spark.add_columns(table, {"price": "decimal(10,2)"})
    rust.add_columns(table, {"n": "int"})
    schema = rust._schema(table)
    assert rust.columns(table) == spark.columns(table)

    def rows(hour: int, count: int) -> list[dict[str, object]]:
        return [
            {
                "source": SOURCE,
                "dump_date": (NOON + hour * HOUR).date(),
                "dump_hour": NOON + hour * HOUR,
                "event_id": f"{hour}/{n}",
                "event_time": NOON + timedelta(microseconds=999_999 + n),
                "n": n,
            }
            for n in range(count)
        ]

    def by_spark(hour: int, count: int, number: int) -> None:
        frame = spark.frame(rows(hour, count), table.ddl + ", n int")
        where = slices_where(table, SOURCE, [NOON + hour * HOUR])
        spark.replace(table, frame, where, record={"hour": hour}, app="app", number=number)

    def by_rust(hour: int, count: int, number: int) -> bool:
        new = rows_to_arrow(rows(hour, count), schema, "-")
        where = Slices.of(table, SOURCE, [NOON + hour * HOUR])
        return rust.replace(table, new, where, app="app", number=number) is not None

    by_spark(0, 3, 1)
    assert not by_rust(0, 9, 1)
    assert by_rust(1, 2, 2)
    by_spark(1, 9, 2)
    by_spark(1, 1, 3)
    assert by_rust(0, 4, 4)
    spark.compact(table, "true")
    assert by_rust(0, 5, 5)
    assert rust.compact(table, {"source": [SOURCE]}) is not None
    by_spark(1, 6, 6)
    counts = {0: 5, 1: 6}
    found = spark.read(table).where("event_time > timestamp'2024-03-01 12:00:00.999998Z'")
    assert found.count() == 11
    late = spark.read(table).where("event_time >= timestamp'2024-03-01 12:00:01.000003Z'")
    assert sorted(row["event_id"] for row in spark.rows(late)) == ["0/4", "1/4", "1/5"]
    assert {
        hour: spark.read(table).where(slices_where(table, SOURCE, [NOON + hour * HOUR])).count()
        for hour in counts
    } == counts
    assert sorted(rust.files(table)) == sorted(
        path for path in rust.files(table, rust.version(table))
    )
    assert [commit.user_metadata for commit in rust.history(table, 1)] == ['{"hour": 1}']


@pytest.mark.parametrize("table", [LANDINGS, sessions.TABLE])
def test_nested_values_that_delta_rs_wrote_are_the_same_to_spark(
    project: Project, table: object
) -> None:
    lake = project.work().lake
    rust = DeltaTables(lake.root, S3Access())
    if table is LANDINGS:
        row = {"source": "web", "dump_hour": NOON, "quarantined_by_reason": {"a": 1, "": 2}}
        rust.append(LANDINGS, [row, {**row, "absent": ["x", None], "quarantined_by_reason": None}])
        first, second = sorted(lake.book(LANDINGS), key=lambda found: found["absent"] is not None)
        assert first["quarantined_by_reason"] == {"a": 1, "": 2}
        assert (second["absent"], second["quarantined_by_reason"]) == (["x", None], None)
        [kept] = lake.rows(lake.read(LANDINGS).where("absent is null"))
        assert kept["quarantined_by_reason"] == {"a": 1, "": 2}
        return
    rust.append(
        sessions.TABLE,
        [{"source": "web", "start_date": NOON.date(), "start_hour": NOON, "dump_hours": [NOON]}],
    )
    [row] = lake.rows(lake.read(sessions.TABLE))
    assert row["dump_hours"] == ["2024-03-01T12:00:00.000Z"]
