"""Durations as source files write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.common.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("24h", 86400),
        ("3d", 259200),
        ("90s", 90),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
    ],
)
def test_durations_are_read_with_their_units(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.integers(min_value=1, max_value=10**9))
def test_what_is_written_reads_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("PT30M", "write '30m'"),
        ("P1DT2H", "write '1d2h'"),
        ("30 m", "write '30m'"),
        ("24H", "write '24h'"),
        (30, "the number 30 without a unit"),
        (5400, "1:30 is read as 90 by YAML"),
        (1.5, "got 1.5"),
        (True, "got True"),
        (None, "got nothing"),
        ("", "got ''"),
        ("30", "got '30'"),
        ("m30", "got 'm30'"),
        ("30m1h", "got '30m1h'"),
        ("-1h", "got '-1h'"),
        ("0s", "above zero, got '0s'"),
        ("1.5h", "got '1.5h'"),
        ("PT", "got 'PT'"),
        ("\u0663h\u0663", "got"),
        (timedelta(seconds=-1), "above zero"),
    ],
)
def test_anything_else_is_refused_with_the_right_form(value: object, told: str) -> None:
    with pytest.raises(ValueError, match="a duration such as 30m, 24h, 3d, 90s or 1h30m") as caught:
        parse_duration(value)
    assert told in str(caught.value)


def test_zero_is_allowed_where_it_means_something() -> None:
    assert parse_duration("0s", zero=True) == timedelta(0)
    with pytest.raises(ValueError, match="above zero"):
        parse_duration(timedelta(seconds=-1), zero=True)
