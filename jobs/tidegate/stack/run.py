"""Start, find and end the embedded stack of a state folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.config.settings import EngineName
from tidegate.config.stack_state import StackState, read_state, state_file, supervisor_pid
from tidegate.processes.child import end_marked

HOME_MARK = "TIDEGATE_STACK"  # as in supervisor.py, which is too much to import here
STOP_S = 60.0
"""Seconds a stack may take to stop in order before what is left is killed."""
Progress = Callable[[str], None]


@contextlib.contextmanager
def running_stack(
    home: Path,
    *,
    project: Path | None = None,
    airflow: bool = True,
    sql: bool = False,
    progress: Progress | None = None,
    spark_conf: Mapping[str, str] | None = None,
    engine: EngineName = "spark",
) -> Iterator[StackState]:
    """Run a stack as long as the `with` block, and no longer than this process.

    However this process ends, by SIGKILL too, the stack ends with it. `check_stack` tells inside
    the block whether the stack is still whole; at its end that is told anyway.

    Args:
        home: the state folder.
        project: the folder that holds `dags`; by default the one found from here.
        airflow: whether Airflow is part of it.
        sql: whether the SQL server is.
        progress: is told what goes on, a line at a time.
        spark_conf: properties of its Spark server, over its own.
        engine: what its jobs compute rows by.

    Raises:
        TidegateError: it could not be started, or one of its processes ended by itself.
    """
    launched = _launch(
        home.resolve(), project, airflow=airflow, sql=sql, spark_conf=spark_conf, engine=engine
    )
    tell = progress or _silent
    try:
        yield launched.wait(tell)
    except BaseException as error:
        tell("stopping the stack")
        launched.end()
        fault = fault_of(home)
        if fault is not None and not isinstance(error, KeyboardInterrupt):
            raise fault from error  # the cause: what the caller saw is a consequence
        raise
    tell("stopping the stack")
    launched.end()
    check_fault(home)


def start_stack(
    home: Path,
    *,
    project: Path | None = None,
    airflow: bool = True,
    sql: bool = False,
    progress: Progress | None = None,
    engine: EngineName = "spark",
) -> StackState:
    """Start a stack that lives on by itself until `stop_stack`; return once it answers.

    If this process ends before, so does the stack.

    Raises:
        TidegateError: it could not be started.
    """
    launched = _launch(home.resolve(), project, airflow=airflow, sql=sql, engine=engine)
    try:
        state = launched.wait(progress or _silent)
    except BaseException:
        launched.end()
        raise
    launched.let_go()
    return state


def stop_stack(home: Path, progress: Progress | None = None) -> bool:
    """End the stack of a state folder, whatever is left of it; return whether there was anything.

    Its supervisor is asked to stop everything in order. If it is gone, or too slow, every process
    that carries the state folder's mark in its environment is killed.
    """
    home = home.resolve()
    tell = progress or _silent
    deadline = time.monotonic() + STOP_S
    found = False
    while (pid := supervisor_pid(home)) is not None and time.monotonic() < deadline:
        if not found:
            tell(f"stopping the stack (process {pid})")
            found = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)
    left = end_marked(str(home), HOME_MARK, grace=0.0 if found else 5.0)
    if left:
        tell(f"killed {left} processes of a stack without a supervisor")
    state_file(home).unlink(missing_ok=True)
    return found or left > 0


def check_stack(home: Path) -> None:
    """Return if the stack of a state folder runs.

    Raises:
        TidegateError: it does not; says why it stopped, if that is known.
    """
    if read_state(home) is None:
        check_fault(home)
        raise TidegateError(
            "no stack runs in this state folder",
            where=str(home),
            got="its supervisor is gone",
            todo="start it: tidegate up",
        )


def check_fault(home: Path) -> None:
    """Raise the error that the last stack of a state folder stopped for, if it did for one."""
    fault = fault_of(home)
    if fault is not None:
        raise fault


def fault_of(home: Path) -> TidegateError | None:
    """Return the error that the last stack of a state folder stopped for, or None."""
    with contextlib.suppress(FileNotFoundError):
        return TidegateError(**json.loads((home / "fault.json").read_text()))
    return None


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass
class _Launched:
    """A supervisor that this process started."""

    home: Path
    process: subprocess.Popen[bytes]
    lifeline: int
    report: int

    def wait(self, progress: Progress) -> StackState:
        """Return the state once the stack answers."""
        with os.fdopen(self.report, closefd=False) as lines:
            for line in lines:
                told = json.loads(line)
                if told["kind"] == "say":
                    progress(told["text"])
                elif told["kind"] == "fault":
                    raise TidegateError(**json.loads(told["text"]))
                elif told["kind"] == "ready":
                    state = read_state(self.home)
                    if state is not None:
                        return state
        log = self.home / "logs" / "supervisor.log"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        raise TidegateError(
            "the stack's supervisor ended before the stack was ready",
            where=str(log),
            got=f"exit status {self.process.returncode}",
            todo="read the log named above, then start again",
        )

    def end(self) -> None:
        """Stop the stack in order and wait for it; kill what is too slow."""
        os.close(self.lifeline)
        os.close(self.report)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        except KeyboardInterrupt:  # somebody is impatient
            self.process.kill()
            self.process.wait()
            self._sweep()
            raise
        self._sweep()

    def _sweep(self) -> None:
        """Kill what is left of the stack; but spare another's that had the state folder first."""
        if supervisor_pid(self.home) is None:
            end_marked(str(self.home), HOME_MARK)

    def let_go(self) -> None:
        """Let the stack live on without this process."""
        os.write(self.lifeline, b"d")
        os.close(self.lifeline)
        os.close(self.report)


def _launch(
    home: Path,
    project: Path | None,
    *,
    airflow: bool,
    sql: bool,
    spark_conf: Mapping[str, str] | None = None,
    engine: EngineName = "spark",
) -> _Launched:
    from tidegate.config.settings import find_project, load_sql_limits

    if sql:
        load_sql_limits()  # what is wrong with them is said before anything is started

    folder = project.resolve() if project else find_project()
    log = home / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    lifeline_in, lifeline_out = os.pipe()
    report_in, report_out = os.pipe()
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tidegate.stack.supervisor",
                f"--home={home}",
                f"--project={folder}",
                f"--lifeline={lifeline_in}",
                f"--report={report_out}",
                *([] if airflow else ["--without-airflow"]),
                *(["--with-sql"] if sql else []),
                f"--engine={engine}",
                *(f"--spark-conf={key}={value}" for key, value in (spark_conf or {}).items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(lifeline_in, report_out),
            start_new_session=True,  # Ctrl-C is for the caller, who then stops it in order
        )
    os.close(lifeline_in)
    os.close(report_out)
    return _Launched(home, process, lifeline_out, report_in)
