"""Landing on a Spark server: its executors call the kernel, and store what comes of it themselves.

No row passes through the server's driver or this process: each task stores its Parquet files under an attempt's own
id and hands back their names and counts. Spark may run a task twice; what a dead attempt stored, no result names.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.landing.kernel import Rules
from tidegate.landing.staging import DumpResult, DumpTask, Opener, TaskFile, land_dumps

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from tidegate.lake.staging_store import StagingStore

_SHARE_BYTES = 64 * 1024 * 1024
"""Bytes of a dump's files, as stored, from which on another task is worth its start."""
_MOST_SHARES = 16
"""Tasks of one dump."""


@dataclass(frozen=True)
class _Work:
    """What one task is given.

    Attributes:
        kernel: fingerprint of the kernel that the driver has.
        task: a dump, or some of its files.
        rules: how lines become events.
        files: opens them.
        store: where rows go.
        folder: below the lake.
    """

    kernel: str
    task: DumpTask
    rules: Rules
    files: Opener
    store: StagingStore
    folder: str


_KERNEL = ("common", "config/source", "config/user_sql", "dumps", "landing", "privacy")
"""The packages that decide what a line becomes."""


@lru_cache(maxsize=1)
def kernel_fingerprint() -> str:
    """Return a hash of the kernel's code: executors with another one would read lines by other rules."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(file for name in _KERNEL for file in (root / name).rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def land_on_spark(
    spark: SparkSession,
    tasks: Sequence[DumpTask],
    rules: Rules,
    files: Opener,
    store: StagingStore,
    folder: str,
) -> list[DumpResult]:
    """Land dumps in the executors of a Spark server; see `staging.land_dumps`.

    Raises:
        TidegateError: an expression can't be used, storage fails, or executors have another kernel.
    """
    works = [
        _Work(kernel_fingerprint(), share, rules, files, store, folder)
        for task in tasks
        for share in shares_of(task)
    ]
    payloads = [(bytearray(pickle.dumps(work)),) for work in works]
    rows = (
        spark.createDataFrame(payloads, "payload binary")
        .repartition(len(works))
        .mapInArrow(_land, "result binary")
        .collect()
    )
    found = [pickle.loads(bytes(row["result"])) for row in rows]  # noqa: S301 - from our own tasks
    for result in found:
        if isinstance(result, TidegateError):
            raise result
    return merged(tasks, found)


def shares_of(task: DumpTask) -> list[DumpTask]:
    """Return a dump as parts of about equal sizes, as many as are worth a task each."""
    size = sum(file.size for file in task.files)
    count = max(1, min(len(task.files), _MOST_SHARES, size // _SHARE_BYTES))
    parts: list[list[TaskFile]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(task.files, key=lambda file: (-file.size, file.name)):
        least = sizes.index(min(sizes))
        parts[least].append(file)
        sizes[least] += file.size + 1
    return [replace(task, files=tuple(part)) for part in parts]


def merged(tasks: Sequence[DumpTask], results: Sequence[DumpResult]) -> list[DumpResult]:
    """Return one result a dump; of a dump with a part that can't be read nothing counts."""
    parts: dict[datetime, list[DumpResult]] = defaultdict(list)
    for result in results:
        parts[result.hour].append(result)
    whole = []
    for task in tasks:
        mine = parts[task.hour]
        faults = [part for part in mine if part.error is not None]
        if faults:
            whole.append(min(faults, key=lambda part: str(part.error_file)))
            continue
        counts = {count.name: count for part in mine for count in part.counts}
        staged = sorted((file for part in mine for file in part.files), key=lambda file: file.path)
        whole.append(
            DumpResult(task.hour, tuple(staged), tuple(counts[file.name] for file in task.files))
        )
    return whole


def _land(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Land what the rows of batches hold; runs in an executor."""
    import pyarrow as pa

    for batch in batches:
        for payload in batch.column(0).to_pylist():
            work = pickle.loads(payload)  # noqa: S301 - from our own driver
            result = pickle.dumps(_landed(work))
            yield pa.RecordBatch.from_arrays([pa.array([result], pa.binary())], ["result"])


def _landed(work: _Work) -> Any:
    """Return what became of a task's dump, or the error that the driver is to raise."""
    if work.kernel != kernel_fingerprint():
        return TidegateError(
            "the Spark server's Python has another version of tidegate",
            where="the executors of the Spark server",
            expected=f"the landing kernel {work.kernel}, as here",
            got=kernel_fingerprint(),
            todo="install the same version where Spark runs Python (spark.pyspark.python)",
        )
    try:
        [result] = land_dumps(
            [work.task], work.rules, work.files, work.store.target(work.folder), threads=1
        )
    except TidegateError as error:
        return error
    return result
