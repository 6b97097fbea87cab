"""Metrics as views: hostile names, tables that lack columns, releases, cost; and the command that lists them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from handmade_books import Books
from handmade_delta import write_delta
from metric_lake import OWN, computed, lake, metric
from project import REPO
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError
from tidegate.config.metrics import Metric, canonical, compile_metric, make_views
from tidegate.config.metrics.check import _columns_of, duckdb_type
from tidegate.config.metrics.in_force import in_force
from tidegate.config.metrics.placeholder_views import empty
from tidegate.config.metrics.views import READ, ordered
from tidegate.config.settings import Settings
from tidegate.config.source import load_sources
from tidegate.query.connect import connect, run, tables

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "o'b\"; DROP SCHEMA metrics CASCADE; --"
EVERY_KIND = [
    metric("count", "count"),
    metric("unique", "unique"),
    metric("sum", "sum", value="ms"),
    metric("mean", "mean", value="ms", time_zone="Europe/Berlin"),
    metric("median", "median", table="sessions", value="duration_s"),
    metric("percentiles", "percentiles", value="ms", percentiles=[50]),
    metric("new_users", "new_users", interval="hour", time_zone="Asia/Kathmandu"),
    metric("active_users", "active_users"),
    metric("retention", "retention", interval="week"),
    metric("funnel", "funnel", steps=["ms = 1", "ms = 2"], window="1h", by="session"),
    metric("ratio", "ratio", numerator="count", denominator="unique"),
]


def event(number: int, **keys: Any) -> dict[str, Any]:
    return {"source": "web", "event_id": str(number), "event_time": NOON, "user_key": "u", **keys}


# -- what is hostile -------------------------------------------------------------------------------


def test_hostile_values_are_values() -> None:
    drawn = [event(n, user_key=HOSTILE, event_type=HOSTILE, device=HOSTILE) for n in range(3)]
    where = "event_type = '" + HOSTILE.replace("'", "''") + "'"
    connection = lake(drawn)
    [row] = computed(connection, metric("count", where=where, group_by=["device"]))
    assert (row["device"], row["value"]) == (HOSTILE, 3)
    [row] = computed(connection, metric("unique", where=where))
    assert row["value"] == 1
    found = computed(
        connection,
        metric("funnel", steps=[{"name": HOSTILE, "where": where}, where], window="1h"),
    )
    assert [(r["step_name"], r["entered"]) for r in found] == [(HOSTILE, 1), (where, 1)]
    [row] = computed(connection, metric("retention", group_by="user_key"))
    assert row["user_key"] == HOSTILE


def test_a_hostile_name_of_a_column_is_a_name() -> None:
    name = "a\"b'; DROP VIEW events; --"
    quoted = '"' + name.replace('"', '""') + '"'
    types = {name: "INTEGER", "select": "VARCHAR", "_at": "INTEGER", "_g0": "VARCHAR"}
    connection = lake([event(1, **{name: 5, "select": "x", "_at": 7, "_g0": "y"})], own=types)
    made = metric(
        "sum", value=f"{quoted} + _at", where=f"{quoted} = 5", group_by=[name, "select", "_g0"]
    )
    [row] = computed(connection, made)
    assert (row[name], row["select"], row["_g0"], row["value"]) == (5, "x", "y", 12)
    # Where the table has no such column, it is NULL all the same.
    absent = Metric(**{**vars(made), "columns": types})
    assert computed(lake([event(1)], own={}), absent) == []


def test_a_description_with_quotes_is_the_comment_of_its_view() -> None:
    connection = lake()
    made = metric("count", description='It\'s "all" of it; --')
    computed(connection, made)
    row = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'm'").fetchone()
    assert row == ('It\'s "all" of it; --',)


# -- tables that lack something --------------------------------------------------------------------


def test_a_column_that_no_published_source_has_yet_is_null_of_its_own_type() -> None:
    own: Mapping[str, str] = {}
    connection = lake([event(1, event_type="buy")], own=own)
    columns = {"price": "DECIMAL(10,2)", "device": "VARCHAR"}
    made = Metric(
        **{
            **vars(metric("sum", value="price * 2", where="device IS NULL", group_by="device")),
            "columns": columns,
        }
    )
    [row] = computed(connection, made)
    assert (row["device"], row["value"]) == (None, None)


def test_every_kind_is_empty_and_no_error_on_empty_tables() -> None:
    connection = lake()
    for at in range(len(EVERY_KIND)):
        assert computed(connection, *EVERY_KIND[: at + 1]) == []


def test_a_view_has_the_columns_that_its_kind_promises() -> None:
    connection = lake([event(1)])
    for at, each in enumerate(EVERY_KIND):
        computed(connection, *EVERY_KIND[: at + 1])
        found = connection.execute(f"DESCRIBE metrics.{each.name}").fetchall()
        assert tuple(row[0] for row in found) == each.output()


def test_a_metric_that_cannot_be_computed_says_why_when_asked_and_leaves_the_others() -> None:
    fresh = duckdb.connect(":memory:")
    fresh.execute(
        "CREATE TABLE rows AS SELECT 1 AS ms, TIMESTAMPTZ '2026-03-01 12:00:00+00' AS event_time"
    )
    fresh.execute("CREATE VIEW events AS SELECT * FROM rows")
    made = {
        "good": metric("count", "good"),
        "wrong_type": metric("sum", "wrong_type", value="lower(ms)"),
        "no_table": metric("active_users", "no_table"),
        "no_part": metric("ratio", "no_part", numerator="good", denominator="gone"),
        "of_itself": metric("ratio", "of_itself", numerator="of_itself", denominator="good"),
    }
    faults = make_views(fresh, made, {"newer": 'it\'s "new"'})
    assert set(faults) == {*made, "newer"} - {"good"}
    assert fresh.execute("SELECT value FROM metrics.good").fetchall() == [(1,)]
    for name, told in (
        ("wrong_type", "Binder Error"),
        ("no_table", "there is no table daily_activity"),
        ("no_part", "there is no metric gone"),
        ("of_itself", "Catalog Error"),
        ("newer", 'it\'s "new"'),
    ):
        with pytest.raises(duckdb.Error, match=f"metric {name} can't be computed") as caught:
            fresh.execute(f"SELECT count(*) FROM metrics.{name}").fetchall()
        assert told in str(caught.value)
    # The tables are what they were.
    assert fresh.execute("FROM events").fetchall()[0][0] == 1


def test_metrics_are_made_after_those_that_they_are_made_of() -> None:
    made = [
        metric("ratio", "a", numerator="b", denominator="d"),
        metric("ratio", "b", numerator="c", denominator="d"),
        metric("count", "c"),
        metric("count", "d"),
        metric("ratio", "x", numerator="y", denominator="c"),
        metric("ratio", "y", numerator="x", denominator="c"),
    ]
    assert ordered({each.name: each for each in made}) == ["c", "d", "b", "a", "x", "y"]
    [row] = computed(lake([event(1)]), *made[3::-1][::-1][2:4], made[1], made[0])
    assert row["value"] == 1


def test_the_compiler_is_a_function_of_the_definition_alone() -> None:
    metrics = {each.name: each for each in EVERY_KIND}
    for each in EVERY_KIND:
        columns = {
            name: duckdb_type(kind) for name, kind in _columns_of(each.reads or "events").items()
        }
        assert compile_metric(each, columns, metrics) == compile_metric(each, columns, metrics)


# -- cost ------------------------------------------------------------------------------------------


class Watched:
    """A connection that counts its statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self.count += 1
        return self._connection.execute(*arguments)


def test_making_views_opens_no_table_and_takes_a_few_statements_a_metric() -> None:
    connection = duckdb.connect(":memory:", config={"threads": 1})
    for table in READ:
        types = {name: duckdb_type(kind) for name, kind in _columns_of(table).items()}
        columns = empty(types | OWN if table == "events" else types)
        connection.execute(f"CREATE TABLE rows_{table} AS {columns}")
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM rows_{table}")
        # Whoever binds the published view now meets an error.
        connection.execute(f"DROP TABLE rows_{table}")
    watched = Watched(connection)
    metrics = {each.name: each for each in EVERY_KIND}
    began = time.process_time()
    assert make_views(watched, metrics) == {}  # type: ignore[arg-type]
    assert time.process_time() - began < 1.0
    assert watched.count <= 2 * len(metrics) + 5 * len(READ) + 2


# -- releases --------------------------------------------------------------------------------------


def write_lake(
    root: Path, releases: Iterable[Mapping[str, str] | None], *, old: bool = False
) -> Settings:
    """Write a lake whose releases have these metrics; `events` gets a row with each."""
    books = Books(root)
    for at, metrics in enumerate(releases):
        books.publish("web", NOON + timedelta(hours=at), "l", version=at)
        books.release(NOON + timedelta(hours=at), at)
        books.rows["releases"][-1] = {
            **books.rows["releases"][-1],
            "metrics": None if metrics is None else list(metrics.items()),
        }
    return books.write({"releases": ["metrics"]} if old else None)


def definitions(*metrics: Metric) -> dict[str, str]:
    return {each.name: canonical(each) for each in metrics}


def test_a_release_shows_the_metrics_that_were_in_force_when_it_was_made(tmp_path: Path) -> None:
    first = definitions(metric("count", "visits"))
    second = definitions(metric("count", "visits", interval="week"), metric("unique", "users"))
    settings = write_lake(tmp_path, [None, first, second])
    with connect(settings) as connection:
        assert [n for n in tables(connection) if n.startswith("metrics.")] == [
            "metrics.users",
            "metrics.visits",
        ]
        assert run(connection, "SELECT * FROM metrics.visits").fetchall() == []
    with connect(settings, "r00002") as connection:
        assert [n for n in tables(connection) if n.startswith("metrics.")] == ["metrics.visits"]
    with connect(settings, "r00001") as connection:
        assert [n for n in tables(connection) if n.startswith("metrics.")] == []


def test_the_metrics_of_the_repo_are_empty_on_a_lake_of_other_sources(tmp_path: Path) -> None:
    own = {
        each.source: {name: column.type for name, column in each.columns.items()}
        for each in load_sources(REPO / "dags" / "sources")
    }
    made, told = in_force(REPO / "dags" / "metrics", {}, lambda: own, lambda: {})
    assert told == []
    with connect(write_lake(tmp_path, [made])) as connection:
        for name in made:
            assert run(connection, f"FROM metrics.{name}").fetchall() == []


def test_a_wrong_name_is_answered_with_the_nearest_metric_and_tables_come_before_metrics(
    tmp_path: Path,
) -> None:
    settings = write_lake(
        tmp_path, [definitions(metric("count", "visits"), metric("count", "events"))]
    )
    with connect(settings) as connection:
        with pytest.raises(TidegateError, match=r"did you mean 'metrics.visits'\?"):
            run(connection, "FROM metrics.visit")
        with pytest.raises(TidegateError, match=r"did you mean 'events'\?"):
            run(connection, "FROM event")


def test_a_lake_that_an_older_version_wrote_has_no_metrics_and_is_read(tmp_path: Path) -> None:
    settings = write_lake(tmp_path, [None], old=True)
    with connect(settings) as connection:
        assert not [name for name in tables(connection) if name.startswith("metrics.")]
        assert run(connection, "SELECT count(*) FROM events").fetchone() == (0,)


def test_a_definition_that_this_version_cannot_read_breaks_its_own_view_only(
    tmp_path: Path,
) -> None:
    newer = '{"metric":"newer","kind":"forecast","description":"d","owner":"o"}'
    settings = write_lake(tmp_path, [{**definitions(metric("count", "visits")), "newer": newer}])
    with connect(settings) as connection:
        assert run(connection, "FROM metrics.visits").fetchall() == []
        with pytest.raises(
            TidegateError, match=r"metric newer can't be computed.*kind: expected one of"
        ):
            run(connection, "FROM metrics.newer").fetchall()


def test_a_lake_of_delta_tables_gives_the_numbers(tmp_path: Path) -> None:
    import shutil

    import pyarrow as pa

    settings = write_lake(tmp_path, [definitions(*EVERY_KIND[:2])])
    place = Path(settings.lake) / "warehouse/events"
    shutil.rmtree(place)
    users, kinds = ["a", "a", None], ["user", "anonymous", None]
    names = {
        "source": pa.array(["web"] * 3),
        "event_id": pa.array(["1", "2", "3"]),
        "event_time": pa.array([NOON] * 3, pa.timestamp("us", tz="UTC")),
        "user_key": pa.array(users, pa.string()),
        "user_key_kind": pa.array(kinds, pa.string()),
        "dump_hour": pa.array([NOON] * 3, pa.timestamp("us", tz="UTC")),
        "properties": pa.array(["{}"] * 3),
    }
    write_delta(place, pa.table(names))
    with connect(settings) as connection:
        midnight = NOON.replace(hour=0)
        assert run(connection, "SELECT period_start, value FROM metrics.count").fetchall() == [
            (midnight, 3)
        ]
        assert run(connection, "SELECT value FROM metrics.unique").fetchall() == [(2,)]


# -- the command -----------------------------------------------------------------------------------


def listed(settings: Settings, *words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(settings.project))
    result = CliRunner().invoke(
        app, ["metrics", "--lake", settings.lake, *words], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_lists_what_the_release_has_and_what_the_next_one_will(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = metric("count", "visits", description="All \x1b[31mof them")
    gone, changed = metric("count", "gone"), metric("count", "changed")
    settings = write_lake(tmp_path, [definitions(made), definitions(made, gone, changed)])
    settings.metrics.mkdir(parents=True)
    keys = "kind: count\ndescription: A test.\nowner: tests\n"
    (settings.metrics / "new.yml").write_text(f"metric: new\n{keys}")
    (settings.metrics / "changed.yml").write_text(f"metric: changed\n{keys}interval: week\n")
    (settings.metrics / "visits.yml").write_text(f"metric: visits\n{keys}intervall: week\n")
    out, err = listed(settings, monkeypatch=monkeypatch)
    assert out.splitlines() == [
        "metric   kind   owner  description",
        "changed  count  tests  A test.",
        "gone     count  tests  A test.",
        "visits   count  tests  All \\x1b[31mof them",
    ]
    assert "(3 metrics; release r00002)" in err
    assert "changed (changed), new (new), gone (gone)" in err
    assert "visits.yml: unknown key 'intervall'" in err
    out, err = listed(settings, "--json", "--release", "r00001", monkeypatch=monkeypatch)
    [row] = json.loads(out)
    assert (row["metric"], row["view"], row["kind"]) == ("visits", "metrics.visits", "count")
    assert row["definition"]["interval"] == "day" and err == ""


def test_the_command_lists_nothing_where_nothing_was_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write_lake(tmp_path, [])
    out, err = listed(settings, monkeypatch=monkeypatch)
    assert (out, err) == ("", "(0 metrics; no release yet)\n")
