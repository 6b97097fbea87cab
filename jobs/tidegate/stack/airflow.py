"""The embedded Airflow: API server, scheduler, DAG processor and triggerer, on SQLite and loopback.

Its components are children of their own and not `airflow standalone`, which leaves its own children
running when it is killed, and does not notice when one of them dies.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tidegate.common.errors import TidegateError
from tidegate.orchestration.policy import POOLS
from tidegate.processes.child import Child, spawn
from tidegate.processes.private_files import USER, Secrets, write_private
from tidegate.stack.airflow_api import AirflowApi
from tidegate.stack.preload import VARIABLE as PRELOAD

PARALLELISM = 16
"""Tasks at a time: most of them wait for the one that serves them (`orchestration.combine`)."""
START_S = 180.0
"""Seconds that Airflow may take to start (20 on an idle machine with 2 cores)."""
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    # Task logs are read from the disk they are on: no servers for them.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_LOCAL_SETTINGS = '''\
"""Read by Airflow when it starts; written by Tidegate's supervisor."""

from tidegate.orchestration.policy import task_instance_mutation_hook
from tidegate.stack.preload import preload
from tidegate.stack.sqlite import create_async_metadata_engine, create_metadata_engine

__all__ = [
    "create_async_metadata_engine",
    "create_metadata_engine",
    "task_instance_mutation_hook",
]
preload()
'''


@dataclass(frozen=True)
class AirflowPlan:
    """What Airflow is started with.

    Attributes:
        home: the state folder; Airflow's own is `<home>/airflow`.
        project: the folder that holds `dags`.
        port: of its UI and API, on loopback.
        secrets: its keys, and the password of its user.
        env: variables for its components and so for the tasks, over this process's own.
        preload: import in the scheduler what tasks need (see `preload`).
    """

    home: Path
    project: Path
    port: int
    secrets: Secrets
    env: Mapping[str, str]
    preload: bool = True

    @property
    def url(self) -> str:
        """Address of the UI and the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Airflow's own folder."""
        return self.home / "airflow"


def airflow_environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return `base` without what configures another Airflow or another S3, with `extra`.

    Otherwise somebody's `AIRFLOW__DATABASE__SQL_ALCHEMY_CONN` would have us migrate their database.
    """
    foreign = ("AIRFLOW", "_AIRFLOW", "AWS_", "TIDEGATE_DUMPS")
    kept = {name: value for name, value in base.items() if not name.startswith(foreign)}
    named = base.get("NO_PROXY") or base.get("no_proxy")
    direct = f"{named},127.0.0.1,localhost" if named else "127.0.0.1,localhost"
    return {**kept, "NO_PROXY": direct, "no_proxy": direct, **extra}


def prepare(plan: AirflowPlan) -> dict[str, str]:
    """Write Airflow's configuration and password; return the environment of its components."""
    template = Template(Path(__file__).with_name("airflow.cfg").read_text())
    words = {
        "home": plan.home,
        "project": plan.project,
        "port": plan.port,
        "url": plan.url,
        "parallelism": PARALLELISM,
        "user": USER,
        "jwt": plan.secrets.jwt,
        "fernet": plan.secrets.fernet,
        "session": plan.secrets.session,
    }
    # Airflow reads the file with Python's interpolation, to which a % means something.
    filled = template.substitute(
        {name: str(word).replace("%", "%%") for name, word in words.items()}
    )
    write_private(plan.folder / "airflow.cfg", filled)
    write_private(plan.folder / "passwords.json", json.dumps({USER: plan.secrets.password}))
    write_private(plan.folder / "config" / "airflow_local_settings.py", _LOCAL_SETTINGS)
    own = {
        "AIRFLOW_HOME": str(plan.folder),
        "PYTHONUNBUFFERED": "1",
        # Else Airflow's titles of processes overwrite the environment that `down` finds them by.
        "SPT_NOENV": "1",
    }
    return airflow_environment(os.environ, {**plan.env, **own})


def migrate(plan: AirflowPlan, env: Mapping[str, str], watch: Callable[[Child], None]) -> None:
    """Make Airflow's database, or bring it to the version installed, where it is not so already.

    Raises:
        TidegateError: Airflow could not.
    """
    from importlib.metadata import version

    stamp = plan.folder / "migrated"
    wanted = version("apache-airflow-core")
    database = plan.folder / "airflow.db"
    if database.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return
    child = spawn(
        "Airflow's database migration",
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env,
        plan.home / "logs" / "airflow-migrate.log",
        cwd=plan.folder,
    )
    watch(child)
    deadline = time.monotonic() + START_S
    while (status := child.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if status != 0:
        child.stop(0.0)
        raise TidegateError(
            "Airflow's database could not be made",
            where=str(database),
            got=f"exit status {status}; its last words:\n{child.log_tail()}",
            todo=f"read {child.log_file}; to begin with an empty database, remove {plan.folder}",
        )
    with sqlite3.connect(database) as connection:
        # Kept in the file: readers no longer wait for the writer, nor the writer for them.
        connection.execute("PRAGMA journal_mode=WAL")
    stamp.write_text(wanted)


def launch_component(plan: AirflowPlan, env: Mapping[str, str], name: str) -> Child:
    """Start one of Airflow's components without waiting."""
    own = {**env, PRELOAD: "1"} if name == "scheduler" and plan.preload else env
    return spawn(
        f"Airflow's {name}",
        [sys.executable, "-m", "airflow", *COMPONENTS[name]],
        own,
        plan.home / "logs" / f"airflow-{name}.log",
        cwd=plan.folder,
    )


def wait_for_component(
    plan: AirflowPlan, name: str, child: Child, since: float, timeout: float = START_S
) -> None:
    """Wait until a component that was started again is well and has said so after `since`.

    All but the API server are heard through it: while it does not answer, they can't be judged.

    Raises:
        TidegateError: it ended, or it took longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    unwell: list[str] | None = None
    with AirflowApi(plan.url, USER, plan.secrets.password) as api:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise child.died()
            unwell = api.unwell(since)
            if unwell is not None and name.replace("-", "_") not in unwell and api.warm():
                return
            time.sleep(0.5)
    if unwell is None and name != "api-server":
        return
    raise TidegateError(
        f"{child.name} does not get well",
        where=str(child.log_file),
        expected=f"to say that it is well within {timeout:.0f} seconds",
        got=child.log_tail() or "nothing in its log",
        todo="read the log named above",
    )


def wait_for_airflow(
    plan: AirflowPlan, children: Mapping[str, Child], since: float, timeout: float = START_S
) -> None:
    """Wait until Airflow says that its parts are well and have said so after `since`.

    Args:
        plan: what it was started with.
        children: what was started.
        since: seconds since the epoch; older heartbeats are of a run before.
        timeout: seconds.

    Raises:
        TidegateError: a component ended, or it took longer.
    """
    deadline = time.monotonic() + timeout
    waiting, warm = "no answer yet", False
    with AirflowApi(plan.url, USER, plan.secrets.password) as api:
        while time.monotonic() < deadline:
            for child in children.values():
                if child.poll() is not None:
                    raise child.died()
            unwell = api.unwell(since)
            warm = warm or (unwell is not None and api.warm())
            if warm and unwell is not None and not unwell:
                for name, (slots, purpose) in POOLS.items():
                    api.set_pool(name, slots, purpose)
                return
            waiting = "no answer yet" if unwell is None else "not ready: " + ", ".join(unwell)
            time.sleep(0.2)
    raise TidegateError(
        "Airflow does not get ready",
        where=f"{plan.url}, logs {plan.home / 'logs'}/airflow-*.log",
        expected=f"all its parts to be well within {timeout:.0f} seconds",
        got=waiting,
        todo="read the logs named above",
    )
