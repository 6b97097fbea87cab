"""Functions of SQL that both engines have under one name, beside those of DuckDB's own dialect.

Tables are made by SQL that is written once, in DuckDB's dialect. Spark gets it transpiled by sqlglot, which knows
most functions of both. What it does not know has to be named here: anything else is an error, never passed through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_FLAGS, _SINGLE_ITEM = 5, 0x20
"""Place of the byte of flags in a sketch, and the flag of one that has a single entry (DataSketches' theta format)."""
_SEED_HASH = slice(6, 8)
"""Place of the hash of the seed."""
SKETCH_LG_K = 12
"""Binary logarithm of the entries of a sketch of users: 4,096, which is Spark's default too."""

_MACROS = (
    # Each cut is the first time that lies `longest` or more after the cut before it.
    """session_cuts(times, longest) AS list_reduce(
        list_transform(times, lambda t: [t]),
        lambda cuts, t: CASE WHEN t[1] - cuts[len(cuts)] >= longest THEN list_concat(cuts, t) ELSE cuts END
    )""",
    "counts_by_value(texts) AS map_from_entries(list_sort(map_entries("
    "CAST(list_histogram(texts) AS MAP(VARCHAR, BIGINT)))))",
    "theta_sketch_agg(x) AS _theta_sketch(list(DISTINCT x) FILTER (WHERE x IS NOT NULL))",
)

ON_SPARK: Mapping[str, str] = {
    "counts_by_value": "map_from_entries(array_sort(transform(array_distinct({0}), "
    "v -> struct(v AS key, cast(size(filter({0}, text -> text = v)) AS bigint) AS value))))",
    "epoch_us": "unix_micros({0})",
    "hash": "xxhash64({0})",
    "map_entries": "map_entries({0})",
    "make_timestamptz": "timestamp_micros({0})",
    "session_cuts": "aggregate({0}, cast(array() AS array<bigint>), (cuts, t) -> CASE WHEN size(cuts) = 0 "
    "OR t - element_at(cuts, -1) >= {1} THEN concat(cuts, array(t)) ELSE cuts END)",
    "theta_sketch_agg": "theta_sketch_agg({0})",
    "to_json": "to_json({0})",
}
"""What stands on Spark for functions that sqlglot does not translate, by their arguments. `hash` has another value on
either engine: it may only decide which rows are compared, never what is stored."""


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
        data = bytearray(sketch.compact().serialize(compress=True))
        # The library in Java marks a sketch of one entry, and gives one of none no seed. This one does not.
        if sketch.num_retained == 1:
            data[_FLAGS] |= _SINGLE_ITEM
        elif sketch.is_empty():
            data[_SEED_HASH] = bytes(2)
        sketches.append(bytes(data))
    return pa.array(sketches, pa.binary())
