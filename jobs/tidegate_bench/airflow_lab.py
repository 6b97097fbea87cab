"""Where measurements through Airflow are made: a whole stack of their own, in a folder that is removed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

from tidegate.common.errors import TidegateError
from tidegate.common.hours import hours_text
from tidegate.config.settings import Settings
from tidegate.config.source import Source, parse_source
from tidegate.lake import parse_time
from tidegate.lake.reader import LakeReader
from tidegate.pipeline.context.run_context import working
from tidegate.stack.airflow_api import AirflowApi
from tidegate.stack.run import check_stack, running_stack
from tidegate_bench.day import DUMPS, describe_day, put_dumps
from tidegate_bench.lab import scratch
from tidegate_bench.spark_log import SparkLog, log_conf
from tidegate_bench.traffic import DESCRIPTION

DAG = f"land_{DESCRIPTION['source']}"
_LOOK_S = 0.2
_CHECK_S = 5.0
_DONE = ("success", "failed")


class AirflowLab:
    """A warm stack with a source to measure with.

    Attributes:
        settings: where its lake is.
        source: the source, whose dumps are in `DUMPS`.
        folder: for files meanwhile.
        api: its Airflow.
        pid: of its supervisor.
        log: of its Spark server; None where DuckDB computes the rows.
    """

    def __init__(
        self, settings: Settings, source: Source, folder: Path, api: AirflowApi, pid: int
    ) -> None:
        self.settings = settings
        self.source = source
        self.folder = folder
        self.api = api
        self.pid = pid
        self.log = SparkLog(folder / "spark-events") if settings.engine == "spark" else None
        self._books: LakeReader | None = None

    def put(self, files: Iterable[Path]) -> None:
        """Upload dumps."""
        put_dumps(self.settings.s3, files)

    def unpause(self) -> None:
        """Let the DAGs run, once Airflow knows them; the lake's tables are made before."""
        with working(self.settings):
            pass
        for dag in ("derive", DAG):
            self.api.wait_for_dag(dag)
            self.api.unpause(dag)

    def wait_for_release(self, hours: Sequence[datetime], timeout: float) -> float:
        """Wait until a release that pins publications of all the hours can be read.

        Args:
            hours: of the source.
            timeout: seconds.

        Returns:
            When that was, in seconds since the epoch, late by two tenths at most.

        Raises:
            TidegateError: a task or the stack failed, or it took longer.
        """
        if self._books is None:
            self._books = LakeReader(self.settings.lake, self.settings.s3)
        wanted, seen = set(hours), -1

        def released() -> bool:
            nonlocal seen
            assert self._books is not None
            version = self._books.commits("ops/releases", 1)[0][0]
            if version == seen:
                return False
            seen = version
            return wanted <= _pinned(self._books, self.source.source)

        self._wait_until(released, f"a release of {hours_text(hours)}", timeout)
        return time.time()

    def wait_for_rest(self, timeout: float) -> None:
        """Wait until no run goes on that was asked for, so that none is in the next one's way.

        Raises:
            TidegateError: a task or the stack failed, or it took longer than `timeout` seconds.
        """

        def rests() -> bool:
            runs = [run for run in self.api.dag_runs() if run["run_type"] != "scheduled"]
            return all(run["state"] in _DONE for run in runs)

        self._wait_until(rests, "the runs to end", timeout)

    def _wait_until(self, holds: Callable[[], bool], what: str, timeout: float) -> None:
        begun = checked = time.monotonic()
        while not holds():
            now = time.monotonic()
            if now - begun > timeout:
                raise TidegateError(
                    "Airflow does not get there",
                    where=str(self.settings.home / "logs"),
                    expected=f"{what} within {timeout:.0f} seconds",
                    got="it goes on",
                )
            if now - checked > _CHECK_S:
                self._check()
                checked = now
            time.sleep(_LOOK_S)

    def _check(self) -> None:
        check_stack(self.settings.home)
        failed = self.api.task_instances(state="failed")
        if failed:
            first = failed[0]
            log = self.api.task_log(first["dag_id"], first["dag_run_id"], first["task_id"])
            raise TidegateError(
                "made-up dumps were not published",
                where=f"{first['dag_id']} {first['dag_run_id']}, task {first['task_id']}",
                expected="no task to fail",
                got=log[-2000:],
            )


@contextmanager
def airflow_lab(settings: Settings, tell: Callable[[str], None]) -> Iterator[AirflowLab]:
    """Yield a lab on a stack of its own, that answers; its DAGs are paused.

    Args:
        settings: of the project whose DAGs and suites are measured, and the engine.
        tell: is given a line of progress at a time.
    """
    # What the user's own stack has brought need not be downloaded again.
    os.environ.setdefault("TIDEGATE_JARS", str(settings.home / "jars"))
    with scratch(settings) as folder:
        project, home = folder / "project", folder / "home"
        file = copy_project(settings.project, project)
        engine = settings.engine
        conf = log_conf(folder / "spark-events") if engine == "spark" else None
        with running_stack(
            home, project=project, progress=tell, spark_conf=conf, engine=engine
        ) as state:
            own = Settings(project, home, state.lake, spark=state.spark, s3=state.s3, engine=engine)
            source = parse_source(yaml.safe_load(file.read_text()), file)
            with AirflowApi(*state.login) as api:
                yield AirflowLab(own, source, folder, api, state.pid)


def copy_project(project: Path, target: Path) -> Path:
    """Copy a project with the bench's source in place of its own; return the source file."""
    own = shutil.ignore_patterns("sources", "metrics")  # metrics are of sources
    shutil.copytree(project / "dags", target / "dags", ignore=own)
    shutil.copytree(project / "expectations", target / "expectations")
    sources = target / "dags" / "sources"
    sources.mkdir()
    return describe_day(sources, DUMPS)


def _pinned(books: LakeReader, source: str) -> set[datetime]:
    """Return the hours of a source that the last release pins, with all that is derived from them."""
    [release] = books.rows("ops/releases", "true", ["max_by(versions, sequence) AS versions"])
    if not release["versions"]:
        return set()
    rows = books.rows(
        "ops/publications",
        f"table_name = 'events' AND source = '{source}'",
        ["delta_version", "slices"],
    )
    return {
        parse_time(each["slice"])
        for row in rows
        if row["delta_version"] <= release["versions"]["events"]
        for each in row["slices"]
    }
