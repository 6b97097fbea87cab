"""`tidegate rebuild`: tables anew by the configuration of today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import (
    DumpsOpt,
    EngineOpt,
    FirstOpt,
    JsonOpt,
    LakeOpt,
    LastOpt,
    SomeSourceArg,
    asked_between,
    teller,
)
from tidegate.common.errors import EXIT_FAULT, EXIT_HELD, TidegateError
from tidegate.common.suggestions import hint
from tidegate.config.settings import Settings, load_settings
from tidegate.tables import BY_NAME, REBUILDABLE, Table

if TYPE_CHECKING:
    from tidegate.config.source import Source

TableArg = Annotated[
    str | None,
    typer.Argument(
        metavar="[TABLE]", help="A table; all that `tidegate status` calls stale without."
    ),
]


def rebuild(
    table: TableArg = None,
    source: SomeSourceArg = None,
    first: FirstOpt = None,
    last: LastOpt = None,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    engine: EngineOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Build tables again by the source files, suites and code of today, and swap them in.

    `events` is landed again from its dumps, the others are built from published events. A table is replaced
    whole by one publication, or not at all; what is built from it follows. With --from or --to it is just what
    the published dumps of those hours bear on.
    """
    from tidegate.config.source import find_source, load_sources
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.derive.derive import derive
    from tidegate.pipeline.rebuild import rebuild as build
    from tidegate.pipeline.release.release import release

    settings = load_settings(lake=lake, dumps=dumps, engine=engine)
    sources = [find_source(source, settings.sources)] if source else load_sources(settings.sources)
    between = asked_between(first, last)
    if between is not None and table is None:
        raise typer.BadParameter("--from and --to need a TABLE")
    wanted = _wanted(settings, _table(table), sources)
    if not wanted:
        typer.echo("nothing is stale" if table is None else "there is no source")
        return
    with working(settings, tell=teller()) as work:
        done = [build(work, each, its, between) for each, its in wanted]
        derived = derive(work, sources)
        made = release(work, derived)
    held = [*(audit for each in done for audit in each.held), *derived.held]
    if as_json:
        told = {
            "rebuilt": [
                {
                    "table": each.table,
                    "source": each.source,
                    "publication_id": each.publication and each.publication.publication_id,
                    "rows": each.publication and each.publication.rows,
                    "slices": each.publication and len(each.publication.slices),
                }
                for each in done
            ],
            "held": [audit.describe() for audit in held],
            "release": made.release_id,
        }
        typer.echo(json.dumps(told, indent=2))
    else:
        for each in done:
            rows = (
                f"{each.publication.rows:,} rows in {len(each.publication.slices)} slices"
                if each.publication
                else "left as it was"
            )
            typer.echo(f"{each.table} of {each.source}: {rows}")
        for publication in derived.publications:
            typer.echo(f"{publication.table_name} of {publication.source} followed")
        for audit in held:
            typer.echo(audit.describe(), err=True)
        for text in derived.outdated:
            typer.echo(text, err=True)
        typer.echo(f"release {made.release_id}" + ("" if made.is_new else " (nothing new)"))
    if held:
        raise typer.Exit(EXIT_HELD)
    if derived.outdated:
        raise typer.Exit(EXIT_FAULT)


def _table(name: str | None) -> Table | None:
    if name is None:
        return None
    known = {table.name: table for table in REBUILDABLE}
    if name not in known:
        raise TidegateError(
            f"{name!r} is no table that can be built anew",
            expected=f"one of {', '.join(known)}",
            got=f"{name!r}; {hint(name, known)}",
            todo="leave it out for all that `tidegate status` calls stale",
        )
    return known[name]


def _wanted(
    settings: Settings, table: Table | None, sources: Sequence[Source]
) -> list[tuple[Table, Source]]:
    """Return what to build, each table after those that it is built from."""
    from tidegate.cli.books import suite_fingerprints
    from tidegate.privacy.key import with_known_key
    from tidegate.query.connect import connect
    from tidegate.query.status import stale

    if table is not None:
        return [(table, source) for source in sources]
    with connect(settings) as connection:
        keyed = [with_known_key(source, settings.home) for source in sources]
        found = stale(connection, keyed, suite_fingerprints(settings))
    known = {source.source: source for source in sources}
    return [(BY_NAME[each.table_name], known[each.source]) for each in found]
