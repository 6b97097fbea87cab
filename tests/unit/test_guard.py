"""Nothing that was started under a guard outlives what started it, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tidegate.processes.child import Child, spawn

DEADLINE_S = 30.0

# A command with a child in its session, and one that daemonized into a session of its own and
# lost its parent. It writes their three process ids, then ignores SIGTERM.
FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleeper)
orphan = subprocess.run(
    [sys.executable, "-c", "import subprocess, sys; print(subprocess.Popen("
     f"{sleeper!r}, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)"],
    capture_output=True, text=True, check=True,
).stdout
with open(sys.argv[1] + ".tmp", "w") as out:
    out.write(f"{os.getpid()} {child.pid} {orphan}")
os.replace(sys.argv[1] + ".tmp", sys.argv[1])
time.sleep(600)
"""


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until something holds; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(file: Path) -> list[int]:
    """Return the three process ids once the command has written them; all of them live."""
    wait_until(file.exists, "the command has started its family")
    pids = [int(word) for word in file.read_text().split()]
    assert len(pids) == 3
    assert all(lives(pid) for pid in pids)
    return pids


def wait_for_the_end_of(pids: list[int]) -> None:
    wait_until(lambda: not any(lives(pid) for pid in pids), f"the end of {pids}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start a command under guard; whatever a failed test leaves is killed."""
    started: list[Child] = []

    def begin(*command: str) -> Child:
        child = spawn("a test", [sys.executable, *command], os.environ, tmp_path / "test.log")
        started.append(child)
        return child

    yield begin
    for child in started:
        child.stop(0.0)


def test_stop_ends_what_ignores_sigterm_and_what_lost_its_parent(
    start: Callable[..., Child], tmp_path: Path
) -> None:
    child = start("-c", FAMILY, str(tmp_path / "pids"))
    pids = family(tmp_path / "pids")

    status = child.stop(0.2)

    assert status == 128 + signal.SIGKILL
    assert not any(lives(pid) for pid in pids)


def test_a_command_that_ends_takes_what_it_started_with_it_and_its_status_is_told(
    start: Callable[..., Child], tmp_path: Path
) -> None:
    ending = FAMILY.replace("time.sleep(600)\n", "sys.exit(7)\n")
    assert ending != FAMILY

    child = start("-c", ending, str(tmp_path / "pids"))
    wait_until(lambda: child.poll() is not None, "the command has ended")

    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert child.poll() == 7
    assert not any(lives(pid) for pid in pids)


def test_a_command_killed_by_a_signal_takes_what_it_started_with_it(
    start: Callable[..., Child], tmp_path: Path
) -> None:
    child = start("-c", FAMILY, str(tmp_path / "pids"))
    pids = family(tmp_path / "pids")

    os.kill(pids[0], signal.SIGKILL)

    wait_until(lambda: child.poll() is not None, "the end of the command is noticed")
    assert child.poll() == 128 + signal.SIGKILL
    assert not any(lives(pid) for pid in pids)


def test_a_guard_that_is_killed_leaves_nothing_running(
    start: Callable[..., Child], tmp_path: Path
) -> None:
    child = start("-c", FAMILY, str(tmp_path / "pids"))
    pids = family(tmp_path / "pids")

    os.kill(child.pid, signal.SIGKILL)

    wait_until(lambda: child.poll() is not None, "the end of the guard is noticed")
    assert not any(lives(pid) for pid in pids)


def test_a_parent_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time; from pathlib import Path; "
            "from tidegate.processes.child import spawn; "
            "child = spawn('a test', [sys.executable, '-c', sys.argv[1], sys.argv[2]], os.environ,"
            " Path(sys.argv[2] + '.log')); time.sleep(600)",
            FAMILY,
            str(tmp_path / "pids"),
        ]
    )
    try:
        pids = family(tmp_path / "pids")
        guards = [child.pid for child in psutil.Process(parent.pid).children()]
        assert len(guards) == 1
    finally:
        parent.kill()
        parent.wait()

    wait_for_the_end_of([*pids, *guards])


def test_a_command_that_does_not_exist_is_told_in_its_log(tmp_path: Path) -> None:
    child = spawn("a test", ["/no/such/program"], os.environ, tmp_path / "test.log")
    wait_until(lambda: child.poll() is not None, "the guard gives up")

    assert child.poll() == 127
    assert "/no/such/program" in child.log_tail()
    assert "a test stopped by itself" in str(child.died())


def test_the_log_can_be_read_by_its_owner_only(start: Callable[..., Child], tmp_path: Path) -> None:
    start("-c", "print('hello')").stop()

    assert (tmp_path / "test.log").stat().st_mode & 0o777 == 0o600


def test_cleanups_run_once_when_the_end_is_noticed(start: Callable[..., Child]) -> None:
    child = start("-c", "import time; time.sleep(600)")
    calls: list[str] = []
    child.at_end(lambda: calls.append("cleaned"))

    child.stop(0.0)
    child.stop(0.0)

    assert calls == ["cleaned"]
    with contextlib.suppress(psutil.NoSuchProcess):
        assert not lives(child.pid)
