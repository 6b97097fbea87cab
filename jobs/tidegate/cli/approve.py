"""`tidegate approve`: a held slice is published knowingly."""

from __future__ import annotations

import getpass
import json
from typing import Annotated

import typer

from tidegate.cli.options import JsonOpt, LakeOpt, noted_source, teller
from tidegate.common.errors import EXIT_HELD
from tidegate.config.settings import Settings, load_settings

SliceArg = Annotated[
    str,
    typer.Argument(
        metavar="SLICE", help="As `tidegate held` names it: SOURCE/HOUR, or TABLE/SOURCE."
    ),
]
ReasonOpt = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why its rows are right all the same.")
]
ByOpt = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who approves, if not who runs this.")
]
SourceOpt = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="FILE",
        callback=noted_source,
        help="The source's file, if not in dags/sources.",
    ),
]


def approve(
    slice_: SliceArg,
    reason: ReasonOpt,
    by: ByOpt = None,
    source: SourceOpt = None,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Publish a held slice knowingly. Who, when and why are kept in ops.audits.

    What is derived follows: by the running stack's DAG `derive`, or else here.
    """
    from tidegate.config.source import find_source, load_sources
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.derive.derive import Derived
    from tidegate.pipeline.derive.derive import derive as derive_tables
    from tidegate.pipeline.publish.approve import approve as publish_knowingly
    from tidegate.pipeline.publish.approve import parse_slice
    from tidegate.pipeline.release.release import release

    settings = load_settings(lake=lake)
    held = parse_slice(slice_)
    chosen = find_source(source or held.source, settings.sources)
    derived: Derived | None = None
    with working(settings, tell=teller()) as work:
        done = publish_knowingly(work, chosen, held, by=by or getpass.getuser(), reason=reason)
        woken = _wake_derive(settings)
        if not woken:
            known = {each.source: each for each in (*load_sources(settings.sources), chosen)}
            derived = derive_tables(work, list(known.values()))
            release(work, derived)
    still = derived.held if derived else ()
    if as_json:
        made = [*([done.publication] if done.publication else [])]
        made += derived.publications if derived else ()
        told = {
            "slice": str(held),
            "approved": [
                {"expectation": each.expectation, "observed": each.observed, "why": each.why}
                for audit in done.audits
                for each in audit.results
                if each.status == "approved"
            ],
            "published": [
                {"table": each.table_name, "publication_id": each.publication_id, "rows": each.rows}
                for each in made
            ],
            "woken": woken,
            "held": [audit.describe() for audit in still],
        }
        typer.echo(json.dumps(told, indent=2))
    else:
        typer.echo(done.describe())
        if derived is None:
            typer.echo("the DAG derive is told; it follows")
        for each in derived.publications if derived else ():
            typer.echo(f"{each.table_name}: {each.rows:,} rows in {len(each.slices)} slices")
        for audit in still:
            typer.echo(audit.describe(), err=True)
    if still:
        raise typer.Exit(EXIT_HELD)


def _wake_derive(settings: Settings) -> bool:
    """Tell the DAG `derive` of the stack that serves this lake; return whether there is one."""
    from tidegate.config.stack_state import running_state
    from tidegate.stack.airflow_api import AirflowApi

    state = running_state(settings.home)
    if state is None or state.airflow is None or state.lake != settings.lake:
        return False
    with AirflowApi(*state.login) as api:
        api.tell_of_asset("warehouse/events")
    return True
