"""`tidegate maintain`: fewer and larger files, and none that nothing needs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tidegate.cli.options import JsonOpt, LakeOpt, aligned, teller

DryRunOpt = Annotated[
    bool, typer.Option("--dry-run", help="Only report what would be done; change nothing.")
]
PartOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="PART",
        help="Only this part, or these: compact, fold, vacuum, log, candidates.",
    ),
]


def maintain(
    dry_run: DryRunOpt = False,
    part: PartOpt = None,
    as_json: JsonOpt = False,
    lake: LakeOpt = None,
) -> None:
    """Put small files together and remove what no promised release needs; report what was freed."""
    from tidegate.config.settings import load_settings
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.maintain import PARTS, check_parts
    from tidegate.pipeline.maintain import maintain as run

    parts = check_parts(part or PARTS)
    with working(load_settings(lake=lake), tell=teller()) as work:
        done = run(work, parts, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=2))
        return
    for line in aligned(done.table()):
        typer.echo(line)
    typer.echo(done.total())
