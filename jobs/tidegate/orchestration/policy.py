"""Live hours come first: what Airflow's scheduler does with the tasks of backfills.

Airflow gives priorities and pools to tasks, not to runs; its cluster policy may change them when a run's
tasks are made. `airflow_local_settings.py` of whoever runs Airflow imports the policy from here (see
`infra/airflow`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

POOL = "backfill"
"""The pool of tasks that land hours of the past, many at a time."""
POOLS: Mapping[str, tuple[int, str]] = {
    # Fewer than Airflow has workers (stack.airflow.PARALLELISM): the others are left for live hours
    # and for `derive`, however long a backfill is.
    POOL: (13, "Tasks of backfills and of reconcile: live hours keep the other workers"),
}
"""Slots and purpose of each pool that must exist: a task of a pool that does not is never started."""
LIVE_WEIGHT = 100
"""Priority of the tasks of live hours; those of the past have 1."""
_PAST = ("backfill", "operator_triggered")
"""Types of runs that come many at once: backfills, and what `reconcile` starts."""


def is_of_past(run_type: str) -> bool:
    """Return whether runs of a type land hours of the past, behind all live ones."""
    return run_type in _PAST  # a member of one of Airflow's two enumerations of them, or its text


def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None = None) -> None:
    """Put the tasks of hours of the past into their pool, behind all live ones (Airflow's cluster policy).

    Args:
        task_instance: of any DAG; only those that land hours are changed.
        dag_run: its run, where Airflow has it at hand.
    """
    if not task_instance.dag_id.startswith("land_"):
        return
    if dag_run is None:
        past = is_of_past(str(task_instance.run_id or "").partition("__")[0])
    else:
        past = is_of_past(dag_run.run_type) or dag_run.backfill_id is not None
    if past:
        task_instance.pool = POOL
        task_instance.priority_weight = 1
