"""`tidegate verify`: what is published is what the dumps give."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.cli.options import (
    DumpsOpt,
    EngineOpt,
    JsonOpt,
    LakeOpt,
    SomeSourceArg,
    asked_bounds,
    teller,
)
from tidegate.common.errors import EXIT_FAULT
from tidegate.config.settings import load_settings

_SCREEN = 20
"""Differences that are printed; all are counted."""

FirstOpt = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="HOUR",
        help="First slice; a date means its first hour.",
    ),
]
LastOpt = Annotated[
    str | None,
    typer.Option("--to", metavar="HOUR", help="Last slice; a date means its last hour."),
]
SampleOpt = Annotated[
    str,
    typer.Option(
        "--sample",
        metavar="SHARE",
        help="Share of users, such as 1/10: their events and sessions only.",
    ),
]


def verify(
    source: SomeSourceArg = None,
    first: FirstOpt = None,
    last: LastOpt = None,
    sample: SampleOpt = "1",
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    engine: EngineOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Rebuild from the dumps, apart from the lake, and compare with what is published, row for row.

    With --engine the rows are computed with the other engine than the one that published them.
    """
    from tidegate.config.source import find_source, load_sources
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.verify import Scope, parse_sample
    from tidegate.pipeline.verify import verify as compare

    scope = Scope(*asked_bounds(first, last), parse_sample(sample))
    settings = load_settings(lake=lake, dumps=dumps, engine=engine)
    sources = [find_source(source, settings.sources)] if source else load_sources(settings.sources)
    with working(settings, tell=teller()) as work:
        found = compare(work, sources, scope, alone=source is not None)
    if as_json:
        typer.echo(json.dumps({"holds": found.holds, **asdict(found)}, indent=2, default=str))
    else:
        for each in found.compared:
            told = f"{each.table} {each.source}: {each.rows:,} rows"
            differing = f", {each.differing:,} DIFFER" if each.differing else " as published"
            typer.echo(told + differing)
        shown = [each for compared in found.compared for each in compared.shown]
        for difference in shown[:_SCREEN]:
            typer.echo(difference.describe())
        more = sum(each.differing for each in found.compared) - len(shown[:_SCREEN])
        if more > 0:
            typer.echo(f"… and {more:,} more")
        for cause in sorted({each.cause for each in shown if each.cause}):
            typer.echo(cause)
        for text in found.open:
            typer.echo(f"not compared: {text}")
        typer.echo("the tables are what the dumps give" if found.holds else "NOT verified")
    if not found.holds:
        raise typer.Exit(EXIT_FAULT)
