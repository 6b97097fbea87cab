"""Compare rows, and say side by side in what they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


def exact_rows(rows: pa.Table) -> list[Row]:
    """Return Arrow rows as Python rows that can be compared, in an order of their own.

    Timestamps are text with all their microseconds, decimals are text, bytes are hex, maps dicts.
    """
    columns = {
        name: [
            _exact(value, rows.schema.field(name).type) for value in rows.column(name).to_pylist()
        ]
        for name in rows.column_names
    }
    found = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return sorted(found, key=_text)


def _exact(value: Any, kind: pa.DataType) -> Any:
    """Return a value as JSON could hold it, without losing a digit of it."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {_exact(k, kind.key_type): _exact(v, kind.item_type) for k, v in value}
    if pa.types.is_struct(kind):
        return {member.name: _exact(value[member.name], member.type) for member in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_exact(item, kind.value_type) for item in value]
    if isinstance(value, datetime):
        text = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        return text.rstrip("0") if value.microsecond else text
    if isinstance(value, date | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex().upper()
    return value


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
