"""Landing on a Spark server: shares, results, and a kernel of another version."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from project import LINES
from tidegate.common.errors import TidegateError
from tidegate.config.source import parse_source
from tidegate.dumps.dumps import Dumps
from tidegate.engine import spark_landing
from tidegate.engine.spark_landing import kernel_fingerprint, merged, shares_of
from tidegate.lake.staging_store import StagingStore
from tidegate.landing.kernel import Rules
from tidegate.landing.staging import DumpResult, DumpTask, TaskFile
from tidegate.storage.s3 import S3Access

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MIB = 1024 * 1024


def work(folder: Path, lines: int) -> Any:
    """Return a task on a dump of so many lines."""
    dumps = folder / "dumps"
    dumps.mkdir(parents=True)
    line = '{{"id": "{0}", "at": "2024-03-01T12:00:00Z", "type": "view", "user": "u{0}"}}\n'
    (dumps / "2024-03-01-12.json").write_text("".join(line.format(n) for n in range(lines)))
    source = parse_source(
        {**LINES, "dumps": f"{dumps}/{{dump_hour:%Y-%m-%d-%H}}.json"}, folder / "web.yml"
    )
    listed = Dumps(source, S3Access(), None)
    files = listed.files(NOON)
    return spark_landing._Work(
        kernel_fingerprint(),
        DumpTask(NOON, tuple(TaskFile(file.name, file.size) for file in files)),
        Rules(source),
        listed.opener(files),
        StagingStore(str(folder / "lake"), S3Access()),
        "staging/x",
    )


def test_what_passes_through_the_driver_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    sizes = []
    for name, lines in (("few", 10), ("many", 20_000)):
        task = pickle.loads(pickle.dumps(work(tmp_path / name, lines)))  # noqa: S301
        result = spark_landing._landed(task)
        assert sum(file.rows for file in result.files) == lines
        sizes.append(len(pickle.dumps(result)))
    assert sizes[1] < sizes[0] + 100
    assert sizes[1] < 4_096


def test_executors_with_another_kernel_are_refused(tmp_path: Path) -> None:
    other = replace(work(tmp_path, 1), kernel="0123456789abcdef")
    refused = spark_landing._landed(other)
    assert isinstance(refused, TidegateError)
    assert "another version of tidegate" in refused.what
    assert not (tmp_path / "lake" / "staging").exists()


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [([10], 1), ([10] * 3000, 1), ([100 * MIB, 100 * MIB], 2), ([40 * MIB] * 100, 16)],
)
def test_a_dump_becomes_as_many_tasks_as_its_bytes_are_worth(sizes: list[int], shares: int) -> None:
    task = DumpTask(NOON, tuple(TaskFile(f"{n}", size) for n, size in enumerate(sizes)))
    parts = shares_of(task)
    assert len(parts) == shares
    names = [file.name for part in parts for file in part.files]
    assert sorted(names) == sorted(file.name for file in task.files)


def test_a_part_that_can_not_be_read_makes_its_dump_unreadable_and_no_other() -> None:
    tasks = [DumpTask(NOON, ()), DumpTask(NOON.replace(hour=13), ())]
    fault = DumpResult(NOON, error="b: cut", error_file="b")
    found = merged(tasks, [DumpResult(NOON.replace(hour=13)), DumpResult(NOON), fault])
    assert [each.error for each in found] == ["b: cut", None]
