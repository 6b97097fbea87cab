"""What an expectation asks of a candidate: a metric by the name that Great Expectations gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.gate.rows import Candidate, Column

Key = tuple[str, str | None, str, str]


@dataclass(frozen=True)
class Metric:
    """A metric that an expectation needs.

    Attributes:
        name: as Great Expectations names it.
        domain: the columns that it is about, and which rows are left out.
        values: its parameters.
        where: the rows that it is asked of, an SQL condition; None for all.
        exact: parameters that Great Expectations made floats of, as the suite has them.
    """

    name: str
    domain: Mapping[str, Any]
    values: Mapping[str, Any]
    where: str | None = None
    exact: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What it has in common with metrics of the same value."""
        values = {k: v for k, v in self.values.items() if k != "result_format"}
        return (
            self.name,
            self.where,
            repr(sorted((k, repr(v)) for k, v in self.domain.items() if v is not None)),
            repr(sorted((k, repr(v)) for k, v in {**values, **self.exact}.items())),
        )

    def value(self, name: str, default: Any = None) -> Any:
        """Return a parameter, with every digit that the suite gives it."""
        found = self.exact.get(name, self.values.get(name))
        return default if found is None else found


# fmt: off
_DOMAIN = frozenset(
    [
        "batch_id", "table", "column", "column_A", "column_B", "column_list", "row_condition",
        "condition_parser", "ignore_row_if",
    ]
)
# fmt: on


@dataclass(frozen=True)
class Question:
    """A metric that is asked of a candidate.

    Raises:
        NotImplementedError: it is about something else than the candidate's rows.
    """

    metric: Metric
    candidate: Candidate

    def __post_init__(self) -> None:
        if self.metric.domain.get("table") is not None:
            raise NotImplementedError(f"{self.metric.name} of another table is not known here")
        if unknown := self.metric.domain.keys() - _DOMAIN:
            raise NotImplementedError(
                f"{self.metric.name} of {', '.join(sorted(unknown))} is not known here"
            )

    def column(self, key: str = "column") -> Column:
        """Return a column that it is about.

        Raises:
            ValueError: the candidate has none of that name.
        """
        return self.candidate.column(str(self.metric.domain[key]))

    @property
    def columns(self) -> list[Column]:
        """The columns of a list that it is about."""
        return [self.candidate.column(str(name)) for name in self.metric.domain["column_list"]]

    def number(self) -> Column:
        """Return the column that it is about.

        Raises:
            TypeError: that has no numbers.
        """
        column = self.column()
        if not column.is_number:
            raise TypeError(
                f"expected a column of numbers, got {column.name} of type {column.type}"
            )
        return column
