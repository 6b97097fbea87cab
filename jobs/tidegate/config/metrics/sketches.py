"""Theta sketches of users in DuckDB: the functions that read what Spark's `theta_sketch_agg` wrote.

| function | gives |
|---|---|
| `theta_union(BLOB[])` | the sketch of all users that are in any of some sketches |
| `theta_sketch_estimate(BLOB)` | how many users; exact below 4,096 |
| `theta_sketch_standard_error(BLOB)` | its standard error in users; 0 where it is exact |
| `theta_sketch_lower_bound(BLOB, k)`, `theta_sketch_upper_bound(BLOB, k)` | bounds, k = 1, 2 or 3 deviations off |

NULL gives NULL, and a NULL in a list is left out. Both sides are Apache DataSketches with its default seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError

if TYPE_CHECKING:
    import duckdb

LG_ENTRIES = 12
"""Base 2 logarithm of the entries of a sketch, as `theta_sketch_agg` has it by default."""


def union(sketches: Sequence[bytes | None] | None) -> bytes | None:
    """Return the sketch of the users that are in any of some; None where there is no sketch.

    Raises:
        TidegateError: one is no theta sketch.
    """
    there = [each for each in sketches or () if each is not None]
    if not there:
        return None
    if len(there) == 1:
        return bytes(there[0])
    merged = _library().theta_union(LG_ENTRIES)
    for each in there:
        merged.update(_read(each))
    return bytes(merged.get_result().serialize())


def estimate(sketch: bytes | None) -> float | None:
    """Return how many users a sketch has met."""
    return None if sketch is None else float(_read(sketch).get_estimate())


def standard_error(sketch: bytes | None) -> float | None:
    """Return the standard error of the estimate, in users.

    Of n users each is kept with probability theta, so the variance of kept / theta is n (1 - theta) / theta.
    """
    if sketch is None:
        return None
    read = _read(sketch)
    theta = float(read.theta)
    return math.sqrt(read.num_retained * (1 - theta)) / theta


def lower_bound(sketch: bytes | None, deviations: int | None) -> float | None:
    """Return how many users there are at least, so many standard deviations off (1, 2 or 3)."""
    if sketch is None or deviations is None:
        return None
    return float(_read(sketch).get_lower_bound(deviations))


def upper_bound(sketch: bytes | None, deviations: int | None) -> float | None:
    """Return how many users there are at most, so many standard deviations off (1, 2 or 3)."""
    if sketch is None or deviations is None:
        return None
    return float(_read(sketch).get_upper_bound(deviations))


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the functions; the library is loaded when one is called."""
    made: Any = connection.create_function
    for name, (function, arguments, kind) in FUNCTIONS.items():
        made(name, function, arguments, kind, null_handling="special")


FUNCTIONS: Mapping[str, tuple[Callable[..., Any], list[str], str]] = {
    "theta_union": (union, ["BLOB[]"], "BLOB"),
    "theta_sketch_estimate": (estimate, ["BLOB"], "DOUBLE"),
    "theta_sketch_standard_error": (standard_error, ["BLOB"], "DOUBLE"),
    "theta_sketch_lower_bound": (lower_bound, ["BLOB", "INTEGER"], "DOUBLE"),
    "theta_sketch_upper_bound": (upper_bound, ["BLOB", "INTEGER"], "DOUBLE"),
}
"""Name -> function, types of its arguments, type of its result."""


def _read(sketch: bytes) -> Any:
    try:
        return _library().compact_theta_sketch.deserialize(bytes(sketch))
    except (ValueError, RuntimeError, IndexError) as error:
        raise TidegateError(
            "not a theta sketch",
            expected="bytes that theta_sketch_agg made, as daily_activity.users_sketch has them",
            got=f"{len(sketch)} bytes: {error}",
        ) from error


def _library() -> Any:
    try:
        import datasketches  # type: ignore[import-untyped]
    except ImportError as error:
        raise TidegateError(
            "the library that reads sketches is not installed",
            expected="the package datasketches",
            todo="install the versions of requirements.lock",
        ) from error
    return datasketches
