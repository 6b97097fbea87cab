"""Results: what an expectation said of a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidegate.config.suites import Severity

Status = Literal["met", "failed", "warming up", "approved"]


@dataclass(frozen=True)
class Result:
    """What an expectation said of a candidate.

    Attributes:
        expectation: its name.
        severity: what its failure comes to.
        status: met; failed; warming up: too little history to say; approved: published knowingly.
        observed: what was found.
        expected: what was asked for.
        why: the reason for it; of an approval the reason that was given.
        metric: what was found as a finite number, if it is one; of expectations of single rows the
            share of rows that are not as expected.
    """

    expectation: str
    severity: Severity
    status: Status
    observed: str
    expected: str
    why: str
    metric: float | None = None

    @property
    def success(self) -> bool | None:
        """Whether it was met; None where it is not known."""
        return {"met": True, "failed": False}.get(self.status)

    @property
    def holds(self) -> bool:
        """Whether it holds the slice."""
        return self.status == "failed" and self.severity == "critical"

    def describe(self) -> str:
        """Return it in one line."""
        return (
            f"{self.expectation}: expected {self.expected}, observed {self.observed} ({self.why})"
        )
