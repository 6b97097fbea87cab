"""`tidegate check`."""

from __future__ import annotations

import json

import typer

from tidegate.cli.options import JsonOpt
from tidegate.common.errors import EXIT_FAULT
from tidegate.config.settings import load_settings
from tidegate.orchestration.check import check as look


def check(as_json: JsonOpt = False) -> None:
    """Check sources, suites, metrics and catalogue without running anything."""
    right, wrong = look(load_settings())
    if as_json:
        typer.echo(json.dumps({"right": right, "wrong": wrong}, indent=2))
    else:
        for text in right:
            typer.echo(f"ok     {text}")
        for text in wrong:
            typer.echo(f"FAULT  {text}")
        typer.echo(f"{len(right)} right, {len(wrong)} wrong", err=True)
    if wrong:
        raise typer.Exit(EXIT_FAULT)
