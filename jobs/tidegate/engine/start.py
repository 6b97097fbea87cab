"""Open a lake for writing: claim it, start its engine, and give this process a folder for what it computes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.config.settings import Settings
from tidegate.lake.staging_store import StagingStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tidegate.lake import Lake
    from tidegate.lake.engine import Engine
    from tidegate.storage.s3 import S3Access

_MEMORY_BESIDE_A_JVM = "256MB"


@contextmanager
def open_lake(settings: Settings, tell: Callable[[str], None] | None = None) -> Iterator[Lake]:
    """Yield a lake that this process may write.

    Any number of processes write a lake on S3 together, and one in a local folder with the DuckDB engine; there, a
    Spark server holds it alone.

    Args:
        settings: whose lake, and which engine.
        tell: is given a line of progress at a time.

    Raises:
        TryAgainError: no Spark server answers, or it or S3 was lost in the middle of the work.
        TidegateError: the lake is held by others, its kind can't be written by this engine, or memory, room or a file
            was missing in the middle of the work.
    """
    import duckdb

    from tidegate.engine.failures import query_failure
    from tidegate.lake.claim import claim

    with ExitStack() as held:
        if settings.engine == "duckdb":
            held.enter_context(claim(settings, "shared"))
            scratch: Path | None = held.enter_context(_scratch(settings))
            spark = None
        else:
            from tidegate.engine import session

            spark = held.enter_context(session.session(settings, tell))
            scratch = held.enter_context(session.scratch(spark))
        lake = lake_on(settings.lake, settings.s3, scratch, spark)
        held.callback(lake.close)
        try:
            yield lake
        except duckdb.Error as error:
            failure = query_failure(error, settings)
            if failure is None:
                raise
            raise failure from error


def lake_on(
    root: str,
    s3: S3Access | None = None,
    scratch: Path | None = None,
    spark: SparkSession | None = None,
) -> Lake:
    """Return a lake whose rows DuckDB computes in this process, or a Spark server.

    Args:
        root: URI or absolute path of the lake.
        s3: how S3 is reached.
        scratch: a folder of this process's own for what it computes on the way; see `Lake`.
        spark: a session of the Spark server; None where DuckDB computes rows.
    """
    from tidegate.lake import Lake

    if spark is None:
        return Lake(root, s3, scratch, _duckdb_engine)

    def spark_engine(lake: Lake) -> Engine:
        from tidegate.engine.spark import SparkEngine

        return SparkEngine(spark, lake.root, lake.s3)

    return Lake(root, s3, scratch, spark_engine, _MEMORY_BESIDE_A_JVM)


def _duckdb_engine(lake: Lake) -> Engine:
    from tidegate.engine.duckdb import DuckDBEngine

    return DuckDBEngine(lake.reader, lake.tables, StagingStore(lake.root, lake.s3))


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """Yield a folder of this process's own; what a killed one left is removed by the next."""
    from tidegate.processes.private_files import own_folder

    parent = settings.home / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    folder = own_folder(parent, "process")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
