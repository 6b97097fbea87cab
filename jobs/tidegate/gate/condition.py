"""A condition: which rows an expectation of single rows does not expect, in DuckDB's SQL.

A row is unexpected where its condition is true, so that one that is NULL is not: what Great Expectations does on
its SQL engines and on Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.gate.predicates import Predicate
from tidegate.gate.rows import Column

ROW = '"__row"'
"""The place of a row among those that the candidate's query gives."""


@dataclass(frozen=True)
class Condition:
    """Which rows are not expected.

    Attributes:
        columns: those that are read; their values are shown of unexpected rows.
        unexpected: SQL that is true for an unexpected row; empty where `predicate` decides.
        considered: SQL that is true for rows that are looked at.
        together: whether a row is unexpected where another of its slice has the same values.
        windows: further columns, of windows over the rows considered.
        statistics: further columns, aggregates of the rows considered of a slice.
        predicate: says in Python of a value whether it is expected.
    """

    columns: tuple[Column, ...]
    unexpected: str = ""
    considered: str = "TRUE"
    together: bool = False
    windows: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    predicate: Predicate | None = None

    @property
    def is_of_one_row(self) -> bool:
        """Whether a row alone says whether it is expected."""
        return not (self.together or self.windows or self.statistics or self.predicate)
