"""The commands put together, and what becomes of errors: a message and an exit status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import typer

from tidegate import __version__
from tidegate.cli import (
    approve,
    backfill,
    books,
    check,
    drift,
    erase,
    gate,
    init,
    maintain,
    metrics,
    quarantine,
    rebuild,
    report,
    rollback,
    sql,
    stack,
    status,
    steps,
    trace,
    verify,
)
from tidegate.common.errors import TidegateError
from tidegate.common.hints import forget, note
from tidegate.config.settings import known_project
from tidegate.config.source_places import remembered_files

app = typer.Typer(
    name="tidegate",
    help="Hourly event dumps in, audited Delta tables out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(status.status)
app.command("held")(books.held)
app.command("approve")(approve.approve)
app.command("report")(report.report)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("run")(steps.run)
app.command("backfill")(backfill.backfill)
app.command("land")(steps.land)
app.command("audit")(steps.audit)
app.command("publish")(steps.publish)
app.command("derive")(steps.derive)
app.command("release")(steps.release)
app.command("rollback")(rollback.rollback)
app.command("verify")(verify.verify)
app.command("rebuild")(rebuild.rebuild)
app.command("maintain")(maintain.maintain)
app.command("drift")(drift.drift)
app.command("erase")(erase.erase)
app.command("sql")(sql.sql)
app.command("metrics")(metrics.metrics)
app.command("trace")(trace.trace)
app.add_typer(gate.gate, name="gate")
app.add_typer(quarantine.quarantine, name="quarantine")
for extension in sorted(entry_points(group="tidegate.commands"), key=lambda entry: entry.name):
    extension.load()(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001 - its callback acts on it
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Hourly event dumps in, audited Delta tables out."""
    forget()
    context.call_on_close(forget)
    project = known_project()
    if project is not None:
        home = Path(os.environ.get("TIDEGATE_HOME") or project / ".tidegate")
        for name, path in remembered_files(home, project / "dags" / "sources").items():
            note(source=(name, path))


def main() -> None:
    """Run the command line; exit 0 done, 1 a fault, 2 usage, 3 held by the gate."""
    try:
        app()
    except TidegateError as error:
        _complain(error.describe())
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        _complain("interrupted; what was not finished is finished by running it again")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(text: str) -> None:
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    first, _, rest = text.partition("\n")
    typer.echo(f"{red}tidegate: {first}{plain}", err=True)
    if rest:
        typer.echo(rest, err=True)
