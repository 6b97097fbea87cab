"""What a process keeps for itself on a disk, its own or its server's, and that nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tidegate.config.settings import Settings
from tidegate.engine import session
from tidegate.engine.spark_server import SCRATCH
from tidegate.engine.start import lake_on, open_lake
from tidegate.processes.private_files import own_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


TWO_ROWS = "SELECT unnest([1, 2]) AS n"


def _server(told: str | None) -> SparkSession:
    """Return what stands for a session of a server that tells this folder."""
    conf = SimpleNamespace(get=lambda key, default=None: told if key == SCRATCH else default)
    return cast("SparkSession", SimpleNamespace(conf=conf))


def test_a_session_has_a_folder_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    with (
        session.scratch(_server(str(tmp_path))) as mine,
        session.scratch(_server(str(tmp_path))) as other,
    ):
        assert mine is not None
        assert other is not None
        assert mine != other
        assert {mine.parent, other.parent} == {tmp_path}
        assert mine.stat().st_mode & 0o777 == 0o700
        (mine / "rows").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), session.scratch(_server(str(tmp_path))):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", [None, "/no/such/folder"])
def test_a_server_that_is_elsewhere_gives_none(told: str | None) -> None:
    with session.scratch(_server(told)) as folder:
        assert folder is None


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    killed = tmp_path / f"session-{child.stdout.strip()}-abc"
    killed.mkdir()
    alive = tmp_path / f"session-{os.getppid()}-abc"
    alive.mkdir()
    made = own_folder(tmp_path, "session")
    assert set(tmp_path.iterdir()) == {alive, made}


def test_the_server_of_the_tests_names_its_scratch_folder_and_reads_what_is_there(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "lake").mkdir()
    with session.scratch(spark) as folder:
        assert folder is not None
        lake = lake_on(str(tmp_path / "lake"), scratch=folder, spark=spark)
        place = lake.own(lake.staging("x", "y"))
        assert place == str(folder / "staging" / "x" / "y")
        kept = lake.select(TWO_ROWS, place, {"n": "bigint"})
        assert lake.look("SELECT sum(n) AS n FROM {kept}", kept=kept) == [{"n": 3}]
        assert list(Path(lake.root).iterdir()) == []
        built = lake.build("SELECT n + 1 AS n FROM {kept}", place + "2", {"n": "bigint"}, kept=kept)
        assert lake.look("SELECT sum(n) AS n FROM {built}", built=built) == [{"n": 5}]
        assert list(Path(lake.root).iterdir()) == []
        stays = lake.build(
            "SELECT * FROM {kept}", lake.staging("x", "z"), {"n": "bigint"}, kept=kept
        )
        assert lake.look("SELECT count(*) AS n FROM {stays}", stays=stays) == [{"n": 2}]
        assert [path.name for path in Path(lake.root).iterdir()] == ["staging"]
        lake.close()
    assert not folder.exists()


def test_without_one_rows_are_kept_under_staging(tmp_path: Path) -> None:
    lake = lake_on(str(tmp_path / "lake"))
    (tmp_path / "lake" / "staging" / "x").mkdir(parents=True)
    kept = lake.select(TWO_ROWS, lake.own(lake.staging("x")), {"n": "bigint"})
    assert kept.place == lake.staging("x")
    assert lake.look("SELECT sum(n) AS n FROM {kept}", kept=kept) == [{"n": 3}]


def test_a_process_that_computes_itself_has_a_folder_that_goes_with_it(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"), engine="duckdb")
    with open_lake(settings) as lake, open_lake(settings) as other:
        assert lake.scratch is not None
        assert other.scratch is not None
        assert lake.scratch != other.scratch
        assert lake.scratch.parent == tmp_path / "home" / "scratch"
        place = lake.own(lake.staging("x"))
        lake.select(TWO_ROWS, place, {"n": "bigint"})
        assert list(Path(place).iterdir()) != []
    assert list((tmp_path / "home" / "scratch").iterdir()) == []
