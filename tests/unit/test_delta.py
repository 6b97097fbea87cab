"""Delta tables through delta-rs: rows in, slices replaced, writers at once, files compacted."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from s3server import s3_server
from tidegate.common.errors import TidegateError
from tidegate.lake import compaction
from tidegate.lake.delta import DeltaTables
from tidegate.lake.model import Compacted
from tidegate.lake.reader import LakeReader
from tidegate.lake.schema import arrow_type, rows_to_arrow, spark_type
from tidegate.lake.slices import Slices
from tidegate.storage.s3 import S3Access
from tidegate.tables import OPS, WAREHOUSE, Column, Table, daily_activity, events
from tidegate.tables.system_tables import CORRECTIONS, LANDINGS, RELEASES

MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
TYPES = Table(
    name="types",
    area="ops",
    columns=tuple(
        Column(name, kind, "-")
        for name, kind in {
            "s": "string",
            "moment": "timestamp",
            "d": "date",
            "n": "bigint",
            "i": "int",
            "x": "double",
            "b": "boolean",
            "raw": "binary",
            "price": "decimal(10,2)",
            "times": "array<timestamp>",
            "counts": "map<string,bigint>",
            "files": "array<struct<name:string,size:bigint,at:timestamp>>",
        }.items()
    ),
    key=("n",),
    slice=(),
    partition=(),
    statistics=("moment", "n"),
    meaning="a row of every type",
)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as access:
        yield access


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, S3Access]:
    if request.param == "local":
        return str(tmp_path / "a lake"), S3Access()
    return f"s3a://lake/{tmp_path.name}", request.getfixturevalue("s3")


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    lake = DeltaTables(str(tmp_path), S3Access())
    for table in (events.TABLE, LANDINGS, RELEASES, CORRECTIONS, TYPES):
        lake.create(table)
    return lake


def event(hour: datetime, n: int, source: str = "web") -> dict[str, Any]:
    return {
        "source": source,
        "dump_date": hour.date(),
        "dump_hour": hour,
        "event_id": f"{n}",
        "event_time": hour + n * TICK,
        "line": n,
    }


def rows_of(*rows: dict[str, Any], table: Table = events.TABLE) -> pa.Table:
    kinds = {column.name: column.type for column in table.columns}
    names = rows[0] if rows else kinds
    schema = pa.schema([(name, arrow_type(kinds[name])) for name in names])
    return pa.Table.from_pylist(list(rows), schema)


def hours_of(count: int, rows: int, source: str = "web") -> pa.Table:
    """Return rows of several hours, hour by hour."""
    return rows_of(
        *(event(MIDNIGHT + n * HOUR, i, source) for n in range(count) for i in range(rows))
    )


def slices(*hours: int, source: str = "web") -> Slices:
    return Slices.of(events.TABLE, source, [MIDNIGHT + n * HOUR for n in hours])


def read(
    root: str | Path, table: Table, s3: S3Access | None = None, where: str = "true"
) -> list[dict[str, Any]]:
    """Return rows as DuckDB's Delta extension reads them."""
    return LakeReader(str(root), s3 or S3Access()).rows(f"{table.area}/{table.name}", where)


def counts(root: str | Path, s3: S3Access | None = None) -> dict[tuple[str, int], int]:
    """Return the number of events by source and hour."""
    found: dict[tuple[str, int], int] = {}
    for row in read(root, events.TABLE, s3):
        hour = datetime.fromisoformat(row["dump_hour"])
        key = row["source"], (hour - MIDNIGHT) // HOUR
        found[key] = found.get(key, 0) + 1
    return found


# -- tables and types ---------------------------------------------------------------------------


def test_a_table_is_created_with_its_columns_and_with_what_other_readers_understand(
    place: tuple[str, S3Access],
) -> None:
    lake = DeltaTables(*place)
    for table in (*WAREHOUSE, *OPS):
        assert not lake.exists(table)
        lake.create(table)
        lake.create(table)
        assert lake.exists(table)
        assert lake.version(table) == 0
        assert lake.columns(table) == {column.name: column.type for column in table.columns}
    log = lake._table(events.TABLE).files.read("_delta_log/00000000000000000000.json").decode()
    assert '"minReaderVersion":1,"minWriterVersion":2' in log
    assert '"partitionColumns":["source","dump_date"]' in log
    assert '\\"comment\\":\\"id of the event, unique within its source\\"' in log
    assert '"description":"One row is an event."' in log
    assert '"delta.dataSkippingStatsColumns":"dump_hour,event_time"' in log
    assert '"delta.checkpointInterval":"50"' in log


def test_a_table_that_several_processes_create_at_once_is_there_once(
    place: tuple[str, S3Access],
) -> None:
    run_at_once(place, "lake.create(LANDINGS)", 4)
    assert DeltaTables(*place).version(LANDINGS) == 0


def test_every_type_of_a_table_has_a_name_and_an_arrow_type() -> None:
    kinds = {column.type for table in (*WAREHOUSE, *OPS, TYPES) for column in table.columns}
    for kind in (*kinds, "map<string,array<struct<a:int,b:decimal(38,18)>>>"):
        assert spark_type(arrow_type(kind)) == kind
    for wrong in ("", "text", "array<", "array<int>>", "decimal(10)", "struct<a>", "timestamp_ntz"):
        with pytest.raises(ValueError, match="no type"):
            arrow_type(wrong)


def test_rows_come_back_exactly_as_they_went_in(tables: DeltaTables, tmp_path: Path) -> None:
    noon = datetime(2024, 3, 1, 17, 30, 0, 123457, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    row = {
        "s": "a'\"\\\n🌊\u0001\u2028",
        "moment": noon,
        "d": date(1582, 10, 1),
        "n": 2**63 - 1,
        "i": -(2**31),
        "x": 0.1,
        "b": False,
        "raw": b"\xff\x00",
        "price": Decimal("12345678.90"),
        "times": [noon, None],
        "counts": {"": 1, "a": 2**62, "b": None},
        "files": [{"name": "é", "size": 3}, {"name": None, "size": 2, "at": noon}],
    }
    tables.append(TYPES, [row, {}])
    [path] = tables.files(TYPES)
    stored = pq.read_table(tmp_path / "ops" / "types" / path).to_pylist()
    assert stored[1] == dict.fromkeys(row)
    assert dict(stored[0].pop("counts")) == row.pop("counts")
    files = stored[0].pop("files")
    assert files == [{"name": "é", "size": 3, "at": None}, {"name": None, "size": 2, "at": noon}]
    row.pop("files")
    assert stored[0] == row
    [one, _] = read(tmp_path, TYPES)
    assert (one["n"], one["s"]) == (row["n"], row["s"])
    assert datetime.fromisoformat(one["moment"]) == noon


def test_a_time_may_be_text_with_an_offset_as_a_commits_record_has_it(tables: DeltaTables) -> None:
    schema = tables._schema(TYPES)
    table = rows_to_arrow(
        [{"moment": "2024-03-01T12:00:00.000001Z", "d": "2024-03-01"}], schema, "-"
    )
    [row] = table.select(["moment", "d"]).to_pylist()
    assert row == {"moment": datetime(2024, 3, 1, 12, 0, 0, 1, UTC), "d": date(2024, 3, 1)}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("moment", datetime(2024, 3, 1)),  # noqa: DTZ001 (that is the fault)
        ("moment", "2024-03-01T12:00:00"),
        ("moment", 1),
        ("d", MIDNIGHT),
        ("n", 2**63),
        ("n", 1.0),
        ("n", True),
        ("n", "1"),
        ("i", 2**31),
        ("x", 2**53 + 1),
        ("x", "0.1"),
        ("b", 1),
        ("s", b"a"),
        ("s", 1),
        ("raw", "a"),
        ("price", Decimal("0.001")),
        ("price", Decimal("123456789")),
        ("price", 0.1),
        ("times", [datetime(2024, 3, 1)]),  # noqa: DTZ001
        ("times", MIDNIGHT),
        ("counts", {None: 1}),
        ("counts", {"a": 1.5}),
        ("files", [{"nme": "a"}]),
        ("other", 1),
    ],
)
def test_a_value_that_a_column_cannot_hold_is_refused(
    tables: DeltaTables, column: str, value: object
) -> None:
    with pytest.raises(TidegateError, match=r"cannot hold a value|columns that the table lacks"):
        tables.append(TYPES, [{"s": "good"}, {column: value}])
    assert tables.version(TYPES) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pa.table({"n": pa.array([1], pa.int32())}),
        pa.table({"moment": pa.array([1], pa.timestamp("ns", "UTC"))}),
        pa.table({"moment": pa.array([1], pa.timestamp("us"))}),
        pa.table({"moment": pa.array([1], pa.timestamp("us", "Asia/Kolkata"))}),
        pa.table({"price": pa.array([1], pa.decimal128(10, 3))}),
        pa.table({"s": pa.array([b"a"])}),
        pa.table({"more": [1]}),
    ],
)
def test_arrow_rows_of_another_type_are_refused(tables: DeltaTables, wrong: pa.Table) -> None:
    with pytest.raises(TidegateError, match=r"another type|columns that the table lacks"):
        tables.append(TYPES, wrong)
    assert tables.version(TYPES) == 0


def test_arrow_rows_may_have_other_layouts_of_the_same_types(
    tables: DeltaTables, tmp_path: Path
) -> None:
    rows = pa.table(
        {
            "s": pa.array(["a", None], pa.string_view()),
            "raw": pa.array([b"a", None], pa.large_binary()),
            "moment": pa.array([1, None], pa.timestamp("us", "Etc/UTC")),
            "times": pa.array([[2], []], pa.large_list(pa.timestamp("us", "+00:00"))),
            "d": pa.nulls(2),
        }
    )
    tables.append(TYPES, rows.set_column(0, "s", rows["s"].cast(pa.string()).dictionary_encode()))
    tables.append(TYPES, rows)
    assert [row["s"] for row in read(tmp_path, TYPES)] == ["a", None, "a", None]


def test_columns_are_added_and_older_rows_have_nulls_there(
    tables: DeltaTables, tmp_path: Path
) -> None:
    assert tables.replace(events.TABLE, hours_of(2, 2), slices(0, 1)) == 1
    tables.add_columns(events.TABLE, {"n": "int", "price": "decimal(10,2)"})
    tables.add_columns(events.TABLE, {"n": "int"})
    assert tables.version(events.TABLE) == 2
    assert list(tables.columns(events.TABLE).items())[-2:] == [
        ("n", "int"),
        ("price", "decimal(10,2)"),
    ]
    rows = hours_of(1, 1).append_column("n", pa.array([7], pa.int32()))
    assert tables.replace(events.TABLE, rows, slices(0)) == 3
    assert tables.compact(events.TABLE, {}) is not None
    assert sorted(row["n"] or 0 for row in read(tmp_path, events.TABLE)) == [0, 0, 7]
    with pytest.raises(TidegateError, match="column n of events has another type") as refused:
        tables.add_columns(events.TABLE, {"n": "string"})
    assert refused.value.expected is not None
    assert "int" in refused.value.expected


# -- slices -------------------------------------------------------------------------------------


def test_a_replacement_replaces_its_slices_only(place: tuple[str, S3Access]) -> None:
    lake = DeltaTables(*place)
    lake.create(events.TABLE)
    lake.replace(events.TABLE, hours_of(26, 3), slices(*range(26)))
    lake.replace(events.TABLE, hours_of(26, 2, "app"), slices(*range(26), source="app"))
    before = set(lake.files(events.TABLE))
    version = lake.replace(events.TABLE, hours_of(1, 5), slices(0))
    after = set(lake.files(events.TABLE))
    assert (len(before - after), len(after - before)) == (1, 1)
    expected = {("web", n): 3 for n in range(26)} | {("app", n): 2 for n in range(26)}
    assert counts(*place) == expected | {("web", 0): 5}
    assert version == lake.version(events.TABLE) == 3
    # Files of many slices, as compaction leaves them: the rows of other slices stay.
    lake.compact(events.TABLE, {"source": ["web"]})
    assert len([path for path in lake.files(events.TABLE) if "source=web" in path]) == 2
    lake.replace(events.TABLE, hours_of(2, 1), slices(0, 1, 7))
    assert counts(*place) == {
        key: {("web", 0): 1, ("web", 1): 1}.get(key, n)
        for key, n in expected.items()
        if key != ("web", 7)
    }


def test_slices_have_files_of_their_own_whatever_the_order_of_their_rows(
    tables: DeltaTables, tmp_path: Path
) -> None:
    mixed = hours_of(24, 200).take([n * 7 % 4800 for n in range(4800)])
    reader = pa.RecordBatchReader.from_batches(mixed.schema, mixed.to_batches(max_chunksize=100))
    tables.replace(events.TABLE, reader, slices(*range(24)))
    files = tables._table(events.TABLE).active_files().table.to_pylist()
    assert sorted(file["min.dump_hour"] for file in files) == sorted(
        file["max.dump_hour"] for file in files
    )
    assert counts(tmp_path) == {("web", n): 200 for n in range(24)}
    assert all(file["null_count.event_time"] == 0 for file in files)
    ends = {file["max.event_time"] - file["min.dump_hour"] for file in files}
    assert max(ends) == 199 * TICK


@pytest.mark.parametrize(
    "wrong",
    [
        {"dump_hour": MIDNIGHT + HOUR},
        {"dump_hour": None},
        {"source": "app"},
        {"source": None},
        {"dump_date": date(2024, 3, 2)},
        {"dump_date": None},
    ],
)
def test_a_row_outside_the_slices_is_refused_and_nothing_is_written(
    tables: DeltaTables, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    tables.replace(events.TABLE, hours_of(1, 3), slices(0))
    rows = rows_of(event(MIDNIGHT, 1), event(MIDNIGHT, 2) | wrong)
    with pytest.raises(TidegateError, match="rows outside the slices"):
        tables.replace(events.TABLE, rows, slices(0))
    assert counts(tmp_path) == {("web", 0): 3}


def test_a_null_slice_is_refused_when_a_whole_source_is_replaced(tables: DeltaTables) -> None:
    with pytest.raises(TidegateError, match="rows outside the slices"):
        rows = rows_of(event(MIDNIGHT, 1) | {"dump_hour": None})
        tables.replace(events.TABLE, rows, Slices.whole_source("web"))


def test_a_whole_source_is_replaced_and_others_stay(tables: DeltaTables, tmp_path: Path) -> None:
    tables.replace(events.TABLE, hours_of(30, 2), slices(*range(30)))
    tables.replace(events.TABLE, hours_of(1, 4, "app"), slices(0, source="app"))
    tables.replace(events.TABLE, hours_of(2, 3), Slices.whole_source("web"))
    assert counts(tmp_path) == {("web", 0): 3, ("web", 1): 3, ("app", 0): 4}
    tables.replace(events.TABLE, hours_of(1, 1, "ios"), Slices.whole_table())
    assert counts(tmp_path) == {("ios", 0): 1}


def test_nothing_in_place_of_nothing_is_a_commit_with_its_record(tables: DeltaTables) -> None:
    record = {"tidegate": {"slices": [{"slice": MIDNIGHT, "day": date(2024, 3, 1)}]}}
    empty = hours_of(1, 1).slice(0, 0)
    tables.replace(events.TABLE, empty, slices(3), record=record, app="a", number=4)
    tables.replace(events.TABLE, empty, Slices.none(events.TABLE), record={"b": 1})
    newest, older, _ = tables.history(events.TABLE)
    assert (newest.version, newest.user_metadata) == (2, '{"b": 1}')
    assert older.user_metadata == (
        '{"tidegate": {"slices": [{"slice": "2024-03-01T00:00:00.000000Z", "day": "2024-03-01"}]}}'
    )
    assert newest.commit_id != older.commit_id is not None
    assert newest.timestamp.tzinfo is UTC


def test_commits_have_their_versions_though_another_writer_commits_while_the_log_is_read(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = DeltaTables(str(tmp_path), S3Access())
    waiting = [{"release_id": "second"}]
    history = DeltaTable.history

    def late(table: DeltaTable, limit: int | None = None) -> Any:
        if waiting:
            other.append_next(CORRECTIONS, [waiting.pop()], "test", 2, record={"is": "second"})
        return history(table, limit)

    tables.append_next(CORRECTIONS, [{"release_id": "first"}], "test", 1, record={"is": "first"})
    made = tables.history(CORRECTIONS, 1)[0].version
    monkeypatch.setattr(DeltaTable, "history", late)
    found = {commit.user_metadata: commit.version for commit in tables.history(CORRECTIONS, None)}
    assert not waiting
    assert found['{"is": "first"}'] == made
    assert found['{"is": "second"}'] == made + 1


def test_rows_are_replaced_by_the_values_of_any_column(tables: DeltaTables, tmp_path: Path) -> None:
    rows = [{"release_id": f"r{n % 3}", "sequence": n} for n in range(9)]
    tables.append(CORRECTIONS, rows[:5])
    tables.append(CORRECTIONS, rows[5:])
    kinds = tables._schema(CORRECTIONS)
    new = rows_to_arrow([{"sequence": 4, "source": "x"}], kinds, "-")
    tables.replace(CORRECTIONS, new, Slices.where("sequence", [4]))
    assert sorted(row["sequence"] for row in read(tmp_path, CORRECTIONS)) == [*range(9)]
    tables.replace(CORRECTIONS, new.slice(0, 0), Slices.where("release_id", ["r0", "r2"]))
    assert sorted(row["sequence"] for row in read(tmp_path, CORRECTIONS)) == [1, 4, 7]


def test_days_are_slices_of_a_table_that_is_sliced_by_date(tmp_path: Path) -> None:
    table, lake = daily_activity.TABLE, DeltaTables(str(tmp_path), S3Access())
    lake.create(table)
    days = [MIDNIGHT + n * 24 * HOUR for n in range(3)]
    rows = rows_of(*({"source": "web", "date": day.date()} for day in days), table=table)
    lake.replace(table, rows, Slices.of(table, "web", days))
    lake.replace(table, rows.slice(0, 0), Slices.of(table, "web", days[1:2]))
    dates = sorted(row["date"] for row in read(tmp_path, table))
    assert dates == ["2024-03-01", "2024-03-03"]


def test_a_slice_begins_at_a_full_second() -> None:
    for wrong in (MIDNIGHT + TICK, MIDNIGHT.replace(tzinfo=None)):
        with pytest.raises(ValueError, match="full second"):
            Slices.where("dump_hour", [wrong])


@pytest.mark.parametrize(
    "source", ["a b%c=d/é'\"#?:*\\", "a%20b", "x+y&z", "..", "日本", "-", "{p}$[0]~^`|<>,;!@()"]
)
def test_a_source_may_have_any_name(
    place: tuple[str, S3Access], source: str, tmp_path: Path
) -> None:
    lake = DeltaTables(f"{place[0]}/{tmp_path.name[-1]}", place[1])
    lake.create(events.TABLE)
    for name in (source, "web"):
        lake.replace(events.TABLE, hours_of(2, 3, name), slices(0, 1, source=name))
    lake.replace(events.TABLE, hours_of(1, 2, source), slices(0, source=source))
    lake.compact(events.TABLE, {"source": [source]})
    lake.replace(events.TABLE, hours_of(1, 1, source), slices(0, source=source))
    found = counts(f"{place[0]}/{tmp_path.name[-1]}", place[1])
    assert found == {(source, 0): 1, (source, 1): 3, ("web", 0): 3, ("web", 1): 3}
    version = lake.version(events.TABLE)
    assert sorted(lake.files(events.TABLE, version)) == sorted(lake.files(events.TABLE))


# -- writers at once ----------------------------------------------------------------------------

WRITER = """
import sys
sys.path[:0] = {tests!r}
from test_delta import *
root, endpoint, access, secret, number = sys.argv[1:]
lake, number = DeltaTables(root, S3Access(endpoint or None, access or None, secret or None)), int(number)
print("ready", flush=True)
sys.stdin.readline()
print({code}, flush=True)
"""


def run_at_once(place: tuple[str, S3Access], code: str, count: int) -> list[str]:
    """Evaluate an expression of `lake` and `number` in several processes at once; return what they print."""
    root, s3 = place
    text = WRITER.format(
        tests=[str(Path(__file__).parent), str(Path(__file__).parents[1])], code=code
    )
    access = (s3.endpoint or "", s3.access_key or "", s3.secret_key or "")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", text, root, *access, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    printed = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        printed.append(process.communicate()[0].strip())
        assert process.returncode == 0
    return printed


def test_processes_that_append_at_once_lose_nothing(place: tuple[str, S3Access]) -> None:
    lake = DeltaTables(*place)
    lake.create(RELEASES)
    code = "[lake.append(RELEASES, [{'sequence': number * 100 + n}]) for n in range(10)]"
    printed = run_at_once(place, code, 4)
    versions = sorted(version for line in printed for version in json.loads(line))
    assert versions == [*range(1, 41)]
    found = sorted(row["sequence"] for row in read(place[0], RELEASES, place[1]))
    assert found == sorted(number * 100 + n for number in range(4) for n in range(10))


def test_of_processes_that_use_one_number_at_once_exactly_one_wins(
    place: tuple[str, S3Access],
) -> None:
    lake = DeltaTables(*place)
    lake.create(events.TABLE)
    lake.replace(events.TABLE, hours_of(1, 9), slices(0), app="web", number=1)
    code = "lake.replace(events.TABLE, hours_of(1, number + 1), slices(0), app='web', number=2)"
    printed = run_at_once(place, code, 4)
    assert sorted(printed) == ["2", "None", "None", "None"]
    winner = next(number for number, line in enumerate(printed) if line == "2")
    assert counts(*place) == {("web", 0): winner + 1}
    assert lake.version(events.TABLE) == 2
    assert not lake.append_next(RELEASES, [], "web", 2) if lake.exists(RELEASES) else True


def test_processes_that_replace_different_slices_at_once_all_succeed(
    place: tuple[str, S3Access],
) -> None:
    lake = DeltaTables(*place)
    lake.create(events.TABLE)
    lake.replace(events.TABLE, hours_of(4, 9), slices(0, 1, 2, 3))
    lake.compact(events.TABLE, {})  # one file holds all of them
    code = (
        "lake.replace(events.TABLE, hours_of(number + 1, number + 1).slice(number * (number + 1)), "
        "slices(number), app=str(number), number=1)"
    )
    assert sorted(run_at_once(place, code, 4)) == ["3", "4", "5", "6"]
    assert counts(*place) == {("web", n): n + 1 for n in range(4)}


def test_threads_share_one_object(tables: DeltaTables, tmp_path: Path) -> None:
    def write(n: int) -> int:
        assert tables.replace(events.TABLE, hours_of(n + 1, 2).slice(2 * n), slices(n)) is not None
        return tables.append(RELEASES, [{"sequence": n}])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(12))) == [*range(1, 13)]
    assert counts(tmp_path) == {("web", n): 2 for n in range(12)}


def test_a_number_that_was_used_appends_nothing_more(tables: DeltaTables, tmp_path: Path) -> None:
    other = DeltaTables(str(tmp_path), S3Access())
    won = [
        lake.append_next(RELEASES, [{"release_id": f"r{number}"}], "app", number)
        for lake, number in ((tables, 1), (tables, 1), (other, 1), (other, 2), (tables, 1))
    ]
    assert won == [True, False, False, True, False]
    assert tables.append_next(RELEASES, [{"release_id": "other"}], "app2", 1)
    found = sorted(row["release_id"] for row in read(tmp_path, RELEASES))
    assert found == ["other", "r1", "r2"]


def test_a_number_is_known_after_the_checkpoint_of_its_commit(
    tables: DeltaTables, tmp_path: Path
) -> None:
    assert tables.append_next(RELEASES, [{"sequence": 1}], "app", 7)
    for n in range(60):
        tables.append(RELEASES, [{"sequence": n}])
    log = tmp_path / "ops" / "releases" / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == 1
    tables.checkpoint(RELEASES)
    for entry in sorted(log.glob("*.json"))[:-1]:
        entry.unlink()
    fresh = DeltaTables(str(tmp_path), S3Access())
    assert not fresh.append_next(RELEASES, [{"sequence": 1}], "app", 7)
    assert fresh.append_next(RELEASES, [{"sequence": 1}], "app", 8)
    assert len(read(tmp_path, RELEASES)) == 62
    assert [commit.version for commit in fresh.history(RELEASES, 2)] == [62, 61]


# -- compaction ---------------------------------------------------------------------------------


def landing(n: int, source: str = "web") -> dict[str, Any]:
    return {"landing_id": str(n), "source": source, "dump_hour": MIDNIGHT + n * HOUR}


def test_many_small_files_of_a_partition_become_one_and_rows_stay(
    place: tuple[str, S3Access], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MANY", 5)
    lake = DeltaTables(*place)
    lake.create(LANDINGS)
    for n in range(6):
        assert not lake.needs_compaction(LANDINGS)
        lake.append(LANDINGS, [landing(n)])
        lake.append(LANDINGS, [landing(n, "app")] if n < 3 else [])
    assert lake.needs_compaction(LANDINGS)
    before = read(place[0], LANDINGS, place[1])
    compacted = lake.compact_crowded(LANDINGS)
    assert compacted is not None
    assert (compacted.files_before, compacted.files_after) == (6, 1)
    assert compacted.bytes_before > compacted.bytes_after > 0
    assert len(lake.files(LANDINGS)) == 4
    after = read(place[0], LANDINGS, place[1])
    order = ("source", "landing_id")
    assert sorted(after, key=lambda row: [row[name] for name in order]) == sorted(
        before, key=lambda row: [row[name] for name in order]
    )
    assert not lake.needs_compaction(LANDINGS)
    [commit] = lake.history(LANDINGS, 1)
    assert commit.user_metadata is None
    assert lake.compact_crowded(LANDINGS) == Compacted(0, 0, 0, 0)
    assert lake.version(LANDINGS) == commit.version


def test_compaction_leaves_a_table_whose_files_another_write_took_out(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.replace(events.TABLE, hours_of(4, 3), slices(0, 1, 2, 3))
    other = DeltaTables(str(tmp_path), S3Access())
    put_together = compaction._put_together

    def beaten(*args: Any) -> Any:
        written = put_together(*args)
        other.replace(events.TABLE, hours_of(1, 1), slices(0))
        return written

    monkeypatch.setattr(compaction, "_put_together", beaten)
    assert tables.compact(events.TABLE, {}) is None
    assert counts(tmp_path) == {("web", 0): 1, ("web", 1): 3, ("web", 2): 3, ("web", 3): 3}


def test_compaction_and_appends_at_once_lose_nothing(place: tuple[str, S3Access]) -> None:
    lake = DeltaTables(*place)
    lake.create(RELEASES)
    code = (
        "[lake.append(RELEASES, [{'sequence': number * 100 + n}]) for n in range(15)] if number "
        "else [lake.compact(RELEASES, {}) is not None for _ in range(8)]"
    )
    compacted = run_at_once(place, code, 3)[0]
    assert compacted == str([True] * 8)
    found = sorted(row["sequence"] for row in read(place[0], RELEASES, place[1]))
    assert found == sorted(number * 100 + n for number in (1, 2) for n in range(15))


def test_files_near_the_size_that_is_aimed_at_stay_as_they_are(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.replace(events.TABLE, hours_of(4, 3), slices(0, 1, 2, 3))
    sizes = tables._table(events.TABLE).active_files().table["size_bytes"].to_pylist()
    monkeypatch.setattr(compaction, "TARGET_BYTES", min(sizes))
    assert tables.compact(events.TABLE, {}) == Compacted(0, 0, 0, 0)
    monkeypatch.setattr(compaction, "TARGET_BYTES", 2 * max(sizes))
    compacted = tables.compact(events.TABLE, {})
    assert compacted is not None
    assert (compacted.files_before, compacted.files_after) == (4, 2)


def test_compaction_refuses_files_that_lack_rows(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append(RELEASES, [{"sequence": n} for n in range(3)])
    tables.append(RELEASES, [{"sequence": 4}])
    for path in tables.files(RELEASES):
        file = tmp_path / "ops" / "releases" / path
        pq.write_table(pq.read_table(file).slice(0, 1), file)
    with pytest.raises(TidegateError, match="other numbers of rows than the log says"):
        tables.compact(RELEASES, {})
    assert tables.version(RELEASES) == 2


def test_a_table_of_another_layout_is_written_all_the_same(tmp_path: Path) -> None:
    table = replace(events.TABLE, partition=())
    lake = DeltaTables(str(tmp_path), S3Access())
    lake.create(table)
    lake.replace(table, hours_of(2, 2), slices(0, 1))
    lake.replace(table, hours_of(1, 3, "app"), slices(0, source="app"))
    lake.replace(table, hours_of(1, 1), slices(0))
    assert counts(tmp_path) == {("web", 0): 1, ("web", 1): 2, ("app", 0): 3}


class FullDisk(io.FileIO):
    """A file on a disk that has room for its first bytes only."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > 64:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data) or 0


def test_a_full_disk_is_told_without_noise_and_the_next_run_finishes(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: noise.append(each.exc_value))
    tables.replace(events.TABLE, hours_of(6, 100), slices(*range(6)))

    def create(files: Any, path: str) -> FullDisk:
        (files.folder / path).parent.mkdir(parents=True, exist_ok=True)
        return FullDisk(files.folder / path, "x")

    with monkeypatch.context() as patched:
        patched.setattr("tidegate.lake.table_files._LocalFiles.create", create)
        with pytest.raises(TidegateError, match="a data file cannot be written") as caught:
            tables.replace(events.TABLE, hours_of(6, 50), slices(*range(6)))
    assert caught.value.expected == "room on the disk"
    caught.value.__traceback__ = None  # what it holds is let go of now
    del caught
    gc.collect()
    assert noise == []
    assert counts(tmp_path) == {("web", n): 100 for n in range(6)}
    tables.replace(events.TABLE, hours_of(6, 50), slices(*range(6)))
    assert counts(tmp_path) == {("web", n): 50 for n in range(6)}
