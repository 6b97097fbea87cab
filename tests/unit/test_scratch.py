"""What a session keeps for itself on the disk of its server, and that nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tidegate import engine
from tidegate.lake import Lake
from tidegate.stack.private import own_folder
from tidegate.stack.spark import SCRATCH

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def _server(told: str | None) -> SparkSession:
    """Return what stands for a session of a server that tells this folder."""
    conf = SimpleNamespace(get=lambda key, default=None: told if key == SCRATCH else default)
    return cast("SparkSession", SimpleNamespace(conf=conf))


def test_a_session_has_a_folder_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    with (
        engine.scratch(_server(str(tmp_path))) as mine,
        engine.scratch(_server(str(tmp_path))) as other,
    ):
        assert mine is not None
        assert other is not None
        assert mine != other
        assert {mine.parent, other.parent} == {tmp_path}
        assert mine.stat().st_mode & 0o777 == 0o700
        (mine / "rows").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), engine.scratch(_server(str(tmp_path))):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", [None, "/no/such/folder"])
def test_a_server_that_is_elsewhere_gives_none(told: str | None) -> None:
    with engine.scratch(_server(told)) as folder:
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


def test_the_server_of_the_tests_tells_its_scratch_folder(
    spark: SparkSession, tmp_path: Path
) -> None:
    with engine.scratch(spark) as folder:
        assert folder is not None
        (tmp_path / "lake").mkdir()
        lake = Lake(spark, str(tmp_path / "lake"), scratch=folder)
        kept = lake.keep(
            lake.frame([{"n": 1}, {"n": 2}], "n bigint"), lake.staging("x", "y"), "n bigint"
        )
        assert kept.place == str(folder / "staging" / "x" / "y")
        assert lake.look("SELECT sum(n) AS n FROM {kept}", kept=kept.place) == [{"n": 3}]
        assert sorted(row["n"] for row in kept.rows.collect()) == [1, 2]
        assert list(Path(lake.root).iterdir()) == []
        stays = lake.keep(kept.rows, lake.staging("x", "z"), "n bigint", lasting=True)
        assert stays.place == lake.staging("x", "z")
        assert lake.look("SELECT count(*) AS n FROM {stays}", stays=stays.place) == [{"n": 2}]
    assert not folder.exists()


def test_without_one_rows_are_kept_under_staging(lake_without: Any) -> None:
    kept = lake_without.keep(
        lake_without.frame([{"n": 1}], "n bigint"), lake_without.staging("x"), "n bigint"
    )
    assert kept.place == lake_without.staging("x")


@pytest.fixture
def lake_without(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))
