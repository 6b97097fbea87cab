"""SQL that users write, in DuckDB's dialect: expressions of metrics, conditions and queries of suites.

DuckDB's own parser reads it, so that no second reader can take a text for something else. What is in the tree is
allowed by name: nothing reaches a file, the network, the clock or a table that is not offered.
"""

from __future__ import annotations

from tidegate.user_sql.expressions import Expression, ExpressionError, read_expression
from tidegate.user_sql.functions import FUNCTIONS, ROW_FUNCTIONS
from tidegate.user_sql.queries import BATCH, Query, read_query

__all__ = [
    "BATCH",
    "FUNCTIONS",
    "ROW_FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Query",
    "read_expression",
    "read_query",
]
