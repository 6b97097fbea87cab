"""`tidegate init`: a source file proposed from samples, without a JVM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.errors import TidegateError
from tidegate.names import NAME
from tidegate.settings import load_settings


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

    The file goes to standard output or --out; what was seen, to standard error.
    """
    from tidegate.hours import hour_text
    from tidegate.propose.draft import propose
    from tidegate.propose.read import read_samples
    from tidegate.rendering import visible
    from tidegate.source import readable_sources
    from tidegate.template import may_share_files, parse_template

    if name is not None and not NAME.fullmatch(name):
        raise typer.BadParameter("a source's name is a-z, 0-9 and _, beginning with a letter")
    if out is not None and out.exists():
        raise _refused(out, "there is such a file, which may be someone's work")
    settings = load_settings()
    known = readable_sources(settings.sources)[0] if settings.sources.is_dir() else []
    sampled = read_samples(samples, settings.s3, lines)
    folder = out.parent if out is not None else settings.sources
    made = propose(
        sampled,
        folder,
        name=name,
        known_sources=[source.source for source in known],
        known_columns={
            column: each.type for source in known for column, each in source.columns.items()
        },
    )
    if out is None:
        typer.echo(made.text, nl=False)
    else:
        _write(out, made.text)
    for text in made.summary:
        typer.echo(text, err=True)
    template = parse_template(made.dumps, folder)
    shared = [
        f"{source.path.name} takes such files already, and a file belongs to one source"
        for source in known
        if may_share_files(source.dumps, template)
    ]
    if name in {source.source for source in known}:
        shared.append(f"there is a source named {name} already, and a source has one file")
    for text in (*made.warnings, *shared):
        typer.echo(f"look  {visible(text)}", err=True)
    file_name = str(out) if out is not None else f"dags/sources/{made.source}.yml"
    steps = ["read it"] if out is not None else [f"save it as {file_name}", "read it"]
    if not made.is_located:
        steps.append("write where an hour's files are ('dumps')")
    typer.echo(f"next  {', '.join(steps)}, then: tidegate check", err=True)
    typer.echo(
        f"      tidegate run {file_name} --from {hour_text(made.first)} --to {hour_text(made.last)} "
        "--lake LAKE",
        err=True,
    )


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
