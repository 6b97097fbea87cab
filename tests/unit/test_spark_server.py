"""The Spark server's command line."""

from __future__ import annotations

from pathlib import Path

from tidegate.stack.spark import _class_path


def test_sparks_own_jars_come_before_those_that_they_mend(tmp_path: Path) -> None:
    names = ["datasketches-memory-3.0.2.jar", "spark-catalyst_2.13.jar", "arrow-vector.jar"]
    (tmp_path / "jars").mkdir()
    for name in names:
        (tmp_path / "jars" / name).touch()
    brought = tmp_path / "delta.jar"
    assert [jar.name for jar in _class_path([brought], tmp_path)] == [
        "spark-catalyst_2.13.jar",
        "delta.jar",
        "arrow-vector.jar",
        "datasketches-memory-3.0.2.jar",
    ]
