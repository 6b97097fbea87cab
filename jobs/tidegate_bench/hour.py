"""Scene `hour`: one more hour on a week of history, from complete dump to release, through a warm Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from tidegate.common.hours import HOUR, hour_text
from tidegate.config.settings import Settings
from tidegate.pipeline.context.run_context import working
from tidegate.pipeline.run import run as run_steps
from tidegate_bench.airflow_lab import DAG, AirflowLab, airflow_lab
from tidegate_bench.lab import spark_session, whole
from tidegate_bench.report import Mark, Outcome, Row
from tidegate_bench.spark_log import Activity
from tidegate_bench.timeline import Stage, process_s, tasks_of, timeline
from tidegate_bench.traffic import Traffic, hour_of

MOST_S = {"duckdb": 8.0, "spark": 12.0}
"""Seconds from complete dump to release that the median hour may take, by engine."""
MOST_PROCESS_S = 10.0
"""Seconds of these that starting processes and importing may take."""
MOST_AUDIT_SHARE = 0.25
"""Share of these that the audits may take."""
_DEADLINE_S = 600.0


@dataclass(frozen=True)
class _Measured:
    """One hour: when it was, in text; its seconds in all, and where they went."""

    hour: str
    seconds: float
    stages: list[Stage]

    @property
    def audit_s(self) -> float:
        """The seconds of its audits."""
        return sum(stage.seconds for stage in self.stages if ": audit" in stage.name)

    @property
    def row(self) -> Row:
        spark = sum(stage.spark_s for stage in self.stages)
        scheduling = sum(s.seconds for s in self.stages if s.name.endswith(": scheduling"))
        return {
            "hour": self.hour,
            "seconds": self.seconds,
            "scheduling_s": scheduling,
            "process_s": process_s(self.stages),
            "spark_s": spark,
            "audit_s": self.audit_s,
        }


def hour(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    history: int,
    history_events: int,
    events: int,
    runs: int,
    block: int,
) -> Outcome:
    """Measure hours that Airflow lands, publishes, derives and releases on a stack of their own.

    The clock runs from the end of the upload, so it holds the second of quiet after which the dump counts
    as complete.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        history: hours published before.
        history_events: of each of them, about.
        events: of a measured hour, about.
        runs: hours that are measured, one after another; one more goes before them to warm up.
        block: hours that are published together to make the history.
    """
    traffic = Traffic(events, 2 * events)
    with airflow_lab(settings, tell) as own:
        _publish_history(own, Traffic(history_events, 2 * events), history, block, tell)
        own.unpause()
        measured = []
        for number in range(history, history + runs + 1):
            measured.append(_measure(own, traffic, number))
            tell(f"{measured[-1].hour} took {measured[-1].seconds:.1f} s")
    found = sorted(measured[1:], key=lambda each: each.seconds)
    middle = found[(len(found) - 1) // 2]
    return Outcome(
        "hour",
        "an hour through a warm Airflow, from complete dump to release",
        {
            "engine": settings.engine,
            "events": events,
            "history_hours": history,
            "history_events": history_events,
            "runs": runs,
            "block": block,
        },
        [each.row for each in measured[1:]],
        [
            Mark(
                "seconds (median)",
                MOST_S[settings.engine],
                median(run.seconds for run in found),
            ),
            Mark(
                "seconds of process starts and imports (median)",
                MOST_PROCESS_S,
                median(process_s(each.stages) for each in found),
            ),
            Mark(
                "audits, as a share of the whole (median)",
                MOST_AUDIT_SHARE,
                median(each.audit_s / each.seconds for each in found),
            ),
        ],
        [*map(_stage_row, middle.stages), _stage_row(_sum(middle.stages))],
    )


def _publish_history(
    own: AirflowLab, traffic: Traffic, length: int, block: int, tell: Callable[[str], None]
) -> None:
    """Publish and release hours, `block` at a time, without Airflow: the tables are the same."""
    for done in range(0, length, block):
        numbers = range(done, min(done + block, length))
        _put(own, traffic, *numbers)
        with working(own.settings) as work:
            whole(run_steps(work, own.source, [hour_of(number) for number in numbers]))
        tell(f"{numbers.stop:,} hours published before")


def _put(own: AirflowLab, traffic: Traffic, *numbers: int) -> None:
    """Make dumps and upload them."""
    for number in numbers:
        file, _ = traffic.write(number, own.folder / "dumps")
        own.put([file])
        file.unlink()


def _measure(own: AirflowLab, traffic: Traffic, number: int) -> _Measured:
    """Upload a dump and have Airflow bring it to a release."""
    file, _ = traffic.write(number, own.folder / "dumps")
    when = hour_of(number)
    with _watched(own) as activity:
        own.put([file])
        begun = time.time()
        run_id = own.api.trigger(DAG, when, interval=HOUR)
        ended = own.wait_for_release([when], _DEADLINE_S)
    own.wait_for_rest(_DEADLINE_S)
    followed = own.api.dag_runs("derive")[-1]["dag_run_id"]
    derive = [each for each in tasks_of(own.api, "derive", followed) if each.name == "derive"]
    tasks = [*tasks_of(own.api, DAG, run_id), *derive]  # the release is made before `report`
    stages = timeline(tasks, begun, ended, activity[0].busy)
    return _Measured(hour_text(when), ended - begun, stages)


@contextmanager
def _watched(own: AirflowLab) -> Iterator[list[Activity]]:
    """Yield a list that has at the end what Spark did meanwhile: nothing, where DuckDB computes the rows."""
    activities: list[Activity] = []
    if own.log is None:
        yield activities
        activities.append(Activity())
        return
    with working(own.settings) as work:
        own.log.since_last(spark_session(work.lake))
    yield activities
    with working(own.settings) as work:
        activities.append(own.log.since_last(spark_session(work.lake)))


def _sum(stages: list[Stage]) -> Stage:
    return Stage("all", sum(each.seconds for each in stages), sum(each.spark_s for each in stages))


def _stage_row(stage: Stage) -> Row:
    return {"stage": stage.name, "seconds": stage.seconds, "spark_s": stage.spark_s}
