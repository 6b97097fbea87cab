"""Where the seconds of a run through Airflow went, by what Airflow and the tasks' logs say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from tidegate.stack.airflow_api import AirflowApi
from tidegate_bench.spark_log import Stretch, merged

_TOOK = re.compile(r"took ([\d.]+) s: (.+)")
_OWN = "task.stdout"
_REST = "until it is seen"
WAIT = "wait"
"""The task that is a trigger: it has no process of its own."""


@dataclass(frozen=True)
class Line:
    """A message of a task's log: when (seconds since the epoch), what, and whether the task itself told it."""

    at: float
    text: str
    own: bool


@dataclass(frozen=True)
class Task:
    """A task that ran; times are seconds since the epoch.

    Attributes:
        name: of the task.
        queued: when it was given to a process; of a trigger, to the triggerer.
        ended: when Airflow knew of its end.
        lines: of its log, those with a time.
    """

    name: str
    queued: float
    ended: float
    lines: Sequence[Line]


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes:
        name: the task and what of it.
        seconds: without those of the stages that it ran beside.
        spark_s: of them, those in which Spark worked on a query.
    """

    name: str
    seconds: float
    spark_s: float


def tasks_of(api: AirflowApi, dag_id: str, run_id: str) -> list[Task]:
    """Return the tasks of a run that have ended, in the order in which they were queued."""
    tasks = []
    for row in api.task_instances(dag_id, run_id):
        if row["end_date"] is None:
            continue
        lines = [
            Line(_seconds(line["timestamp"]), str(line["event"]), line.get("logger") == _OWN)
            for line in api.task_log_lines(dag_id, run_id, row["task_id"])
            if line.get("timestamp")
        ]
        queued = _seconds(row["queued_when"] or row["start_date"])
        tasks.append(Task(row["task_id"], queued, _seconds(row["end_date"]), lines))
    return sorted(tasks, key=lambda task: task.queued)


def timeline(
    tasks: Sequence[Task], begin: float, end: float, busy: Sequence[Stretch] = ()
) -> list[Stage]:
    """Return the stages between two times, in order; their seconds add up to the whole.

    Of stages at the same time, the one that began first counts: what runs beside it costs nothing.

    Args:
        tasks: that ran one after another.
        begin: seconds since the epoch.
        end: likewise.
        busy: when Spark worked on a query.
    """
    spans = list(_spans(tasks, begin))
    told = merged(busy)
    cuts = sorted({begin, end, *(cut for _, span in spans for cut in span if begin < cut < end)})
    seconds: dict[str, float] = {}
    spark: dict[str, float] = {}
    for piece in pairwise(cuts):
        name = next((n for n, (b, e) in spans if b <= piece[0] and piece[1] <= e), _REST)
        seconds[name] = seconds.get(name, 0.0) + piece[1] - piece[0]
        spark[name] = spark.get(name, 0.0) + sum(_overlap(piece, each) for each in told)
    return [Stage(name, seconds[name], spark[name]) for name in seconds]


def process_s(stages: Sequence[Stage]) -> float:
    """Return the seconds of process starts and imports."""
    return sum(s.seconds for s in stages if s.name.endswith((": process start", ": imports")))


def _spans(tasks: Sequence[Task], begin: float) -> Iterator[tuple[str, Stretch]]:
    """Yield named stretches; where several cover a time, the first one counts."""
    coarse: list[tuple[str, Stretch]] = []
    before = begin
    for task in tasks:
        coarse.append((f"{task.name}: scheduling", (before, task.queued)))
        before = task.ended
        if task.name == WAIT:
            coarse += _of_trigger(task)
            continue
        fine = [
            (f"{task.name}: {found[2]}", (line.at - float(found[1]), line.at))
            for line in task.lines
            if line.own and (found := _TOOK.fullmatch(line.text))
        ]
        yield from sorted(fine, key=lambda each: each[1])
        coarse += _of_process(task)
    yield from coarse


def _of_trigger(task: Task) -> list[tuple[str, Stretch]]:
    times = [line.at for line in task.lines] or [task.ended]
    return [
        (f"{task.name}: trigger start", (task.queued, times[0])),
        (f"{task.name}: quiet", (times[0], times[-1])),
        (f"{task.name}: end", (times[-1], task.ended)),
    ]


def _of_process(task: Task) -> list[tuple[str, Stretch]]:
    first = min((line.at for line in task.lines), default=task.ended)
    own = [line.at for line in task.lines if line.own] or [first]
    return [
        (f"{task.name}: process start", (task.queued, first)),
        (f"{task.name}: imports", (first, own[0])),
        (f"{task.name}: other", (own[0], own[-1])),
        (f"{task.name}: end", (own[-1], task.ended)),
    ]


def _overlap(one: Stretch, other: Stretch) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _seconds(text: Any) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
