"""`tidegate status`: what runs where, how the hours of each source stand, and what is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import JsonOpt, LakeOpt
from tidegate.common.durations import duration_text
from tidegate.common.errors import TidegateError
from tidegate.common.hints import command
from tidegate.config.settings import load_settings

if TYPE_CHECKING:
    from tidegate.query.freshness import Freshness
    from tidegate.query.status import Stale

Row = Mapping[str, Any]
SHORT = 20
"""Sources that are all listed; of more, only those that need somebody, unless all are asked for."""
_FAULTS = 10
_NEEDS = ("held", "behind", "missing", "waiting", "stale")
"""What a source may have that needs somebody, the worst first."""


def status(
    lake: LakeOpt = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="Only this source.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List sources that need nobody too, however many.")
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Show what runs where, hours by source, what is late, and which tables are stale."""
    from tidegate.cli.books import suite_fingerprints
    from tidegate.cli.stack import stack_lines
    from tidegate.common.text_output import visible
    from tidegate.config.source import find_source, readable_sources
    from tidegate.config.stack_state import running_state
    from tidegate.privacy.key import with_known_key
    from tidegate.query.connect import connect
    from tidegate.query.freshness import freshness
    from tidegate.query.status import hours, rolled_back, stale, unread

    settings = load_settings(lake=lake)
    found: list[dict[str, Any]] = []
    kept: list[Freshness] = []
    old: list[Stale] = []
    faults: list[str] = []
    not_read: list[str] = []
    rollback: str | None = None
    trouble = None
    try:
        sources, faults = readable_sources(settings.sources)
        with connect(settings) as connection:
            found = hours(connection)
            kept = freshness(connection, sources, datetime.now(UTC))
            known = [with_known_key(source, settings.home) for source in sources]
            old = stale(connection, known, suite_fingerprints(settings))
            rollback = rolled_back(connection)
            not_read = unread(connection)
    except TidegateError as error:
        trouble = error
    if source is not None:
        # The books may have sources whose files are gone.
        in_books = any(row["source"] == source for row in found)
        name = source if in_books else find_source(source, settings.sources).source
        found = [row for row in found if row["source"] == name]
        kept = [each for each in kept if each.source == name]
        old = [each for each in old if each.source == name]
        not_read = [text for text in not_read if text.startswith(f"{name}:")]
    if as_json:
        state = running_state(settings.home)
        told = {
            "stack": {
                "running": state is not None,
                "airflow": state.airflow if state else None,
                "sql": state.sql if state else None,
            },
            "lake": settings.lake,
            "rolled_back": rollback,
            "sources": found,
            "freshness": [each.as_json() for each in kept],
            "stale": [{**asdict(each), "todo": each.todo} for each in old],
            "not_read": not_read,
            "faults": faults,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    for line in stack_lines():
        typer.echo(line)
    typer.echo(f"lake     {settings.lake}")
    if trouble is not None:
        typer.echo(f"         {trouble.what}")
    if rollback is not None:
        typer.echo(f"readers  {visible(rollback)}; until: {command('release', '--resume')}")
    for line in source_lines(found, kept, everything=everything):
        typer.echo(line)
    for each in sorted(kept, key=lambda each: each.since or each.now):
        if each.missing:
            typer.echo(f"late     {each.source}: {visible(each.describe())}")
    for table in old:
        typer.echo(f"stale    {table.table_name} of {table.source}: {table.why}: {table.todo}")
    for text in not_read:
        typer.echo(f"not read {visible(text)}")
    for fault in faults[:_FAULTS]:
        typer.echo(f"fault    {visible(fault)}")
    if len(faults) > _FAULTS:
        typer.echo(f"fault    and {len(faults) - _FAULTS} more: tidegate check")


def source_lines(
    found: Sequence[Row], kept: Sequence[Freshness], *, everything: bool = False
) -> list[str]:
    """Return the hours of sources as a table, those that need somebody first.

    Args:
        found: rows of `reports.hours`.
        kept: how the sources that promise anything keep it; where none does, the table has nothing of it.
        everything: whether to list sources that need nobody, too, where they are many.
    """
    from tidegate.query.freshness import minutes_text

    promises = {each.source: each for each in kept}
    behind = {each.source for each in kept if each.missing}
    rows: list[dict[str, Any]] = []
    calm = 0
    for row in sorted(found, key=lambda row: _urgency(row, behind)):
        if len(found) > SHORT and not everything and not any(_needs(row, behind)):
            calm += 1
            continue
        told = dict(row)
        if promises:
            each = promises.get(row["source"])
            told["fresh"] = duration_text(each.promised) if each is not None else ""
            told["behind"] = minutes_text(each.behind) if each and each.behind is not None else ""
        rows.append(told)
    rest = f"and {calm} sources of which every hour is there: {command('status', '--all')}"
    return [*_table(rows), *([rest] if calm else [])]


def _needs(row: Row, behind: set[str]) -> list[bool]:
    """Return of each of `_NEEDS` whether a source has it."""
    return [row["source"] in behind if name == "behind" else row[name] > 0 for name in _NEEDS]


def _urgency(row: Row, behind: set[str]) -> tuple[list[bool], str]:
    return [not needed for needed in _needs(row, behind)], row["source"]


def _table(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines of equally wide columns."""
    if not rows:
        return []
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
