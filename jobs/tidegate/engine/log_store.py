"""The LogStore by which Spark commits to Delta tables on S3: conditionally, as delta-rs does.

Delta's own for S3 excludes only writers of its own JVM. This one is in `infra/spark`, and is compiled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.engine.dependencies import Progress, jars_folder
from tidegate.engine.scala import compiled, fingerprint, sources_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG_STORE_CONF = {
    "spark.delta.logStore.s3a.impl": "tidegate.ConditionalLogStore",
    # Beside what the LogStore does: a commit that conflicts with itself is recognised by Delta too.
    "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
}
"""The properties of a Spark server that writes a lake on S3."""
_SOURCES = Path("infra") / "spark"
_CLASS = "spark.delta.logStore.s3a.impl"


def log_store_jar(
    home: Path,
    class_path: Sequence[Path],
    progress: Progress | None = None,
    project: Path | None = None,
) -> Path:
    """Return the LogStore's jar; compile it where that was not done with these sources and this Spark.

    Args:
        home: the state folder; the jar is kept beside the jars that are downloaded for Spark.
        class_path: Spark's jars.
        progress: is given a line where it is compiled.
        project: the folder that holds `infra`; by default `TIDEGATE_PROJECT`, or the checkout.

    Raises:
        TidegateError: the sources are not here, or can't be compiled.
    """
    folder = sources_in(_SOURCES, project)
    build = fingerprint(sorted(folder.glob("*.scala")), list(class_path))
    jar = jars_folder(home) / f"logstore-{build}.jar"
    if jar.is_file():
        return jar
    if progress is not None:
        progress("compiling the LogStore of Spark (once)")
    return compiled(folder, list(class_path), jar, home / "logs" / "logstore-build.log")


def check_log_store(spark: SparkSession, server: str) -> None:
    """Refuse a Spark server that would commit to S3 unconditionally.

    Args:
        spark: a session of the server.
        server: its address, without its token.

    Raises:
        TidegateError: the server has another LogStore for `s3a`.
    """
    found = spark.conf.get(_CLASS, None)
    if found == LOG_STORE_CONF[_CLASS]:
        return
    raise TidegateError(
        "this Spark server would lose commits of other processes on S3",
        where=server,
        expected=f"{_CLASS}={LOG_STORE_CONF[_CLASS]}",
        got=found or "Delta's own LogStore, which excludes only writers of its own JVM",
        todo="put logstore-*.jar of .tidegate/jars on the server's class path, and set this property: see 'Who may "
        "write a lake' in infra/README.md",
    )
