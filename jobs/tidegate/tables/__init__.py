"""The tables of the lake: one module a published table, and the system's own books."""

from __future__ import annotations

from tidegate.tables import daily_activity, events, hourly_activity, session_aliases, sessions
from tidegate.tables import system_tables as books
from tidegate.tables.model import Column, Table

WAREHOUSE: tuple[Table, ...] = (
    events.TABLE,
    sessions.TABLE,
    hourly_activity.TABLE,
    daily_activity.TABLE,
    session_aliases.TABLE,
)
"""Published tables, each after the tables that it is built from."""

REBUILDABLE: tuple[Table, ...] = WAREHOUSE[:-1]
"""Tables that can be built anew from what they are made of; aliases tell what happened."""

OPS: tuple[Table, ...] = (
    books.LANDINGS,
    books.QUARANTINE,
    books.AUDITS,
    books.PUBLICATIONS,
    books.RELEASES,
    books.CORRECTIONS,
    books.ALERTS,
    books.CONFIGURATIONS,
    books.NUMBERS,
    books.MAINTENANCE,
    books.ERASURES,
)
"""The system's own books. The last one is made last: a lake that has it has all of them."""

BY_NAME: dict[str, Table] = {table.name: table for table in (*WAREHOUSE, *OPS)}

__all__ = ["BY_NAME", "OPS", "REBUILDABLE", "WAREHOUSE", "Column", "Table"]
