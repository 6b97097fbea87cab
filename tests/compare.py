"""Compare rows, and say side by side in what they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Row = dict[str, Any]


def exact_rows(frame: DataFrame) -> list[Row]:
    """Return a DataFrame as Python rows that can be compared, in an order of their own.

    Timestamps are text with all their microseconds, decimals are text, bytes are hex, maps dicts.
    """
    from pyspark.sql import functions as F

    shown = []
    for name, kind in frame.dtypes:
        column = F.col(f"`{name}`")
        if kind == "timestamp":
            column = column.cast("string")
        elif kind == "array<timestamp>":
            column = column.cast("array<string>")
        elif kind.startswith("decimal"):
            column = column.cast("string")
        elif kind == "binary":
            column = F.hex(column)
        shown.append(column.alias(name))
    packed = frame.select(F.to_json(F.struct(*shown), {"ignoreNullFields": "false"}).alias("v"))
    return sorted((json.loads(row["v"]) for row in packed.collect()), key=_text)


def assert_same_rows(
    got: Iterable[Mapping[str, Any]], expected: Iterable[Mapping[str, Any]], key: Sequence[str]
) -> None:
    """Fail with a table of differences unless both hold the same rows, in any order.

    Args:
        got: rows.
        expected: what they should be.
        key: columns that a row is recognized by.
    """
    left, right = list(got), list(expected)
    if sorted(map(_text, left)) == sorted(map(_text, right)):
        return
    ours, theirs = _by_key(left, key), _by_key(right, key)
    lines = []
    for each in sorted({*ours, *theirs}):
        mine, other = ours.get(each, []), theirs.get(each, [])
        if len(mine) == len(other) == 1:
            lines += [
                f"{each} {name}: {_text(mine[0].get(name)):>40} | {_text(other[0].get(name))}"
                for name in sorted({*mine[0], *other[0]})
                if _text(mine[0].get(name)) != _text(other[0].get(name))
            ]
        elif mine != other:
            lines.append(f"{each}: {len(mine)} rows got | {len(other)} expected")
            lines += [f"    got      {_text(row)}" for row in mine]
            lines += [f"    expected {_text(row)}" for row in other]
    more = f"\n… and {len(lines) - 60} lines more" if len(lines) > 60 else ""
    raise AssertionError(
        f"{len(left)} rows got, {len(right)} expected (got | expected):\n"
        + "\n".join(lines[:60])
        + more
    )


def _by_key(
    rows: Sequence[Mapping[str, Any]], key: Sequence[str]
) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault("/".join(str(row.get(name)) for name in key), []).append(row)
    return found


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
