"""`tidegate drift`: which fields events really have, against what their source file declares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import FirstOpt, JsonOpt, LakeOpt, LastOpt, asked_between, noted_source
from tidegate.common.hours import HOUR, hour_text
from tidegate.config.settings import load_settings

if TYPE_CHECKING:
    from tidegate.query.schema_drift import Drift

HOURS = 48
"""Dump hours that are looked at if nobody says otherwise: the last ones of each source."""
_SHOWN = 30
"""Fields of a kind that are shown."""


def drift(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            callback=noted_source,
            help="A name, or a source file's path; all by default.",
        ),
    ] = None,
    first: FirstOpt = None,
    last: LastOpt = None,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """List which fields published events have that no source file declares, and which came, went or changed type.

    Of the last 48 hours of each source, or of those named. `fields_by_hour` has the counts.
    """
    from tidegate.config.source import find_source, readable_sources
    from tidegate.query.connect import connect
    from tidegate.query.schema_drift import declared_paths, spans
    from tidegate.query.schema_drift import drift as look

    settings = load_settings(lake=lake)
    known = {each.source: each for each in readable_sources(settings.sources)[0]}
    between = asked_between(first, last)
    out = []
    with connect(settings) as connection:
        every = spans(connection)
        if source is not None:
            name = source
            if source not in every:  # published events may be of a source whose file is gone
                asked = find_source(source, settings.sources)
                name = asked.source
                known.setdefault(name, asked)
            every = {name: every[name]} if name in every else {}
        for name, (begin, end) in every.items():
            span = (max(begin, end - (HOURS - 1) * HOUR), end)
            if between is not None:
                span = (max(begin, between[0]), min(end, between[1]))
            paths = declared_paths(known[name]) if name in known else None
            out.append(look(connection, name, span, paths))
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in out], indent=2))
        return
    if not out:
        typer.echo("no published events" + (f" of {source}" if source else ""))
    for each in out:
        for line in _lines(each):
            typer.echo(line)


def _lines(found: Drift) -> Iterator[str]:
    """Yield a source's fields that are to be told of, by what is to be told."""
    from tidegate.common.text_output import visible
    from tidegate.query.schema_drift import KINDS

    span = f"{hour_text(found.first)} to {hour_text(found.last)}"
    yield f"{found.source}: {found.events:,} events of {found.hours:,} dump hours, {span}"
    if not found.declared:
        yield "  what its file declares is not known: it is not in dags/sources, or has faults"
    if not found.found:
        yield "  every field is declared, and none came, went or changed its type"
    for kind, meaning in KINDS.items():
        mine = [each for each in found.found if each.kind == kind]
        if mine:
            yield f"  {kind}: {meaning}"
        for each in mine[:_SHOWN]:
            yield f"    {visible(each.path)}: {each.describe()}"
        if len(mine) > _SHOWN:
            yield f"    and {len(mine) - _SHOWN:,} more; --json has all"
