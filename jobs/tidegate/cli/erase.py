"""`tidegate erase`: a person who asks to be forgotten is."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Annotated

import typer

from tidegate.cli.options import DumpsOpt, JsonOpt, LakeOpt, teller
from tidegate.common.errors import TidegateError
from tidegate.config.settings import load_settings


def erase(
    user: Annotated[
        list[str],
        typer.Argument(
            metavar="USER...",
            help="Ids of one person, as the dumps have them; - reads them from standard input, a line each, "
            "so that they stand in no list of processes.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="SOURCE",
            help="Only from this source; else from all, those to come included.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in ops.erasures.")
    ] = "",
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who asks, if not who runs this.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report where the person is.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether to go on.")] = False,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Erase a person from all tables, quarantine, audits, history and candidates. It can't be undone.

    Their lines become no events any more, also when the same dumps are landed again, or new ones; they count as
    quarantined, with the reason erased and nothing else. The hours that had any are landed again, and what is
    derived follows. Releases of before can't be read any more. The dumps themselves are not touched: their files
    are named. Exit status 3: an hour is held, so that it is not done yet; see to it, then run the same again.
    """
    from tidegate.config.source import find_source, load_sources
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.erase import erase as do
    from tidegate.pipeline.erase import look

    settings = load_settings(lake=lake, dumps=dumps)
    sources = load_sources(settings.sources)
    only = find_source(source, settings.sources) if source else None
    ids = [line for line in sys.stdin.read().splitlines() if line] if user == ["-"] else user
    with working(settings, tell=teller()) as work:
        if dry_run or not yes:
            found = look(work, sources, ids, only)
            if dry_run:
                told = [each.as_json() for each in found]
                lines = [each.describe() for each in found]
                typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines))
                return
            for each in found:
                typer.echo(each.describe(), err=True)
            _confirm()
        who = by or getpass.getuser()
        done = do(work, sources, ids, by=who, reason=reason.strip(), only=only)
    typer.echo(json.dumps(done.as_json(), indent=2) if as_json else "\n".join(done.lines()))
    if done.exit_status:
        raise typer.Exit(done.exit_status)


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise TidegateError(
            "an erasure can't be undone, and nobody is there to ask",
            expected="--yes, or a terminal",
            todo="look with --dry-run, then run it again with --yes",
        )
    typer.confirm("Erase for good?", abort=True, err=True)
