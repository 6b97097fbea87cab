"""Import what steps need before they need it.

A command does so while its Spark server starts, which keeps one core busy.

Airflow's scheduler does so once for all tasks: LocalExecutor forks its workers from the scheduler, and
a worker forks its tasks: they inherit the modules that are loaded already. Importing them costs 5 s a
task otherwise. `<home>/airflow/config/airflow_local_settings.py` calls `preload`; Airflow imports that
file when it starts.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence

from tidegate import gate

VARIABLE = "TIDEGATE_PRELOAD"
"""Set to 1 in the environment of the one process that is to preload."""
STEPS = (
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.functions",
    "boto3",
    "duckdb",
    "sqlglot",
    "tidegate.query.connect",
    "tidegate.config.source",
    "tidegate.pipeline.run",
)
"""What steps need, the first need first."""
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


def import_ahead(modules: Sequence[str]) -> None:
    """Import modules; what fails is left to who needs it, and fails there."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
