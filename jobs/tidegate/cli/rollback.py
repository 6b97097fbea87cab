"""`tidegate rollback`: readers see an earlier release again."""

from __future__ import annotations

import getpass
import json
from typing import Annotated

import typer

from tidegate.cli.options import JsonOpt, LakeOpt, teller
from tidegate.common.hints import command
from tidegate.config.settings import load_settings

_SHOWN = 20
"""Lines of what is hidden that are shown."""


def rollback(
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE", help="Id of a release, or a time: what readers saw then, UTC."
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in ops.releases.")
    ],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who does it, if not who runs this.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what it would hide.")
    ] = False,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Show readers an earlier release again, and report what that hides.

    Hours go on being published and derived meanwhile, but nothing new is released until
    `tidegate release --resume`.
    """
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.release.rollback import roll_back

    with working(load_settings(lake=lake), tell=teller()) as work:
        done = roll_back(work, release, by=by or getpass.getuser(), reason=reason, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=2))
        return
    typer.echo("this would hide:" if dry_run else "hidden now:")
    lines = done.lines() or ["nothing: no publication is newer"]
    for line in lines[:_SHOWN]:
        typer.echo(f"  {line}")
    if len(lines) > _SHOWN:
        typer.echo(f"  and {len(lines) - _SHOWN:,} more; --json has all")
    at = f"{done.released_at:%Y-%m-%d %H:%M} UTC"
    if dry_run:
        typer.echo(f"readers would see release {done.earlier} of {at} again")
    else:
        typer.echo(f"release {done.release_id}: readers see release {done.earlier} of {at} again")
        typer.echo(f"new releases are made again after: {command('release', '--resume')}")
