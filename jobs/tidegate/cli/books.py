"""`tidegate held`: what is held, and why."""

from __future__ import annotations

import json

import typer

from tidegate.cli.options import JsonOpt, LakeOpt
from tidegate.common.errors import EXIT_HELD
from tidegate.config.settings import Settings, load_settings


def suite_fingerprints(settings: Settings) -> dict[str, str]:
    """Return the fingerprint of the suite of each table that can be built anew."""
    from tidegate.config.suites import load_suite
    from tidegate.tables import REBUILDABLE

    return {
        table.name: load_suite(settings.expectations, table.name).fingerprint
        for table in REBUILDABLE
    }


def held(lake: LakeOpt = None, as_json: JsonOpt = False) -> None:
    """List what is held: which slices, why, since when, and what to do. Exit 3 if there is any."""
    from tidegate.common.text_output import visible
    from tidegate.query.connect import connect
    from tidegate.query.status import held as find

    with connect(load_settings(lake=lake)) as connection:
        found = find(connection)
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found], indent=2))
    elif not found:
        typer.echo("nothing is held")
    else:
        for each in found:
            typer.echo(f"{each.table_name} {each.source} {each.slice}, since {each.since}")
            typer.echo(f"  why   {visible(each.why)}")
            meanwhile = "its older publication" if each.has_older else "nothing of it"
            typer.echo(f"  seen  {meanwhile}")
            typer.echo(f"  waits {each.waits}")
            typer.echo(f"  next  {each.todo}")
    if found:
        raise typer.Exit(EXIT_HELD)
