"""The Spark server: its command line, and its end in the middle of the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.engine.session import session
from tidegate.engine.spark_server import MEMORY, spark_class_path, start_spark
from tidegate.storage.s3 import S3Access


def test_sparks_own_jars_come_before_those_that_they_mend(tmp_path: Path) -> None:
    names = ["datasketches-memory-3.0.2.jar", "spark-catalyst_2.13.jar", "arrow-vector.jar"]
    (tmp_path / "jars").mkdir()
    for name in names:
        (tmp_path / "jars" / name).touch()
    brought = tmp_path / "delta.jar"
    assert [jar.name for jar in spark_class_path([brought], tmp_path)] == [
        "spark-catalyst_2.13.jar",
        "delta.jar",
        "arrow-vector.jar",
        "datasketches-memory-3.0.2.jar",
    ]


@pytest.mark.usefixtures("spark_url")  # it has brought the jars
def test_a_server_that_ends_in_the_middle_of_the_work_is_told(tmp_path: Path) -> None:
    child, url = start_spark(tmp_path, s3=S3Access(), log=tmp_path / "spark.log")
    settings = Settings(
        tmp_path, tmp_path / "home", str(tmp_path / "lake"), spark=url, engine="spark"
    )
    try:
        with (
            pytest.raises(TidegateError, match="ended in the middle of the work") as told,
            session(settings) as spark,
        ):
            assert spark.range(3).count() == 3
            child.stop(0.0)
            spark.range(3).count()
    finally:
        child.stop(0.0)
    assert "running it again" in told.value.describe()
    assert url not in told.value.describe(), "a token is a secret"


@pytest.mark.parametrize(("given", "heap"), [(None, "1500m"), ("3g", "3g")])
def test_a_commands_own_server_has_the_heap_that_is_given(
    given: str | None, heap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MEMORY, raising=False)
    if given is not None:
        monkeypatch.setenv(MEMORY, given)

    def launch(*_: object, memory: str, **__: object) -> None:
        raise TidegateError(f"asked for {memory}")

    monkeypatch.setattr("tidegate.engine.spark_server.launch_spark", launch)
    settings = Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"), engine="spark")
    with pytest.raises(TidegateError, match=f"asked for {heap}$"), session(settings):
        pass
