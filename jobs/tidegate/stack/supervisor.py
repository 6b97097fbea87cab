"""The owner of the embedded stack's processes: `python -m tidegate.stack.supervisor`.

It starts them, says when all of them answer, and starts again what ends by itself (see `restarts`). It
ends them all when it is told to, when one of them does not start or dies too often, or when whoever
started it is gone. If it is killed itself, the guards of its children end them (see `guard`).
`stack/run.py` starts it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from tidegate.common.errors import TidegateError
from tidegate.config.settings import ENGINES, EngineName, load_sql_limits
from tidegate.config.stack_state import StackState, lock_file, state_file, write_state
from tidegate.engine.spark_server import MEMORY, launch_spark, spark_token, wait_for_spark
from tidegate.processes.child import Child, end_marked, rotate
from tidegate.processes.ports import Ports
from tidegate.processes.private_files import (
    USER,
    load_secrets,
    load_sql_secrets,
    sql_password_file,
    write_private,
)
from tidegate.stack.airflow import (
    COMPONENTS,
    AirflowPlan,
    launch_component,
    migrate,
    prepare,
    wait_for_airflow,
    wait_for_component,
)
from tidegate.stack.restarts import (
    LONGEST_S,
    MOST,
    WITHIN_S,
    Restart,
    pause,
    restarts_file,
    write_restarts,
)
from tidegate.stack.seaweed import (
    DUMPS_BUCKET,
    LAKE_BUCKET,
    Reader,
    launch_seaweed,
    plan_seaweed,
    wait_for_seaweed,
)
from tidegate.stack.sql import HOST, SqlPlan, build_sql_server, launch_sql, wait_for_sql

HOME_MARK = "TIDEGATE_STACK"
"""Variable in the environment of every process of a stack: its state folder."""
LAKE = f"s3a://{LAKE_BUCKET}/lake"
DUMPS = f"s3://{DUMPS_BUCKET}"
_TICK_S = 0.2
# Whoever looks whether a supervisor lives (`supervisor_pid`) holds the lock for an instant.
_LOCK_S = 1.0
_SILENT_S = 5.0
"""Seconds from SIGTERM to SIGKILL for a part that does not answer after it was started again."""
T = TypeVar("T")
# What is stopped together, in order, with the seconds from SIGTERM to SIGKILL. S3 goes last.
_STOPPING = (
    (("scheduler", "dag-processor", "triggerer", "airflow-migrate"), 8.0),
    (("api-server", "spark", "sql-build", "sql"), 8.0),
    (("s3",), 20.0),
)


class Stopped(Exception):  # noqa: N818 (it is no error)
    """Starting was given up, since the stack is to stop."""


def fault_file(home: Path) -> Path:
    """Return the file that says why the last stack of a state folder stopped, if it was no wish."""
    return home / "fault.json"


def fault_text(error: BaseException) -> str:
    """Return an error as JSON that `read_fault` understands."""
    if not isinstance(error, TidegateError):
        told = "".join(traceback.format_exception_only(error)).strip()
        error = TidegateError("the stack failed", got=told, todo="this is a bug: please report it")
    names = ("what", "where", "expected", "got", "todo")
    return json.dumps({name: getattr(error, name) for name in names})


def read_fault(text: str) -> TidegateError:
    """Return the error that `fault_text` wrote."""
    return TidegateError(**json.loads(text))


@dataclass(frozen=True)
class Part:
    """A process of the stack that is started again, at the same address, when it ends by itself.

    Attributes:
        launch: starts it without waiting.
        wait: returns once what was started so many seconds after the epoch answers.
        vital: whether the stack is to stop when it dies too often; else it is started again all the same, since
            the rest does not need it, and those whom it serves could make it die.
    """

    launch: Callable[[], Child]
    wait: Callable[[Child, float], object]
    vital: bool = True


@dataclass
class Supervisor:
    """One stack.

    Attributes:
        home: the state folder.
        project: the folder that holds `dags`.
        airflow: whether Airflow is part of it.
        say: is told what goes on, a line at a time.
        spark_conf: properties of the Spark server, over its own.
        sql: whether the SQL server is part of it.
        engine: what its jobs compute rows by: `spark`, on a server that is part of it, or `duckdb`, in the
            processes of the jobs.
    """

    home: Path
    project: Path
    airflow: bool
    say: Callable[[str], None]
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    sql: bool = False
    engine: EngineName = "spark"
    _parts: dict[str, Part] = field(default_factory=dict)
    _children: dict[str, Child] = field(default_factory=dict)
    _deaths: dict[str, list[float]] = field(default_factory=dict)
    _reviving: dict[str, Future[float]] = field(default_factory=dict)
    _restarts: list[Restart] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Future[StackState]:
        """Begin to start everything; the future has the state once all of it answers."""
        for log in (self.home / "logs").glob("*.log"):
            if log.name != "supervisor.log":
                rotate(log)
        restarts_file(self.home).unlink(missing_ok=True)
        return _in_background(self._start)

    def dead(self) -> TidegateError | None:
        """Return the error of a part that ended by itself, if there is one."""
        for name in self._parts.keys() - self._reviving.keys():
            child = self._child(name)
            if child is not None and child.poll() is not None:
                return child.died()
        return None

    def mend(self) -> TidegateError | None:
        """Have parts that ended by themselves started again; return the error of one that dies too often."""
        for name, coming in list(self._reviving.items()):
            if not coming.done():
                continue
            del self._reviving[name]
            if (failed := coming.exception()) is None:
                self._back(name, coming.result())
            elif (fault := self._revive(name, failed)) is not None:
                return fault
        for name in self._parts.keys() - self._reviving.keys():
            child = self._child(name)
            if child is not None and child.poll() is not None:
                fault = self._revive(name, child.died())
                if fault is not None:
                    return fault
        return None

    def stop(self) -> None:
        """End everything in order; what depends on another goes before it."""
        with self._lock:
            self._stopping.set()
        for names, grace in _STOPPING:
            group = [self._children[name] for name in names if name in self._children]
            for child in group:
                child.ask_to_stop(grace)
            for child in group:
                child.stop(grace)

    def _revive(self, name: str, fault: BaseException) -> TidegateError | None:
        """Begin to start a part again; return the fault if it has died too often for that."""
        if not isinstance(fault, TidegateError):  # nothing that starting it again could mend
            return TidegateError(
                f"a part of the stack could not be started again: {name}",
                got=f"{type(fault).__name__}: {fault}",
                todo="this is a bug: please report it",
            )
        child = self._children[name]
        lived = child.poll() is None
        if lived:  # it keeps silent
            child.stop(_SILENT_S)
        deaths = self._deaths.setdefault(name, [])
        deaths.append(time.monotonic())
        wait = pause(deaths)
        if wait is None and not self._parts[name].vital:
            wait = LONGEST_S
        if wait is None:
            return TidegateError(
                fault.what,
                where=fault.where,
                expected=f"a part that is started again at most {MOST} times in {WITHIN_S / 60:.0f} minutes",
                got=fault.got,
                todo=fault.todo,
            )
        words = child.log_tail()
        ended = "it did not answer" if lived else str(fault.got).partition("; its last words")[0]
        kept = rotate(child.log_file)
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._restarts.append(Restart(child.name, at, ended, words, str(kept)))
        write_restarts(self.home, self._restarts)
        self.say(
            f"{child.name} ended: {ended}; it is started again"
            + (f" in {wait:.0f} s" if wait else "")
            + f" (its log: {kept})"
        )
        self._reviving[name] = _in_background(lambda: self._start_again(name, wait))
        return None

    def _start_again(self, name: str, wait: float) -> float:
        """Start a part again after a pause; return how many seconds it took until it answered."""
        begun = time.monotonic()
        if self._stopping.wait(wait):
            raise Stopped
        since = time.time()
        try:
            child = self._parts[name].launch()
        except OSError as error:  # such as no memory for another process, which may come back
            raise TidegateError(
                f"a part of the stack could not be started: {name}",
                got=str(error),
                todo="see whether the machine has memory and room on its disks",
            ) from error
        self._add(name, child)
        self._parts[name].wait(child, since)
        return time.monotonic() - begun

    def _back(self, name: str, seconds: float) -> None:
        """Note that a part answers again."""
        part = self._children[name].name
        at = max(n for n, each in enumerate(self._restarts) if each.part == part)
        self._restarts[at] = replace(self._restarts[at], back_s=seconds)
        write_restarts(self.home, self._restarts)
        self.say(f"{part} answers again, after {seconds:.0f} s")

    def _child(self, name: str) -> Child | None:
        with self._lock:
            return self._children.get(name)

    def _add(self, name: str, child: Child) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._children[name] = child
                return
        child.stop(0.0)
        raise Stopped

    def _first(self, name: str, part: Part) -> Child:
        """Start a part the first time."""
        child = part.launch()
        self._add(name, child)
        self._parts[name] = part
        return child

    def _start(self) -> StackState:
        secrets, ports = load_secrets(self.home), Ports(self.home)
        on_spark = self.engine == "spark"
        spark_port = ports.choose("spark", "the Spark Connect server") if on_spark else 0
        airflow_port = ports.choose("airflow", "Airflow") if self.airflow else 0

        sql = self._plan_sql(ports) if self.sql else None
        readers = [] if sql is None else [_sql_reader(sql)]
        storage_plan = plan_seaweed(self.home, ports, secrets, readers)
        s3 = storage_plan.s3
        seaweed = self._first(
            "s3",
            Part(
                lambda: launch_seaweed(storage_plan),
                lambda child, _: wait_for_seaweed(child, s3),
            ),
        )
        storage = _in_background(lambda: wait_for_seaweed(seaweed, s3))
        token = spark_token()
        address = f"sc://localhost:{spark_port}/;token={token}"
        computing = Part(
            lambda: launch_spark(
                self.home,
                s3=s3,
                log=self.home / "logs" / "spark.log",
                memory=os.environ.get(MEMORY) or "2g",
                extra_conf=self.spark_conf,
                port=spark_port,
                progress=self.say,
                token=token,
            )[0],
            lambda child, _: wait_for_spark(child, token),
        )
        launched = _in_background(lambda: self._first("spark", computing)) if on_spark else None
        built = _in_background(
            lambda: (
                build_sql_server(
                    self.home, self.project, lambda child: self._add("sql-build", child), self.say
                )
                if sql is not None
                else None
            )
        )
        if self.airflow:
            plan = AirflowPlan(
                home=self.home,
                project=self.project,
                port=airflow_port,
                secrets=secrets,
                env={
                    HOME_MARK: str(self.home),
                    "TIDEGATE_HOME": str(self.home),
                    "TIDEGATE_PROJECT": str(self.project),
                    "TIDEGATE_LAKE": LAKE,
                    "TIDEGATE_ENGINE": self.engine,
                    **({"TIDEGATE_SPARK": address} if on_spark else {}),
                    "AWS_ENDPOINT_URL_S3": str(s3.endpoint),
                    "AWS_ACCESS_KEY_ID": secrets.s3_access_key,
                    "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_key,
                    "AWS_REGION": s3.region,
                },
            )
            env = prepare(plan)
            migrate(plan, env, lambda child: self._add("airflow-migrate", child))
        spark = launched.result() if launched is not None else None
        if self.airflow:
            begun = time.time()
            parts = {name: self._first(name, _component(plan, env, name)) for name in COMPONENTS}
        storage.result()
        self.say(f"S3 answers at {s3.endpoint}")
        serving = None
        if sql is not None and (jar := built.result()) is not None:
            serving = self._first("sql", _sql_server(replace(sql, s3_endpoint=s3.endpoint), jar))
        if spark is not None:
            wait_for_spark(spark, token)
            self.say(f"Spark answers at sc://localhost:{spark_port}")
        if self.airflow:
            wait_for_airflow(plan, parts, begun)
            self.say(f"Airflow answers at {plan.url}")
        if sql is not None and serving is not None:
            wait_for_sql(serving, sql.port)
            self.say(f"the SQL server answers at {HOST}:{sql.port}")
        return StackState(
            pid=os.getpid(),
            lake=LAKE,
            dumps=DUMPS,
            spark=address if on_spark else None,
            s3=s3,
            airflow=plan.url if self.airflow else None,
            user=USER if self.airflow else None,
            password=secrets.password if self.airflow else None,
            sql=f"{HOST}:{sql.port}" if sql is not None else None,
            sql_password=str(sql_password_file(self.home)) if sql is not None else None,
        )

    def _plan_sql(self, ports: Ports) -> SqlPlan:
        return SqlPlan(
            self.home,
            self.project,
            LAKE,
            ports.choose("sql", "the SQL server"),
            load_sql_secrets(self.home),
            load_sql_limits(),
        )


def _sql_reader(plan: SqlPlan) -> Reader:
    """Return the identity of a SQL server: published tables and books, and not what is in staging."""
    lake = plan.lake.removeprefix("s3a://")
    keys = plan.secrets
    folders = [f"{lake}/warehouse", f"{lake}/ops"]
    return Reader("sql", keys.s3_access_key, keys.s3_secret_key, folders)


def _sql_server(plan: SqlPlan, jar: Path) -> Part:
    return Part(
        lambda: launch_sql(plan, jar),
        lambda child, _: wait_for_sql(child, plan.port),
        vital=False,
    )


def _component(plan: AirflowPlan, env: Mapping[str, str], name: str) -> Part:
    return Part(
        lambda: launch_component(plan, env, name),
        lambda child, since: wait_for_component(plan, name, child, since),
    )


def _in_background(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread that does not keep the process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class Report:
    """Tells whoever started the supervisor what goes on, as lines of JSON, while it listens."""

    def __init__(self, descriptor: int | None) -> None:
        self._out: IO[str] | None = None
        if descriptor is not None:
            self._out = os.fdopen(descriptor, "w", buffering=1)

    def tell(self, kind: str, text: str = "") -> None:
        """Send one line; it is in the supervisor's own log too.

        Nobody listens once the stack is ready: what is told later would fill the pipe in the end.
        """
        print(f"{time.strftime('%H:%M:%S')} {kind} {text}", flush=True)  # noqa: T201 (into the log)
        if self._out is not None:
            try:
                self._out.write(json.dumps({"kind": kind, "text": text}) + "\n")
                if kind == "ready":
                    self._out.close()
                    self._out = None
            except OSError:  # it listens no more
                self._out = None


def take_lock(home: Path) -> IO[str]:
    """Lock a state folder for this process; the lock goes with it, however it ends.

    Raises:
        TidegateError: another stack runs there.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = lock_file(home).open("a+")
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                lock.seek(0)
                raise TidegateError(
                    "a stack runs in this state folder already",
                    where=str(home),
                    got=f"process {lock.read().strip() or 'unknown'} holds it",
                    todo="use it, or end it first: tidegate down",
                ) from error
        time.sleep(_TICK_S)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def supervise(supervisor: Supervisor, lifeline: int | None, report: Report) -> int:
    """Run a stack until it is to stop; return the exit status.

    Args:
        supervisor: the stack.
        lifeline: a pipe's reading end: when it ends, the stack stops; a `d` on it means that the
            stack is to live on by itself.
        report: is told of progress, readiness and faults.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    home = supervisor.home
    fault_file(home).unlink(missing_ok=True)
    starting: Future[StackState] | None = supervisor.start()
    fault: BaseException | None = None
    while fault is None:
        watched = [woken] if lifeline is None else [woken, lifeline]
        ready, _, _ = select.select(watched, [], [], _TICK_S)
        if woken in ready:
            break
        if lifeline is not None and lifeline in ready:
            if os.read(lifeline, 1) != b"d":
                break
            os.close(lifeline)
            lifeline = None
        if starting is not None and starting.done():
            fault = starting.exception()
            if fault is None:
                write_state(home, starting.result())
                report.tell("ready")
            starting = None
        if fault is None:
            # What ends while the stack starts would hardly live longer the next time.
            fault = supervisor.mend() if starting is None else supervisor.dead()
    state_file(home).unlink(missing_ok=True)
    if fault is not None:
        traceback.print_exception(fault)
        write_private(fault_file(home), fault_text(fault))
    report.tell("say", "stopping")
    supervisor.stop()
    if fault is not None:
        report.tell("fault", fault_text(fault))
        return 1
    report.tell("stopped")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and supervise; return the exit status."""
    parser = argparse.ArgumentParser(description="Run the embedded stack (started by tidegate up).")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--without-airflow", action="store_true")
    parser.add_argument("--with-sql", action="store_true")
    parser.add_argument("--engine", choices=ENGINES, default="spark")
    parser.add_argument("--spark-conf", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--report", type=int)
    told = parser.parse_args(arguments)
    for descriptor in (told.lifeline, told.report):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    report = Report(told.report)
    try:
        lock = take_lock(told.home)
    except TidegateError as error:
        report.tell("fault", fault_text(error))
        return 1
    # What a supervisor that was killed may have left is in the way of this one.
    end_marked(str(told.home), HOME_MARK)
    os.environ[HOME_MARK] = str(told.home)  # for all it starts from now on
    supervisor = Supervisor(
        told.home,
        told.project,
        not told.without_airflow,
        lambda line: report.tell("say", line),
        dict(each.split("=", 1) for each in told.spark_conf),
        told.with_sql,
        told.engine,
    )
    with contextlib.closing(lock):
        return supervise(supervisor, told.lifeline, report)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a download that is still going on in a thread must not hold it up
