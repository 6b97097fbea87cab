"""`tidegate report`: the pages that Airflow's UI shows, as files."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.options import LakeOpt
from tidegate.config.settings import load_settings


def report(
    lake: LakeOpt = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="URI",
            help="Where to: a folder or s3://bucket/prefix; <lake>/reports by default.",
        ),
    ] = None,
) -> None:
    """Write pages for a browser from the system tables: hours, what is held and why, bad lines."""
    from tidegate.report.files import default_target, write

    settings = load_settings(lake=lake)
    target = out or default_target(settings)
    files = write(settings, target)
    typer.echo(f"{len(files)} pages: {target.rstrip('/')}/index.html")
