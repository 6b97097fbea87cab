"""What tests share: one Spark Connect server a run, and projects with lakes of their own on it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from project import REPO, Project
from tidegate.processes.child import Child
from tidegate.storage.s3 import S3Access
from workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MakeProject = Callable[..., Project]
CopyProject = Callable[[Project], Project]

_SERVER: list[Child] = []
"""The tests' Spark server, while it is to run."""

# On a busy machine one example may take any time; how long a test runs is a matter of benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def spark_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the one Spark Connect server of the tests; give its address.

    Who runs a few tests over and over can keep a server and name it in `TIDEGATE_TEST_SPARK`.
    """
    from tidegate.engine.spark_server import start_spark

    if running := os.environ.get("TIDEGATE_TEST_SPARK"):
        yield running
        return
    os.environ.setdefault("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars"))
    home = tmp_path_factory.mktemp("spark")
    child, url = start_spark(home, s3=S3Access(), log=home / "spark.log")
    _SERVER.append(child)
    try:
        yield url
    finally:
        _SERVER.clear()
        child.stop(grace=0.0)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """End the run when the tests' server has: each test after it would wait for it for minutes."""
    for child in _SERVER:
        if child.poll() is not None:
            pytest.exit(_ended(child), returncode=1)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have xdist's controller know why a worker ended its run: it hears no reason."""
    for child in _SERVER:
        if child.poll() is not None and hasattr(session.config, "workeroutput"):
            session.config.workeroutput["ended"] = _ended(child)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Show it."""
    if reason := getattr(node, "workeroutput", {}).get("ended"):
        sys.stderr.write(f"\n{reason}\n")


def _ended(server: Child) -> str:
    return f"the tests' Spark server ended:\n{server.log_tail()}"


@pytest.fixture(scope="session")
def spark(spark_url: str) -> Iterator[SparkSession]:
    """Open a session as Tidegate's jobs have it."""
    from tidegate.engine.session import connect

    session = connect(spark_url)
    # Tests have few rows: what more partitions cost is most of their time.
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture(params=["duckdb", "spark"])
def engine(request: pytest.FixtureRequest) -> str:
    """Name an engine: a test that takes it runs on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of empty tables, to be copied."""
    from tidegate.lake import Lake

    root = tmp_path_factory.mktemp("template") / "lake"
    root.mkdir()
    Lake(str(root)).create_tables()
    return root


@pytest.fixture
def workbench(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    """Give a bench to run queries of tables on, on each engine."""
    spark = request.getfixturevalue("spark") if engine == "spark" else None
    return Workbench(tmp_path, spark)


@pytest.fixture(scope="session")
def make_project(
    request: pytest.FixtureRequest, empty_lake: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeProject:
    """Give a maker of projects: dumps, suites and a lake in a folder of their own, on either engine."""

    def make(suites: str = "small", engine: str = "duckdb") -> Project:
        root = tmp_path_factory.mktemp("project")
        shutil.copytree(empty_lake, root / "lake")
        if engine == "duckdb":
            return Project(root, suites)
        spark, url = (request.getfixturevalue(name) for name in ("spark", "spark_url"))
        return Project(root, suites, spark, url)

    return make


@pytest.fixture(scope="session")
def copy_project(tmp_path_factory: pytest.TempPathFactory) -> CopyProject:
    """Give a copier of projects, for tests that begin where another one got to: steps take seconds."""

    def copy(other: Project) -> Project:
        return Project.copied(other, tmp_path_factory.mktemp("copy") / "project")

    return copy


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """Give a project of the test's own."""
    return make_project()
