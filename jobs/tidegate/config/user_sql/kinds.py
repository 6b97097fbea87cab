"""Kinds of SQL that users write, and what each of them may use."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.config.user_sql.functions import AGGREGATES, LAMBDA_FUNCTIONS, SCALARS, SUITE_SCALARS


@dataclass(frozen=True)
class Kind:
    """What SQL of one kind may use.

    Attributes:
        functions: those that it may call.
        reason: why it may call no others.
        has_members: whether it may read members of objects (`a.b`).
        is_query: whether it is a query, which may read tables, compute over rows and cast to any nested type.
    """

    functions: frozenset[str]
    reason: str
    has_members: bool = False
    is_query: bool = False


METRIC = Kind(SCALARS, "an expression sees one row")
"""Expressions of metrics: one value of one row of a table."""
CONDITION = Kind(SCALARS | SUITE_SCALARS | LAMBDA_FUNCTIONS, "an expression sees one row")
"""Conditions of suites (`where`)."""
LINE = Kind(
    SCALARS | LAMBDA_FUNCTIONS,
    "the tables must be a function of the dumps, line by line",
    has_members=True,
)
"""Expressions of source files: one value of one line."""
QUERY = Kind(
    SCALARS | SUITE_SCALARS | LAMBDA_FUNCTIONS | AGGREGATES,
    "a query of a suite calls functions of a list",
    has_members=True,
    is_query=True,
)
"""Queries of suites."""
