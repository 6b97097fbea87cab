"""Hourly and daily activity against the reckoning, on random events."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from compare import assert_same_rows, exact_rows
from project import HOUR, NOON
from reckoned import EVENT_DDL, daily_rows, event_row, hourly_rows, session_row
from reckoning import Event, sessions_of
from tidegate.lake import Lake
from tidegate.tables import daily_activity, hourly_activity, sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("lake")))


def draw(seed: int) -> list[Event]:
    """Return events of 40 sources over three days: odd and even numbers of sessions, bounces, none."""
    chance = random.Random(seed)
    events = []
    for number in range(40):
        for line in range(chance.randrange(1, 30)):
            time = NOON + timedelta(
                microseconds=chance.randrange(60 * 3600) * 1_000_000 + chance.randrange(3)
            )
            user = chance.choice([f"u{chance.randrange(5)}", None])
            kind = chance.choice(["view", "buy", None, ""])
            events.append(Event(f"s{number:02d}", NOON, f"{line}", time, kind, user, "f", line))
    return events


def frames(lake: Lake, events: list[Event], chance: random.Random) -> tuple[DataFrame, DataFrame]:
    rows = [event_row(event) for event in events]
    chance.shuffle(rows)
    found = lake.frame(rows, EVENT_DDL).repartition(chance.randrange(1, 5))
    rules = sessions.Rules(gap=timedelta(minutes=30), max=timedelta(hours=24))
    return found, sessions.sessionize(found, rules)


@pytest.mark.parametrize("seed", range(2))
def test_hourly_activity_is_that_of_the_reckoning(seed: int, lake: Lake) -> None:
    events = draw(seed)
    found, _ = frames(lake, events, random.Random(seed))
    assert_same_rows(
        exact_rows(hourly_activity.build(found)),
        hourly_rows(events),
        ["source", "hour", "event_type"],
    )


@pytest.mark.parametrize("seed", range(2))
def test_daily_activity_is_that_of_the_reckoning_with_exact_medians(seed: int, lake: Lake) -> None:
    events = draw(seed)
    found, made = frames(lake, events, random.Random(seed))
    rows = exact_rows(daily_activity.build(found, made).drop("users_sketch"))
    whole = sessions_of(events, 1800, 86400)
    assert_same_rows(exact_rows(made), map(session_row, whole), ["session_id"])
    expected = daily_rows(events, whole)
    key = lambda row: (row["source"], row["date"])  # noqa: E731
    for row, wanted in zip(sorted(rows, key=key), sorted(expected, key=key), strict=True):
        mean = wanted.pop("mean_duration_s")
        got = row.pop("mean_duration_s")
        assert got == (None if mean is None else pytest.approx(mean, rel=1e-12))
        assert row == wanted


def test_rows_do_not_depend_on_the_order_of_their_input_and_sketches_count_their_users(
    lake: Lake,
) -> None:
    events = draw(5)
    seen = []
    for seed in range(3):
        found, made = frames(lake, events, random.Random(seed))
        seen.append(exact_rows(daily_activity.build(found, made)))
    assert seen[0] == seen[1] == seen[2]
    found, made = frames(lake, events, random.Random(9))
    wrong = (
        daily_activity.build(found, made)
        .selectExpr("users", "theta_sketch_estimate(users_sketch) as estimate")
        .where("users != estimate")
    )
    assert wrong.isEmpty()


def test_sketches_of_days_merge_to_the_users_of_all_of_them(lake: Lake) -> None:
    events = [
        Event("s", NOON, f"{n}", NOON + (n % 3) * 24 * HOUR, "view", f"u{n % 70}", "f", n)
        for n in range(200)
    ]
    found, made = frames(lake, events, random.Random(1))
    [row] = (
        daily_activity.build(found, made)
        .selectExpr("theta_sketch_estimate(theta_union_agg(users_sketch)) as users")
        .collect()
    )
    assert row["users"] == 70
