"""The columns of what is landed: of events, and of every line that was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.tables.events import TABLE

if TYPE_CHECKING:
    from tidegate.config.source import Source


def event_columns(source: Source) -> dict[str, str]:
    """Return the columns that a source's events have: name -> type as tables name it."""
    return {**TABLE.types, **{name: column.type for name, column in source.columns.items()}}


def staged_columns(source: Source) -> dict[str, str]:
    """Return the columns of every line that was landed: those of an event, its outcome, and what is kept of it."""
    numbered = {"_producer": "string", "_number": "bigint"} if source.sequence is not None else {}
    return {
        **event_columns(source),
        "_outcome": "string",
        "_reason": "string",
        "_detail": "string",
        "_raw": "string",
        "_raw_bytes": "binary",
        **numbered,
    }
