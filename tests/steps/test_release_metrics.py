"""Metrics through all steps: they travel with releases, and Spark's sketches are read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import CopyProject, MakeProject
from project import HOUR, NOON, Project, event
from tidegate.config.metrics import sketches
from tidegate.lake.delta import DeltaTables
from tidegate.pipeline.derive.derive import standing
from tidegate.pipeline.release.release import Release, release
from tidegate.query.connect import connect
from tidegate.tables.system_tables import RELEASES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

METRIC = """metric: visits
kind: count
description: A test.
owner: tests
source: web
where: n > 0
interval: INTERVAL
"""


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish two hours by a project that has a metric."""
    project = make_project()
    write(project, "day")
    for hour in (NOON, NOON + HOUR):
        project.put_hour(hour, [event(f"{hour:%H}{n}", hour, f"u{n}", n=n) for n in range(3)])
    project.run(project.source(), [NOON])
    project.run(project.source(), [NOON + HOUR])
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


def write(project: Project, interval: str, more: str = "") -> None:
    project.settings.metrics.mkdir(parents=True, exist_ok=True)
    text = METRIC.replace("INTERVAL", interval) + more
    (project.settings.metrics / "visits.yml").write_text(text)


def released(project: Project) -> Release:
    work = project.work()
    return release(work, standing(work, [project.source()]))


def numbers(project: Project, of: str | None = None) -> list[tuple[object, ...]]:
    with connect(project.settings, of) as connection:
        return connection.execute("SELECT value FROM metrics.visits").fetchall()


def test_a_metric_is_of_the_release_and_an_older_release_has_the_older_number(
    project: Project,
) -> None:
    first, second = (
        row["release_id"] for row in sorted(project.table(RELEASES), key=lambda r: r["sequence"])
    )
    assert numbers(project) == numbers(project, second) == [(4,)]
    assert numbers(project, first) == [(2,)]
    # A definition that changes makes a release; an equal one does not.
    assert not released(project).is_new
    write(project, "hour")
    third = released(project)
    assert third.is_new and third.publications == ()
    assert not released(project).is_new
    assert numbers(project) == [(2,), (2,)]
    assert numbers(project, second) == [(4,)]


def test_a_broken_metric_file_stops_no_release_and_its_metric_stays_as_it_was(
    project: Project,
) -> None:
    write(project, "day", "intervall: day\n")
    project.put_hour(NOON + 2 * HOUR, [event("x", NOON + 2 * HOUR, n=1)])
    ran = project.run(project.source(), [NOON + 2 * HOUR])
    assert ran.release.is_new
    [fault] = ran.release.metric_faults
    assert "visits.yml: unknown key 'intervall' of count; did you mean 'interval'?" in fault
    assert numbers(project) == [(5,)]
    # Of a file that is gone, the metric is.
    (project.settings.metrics / "visits.yml").unlink()
    made = released(project)
    assert made.is_new and made.metric_faults == ()
    with connect(project.settings) as connection:
        found = connection.execute(
            "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'metrics'"
        )
        assert found.fetchone() == (0,)


def test_a_lake_of_an_older_version_gets_the_column_with_its_next_release(project: Project) -> None:
    names = [name for name in RELEASES.column_names if name != "metrics"]
    # The row of the last one was not written: a kill prevented it.
    rows = project.lake().book(RELEASES, "sequence = 1", [f'"{name}"' for name in names])
    shutil.rmtree(Path(project.settings.lake) / "ops" / RELEASES.name)
    older = replace(RELEASES, columns=tuple(c for c in RELEASES.columns if c.name in names))
    tables = DeltaTables(project.settings.lake, project.settings.s3)
    tables.create(older)
    tables.append(older, rows)
    with connect(project.settings) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3,)
    write(project, "hour")
    assert released(project).is_new
    assert numbers(project) == [(2,), (2,)]
    found = {row["sequence"]: row["metrics"] for row in project.table(RELEASES)}
    assert found[1] is None and set(found) == {1, 2, 3} and list(found[2]) == ["visits"]


def test_sketches_that_spark_made_are_read_and_merge_with_those_of_the_library(
    spark: SparkSession,
) -> None:
    import datasketches  # type: ignore[import-untyped]

    for users in (70, 20_000):
        row = (
            spark.range(users)
            .selectExpr("concat('ü', id) AS user")
            .selectExpr("theta_sketch_agg(user) AS sketch")
            .selectExpr("sketch", "theta_sketch_estimate(sketch) AS estimate")
            .collect()[0]
        )
        read = bytes(row["sketch"])
        estimate = sketches.estimate(read)
        assert estimate is not None and round(estimate) == row["estimate"]
        # The same users by the library itself: nobody is new, so seed and hash are the same.
        same = datasketches.update_theta_sketch(sketches.LG_ENTRIES)
        for number in range(users):
            same.update(f"ü{number}")
        merged = sketches.estimate(sketches.union([read, bytes(same.compact().serialize())]))
        error = sketches.standard_error(read)
        assert merged is not None and error is not None
        assert (error == 0) == (users < 4_096)
        # Were seed or hash others, it would be twice as many.
        assert abs(users - merged) <= 4 * error
