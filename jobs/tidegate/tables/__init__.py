"""The tables of the lake: one module for each published table, and the system tables.

A module of this package with a `TABLE` is a published table. No other module has to name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from tidegate.tables import system_tables
from tidegate.tables.model import Aggregate, Column, Input, Table


def _published() -> Iterable[Table]:
    for module in iter_modules(__path__):
        table = getattr(import_module(f"{__name__}.{module.name}"), "TABLE", None)
        if isinstance(table, Table):
            yield table


def _in_order(tables: Iterable[Table]) -> tuple[Table, ...]:
    """Return tables, each after the tables that it is built from or published after; rebuildable ones first."""
    by_name = {table.name: table for table in tables}

    def depth(table: Table) -> int:
        earlier = (*table.built_from, *(table.aggregate.after if table.aggregate else ()))
        return 1 + max((depth(by_name[name]) for name in earlier), default=0)

    return tuple(
        sorted(
            by_name.values(),
            key=lambda table: (
                not table.rebuildable,
                depth(table),
                table.aggregate is not None,
                table.name,
            ),
        )
    )


WAREHOUSE: tuple[Table, ...] = _in_order(_published())
"""Published tables, each after the tables that it is built from."""

REBUILDABLE: tuple[Table, ...] = tuple(table for table in WAREHOUSE if table.rebuildable)
"""Tables that can be rebuilt from what they are built from."""

DERIVED: tuple[Table, ...] = tuple(table for table in REBUILDABLE if table.built_from)
"""Sessions and aggregates, in the order in which they are built."""

OPS: tuple[Table, ...] = (
    system_tables.LANDINGS,
    system_tables.QUARANTINE,
    system_tables.AUDITS,
    system_tables.PUBLICATIONS,
    system_tables.RELEASES,
    system_tables.CORRECTIONS,
    system_tables.ALERTS,
    system_tables.CONFIGURATIONS,
    system_tables.NUMBERS,
    system_tables.MAINTENANCE,
    system_tables.ERASURES,
)
"""The system tables. The last one is made last: a lake that has it has all of them."""

BY_NAME: dict[str, Table] = {table.name: table for table in (*WAREHOUSE, *OPS)}

__all__ = [
    "BY_NAME",
    "DERIVED",
    "OPS",
    "REBUILDABLE",
    "WAREHOUSE",
    "Aggregate",
    "Column",
    "Input",
    "Table",
]
