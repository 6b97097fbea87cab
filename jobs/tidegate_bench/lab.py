"""Where measurements are made: a lake of their own in a folder that is removed, on an engine that is warm."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.config.source import Source, parse_source
from tidegate.engine.spark_server import start_spark
from tidegate.pipeline.context.run_context import working
from tidegate.pipeline.run import Ran
from tidegate.pipeline.run import run as run_steps
from tidegate.storage.s3 import S3Access
from tidegate_bench.spark_log import Activity, SparkLog, log_conf
from tidegate_bench.traffic import DESCRIPTION, NAME, Traffic, hour_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tidegate.lake import Lake
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        seconds: how long it took.
        activity: what Spark did meanwhile; None where DuckDB computes the rows.
    """

    seconds: float
    activity: Activity | None


class Lab:
    """A lake and a source to measure with.

    Attributes:
        settings: where they are.
        source: the source, whose dumps are to be written into `dumps`.
        dumps: a folder.
    """

    def __init__(
        self, settings: Settings, folder: Path, log: SparkLog | None, keys: Mapping[str, Any]
    ) -> None:
        self.settings = settings
        self.dumps = folder / "dumps"
        described = {**DESCRIPTION, "dumps": f"{self.dumps}/{NAME}", **keys}
        self.source: Source = parse_source(described, folder / "bench.yml")
        self._log = log

    def write(self, traffic: Traffic, numbers: Sequence[int], *more: bytes) -> list[datetime]:
        """Write the dumps of some hours, with more lines in each; return the hours."""
        for number in numbers:
            traffic.write(number, self.dumps, *more)
        return [hour_of(number) for number in numbers]

    def run(self, hours: Sequence[datetime]) -> Measured:
        """Land, publish, derive and release some hours of the source.

        Raises:
            TidegateError: something was held or missing: there is nothing to measure then.
        """
        return self.measure(lambda work: whole(run_steps(work, self.source, hours)))

    def measure(self, step: Callable[[Work], object]) -> Measured:
        """Do something with a session of its own, as a run does, and measure it."""
        with working(self.settings) as work:
            self._activity(work)
            begun = time.monotonic()
            step(work)
            seconds = time.monotonic() - begun
            return Measured(seconds, self._activity(work))

    def _activity(self, work: Work) -> Activity | None:
        """Return what Spark did since the last call."""
        return None if self._log is None else self._log.since_last(spark_session(work.lake))


def spark_session(lake: Lake) -> SparkSession:
    """Return the session through which a lake's rows are computed."""
    from tidegate.engine.spark import SparkEngine

    engine = lake.engine
    assert isinstance(engine, SparkEngine), "only a lake on Spark has a log of Spark"
    return engine.session


def whole(ran: Ran) -> None:
    """Return if a run published all that it was given.

    Raises:
        TidegateError: something was held or missing.
    """
    if ran.exit_status:
        raise TidegateError(
            "made-up dumps were not published",
            expected="nothing held or missing",
            got="; ".join(
                [each.describe() for each in ran.held]
                + [each.describe() for each in ran.landed if not each.landing_id]
            ),
        )


@contextmanager
def scratch(settings: Settings) -> Iterator[Path]:
    """Yield a new folder below the state folder; nothing of it is left afterwards."""
    base = settings.home / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lab(settings: Settings, **keys: Any) -> Iterator[Lab]:
    """Yield a lab in a folder of its own.

    Args:
        settings: of the project whose suites gate what is measured, and the engine. A Spark server is one of the lab.
        keys: of the source file, in place of those of `traffic.DESCRIPTION`.
    """
    with scratch(settings) as folder:
        own = Settings(
            settings.project, settings.home, str(folder / "lake"), engine=settings.engine
        )
        if own.engine == "duckdb":
            yield Lab(own, folder, None, keys)
            return
        log = folder / "spark-events"
        child, url = start_spark(
            settings.home, s3=S3Access(), log=folder / "spark.log", extra_conf=log_conf(log)
        )
        try:
            yield Lab(replace(own, spark=url), folder, SparkLog(log), keys)
        finally:
            child.stop(0.0)


def costs(runs: Sequence[Measured]) -> dict[str, float]:
    """Return the medians of what some runs cost, the least and most of their seconds, and what Spark read."""
    seconds = [run.seconds for run in runs]
    times = {"seconds": median(seconds), "least": min(seconds), "most": max(seconds)}
    activities = [run.activity for run in runs if run.activity is not None]
    if not activities:
        return times
    warehouse = [activity.under("warehouse") for activity in activities]
    logs = [activity.logs for activity in activities]
    return {
        **times,
        "queries": median(activity.queries for activity in activities),
        "files_read": median(each.files for each in warehouse),
        "bytes_read": median(each.bytes for each in warehouse),
        "log_files": median(each.files for each in logs),
        "log_bytes": median(each.bytes for each in logs),
    }
