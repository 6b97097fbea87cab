"""Metrics: every number compared with a plain computation over the same rows."""

from __future__ import annotations

import random
import statistics
import zoneinfo._zoneinfo as python_zones  # type: ignore[import-not-found]
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metric_lake import Row, computed, computed_all, lake, metric, period
from tidegate.config.metrics import sketches
from tidegate.config.metrics.sql import BY_THE_MINUTE

HOUR = timedelta(hours=1)
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),  # by half an hour
    "America/Havana": ("2026-03-08T05:00", "2026-11-01T05:00"),  # at midnight, which comes twice
    "America/Sao_Paulo": ("2018-11-04T03:00", "2018-02-18T02:00"),  # a day without a midnight
    "America/St_Johns": ("2010-11-07T02:31", "2010-03-14T03:31"),  # at a minute past midnight
    "Pacific/Apia": ("2011-12-30T10:00",),  # a day that never was
    "Asia/Kathmandu": ("2026-01-01T00:00",),  # off by quarters
    "UTC": ("1969-12-31T23:00", "2026-03-01T00:00"),
}
"""Zones, with instants (UTC) at which their clocks do something odd."""
USERS = ["ann", "o'b\"; DROP SCHEMA metrics; --", "", "Ü\u202e\n", None]
TYPES = ["view", "cart", "buy", 'it\'s "x"', None]


def rows(zone: str, within: timedelta) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw events around the odd instants of a zone, many at the very same time."""
    spans = [
        (datetime.fromisoformat(each).replace(tzinfo=UTC) - within, 2 * within)
        for each in CHANGES[zone]
    ]
    half_hours = st.tuples(st.sampled_from(spans), st.integers(0, 2 * within // HOUR * 2)).map(
        lambda drawn: drawn[0][0] + drawn[1] * HOUR / 2
    )
    any_time = st.tuples(
        st.sampled_from(spans), st.integers(0, 2 * within // timedelta(microseconds=1))
    ).map(lambda drawn: drawn[0][0] + timedelta(microseconds=drawn[1]))
    one = st.fixed_dictionaries(
        {
            "source": st.sampled_from(["web", "app"]),
            "event_time": half_hours | any_time,
            "event_type": st.sampled_from(TYPES),
            "user_key": st.sampled_from(USERS),
            "ms": st.none() | st.integers(-5, 5),
            "price": st.none() | st.decimals(-10, 10, places=2),
            "score": st.none() | st.floats(-1e6, 1e6),
            "device": st.sampled_from(["phone", None]),
        }
    )

    def numbered(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # Ids that are not in the order of the rows.
        return [{**row, "event_id": f"{at * 7 % 10}{at}"} for at, row in enumerate(drawn)]

    return st.lists(one, max_size=25).map(numbered)


def grouped(
    found: Iterable[Row], interval: str, zone: str, by: tuple[str, ...] = ()
) -> dict[tuple[Any, ...], list[Row]]:
    """Return rows by period and groups."""
    groups = defaultdict(list)
    for row in found:
        groups[(*period(row["event_time"], interval, zone), *(row[g] for g in by))].append(row)
    return groups


def by_period(found: list[dict[str, Any]], *by: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return a metric's rows by period and groups, which each are there once."""
    made = {}
    for row in found:
        key = tuple(row.pop(name) for name in ("period_start", "period_local", *by))
        assert key not in made
        made[key] = row
    return made


# -- periods and aggregates ------------------------------------------------------------------------


@pytest.mark.parametrize("zone", CHANGES)
@settings(deadline=None, max_examples=10)
@given(data=st.data(), interval=st.sampled_from(["hour", "day", "week", "month"]))
def test_rows_are_counted_in_the_period_that_the_clocks_of_the_zone_showed(
    zone: str, data: st.DataObject, interval: str
) -> None:
    drawn = data.draw(rows(zone, 30 * HOUR))
    found = computed(lake(drawn), metric("count", interval=interval, time_zone=zone))
    expected = {key: {"value": len(of)} for key, of in grouped(drawn, interval, zone).items()}
    assert by_period(found) == expected


@settings(deadline=None, max_examples=20)
@given(drawn=rows("Europe/Berlin", 30 * HOUR))
def test_every_aggregate_is_that_of_a_plain_computation(drawn: list[dict[str, Any]]) -> None:
    by = ("device", "event_type")
    zone = "Europe/Berlin"
    kept = [row for row in drawn if row["source"] == "web" and (row["ms"] or 0) >= 0]
    groups = grouped(kept, "day", zone, by)
    wanted_of: dict[str, dict[str, Any]] = {
        "count": {},
        "unique": {},
        "ids": {"kind": "unique", "value": "event_id"},
        "sum": {"value": "price"},
        "product": {"kind": "sum", "value": "price * ms"},
        "total": {"kind": "sum", "value": "score"},
        "mean": {"value": "score"},
        "median": {"value": "score"},
        "share": {"kind": "mean", "value": "event_type = 'buy'"},
        "percentiles": {"value": "score", "percentiles": [0, 12.5, 50, 99.9, 100]},
    }
    kept_only: dict[str, Any] = {
        "source": "web",
        "where": "coalesce(ms, 0) >= 0",
        "time_zone": zone,
    }
    made = [
        metric(keys.pop("kind", name), name, group_by=list(by), **kept_only, **keys)
        for name, keys in wanted_of.items()
    ]
    found = {name: by_period(its, *by) for name, its in computed_all(lake(drawn), *made).items()}
    assert all(its.keys() == groups.keys() for its in found.values())
    counts, users, ids, exact, product, total, mean, middle, share, tails = found.values()
    for key, its in groups.items():
        assert counts[key]["value"] == len(its)
        assert users[key]["value"] == len({r["user_key"] for r in its} - {None})
        assert ids[key]["value"] == len(its)
        assert exact[key]["value"] == total_of(row["price"] for row in its)
        assert product[key]["value"] == total_of(
            row["price"] * row["ms"]
            for row in its
            if row["price"] is not None and row["ms"] is not None
        )
        assert share[key]["value"] == mean_of(
            row["event_type"] == "buy" for row in its if row["event_type"] is not None
        )
        scores = sorted(row["score"] for row in its if row["score"] is not None)
        assert total[key]["value"] == near(sum(scores) if scores else None)
        assert mean[key]["value"] == near(mean_of(scores))
        assert middle[key]["value"] == near(statistics.median(scores) if scores else None)
        for column, share_below in (
            ("p0", 0),
            ("p12_5", 0.125),
            ("p50", 0.5),
            ("p99_9", 0.999),
            ("p100", 1),
        ):
            wanted = pd.Series(scores).quantile(share_below) if scores else None
            assert tails[key][column] == near(wanted)


def total_of(values: Iterable[Decimal | None]) -> Decimal | None:
    there = [value for value in values if value is not None]
    return sum(there, Decimal(0)) if there else None


def mean_of(values: Iterable[Any]) -> float | None:
    there = list(values)
    return sum(there) / len(there) if there else None


def near(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)


def test_a_sum_of_binary_fractions_does_not_depend_on_their_order() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    chance = random.Random(7)
    drawn = [
        {"event_id": str(n), "event_time": at, "score": chance.uniform(-1e9, 1e9) * 10**-n}
        for n in range(300)
    ]
    seen = set()
    for _ in range(4):
        chance.shuffle(drawn)
        connection = lake(drawn)
        seen.add(
            tuple(
                computed(connection, metric(kind, value="score"))[0]["value"]
                for kind in ("sum", "mean")
            )
        )
    assert len(seen) == 1


def test_a_day_may_have_23_or_25_hours_and_an_hour_that_comes_twice_is_two_rows() -> None:
    days_of = (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC))
    hours = [start + n * HOUR for start in days_of for n in range(24 * 4)]
    drawn = [{"event_id": str(n), "event_time": at} for n, at in enumerate(hours)]
    connection = lake(drawn)
    found = computed(connection, metric("count", time_zone="Europe/Berlin"))
    days = {row["period_local"].date(): row["value"] for row in found}
    assert days[date(2026, 3, 29)] == 23 and days[date(2026, 10, 25)] == 25
    assert days[date(2026, 3, 28)] == days[date(2026, 10, 24)] == 24
    twice = [
        row
        for row in computed(connection, metric("count", interval="hour", time_zone="Europe/Berlin"))
        if str(row["period_local"]) == "2026-10-25 02:00:00"
    ]
    assert [row["period_start"].astimezone(UTC).hour for row in twice] == [0, 1]
    assert [row["value"] for row in twice] == [1, 1]


def test_other_zones_have_changed_their_clocks_at_quarters_of_an_hour_since_1980() -> None:
    since = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
    end_of_32_bits = 2**31 - 1  # stands in some files, and changes nothing
    odd = {
        name
        for name in available_timezones() - {"localtime"}
        for at in python_zones.ZoneInfo.no_cache(name)._trans_utc
        if since <= at < end_of_32_bits and at % 900
    }
    assert odd == BY_THE_MINUTE


def test_duckdb_knows_every_zone_that_a_metric_may_name() -> None:
    known = {name for (name,) in lake().execute("SELECT name FROM pg_timezone_names()").fetchall()}
    assert available_timezones() - {"localtime"} <= known


def test_the_clocks_of_duckdb_are_those_of_the_iana() -> None:
    connection = lake()
    for name in CHANGES:
        for text in CHANGES[name]:
            at = datetime.fromisoformat(text).replace(tzinfo=UTC)
            for moment in (at - timedelta(microseconds=1), at):
                found = connection.execute("SELECT timezone(?, ?)", [name, moment]).fetchone()
                assert found == (moment.astimezone(ZoneInfo(name)).replace(tzinfo=None),)


# -- funnels ---------------------------------------------------------------------------------------

STEPS = ("view", "cart", "buy")


def furthest(events: list[Row], first: int, window: timedelta, steps: tuple[str, ...]) -> int:
    """Return how many steps an attempt gets through: try every way, not only the nearest one."""
    ends = {first}
    for at, step in enumerate(steps[1:], start=1):
        ends = {
            later
            for end in ends
            for later in range(end + 1, len(events))
            if events[later]["event_type"] == step
            and events[later]["event_time"] - events[first]["event_time"] <= window
        }
        if not ends:
            return at
    return len(steps)


def funnel_of(
    drawn: Sequence[Row], entity: str, zone: str, window: timedelta, by: str | None = None
) -> dict[tuple[Any, ...], int]:
    """Return how many entered each step, by period, group and step."""
    whose = defaultdict(list)
    for row in drawn:
        if row["user_key"] is not None and row.get(entity) is not None:
            whose[row[entity]].append(row)
    best: dict[tuple[Any, ...], dict[Any, int]] = defaultdict(dict)
    for name, its in whose.items():
        its.sort(key=lambda row: (row["event_time"], row["event_id"], row["source"]))
        for at, row in enumerate(its):
            if row["event_type"] != STEPS[0]:
                continue
            key = (*period(row["event_time"], "day", zone), row[by] if by else None)
            reached = furthest(its, at, window, STEPS)
            best[key][name] = max(best[key].get(name, 0), reached)
    return {
        (*key, step): sum(reached >= step for reached in of.values())
        for key, of in best.items()
        for step in range(1, len(STEPS) + 1)
    }


def conditions() -> list[dict[str, str]]:
    return [{"name": f"a {step}", "where": f"event_type = '{step}'"} for step in STEPS]


@settings(deadline=None, max_examples=40)
@given(
    drawn=rows("Europe/Berlin", 4 * HOUR),
    window=st.sampled_from(["30m", "1h", "5h", "2d"]),
    by=st.sampled_from([None, "device"]),
    at_once=st.sampled_from([0, 64]),
)
def test_a_funnel_is_that_of_trying_every_way(
    drawn: list[dict[str, Any]], window: str, by: str | None, at_once: int
) -> None:
    from tidegate.common.durations import parse_duration

    # Few users and types, so that attempts get far.
    drawn = [
        {**r, "user_key": USERS[i % 2], "event_type": STEPS[i % 7 % 3]} for i, r in enumerate(drawn)
    ]
    made = metric(
        "funnel",
        steps=conditions(),
        window=window,
        time_zone="Europe/Berlin",
        **({"group_by": by} if by else {}),
    )
    connection = lake(drawn)
    # DuckDB joins up to so many rows in another way.
    connection.execute(f"SET asof_loop_join_threshold = {at_once}")
    found = computed(connection, made)
    expected = funnel_of(drawn, "user_key", "Europe/Berlin", parse_duration(window), by)
    assert {
        (row["period_start"], row["period_local"], row.get("device"), row["step"]): row["entered"]
        for row in found
    } == expected
    before = None
    for row in found:
        assert row["step_name"] == f"a {STEPS[row['step'] - 1]}"
        if row["step"] == 1:
            first, before = row["entered"], None
        assert row["share_of_first"] == row["entered"] / first
        assert row["share_of_previous"] == (row["entered"] / before if before else None)
        before = row["entered"]


@settings(deadline=None, max_examples=40)
@given(drawn=rows("UTC", 3 * HOUR), own=st.booleans())
def test_a_funnel_by_session_takes_the_steps_of_one_session(
    drawn: list[dict[str, Any]], own: bool
) -> None:
    drawn = [
        {**row, "event_type": STEPS[at % 5 % 3], "source_session_id": f"s{at % 3}" if own else None}
        for at, row in enumerate(drawn)
    ]
    made, sessions = sessionized(drawn, timedelta(minutes=45))
    found = computed(
        lake(made, sessions), metric("funnel", steps=conditions(), window="1d", by="session")
    )
    expected = funnel_of(made, "session_id", "UTC", timedelta(days=1))
    assert {
        (row["period_start"], row["period_local"], None, row["step"]): row["entered"]
        for row in found
    } == expected


@pytest.mark.parametrize("by", ["user", "session"])
def test_a_funnel_of_many_events_is_that_of_a_plain_computation(by: str) -> None:
    chance = random.Random(5)
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    drawn = [
        {
            "source": "web",
            "event_id": f"{n:04d}",
            "event_time": begin + timedelta(seconds=chance.randrange(3 * 86_400)),
            "event_type": chance.choices(["view", "cart", "buy", "other"], [5, 4, 4, 5])[0],
            "user_key": f"u{chance.randrange(40)}",
            "source_session_id": None,
        }
        for n in range(2_000)
    ]
    made, sessions = sessionized(drawn, timedelta(hours=3))
    found = computed(lake(made, sessions), metric("funnel", steps=conditions(), window="8h", by=by))
    entity = "user_key" if by == "user" else "session_id"
    expected = funnel_of(made, entity, "UTC", timedelta(hours=8))
    assert {(row["period_start"], row["step"]): row["entered"] for row in found} == {
        (start, step): entered for (start, _, _, step), entered in expected.items()
    }
    assert {row["step"] for row in found if row["entered"] > 5} == {1, 2, 3}


def sessionized(
    drawn: list[dict[str, Any]], gap: timedelta
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return events that know their session, and the sessions: of the source's own ids, or cut at pauses."""
    whose = defaultdict(list)
    for row in sorted(drawn, key=lambda row: (row["event_time"], row["event_id"])):
        if row["user_key"] is not None:
            whose[row["source"], row["source_session_id"] or row["user_key"]].append(row)
    made, sessions = [row for row in drawn if row["user_key"] is None], []
    for (source, key), its in whose.items():
        parts = [[its[0]]]
        for before, row in pairwise(its):
            paused = row["event_time"] - before["event_time"] > gap
            if paused and row["source_session_id"] is None:
                parts.append([])
            parts[-1].append(row)
        for number, part in enumerate(parts):
            name = f"{source}/{key}/{number}"
            made += [{**row, "session_id": name} for row in part]
            sessions.append(
                {
                    "source": source,
                    "session_id": name,
                    "source_session_id": part[0]["source_session_id"],
                    "user_key": part[0]["user_key"],
                    "session_start": part[0]["event_time"],
                    "session_end": part[-1]["event_time"],
                }
            )
    return made, sessions


def test_a_funnel_is_strict_at_equal_times_and_counts_what_is_just_within_its_window() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def entered(
        *events: tuple[str, timedelta, str], steps: list[str], window: str = "1h"
    ) -> list[int]:
        drawn = [
            {
                "source": "web",
                "event_id": i,
                "event_time": at + after,
                "event_type": kind,
                "user_key": "u",
            }
            for i, after, kind in events
        ]
        found = computed(lake(drawn), metric("funnel", steps=steps, window=window))
        return [row["entered"] for row in found]

    none, us = timedelta(0), timedelta(microseconds=1)
    two = ["event_type = 'view'", "event_type = 'buy'"]
    assert entered(("1", none, "view"), ("2", none, "buy"), steps=two) == [1, 1]
    assert entered(("2", none, "view"), ("1", none, "buy"), steps=two) == [1, 0]
    assert entered(("1", none, "view"), ("2", HOUR, "buy"), steps=two) == [1, 1]
    assert entered(("1", none, "view"), ("2", HOUR + us, "buy"), steps=two) == [1, 0]
    # One event is one step, though it fits two; and of two views the second one counts.
    same = ["event_type = 'view'", "event_type != 'buy'"]
    assert entered(("1", none, "view"), steps=same) == [1, 0]
    assert entered(("1", none, "view"), ("2", none, "view"), steps=same) == [1, 1]
    late = (("1", none, "view"), ("2", HOUR, "view"), ("3", 2 * HOUR, "buy"))
    assert entered(*late, steps=two) == [1, 1]
    assert entered(("1", none, "buy"), steps=two) == []


# -- cohorts ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    drawn=rows("America/New_York", 40 * 24 * HOUR),
    interval=st.sampled_from(["day", "week"]),
    by=st.sampled_from([None, "device"]),
    returns=st.sampled_from([None, "buy"]),
)
def test_retention_and_new_users_are_those_of_a_plain_computation(
    drawn: list[dict[str, Any]], interval: str, by: str | None, returns: str | None
) -> None:
    zone, periods = "America/New_York", 5
    known = [row for row in drawn if row["user_key"] is not None]
    local = {id(row): period(row["event_time"], interval, zone)[1] for row in known}
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(known, key=lambda r: (r["event_time"], r["event_id"], r["source"])):
        first.setdefault(row["user_key"], row)
    length = timedelta(days=1 if interval == "day" else 7)
    last = max(local.values(), default=None)
    expected = {}
    cohorts = defaultdict(list)
    for user, row in first.items():
        key = (*period(row["event_time"], interval, zone), row["device"] if by else None)
        cohorts[key].append(user)
    for key, users in cohorts.items():
        assert last is not None
        for later in range(min(periods, (last - key[1]) // length) + 1):
            there = {
                row["user_key"]
                for row in known
                if local[id(row)] == key[1] + later * length
                and returns in (None, row["event_type"])
            }
            back = len(there & set(users))
            expected[(*key, later)] = (len(users), back, back / len(users))
    keys: dict[str, Any] = {
        "interval": interval,
        "time_zone": zone,
        **({"group_by": by} if by else {}),
    }
    connection = lake(drawn)
    also = {"returns": f"event_type = '{returns}'"} if returns else {}
    found = computed(connection, metric("retention", periods=periods, **also, **keys))
    assert {
        (row["cohort_start"], row["cohort_local"], row.get("device"), row["periods_later"]): (
            row["users"],
            row["returned"],
            row["share"],
        )
        for row in found
    } == expected
    new = by_period(computed(connection, metric("new_users", **keys)), *([by] if by else []))
    assert {(*k[:2], k[2] if by else None): v["value"] for k, v in new.items()} == {
        key: len(users) for key, users in cohorts.items()
    }


def test_a_filter_applies_before_the_first_event_is_looked_for() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    drawn = [
        {"event_id": "1", "event_time": at, "event_type": "view", "user_key": "u"},
        {"event_id": "2", "event_time": at + 48 * HOUR, "event_type": "buy", "user_key": "u"},
    ]
    [row] = computed(lake(drawn), metric("new_users", where="event_type = 'buy'"))
    assert str(row["period_local"]) == "2026-03-03 00:00:00"


def test_metrics_of_many_events_are_those_of_a_plain_computation() -> None:
    chance = random.Random(11)
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    zone = "Europe/Berlin"
    drawn: list[dict[str, Any]] = [
        {
            "source": "web",
            "event_id": f"{n:04d}",
            "event_time": begin + timedelta(seconds=chance.randrange(40 * 86_400)),
            "user_key": f"u{int(chance.expovariate(0.01))}",
            "score": chance.gauss(0, 1),
        }
        for n in range(3_000)
    ]
    made = [
        metric("unique", "unique", interval="hour", time_zone=zone),
        metric(
            "percentiles",
            "tails",
            value="score",
            percentiles=[50, 95],
            interval="week",
            time_zone=zone,
        ),
        metric("new_users", "new_users", time_zone=zone),
        metric("retention", "retention", time_zone=zone, periods=40),
    ]
    found = computed_all(lake(drawn), *made)
    hours = grouped(drawn, "hour", zone)
    assert {k: v["value"] for k, v in by_period(found["unique"]).items()} == {
        key: len({row["user_key"] for row in its}) for key, its in hours.items()
    }
    for key, row in by_period(found["tails"]).items():
        scores = pd.Series([each["score"] for each in grouped(drawn, "week", zone)[key]])
        assert (row["p50"], row["p95"]) == (near(scores.quantile(0.5)), near(scores.quantile(0.95)))
    days = defaultdict(set)
    for each in drawn:
        days[each["user_key"]].add(period(each["event_time"], "day", zone))
    cohorts = defaultdict(list)
    for user, its in days.items():
        cohorts[min(its)].append(user)
    assert {k: v["value"] for k, v in by_period(found["new_users"]).items()} == {
        key: len(users) for key, users in cohorts.items()
    }
    last = max(max(its)[1] for its in days.values())
    assert {
        (row["cohort_local"], row["periods_later"]): row["returned"] for row in found["retention"]
    } == {
        (local, later): sum(
            any(at[1] == local + timedelta(days=later) for at in days[user]) for user in users
        )
        for (_, local), users in cohorts.items()
        for later in range(min(40, (last - local).days) + 1)
    }


# -- ratios ----------------------------------------------------------------------------------------


def test_a_ratio_has_the_rows_of_its_denominator_and_nothing_divides_by_zero() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    drawn = [
        {"event_id": "1", "event_time": at, "event_type": "buy", "user_key": "u", "ms": 3},
        {"event_id": "2", "event_time": at, "event_type": "view", "user_key": "v", "ms": -3},
        {
            "event_id": "3",
            "event_time": at + 24 * HOUR,
            "event_type": "view",
            "user_key": None,
            "ms": 1,
        },
        {"event_id": "4", "event_time": at, "event_type": "view", "user_key": "w", "device": "x"},
    ]
    by: dict[str, Any] = {"group_by": "device"}
    parts = [
        metric("count", "buys", where="event_type = 'buy'", **by),
        metric("unique", "users", **by),
        metric("sum", "ms", value="ms", **by),
        metric("mean", "buy_ms", value="ms", where="event_type = 'buy'", **by),
        metric("count", "all_of_it", **by),
    ]

    def ratio(above: str, below: str) -> list[tuple[Any, ...]]:
        made = metric("ratio", "r", numerator=above, denominator=below)
        return [
            (row["period_local"].day, row["device"], row["numerator"], row["value"])
            for row in computed(connection, *parts, made)
        ]

    connection = lake(drawn)
    assert ratio("buys", "users") == [(1, "x", 0, 0.0), (1, None, 1, 0.5), (2, None, 0, None)]
    assert ratio("buys", "ms") == [(1, "x", 0, None), (1, None, 1, None), (2, None, 0, 0.0)]
    # The mean of nothing is not 0.
    assert ratio("buy_ms", "all_of_it")[0] == (1, "x", None, None)


# -- sketches --------------------------------------------------------------------------------------


def sketch(users: Iterable[str]) -> bytes:
    """Return the sketch of some users as the library makes it."""
    import datasketches  # type: ignore[import-untyped]

    made = datasketches.update_theta_sketch(sketches.LG_ENTRIES)
    for user in users:
        made.update(user)
    return bytes(made.compact().serialize())


def day(source: str, number: int, users: Iterable[str]) -> dict[str, Any]:
    return {"source": source, "date": date(2026, 3, number), "users_sketch": sketch(users)}


@settings(deadline=None, max_examples=20)
@given(
    drawn=st.dictionaries(
        st.tuples(st.sampled_from(["web", "app"]), st.integers(1, 31)),
        st.sets(st.integers(0, 30)),
        max_size=8,
    ),
    by=st.sampled_from([None, "source"]),
)
def test_active_users_of_few_are_exact(
    drawn: dict[tuple[str, int], set[int]], by: str | None
) -> None:
    connection = lake(days=[day(s, n, map(str, users)) for (s, n), users in drawn.items()])
    found = computed(
        connection, metric("active_users", days=[1, 3, 10], **({"group_by": by} if by else {}))
    )
    expected = {}
    for group in {s for s, _ in drawn} if by else {None}:
        mine = {(s, n): users for (s, n), users in drawn.items() if group in (None, s)}
        there = [n for _, n in mine]
        for number in range(min(there, default=1), max(there, default=0) + 1):
            expected[number, group] = tuple(
                len(
                    set().union(*(u for (_, n), u in mine.items() if number - length < n <= number))
                )
                for length in (1, 3, 10)
            )
    assert {
        (row["period_local"].day, row.get("source")): (row["dau"], row["wau"], row["mau"])
        for row in found
    } == expected
    assert not any(row[f"{name}_standard_error"] for row in found for name in ("dau", "wau", "mau"))


def test_active_users_of_many_are_within_what_the_standard_error_says() -> None:
    chance = random.Random(3)
    truth, off = [], []
    days = []
    seen: set[int] = set()
    for number in range(1, 11):
        users = {chance.randrange(40_000) for _ in range(9_000)}
        seen |= users
        truth.append((len(users), len(seen)))
        days.append(day("web", number, (f"u{user}" for user in users)))
    for row, (daily, so_far) in zip(
        computed(lake(days=days), metric("active_users")), truth, strict=True
    ):
        for name, wanted in (("dau", daily), ("mau", so_far)):
            error = row[f"{name}_standard_error"]
            assert 0.005 < error / wanted < 0.017  # 1 / sqrt(4096) is 0.0156
            off.append(abs(row[name] - wanted) / error)
    assert max(off) < 4
    assert sum(each < 1 for each in off) >= len(off) / 3


def test_a_union_is_exact_below_4096_users_and_null_safe() -> None:
    parts = [sketch(f"u{n}" for n in range(at, at + 1_000)) for at in range(0, 3_095, 500)]
    merged = sketches.union([*parts, None])
    everyone = len({n for at in range(0, 3_095, 500) for n in range(at, at + 1_000)})
    assert everyone < 4_096
    assert sketches.estimate(merged) == everyone and sketches.standard_error(merged) == 0
    connection = lake()
    computed(connection, metric("count"))
    nothing = (
        "SELECT theta_union(NULL), theta_union([]), theta_union([NULL]), theta_sketch_estimate(NULL), "
        "theta_sketch_standard_error(NULL), theta_sketch_lower_bound(NULL, 1), "
        "theta_sketch_upper_bound(NULL, NULL)"
    )
    assert connection.execute(nothing).fetchone() == (None,) * 7


def test_bounds_lie_around_the_truth_and_bytes_that_are_no_sketch_are_refused() -> None:
    import duckdb

    many = sketch(f"u{n}" for n in range(50_000))
    connection = lake()
    computed(connection, metric("count"))
    found = connection.execute(
        "SELECT theta_sketch_lower_bound($1, 3), theta_sketch_estimate($1), theta_sketch_upper_bound($1, 3), "
        "theta_sketch_standard_error($1)",
        [many],
    ).fetchone()
    assert found is not None
    low, estimate, high, error = found
    assert low < 50_000 < high and low < estimate < high
    assert high - estimate == pytest.approx(3 * error, rel=0.1)
    for bad in (b"", b"no sketch at all"):
        with pytest.raises(duckdb.Error, match="not a theta sketch"):
            connection.execute("SELECT theta_sketch_estimate(?)", [bad]).fetchone()
