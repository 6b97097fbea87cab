"""Options that commands share, and how they report progress and tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.common.hints import forget, note
from tidegate.common.hours import first_hour, hour_range, last_hour, range_text
from tidegate.config.settings import load_settings
from tidegate.config.source_places import remember_file


def noted_lake(context: typer.Context, lake: str | None) -> str | None:
    """Note the lake that the user named for the commands that messages print, and return it."""
    note(lake=lake)
    context.call_on_close(forget)
    return lake


def noted_dumps(context: typer.Context, dumps: str | None) -> str | None:
    """Note the dumps that the user named, and return them."""
    note(dumps=dumps)
    context.call_on_close(forget)
    return dumps


def noted_source(context: typer.Context, source: str | None) -> str | None:
    """Note the source file that the user named by its path, if it is one, and return it."""
    from tidegate.config.source import source_name

    if source is not None and (name := source_name(source)) is not None:
        note(source=(name, source))
        context.call_on_close(forget)
        settings = load_settings()
        if Path(source).resolve().parent != settings.sources.resolve():
            remember_file(settings.home, name, Path(source))
    return source


SourceArg = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        callback=noted_source,
        help="A name in dags/sources, or a source file's path.",
    ),
]
SomeSourceArg = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]",
        callback=noted_source,
        help="A name or a source file's path; all sources without.",
    ),
]
FromOpt = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="HOUR",
        help="First dump hour, UTC: 2026-03-01T07, or a date for its first hour.",
    ),
]
ToOpt = Annotated[
    str,
    typer.Option(
        "--to", metavar="HOUR", help="Last dump hour, inclusive; a date means its last hour."
    ),
]
FirstOpt = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="HOUR",
        help="Only dump hours from this one on, UTC; a date means its first hour.",
    ),
]
LastOpt = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="HOUR", help="Only dump hours up to this one; a date means its last hour."
    ),
]
DumpsOpt = Annotated[
    str | None,
    typer.Option(
        "--dumps",
        metavar="URI",
        callback=noted_dumps,
        help="Where the dumps are, in place of what the source's template begins with.",
    ),
]
LakeOpt = Annotated[
    str | None,
    typer.Option("--lake", metavar="URI", callback=noted_lake, help="The lake: a folder or s3://…"),
]
EngineOpt = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="What computes rows: duckdb, in this process, or spark, on a server. By default spark where "
        "TIDEGATE_SPARK or a running stack names a server, else duckdb.",
    ),
]
StackEngineOpt = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="What its jobs compute rows by: spark, on a server, or duckdb.",
    ),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def asked_hours(first: str, last: str) -> list[datetime]:
    """Return the hours from `--from` to `--to`, and print the range to standard error.

    Raises:
        TidegateError: a text is no hour, or the range ends before it begins.
    """
    hours = hour_range(first_hour(first), last_hour(last))
    typer.echo(f"hours  {range_text(hours)}", err=True)
    return hours


def asked_bounds(first: str | None, last: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the bounds of an optional range; print it where both are named.

    Raises:
        TidegateError: a text is no hour, or the range ends before it begins.
    """
    if first and last:
        hours = asked_hours(first, last)
        return hours[0], hours[-1]
    return (first_hour(first) if first else None), (last_hour(last) if last else None)


def asked_between(first: str | None, last: str | None) -> tuple[datetime, datetime] | None:
    """Return the bounds of an optional range, open ends as the ends of time; None where neither is named."""
    lower, upper = asked_bounds(first, last)
    if lower is None and upper is None:
        return None
    return lower or datetime.min.replace(tzinfo=UTC), upper or datetime.max.replace(tzinfo=UTC)


def teller() -> Callable[[str], None]:
    """Return what prints progress to standard error, with the seconds since the start."""
    started = time.monotonic()

    def tell(text: str) -> None:
        typer.echo(f"{time.monotonic() - started:6.1f}s  {text}", err=True)

    return tell


def aligned(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as lines of equally wide columns."""
    if not rows:
        return []
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
