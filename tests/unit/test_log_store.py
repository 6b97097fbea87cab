"""Spark and delta-rs commit to one table on S3 at the same time: no commit is lost or doubled, whatever S3 answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from s3proxy import Faults, s3_proxy
from s3server import s3_server
from tidegate.engine.session import connect
from tidegate.engine.spark_server import launch_spark, wait_for_spark
from tidegate.lake.storage import storage_options
from tidegate.storage.s3 import S3Access

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Commit = Callable[[str, str], None]
"""Appends one row with a name to the table of a name."""
BUCKET = f"logs-{uuid4().hex}"
"""A name of its own: a Spark server keeps what it knows of a bucket, and other tests have other S3 servers."""
ROUNDS = int(os.environ.get("TIDEGATE_TEST_ROUNDS", "50"))
COMMITS = 12
DELTAS_OWN = {"spark.delta.logStore.s3a.impl": "io.delta.storage.S3SingleDriverLogStore"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3"), [BUCKET]) as access:
        yield access


@pytest.fixture(scope="module")
def proxy(s3: S3Access) -> Iterator[tuple[S3Access, Faults]]:
    with s3_proxy(s3) as through:
        yield through


@pytest.fixture
def faults(proxy: tuple[S3Access, Faults]) -> Iterator[Faults]:
    found = proxy[1]
    found.listings.clear()
    yield found
    found.kind, found.times, found.then_down, found.down = "500", 0, False, False


@pytest.fixture(scope="module")
def session(spark_url: str, proxy: tuple[S3Access, Faults]) -> Iterator[SparkSession]:
    """Open a session of the tests' server whose requests go through the proxy."""
    through = proxy[0]
    assert through.endpoint is not None
    spark = connect(spark_url)
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    for name, value in {
        "endpoint": through.endpoint,
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "access.key": through.access_key or "",
        "secret.key": through.secret_key or "",
        "attempts.maximum": "2",
        "retry.limit": "2",
        "retry.interval": "50ms",
        "connection.request.timeout": "15s",
    }.items():
        spark.conf.set(f"fs.s3a.{name}", value)
    yield spark
    spark.stop()


def by_spark(spark: SparkSession) -> Commit:
    def commit(table: str, name: str) -> None:
        row = spark.range(1).selectExpr(f"'{name}' AS name")
        row.coalesce(1).write.format("delta").mode("append").save(f"s3a://{BUCKET}/{table}")

    return commit


def by_delta_rs(s3: S3Access) -> Commit:
    def commit(table: str, name: str) -> None:
        row = pa.table({"name": [name]})
        address = f"s3://{BUCKET}/{table}"
        write_deltalake(address, row, mode="append", storage_options=storage_options(s3))

    return commit


def names(s3: S3Access, table: str) -> list[str]:
    """Return the names in a table, sorted."""
    found = DeltaTable(f"s3://{BUCKET}/{table}", storage_options=storage_options(s3))
    return sorted(found.to_pyarrow_table()["name"].to_pylist())


def new_table(s3: S3Access) -> str:
    table = uuid4().hex
    by_delta_rs(s3)(table, "first")
    return table


def round_of(s3: S3Access, writers: Sequence[Commit], commits: int) -> tuple[list[str], list[str]]:
    """Have writers commit to a new table at once; return what reported success, and what the table has."""
    table = new_table(s3)

    def write(number: int) -> list[str]:
        done = [f"{number}/{count}" for count in range(commits)]
        for name in done:
            writers[number](table, name)
        return done

    with ThreadPoolExecutor(len(writers)) as pool:
        done = [name for written in pool.map(write, range(len(writers))) for name in written]
    return sorted([*done, "first"]), names(s3, table)


@contextmanager
def drivers(
    s3: S3Access, folder: Path, count: int, extra_conf: Mapping[str, str] | None = None
) -> Iterator[list[Commit]]:
    """Run Spark servers of their own JVMs, with a session each."""
    with ExitStack() as held:
        launched = []
        for number in range(count):
            child, token = launch_spark(
                folder / f"home{number}",
                s3=s3,
                log=folder / f"spark{number}.log",
                memory="800m",
                cores="1",
                extra_conf=extra_conf,
            )
            held.callback(child.stop, 0.0)
            launched.append((child, token))
        sessions = [connect(wait_for_spark(child, token)) for child, token in launched]
        for spark in sessions:
            spark.conf.set("spark.sql.shuffle.partitions", "1")
        yield [by_spark(spark) for spark in sessions]


def test_spark_and_delta_rs_commit_to_one_table_at_once(
    s3: S3Access, session: SparkSession
) -> None:
    writers = [by_spark(session), by_spark(session), by_delta_rs(s3), by_delta_rs(s3)]
    done, found = round_of(s3, writers, 4)
    assert found == done


@pytest.mark.parametrize(
    "kind",
    ["500", "409", "412", "cut", "late", "lost", pytest.param("slow", marks=pytest.mark.slow)],
)
def test_a_commit_whose_answer_is_lost_is_recognised(
    s3: S3Access, session: SparkSession, faults: Faults, kind: str
) -> None:
    table = new_table(s3)
    commit = by_spark(session)
    faults.kind, faults.times = kind, 1
    commit(table, "a")
    assert faults.times == 0
    commit(table, "b")
    assert names(s3, table) == ["a", "b", "first"]


def test_a_commit_of_which_s3_says_nothing_is_neither_a_success_nor_a_conflict(
    s3: S3Access, session: SparkSession, faults: Faults
) -> None:
    table = new_table(s3)
    faults.kind, faults.times, faults.then_down = "412", 1, True
    with pytest.raises(Exception, match="S3 did not say whether it stored"):
        by_spark(session)(table, "a")
    faults.down = False
    assert names(s3, table) == ["a", "first"]


def test_another_writers_entry_is_a_conflict_and_the_commit_takes_the_next_number(
    s3: S3Access, session: SparkSession, faults: Faults
) -> None:
    table = new_table(s3)
    commit = by_spark(session)
    commit(table, "a")  # the server has the snapshot of this version
    by_delta_rs(s3)(table, "b")
    faults.kind, faults.times = "412", 1
    commit(table, "c")
    assert names(s3, table) == ["a", "b", "c", "first"]


def test_listings_of_a_log_start_at_the_last_checkpoint(
    s3: S3Access, session: SparkSession, faults: Faults
) -> None:
    table = new_table(s3)
    for number in range(12):
        by_delta_rs(s3)(table, f"{number:02}")
    address = f"s3://{BUCKET}/{table}"
    DeltaTable(address, storage_options=storage_options(s3)).create_checkpoint()
    by_spark(session)(table, "a")
    faults.listings.clear()
    by_spark(session)(table, "b")
    lists = [query for query in faults.listings if query["prefix"] == f"{table}/_delta_log/"]
    whole = [query for query in lists if "start-after" not in query and "max-keys" not in query]
    assert lists
    assert whole == []
    after = [query["start-after"] for query in lists if "start-after" in query]
    assert after
    assert all(key > f"{table}/_delta_log/{11:020}" for key in after), after


@pytest.mark.slow
@pytest.mark.parametrize("with_delta_rs", [False, True])
def test_many_commits_of_several_drivers_are_neither_lost_nor_doubled(
    s3: S3Access, tmp_path: Path, with_delta_rs: bool
) -> None:
    with drivers(s3, tmp_path, 2 if with_delta_rs else 3) as writers:
        if with_delta_rs:
            writers.append(by_delta_rs(s3))
        for _ in range(ROUNDS):
            done, found = round_of(s3, writers, COMMITS)
            assert found == done


@pytest.mark.slow
@pytest.mark.parametrize("with_delta_rs", [False, True])
def test_the_same_commits_are_lost_with_deltas_own_log_store(
    s3: S3Access, tmp_path: Path, with_delta_rs: bool
) -> None:
    lost = 0
    with drivers(s3, tmp_path, 1 if with_delta_rs else 2, DELTAS_OWN) as writers:
        if with_delta_rs:
            writers.append(by_delta_rs(s3))
        for _ in range(10):
            done, found = round_of(s3, writers, COMMITS)
            lost += len(set(done) - set(found))
            if lost:
                break
    assert lost > 0
