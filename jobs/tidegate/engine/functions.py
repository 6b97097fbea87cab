"""Functions of SQL that both engines have under one name, beside those of DuckDB's own dialect.

Tables are made by SQL that is written once, in DuckDB's dialect. Spark gets it transpiled by sqlglot, which knows
most functions of both. What it does not know has to be named here: anything else is an error, never passed through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

SKETCH_LG_K = 12
"""Binary logarithm of the entries of a sketch of users: 4,096, which is Spark's default too."""

_MACROS = (
    # Each cut is the first time that lies `longest` or more after the cut before it.
    """session_cuts(times, longest) AS list_reduce(
        list_transform(times, lambda t: [t]),
        lambda cuts, t: CASE WHEN t[1] - cuts[len(cuts)] >= longest THEN list_concat(cuts, t) ELSE cuts END
    )""",
    "theta_sketch_agg(x) AS _theta_sketch(list(DISTINCT x) FILTER (WHERE x IS NOT NULL))",
)

ON_SPARK: Mapping[str, str] = {
    "epoch_us": "unix_micros",
    "hash": "xxhash64",
    "make_timestamptz": "timestamp_micros",
    "session_cuts": "session_cuts",
    "theta_sketch_agg": "theta_sketch_agg",
}
"""What functions are called on Spark that sqlglot does not translate. To `hash` both have another value: it may only
decide which rows are compared, never what is stored."""

SPARK_DEFINITIONS = (
    "CREATE OR REPLACE TEMPORARY FUNCTION session_cuts(times ARRAY<BIGINT>, longest BIGINT) "
    "RETURNS ARRAY<BIGINT> RETURN aggregate(slice(times, 2, size(times)), slice(times, 1, 1), (cuts, t) -> "
    "if(t - element_at(cuts, -1) >= longest, concat(cuts, array(t)), cuts))",
)
"""Statements that define on a Spark session what it has not got."""


def define_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Define on a DuckDB connection, and on those opened from it, what it has not got."""
    import duckdb
    from duckdb.sqltypes import BLOB, VARCHAR

    connection.create_function(  # type: ignore[call-overload]
        "_theta_sketch",
        _sketches,
        [duckdb.list_type(VARCHAR)],
        BLOB,
        type="arrow",
        null_handling="special",
    )
    for macro in _MACROS:
        connection.execute(f"CREATE MACRO {macro}")


def _sketches(groups: Any) -> Any:
    """Return the sketch of each group of different texts, as an Arrow array: the bytes that Spark gives.

    Trimmed and compact, so that the same users give the same bytes in whatever order they come.
    """
    import pyarrow as pa
    from datasketches import update_theta_sketch  # type: ignore[import-untyped]

    sketches = []
    for users in groups.to_pylist():
        sketch = update_theta_sketch(SKETCH_LG_K)
        for user in users or ():
            sketch.update(user)
        sketch.trim()
        sketches.append(sketch.compact().serialize(compress=True))
    return pa.array(sketches, pa.binary())
