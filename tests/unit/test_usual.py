"""Usual values: medians of hours alike, whatever is wild among them, and nothing where too few are known."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config.suites.usual import Usual, parse_usual

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 3, 30, 12, tzinfo=UTC)
DAYS = [MONDAY - n * 24 * HOUR for n in range(1, 29)]
WEEKS = [MONDAY - n * 7 * 24 * HOUR for n in range(1, 5)]


def usual(**said: Any) -> Usual:
    return parse_usual({"usual": "rows", **said}, ["rows", "lines"])


def test_hours_of_the_same_weekday_come_first_and_of_any_day_where_those_are_too_few() -> None:
    history = dict.fromkeys(DAYS, 10.0) | dict.fromkeys(WEEKS, 2.0)
    assert usual().limit(history, MONDAY) == 2.0
    for week in WEEKS[:2]:
        del history[week]
    # Two Mondays are not enough: the other days decide.
    assert usual().limit(history, MONDAY) == 10.0
    assert usual(like="hour_of_week").limit(history, MONDAY) is None


def test_the_hour_itself_later_hours_and_other_hours_of_the_day_do_not_count() -> None:
    history = {MONDAY + n * HOUR: 99.0 for n in range(-23, 400)} | dict.fromkeys(DAYS[:3], 1.0)
    assert usual().limit(history, MONDAY) == 1.0
    assert usual().past(history, MONDAY) == [1.0, 1.0, 1.0]


def test_gaps_in_history_are_skipped_and_too_little_of_it_is_no_number() -> None:
    history = {DAYS[0]: 5.0, DAYS[9]: 7.0}
    assert usual().limit(history, MONDAY) is None
    assert usual(least=2, like="hour_of_day").limit(history, MONDAY) == 6.0
    history[DAYS[20]] = math.nan
    assert usual(like="hour_of_day").limit(history, MONDAY) is None
    history[DAYS[27]] = 900.0
    assert usual(like="hour_of_day").limit(history, MONDAY) == 7.0
    assert usual(like="hour_of_day", last="27d").limit(history, MONDAY) is None


def test_one_wild_hour_moves_neither_the_median_nor_the_spread() -> None:
    calm = dict(zip(DAYS, [98.0, 100.0, 102.0, 99.0, 101.0] * 6, strict=False))
    wild = calm | {DAYS[3]: 1e9}
    asked = usual(like="hour_of_day", deviations=-4)
    assert asked.limit(wild, MONDAY) == pytest.approx(asked.limit(calm, MONDAY), rel=0.05)


def test_a_history_that_never_varies_still_lets_the_next_hour_differ_a_little() -> None:
    history = dict.fromkeys(DAYS, 100.0)
    assert usual(deviations=2).limit(history, MONDAY) == 110.0
    assert usual(times=0.5, deviations=-1).limit(history, MONDAY) == 45.0


@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=28), st.floats(0, 10), st.floats(0.1, 9))
def test_limits_below_and_above_stand_around_the_median(
    values: list[float], deviations: float, times: float
) -> None:
    history = dict(zip(DAYS, values, strict=False))
    low, mid, high = (
        usual(like="hour_of_day", times=times, deviations=d).limit(history, MONDAY)
        for d in (-deviations, 0, deviations)
    )
    assert low is not None
    assert mid is not None
    assert high is not None
    assert low <= mid <= high
    assert times * min(values) <= mid * (1 + 1e-9)
    assert mid <= times * max(values) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"usual": "row"}, "no fact 'row'; did you mean 'rows'?"),
        ({"time": 2}, "unknown key 'time'; did you mean 'times'?"),
        ({"times": "2"}, "times: expected a number, got '2'"),
        ({"times": math.inf}, "times: expected a number"),
        ({"deviations": True}, "deviations: expected a number"),
        ({"like": "week"}, "like: expected one or several of hour_of_week"),
        ({"like": []}, "like: expected"),
        ({"least": 0}, "least: expected a number of hours, at least 1"),
        ({"last": "4w"}, "last: expected a duration"),
        ({"last": "10d", "like": "hour_of_week"}, "10d hold 1 hours like one; at least 3"),
    ],
)
def test_what_is_wrong_with_a_usual_value_is_told(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        usual(**said)


def test_it_is_described_as_people_say_it() -> None:
    assert usual(times=0.2).describe() == "0.2 x usual rows"
    assert usual(deviations=-3).describe() == "usual rows - 3 deviations"
