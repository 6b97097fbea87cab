"""Modules that steps need, imported before they are needed.

A command does so while its Spark server starts, which keeps one core busy.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence

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


def import_ahead(modules: Sequence[str]) -> None:
    """Import modules; what fails is left to who needs it, and fails there."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
