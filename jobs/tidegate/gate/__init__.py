"""The gate: the only place that knows Great Expectations.

A candidate is SQL that DuckDB runs, on either engine. It is audited by the suite of its table: DuckDB computes the
metrics, each once for all slices, and Great Expectations decides. An exception in a check is a failure of the check.
Where a limit follows from history and too little is known, the expectation is asked without that limit, and what
comes of it is neither met nor failed: it is warming up.
"""

from __future__ import annotations

from tidegate.gate.audit import History, audit, audit_slices
from tidegate.gate.expectations import UNSUPPORTED, faults
from tidegate.gate.gx_patches import preload
from tidegate.gate.results import Result, Status
from tidegate.gate.rows import Rows, Tables

__all__ = [
    "UNSUPPORTED",
    "History",
    "Result",
    "Rows",
    "Status",
    "Tables",
    "audit",
    "audit_slices",
    "faults",
    "preload",
]
