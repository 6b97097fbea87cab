"""`tidegate gate backtest`: what a proposed suite would have said."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import DumpsOpt, JsonOpt, LakeOpt, noted_source, teller
from tidegate.common.errors import FaultsError
from tidegate.common.hours import hour_text
from tidegate.config.settings import load_settings

gate = typer.Typer(
    help="The gate: try a suite before it is in force.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SuiteArg = Annotated[
    Path, typer.Argument(metavar="SUITE.yml", help="The proposed suite; any file of any name.")
]
LastOpt = Annotated[
    int,
    typer.Option("--last", min=1, metavar="N", help="Publications to audit again, newest last."),
]
SourceOpt = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        callback=noted_source,
        help="Only this source's: a name, or a file.",
    ),
]


@gate.callback()
def _options() -> None:
    """Try a suite before it is in force."""


@gate.command("backtest")
def backtest(
    suite: SuiteArg,
    last: LastOpt = 24,
    source: SourceOpt = None,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Say what a proposed suite would have held or warned of, against what did happen.

    It audits the last publications of its table as they were published, and what is held now. Nothing
    is written.
    """
    from tidegate.common.text_output import visible
    from tidegate.config.source import find_source, load_sources
    from tidegate.config.suites import read_suite
    from tidegate.orchestration.check import suite_faults
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.publish.backtest import backtest as audit_again

    settings = load_settings(lake=lake, dumps=dumps)
    proposed = read_suite(suite)
    sources = [find_source(source, settings.sources)] if source else load_sources(settings.sources)
    known = (*load_sources(settings.sources), *sources)
    faults = suite_faults(proposed, {each.source: list(each.columns) for each in known})
    if faults:
        raise FaultsError(str(suite), faults, "the suite")
    with working(settings, tell=teller()) as work:
        found = list(audit_again(work, proposed, sources, last))
    if as_json:
        told = [
            {
                "source": each.source,
                "slices": [hour_text(hour) for hour in each.slices],
                "publication_id": each.publication_id,
                "did": each.did,
                "would": each.would,
                "warming_up": each.warming,
                "unknown": each.unknown,
                "failed": [asdict(r) for r in each.results if r.status == "failed"],
            }
            for each in found
        ]
        typer.echo(json.dumps(told, indent=2))
        return
    for each in found:
        if each.would != "passed" or each.did != "passed":
            for line in each.describe().splitlines():
                typer.echo(visible(line))
    typer.echo(f"{len(found)} audits of {proposed.table}, by {suite}:")
    did, would = Counter(each.did for each in found), Counter(each.would for each in found)
    for verdict in ("passed", "warned", "approved", "held"):
        typer.echo(f"  {verdict:<9} {did[verdict]:>5} did, {would[verdict]:>5} would")
    warming = Counter(name for each in found for name in each.warming)
    for name, n in sorted(warming.items()):
        typer.echo(f"  warming up in {n} of them: {name}")
    unknown = Counter(name for each in found for name in each.unknown)
    for name, n in sorted(unknown.items()):
        typer.echo(f"  not known in {n} of them, whose facts nobody wrote down: {name}")
