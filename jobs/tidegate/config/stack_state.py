"""What a running embedded stack says of itself, in `<home>/stack.json` (mode 0600)."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.storage.s3 import S3Access


@dataclass(frozen=True)
class StackState:
    """A running stack.

    Attributes:
        pid: process id of the supervisor.
        lake: URI of its lake.
        dumps: URI of the bucket that its dumps are in.
        spark: address of its Spark Connect server, token included; None where DuckDB is the engine.
        s3: endpoint and keys of its S3 server.
        airflow: address of the Airflow UI and API, or None where it runs without.
        user: login of the Airflow UI.
        password: password of that login.
        sql: host and port of its SQL server, or None where it runs without.
        sql_password: the file that holds the password of that server's user.
    """

    pid: int
    lake: str
    dumps: str
    spark: str | None
    s3: S3Access
    airflow: str | None = None
    user: str | None = None
    password: str | None = None
    sql: str | None = None
    sql_password: str | None = None

    @property
    def login(self) -> tuple[str, str, str]:
        """Address, user and password of its Airflow.

        Raises:
            TidegateError: it has none.
        """
        if self.airflow is None or self.user is None or self.password is None:
            raise TidegateError("the stack runs without Airflow", todo="run: tidegate down")
        return self.airflow, self.user, self.password


def state_file(home: Path) -> Path:
    """Return where the state of the stack in `home` is kept."""
    return home / "stack.json"


def write_state(home: Path, state: StackState) -> None:
    """Write the state at once (never half) and readable by its owner only."""
    target = state_file(home)
    scratch = target.with_suffix(".tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(asdict(state), out)
    scratch.replace(target)


def read_state(home: Path) -> StackState | None:
    """Return the state of the stack that runs in `home`, or None where none runs.

    A state file whose supervisor is gone (killed) counts as none: the lock that it holds tells, since
    its process id may be another's by now.
    """
    try:
        found = json.loads(state_file(home).read_text())
    except FileNotFoundError:
        return None
    state = StackState(**{**found, "s3": S3Access(**found["s3"])})
    if lock_file(home).exists():
        return state if supervisor_pid(home) is not None else None
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return None
    return state


def lock_file(home: Path) -> Path:
    """Return the file that a supervisor holds locked; its process id is in it."""
    return home / "supervisor.lock"


def supervisor_pid(home: Path) -> int | None:
    """Return the process id of the supervisor of a state folder, or None where none is alive."""
    try:
        with lock_file(home).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or "0") or None
    except FileNotFoundError:
        return None
    return None


def running_state(home: Path) -> StackState | None:
    """Return the state of the stack that runs in a state folder, or of the demo below it, or None."""
    from tidegate.config.settings import demo_home

    return read_state(home) or read_state(demo_home(home))
