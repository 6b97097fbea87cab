"""Who holds a lake: one small file, or object, a holder, and what is known of whether the holder still lives.

In a local folder each holder keeps its file locked; the kernel lets go of it when the process ends, however it ends.
On S3 each holder writes its object again and again; one that has grown old belongs to a dead host.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psutil

from tidegate.common.errors import TidegateError
from tidegate.lake.storage import storage_error
from tidegate.storage.s3 import Bucket, S3Access

FOLDER = "_writer"
"""The folder of a lake with a file a holder."""
EXPIRES_AFTER = timedelta(minutes=3)
"""A holder on another host that has not renewed its object for so long is dead."""
_ENDING_S = 30.0
"""Seconds that the server of a killed command may take to end."""
_TICK_S = 0.1
_ATTEMPTS = 20
_UNFINISHED = ".new"
_PROBE = ".probe"

Holder = dict[str, Any]
"""Who a holder is: `host`, `machine`, `pid`, `started`, `since`, `mode`, `server`, `others`."""


class Holders(Protocol):
    """The holders of one lake.

    Attributes:
        needs_renewal: whether a holder has to show from time to time that it lives.
    """

    needs_renewal: bool

    def announce(self, name: str, text: str) -> None:
        """Put the file of a holder of this process there, or replace it."""

    def withdraw(self, name: str) -> None:
        """Take the file of a holder of this process away."""

    def others(self, name: str) -> Iterator[tuple[str, Holder]]:
        """Yield the place and the content of each other living holder's file. Those of dead ones are removed."""

    def renew(self, name: str, text: str) -> None:
        """Show that a holder of this process lives."""


class LocalHolders:
    """The holders of a lake in a local folder.

    Args:
        lake: the folder.
    """

    needs_renewal = False

    def __init__(self, lake: Path) -> None:
        self._folder = lake / FOLDER
        self._descriptors: dict[str, int] = {}

    def announce(self, name: str, text: str) -> None:
        """Put the file of a holder there, locked, or replace what it says."""
        try:
            if name in self._descriptors:
                # In this order the file is never empty: what it says only grows.
                os.pwrite(self._descriptors[name], text.encode(), 0)
                os.ftruncate(self._descriptors[name], len(text.encode()))
            else:
                self._descriptors[name] = self._create(name, text)
        except OSError as error:
            where = str(self._folder)
            raise storage_error(error, "the lake cannot be claimed", where) from error

    def _create(self, name: str, text: str) -> int:
        """Put the locked file of a holder there, and return its descriptor."""
        # Under its name it is locked from the first: a file that is not locked belongs to a dead holder.
        hidden = self._folder / f"{name}{_UNFINISHED}"
        descriptor = self._begin(hidden)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, text.encode(), 0)
            hidden.rename(self._folder / name)
        except OSError:
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise
        return descriptor

    def _begin(self, file: Path) -> int:
        left = _ATTEMPTS
        while True:
            left -= 1
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            except (FileNotFoundError, FileExistsError):
                # The last holder took the folder away in between, or while `mkdir` looked whether it is one.
                if not left:
                    raise

    def withdraw(self, name: str) -> None:
        """Take the file of a holder away."""
        descriptor = self._descriptors.pop(name)
        (self._folder / name).unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # other holders have files in it
            self._folder.rmdir()

    def others(self, name: str) -> Iterator[tuple[str, Holder]]:
        """Yield the path and the content of each other living holder's file."""
        for path in sorted(self._folder.glob("*.json*")):
            if path.name == name:
                continue
            with suppress(FileNotFoundError), path.open() as file:
                holder = _parsed(file.read())
                if path.name.endswith(_UNFINISHED):
                    age_s = time.time() - path.stat().st_mtime
                    is_gone_ = age_s > EXPIRES_AFTER.total_seconds() and _can_lock(file.fileno())
                elif is_gone_ := _can_lock(file.fileno()):
                    is_gone_ = not is_of_this_machine(holder) or is_gone(holder)
                if is_gone_:
                    path.unlink()
                elif not path.name.endswith(_UNFINISHED):
                    yield str(path), holder

    def renew(self, name: str, text: str) -> None:
        """Do nothing: the kernel knows that the holder lives."""


class S3Holders:
    """The holders of a lake on S3.

    Args:
        bucket: of the lake.
        prefix: of the lake in the bucket; empty or without a slash at its end.
        s3: how S3 is reached.
    """

    needs_renewal = True

    def __init__(self, bucket: str, prefix: str, s3: S3Access) -> None:
        self._bucket = Bucket(bucket, s3)
        self._folder = f"{prefix}/{FOLDER}/" if prefix else f"{FOLDER}/"

    def announce(self, name: str, text: str) -> None:
        """Put the object of a holder there, or replace it."""
        self._bucket.put(self._folder + name, text.encode())

    renew = announce

    def withdraw(self, name: str) -> None:
        """Take the object of a holder away."""
        self._bucket.delete(self._folder + name)

    def others(self, name: str) -> Iterator[tuple[str, Holder]]:
        """Yield the URI and the content of each other living holder's object."""
        listing = self._bucket.list(self._folder)
        # The store's own clock, on both sides: those of hosts may differ by minutes.
        now = listing.listed_at
        assert now is not None, "every S3 server dates its responses"
        for item in listing.objects:
            is_expired = now - item.modified >= EXPIRES_AFTER
            if item.key == self._folder + name:
                continue
            if not item.key.endswith(_PROBE):
                text = self._content(item.key)
                if text is None:  # it ended in between
                    continue
                holder = _parsed(text)
                if not (is_gone(holder) if is_of_this_machine(holder) else is_expired):
                    yield f"s3://{self._bucket.name}/{item.key}", holder
                    continue
            elif not is_expired:
                continue
            self._bucket.delete(item.key)

    def check_conditional_writes(self, name: str) -> None:
        """Refuse a store that lets two writers create one object.

        Raises:
            TidegateError: the store does so.
        """
        key = f"{self._folder}{name}{_PROBE}"
        try:
            self._bucket.create(key, b"1")
            is_refused = not self._bucket.create(key, b"2")
        finally:
            self._bucket.delete(key)
        if is_refused:
            return
        raise TidegateError(
            "this S3 server lets two writers create one object",
            where=f"s3://{self._bucket.name}/{key}, at {self._bucket.s3.endpoint or 'AWS S3'}",
            expected="an S3 server that refuses the second PUT with If-None-Match: two processes could lose each "
            "other's commits without it",
            got="two PUTs that both succeeded",
            todo="use a newer version of the S3 server, or --engine spark, whose server writes the lake alone",
        )

    def _content(self, key: str) -> str | None:
        try:
            stream = self._bucket.get(key)
        except FileNotFoundError:
            return None
        with self._bucket.errors("read", key):
            return stream.read().decode()


def this_process() -> Holder:
    """Return who the process is that calls: its host, its machine, its number and its beginning."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        **process_of(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def process_of(pid: int) -> dict[str, Any]:
    """Return the number and the beginning of a process: numbers are used again."""
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def is_of_this_machine(holder: Holder) -> bool:
    """Return whether a holder is a process of this machine, whose processes can be seen from here."""
    return (holder.get("host"), holder.get("machine")) == (socket.gethostname(), _machine())


def is_gone(holder: Holder) -> bool:
    """Return whether a holder is known to be dead: it and its server are processes of this machine that ended.

    A command that was killed leaves a server that is about to end by itself: that is waited for.
    """
    if not holder:  # killed before it wrote who it is
        return True
    if not is_of_this_machine(holder) or _lives(holder):
        return False
    deadline = time.monotonic() + _ENDING_S
    while any(map(_lives, holder.get("others", []))):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


def _lives(process: dict[str, Any]) -> bool:
    try:
        running = psutil.Process(process["pid"])
        return (
            running.create_time() == process["started"] and running.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class _Linux:
    """Where Linux names what process numbers belong to: hosts may have one name, and containers too."""

    boot: Path = Path("/proc/sys/kernel/random/boot_id")
    numbers: Path = Path("/proc/self/ns/pid")


def _machine() -> str:
    """Return what tells apart machines and containers that have one host name."""
    linux = _Linux()
    if not linux.boot.exists():
        return ""
    return f"{linux.boot.read_text().strip()}/{linux.numbers.readlink()}"


def _can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parsed(text: str) -> Holder:
    """Return the content of a holder's file; empty where it is not whole."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
