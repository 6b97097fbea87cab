"""A number over time as SVG: well-formed, whole, and true to the numbers."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from tidegate.report.audits import History
from tidegate.report.numbers import short
from tidegate.report.plot import plot

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def parsed(history: History, *, small: bool = False, title: str = "t") -> ElementTree.Element:
    made = plot(title, history, NOON, small=small)
    assert made is not None
    return ElementTree.fromstring(made)  # noqa: S314 - our own text


def hours(*values: float, first: datetime = NOON) -> tuple[tuple[datetime, float], ...]:
    return tuple((first + n * HOUR, value) for n, value in enumerate(values))


def texts(root: ElementTree.Element) -> list[str]:
    return [str(each.text) for each in root.iter("text")]


def line(root: ElementTree.Element) -> str:
    [found] = [each.get("d") for each in root.iter("path") if each.get("class") == "line"]
    assert found is not None
    return found


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        (0.0,),
        (0.0, 0.0, 0.0),
        (-3.0, 5.0),
        (-5.0, -4.0),
        (1e-12, 2e-12),
        (1e299, -1e299),
        (5e-324, 0.0),
        (1.0, math.nan, math.inf, 1e301),
    ],
)
def test_any_numbers_make_a_picture_whose_marks_lie_inside_it(
    values: tuple[float, ...], small: bool
) -> None:
    root = parsed(History(hours(*values)), small=small)
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for across, down in re.findall(r"(-?\d+),(-?\d+)", line(root)):
        assert 0 <= int(across) <= width
        assert 0 <= int(down) <= height
    assert root.find("title") is not None
    assert root.find("desc") is not None


def test_nought_is_on_the_axis_of_numbers() -> None:
    for values in ((90.0, 100.0), (-100.0, -90.0)):
        assert "0" in texts(parsed(History(hours(*values))))


def test_without_a_number_there_is_no_picture() -> None:
    assert plot("t", History(()), NOON) is None
    assert plot("t", History(hours(math.nan, math.inf)), NOON) is None


def test_the_line_breaks_where_hours_are_missing() -> None:
    points = (*hours(1.0, 2.0), *hours(3.0, first=NOON + 5 * HOUR))
    drawn = line(parsed(History(points)))
    assert drawn.count("M") == 2
    assert drawn.count("L") == 1
    assert "1 gaps" in str(parsed(History(points)).findtext("desc"))


def test_the_hour_has_a_ring_and_the_same_hour_of_other_days_a_dot() -> None:
    points = hours(*range(49), first=NOON - 48 * HOUR)
    circles = [each.get("class") for each in parsed(History(points)).iter("circle")]
    assert circles == ["same", "same", "here"]


def test_limits_are_drawn_unless_they_would_press_the_line_flat() -> None:
    def drawn(history: History) -> int:
        return sum(each.get("class") == "limit" for each in parsed(history).iter("path"))

    assert drawn(History(hours(1.0, 2.0), 0.5, 3.0)) == 2
    assert drawn(History(hours(1.0, 2.0), None, 1e6)) == 0
    assert drawn(History(hours(1.0, 2.0), None, math.nan)) == 0
    assert "at most 1M" in str(parsed(History(hours(1.0), None, 1e6)).findtext("desc"))


def test_four_weeks_have_few_labels_and_few_bytes() -> None:
    points = hours(*(n % 24 for n in range(28 * 24 + 1)), first=NOON - timedelta(days=28))
    made = plot("t", History(points), NOON)
    assert made is not None
    assert len(made) < 12_000
    shown = texts(ElementTree.fromstring(made))  # noqa: S314 - our own text
    labels = [each for each in shown if each.startswith(("Feb", "Mar"))]
    assert 3 <= len(labels) <= 7


def test_a_title_is_text() -> None:
    root = parsed(History(hours(1.0)), title="<script>&\"'")
    assert root.findtext("title") == "<script>&\"'"


def test_numbers_are_short() -> None:
    found = [short(each) for each in (0, 0.05, 0.25, 1, 1200, 1_000_000, 2.5e9, 3e12, 1e20, -4000)]
    assert found == ["0", "0.05", "0.25", "1", "1.2k", "1M", "2.5G", "3T", "1e+20", "-4k"]
