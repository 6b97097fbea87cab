"""One writing server a lake: who writes a lake says so in it, and nobody else starts a second.

Two drivers that append to one Delta table over S3A can lose a commit while both report success, and on
a local folder Delta's log is guarded within one JVM only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tidegate.errors import TidegateError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLAIM = "_writer.json"
"""The object, or file, in which a lake's writer says who it is."""


_ENDING_S = 30.0
"""Seconds that the server of a killed command may take to end."""
_TICK_S = 0.1


@dataclass
class Claim:
    """A lake that is held.

    Attributes:
        write: puts the claim's text into the lake.
        server: address of the server that writes it, without its token, if others may use it.
    """

    write: Callable[[str], None]
    server: str | None
    _others: list[dict[str, Any]] = field(default_factory=list)

    def include(self, pid: int) -> None:
        """Name another process that writes the lake too: the claim holds until it has ended as well."""
        self._others.append(_process(pid))
        self.write(self.text)

    @property
    def text(self) -> str:
        """Who holds the lake, as JSON."""
        return json.dumps(
            {
                "host": socket.gethostname(),
                **_process(os.getpid()),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "server": self.server,
                "others": self._others,
            }
        )


@contextmanager
def claim(settings: Settings, server: str | None = None) -> Iterator[Claim]:
    """Hold a lake for the length of the block, as the only one that starts a server to write it.

    What a killed command has left running is waited for.

    Args:
        settings: whose lake.
        server: address of the server that writes it, without its token, if others may use it.

    Raises:
        TidegateError: another process holds it.
    """
    if settings.lake.startswith("s3a://"):
        with _claim_object(settings, server) as held:
            yield held
    elif "://" in settings.lake:
        raise TidegateError(
            "this lake needs a Spark server that is named",
            where=settings.lake,
            expected="a lake on S3 or in a local folder, or TIDEGATE_SPARK=sc://… for any other",
            todo="set TIDEGATE_SPARK to the one server that writes this lake",
        )
    else:
        with _claim_file(Path(settings.lake), server) as held:
            yield held


def _process(pid: int) -> dict[str, Any]:
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def _lives(process: dict[str, Any]) -> bool:
    try:
        found = psutil.Process(process["pid"])
        return found.create_time() == process["started"] and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_gone(holder: dict[str, Any]) -> bool:
    """Return whether a holder is known to be dead: processes of this host that all ended.

    A command that was killed leaves a server that is about to end by itself: that is waited for.
    """
    if holder.get("host") != socket.gethostname() or _lives(holder):
        return False
    deadline = time.monotonic() + _ENDING_S
    while any(map(_lives, holder.get("others", []))):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
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
def _claim_file(lake: Path, server: str | None) -> Iterator[Claim]:
    lake.mkdir(parents=True, exist_ok=True)
    path = lake / CLAIM
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def write(text: str) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)

    try:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(str(lake), json.loads(path.read_text() or "{}")) from error
        before = json.loads(path.read_text() or "{}")
        if before and before.get("host") == socket.gethostname() and not _is_gone(before):
            raise _refusal(str(lake), before)
        held = Claim(write, server)
        write(held.text)
        try:
            yield held
        finally:
            write("")
    finally:
        os.close(descriptor)


@contextmanager
def _claim_object(settings: Settings, server: str | None) -> Iterator[Claim]:
    from tidegate.dumps import s3_client, s3_error

    bucket, _, prefix = settings.lake.removeprefix("s3a://").partition("/")
    key = f"{prefix}/{CLAIM}" if prefix else CLAIM
    client = s3_client(settings.s3)
    held = Claim(lambda text: _put(client, bucket, key, text), server)
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for _ in range(2):
            try:
                client.put_object(Bucket=bucket, Key=key, Body=held.text.encode(), IfNoneMatch="*")
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
        yield held
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def _put(client: S3Client, bucket: str, key: str, text: str) -> None:
    client.put_object(Bucket=bucket, Key=key, Body=text.encode())
