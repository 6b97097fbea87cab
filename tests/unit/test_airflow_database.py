"""Airflow's SQLite database: who will write begins as a writer, and savepoints do not commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from tidegate.stack.sqlite import (
    CONNECT_ARGS,
    create_async_metadata_engine,
    create_metadata_engine,
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Make a database as the stack makes Airflow's, with one table."""
    file = tmp_path / "airflow.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY)")
    connection.close()
    return file


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    made = create_metadata_engine(
        f"sqlite:///{database}", engine_args={}, connect_args=dict(CONNECT_ARGS)
    )
    yield made
    made.dispose()


@pytest.fixture
def other(database: Path) -> Iterator[sqlite3.Connection]:
    """Connect as another process would, one that does not wait."""
    connection = sqlite3.connect(database, timeout=0)
    yield connection
    connection.close()


def count(other: sqlite3.Connection) -> int:
    return int(other.execute("SELECT count(*) FROM runs").fetchone()[0])


def test_what_is_read_inside_a_savepoint_stays_true_until_it_is_written(
    engine: Engine, other: sqlite3.Connection
) -> None:
    with Session(engine) as session:
        with session.begin_nested():
            assert session.execute(text("SELECT count(*) FROM runs")).scalar() == 0
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("INSERT INTO runs VALUES (1)")
            session.execute(text("INSERT INTO runs VALUES (2)"))
        session.commit()

    assert count(other) == 1


def test_a_savepoint_that_ends_commits_nothing_by_itself(
    engine: Engine, other: sqlite3.Connection
) -> None:
    with Session(engine) as session:
        with session.begin_nested():
            session.execute(text("INSERT INTO runs VALUES (1)"))
        assert count(other) == 0
        session.rollback()

    assert count(other) == 0


def test_a_reader_does_not_keep_a_writer_waiting(engine: Engine, other: sqlite3.Connection) -> None:
    with Session(engine) as session:
        assert session.execute(text("SELECT count(*) FROM runs")).scalar() == 0
        other.execute("INSERT INTO runs VALUES (1)")
        other.commit()
        session.execute(text("INSERT INTO runs VALUES (2)"))
        session.commit()

    assert count(other) == 2


def test_the_asynchronous_engine_does_the_same(database: Path, other: sqlite3.Connection) -> None:
    async def write() -> int:
        engine = create_async_metadata_engine(
            f"sqlite+aiosqlite:///{database}", connect_args=dict(CONNECT_ARGS)
        )
        async with engine.connect() as connection:
            async with connection.begin_nested():
                await connection.execute(text("INSERT INTO runs VALUES (1)"))
            seen = count(other)
            await connection.commit()
        await engine.dispose()
        return seen

    assert asyncio.run(write()) == 0
    assert count(other) == 1
