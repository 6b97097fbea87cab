"""Options that commands share, and how they report progress and tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

SourceArg = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A name in dags/sources, or a source file's path.")
]
FromOpt = Annotated[
    str, typer.Option("--from", metavar="HOUR", help="First dump hour, ISO 8601 UTC.")
]
ToOpt = Annotated[str, typer.Option("--to", metavar="HOUR", help="Last dump hour, inclusive.")]
FirstOpt = Annotated[
    str | None,
    typer.Option("--from", metavar="HOUR", help="Only dump hours from this one on, ISO 8601 UTC."),
]
LastOpt = Annotated[
    str | None, typer.Option("--to", metavar="HOUR", help="Only dump hours up to this one.")
]
DumpsOpt = Annotated[
    str | None,
    typer.Option(
        "--dumps",
        metavar="URI",
        help="Where the dumps are, in place of what the source's template begins with.",
    ),
]
LakeOpt = Annotated[
    str | None, typer.Option("--lake", metavar="URI", help="The lake: a folder or s3://…")
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
