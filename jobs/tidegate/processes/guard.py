"""Run a command so that it, and all it started, ends with whoever asked for it.

    python -P guard.py FD -- COMMAND…

FD is the reading end of a pipe whose writing end only the parent holds. When the parent dies, by
SIGKILL too, the pipe ends, and the guard ends every descendant of the command: by SIGTERM, after
a grace by SIGKILL. A parent that is alive asks for the same by writing `stop SECONDS` and a line
end. When the command exits by itself, what it left running is killed, and the guard exits with
its status (128 + n if signal n ended it).

Orphans can't escape: the guard is a "child subreaper", so whatever loses its parent below becomes
the guard's own child. If the guard itself is killed, the kernel kills the command, and
`process.Child` what that had started.

Standard library only, and psutil when something has to be ended: a guard costs little.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL when the parent is gone and so can't say."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.05


def prctl(option: int, value: int) -> None:
    """Call Linux's prctl; elsewhere do nothing (a killed guard leaves its command then)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def become_subreaper() -> None:
    """Make this process the parent of every orphan among its descendants."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _die_with(parent: int) -> None:
    """In the child, before exec: be killed when the guard dies, also if it did just now."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Guard:
    """One command under guard."""

    def __init__(self, lifeline: int, command: list[str]) -> None:
        self.lifeline = lifeline
        self.command = command
        self.status: int | None = None
        self.pid = 0

    def run(self) -> int:
        """Start the command and wait for its end or for the parent's; return the exit status."""
        become_subreaper()
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        stopping = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in (signal.SIGCHLD, *stopping):
            signal.signal(number, lambda *_: None)
        guard = os.getpid()
        try:
            child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                process_group=0,  # its session stays the guard's: what it leaves is known by that
                preexec_fn=lambda: _die_with(guard),
            )
        except OSError as error:
            sys.stderr.write(f"guard: can't start {self.command[0]}: {error}\n")
            return 127
        self.pid = child.pid
        grace = self._watch(woken, {int(number) for number in stopping})
        child.returncode = 0  # the guard reaps by itself: Popen must not wait for it again
        self.end_all(grace)
        return self.status if self.status is not None else 0

    def _watch(self, woken: int, stopping: set[int]) -> float:
        """Wait; return the grace in seconds that the descendants have when the waiting is over."""
        told = b""
        while True:
            self.reap()
            if self.status is not None:
                return 0.0
            ready, _, _ = select.select([self.lifeline, woken], [], [])
            if woken in ready and stopping & set(os.read(woken, 512)):
                return GRACE_S
            if self.lifeline in ready:
                said = os.read(self.lifeline, 64)
                told += said
                if not said or b"\n" in told:
                    return _grace(told)

    def reap(self) -> bool:
        """Collect the dead; return whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code

    def end_all(self, grace: float) -> None:
        """End every descendant: SIGTERM, after `grace` seconds SIGKILL, until none is left."""
        if not self.reap():
            return
        if grace > 0:
            _signal_descendants(signal.SIGTERM)
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline:
                if not self.reap():
                    return
                time.sleep(_POLL_S)
        while self.reap():  # again and again: a descendant may start another meanwhile
            _signal_descendants(signal.SIGKILL)
            time.sleep(_POLL_S)


def _grace(told: bytes) -> float:
    """Return the seconds in `stop SECONDS`, or the default if the parent died without a word."""
    with contextlib.suppress(ValueError, IndexError):
        return float(told.split()[1])
    return GRACE_S


def _signal_descendants(number: int) -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def main(arguments: list[str]) -> int:
    """Run `FD -- COMMAND…`; return the exit status."""
    if len(arguments) < 3 or arguments[1] != "--" or not arguments[0].isdigit():
        sys.stderr.write("usage: guard.py FD -- COMMAND…\n")
        return 2
    os.set_inheritable(int(arguments[0]), False)
    return Guard(int(arguments[0]), arguments[2:]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
