"""A suite and its entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tidegate.config.suites.usual import Usual

Severity = Literal["critical", "warning", "info"]
Subject = Literal["rows", "facts"]

QUERY = "unexpected_rows_expectation"
"""The type whose argument is a query: no row may come of it. It may join published tables."""


@dataclass(frozen=True)
class Entry:
    """An expectation of a suite.

    Attributes:
        type: its Great Expectations type.
        args: its arguments; limits may be `Usual`.
        severity: critical holds the slice, warning publishes and tells, info records.
        why: the reason for it, one sentence.
        of: whether it is asked of the candidate's rows or of the facts about it.
        where: the rows that it is asked of, an SQL condition as DuckDB has it; None for all.
        named: what it is called in audits, if not by its type and columns.
        sources: the sources that it is asked of; None for all.
    """

    type: str
    args: Mapping[str, Any]
    severity: Severity
    why: str
    of: Subject = "rows"
    where: str | None = None
    named: str | None = None
    sources: tuple[str, ...] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        out: list[str] = []
        for key, value in self.args.items():
            if key in ("column", "column_A", "column_B"):
                out.append(str(value))
            elif key in ("column_list", "column_set"):
                out.extend(map(str, value))
        return out

    @property
    def name(self) -> str:
        """What it is called in audits: type, the columns that it is about, and which rows."""
        if self.named is not None:
            return self.named
        text = f"{self.type}({', '.join(self.columns)})" if self.columns else self.type
        return f"{text} where {self.where}" if self.where is not None else text

    @property
    def usual(self) -> dict[str, Usual]:
        """The arguments that follow from history."""
        return {key: value for key, value in self.args.items() if isinstance(value, Usual)}

    def with_limits(self, limits: Mapping[str, float]) -> Entry:
        """Return it with numbers in place of usual values."""
        return replace(self, args={**self.args, **limits})


@dataclass(frozen=True)
class Suite:
    """The suite of a table."""

    table: str
    owner: str
    entries: tuple[Entry, ...]
    path: Path = field(compare=False)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides what the suite says."""
        text = json.dumps(
            [
                [e.type, dict(e.args), e.severity, e.of, e.where, e.named, e.sources]
                for e in self.entries
            ],
            sort_keys=True,
            default=repr,  # dates as YAML has them, and usual values
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def entries_for(self, source: str) -> tuple[Entry, ...]:
        """Return what is asked of a source."""
        return tuple(e for e in self.entries if e.sources is None or source in e.sources)
