"""`tidegate up` and `tidegate down`: the embedded stack as a thing that stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import StackEngineOpt
from tidegate.processes.private_files import ANALYST

if TYPE_CHECKING:
    from tidegate.config.stack_state import StackState


def stack_home() -> Path:
    """Return the state folder: `TIDEGATE_HOME`, else `.tidegate` in the project."""
    from tidegate.config.settings import find_project

    named = os.environ.get("TIDEGATE_HOME")
    return Path(named or find_project() / ".tidegate").resolve()


def up(
    airflow: Annotated[
        bool,
        typer.Option("--airflow/--no-airflow", help="Start Airflow too, or S3 and Spark only."),
    ] = True,
    sql: Annotated[
        bool, typer.Option("--sql/--no-sql", help="Start a SQL server for BI tools too.")
    ] = False,
    engine: StackEngineOpt = "spark",
) -> None:
    """Start the embedded stack (S3, Spark Connect server, Airflow) and leave it running.

    With --engine duckdb its jobs compute rows in their own processes, and no Spark server is started.
    """
    from tidegate.common.errors import TidegateError
    from tidegate.config.settings import engine_named
    from tidegate.config.stack_state import read_state
    from tidegate.stack.run import start_stack

    home = stack_home()
    state = read_state(home)
    if state is None:
        state = start_stack(
            home, airflow=airflow, sql=sql, progress=typer.echo, engine=engine_named(engine)
        )
    elif sql and state.sql is None:
        raise TidegateError(
            "a stack without a SQL server runs in this state folder",
            where=str(home),
            todo="run: tidegate down, then: tidegate up --sql",
        )
    else:
        typer.echo("it runs already")
    for line in describe(state):
        typer.echo(line)
    typer.echo("stop it with: tidegate down")


def down() -> None:
    """Stop the embedded stack, whatever is left of it; its data stay."""
    from tidegate.config.settings import demo_home
    from tidegate.stack.run import stop_stack

    home = stack_home()
    stopped = [stop_stack(each, progress=typer.echo) for each in (home, demo_home(home))]
    if any(stopped):
        typer.echo("stopped")
    else:
        typer.echo("nothing was running")


def stack_lines() -> list[str]:
    """Return what of the embedded stack runs where, a line each, and what of it had to be started again.

    Where none runs: that, and why.
    """
    from tidegate.config.settings import demo_home
    from tidegate.config.stack_state import read_state
    from tidegate.stack.restarts import read_restarts
    from tidegate.stack.run import fault_of

    home = stack_home()
    for place in (home, demo_home(home)):
        state = read_state(place)
        if state is not None:
            again = [line for each in read_restarts(place) for line in each.describe()]
            return [*describe(state), *again]
    lines = [f"no stack runs in {home}; start one with: tidegate up"]
    fault = fault_of(home)
    if fault is not None:
        lines.append(f"the last one stopped for this reason: {fault}")
    return lines


def describe(state: StackState) -> list[str]:
    """Return the addresses of a running stack and how to log in, a line each."""
    lines = [
        f"S3       {state.s3.endpoint}  (dumps in {state.dumps}, lake {state.lake})",
        f"Spark    {state.spark.split('/;')[0]}"
        if state.spark is not None
        else "DuckDB   computes rows in the processes of the jobs",
    ]
    if state.airflow is not None:
        lines.append(f"Airflow  {state.airflow}  (user {state.user}, password {state.password})")
    if state.sql is not None:
        lines.append(
            f"SQL      jdbc:hive2://{state.sql}/default  (user {ANALYST}, password in {state.sql_password})"
        )
    return lines
