"""Cost follows change: what a run reads depends on what changed, not on how much history there is.

Counted are the files and bytes that Spark's scans opened, by its own event log, in a short history and in a
longer one: one late event, and one late event of a robot that never pauses.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compare import Row
from conftest import FEW_ROWS
from histories import RULES, assert_reckoned
from project import HOUR, NOON, Project, event
from tidegate.bench.spark_log import Activity, SparkLog, log_conf
from tidegate.engine import connect, fit
from tidegate.lake import Lake
from tidegate.settings import S3Access
from tidegate.source import Source
from tidegate.stack.spark import start_spark
from tidegate.tables import sessions
from tidegate.tables.books import PUBLICATIONS
from tidegate.tables.sessions import Rules, sessionize

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
TEN_DAYS = 10 * DAY
SHORT, LONG, LONGEST = 6, 21, 365
"""Dumps, ten days apart; the last two of each lie in a month of their own."""
LONG_RULES = {
    **RULES,
    "accept": {"late": "4000d", "future": "6h"},
    "sessions": {"gap": "30m", "max": "24h"},
}


@dataclass(frozen=True)
class Server:
    """A Spark server that writes down what it reads."""

    spark: SparkSession
    url: str
    log: SparkLog
    empty_lake: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("spark")
    conf = {**FEW_ROWS, **log_conf(home / "events")}
    child, url = start_spark(home, s3=S3Access(), log=home / "spark.log", extra_conf=conf)
    try:
        spark = connect(url)
        Lake(spark, str(home / "lake")).create_tables()
        yield Server(spark, url, SparkLog(home / "events"), home / "lake")
        spark.stop()
    finally:
        child.stop(grace=0.0)


@dataclass(frozen=True)
class History:
    """A project with published hours."""

    project: Project
    source: Source

    def then(self, server: Server, hour: datetime, lines: list[Row]) -> Activity:
        """Run one more hour; return what that read."""
        self.project.put_hour(hour, lines)
        server.log.since_last(server.spark)
        ran = self.project.run(self.source, [hour])
        assert ran.exit_status == 0
        return server.log.since_last(server.spark)


def a_day(day: int) -> list[Row]:
    """Return the lines of a dump, every tenth day: a user with a third of all events, ten with some, many with one."""
    chance = random.Random("the same every day, so that files are as large")
    users = (
        ["whale"] * 60
        + [f"u{n}" for n in range(10)] * 3
        + [f"once{day:03d}-{n}" for n in range(90)]
    )
    return [
        event(f"{day:03d}-{n}", NOON + day * TEN_DAYS + chance.randrange(55) * MINUTE, user)
        for n, user in enumerate(users)
    ]


def robot(quarter: int) -> list[Row]:
    """Return the lines of a dump of six hours: a robot with an event every ten minutes, and a person."""
    start = NOON + quarter * 6 * HOUR
    steps = [event(f"r{quarter}-{n}", start + n * 10 * MINUTE, "robot") for n in range(36)]
    return [*steps, event(f"p{quarter}", start, f"p{quarter}")]


@pytest.fixture
def make_history(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., History]:
    def make(lines: Callable[[int], list[Row]], step: timedelta, count: int) -> History:
        root = tmp_path_factory.mktemp("history")
        shutil.copytree(server.empty_lake, root / "lake")
        project = Project(root, server.spark, server.url)
        source = project.source(**LONG_RULES)
        hours = [NOON + n * step for n in range(count)]
        for n, hour in enumerate(hours):
            project.put_hour(hour, lines(n))
        assert project.run(source, hours).exit_status == 0
        return History(project, source)

    return make


def assert_reads_alike(short: Activity, long: Activity) -> None:
    """Compare what was read by table: as many files, about as many bytes; and something was read."""
    places = {
        place
        for place in {**short.reads, **long.reads}
        if place.startswith(("warehouse/", "staging/")) and not place.endswith("_delta_log")
    }
    assert {"warehouse/events", "warehouse/sessions", "staging/events"} <= places
    for place in sorted(places):
        few, many = short.reads[place], long.reads[place]
        assert many.files == few.files, place
        # Days that were published together are one small file, that is copied with the day that changes.
        if place != "warehouse/daily_activity":
            assert many.bytes == pytest.approx(few.bytes, rel=0.05), place


@pytest.mark.parametrize("dumps", [LONG, LONGEST])
def test_one_late_event_reads_the_same_files_however_long_the_history(
    dumps: int, server: Server, make_history: Callable[..., History]
) -> None:
    read = []
    for count in (SHORT, dumps):
        history = make_history(a_day, TEN_DAYS, count)
        today = NOON + (count - 1) * TEN_DAYS
        belated = event("late", NOON + 2 * TEN_DAYS + 57 * MINUTE, "u3")
        read.append(
            history.then(server, today + HOUR, [event("now", today + 61 * MINUTE, "u1"), belated])
        )
    assert_reads_alike(*read)


def test_a_late_event_of_a_robot_has_the_sessions_around_it_built_again_and_no_others(
    server: Server, make_history: Callable[..., History]
) -> None:
    read = []
    for days in (6, 12):
        history = make_history(robot, 6 * HOUR, 4 * days)
        hour = NOON + days * DAY
        belated = event("late", NOON + 2 * DAY + 65 * MINUTE, "robot")
        read.append(history.then(server, hour, [event("now", hour, "someone"), belated]))
        made = max(history.project.table(PUBLICATIONS), key=lambda row: row["published_at"])
        assert made["table_name"] == "daily_activity"
        [last] = [
            row
            for row in history.project.table(PUBLICATIONS)
            if (row["table_name"], row["sequence"]) == ("sessions", 2)
        ]
        starts = {each["slice"] for each in last["slices"]}
        assert len(starts) == 2  # of the robot's session of that day, and of the newcomer
        assert_reckoned(history.project, LONG_RULES)
    assert_reads_alike(*read)


def test_a_late_event_that_moves_all_later_cuts_of_a_robot_is_followed_to_the_end(
    server: Server, make_history: Callable[..., History]
) -> None:
    history = make_history(robot, 6 * HOUR, 4 * 6 + 1)
    hour = NOON + 7 * DAY
    # Before its first event, and none of its cuts falls on an old one any more.
    belated = event("first", NOON - 5 * MINUTE, "robot")
    history.then(server, hour, [event("now", hour, "someone"), belated])
    assert_reckoned(history.project, LONG_RULES)
    starts = {row["session_start"] for row in history.project.table(sessions.TABLE)}
    assert {"2024-03-01 11:55:00", "2024-03-02 12:00:00"} <= starts


def test_skewed_users_are_exact(server: Server, make_history: Callable[..., History]) -> None:
    """One user has a third of all events, half of the users have one event each."""

    def lines(number: int) -> list[Row]:
        chance = random.Random(f"skew{number}")
        made = []
        for n in range(600):
            time = NOON + number * HOUR + chance.randrange(3_600_000) * timedelta(milliseconds=1)
            user = chance.choice(
                ["whale", f"once{number}-{n}", f"u{int(20 * chance.random() ** 3)}"]
            )
            made.append(event(f"{number}-{n}", time, user, type=chance.choice(["view", "buy"])))
        return made

    history = make_history(lines, HOUR, 3)
    assert_reckoned(history.project, LONG_RULES)
    late = [event(f"late{n}", NOON + n * MINUTE, "whale") for n in range(5)]
    history.then(server, NOON + 3 * HOUR, [*lines(3), *late])
    assert_reckoned(history.project, LONG_RULES)


def test_a_million_users_of_one_event_and_one_user_of_a_million_are_exact(server: Server) -> None:
    from pyspark.sql import functions as F

    many = 1_000_000
    fit(server.spark, 2 * many)
    numbers = server.spark.range(many)
    start = int(NOON.timestamp())
    about = {
        "source": F.lit("web"),
        "source_session_id": F.lit(None).cast("string"),
        "event_type": F.lit("view"),
        "dump_hour": F.timestamp_seconds(F.lit(start)),
        "event_id": F.concat_ws("-", F.col("user_key"), F.col("id")),
    }
    one_each = numbers.withColumn("user_key", F.concat(F.lit("u"), F.col("id"))).withColumn(
        "event_time", F.timestamp_seconds(F.lit(start) + F.col("id") % 3600)
    )
    every_second = numbers.withColumn("user_key", F.lit("robot")).withColumn(
        "event_time", F.timestamp_seconds(F.lit(start) + F.col("id"))
    )
    rules = Rules(gap=timedelta(minutes=30), max=DAY)
    found = sessionize(one_each.unionByName(every_second).withColumns(about), rules)
    counted = {
        (row["is_robot"], row["event_count"]): row["n"]
        for row in found.groupBy(F.expr("user_key = 'robot'").alias("is_robot"), "event_count")
        .agg(F.count_distinct("session_id").alias("n"))
        .collect()
    }
    whole, rest = divmod(many, 86_400)
    assert counted == {(False, 1): many, (True, 86_400): whole, (True, rest): 1}
