"""Hours: read, rounded, counted and written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.common.errors import TidegateError
from tidegate.common.hours import (
    first_hour,
    floor_hour,
    hour_range,
    hour_text,
    hours_text,
    last_hour,
    parse_hour,
    range_text,
    some_hours,
)

NOON = datetime(2015, 1, 1, 12, tzinfo=UTC)
hours = st.integers(0, 200_000).map(
    lambda n: datetime(2010, 1, 1, tzinfo=UTC) + n * timedelta(hours=1)
)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2015-01-01T12", NOON),
        ("2015-01-01 12", NOON),
        ("2015-01-01T12:00", NOON),
        ("2015-01-01T12:00:00Z", NOON),
        ("2015-01-01T13+01:00", NOON),
        ("2015-01-01T17:30+0530", NOON),
        ("2015-01-01", NOON.replace(hour=0)),
    ],
)
def test_an_iso_hour_is_read_as_utc(text: str, hour: datetime) -> None:
    assert parse_hour(text) == hour


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "2015-01-01T12:30",
        "2015-01-01T25",
        "2015-02-30",
        "now",
        "2015-01-01T12+05:30",
        "2015-1-1",
    ],
)
def test_what_is_no_full_hour_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(TidegateError, match="not a") as told:
        parse_hour(text)
    assert told.value.got is not None
    assert repr(text) in told.value.got
    assert told.value.expected is not None


@given(hours)
def test_the_text_of_an_hour_is_read_back_as_that_hour(hour: datetime) -> None:
    assert parse_hour(hour_text(hour)) == hour


@given(hours, st.integers(0, 3_599_999_999))
def test_any_time_of_an_hour_floors_to_it_in_whatever_zone(hour: datetime, us: int) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert floor_hour((hour + timedelta(microseconds=us)).astimezone(zone)) == hour


@given(hours, st.integers(0, 100))
def test_a_range_holds_both_its_ends_and_every_hour_between(first: datetime, count: int) -> None:
    last = first + count * timedelta(hours=1)
    found = hour_range(first, last)
    assert len(found) == count + 1
    assert (found[0], found[-1]) == (first, last)
    assert hours_text(reversed(found)) == (
        hour_text(first) if count == 0 else f"{hour_text(first)}..{hour_text(last)}"
    )


def test_a_range_that_ends_before_it_begins_is_an_error_that_names_both_ends() -> None:
    with pytest.raises(TidegateError) as told:
        hour_range(NOON, NOON - timedelta(hours=1))
    assert told.value.got == "--from 2015-01-01T12 --to 2015-01-01T11"


def test_hours_with_gaps_are_told_as_several_runs() -> None:
    several = [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=5)]
    assert hours_text(several) == "2015-01-01T12..2015-01-01T13, 2015-01-01T17"


def test_in_a_range_a_date_means_its_first_or_its_last_hour() -> None:
    assert first_hour("2026-03-02") == parse_hour("2026-03-02T00")
    assert last_hour("2026-03-02") == parse_hour("2026-03-02T23")
    assert first_hour("2026-03-02T05") == last_hour("2026-03-02T05") == parse_hour("2026-03-02T05")
    assert last_hour("2026-03-02T00Z") == parse_hour("2026-03-02T00")
    assert some_hours("2026-03-02", "2026-03-03") == (
        parse_hour("2026-03-02T00"),
        parse_hour("2026-03-03T23"),
    )


def test_a_range_is_named_by_its_ends_and_its_number_of_hours() -> None:
    day = hour_range(first_hour("2026-03-02"), last_hour("2026-03-02"))
    assert range_text(day) == "2026-03-02T00 to 2026-03-02T23 (24 hours, UTC)"
    assert range_text(day[:1]) == "2026-03-02T00 (1 hour, UTC)"
