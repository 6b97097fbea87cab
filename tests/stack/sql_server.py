"""A SQL server of a test's own, and clients of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from project import REPO
from tidegate.config.settings import SqlLimits
from tidegate.processes.child import Child
from tidegate.processes.ports import Ports
from tidegate.processes.private_files import ANALYST, load_sql_secrets
from tidegate.stack.sql import HOST, SqlPlan, build_sql_server, launch_sql, wait_for_sql


@dataclass
class SqlServer:
    """A running server."""

    port: int
    password: str

    def connect(self, **more: Any) -> Any:
        """Connect as PyHive does."""
        login = {"username": ANALYST, "password": self.password, "auth": "CUSTOM"}
        return import_module("pyhive.hive").connect(HOST, self.port, **{**login, **more})

    def connect_impala(self, password: str | None = None) -> Any:
        """Connect as impyla does."""
        return import_module("impala.dbapi").connect(
            HOST,
            self.port,
            user=ANALYST,
            password=password or self.password,
            auth_mechanism="PLAIN",
        )


@contextmanager
def sql_server(home: Path, lake: Path, limits: SqlLimits) -> Iterator[SqlServer]:
    """Run a server on a lake in a folder."""
    os.environ.setdefault("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars"))
    secrets = load_sql_secrets(home)
    port = Ports(home).choose("sql")
    children: list[Child] = []
    jar = build_sql_server(home, REPO, children.append)
    child = launch_sql(SqlPlan(home, REPO, str(lake), port, secrets, limits), jar)
    try:
        wait_for_sql(child, port)
        yield SqlServer(port, secrets.password)
    finally:
        child.stop(0.0)


def ask(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    cursor.execute(statement)
    return list(cursor.fetchall()) if cursor.description else []
