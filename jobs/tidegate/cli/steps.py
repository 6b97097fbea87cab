"""`tidegate run`, and its steps one by one: land, audit, publish, derive, release."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import (
    DumpsOpt,
    EngineOpt,
    FromOpt,
    JsonOpt,
    LakeOpt,
    SourceArg,
    ToOpt,
    asked_hours,
    teller,
)
from tidegate.common.errors import EXIT_FAULT, EXIT_HELD
from tidegate.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from tidegate.config.source import Source


def _asked(
    source: str,
    first: str,
    last: str,
    dumps: str | None,
    lake: str | None,
    engine: str | None,
) -> tuple[Settings, Source, list[datetime]]:
    from tidegate.config.source import find_source

    settings = load_settings(lake=lake, dumps=dumps, engine=engine)
    return (
        settings,
        find_source(source, settings.sources),
        asked_hours(first, last),
    )


def _others(settings: Settings) -> list[Source]:
    from tidegate.config.source import load_sources

    return load_sources(settings.sources)


def run(
    source: SourceArg,
    first: FromOpt,
    last: ToOpt,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    engine: EngineOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Land, audit, publish, derive and release some hours, without Airflow."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.run import run as run_steps

    settings, chosen, hours = _asked(source, first, last, dumps, lake, engine)
    with working(settings, tell=teller()) as work:
        ran = run_steps(work, chosen, hours)
    if as_json:
        typer.echo(json.dumps(ran.as_json(), indent=2))
    else:
        publication = ran.published.publication
        rows = f"{publication.rows:,} rows" if publication else "nothing new"
        typer.echo(f"events: {rows}")
        for each in ran.derived.publications:
            typer.echo(f"{each.table_name}: {each.rows:,} rows in {len(each.slices)} slices")
        for audit in (*ran.published.audits, *ran.derived.audits):
            if any(not result.success for result in audit.results):
                typer.echo(audit.describe(), err=True)
        for landing in ran.landed:
            if landing.outcome in ("unreadable", "missing"):
                typer.echo(landing.describe(), err=True)
        for text in ran.derived.outdated:
            typer.echo(text, err=True)
        typer.echo(f"release {ran.release.release_id} in {settings.lake}")
    if ran.exit_status:
        raise typer.Exit(ran.exit_status)


def land(
    source: SourceArg,
    first: FromOpt,
    last: ToOpt,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    engine: EngineOpt = None,
) -> None:
    """Land dumps: candidates under staging, bad lines to quarantine, all counted."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.ingest.land import land as land_hours

    settings, chosen, hours = _asked(source, first, last, dumps, lake, engine)
    with working(settings, tell=teller()) as work:
        landed = land_hours(work, chosen, hours)
    for each in landed:
        typer.echo(each.describe())
    if any(each.outcome == "unreadable" for each in landed):
        raise typer.Exit(EXIT_HELD)
    if any(each.outcome == "missing" for each in landed):
        raise typer.Exit(EXIT_FAULT)


def audit(
    source: SourceArg, first: FromOpt, last: ToOpt, lake: LakeOpt = None, engine: EngineOpt = None
) -> None:
    """Run the suite on what the next publication of some hours would put in."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.publish.audit import audit_events

    settings, chosen, hours = _asked(source, first, last, None, lake, engine)
    with working(settings, tell=teller()) as work:
        audits = audit_events(work, chosen, hours)
    for each in audits:
        typer.echo(each.describe())
    if not audits:
        typer.echo("nothing to audit: these hours are published as they were landed")
    if any(each.held for each in audits):
        raise typer.Exit(EXIT_HELD)


def publish(
    source: SourceArg, first: FromOpt, last: ToOpt, lake: LakeOpt = None, engine: EngineOpt = None
) -> None:
    """Publish the landings of some hours that pass their audit, in one commit."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.ingest.current import ensure_current
    from tidegate.pipeline.publish.publish import publish_events

    settings, chosen, hours = _asked(source, first, last, None, lake, engine)
    with working(settings, tell=teller()) as work:
        ensure_current(work, chosen, hours)
        done = publish_events(work, chosen, hours)
    if done.publication is not None:
        made = done.publication
        typer.echo(
            f"publication {made.publication_id}: {made.rows:,} rows, {len(made.slices)} slices"
        )
    else:
        typer.echo("nothing published")
    for each in done.held:
        typer.echo(each.describe(), err=True)
    if done.held:
        raise typer.Exit(EXIT_HELD)


Cap = Annotated[int | None, typer.Option("--cap", min=1, help="Slices of events to take at most.")]


def derive(lake: LakeOpt = None, cap: Cap = None, engine: EngineOpt = None) -> None:
    """Update sessions and aggregates to what is published of events."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.derive.derive import derive as derive_tables
    from tidegate.pipeline.derive.derive import describe

    settings = load_settings(lake=lake, engine=engine)
    with working(settings, tell=teller()) as work:
        derived = derive_tables(work, _others(settings), cap)
    typer.echo(describe(derived))
    for each in derived.held:
        typer.echo(each.describe(), err=True)
    for text in derived.outdated:
        typer.echo(text, err=True)
    if derived.held:
        raise typer.Exit(EXIT_HELD)
    if derived.outdated:
        raise typer.Exit(EXIT_FAULT)


Resume = Annotated[
    bool, typer.Option("--resume", help="A rollback is over: release what is newest.")
]


def release(lake: LakeOpt = None, resume: Resume = False, engine: EngineOpt = None) -> None:
    """Pin the versions of all published tables that belong together."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.derive.derive import standing
    from tidegate.pipeline.release.release import release as make

    settings = load_settings(lake=lake, engine=engine)
    with working(settings, tell=teller()) as work:
        made = make(work, standing(work, _others(settings)), resume=resume)
    typer.echo(f"release {made.release_id}" + ("" if made.is_new else " (nothing new since)"))
