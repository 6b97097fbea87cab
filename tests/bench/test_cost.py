"""Cost follows change: what a run reads depends on what changed, not on how much history there is.

Counted are the files that queries open, and their bytes, in a short history and in a longer one: one late event, and
one late event of a robot that never pauses.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from compare import Row
from conftest import MakeProject
from histories import RULES, assert_reckoned
from project import HOUR, NOON, Project, event
from reckoned import EVENT_COLUMNS
from tidegate.config.source import Source
from tidegate.lake.reader import LakeReader
from tidegate.lake.table_refs import At
from tidegate.tables import sessions
from tidegate.tables.sessions import Rules, sessionize
from tidegate.tables.system_tables import PUBLICATIONS
from workbench import Workbench

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


@dataclass
class Reads:
    """What queries of a lake read: by place, the files that they open, and their bytes; a file counts once a query."""

    files: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def add(self, place: str, paths: Iterable[Path]) -> None:
        for path in paths:
            self.files[place] += 1
            self.bytes[place] += path.stat().st_size


@contextmanager
def counted_reads() -> Iterator[Reads]:
    """Count what is read within the block: data files of versions of tables, and what was staged."""
    reads = Reads()
    paths_of, staged_at = LakeReader._paths, LakeReader._staged

    def paths(reader: LakeReader, table: str, version: int, at: At) -> list[str]:
        found = paths_of(reader, table, version, at)
        reads.add(table, (Path(reader.target(table)) / path for path in found))
        return found

    def staged(reader: LakeReader, places: Sequence[str], **options: bool) -> str:
        for place in places:
            target = reader.target(place)
            name = "/".join(target[target.index("staging") :].split("/")[:2])
            is_file = target.endswith(".parquet")
            reads.add(name, [Path(target)] if is_file else Path(target).glob("*.parquet"))
        return staged_at(reader, places, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LakeReader, "_paths", paths)
        patched.setattr(LakeReader, "_staged", staged)
        yield reads


@dataclass(frozen=True)
class History:
    """A project with published hours."""

    project: Project
    source: Source

    def then(self, hour: datetime, lines: list[Row]) -> Reads:
        """Run one more hour; return what that read."""
        self.project.put_hour(hour, lines)
        with counted_reads() as reads:
            ran = self.project.run(self.source, [hour])
        assert ran.exit_status == 0
        return reads


MakeHistory = Callable[[Callable[[int], list[Row]], timedelta, int], History]


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
def make_history(make_project: MakeProject) -> MakeHistory:
    def make(lines: Callable[[int], list[Row]], step: timedelta, count: int) -> History:
        project = make_project()
        source = project.source(**LONG_RULES)
        hours = [NOON + n * step for n in range(count)]
        for n, hour in enumerate(hours):
            project.put_hour(hour, lines(n))
        assert project.run(source, hours).exit_status == 0
        return History(project, source)

    return make


def assert_reads_alike(short: Reads, long: Reads) -> None:
    """Compare what was read by place: as many files, about as many bytes; and something was read."""
    assert {"warehouse/events", "warehouse/sessions", "staging/events"} <= short.files.keys()
    assert dict(long.files) == dict(short.files)
    for place, size in short.bytes.items():
        assert long.bytes[place] == pytest.approx(size, rel=0.05), place


@pytest.mark.parametrize("dumps", [LONG, pytest.param(LONGEST, marks=pytest.mark.slow)])
def test_one_late_event_reads_the_same_files_however_long_the_history(
    dumps: int, make_history: MakeHistory
) -> None:
    read = []
    for count in (SHORT, dumps):
        history = make_history(a_day, TEN_DAYS, count)
        today = NOON + (count - 1) * TEN_DAYS
        belated = event("late", NOON + 2 * TEN_DAYS + 57 * MINUTE, "u3")
        read.append(history.then(today + HOUR, [event("now", today + 61 * MINUTE, "u1"), belated]))
    assert_reads_alike(*read)


def test_a_late_event_of_a_robot_has_the_sessions_around_it_built_again_and_no_others(
    make_history: MakeHistory,
) -> None:
    read = []
    for days in (6, 12):
        history = make_history(robot, 6 * HOUR, 4 * days)
        hour = NOON + days * DAY
        belated = event("late", NOON + 2 * DAY + 65 * MINUTE, "robot")
        read.append(history.then(hour, [event("now", hour, "someone"), belated]))
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
    make_history: MakeHistory,
) -> None:
    history = make_history(robot, 6 * HOUR, 4 * 6 + 1)
    hour = NOON + 7 * DAY
    # Before its first event, and none of its cuts falls on an old one any more.
    belated = event("first", NOON - 5 * MINUTE, "robot")
    history.then(hour, [event("now", hour, "someone"), belated])
    assert_reckoned(history.project, LONG_RULES)
    starts = {row["session_start"] for row in history.project.table(sessions.TABLE)}
    assert {"2024-03-01 11:55:00", "2024-03-02 12:00:00"} <= starts


def test_skewed_users_are_exact(make_history: MakeHistory) -> None:
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
    history.then(NOON + 3 * HOUR, [*lines(3), *late])
    assert_reckoned(history.project, LONG_RULES)


@pytest.mark.slow
def test_a_million_users_of_one_event_and_one_user_of_a_million_are_exact(
    workbench: Workbench,
) -> None:
    many = 1_000_000
    start = int(NOON.timestamp()) * 1_000_000
    one_each = f"SELECT i, 'u' || i AS user_key, {start} + i % 3600 * 1000000 AS us FROM range({many}) t(i)"
    every_second = (
        f"SELECT i, 'robot' AS user_key, {start} + i * 1000000 AS us FROM range({many}) t(i)"
    )
    events = workbench.lake.select(
        f"""SELECT 'web' AS source, user_key, NULL AS source_session_id, make_timestamptz(us) AS event_time,
            user_key || '-' || i AS event_id, 'view' AS event_type, make_timestamptz({start}) AS dump_hour
        FROM ({one_each} UNION ALL {every_second})""",
        workbench.lake.own("events"),
        EVENT_COLUMNS,
    )
    rules = Rules(gap=timedelta(minutes=30), max=DAY)
    built = workbench.build(sessionize(rules), sessions.TABLE.types, events=events)
    rows = workbench.lake.look(
        "SELECT user_key = 'robot' AS is_robot, event_count, count(DISTINCT session_id) AS n "
        "FROM {built} GROUP BY ALL",
        built=built,
    )
    whole, rest = divmod(many, 86_400)
    assert {(row["is_robot"], row["event_count"]): row["n"] for row in rows} == {
        (False, 1): many,
        (True, 86_400): whole,
        (True, rest): 1,
    }
