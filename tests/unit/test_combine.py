"""Tasks that are served together: each gets its own answer, whoever serves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Lock

import pytest

from project import HOUR, NOON
from tidegate.common.errors import HeldError, TidegateError, TryAgainError
from tidegate.orchestration.combine import MOST, Answer, Asked, is_busy, together


def ask(folder: Path, name: str, hour: datetime) -> Path:
    """Leave the question of a task that waits for the lock."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.asked"
    file.write_text(json.dumps({"hour": hour.isoformat(), "run_id": f"run {name}"}))
    return file


def by_hour(asked: Sequence[Asked]) -> dict[datetime, Answer]:
    return {each.hour: f"{each.hour:%H} of {len(asked)}" for each in asked}


def test_who_comes_first_serves_all_that_have_asked(tmp_path: Path) -> None:
    mine = os.getpid()
    served: list[Asked] = []

    def serve(asked: Sequence[Asked]) -> dict[datetime, Answer]:
        served.extend(asked)
        return by_hour(asked)

    for n in (1, 2):
        ask(tmp_path, f"{mine}-{n}", NOON + n * HOUR)
    assert together(tmp_path, Asked(NOON, "mine"), serve) == "12 of 3"
    assert [each.run_id for each in served] == ["mine", f"run {mine}-1", f"run {mine}-2"]
    assert json.loads((tmp_path / f"{mine}-2.answer").read_text()) == {"text": "14 of 3"}
    assert not list(tmp_path.glob("*.asked"))


@pytest.mark.parametrize(
    "error",
    [HeldError("held", where="w", got="g"), TidegateError("broken"), TryAgainError("lost")],
)
def test_an_answer_that_another_has_left_is_taken_and_errors_keep_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: TidegateError
) -> None:
    name = f"{os.getpid()}-1"
    ask(tmp_path, name, NOON)
    monkeypatch.setattr("tidegate.orchestration.combine.secrets.token_hex", lambda _: "0")
    answers: dict[datetime, Answer] = {NOON: error, NOON + HOUR: "well"}
    assert together(tmp_path, Asked(NOON + HOUR, "other"), lambda _: answers) == "well"
    monkeypatch.setattr("tidegate.orchestration.combine.secrets.token_hex", lambda _: "1")
    with pytest.raises(type(error)) as told:
        together(tmp_path, Asked(NOON, "mine"), lambda _: pytest.fail("served twice"))
    assert told.value.describe() == error.describe()
    assert type(told.value) is type(error)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_where_all_together_fail_each_is_served_alone(tmp_path: Path) -> None:
    other = ask(tmp_path, f"{os.getpid()}-1", NOON + HOUR)

    def serve(asked: Sequence[Asked]) -> dict[datetime, Answer]:
        if any(each.hour == NOON + HOUR for each in asked):
            raise TidegateError("an hour that spoils it for all")
        return by_hour(asked)

    assert together(tmp_path, Asked(NOON, "mine"), serve) == "12 of 1"
    assert other.exists()  # and waits for the lock
    with pytest.raises(TidegateError, match="spoils it"):
        together(tmp_path, Asked(NOON + HOUR, "other"), serve)


def test_where_a_connection_was_lost_nobody_is_asked_alone_and_the_others_go_on_by_themselves(
    tmp_path: Path,
) -> None:
    other = ask(tmp_path, f"{os.getpid()}-1", NOON + HOUR)
    asked: list[int] = []

    def serve(hours: Sequence[Asked]) -> dict[datetime, Answer]:
        asked.append(len(hours))
        if len(asked) == 1:
            raise TryAgainError("the Spark server ended in the middle of the work")
        return by_hour(hours)

    with pytest.raises(TryAgainError):
        together(tmp_path, Asked(NOON, "mine"), serve)
    assert asked == [2]
    assert other.exists()  # its task gets the lock next
    assert together(tmp_path, Asked(NOON + 2 * HOUR, "next"), serve) == "14 of 2"


def test_what_dead_tasks_left_is_cleared_away_and_not_served(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ask(tmp_path, f"{dead.pid}-1", NOON + HOUR)
    (tmp_path / f"{dead.pid}-2.answer").write_text("{}")
    assert together(tmp_path, Asked(NOON, "mine"), by_hour) == "12 of 1"
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_nobody_waits_for_more_than_some_others(tmp_path: Path) -> None:
    for n in range(1, 2 * MOST):
        ask(tmp_path, f"{os.getpid()}-{n:03}", NOON + n * HOUR)
    assert together(tmp_path, Asked(NOON, "mine"), by_hour) == f"12 of {MOST}"


def test_of_many_at_once_each_is_served_once_and_gets_its_own_answer(tmp_path: Path) -> None:
    lock, served = Lock(), list[datetime]()

    def serve(asked: Sequence[Asked]) -> dict[datetime, Answer]:
        with lock:
            served.extend(each.hour for each in asked)
        return {each.hour: each.run_id for each in asked}

    def task(n: int) -> str:
        return together(tmp_path, Asked(NOON + n * HOUR, f"run {n}"), serve)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(task, range(64))) == [f"run {n}" for n in range(64)]
    assert sorted(served) == [NOON + n * HOUR for n in range(64)]
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_a_place_is_busy_while_somebody_asks_and_a_while_after(tmp_path: Path) -> None:
    assert not is_busy(tmp_path, 10)
    folder = tmp_path / "publish-web"
    question = ask(folder, f"{os.getpid()}-1", NOON)
    long_ago = time.time() - 60
    os.utime(folder, (long_ago, long_ago))
    assert is_busy(tmp_path, 10)
    question.unlink()
    assert is_busy(tmp_path, 10)  # it has just been
    os.utime(folder, (long_ago, long_ago))
    assert not is_busy(tmp_path, 10)


def test_what_the_dead_have_asked_keeps_no_place_busy(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = tmp_path / "publish-web"
    ask(folder, f"{dead.pid}-1", NOON)
    long_ago = time.time() - 60
    os.utime(folder, (long_ago, long_ago))
    assert not is_busy(tmp_path, 10)
