"""The gate: the only place that knows Great Expectations.

A candidate is audited by the suite of its table. An exception in a check is a failure of the check. Where
a limit follows from history and too little is known, the expectation is asked without that limit, and
what comes of it is neither met nor failed: it is warming up.
"""

from __future__ import annotations

from tidegate.gate.audit import History, Tables, audit, audit_slices
from tidegate.gate.expectations import NOT_ON_SPARK, faults
from tidegate.gate.results import Result, Status

__all__ = [
    "NOT_ON_SPARK",
    "History",
    "Result",
    "Status",
    "Tables",
    "audit",
    "audit_slices",
    "faults",
]
