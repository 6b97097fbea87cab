"""Whole dumps of generated files: steps count what was meant, and Spark reads them as the kernel here does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import MakeProject
from fuzz.bends import Made, made
from fuzz.files import Draft, draft
from fuzz.model import HOUR, Expected
from tidegate.config.source import parse_source
from tidegate.dumps.dumps import Dumps
from tidegate.engine.spark_landing import land_on_spark
from tidegate.lake.staging_store import StagingStore
from tidegate.landing.kernel import Rules
from tidegate.landing.staging import DumpResult, DumpTask, TaskFile, land_dumps
from tidegate.pipeline.ingest.land import land
from tidegate.storage.s3 import S3Access

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEED = 7
FILES = 20
"""Files of an hour."""


def sources(kind: str, count: int) -> list[int]:
    """Return numbers of sources of a format whose rows nothing hides."""
    numbers = (n for n in range(10_000) if _is(draft(SEED, 0, n), kind))
    return [next(numbers) for _ in range(count)]


def _is(file: Draft, kind: str) -> bool:
    return file.kind == kind and not file.spec.pii


def files_of(number: int, first: int, *, is_bent: bool) -> list[tuple[Draft, Made]]:
    """Return files of a source: all whole, or each as it may come."""
    files = ((file := draft(SEED, n, number), made(file)) for n in range(first, first + 10 * FILES))
    wanted = [pair for pair in files if is_bent or not (pair[1].bend or pair[1].demand.may_fail)]
    return wanted[:FILES]


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_a_dump_of_many_files_has_the_events_duplicates_and_quarantined_lines_that_were_meant(
    kind: str, make_project: MakeProject
) -> None:
    project = make_project()
    for number in sources(kind, 2):
        files = files_of(number, 0, is_bent=False)
        name = f"fuzz_{number}"
        for _, whole in files:
            project.put(f"{name}/{whole.name}", b"").write_bytes(whole.data)
        dumps = f"{project.dumps}/{name}/{{dump_hour:%Y-%m-%d-%H}}-*"
        source = parse_source(
            {**files[0][0].spec.data, "source": name, "dumps": dumps}, Path("fuzz.yml")
        )
        [landed] = land(project.work(), source, [HOUR])
        meant = [expected for _, whole in files for _, expected in whole.demand.rows]
        events = [expected for expected in meant if not expected.reasons]
        ids = {_id(expected, at) for at, expected in enumerate(events)}
        assert landed.outcome == "landed", landed.error
        assert landed.lines == len(meant)
        assert (landed.events, landed.duplicates) == (len(ids), len(events) - len(ids))
        assert landed.lines == landed.events + landed.duplicates + sum(landed.quarantined.values())
        assert Counter(landed.quarantined).total() == len(meant) - len(events)
        clear = Counter(_reason(expected) for expected in meant if len(expected.reasons) == 1)
        assert all(landed.quarantined[reason] >= count for reason, count in clear.items())


def _id(expected: Expected, at: int) -> Any:
    """Return what makes an event a duplicate of another: its id, or nothing where it is computed."""
    known = expected.values["event_id"]
    return known if known is not None else at


def _reason(expected: Expected) -> str:
    [reason] = expected.reasons
    return reason


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_executors_of_spark_make_of_many_files_what_the_kernel_makes_here(
    kind: str, spark: SparkSession, tmp_path: Path
) -> None:
    [number] = sources(kind, 1)
    hours = [HOUR + n * timedelta(hours=1) for n in range(4)]
    folder = tmp_path / "dumps"
    folder.mkdir()
    for at, hour in enumerate(hours):
        for _, one in files_of(number, 1000 * at, is_bent=at == len(hours) - 1):
            name = one.name.replace("2024-03-01-12", f"{hour:%Y-%m-%d-%H}")
            (folder / name).write_bytes(one.data)
    data = {**draft(SEED, 0, number).spec.data, "dumps": f"{folder}/{{dump_hour:%Y-%m-%d-%H}}-*"}
    listed = Dumps(parse_source(data, Path("fuzz.yml")), S3Access())
    tasks = []
    for hour in hours:
        files = tuple(TaskFile(each.name, each.size) for each in listed.files(hour))
        tasks.append(DumpTask(hour, files))
    opener = listed.opener([each for hour in hours for each in listed.files(hour)])
    rules = Rules(listed.source)
    store = StagingStore(str(tmp_path / "lake"), S3Access())
    far = land_on_spark(spark, tasks, rules, opener, store, "staging/fuzz")
    near = land_dumps(tasks, rules, opener, tmp_path / "near")
    assert sum(file.records for result in near for file in result.counts) > 100
    assert [(r.hour, r.counts, r.error_file) for r in far] == [
        (r.hour, r.counts, r.error_file) for r in near
    ]
    for mine, other in zip(near, far, strict=True):
        for outcome in ("event", "quarantined"):
            here = rows(tmp_path / "near", mine, outcome)
            there = rows(tmp_path / "lake" / "staging" / "fuzz", other, outcome)
            assert here == there


def rows(folder: Path, result: DumpResult, outcome: str) -> Sequence[Any]:
    """Return the staged rows of an outcome, each as text that loses nothing."""
    paths = [folder / file.path for file in result.files if file.outcome == outcome]
    tables = [pq.read_table(path, partitioning=None) for path in paths]
    if not tables:
        return []
    whole = pa.concat_tables(tables).sort_by([("file", "ascending"), ("line", "ascending")])
    return [repr(row) for row in whole.to_pylist()]
