"""Who holds a lake in a local folder: one small file a holder, and what is known of whether the holder still lives.

Each holder keeps its file locked; the kernel lets go of it when the process ends, however it ends.
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
from typing import Any

import psutil

from tidegate.lake.storage import storage_error

FOLDER = "_writer"
"""The folder of a lake with a file a holder."""
EXPIRES_AFTER = timedelta(minutes=3)
"""A file that a holder has not finished for so long belongs to a dead one."""
_ENDING_S = 30.0
"""Seconds that the server of a killed command may take to end."""
_TICK_S = 0.1
_ATTEMPTS = 20
_UNFINISHED = ".new"

Holder = dict[str, Any]
"""Who a holder is: `host`, `machine`, `pid`, `started`, `since`, `mode`, `server`, `others`."""


class LocalHolders:
    """The holders of a lake.

    Args:
        lake: the folder.
    """

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
