"""How the embedded Airflow opens its SQLite database.

`airflow.cfg` names `CONNECT_ARGS`, and `airflow_local_settings.py` has Airflow make its engines here.

Left to itself Python begins a transaction as a reader, and SQLite refuses at once, without any waiting, to
make a writer of a reader that has seen less than what is written by now. So a backfill could not be created
while the scheduler was busy: the API undid what it had made of it (a savepoint that is not inside a
transaction commits when it ends), and the scheduler, which had seen some of those runs, fell over their
absence. Here whatever will write begins as a writer, and waits for its turn.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_ARGS: dict[str, Any] = {
    # Seconds to wait for another writer; 5 by default, too few on a busy machine. The API server may come to wait
    # for a writer of its own that waits for it: then it has to give up, and say that it is busy (503), before
    # those who ask do (after 30 s): they ask again.
    "timeout": 20,
    "isolation_level": "IMMEDIATE",  # what Python begins before a statement that writes
}


def create_metadata_engine(
    sql_alchemy_conn: str, *, engine_args: dict[str, Any], connect_args: dict[str, Any]
) -> Engine:
    """Return Airflow's engine; it calls this in place of its own function of this name."""
    engine = create_engine(sql_alchemy_conn, connect_args=connect_args, **engine_args)
    _begin_before_savepoints(engine)
    return engine


def create_async_metadata_engine(
    sql_alchemy_conn_async: str,
    *,
    connect_args: dict[str, Any],
    engine_args: dict[str, Any] | None = None,
) -> AsyncEngine:
    """Return Airflow's asynchronous engine; see `create_metadata_engine`."""
    engine = create_async_engine(
        sql_alchemy_conn_async, connect_args=connect_args, **(engine_args or {})
    )
    _begin_before_savepoints(engine.sync_engine)
    return engine


def _begin_before_savepoints(engine: Engine) -> None:
    """Begin a transaction where a savepoint is set outside of one: Python does not."""

    def begin(connection: Connection, _name: str | None) -> None:
        driver = connection.connection.driver_connection
        if driver is not None and not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "savepoint", begin)
