"""Hourly and daily activity against the reckoning, on random events and on either engine."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from datasketches import compact_theta_sketch, theta_union

from compare import Row, assert_same_rows
from project import HOUR, NOON
from reckoned import EVENT_COLUMNS, daily_rows, event_row, hourly_rows, session_row
from reckoning import Event, sessions_of
from tidegate.lake import Staged
from tidegate.tables import daily_activity, hourly_activity, sessions
from workbench import Workbench

RULES = sessions.Rules(gap=timedelta(minutes=30), max=timedelta(hours=24))


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


def staged(bench: Workbench, events: list[Event], chance: random.Random) -> tuple[Staged, Staged]:
    rows = [event_row(event) for event in events]
    chance.shuffle(rows)
    found = bench.stage(rows, EVENT_COLUMNS, files=chance.randrange(1, 5))
    query = sessions.sessionize(RULES)
    return found, bench.build(query, sessions.TABLE.types, events=found)


def daily(bench: Workbench, events: Staged, made: Staged) -> list[Row]:
    query = daily_activity.QUERY
    return bench.run(query, daily_activity.TABLE.types, events=events, sessions=made)


@pytest.mark.parametrize("seed", range(2))
def test_hourly_activity_is_that_of_the_reckoning(seed: int, workbench: Workbench) -> None:
    events = draw(seed)
    found, _ = staged(workbench, events, random.Random(seed))
    assert_same_rows(
        workbench.run(hourly_activity.QUERY, hourly_activity.TABLE.types, events=found),
        hourly_rows(events),
        ["source", "hour", "event_type"],
    )


@pytest.mark.parametrize("seed", range(2))
def test_daily_activity_is_that_of_the_reckoning_with_exact_medians(
    seed: int, workbench: Workbench
) -> None:
    events = draw(seed)
    found, made = staged(workbench, events, random.Random(seed))
    rows = daily(workbench, found, made)
    whole = sessions_of(events, 1800, 86400)
    assert_same_rows(workbench.rows(made), map(session_row, whole), ["session_id"])
    expected = daily_rows(events, whole)
    key = lambda row: (row["source"], row["date"])  # noqa: E731
    for row, wanted in zip(sorted(rows, key=key), sorted(expected, key=key), strict=True):
        mean = wanted.pop("mean_duration_s")
        got = row.pop("mean_duration_s")
        row.pop("users_sketch")
        assert got == (None if mean is None else pytest.approx(mean, rel=1e-12))
        assert row == wanted


def test_rows_do_not_depend_on_the_order_of_their_input_and_sketches_count_their_users(
    workbench: Workbench,
) -> None:
    events = draw(5)
    seen = []
    for seed in range(3):
        found, made = staged(workbench, events, random.Random(seed))
        seen.append(daily(workbench, found, made))
    assert seen[0] == seen[1] == seen[2]
    for row in seen[0]:
        sketch = compact_theta_sketch.deserialize(bytes.fromhex(row["users_sketch"]))
        assert sketch.get_estimate() == row["users"]


def test_sketches_of_days_merge_to_the_users_of_all_of_them(workbench: Workbench) -> None:
    events = [
        Event("s", NOON, f"{n}", NOON + (n % 3) * 24 * HOUR, "view", f"u{n % 70}", "f", n)
        for n in range(200)
    ]
    found, made = staged(workbench, events, random.Random(1))
    union = theta_union()
    for row in daily(workbench, found, made):
        union.update(compact_theta_sketch.deserialize(bytes.fromhex(row["users_sketch"])))
    assert union.get_result().get_estimate() == 70


def test_both_engines_give_the_same_bytes_also_of_more_users_than_a_sketch_keeps(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    events = [
        Event(
            "s",
            NOON,
            f"{n}",
            NOON + timedelta(seconds=n % 80_000),
            "v",
            f"ü{n * 7919 % 30_011}",
            "f",
            n,
        )
        for n in range(40_000)
    ]
    few = [("none", [None]), ("one", ["u1", "u1"]), ("two", ["u1", "u2", None])]
    events += [
        Event(source, NOON, f"{n}", NOON, "v", user, "f", n)
        for source, users in few
        for n, user in enumerate(users)
    ]
    given = []
    for spark in (None, request.getfixturevalue("spark")):
        bench = Workbench(tmp_path_factory.mktemp("bench"), spark)
        found, made = staged(bench, events, random.Random(1))
        given.append((daily(bench, found, made), bench.rows(made)))
    assert given[0] == given[1]
    assert sorted(row["users"] for row in given[0][0])[:3] == [0, 1, 2]
    assert max(row["users"] for row in given[0][0]) > 20_000
