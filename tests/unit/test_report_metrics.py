"""Metrics on pages: the numbers of a release, what is partial, held or corrected, and CSV without formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from handmade_books import HOUR, Books
from tidegate.config.metrics.model import Metric
from tidegate.report import numbers, pages
from tidegate.report.addresses import UnknownPageError
from tidegate.report.charts import COLOURS, chart, heat_map
from tidegate.report.metrics import Metrics, MetricValues, csv_of
from tidegate.report.numbers import percent, seconds
from tidegate.report.pages import Reach, Written
from tidegate.report.periods import Period, period_end
from tidegate.report.reader import open_reader

DAY = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
EVENTS = {"metric": "by_day", "kind": "count", "description": "Events.", "owner": "me"}


def event(n: int, at: datetime, dump: datetime, **more: Any) -> dict[str, Any]:
    return {
        "source": "shop",
        "event_id": f"e{n}",
        "event_time": at,
        "dump_hour": dump,
        "event_type": "view",
        **more,
    }


def lake(books: Books, definition: Mapping[str, Any], hours: int = 48) -> None:
    """Write two days of hourly dumps with an event each, and a release of a metric."""
    for n in range(hours):
        hour = DAY + n * HOUR
        landing = books.land("shop", hour, lines=1)
        books.publish("shop", hour, landing, rows=1)
        books.shown["events"].append(event(n, hour, hour))
    books.release(DAY + 60 * HOUR, 0)
    books.rows["releases"][-1]["metrics"] = [(definition["metric"], json.dumps(definition))]


def read(books: Books) -> Metrics:
    with open_reader(books.write()) as reader:
        return reader.metrics()


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def values(kind: str, rows: list[dict[str, Any]], **more: Any) -> MetricValues:
    """Return a metric's values without a lake."""
    starts = sorted({row["period_start"] for row in rows if "period_start" in row})
    return MetricValues(
        name="m",
        definition={"description": "x"},
        sql="SELECT 1",
        columns=tuple(rows[0]) if rows else (),
        rows=tuple(rows),
        periods=tuple(Period(at, at, at + 24 * HOUR, 24, 24) for at in starts),
        metric=Metric("m", kind, "x", "me"),
        **more,
    )


def test_a_whole_day_is_no_partial_one(books: Books) -> None:
    lake(books, EVENTS)
    [found] = read(books).metrics
    assert [row["value"] for row in found.rows] == [24, 24]
    assert [(each.published, each.hours, each.is_partial) for each in found.periods] == [
        (24, 24, False),
        (24, 24, False),
    ]


def test_a_day_with_a_held_hour_is_partial_and_names_the_hour(books: Books) -> None:
    lake(books, EVENTS, hours=47)
    last = DAY + 47 * HOUR
    books.land("shop", last)
    books.audit("shop", last, [{"status": "failed", "severity": "critical"}])
    found = read(books)
    second = found.metrics[0].periods[1]
    assert second.is_partial
    assert second.held == (("shop", last),)
    html = pages.metric(found, found.metrics[0], Written(DAY, "lake"), Reach("../"))
    assert "../hours/shop/2026-03-03T23.html" in html
    assert "23 of 24" in html
    assert "heldmark" in str(chart(found.metrics[0]))


def test_corrections_are_told_with_their_cause(books: Books) -> None:
    lake(books, EVENTS)
    again = books.land("shop", DAY, lines=2, landed_at=DAY + 70 * HOUR)
    books.publish("shop", DAY, again, rows=2)
    books.shown["events"].append(event(99, DAY + 5 * HOUR, DAY + 30 * HOUR))
    found = read(books).metrics[0]
    first, second = found.periods
    assert first.corrections == (
        "shop 2026-03-02T00 was landed again, 1 to 2 rows, 2026-03-02 01:12",
        "1 late event of shop, in dumps up to 2026-03-03T06",
    )
    assert second.corrections == ()


def test_a_metric_that_can_t_be_computed_has_a_page_that_says_why(books: Books) -> None:
    lake(books, {**EVENTS, "where": "no_such_function(event_type) > 1"})
    found = read(books)
    assert found.metrics[0].fault
    html = pages.metrics(found, Written(DAY, "lake"), Reach())
    assert "It can&#39;t be computed" in html or "It can't be computed" in html


def test_an_unknown_metric_has_no_page(books: Books) -> None:
    lake(books, EVENTS)
    with pytest.raises(UnknownPageError, match="no such metric"):
        read(books).named("nothing")


def test_csv_has_no_formula_but_in_numbers() -> None:
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "ok"]
    rows = [{"period_start": DAY, "device": text, "value": -1.5} for text in texts]
    found = list(csv.reader(io.StringIO(csv_of(values("sum", rows)), newline="")))
    assert found[0] == ["period_start", "device", "value"]
    assert [row[1] for row in found[1:]] == [*(f"'{text}" for text in texts[:-1]), "ok"]
    assert {row[2] for row in found[1:]} == {"-1.5"}


def test_many_groups_are_as_many_series_as_there_are_colours() -> None:
    rows = [
        {"period_start": DAY, "period_local": DAY, "g": f"g{n}", "value": 100 - n}
        for n in range(20)
    ]
    drawn = chart(values("count", rows, groups=("g",)))
    assert drawn is not None
    assert len(drawn.legend) == COLOURS
    assert drawn.legend[-1] == "15 others"
    drawn = chart(values("median", rows, groups=("g",)))
    assert drawn is not None
    assert drawn.left_out == 20 - COLOURS


@pytest.mark.parametrize("value", [0.0, -5.0, 1e-12, 1e18, 1e308, float("nan"), float("inf")])
def test_any_number_makes_a_picture_whose_marks_lie_inside_it(value: float) -> None:
    rows = [
        {"period_start": DAY + n * 24 * HOUR, "period_local": DAY, "value": value if n else 1.0}
        for n in range(3)
    ]
    for kind in ("count", "median"):
        drawn = chart(values(kind, rows))
        assert drawn is not None
        root = ElementTree.fromstring(str(drawn.svg))  # noqa: S314 - our own text
        for rect in root.iter("rect"):
            assert 0 <= float(rect.attrib["y"]) <= 220
            assert 0 <= float(rect.attrib["height"]) <= 220


def test_names_of_groups_are_text() -> None:
    rows = [
        {"period_start": DAY, "period_local": DAY, "g": name, "value": 1}
        for name in ("<script>", "</svg>", "\u202ex")
    ]
    drawn = chart(values("count", rows, groups=("g",)))
    assert drawn is not None
    assert "<script>" not in drawn.svg
    assert "\u202e" not in drawn.svg
    ElementTree.fromstring(str(drawn.svg))  # noqa: S314 - our own text


def test_retention_is_a_share_of_each_cohort() -> None:
    rows = [
        {"cohort_local": DAY, "periods_later": later, "users": 10, "returned": returned}
        for later, returned in ((0, 10), (1, 4), (1, 1))
    ]
    [cohort] = heat_map(values("retention", rows))
    assert (cohort.users, [cell and cell.text for cell in cohort.cells]) == (10, ["100 %", "25 %"])


def test_a_day_of_a_zone_may_have_23_hours() -> None:
    start, local = datetime(2026, 3, 28, 23, tzinfo=UTC), datetime.fromisoformat("2026-03-29")
    assert period_end(start, local, "day", "Europe/Berlin") - start == timedelta(hours=23)
    month = datetime.fromisoformat("2026-02-01")
    assert period_end(month.replace(tzinfo=UTC), month, "month", "UTC").day == 1


def test_numbers_are_as_people_write_them() -> None:
    assert [percent(each) for each in (0.021, 0.0004, 1, 0, 0.5, None)] == [
        "2.1 %",
        "0.04 %",
        "100 %",
        "0 %",
        "50 %",
        numbers.NONE,
    ]
    assert [seconds(each) for each in (292, 0.5, 3600, -90)] == ["4m52s", "0.5s", "1h", "-1m30s"]
