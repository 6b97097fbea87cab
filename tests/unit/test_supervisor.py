"""The supervisor's decisions, with parts that are little scripts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.common.errors import TidegateError
from tidegate.processes.child import Child, spawn
from tidegate.stack import supervisor as stack
from tidegate.stack.restarts import MOST, read_restarts
from tidegate.stack.supervisor import Part, Supervisor

DEADLINE_S = 60.0


class Told(list[str]):
    """What the supervisor says."""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, tmp_path, airflow=False, say=Told().append)
    yield made
    made.stop()


def sleeper(home: Path, script: str = "import time; time.sleep(600)") -> Callable[[], Child]:
    """Return what starts a part that does as a script says."""
    return lambda: spawn(
        "the sleeper", [sys.executable, "-c", script], os.environ, home / "logs" / "sleeper.log"
    )


def answers(child: Child, _: float) -> None:
    if child.poll() is not None:
        raise child.died()


def mended(supervisor: Supervisor, until: Callable[[], bool]) -> TidegateError | None:
    """Let the supervisor mend until something holds; return the fault that it gives up with."""
    deadline = time.monotonic() + DEADLINE_S
    while not until():
        fault = supervisor.mend()
        if fault is not None:
            return fault
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return None


def back(home: Path) -> bool:
    return any(each.back_s is not None for each in read_restarts(home))


def test_a_part_that_was_killed_is_started_again_and_its_log_kept(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    script = "import time; print('last words', flush=True); time.sleep(600)"
    part = Part(sleeper(tmp_path, script), answers)
    first = supervisor._first("s3", part)
    log = tmp_path / "logs" / "sleeper.log"
    while "last words" not in log.read_text():
        time.sleep(0.02)
    os.kill(first.pid, 9)

    assert mended(supervisor, lambda: back(tmp_path)) is None

    second = supervisor._children["s3"]
    assert second.pid != first.pid
    assert second.poll() is None
    (kept,) = read_restarts(tmp_path)
    assert (kept.part, kept.why) == ("the sleeper", "exit status 137 (signal 9)")
    assert kept.words == "last words"
    assert Path(kept.log).read_text().strip() == "last words"


def test_a_part_that_dies_too_often_is_the_fault_that_the_stack_stops_for(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def soon(deaths: list[float]) -> float | None:
        seen.append(len(deaths))
        return None if len(deaths) > MOST else 0.0

    monkeypatch.setattr(stack, "pause", soon)
    supervisor._first("s3", Part(sleeper(tmp_path, "print('no room'); exit(3)"), answers))
    fault = mended(supervisor, lambda: False)
    assert fault is not None
    assert fault.what == "the sleeper stopped by itself"
    assert "no room" in str(fault.got)
    assert f"at most {MOST} times in 10 minutes" in str(fault.expected)
    assert seen == list(range(1, MOST + 2))


def test_a_part_that_the_rest_does_not_need_is_started_again_as_often_as_it_dies(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever may send it queries could end the stack."""
    monkeypatch.setattr(stack, "pause", lambda deaths: None if len(deaths) > 1 else 0.0)
    monkeypatch.setattr(stack, "LONGEST_S", 0.01)
    dying = Part(sleeper(tmp_path, "exit(3)"), answers, vital=False)
    supervisor._first("sql", dying)
    assert mended(supervisor, lambda: len(read_restarts(tmp_path)) > MOST) is None


def test_a_part_that_keeps_silent_after_it_was_started_again_counts_as_dead(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    asked: list[int] = []

    def wait(child: Child, _: float) -> None:
        asked.append(child.pid)
        if len(asked) == 1:
            raise TidegateError("it does not answer", got="nothing")

    first = supervisor._first("s3", Part(sleeper(tmp_path), wait))
    os.kill(first.pid, 9)
    assert mended(supervisor, lambda: back(tmp_path)) is None
    assert [each.why for each in read_restarts(tmp_path)] == [
        "exit status 137 (signal 9)",
        "it did not answer",
    ]
    assert len(set(asked)) == 2
    with pytest.raises(ProcessLookupError):
        os.kill(asked[0], 0)


def test_what_ends_while_the_stack_starts_is_a_fault(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = supervisor._first("s3", Part(sleeper(tmp_path, "exit(3)"), answers))
    deadline = time.monotonic() + DEADLINE_S
    while (fault := supervisor.dead()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "exit status 3" in str(fault.got)
    assert read_restarts(tmp_path) == []
    assert supervisor._children == {"s3": child}


def test_a_part_is_not_started_again_once_the_stack_stops(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "pause", lambda _: 300.0)
    first = supervisor._first("s3", Part(sleeper(tmp_path), answers))
    os.kill(first.pid, 9)
    assert mended(supervisor, lambda: bool(supervisor._reviving)) is None
    coming = supervisor._reviving["s3"]
    supervisor.stop()
    with pytest.raises(stack.Stopped):
        coming.result(DEADLINE_S)
    assert supervisor._children == {"s3": first}
