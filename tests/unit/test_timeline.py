"""Where the seconds of a run went: stages that add up to the whole."""

from __future__ import annotations

import pytest

from tidegate_bench.spark_log import merged
from tidegate_bench.timeline import Line, Task, process_s, timeline

WAIT = Task("wait", 1.0, 4.0, [Line(3.0, "starting", False), Line(3.5, "trigger fired", False)])
LAND = Task(
    "land",
    5.0,
    9.0,
    [
        Line(5.5, "parsed", False),
        Line(6.0, "serving", True),
        Line(8.0, "took 1.500 s: read lines", True),
        Line(8.25, "took 0.750 s: count", True),
        Line(8.5, "landed", True),
        Line(8.75, "done", False),
    ],
)


def test_the_stages_of_a_run_add_up_to_the_whole_and_what_runs_beside_another_costs_nothing() -> (
    None
):
    stages = timeline([WAIT, LAND], 0.0, 8.9, busy=[(6.9, 7.5), (7.0, 8.1)])
    assert {each.name: each.seconds for each in stages} == pytest.approx(
        {
            "wait: scheduling": 1.0,
            "wait: trigger start": 2.0,
            "wait: quiet": 0.5,
            "wait: end": 0.5,
            "land: scheduling": 1.0,
            "land: process start": 0.5,
            "land: imports": 0.5,
            "land: other": 0.75,
            "land: read lines": 1.5,
            "land: count": 0.25,
            "land: end": 0.4,
        }
    )
    assert sum(each.seconds for each in stages) == pytest.approx(8.9)
    assert {each.name: each.spark_s for each in stages if each.spark_s} == pytest.approx(
        {"land: read lines": 1.1, "land: count": 0.1}
    )
    assert process_s(stages) == pytest.approx(1.0)


def test_the_time_after_the_last_task_has_a_stage_of_its_own() -> None:
    [*_, last] = timeline([WAIT], 0.0, 10.0)
    assert (last.name, last.seconds) == ("until it is seen", pytest.approx(6.0))


def test_a_task_without_a_log_is_a_process_start_to_its_end() -> None:
    stages = timeline([Task("land", 1.0, 3.0, [])], 0.0, 3.0)
    assert {each.name: each.seconds for each in stages} == {
        "land: scheduling": 1.0,
        "land: process start": 2.0,
    }


def test_stretches_that_overlap_or_touch_become_one() -> None:
    assert merged([(5.0, 6.0), (1.0, 3.0), (2.0, 2.5), (3.0, 4.0)]) == [(1.0, 4.0), (5.0, 6.0)]
