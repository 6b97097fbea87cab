"""`tidegate init`: a source file proposed from samples, without a JVM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.common.errors import EXIT_FAULT, TidegateError
from tidegate.common.hints import command
from tidegate.common.identifiers import NAME
from tidegate.config.settings import load_settings

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.propose.draft import Proposal
    from tidegate.propose.trial import Trial


def init(
    samples: Annotated[
        list[str],
        typer.Argument(
            metavar="SAMPLE...", help="Files or folders of dumps, or s3://bucket/prefix."
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the source; guessed from the path.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write there, which must not exist yet."),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", min=1, help="Lines to read of all samples together.")
    ] = 10_000,
) -> None:
    """Propose a source file from samples of its dumps, to be read and corrected by a person.

    The proposal is tried on the samples before it is said to be right: exit 1 if their names tell no hour, it can't
    read a file, or more than 5 % of the records would be quarantined. The file goes to standard output or --out in
    any case; what was seen, and what could not be decided, to standard error.
    """
    from tidegate.common.hours import hour_text
    from tidegate.common.yaml_strict import parse_yaml
    from tidegate.config.source import parse_source, readable_sources
    from tidegate.propose.draft import propose
    from tidegate.propose.read import read_samples
    from tidegate.propose.trial import land_samples

    if name is not None and not NAME.fullmatch(name):
        raise typer.BadParameter("a source's name is a-z, 0-9 and _, beginning with a letter")
    if out is not None and out.exists():
        raise _refused(out, "there is such a file, which may be someone's work")
    settings = load_settings()
    known = readable_sources(settings.sources)[0] if settings.sources.is_dir() else []
    sampled = read_samples(samples, settings.s3, lines)
    folder = out.parent if out is not None else settings.sources
    proposal = propose(
        sampled,
        folder,
        name=name,
        known_sources=[source.source for source in known],
        known_columns={
            column: each.type for source in known for column, each in source.columns.items()
        },
    )
    path = out if out is not None else folder / f"{proposal.source}.yml"
    source = parse_source(parse_yaml("\n".join(proposal.lines), path), path)
    trial = land_samples(source, sampled, proposal.hours, is_located=proposal.is_located)
    if out is None:
        typer.echo(proposal.text(trial.outcome), nl=False)
    else:
        _write(out, proposal.text(trial.outcome))
    _tell(proposal, _shared(source, known, name), trial)
    steps = ["read it"] if out is not None else [f"save it as {path}", "read it"]
    steps += ["correct it"] if trial.faults else []
    typer.echo(f"next   {', '.join(steps)}, then: tidegate check", err=True)
    hours = ("--from", hour_text(proposal.first), "--to", hour_text(proposal.last))
    typer.echo(f"       {command('run', str(path), *hours)}", err=True)
    if trial.faults:
        raise typer.Exit(EXIT_FAULT)


def _shared(source: Source, known: list[Source], name: str | None) -> list[str]:
    """Return what the sources that are there already have of a new one's."""
    from tidegate.config.source.check import share_files

    shared = [
        f"{other.path.name} takes such files already, and a file belongs to one source"
        for other in known
        if share_files(other, source)
    ]
    if name in {other.source for other in known}:
        shared.append(f"there is a source named {name} already, and a source has one file")
    return shared


def _tell(proposal: Proposal, shared: list[str], trial: Trial) -> None:
    """Write what was seen, what could not be decided, and what became of the samples."""
    from tidegate.common.text_output import visible

    for line in proposal.summary:
        typer.echo(line, err=True)
    for warning in (*proposal.warnings, *shared):
        typer.echo(f"look   {visible(warning)}", err=True)
    for what, todo in proposal.undecided:
        typer.echo(f"could not decide {visible(what)}; next: {visible(todo)}", err=True)
    for fault in trial.faults:
        typer.echo(f"wrong  {visible(fault)}", err=True)
    typer.echo(f"{'wrong' if trial.faults else 'ok   '}  {visible(trial.outcome)}", err=True)


def _write(out: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        TidegateError: it is, or can't be written.
    """
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _refused(out, error.strerror or str(error)) from error


def _refused(out: Path, why: str) -> TidegateError:
    return TidegateError(
        "the proposal can't be written",
        where=str(out),
        expected="a new file in a folder that is there",
        got=why,
        todo="name another --out, or leave it out to see the proposal",
    )
