"""Names: the columns and tables that a suite speaks of, and those that there are not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from tidegate.nearest import hint, nearest
from tidegate.suites.facts import FACTS
from tidegate.suites.model import QUERY, Entry, Suite


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
    if entry.where is not None:
        try:
            named += columns_of(entry.where)
        except ValueError as error:
            yield f"where: {error}"
    if entry.of == "facts":
        columns, own = set(FACTS.get(table, {})), {}
    known = columns.union(*own.values())
    for column in named:
        if column not in known:
            near = nearest(column, sorted(known))
            yield f"no column {column!r} in the {entry.of} of {table}" + (
                f"; did you mean {near!r}?" if near else ""
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
    """Return the columns that a Spark SQL condition names.

    Raises:
        ValueError: it is no condition.
    """
    import sqlglot
    from sqlglot import exp

    try:
        found = sqlglot.parse_one(condition, dialect="spark", into=exp.Condition)
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"not a Spark SQL condition: {_plain(error)}") from error
    return list(dict.fromkeys(column.parts[0].name for column in found.find_all(exp.Column)))


def tables_of(entry: Entry) -> set[str]:
    """Return the published tables that a query of a suite reads.

    Raises:
        ValueError: it is no query.
    """
    import sqlglot
    from sqlglot import exp

    text = re.sub(r"\{batch\}", _BATCH, str(entry.args.get("unexpected_rows_query", "")))
    try:
        found = sqlglot.parse_one(text.replace("{{", "{").replace("}}", "}"), dialect="spark")
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"not a Spark SQL query: {_plain(error)}") from error
    if not isinstance(found, exp.Query):
        raise ValueError("expected a query: SELECT …")
    own = {each.alias for each in found.find_all(exp.CTE)}
    read = {".".join(part.name for part in table.parts) for table in found.find_all(exp.Table)}
    return read - {_BATCH} - own


_BATCH = "__batch__"


def _query_faults(entry: Entry) -> list[str]:
    if entry.of == "facts":
        return ["a query is asked of rows"]
    if "{batch}" not in str(entry.args.get("unexpected_rows_query", "")):
        return ["unexpected_rows_query: expected {batch}, which stands for the candidate's rows"]
    try:
        unknown = tables_of(entry) - set(FACTS)
    except ValueError as error:
        return [f"unexpected_rows_query: {error}"]
    return [
        f"unexpected_rows_query: no published table {each!r}; {hint(each, FACTS)}"
        for each in sorted(unknown)
    ]


def _plain(error: Exception) -> str:
    """Return the first line of an error, without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]
