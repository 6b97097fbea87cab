"""Child processes that can't outlive who started them."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tidegate.common.errors import TidegateError

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")
MARK = "TIDEGATE_MARK"
"""Variable that a child and all it starts have in their environment, to be found by."""
_GUARD = Path(__file__).with_name("guard.py")
_LOGS = 6
"""Logs kept beside the one that is written to: of as many runs as a part may die of in a row."""


@dataclass
class Child:
    """A running command under guard (see `guard`).

    Attributes:
        name: what it is called in messages.
        log_file: where its output goes.
        patience: the grace that it is given for the one that is asked for.
    """

    name: str
    log_file: Path
    _guard: subprocess.Popen[bytes]
    _lifeline: int
    _mark: str
    patience: Callable[[float], float] = field(default=lambda grace: grace)
    _cleanups: list[Callable[[], None]] = field(default_factory=list)
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _grace: float | None = None

    @property
    def pid(self) -> int:
        """Process id of the guard; the command is its child."""
        return self._guard.pid

    def poll(self) -> int | None:
        """Return the exit status if the command has ended (128 + n if by signal n), else None.

        Once it says that the command has ended, nothing of it is running any more.
        """
        status = self._guard.poll()
        if status is None:
            return None
        with self._lock:  # who starts it and who watches it may notice at the same time
            if not self._over:
                self._over = True
                os.close(self._lifeline)
                if status < 0:  # the guard itself was killed, so nobody ended what it guarded
                    _end_all(lambda: [*_marked(self._mark, MARK), *_in_session(self._guard.pid)])
                for cleanup in self._cleanups:
                    cleanup()
        return status if status >= 0 else 128 - status

    def at_end(self, cleanup: Callable[[], None]) -> None:
        """Call `cleanup` once when the end of the command is noticed."""
        self._cleanups.append(cleanup)

    def ask_to_stop(self, grace: float = 10.0) -> None:
        """Ask for the end of the command and all it started (SIGTERM, in `grace` s SIGKILL).

        Without a grace nothing is waited for; another grace than the one asked for may suit the
        child better (`patience`).
        """
        if self._grace is None and self.poll() is None:
            self._grace = self.patience(grace) if grace > 0 else 0.0
            with self._lock, contextlib.suppress(BrokenPipeError):
                if not self._over:
                    os.write(self._lifeline, f"stop {self._grace}\n".encode())

    def stop(self, grace: float = 10.0) -> int:
        """End the command and all it started, wait for that, and return its exit status."""
        self.ask_to_stop(grace)
        try:
            self._guard.wait((self._grace or 0.0) + 10.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        status = self.poll()
        return status if status is not None else 0

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        try:
            size = self.log_file.stat().st_size
            with self.log_file.open("rb") as log:
                log.seek(max(0, size - 64_000))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def ended(self) -> str:
        """Return how it ended, in words."""
        status = self.poll() or 0
        killed = f" (signal {status - 128})" if status > 128 else ""
        return f"exit status {status}{killed}"

    def wait_for(self, look: Callable[[], T | None], timeout: float) -> T:
        """Return what `look` finds, which is asked again until it finds something.

        Args:
            look: for a sign that the command, a server, is listening.
            timeout: seconds.

        Raises:
            TidegateError: it ended, or nothing was found in time.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.poll() is not None:
                raise self.died()
            if (found := look()) is not None:
                return found
            time.sleep(0.1)
        raise TidegateError(
            f"{self.name} does not answer",
            where=str(self.log_file),
            expected=f"to be listening within {timeout:.0f} seconds",
            got=self.log_tail() or "nothing in its log",
            todo="read the log named above; on a machine short of memory, stop other programs",
        )

    def log_text(self) -> str:
        """Return what the command has written so far."""
        try:
            return self.log_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def died(self) -> TidegateError:
        """Return the error that says that this child ended though nobody asked it to."""
        tail = self.log_tail()
        return TidegateError(
            f"{self.name} stopped by itself",
            where=str(self.log_file),
            got=self.ended() + (f"; its last words:\n{tail}" if tail else ""),
            todo="read the log named above; what it complains of is the cause",
        )


def spawn(
    name: str,
    command: Sequence[str | Path],
    env: Mapping[str, str],
    log_file: Path,
    cwd: Path | None = None,
) -> Child:
    """Start a command that ends with this process, however this process ends.

    Args:
        name: what it is called in messages.
        command: program and arguments (no secrets: anybody on the machine can read them).
        env: its whole environment.
        log_file: its output is appended there; only the owner can read it.
        cwd: its working directory.
    """
    mark = secrets.token_hex(8)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    reading, writing = os.pipe()
    try:
        # -P: the guard's own folder, where there are an airflow.py and a spark.py, stays off its
        # path.
        guard = subprocess.Popen(
            [sys.executable, "-P", _GUARD, str(reading), "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**env, MARK: mark},
            cwd=cwd,
            pass_fds=(reading,),
            start_new_session=True,  # a Ctrl-C in the terminal is its parent's to deal with
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
        os.close(log)
    return Child(name=name, log_file=log_file, _guard=guard, _lifeline=writing, _mark=mark)


def rotate(log: Path) -> Path:
    """Put a log aside, as the newest of those kept, so that the next run writes one of its own.

    Returns:
        Where it is kept: `<log>.1`; older ones are `.2` and so on.
    """
    kept = [log.with_name(f"{log.name}.{number}") for number in range(1, _LOGS + 1)]
    if not log.exists():
        return kept[0]
    for older, newer in zip(reversed(kept), [*reversed(kept[:-1]), log], strict=True):
        if newer.exists():
            newer.replace(older)
    return kept[0]


def end_marked(value: str, variable: str = MARK, grace: float = 0.0) -> int:
    """End every process whose environment has `variable` set to `value`; return their number.

    This process and those above it are spared.

    Args:
        value: the mark.
        variable: the variable that holds it.
        grace: seconds between SIGTERM and SIGKILL; with 0 there is no SIGTERM.
    """
    return _end_all(lambda: _marked(value, variable), grace)


def _end_all(find: Callable[[], list[psutil.Process]], grace: float = 0.0) -> int:
    """End what `find` finds until it finds nothing; return how many there were."""
    import psutil

    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    ended: set[int] = set()
    deadline = time.monotonic() + grace
    while found := [process for process in find() if process.pid not in spared]:
        gentle = time.monotonic() < deadline
        for process in found:
            if not gentle or process.pid not in ended:
                ended.add(process.pid)
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGTERM if gentle else signal.SIGKILL)
        psutil.wait_procs(found, timeout=0.2)
    return len(ended)


def _marked(value: str, variable: str) -> list[psutil.Process]:
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(variable) == value
            ):
                found.append(process)
    return found


def _in_session(leader: int) -> list[psutil.Process]:
    """Return the living processes of the session of a guard (which is its leader)."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and os.getsid(process.pid) == leader:
                found.append(process)
    return found
