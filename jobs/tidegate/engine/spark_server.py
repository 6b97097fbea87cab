"""Start a Spark Connect server: one JVM on loopback, for the embedded stack or a private one."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.engine import dependencies as bring
from tidegate.engine.aot_cache import find_cache
from tidegate.engine.log_store import LOG_STORE_CONF, log_store_jar
from tidegate.privacy.key import VARIABLE as PII_KEY
from tidegate.processes.child import Child, spawn
from tidegate.processes.private_files import own_folder, write_private
from tidegate.storage.s3 import S3Access

START_S = 120.0
"""Seconds a server may take to start (6 on an idle machine with 2 cores)."""
MEMORY = "TIDEGATE_SPARK_MEMORY"
"""Variable with the largest heap of a server, as Java writes it."""
SCRATCH = "spark.tidegate.scratch"
"""The property that tells clients on the server's machine where they may keep what only they ask for."""
_STARTED = re.compile(r"Spark Connect server started at: .*?:(\d+)")
_LOG4J2 = Path(__file__).with_name("spark_log4j2.properties")
_OPENED = (
    # What Spark's own launcher opens (JavaModuleOptions), less jdk.incubator.vector, which the
    # wheel's Java has not got.
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)


def start_spark(
    home: Path,
    *,
    s3: S3Access,
    log: Path,
    memory: str = "2g",
    cores: str = "*",
    extra_conf: Mapping[str, str] | None = None,
    port: int = 0,
    make_cache: bool = False,
    progress: bring.Progress | None = None,
) -> tuple[Child, str]:
    """Start a Spark Connect server and wait until it answers; it ends with this process.

    Its token is in a file that only the owner can read, S3's keys are in its environment: neither
    is on its command line.

    Args:
        home: the state folder; what the server writes for itself lies in `<home>/spark`.
        s3: how its lake is reached; `S3Access()` for local folders or AWS's own chain.
        log: its log file.
        memory: its largest heap, as Java writes it.
        cores: tasks at a time, or `*` for one a core.
        extra_conf: Spark properties, over those set here.
        port: on loopback; with 0 the system chooses a free one.
        make_cache: whether it makes Java's AOT cache when it is stopped, where there is none yet.
        progress: is told what is downloaded.

    Returns:
        The running server and its address `sc://localhost:PORT/;token=TOKEN`.

    Raises:
        TidegateError: it can't be brought, or ended or kept silent instead of answering.
    """
    child, token = launch_spark(
        home,
        s3=s3,
        log=log,
        memory=memory,
        cores=cores,
        extra_conf=extra_conf,
        port=port,
        make_cache=make_cache,
        progress=progress,
    )
    try:
        return child, wait_for_spark(child, token)
    except BaseException:
        child.stop(0.0)
        raise


def launch_spark(
    home: Path,
    *,
    s3: S3Access,
    log: Path,
    memory: str = "2g",
    cores: str = "*",
    extra_conf: Mapping[str, str] | None = None,
    port: int = 0,
    make_cache: bool = False,
    progress: bring.Progress | None = None,
    token: str | None = None,
) -> tuple[Child, str]:
    """Do as `start_spark` without waiting; return the server and its token.

    A server that takes another one's place is given that one's port and token.
    """
    java, pyspark = bring.java(), pyspark_folder()
    class_path = whole_class_path(home, progress)
    work = work_folder(home)
    token = token or spark_token()
    conf = {
        **_server_conf(work, cores=cores, memory=memory, port=port, token=token),
        **s3_conf(s3),
        **(extra_conf or {}),
    }
    if conf["spark.master"].startswith("local["):  # executors elsewhere have no such folder
        conf[SCRATCH] = str(work / "scratch")
    properties = work / "spark.conf"
    write_private(properties, "".join(f"{key} {value}\n" for key, value in conf.items()))
    cache = find_cache(java, class_path, bring.jars_folder(home), work if make_cache else None)
    log.unlink(missing_ok=True)  # the line that is waited for must be this server's
    child = spawn(
        "the Spark Connect server",
        [
            java,
            f"-Xmx{memory}",
            *java_options(work),
            *cache.options,
            "org.apache.spark.deploy.SparkSubmit",
            "--properties-file",
            properties,
            "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer",
            "spark-internal",
        ],
        {**spark_environment(s3, pyspark), "CLASSPATH": os.pathsep.join(map(str, class_path))},
        log,
        cwd=work,
    )
    child.patience = cache.patience
    child.at_end(lambda: cache.keep(log))
    child.at_end(lambda: shutil.rmtree(work, ignore_errors=True))
    return child, token


def spark_token() -> str:
    """Return a new token that a server is to ask for."""
    return secrets.token_urlsafe(24)


def wait_for_spark(child: Child, token: str, timeout: float = START_S) -> str:
    """Wait until a launched server answers; return its address.

    Raises:
        TidegateError: it ended, or did not answer within `timeout` seconds.
    """

    def look() -> str | None:
        started = _STARTED.search(child.log_text())
        if started and _answers(int(started[1])):
            return f"sc://localhost:{started[1]}/;token={token}"
        return None

    return child.wait_for(look, timeout)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def pyspark_folder() -> Path:
    """Return pyspark's folder without importing it (that takes most of a second)."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None or not (Path(spec.origin).parent / "jars").is_dir():
        raise TidegateError(
            "pyspark is not installed whole",
            where=str(spec.origin if spec else None),
            expected="the package pyspark with its folder of jars",
            todo="install the project's requirements.lock",
        )
    return Path(spec.origin).parent


def spark_class_path(jars: list[Path], pyspark: Path) -> list[Path]:
    """Return the jars in an order that is the same on every machine.

    Spark's own come first: they hold mended copies of others' classes (spark-catalyst has one of
    datasketches-memory, which refuses Java 25).
    """
    shipped = sorted((pyspark / "jars").glob("*.jar"))
    own = [jar for jar in shipped if jar.name.startswith("spark-")]
    return [*own, *jars, *(jar for jar in shipped if jar not in own)]


def whole_class_path(
    home: Path, progress: bring.Progress | None = None, project: Path | None = None
) -> list[Path]:
    """Return the class path of a JVM of Spark's, with the LogStore; what is missing is downloaded or compiled.

    Args:
        home: the state folder.
        progress: is given a line at a time of what is downloaded or compiled.
        project: the folder that holds `infra`; by default `TIDEGATE_PROJECT`, or the checkout.
    """
    sparks = spark_class_path(bring.jars(home, progress), pyspark_folder())
    return [*sparks, log_store_jar(home, sparks, progress, project)]


def work_folder(home: Path) -> Path:
    """Make a server's own folder; clear away those of processes that were killed."""
    folder = home / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    work = own_folder(folder, "server")
    (work / "tmp").mkdir()
    (work / "scratch").mkdir()
    return work


_JIT = {
    # Ten times the defaults. A server of few cores spends a third of its time on compiling with C2 what
    # runs a few thousand times; what loops over rows reaches these numbers in its first second.
    "Tier4InvocationThreshold": 50_000,
    "Tier4MinInvocationThreshold": 6_000,
    "Tier4CompileThreshold": 150_000,
    "Tier4BackEdgeThreshold": 400_000,
}


def java_options(work: Path) -> list[str]:
    """Return the options of a JVM of Spark's, but for its heap; `work` is a folder of its own."""
    return [
        "-XX:+IgnoreUnrecognizedVMOptions",  # Java 17 and 21 don't know all of these
        *(f"-XX:{name}={value}" for name, value in _JIT.items()),
        # Spark makes one method of a whole stage, and Java leaves those of more than 8,000 bytes of code to
        # its interpreter: a dozen columns in a source file are enough for that.
        "-XX:-DontCompileHugeMethods",
        # Of tables whose logs it has read, ten megabytes a lake; without a limit those of all lakes of an hour.
        "-Ddelta.log.cacheSize=64",
        # Spark without memory goes on and answers every query with an error; ended, it is started again.
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+UseParallelGC",  # a heap of 2 GiB: G1's threads cost more than its short pauses are worth
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",  # Java 24 and newer warn without
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.allocator.type=pooled",  # Arrow fails with netty's newer default
        f"-Dlog4j2.configurationFile={_LOG4J2}",
        f"-Djava.io.tmpdir={work / 'tmp'}",  # goes with the server, also after a kill
        "-XX:-UsePerfData",  # its files lie in /tmp and would be left by a kill
        "-Duser.timezone=UTC",
    ]


def _server_conf(work: Path, *, cores: str, memory: str, port: int, token: str) -> dict[str, str]:
    return {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.authenticate.token": token,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(work / "local"),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        # One process on a few cores: the defaults of 200 and 50 are for clusters, and on tables
        # of this size are most of the time.
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
        # INT96, Spark's default, is read wrongly by several other engines.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Some engines that the published tables are for can't read deletion vectors.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
        "spark.sql.maxConcurrentOutputFileWriters": "16",
        # By default a page is a thirty-second of the heap, and whatever is broadcast or sorted takes one, however
        # small it is. What was broadcast lies in memory until Java finds its query gone, which can take an hour.
        "spark.buffer.pageSize": "1m",
    }


def s3_conf(s3: S3Access) -> dict[str, str]:
    """Return the properties by which a JVM of Spark's reaches S3; no key is among them."""
    conf = {
        **LOG_STORE_CONF,
        # The default stream leaks heap in a driver that lives long (HADOOP-20058).
        "spark.hadoop.fs.s3a.input.stream.type": "classic",
        "spark.hadoop.fs.s3a.endpoint.region": s3.region,
    }
    if s3.endpoint is not None:
        conf["spark.hadoop.fs.s3a.endpoint"] = s3.endpoint
        conf["spark.hadoop.fs.s3a.path.style.access"] = "true"
        secure = s3.endpoint.startswith("https://")
        conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(secure).lower()
    if s3.access_key is not None:
        conf["spark.hadoop.fs.s3a.aws.credentials.provider"] = (
            "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
        )
    return conf


def spark_environment(s3: S3Access, pyspark: Path) -> dict[str, str]:
    """Return the environment of a JVM of Spark's, with S3's keys."""
    env = {**os.environ, "SPARK_HOME": str(pyspark), "SPARK_LOCAL_IP": "127.0.0.1"}
    # Executors run the landing kernel: by this Python, which has it.
    env["PYSPARK_PYTHON"] = sys.executable
    for name in ("SPARK_CONF_DIR", "SPARK_REMOTE", "JAVA_TOOL_OPTIONS"):
        env.pop(name, None)  # what another Spark on this machine is told is not for this one
    env.pop(PII_KEY, None)  # jobs bring it along where it is needed, and pages may show variables
    if s3.access_key is not None and s3.secret_key is not None:
        if env.get("AWS_ACCESS_KEY_ID") != s3.access_key:
            env.pop("AWS_SESSION_TOKEN", None)  # belongs to another key
        env["AWS_ACCESS_KEY_ID"] = s3.access_key
        env["AWS_SECRET_ACCESS_KEY"] = s3.secret_key
    return env
