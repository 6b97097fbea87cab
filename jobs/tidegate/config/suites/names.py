"""Names: the columns and tables that a suite speaks of, and those that there are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tidegate.common.suggestions import hint, nearest
from tidegate.config.suites.facts import FACTS
from tidegate.config.suites.model import QUERY, Entry, Suite
from tidegate.config.user_sql import CONDITION, ExpressionError, read_expression, read_query


def name_faults(
    suite: Suite, columns: Iterable[str], own: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """Return the faults of entries that name columns, tables or sources that there are not.

    Args:
        suite: the suite.
        columns: of its table.
        own: the columns that each source adds to them, if any does, by source.
    """
    own = own or {}
    faults = []
    for entry in suite.entries:
        told = [*_column_faults(suite.table, entry, set(columns), own)]
        told += [
            f"no source {each!r}; {hint(each, own)}"
            for each in entry.sources or ()
            if own and each not in own
        ]
        if entry.type == QUERY:
            told += _query_faults(entry)
        faults += [f"{entry.name}: {each}" for each in told]
    return faults


def _column_faults(
    table: str, entry: Entry, columns: set[str], own: Mapping[str, Collection[str]]
) -> Iterator[str]:
    named = list(entry.columns)
    where = entry.where or ""
    if entry.where is not None:
        try:
            named += columns_of(entry.where)
        except ExpressionError as error:
            yield from (f"where: {fault}" for fault in error.faults)
    if entry.of == "facts":
        columns, own = set(FACTS.get(table, {})), {}
    known = columns.union(*own.values())
    for column in named:
        if column not in known:
            near = nearest(column, sorted(known))
            yield (
                f"no column {column!r} in the {entry.of} of {table}"
                + (f"; did you mean {near!r}?" if near else "")
                + ("; texts stand between single quotes" if f'"{column}"' in where else "")
            )
            continue
        asked = own.keys() if entry.sources is None else entry.sources
        without = [
            each for each in asked if column not in columns and column not in own.get(each, ())
        ]
        if without:
            have = ", ".join(sorted(name for name, mine in own.items() if column in mine))
            yield f"{', '.join(without)} have no column {column!r}: say `sources: [{have}]`"


def columns_of(condition: str) -> list[str]:
    """Return the columns that a condition names, DuckDB's SQL.

    Raises:
        ExpressionError: it is no condition, or one that is not allowed.
    """
    return list(read_expression(condition, CONDITION).columns)


def tables_of(entry: Entry) -> set[str]:
    """Return the published tables that a query of a suite reads.

    Raises:
        ExpressionError: it is no query, or one that is not allowed.
    """
    return set(read_query(str(entry.args.get("unexpected_rows_query", ""))).tables)


def _query_faults(entry: Entry) -> list[str]:
    if entry.of == "facts":
        return ["a query is asked of rows"]
    if "{batch}" not in str(entry.args.get("unexpected_rows_query", "")):
        return ["unexpected_rows_query: expected {batch}, which stands for the candidate's rows"]
    try:
        unknown = tables_of(entry) - set(FACTS)
    except ExpressionError as error:
        return [f"unexpected_rows_query: {fault}" for fault in error.faults]
    return [
        f"unexpected_rows_query: no published table {each!r}; {hint(each, FACTS)}"
        for each in sorted(unknown)
    ]
