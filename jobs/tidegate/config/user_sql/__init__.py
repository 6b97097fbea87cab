"""SQL that users write, in DuckDB's dialect: fields of sources, metrics, conditions and queries of suites.

DuckDB's own parser reads it, so that no second reader can take a text for something else. What is in the tree is
allowed by name: nothing reaches a file, the network, the clock or a table that is not offered. `kinds` says what
each kind of SQL may use.
"""

from __future__ import annotations

from tidegate.config.user_sql.expressions import Expression, read_expression
from tidegate.config.user_sql.kinds import CONDITION, LINE, METRIC, QUERY, Kind
from tidegate.config.user_sql.queries import BATCH, Query, read_query
from tidegate.config.user_sql.syntax import ExpressionError

__all__ = [
    "BATCH",
    "CONDITION",
    "LINE",
    "METRIC",
    "QUERY",
    "Expression",
    "ExpressionError",
    "Kind",
    "Query",
    "read_expression",
    "read_query",
]
