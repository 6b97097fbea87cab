"""`tidegate sql`: a query over published tables, by DuckDB and without a JVM."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import LakeOpt

if TYPE_CHECKING:
    import duckdb

_BLOCK = 1_000


class Format(StrEnum):
    """How the rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    query: Annotated[
        str, typer.Argument(help='One query, such as "SELECT * FROM daily_activity".')
    ],
    release: Annotated[
        str | None,
        typer.Option(
            help="Id of a release, or a time: what readers saw then, UTC; the latest by default.",
            metavar="ID|TIME",
        ),
    ] = None,
    lake: LakeOpt = None,
    format: Annotated[  # noqa: A002 - the name of the option
        Format, typer.Option(help="table for people, csv or json for programs.")
    ] = Format.TABLE,
) -> None:
    """Query the published tables by their bare names, and the system tables as ops.<name>.

    All tables are read as of one release. Times are UTC. Rows go to standard output; with --format
    csv or json nothing else does.
    """
    from tidegate.common.text_output import visible
    from tidegate.config.settings import load_settings
    from tidegate.query.connect import connect, pinned, run
    from tidegate.query.status import rolled_back

    settings = load_settings(lake=lake)
    with connect(settings, release) as connection:
        shown = pinned(connection)
        rollback = rolled_back(connection)
        result = run(connection, query)
        try:
            count = _write(result, format)
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_pipe()
            return
        if format is Format.TABLE:
            of = f"release {shown}" if shown else "no release yet: the tables as they are now"
            typer.echo(f"({count:,} row{'' if count == 1 else 's'}; {of})", err=True)
            if rollback is not None:
                typer.echo(visible(rollback), err=True)


def _write(result: duckdb.DuckDBPyConnection, shape: Format) -> int:
    """Write the rows of a result to standard output and return how many they were.

    Raises:
        TidegateError: DuckDB met an error while it made the rows.

    """
    from tidegate.common import text_output as rendering

    names = [str(column[0]) for column in result.description or []]
    types = [str(column[1]) for column in result.description or []]
    counted = _Blocks(result)
    rows = chain.from_iterable(counted)
    lines: Iterator[str]
    if names == ["explain_key", "explain_value"] and shape is Format.TABLE:
        lines = (rendering.visible(line) + "\n" for row in rows for line in row[1].splitlines())
    elif shape is Format.TABLE:
        lines = rendering.table_lines(names, types, counted)
    elif shape is Format.CSV:
        lines = rendering.csv_lines(names, rows)
    else:
        lines = rendering.json_lines(names, rows)
    for line in lines:
        sys.stdout.write(line)
    return counted.count


class _Blocks:
    """The rows of a result, in blocks, counted as they pass."""

    def __init__(self, result: duckdb.DuckDBPyConnection) -> None:
        self._result = result
        self.count = 0

    def __iter__(self) -> Iterator[list[Any]]:
        from tidegate.query.connect import query_errors

        while True:
            with query_errors("the query failed"):
                block = self._result.fetchmany(_BLOCK)
            if not block:
                return
            self.count += len(block)
            yield block


def _leave_pipe() -> None:
    """Let the interpreter end quietly when whoever read our output has gone."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
