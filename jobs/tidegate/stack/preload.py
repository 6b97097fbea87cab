"""Import what tasks need before they need it, once for all tasks in Airflow's scheduler.

LocalExecutor forks its workers from the scheduler, and
a worker forks its tasks: they inherit the modules that are loaded already. Importing them costs 5 s a
task otherwise. `<home>/airflow/config/airflow_local_settings.py` calls `preload`; Airflow imports that
file when it starts.
"""

from __future__ import annotations

import os

from tidegate import gate
from tidegate.processes.preload import STEPS, import_ahead

VARIABLE = "TIDEGATE_PRELOAD"
"""Set to 1 in the environment of the one process that is to preload."""
TASKS = (
    *STEPS,
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
)


def preload() -> None:
    """Import what tasks need, if this is the process for it."""
    if os.environ.pop(VARIABLE, None) != "1":
        return
    import_ahead(TASKS)
    # Imported in a thread it might still run when a task is forked.
    gate.preload().join()
