"""Commits whose answers are lost on the way: rows are written exactly once, and what is returned is true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from s3proxy import Faults, s3_proxy
from s3server import s3_server
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.lake import storage
from tidegate.lake.delta import DeltaTables
from tidegate.lake.slices import Slices
from tidegate.storage.s3 import S3Access
from tidegate.tables import Column, Table

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STORED = [
    *((kind, times) for kind in ("500", "409", "412", "cut", "late") for times in (1, 4)),
    ("slow", 1),
]
"""Faults of requests that are stored, and of how many requests."""

LOG = Table(
    name="log",
    area="ops",
    columns=(Column("n", "bigint", "a number"),),
    key=("n",),
    slice=(),
    partition=(),
    statistics=("n",),
    meaning="a number",
)
HOURS = Table(
    name="hours",
    area="warehouse",
    columns=(
        Column("source", "string", "-"),
        Column("date", "date", "-"),
        Column("hour", "timestamp", "-"),
        Column("n", "bigint", "-"),
    ),
    key=("n",),
    slice=("source", "hour"),
    partition=("source", "date"),
    statistics=("hour",),
    meaning="a number of an hour",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        tables = DeltaTables("s3a://lake/first", s3)
        tables.create(LOG)
        tables.append(LOG, [{"n": 1}])  # a new server's first write takes long
        yield s3


@pytest.fixture(scope="module")
def proxy(server: S3Access) -> Iterator[tuple[S3Access, Faults]]:
    with s3_proxy(server) as both:
        yield both


class Scene:
    """A lake that is written through the proxy and read past it.

    Attributes:
        written: through the proxy.
        read: past the proxy, from nothing, at each use.
        faults: of the proxy.
    """

    def __init__(self, root: str, server: S3Access, proxy: tuple[S3Access, Faults]) -> None:
        self._root, self._server = root, server
        self.written, self.faults = DeltaTables(root, proxy[0]), proxy[1]
        for table in (LOG, HOURS):
            self.read.create(table)
        # The writer knows a snapshot, so that what fails is the commit.
        assert self.written.version(LOG) == self.written.version(HOURS) == 0

    @property
    def read(self) -> DeltaTables:
        return DeltaTables(self._root, self._server)

    def numbers(self, table: Table) -> list[int]:
        from tidegate.lake.reader import LakeReader

        rows = LakeReader(self._root, self._server).rows(
            f"{table.area}/{table.name}", "true", ["n"]
        )
        return sorted(row["n"] for row in rows)


@pytest.fixture
def scene(
    server: S3Access,
    proxy: tuple[S3Access, Faults],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    # A slow answer comes after the client has given up; a busy machine needs its time for all others.
    monkeypatch.setattr(storage, "REQUEST_TIMEOUT_S", 3 if "slow" in request.node.name else 60)
    monkeypatch.setattr(storage, "_RETRIES", 2)
    yield Scene(f"s3a://lake/{abs(hash(request.node.name))}", server, proxy)
    faults = proxy[1]
    faults.times, faults.down, faults.then_down = 0, False, False
    faults.kept.clear()


def hours(*numbers: int, at: datetime = NOON) -> pa.Table:
    rows = [{"source": "web", "date": at.date(), "hour": at, "n": n} for n in numbers]
    types = [
        ("source", pa.string()),
        ("date", pa.date32()),
        ("hour", pa.timestamp("us", "UTC")),
        ("n", pa.int64()),
    ]
    return pa.Table.from_pylist(rows, pa.schema(types))


def arrange(scene: Scene, kind: str, times: int) -> None:
    scene.faults.kind, scene.faults.times, scene.faults.seen = kind, times, 0


@pytest.mark.parametrize(("kind", "times"), STORED)
def test_an_append_whose_answer_is_lost_is_there_once(scene: Scene, kind: str, times: int) -> None:
    arrange(scene, kind, times)
    assert scene.written.append(LOG, [{"n": 1}, {"n": 2}]) == 1
    assert scene.numbers(LOG) == [1, 2]
    assert scene.faults.seen >= 1
    scene.faults.times = 0
    assert scene.written.append(LOG, [{"n": 3}]) == 2
    assert scene.numbers(LOG) == [1, 2, 3]


@pytest.mark.parametrize(("kind", "times"), STORED)
def test_a_numbered_append_whose_answer_is_lost_has_won_and_is_there_once(
    scene: Scene, kind: str, times: int
) -> None:
    arrange(scene, kind, times)
    assert scene.written.append_next(LOG, [{"n": 1}], "app", 1)
    assert scene.numbers(LOG) == [1]
    scene.faults.times = 0
    assert not scene.written.append_next(LOG, [{"n": 2}], "app", 1)
    assert scene.numbers(LOG) == [1]


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize(("kind", "times"), STORED)
def test_a_replacement_whose_answer_is_lost_has_won_and_is_there_once(
    scene: Scene, kind: str, times: int, numbered: bool
) -> None:
    slices = Slices.of(HOURS, "web", [NOON])
    assert scene.read.replace(HOURS, hours(7, 8), slices) == 1
    arrange(scene, kind, times)
    app, number = ("app", 1) if numbered else (None, None)
    record = {"a": NOON}
    version = scene.written.replace(
        HOURS, hours(1, 2), slices, record=record, app=app, number=number
    )
    assert version == 2
    assert scene.numbers(HOURS) == [1, 2]
    [last] = scene.read.history(HOURS, 1)
    assert (last.version, last.user_metadata) == (2, '{"a": "2024-03-01T12:00:00.000000Z"}')


def test_a_replacement_of_nothing_by_nothing_whose_answer_is_lost_is_one_commit(
    scene: Scene,
) -> None:
    arrange(scene, "412", 1)
    slices = Slices.of(HOURS, "web", [NOON])
    assert scene.written.replace(HOURS, hours(), slices, record={"a": 1}) == 1
    assert scene.read.version(HOURS) == 1


def test_a_write_that_was_not_stored_is_repeated(scene: Scene) -> None:
    arrange(scene, "lost", 4)
    assert scene.written.append(LOG, [{"n": 1}]) == 1
    assert scene.numbers(LOG) == [1]


def test_a_write_that_is_never_stored_fails_and_writes_nothing(scene: Scene) -> None:
    arrange(scene, "lost", 1000)
    with pytest.raises(TryAgainError, match="a commit failed"):
        scene.written.append(LOG, [{"n": 1}])
    assert scene.numbers(LOG) == []


@pytest.mark.parametrize("kind", ["500", "412", "cut"])
def test_an_outcome_that_the_log_cannot_tell_is_unknown_and_nothing_is_written_again(
    scene: Scene, kind: str
) -> None:
    arrange(scene, kind, 1)
    scene.faults.then_down = True
    with pytest.raises(TryAgainError, match="outcome of a commit is unknown"):
        scene.written.append_next(LOG, [{"n": 1}], "app", 1)
    assert scene.faults.seen == 1
    scene.faults.down = False
    assert scene.numbers(LOG) == [1]
    assert not scene.written.append_next(LOG, [{"n": 1}], "app", 1)
    assert scene.numbers(LOG) == [1]


def test_another_writers_commit_is_not_taken_for_the_own_one(scene: Scene) -> None:
    assert scene.read.append_next(LOG, [{"n": 5}], "app", 1)
    assert not scene.written.append_next(LOG, [{"n": 1}], "app", 1)
    assert scene.read.append(LOG, [{"n": 6}]) == 2
    arrange(scene, "500", 1)
    assert scene.written.append(LOG, [{"n": 7}]) == 3
    assert scene.numbers(LOG) == [5, 6, 7]


def test_columns_whose_answer_is_lost_are_added_once(scene: Scene) -> None:
    arrange(scene, "500", 1)
    scene.written.add_columns(LOG, {"price": "decimal(10,2)"})
    assert scene.read.columns(LOG) == {"n": "bigint", "price": "decimal(10,2)"}
    assert scene.read.version(LOG) == 1


def test_a_table_whose_creation_loses_its_answer_is_there(scene: Scene) -> None:
    other = Table("other", "ops", LOG.columns, LOG.key, (), (), LOG.statistics, LOG.meaning)
    arrange(scene, "cut", 1)
    scene.written.create(other)
    assert scene.read.version(other) == 0


def test_storage_that_does_not_answer_is_reported_without_its_keys(scene: Scene) -> None:
    scene.faults.down = True
    with pytest.raises(TryAgainError, match="log cannot be read") as raised:
        scene.written.append(LOG, [{"n": 1}])
    assert "testkey" not in str(raised.value)
    scene.faults.down = False
    assert scene.numbers(LOG) == []


def test_a_lake_that_delta_rs_cannot_reach_is_refused() -> None:
    with pytest.raises(TidegateError, match="cannot write this lake"):
        DeltaTables("hdfs://host/lake", S3Access()).version(LOG)
