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
import logging
import os
from collections.abc import Sequence

VARIABLE = "TIDEGATE_PRELOAD"
"""Set to 1 in the environment of the one process that is to preload."""
STEPS = (
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.functions",
    "great_expectations",
    "pandas",
    "boto3",
    "duckdb",
    "sqlglot",
    "tidegate.query",
    "tidegate.source",
    "tidegate.steps.run",
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


def import_ahead(modules: Sequence[str]) -> None:
    """Import modules; what fails is left to who needs it, and fails there."""
    # It tells what it does not document, hundreds of times, into a log that is set up by now.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
