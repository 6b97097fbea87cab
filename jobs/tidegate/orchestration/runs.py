"""Runs of other DAGs, as a task may ask Airflow for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_UNDER_WAY = ("queued", "running")


@dataclass(frozen=True)
class Run:
    """A run of a DAG.

    Attributes:
        run_id: its id.
        state: Airflow's word for how it is.
    """

    run_id: str
    state: str

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.state in _UNDER_WAY


def run_of(dag_id: str, logical_date: datetime) -> Run | None:
    """Return the run of a DAG with a logical date, or None.

    Tasks have no access to Airflow's database, and its API for tasks has no question for this; the run
    before the next instant is the one.
    """
    from airflow.sdk.execution_time.comms import GetPreviousDagRun, PreviousDagRunResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    asked = GetPreviousDagRun(
        dag_id=dag_id, logical_date=logical_date + timedelta(microseconds=1), state=None
    )
    answer = SUPERVISOR_COMMS.send(asked)
    if not isinstance(answer, PreviousDagRunResult):
        raise TypeError(f"Airflow answered {asked!r} by {answer!r}")
    found = answer.dag_run
    if found is None or found.logical_date != logical_date:
        return None
    return Run(
        found.run_id, str(found.state.value if hasattr(found.state, "value") else found.state)
    )
