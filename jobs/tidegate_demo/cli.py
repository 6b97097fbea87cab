"""`tidegate demo`."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Annotated

import typer

from tidegate.cli.options import StackEngineOpt, teller


def register(app: typer.Typer) -> None:
    """Add `tidegate demo` to the command line."""
    app.command("demo")(demo)


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop when all is shown, instead of at Ctrl-C.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the made-up traffic.")] = 20260301,
    scale: Annotated[
        float, typer.Option(min=0.01, max=100, help="1 is about 116,000 lines.")
    ] = 1.0,
    engine: StackEngineOpt = "spark",
) -> None:
    """Show the whole system on this machine with made-up dumps: start, backfill, summary, query.

    Its state is kept in .tidegate/demo, which every demo empties first.
    """
    from tidegate.cli.stack import stack_home
    from tidegate.config.settings import demo_home, engine_named, find_project
    from tidegate.stack.run import check_stack
    from tidegate_demo.command import demo as run_demo
    from tidegate_demo.command import summary

    # An end asked for by a signal is an end in order, as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    tell = teller()
    home = demo_home(stack_home())
    with run_demo(find_project(), home, tell, seed, scale, engine_named(engine)) as running:
        typer.echo("")
        for line in summary(running):
            typer.echo(line)
        if leave:
            return
        typer.echo("\nIt stays up until Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                check_stack(home)
                time.sleep(1.0)
