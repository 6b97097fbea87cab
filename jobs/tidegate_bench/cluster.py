"""A standalone Spark cluster on loopback, to measure with: a master, a worker, and a Connect server on it."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.engine import dependencies as bring
from tidegate.engine.spark_server import (
    START_S,
    java_options,
    pyspark_folder,
    spark_environment,
    start_spark,
    whole_class_path,
)
from tidegate.processes.child import Child, spawn
from tidegate.processes.private_files import write_private
from tidegate.storage.s3 import S3Access

_MASTER = re.compile(r"Starting Spark master at (spark://\S+)")
_WORKER = re.compile(r"Successfully registered with master")
_LOG = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy-MM-dd HH:mm:ss} %p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
"""The parts tell of their start by lines of level info."""
_JAVA = """\
#!/bin/sh
# Spark asks for this module; a Java that has it not must not be asked.
for each do
    shift
    [ "$each" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$each"
done
exec "$TIDEGATE_JAVA" "$@"
"""


@contextmanager
def cluster(home: Path, folder: Path, executors: int, memory: str = "1g") -> Iterator[str]:
    """Yield the address of a Connect server whose work is done by executors of one core each.

    The parts know each other by a secret that is in files which only their owner can read.

    Args:
        home: the state folder.
        folder: a scratch folder.
        executors: how many.
        memory: the largest heap of each, as Java writes it; the server itself has 1 GiB.

    Raises:
        TidegateError: a part did not start.
    """
    pyspark = pyspark_folder()
    class_path = os.pathsep.join(map(str, whole_class_path(home)))
    java_home = folder / "java"
    (java_home / "bin").mkdir(parents=True, exist_ok=True)
    wrapper = java_home / "bin" / "java"
    wrapper.write_text(_JAVA)
    wrapper.chmod(0o700)
    shared = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.token_urlsafe(24),
        "spark.master.rest.enabled": "false",
        "spark.ui.enabled": "false",
    }
    log = folder / "log4j2.properties"
    log.write_text(_LOG)
    properties = folder / "cluster.conf"
    write_private(properties, "".join(f"{name} {value}\n" for name, value in shared.items()))
    environment = {
        **spark_environment(S3Access(), pyspark),
        "CLASSPATH": class_path,
        "JAVA_HOME": str(java_home),
        "SPARK_SCALA_VERSION": "2.13",  # else the worker looks for a source tree
        "TIDEGATE_JAVA": str(bring.java()),
    }

    def start(name: str, *arguments: str) -> Child:
        work = folder / name
        (work / "tmp").mkdir(parents=True, exist_ok=True)
        head: list[str | Path] = [bring.java(), "-Xmx256m", *java_options(work)]
        head.append(f"-Dlog4j2.configurationFile={log}")  # of two, Java takes the last
        tail = ["--host", "127.0.0.1", "--webui-port", "0", "--properties-file", str(properties)]
        child = spawn(
            f"Spark's {name}",
            [*head, *arguments[:1], *tail, *arguments[1:]],
            environment,
            folder / f"{name}.log",
            cwd=work,
        )
        own.callback(child.stop, 0.0)
        return child

    with ExitStack() as own:
        master = start("master", "org.apache.spark.deploy.master.Master", "--port", "0")
        address = _wait(master, _MASTER)[1]
        worker = start(
            "worker",
            "org.apache.spark.deploy.worker.Worker",
            *("--cores", str(executors), "--memory", "8g", "--work-dir", str(folder / "work")),
            address,
        )
        _wait(worker, _WORKER)
        server, url = start_spark(
            home,
            s3=S3Access(),
            log=folder / "spark.log",
            memory="1g",
            extra_conf={
                **shared,
                "spark.master": address,
                "spark.cores.max": str(executors),
                "spark.executor.cores": "1",
                "spark.executor.memory": memory,
                "spark.executor.extraClassPath": class_path,
            },
        )
        own.callback(server.stop, 0.0)
        yield url


def _wait(child: Child, sign: re.Pattern[str]) -> re.Match[str]:
    """Return what a part says when it has started."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise child.died()
        found = sign.search(child.log_tail(1000))
        if found:
            return found
        time.sleep(0.1)
    raise TidegateError(
        f"{child.name} does not start",
        where=str(child.log_file),
        expected=f"{sign.pattern!r} within {START_S:.0f} seconds",
        got=child.log_tail() or "nothing in its log",
    )
