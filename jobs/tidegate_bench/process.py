"""Run a command and measure what it costs: seconds, and the peak memory of all its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tidegate.common.errors import TidegateError
from tidegate.engine.dependencies import jars_folder

_LOOK_S = 0.1
_NEW_S = 1.0
"""What the command has started counts once it has been seen for so long. Java starts others by vfork: until the
child has become another program it shows all of Java's memory as its own."""


@dataclass(frozen=True)
class Ended:
    """A command that ended well.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: of the memory of the command and all that it started, together. A page that processes share
            counts once (the sum of their proportional set sizes).
        output: what it wrote to standard output.
    """

    seconds: float
    peak_bytes: int
    output: str


def run_command(
    command: Sequence[str], given: str = "", environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end.

    Args:
        command: program and arguments.
        given: its standard input.
        environment: variables beside those of this process.

    Raises:
        TidegateError: it did not end with status 0.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.monotonic()
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            text=True,
            start_new_session=True,
        )
        watch = Watch(process.pid)
        try:
            process.communicate(given)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        finally:
            watch.end()
        seconds = time.monotonic() - begun
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise TidegateError(
                "a command that was to be measured failed",
                where=" ".join(command),
                expected="exit status 0",
                got=f"{process.returncode}: {errors.read()[-2000:]}",
            )
        return Ended(seconds, watch.peak, output.read())


def java_cache(home: Path) -> bool:
    """Return whether Spark servers that a command starts find a cache of Java's, with which they start faster.

    Args:
        home: the state folder.
    """
    return any(jars_folder(home).glob("spark-*.aot"))


class Watch:
    """Adds up the memory of a process and its children, from time to time in a thread, until `end`.

    Attributes:
        peak: the most bytes that they had together.

    Args:
        pid: of the process.
        every_s: seconds between looks.
    """

    def __init__(self, pid: int, every_s: float = _LOOK_S) -> None:
        self.peak = 0
        self._seen: dict[int, float] = {}
        self._every_s = every_s
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                started = self._process.children(recursive=True)
            except psutil.Error:
                continue
            now = time.monotonic()
            grown = [
                each for each in started if now - self._seen.setdefault(each.pid, now) >= _NEW_S
            ]
            self.peak = max(self.peak, sum(map(_proportional, [self._process, *grown])))


def _proportional(process: psutil.Process) -> int:
    """Return the memory of a process in bytes. A page that n processes share counts as an n-th of it."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
