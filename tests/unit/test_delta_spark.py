"""One table written by Spark and by delta-rs in turn: each reads and replaces what the other wrote."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from conftest import MakeProject
from project import HOUR, NOON, Project
from tidegate.lake import Staged
from tidegate.lake.delta import DeltaTables
from tidegate.lake.schema import arrow_schema, rows_to_arrow
from tidegate.lake.slices import Slices
from tidegate.storage.s3 import S3Access
from tidegate.tables import OPS, WAREHOUSE, Table, events, sessions
from tidegate.tables.system_tables import LANDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SOURCE = "a b%'*=:^{"


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return make_project(engine="spark")


def read_by_spark(project: Project, table: Table) -> DataFrame:
    assert project.spark is not None
    return project.spark.read.format("delta").load(f"{project.settings.lake}/{table.path}")


def test_tables_that_spark_and_delta_rs_write_in_turn_are_the_same_to_both(
    project: Project,
) -> None:
    table, spark = events.TABLE, project.lake()
    rust = DeltaTables(spark.root, S3Access())
    for each in (*WAREHOUSE, *OPS):
        assert rust.columns(each) == spark.columns(each)
    spark.add_columns(table, {"price": "decimal(10,2)"})
    rust.add_columns(table, {"n": "int"})
    schema = rust._schema(table)
    columns = {**table.types, "n": "int"}
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
        place = spark.staging(uuid4().hex)
        Path(spark.root, place).mkdir(parents=True)
        staged = rows_to_arrow(rows(hour, count), arrow_schema(columns), place)
        pq.write_table(staged, Path(spark.root, place, "rows.parquet"))
        spark.publish(
            table,
            "SELECT * FROM {rows}",
            columns,
            Slices.of(table, SOURCE, [NOON + hour * HOUR]),
            record={"hour": hour},
            app="app",
            number=number,
            rows=Staged(place, columns),
        )

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
    assert spark.compact(table, {"source": [SOURCE]}) is not None
    assert by_rust(0, 5, 5)
    assert rust.compact(table, {"source": [SOURCE]}) is not None
    by_spark(1, 6, 6)
    found = read_by_spark(project, table)
    assert found.where("event_time > timestamp'2024-03-01 12:00:00.999998Z'").count() == 11
    late = found.where("event_time >= timestamp'2024-03-01 12:00:01.000003Z'")
    assert sorted(row["event_id"] for row in late.collect()) == ["0/4", "1/4", "1/5"]
    for hour, count in ((0, 5), (1, 6)):
        at = (NOON + hour * HOUR).isoformat()
        assert found.where(f"dump_hour = timestamp'{at}'").count() == count
    assert sorted(rust.files(table)) == sorted(rust.files(table, rust.version(table)))
    assert [commit.user_metadata for commit in rust.history(table, 1)] == ['{"hour": 1}']


def test_maps_and_lists_that_delta_rs_wrote_are_the_same_to_spark(project: Project) -> None:
    lake = project.lake()
    rust = DeltaTables(lake.root, S3Access())
    row = {"source": "web", "dump_hour": NOON, "quarantined_by_reason": {"a": 1, "": 2}}
    rust.append(LANDINGS, [row, {**row, "absent": ["x", None], "quarantined_by_reason": None}])
    first, second = sorted(lake.book(LANDINGS), key=lambda found: found["absent"] is not None)
    assert first["quarantined_by_reason"] == {"a": 1, "": 2}
    assert (second["absent"], second["quarantined_by_reason"]) == (["x", None], None)
    [kept] = read_by_spark(project, LANDINGS).where("absent is null").collect()
    assert kept["quarantined_by_reason"] == {"a": 1, "": 2}


def test_lists_of_times_that_delta_rs_wrote_are_the_same_to_spark(project: Project) -> None:
    rust = DeltaTables(project.settings.lake, S3Access())
    rust.append(
        sessions.TABLE,
        [{"source": "web", "start_date": NOON.date(), "start_hour": NOON, "dump_hours": [NOON]}],
    )
    rows = read_by_spark(project, sessions.TABLE)
    [row] = rows.selectExpr("dump_hours[0] = timestamp'2024-03-01T12:00:00Z' AS same").collect()
    assert row["same"]
