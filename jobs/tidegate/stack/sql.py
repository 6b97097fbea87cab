"""The SQL server for BI tools: Spark's Thrift server (HiveServer2's protocol) on loopback.

What it is made of is in `infra/sql`, in Scala; it is compiled once, by the compiler among Spark's own jars.
It reads the lake by keys that can do nothing else.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.config.settings import SqlLimits
from tidegate.engine import dependencies as bring
from tidegate.engine.scala import compiled, fingerprint, sources_in
from tidegate.engine.spark_server import (
    java_options,
    pyspark_folder,
    s3_conf,
    spark_class_path,
    spark_environment,
    whole_class_path,
    work_folder,
)
from tidegate.processes.child import Child, spawn
from tidegate.processes.private_files import ANALYST, SqlSecrets, write_private
from tidegate.query.views import spark_views
from tidegate.storage.s3 import S3Access
from tidegate.tables import OPS

HOST = "127.0.0.1"
START_S = 180.0
"""Seconds a server may take to start (6 on an idle machine with 2 cores)."""
_STARTED = "SQL server started at: "
_MAIN = "org.apache.spark.sql.hive.thriftserver.tidegate.SqlServer"
_SOURCES = Path("infra") / "sql"
_LOG4J2 = "log4j2.properties"


@dataclass(frozen=True)
class SqlPlan:
    """What a SQL server is started with, as often as it is.

    Attributes:
        home: the state folder.
        project: the folder that holds `infra`.
        lake: URI or absolute path of the lake.
        port: on loopback.
        secrets: its user's password, and its keys of the storage.
        limits: what it gives.
        s3_endpoint: of the storage; None for a lake in a local folder.
    """

    home: Path
    project: Path
    lake: str
    port: int
    secrets: SqlSecrets
    limits: SqlLimits
    s3_endpoint: str | None = None


def sql_sources(project: Path) -> Path:
    """Return the folder of the server's sources: the project's, else that of the checkout.

    Raises:
        TidegateError: there is none.
    """
    return sources_in(_SOURCES, project)


def build_sql_server(
    home: Path,
    project: Path,
    watch: Callable[[Child], None],
    progress: bring.Progress | None = None,
) -> Path:
    """Return the server's jar; compile it where that was not done with these sources and this Spark.

    Args:
        home: the state folder; the jar is kept beside the jars that are brought for Spark.
        project: the folder that holds `infra`.
        watch: is given the compiler.
        progress: is told what is downloaded or compiled.

    Raises:
        TidegateError: the sources are not here, or can't be compiled.
    """
    folder = sql_sources(project)
    sources = sorted(folder.glob("*.scala"))
    class_path = spark_class_path(bring.jars(home, progress), pyspark_folder())
    jar = bring.jars_folder(home) / f"sql-{fingerprint(sources, class_path)}.jar"
    if jar.is_file():
        return jar
    if progress is not None:
        progress("compiling the SQL server (once)")
    return compiled(folder, class_path, jar, home / "logs" / "sql-build.log", watch)


def launch_sql(plan: SqlPlan, jar: Path) -> Child:
    """Start a SQL server without waiting.

    Its password and its keys are in a file that only the owner can read, and in no environment: SQL has
    ways to ask for that.
    """
    work = work_folder(plan.home)
    told = work / "sql.properties"
    write_private(told, properties(sql_conf(plan, work)))
    class_path = [jar, *whole_class_path(plan.home, project=plan.project)]
    log = plan.home / "logs" / "sql.log"
    log.unlink(missing_ok=True)  # the line that is waited for must be this server's
    quiet = sql_sources(plan.project) / _LOG4J2
    child = spawn(
        "the SQL server",
        [
            bring.java(),
            f"-Xmx{plan.limits.memory}",
            *java_options(work),
            f"-Dlog4j2.configurationFile={quiet}",
            _MAIN,
            told,
        ],
        {
            **clean_environment(spark_environment(S3Access(), pyspark_folder())),
            "CLASSPATH": os.pathsep.join(map(str, class_path)),
        },
        log,
        cwd=work,
    )
    child.at_end(lambda: shutil.rmtree(work, ignore_errors=True))
    return child


def wait_for_sql(child: Child, port: int, timeout: float = START_S) -> None:
    """Wait until a launched server answers.

    Raises:
        TidegateError: it ended, or did not answer within `timeout` seconds.
    """

    def look() -> bool | None:
        if _STARTED not in child.log_text():
            return None
        with socket.create_connection((HOST, port), timeout=5):
            return True

    child.wait_for(look, timeout)


def sql_conf(plan: SqlPlan, work: Path) -> dict[str, str]:
    """Return what a server is told: its own settings, Spark's, Hive's and those of the storage."""
    limits = plan.limits
    seconds = str(max(1, round(limits.timeout.total_seconds())))
    s3 = S3Access(plan.s3_endpoint, plan.secrets.s3_access_key, plan.secrets.s3_secret_key)
    storage = {
        **s3_conf(s3),
        "s3a.access.key": plan.secrets.s3_access_key,
        "s3a.secret.key": plan.secrets.s3_secret_key,
        "s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        # A query of a person's that can't reach the storage is told so in seconds, not in minutes.
        "s3a.attempts.maximum": "3",
    }
    return {
        "lake": plan.lake,
        "port": str(plan.port),
        "user": ANALYST,
        "password": plan.secrets.password,
        "books": ",".join(table.name for table in OPS),
        **{f"view.{name}": told for name, told in spark_views().items()},
        "rows": str(limits.rows),
        "timeout_s": seconds,
        "releases": str(limits.releases),
        "spark.master": "local[*]",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.authenticate": "true",  # who speaks to its own port needs a secret, made at random
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(work / "local"),
        # A part of a result is held in memory as a whole: parts are small, and too large ones an error.
        "spark.driver.maxResultSize": "256m",
        "spark.sql.files.maxPartitionBytes": "16m",
        "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",
        "spark.scheduler.mode": "FAIR",  # a long query does not hold up short ones
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "16",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.thriftServer.incrementalCollect": "true",
        "spark.sql.thriftServer.queryTimeout": seconds,
        "spark.sql.thriftServer.interruptOnCancel": "true",
        "spark.sql.runSQLOnFiles": "false",
        # ${env:NAME} in a statement would show the environment.
        "spark.sql.variable.substitute": "false",
        "hive.server2.thrift.bind.host": HOST,
        "hive.server2.transport.mode": "binary",
        "hive.server2.enable.doAs": "false",
        "hive.server2.logging.operation.enabled": "false",
        "hive.server2.thrift.max.worker.threads": "100",
        "hive.server2.async.exec.threads": "20",
        "hive.server2.session.check.interval": "60000",
        "hive.server2.idle.session.timeout": "28800000",
        "hive.server2.idle.operation.timeout": "3600000",
        "hive.exec.scratchdir": str(work / "tmp" / "hive"),
        "hive.exec.local.scratchdir": str(work / "tmp" / "hive-local"),
        "hive.downloaded.resources.dir": str(work / "tmp" / "hive-resources"),
        **(storage if plan.lake.startswith("s3a://") else {}),
    }


def properties(told: Mapping[str, str]) -> str:
    r"""Return settings as Java reads properties: `\` and ends of lines in values are escaped."""

    def escaped(value: str) -> str:
        value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return "\\" + value if value.startswith((" ", "\t", "\f")) else value

    return "".join(f"{key}={escaped(value)}\n" for key, value in told.items())


def clean_environment(found: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the keys of whoever starts the server, and without settings of Hive's."""
    ours = ("AWS_", "HIVE_", "HADOOP_", "TIDEGATE_SPARK", "AIRFLOW")
    return {name: value for name, value in found.items() if not name.startswith(ours)}
