"""The source definitions that several groups share."""

from __future__ import annotations

from typing import Any

TYPED: dict[str, Any] = {
    "i": {"path": "i", "type": "int"},
    "b": {"path": "b", "type": "bigint"},
    "d": {"path": "d", "type": "decimal(6,2)"},
    "wide": {"path": "wide", "type": "decimal(38,20)"},
    "full": {"path": "full", "type": "decimal(38,2)"},
    "whole": {"path": "whole", "type": "decimal(38,0)"},
    "day": {"path": "day", "type": "date"},
    "flag": {"path": "flag", "type": "boolean"},
    "ts": {"path": "ts", "type": "timestamp"},
    "x": {"path": "x", "type": "double"},
    "y": {"path": "y", "type": "float"},
    "s": {"path": "s", "type": "string"},
}
"""A column of every type."""

COLUMNS: dict[str, Any] = {
    **TYPED,
    "deep": {"path": "a.b.c", "type": "string"},
    "dotted": {"path": "`k.l`", "type": "string"},
}

FIELDS: dict[str, Any] = {
    "event_id": "id",
    "event_time": "at",
    "event_type": "type",
    "user_id": "user.id",
    "anonymous_id": "anon",
}

NARROW: dict[str, Any] = {"late": "1d", "future": "30m"}
WIDE: dict[str, Any] = {"late": "999999d", "future": "999999d"}
"""Wide enough for four thousand years: a test of how times are read is none of whether they are accepted."""

SESSION_ID: dict[str, Any] = {"id": "visit"}
SEQUENCE: dict[str, Any] = {"producer": "host", "number": "seq"}
