"""Spark sessions: which server computes and writes a lake, and how it is reached."""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tidegate.common.connection_errors import lost
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.config.settings import Settings
from tidegate.engine.failures import s3_lost, short
from tidegate.storage.s3 import is_s3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tidegate.lake.claim import Claim

_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    # JSON keys that differ by case are different keys.
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Small data: Delta's default of 50 partitions for its own state is most of an hour's run.
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.ansi.enabled": "true",
    # A cut file must never pass for a whole one.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # What is staged lies in a place of its own that nothing refers to until it is whole, so it is written
    # there at once: on S3 each rename is a copy.
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.codegen.factoryMode": "FALLBACK",
}

_SECONDS_TO_ANSWER = 30
_RETRIES = 5
"""How often a call is tried again when the connection fails: for some ten seconds."""
_KEEPALIVE = {
    # A server whose machine is gone, or that hangs, would be waited for without an end. Servers refuse
    # clients that ask more often than every five minutes.
    "grpc.keepalive_time_ms": 330_000,
    "grpc.keepalive_timeout_ms": 60_000,
}
_MEMORY = "1500m"
"""Heap of a command's own server: with its Java and the command itself that is less than 3 GB."""
_STOP_S = 10.0
"""Seconds that a server of a command's own may take to end."""


@contextmanager
def session(
    settings: Settings, tell: Callable[[str], None] | None = None
) -> Iterator[SparkSession]:
    """Yield a Spark session on the server that computes and writes the lake.

    That is the server of `settings.spark`, where there is one (a running stack's, or a cluster's);
    else one is started for the length of the block. A lake in a local folder is held by one server alone, together
    with the commands that name it; on S3 any number write it.

    Args:
        settings: whose lake.
        tell: is given a line of progress at a time.

    Raises:
        TryAgainError: no server answers, or it or S3 was lost in the middle of the work.
        TidegateError: another server holds the lake, or this one would commit to S3 unconditionally.
    """
    from tidegate.engine.log_store import check_log_store
    from tidegate.lake.claim import claim

    with ExitStack() as held:
        url = settings.spark
        if url is not None:
            _reachable(url)  # before the lake is claimed in its name
        server = _shown(url) if url is not None else None
        claimed = held.enter_context(claim(settings, "exclusive", server))
        if url is None:
            url = held.enter_context(_private_server(settings, claimed, tell))
        spark = connect(url)
        try:
            if is_s3(settings.lake):
                check_log_store(spark, _shown(url))
            yield spark
        except TidegateError:
            raise
        except Exception as error:
            fault = _cut_off(error, url, settings)
            if fault is None:
                raise
            raise fault from error
        finally:
            if _answers(url):
                spark.stop()


def connect(url: str) -> SparkSession:
    """Return a new session of a Spark Connect server, set up as Tidegate's jobs expect it.

    Args:
        url: `sc://host:port`, with `/;token=…` where the server asks for one.

    Raises:
        TryAgainError: the server does not answer.
        TidegateError: it knows no such token.
    """
    _reachable(url)
    os.environ.setdefault("SPARK_CONNECT_MODE_ENABLED", "1")
    # Errors are raised as well; in a task's log the same one twice, as JSON, only hides it.
    logging.getLogger("pyspark.sql.connect.logging").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pyspark\..*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")  # raised as well
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.core import DefaultChannelBuilder
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    try:
        channel = DefaultChannelBuilder(url, [*_KEEPALIVE.items()])
        # Spark's own annotations know nothing of what its sessions have in common.
        spark = cast("SparkSession", ConnectSession.builder.channelBuilder(channel).create())
        # By default a client waits ten minutes for a server that is gone, and with it the session.
        spark.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=5000)])
        for key, value in _SESSION.items():
            spark.conf.set(key, value)
    except (PySparkException, OSError) as error:
        kind = TidegateError if "UNAUTHENTICATED" in str(error) else TryAgainError
        raise kind(
            "the Spark Connect server refused the session",
            where=_shown(url),
            got=str(error).splitlines()[0],
            todo=f"look at its log, or run: {command('status')}",
        ) from error
    return spark


@contextmanager
def scratch(spark: SparkSession) -> Iterator[Path | None]:
    """Yield a folder on the disk of a session's server, for what only this session asks for.

    It is gone at the end of the block, and after a kill by the next one's beginning. None where the server
    is another machine's, or computes on others.
    """
    from tidegate.engine.spark_server import SCRATCH
    from tidegate.processes.private_files import own_folder

    told = spark.conf.get(SCRATCH, None)
    # Its name is the server's own, made of chance: a folder that is here is the one that is meant.
    if told is None or not os.access(told, os.W_OK):
        yield None
        return
    folder = own_folder(Path(told), "session")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _private_server(
    settings: Settings, claimed: Claim | None, tell: Callable[[str], None] | None
) -> Iterator[str]:
    from tidegate.engine.aot_cache import MAKING
    from tidegate.engine.spark_server import MEMORY, launch_spark, wait_for_spark
    from tidegate.processes.preload import STEPS, import_ahead

    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    child, token = launch_spark(
        settings.home,
        s3=settings.s3,
        log=logs / f"spark-{os.getpid()}.log",
        memory=os.environ.get(MEMORY) or _MEMORY,
        make_cache=True,
        progress=tell,
    )
    try:
        if claimed is not None:
            claimed.include(child.pid)
        import_ahead(STEPS)
        yield wait_for_spark(child, token)
    except BaseException:
        child.stop(0.0)
        raise
    if tell is not None and child.patience(_STOP_S) > _STOP_S:
        tell(MAKING)
    child.stop(_STOP_S)


def _reachable(url: str) -> None:
    """Look whether anything listens there: Spark's own client would go on trying for minutes."""
    import socket

    host, _, port = url.removeprefix("sc://").partition("/")[0].rpartition(":")
    if not host or not port.isdigit():
        host, port = url.removeprefix("sc://").partition("/")[0], "15002"
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise TryAgainError(
            "no Spark server answers",
            where=_shown(url),
            expected="a Spark Connect server",
            got=str(error),
            todo="start it (tidegate up), or unset TIDEGATE_SPARK to let this command start its own",
        ) from error


def _cut_off(error: Exception, url: str, settings: Settings) -> TryAgainError | None:
    """Return the error of work that was cut off by a lost connection; None if it was not."""
    missing = lost(error)
    if missing == "the Spark server" or not _answers(url):
        return TryAgainError(
            "the Spark server ended in the middle of the work",
            where=f"{_shown(url)}, logs in {settings.home / 'logs'}",
            got=_said(error),
            todo="read the end of its log; what was not finished is finished by running it again",
        )
    if missing == "S3":
        return s3_lost(_said(error), settings)
    return None


def _said(error: Exception) -> str:
    """Return what an error of Spark's client or of its connection says, in a line."""
    text = str(error)
    details = re.search(r'details = "([^"]+)', text)
    return details[1] if details else short(error)


def _answers(url: str) -> bool:
    try:
        _reachable(url)
    except TidegateError:
        return False
    return True


def _shown(url: str) -> str:
    """Return an address without its token."""
    return url.partition("/;")[0]
