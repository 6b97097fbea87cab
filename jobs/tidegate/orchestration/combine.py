"""Tasks that want the same step at the same time are served together, by one of them.

A step for four hours costs Spark little more than for one. So a task asks, and whoever gets the lock first
serves all that have asked by then, its own hour among them (flat combining, Hendler et al. 2010). The
others find their answers when the lock comes to them. A server that dies, or loses a connection, lets go of
the lock; who has no answer then serves itself. Tasks on other machines have a folder of their own there,
and meet in the lake.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from tidegate.common.errors import HeldError, TidegateError, TryAgainError

MOST = 24
"""Hours that are served together at most, so that nobody waits long for others."""


@dataclass(frozen=True)
class Asked:
    """What a task asks for.

    Attributes:
        hour: the dump hour.
        run_id: the run that wants it.
    """

    hour: datetime
    run_id: str


Answer = str | TidegateError
"""What became of an hour: a line for people, or the error that its task is to end with."""
Serve = Callable[[Sequence[Asked]], Mapping[datetime, Answer]]


def together(folder: Path, asked: Asked, serve: Serve) -> str:
    """Have an hour served, with others if others ask.

    Args:
        folder: on this machine, one for each step, source and lake.
        asked: what this task wants.
        serve: does the step for several hours; an answer for each.

    Returns:
        The hour's answer.

    Raises:
        TidegateError: the hour's answer is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"
    question, reply = folder / f"{name}.asked", folder / f"{name}.answer"
    _write(question, {"hour": asked.hour.isoformat(), "run_id": asked.run_id})
    try:
        with _alone(folder):
            served = reply.exists()
            answer = _read_answer(reply) if served else _serve_all(folder, question, asked, serve)
            question.unlink(missing_ok=True)  # before anybody else looks who is waiting
    finally:
        question.unlink(missing_ok=True)
        reply.unlink(missing_ok=True)
    if isinstance(answer, TidegateError):
        raise answer
    return answer


def is_busy(parent: Path, lull: float) -> bool:
    """Return whether tasks are being served, or were within the last `lull` seconds, in any folder below one."""
    folders = [each for each in parent.glob("*") if each.is_dir()]
    # Questions and answers come and go as files of it.
    latest = max((each.stat().st_mtime for each in folders), default=0.0)
    return latest > time.time() - lull or any(_waiting(each) for each in folders)


def _serve_all(folder: Path, question: Path, asked: Asked, serve: Serve) -> Answer:
    """Serve all that have asked; return the answer to one's own question."""
    others = [each for each in _waiting(folder) if each != question][: MOST - 1]
    wanted = {each: found for each in others if (found := _read_asked(each)) is not None}
    if wanted:
        try:
            answers = serve([asked, *wanted.values()])
            for each, other in wanted.items():
                _write(each.with_suffix(".answer"), _told(answers[other.hour]))
                each.unlink(missing_ok=True)
            return answers[asked.hour]
        except TryAgainError:  # no hour is to blame: alone it would meet the same
            raise
        except TidegateError:  # one hour may be to blame: each for itself
            pass
    return serve([asked])[asked.hour]


def _waiting(folder: Path) -> list[Path]:
    """Return the questions of living tasks, in an order of their own; what the dead left goes away."""
    living = []
    for file in sorted(folder.glob("*.*")):
        if psutil.pid_exists(int(file.name.partition("-")[0])):
            if file.suffix == ".asked":
                living.append(file)
        else:
            file.unlink(missing_ok=True)
    return living


def _read_asked(file: Path) -> Asked | None:
    try:
        told = json.loads(file.read_text())
    except FileNotFoundError:  # it has been given up meanwhile
        return None
    return Asked(datetime.fromisoformat(told["hour"]), told["run_id"])


_KINDS = {kind.__name__: kind for kind in (TidegateError, HeldError, TryAgainError)}
_PARTS = ("what", "where", "expected", "got", "todo")


def _told(answer: Answer) -> dict[str, object]:
    if isinstance(answer, str):
        return {"text": answer}
    parts = {part: getattr(answer, part) for part in _PARTS}
    return {"kind": type(answer).__name__, "error": parts}


def _read_answer(file: Path) -> Answer:
    told = json.loads(file.read_text())
    if "text" in told:
        return str(told["text"])
    return _KINDS[told["kind"]](told["error"].pop("what"), **told["error"])


def _write(file: Path, told: Mapping[str, object]) -> None:
    scratch = file.with_name(f"{file.name}~")
    scratch.write_text(json.dumps(told))
    scratch.replace(file)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when this process ends."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
