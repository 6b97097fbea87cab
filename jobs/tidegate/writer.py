"""One writing server a lake: who writes a lake says so in it, and nobody else starts a second.

Two drivers that append to one Delta table over S3A can lose a commit while both report success, and on
a local folder Delta's log is guarded within one JVM only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tidegate.errors import TidegateError
from tidegate.settings import Settings

CLAIM = "_writer.json"
"""The object, or file, in which a lake's writer says who it is."""


@contextmanager
def claim(settings: Settings, server: str | None = None) -> Iterator[None]:
    """Hold a lake for the length of the block, as the only one that starts a server to write it.

    Args:
        settings: whose lake.
        server: address of the server that writes it, without its token, if others may use it.

    Raises:
        TidegateError: another process holds it.
    """
    if settings.lake.startswith("s3a://"):
        with _claim_object(settings, server):
            yield
    elif "://" in settings.lake:
        raise TidegateError(
            "this lake needs a Spark server that is named",
            where=settings.lake,
            expected="a lake on S3 or in a local folder, or TIDEGATE_SPARK=sc://… for any other",
            todo="set TIDEGATE_SPARK to the one server that writes this lake",
        )
    else:
        with _claim_file(Path(settings.lake), server):
            yield


def _me(server: str | None) -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "started": process.create_time(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "server": server,
    }


def _is_gone(holder: dict[str, Any]) -> bool:
    """Return whether a holder is known to be dead: a process of this host that ended."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(holder["pid"]).create_time() != holder["started"])
    except psutil.NoSuchProcess:
        return True


def _refusal(lake: str, holder: dict[str, Any]) -> TidegateError:
    server = holder.get("server")
    return TidegateError(
        "another process writes this lake",
        where=lake,
        expected="one writing server a lake: two can lose each other's commits",
        got=f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        + (f", server {server}" if server else ""),
        todo=(
            "use its server: set TIDEGATE_SPARK to its address with its token"
            if server
            else "wait until it ends, then run this again"
        )
        + f"; if that process is gone for good, remove {lake}/{CLAIM}",
    )


@contextmanager
def _claim_file(lake: Path, server: str | None) -> Iterator[None]:
    lake.mkdir(parents=True, exist_ok=True)
    path = lake / CLAIM
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = path.read_text() or "{}"
            raise _refusal(str(lake), json.loads(text)) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_me(server)).encode())
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _claim_object(settings: Settings, server: str | None) -> Iterator[None]:
    from tidegate.dumps import s3_client, s3_error

    bucket, _, prefix = settings.lake.removeprefix("s3a://").partition("/")
    key = f"{prefix}/{CLAIM}" if prefix else CLAIM
    client = s3_client(settings.s3)
    body = json.dumps(_me(server)).encode()
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for _ in range(2):
            try:
                client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
                break
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("PreconditionFailed", "412"):
                    raise
                holder = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
                if not _is_gone(holder):
                    raise _refusal(settings.lake, holder) from error
                client.delete_object(Bucket=bucket, Key=key)
        else:
            raise _refusal(settings.lake, holder)
    except (ClientError, BotoCoreError) as error:
        raise s3_error(error, settings.s3, bucket, "claim the lake", settings.lake) from error
    try:
        yield
    finally:
        client.delete_object(Bucket=bucket, Key=key)
