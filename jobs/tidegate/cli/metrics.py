"""`tidegate metrics`: which metrics a release has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import JsonOpt, LakeOpt, aligned
from tidegate.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def metrics(
    lake: LakeOpt = None,
    release: Annotated[
        str | None, typer.Option(help="Id of a release; the latest by default.", metavar="ID")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """List the metrics of a release; each is a view: tidegate sql "SELECT * FROM metrics.<name>"."""
    from tidegate.common.text_output import visible
    from tidegate.query import connect as query

    settings = load_settings(lake=lake)
    with query.connect(settings, release) as connection:
        shown = query.pinned(connection)
        definitions = query.metrics(connection)
    rows = [_row(name, text) for name, text in definitions.items()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    heads = ("metric", "kind", "owner", "description")
    for line in aligned([{head: visible(str(row[head])) for head in heads} for row in rows]):
        typer.echo(line)
    of = f"release {shown}" if shown else "no release yet"
    typer.echo(f"({len(rows):,} metric{'' if len(rows) == 1 else 's'}; {of})", err=True)
    if release is None:
        for text in _waiting(settings, definitions):
            typer.echo(visible(text), err=True)


def _row(name: str, text: str) -> dict[str, Any]:
    """Return a metric of a release for people and scripts; one that a newer version wrote, as it is."""
    try:
        definition = json.loads(text)
    except ValueError:
        definition = {}
    if not isinstance(definition, dict):
        definition = {}
    told = {key: definition.get(key, "") for key in ("kind", "owner", "description")}
    return {"metric": name, "view": f"metrics.{name}", **told, "definition": definition}


def _waiting(settings: Settings, definitions: Mapping[str, str]) -> list[str]:
    """Return what the project's files say otherwise than the release does."""
    from tidegate.config.metrics import readable_metrics

    read = readable_metrics(settings.metrics)
    changed = []
    for name, metric in read.metrics.items():
        if name not in definitions:
            changed.append(f"{name} (new)")
            continue
        said = json.loads(definitions[name])
        said.pop("columns", None)
        if said != metric.definition():
            changed.append(f"{name} (changed)")
    changed += [
        f"{name} (gone)"
        for name in definitions
        if name not in read.metrics and name not in read.faults
    ]
    told = (
        [f"the next release takes from {settings.metrics}: {', '.join(changed)}"] if changed else []
    )
    faults = [each for faults in read.faults.values() for each in faults]
    return told + [f"left as it was: {settings.metrics}/{each}" for each in faults]
