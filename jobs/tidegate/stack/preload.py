"""Import once, in Airflow's scheduler, what every task would import again.

LocalExecutor forks its workers from the scheduler, and a worker forks its tasks: they inherit
the modules that are loaded already. Importing them costs 5 s a task otherwise.

`<home>/airflow/config/airflow_local_settings.py` calls this; Airflow imports that file when it
starts.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os

VARIABLE = "TIDEGATE_PRELOAD"
"""Set to 1 in the environment of the one process that is to preload."""
MODULES = (
    "great_expectations",
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.functions",
    "pandas",
    "boto3",
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
)


def preload() -> None:
    """Import the modules, if this is the process for it; what fails is left to the task."""
    if os.environ.pop(VARIABLE, None) != "1":
        return
    # It tells what it does not document, hundreds of times, into the log that is set up by now.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
