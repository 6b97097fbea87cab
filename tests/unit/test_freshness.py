"""Promised freshness: which hours are due and not there, since when, and what they wait for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handmade_books import Books
from tidegate.config.source import Source, parse_source
from tidegate.query.connect import connect
from tidegate.query.freshness import Freshness, Missing, Seen, Stretch, freshness, judge

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 3, 2, 10, tzinfo=UTC)
PROMISED = timedelta(minutes=90)
DUE = FIRST + HOUR + PROMISED
"""By when FIRST is to be there."""
SECOND = timedelta(seconds=1)


def judged(now: datetime, *seen: Seen, first: datetime | None = FIRST) -> Freshness:
    return judge("shop", PROMISED, first, seen, now)


def never(*numbers: int) -> list[Seen]:
    return [Seen(FIRST + n * HOUR) for n in numbers]


def there(number: int, after_due: timedelta) -> Seen:
    return Seen(FIRST + number * HOUR, True, DUE + number * HOUR + after_due, "published")


# -- the core --------------------------------------------------------------------------------------


def test_an_hour_is_late_from_the_moment_after_it_is_due() -> None:
    assert judged(DUE, *never(0, 1)).late == ()
    late = judged(DUE + SECOND, *never(0, 1))
    assert late.missing == (Missing(FIRST, FIRST, "no dump landed yet"),)
    assert (late.since, late.behind) == (DUE, SECOND)
    assert judged(DUE + HOUR + SECOND, *never(0, 1)).hours == 2


def test_an_hour_that_was_there_when_it_was_due_was_in_time() -> None:
    assert judged(DUE + HOUR, there(0, timedelta(0)), *never(1)).stretches == ()
    [stretch] = judged(DUE + HOUR, there(0, SECOND), *never(1)).stretches
    assert stretch == Stretch(FIRST, FIRST, (), over=False)


def test_what_an_hour_waits_for_is_named() -> None:
    seen = [
        Seen(FIRST),
        Seen(FIRST + HOUR, state="held", why="rows: expected 2, observed 1"),
        Seen(FIRST + 2 * HOUR, state="unreadable", why="a.gz is cut"),
        Seen(FIRST + 3 * HOUR, state="waiting"),
        Seen(FIRST + 4 * HOUR, published=True, state="published"),
        # Of a newer landing that is held; readers get the older one with the next release.
        Seen(FIRST + 5 * HOUR, published=True, state="held", why="x"),
    ]
    found = judged(DUE + 6 * HOUR, *seen)
    assert [each.describe() for each in found.missing] == [
        "2026-03-02T10: no dump landed yet",
        "2026-03-02T11: held: rows: expected 2, observed 1",
        "2026-03-02T12: unreadable: a.gz is cut",
        "2026-03-02T13: landed, not published yet",
        "2026-03-02T14..2026-03-02T15 (2 hours): published, not released yet",
    ]
    assert len(found.late) == 1
    assert found.describe().startswith(
        "promised 1h30m after an hour's end, behind for 6h: 2026-03-02T10: no dump landed yet; "
    )


def test_a_month_is_told_as_a_range() -> None:
    month = judged(DUE + 719 * HOUR + SECOND, *never(*range(720)))
    assert month.describe_late(month.late[0]).splitlines() == [
        "shop is promised 1h30m after an hour's end. Not so since 2026-03-02 12:30 UTC:",
        "2026-03-02T10..2026-04-01T09 (720 hours): no dump landed yet",
    ]
    held = [Seen(FIRST + n * HOUR, state="held", why=f"observed {n}") for n in range(720)]
    [told] = judged(DUE + 720 * HOUR, *held).missing
    assert told.describe().endswith("(720 hours): held, the first by: observed 0")
    mixed = [each for n in range(0, 40, 2) for each in (held[n], *never(n + 1))]
    told_of = judged(DUE + 40 * HOUR, *mixed)
    lines = told_of.describe_late(told_of.late[0]).splitlines()
    assert len(lines) == 7
    assert lines[-1] == "and 35 more hours"


def test_a_stretch_keeps_its_first_hour_while_it_heals_and_is_over_with_an_hour_in_time() -> None:
    now = DUE + 2 * HOUR + SECOND
    [begun] = judged(now, *never(0, 1, 2, 3)).stretches
    [healing] = judged(now, there(0, 2 * HOUR), *never(1), there(2, SECOND), *never(3)).stretches
    assert begun.first == healing.first == FIRST
    assert [each.first for each in healing.missing] == [FIRST + HOUR]
    # All there, but the next one may be late again.
    [caught_up] = judged(now, *(there(n, SECOND) for n in range(3)), *never(3)).stretches
    assert (caught_up.missing, caught_up.over) == ((), False)
    early = there(3, -30 * timedelta(minutes=1))
    [over] = judged(now + HOUR / 2, *(there(n, SECOND) for n in range(3)), early).stretches
    assert (over.missing, over.over) == ((), True)
    # What is due and is not told of was in time.
    assert judged(now + HOUR, *(there(n, SECOND) for n in range(3))).stretches[0].over


def test_a_lost_hour_is_one_stretch_and_what_is_late_now_is_another() -> None:
    found = judged(DUE + 40 * HOUR + SECOND, *never(3, 40))
    assert [(each.first, each.over) for each in found.late] == [
        (FIRST + 3 * HOUR, True),
        (FIRST + 40 * HOUR, False),
    ]
    assert found.whole_to == FIRST + 2 * HOUR
    assert found.since == DUE + 3 * HOUR


def test_how_far_a_source_is_whole() -> None:
    assert judged(DUE, *never(0)).whole_to is None
    assert judged(DUE + HOUR, *never(1, 2)).whole_to == FIRST
    assert judged(DUE + HOUR, there(1, -HOUR), *never(2)).whole_to == FIRST + HOUR
    assert "kept, up to 2026-03-02T11" in judged(DUE, there(1, -HOUR), *never(2)).describe()


def test_before_anything_came_nothing_is_promised() -> None:
    found = judged(DUE + 99 * HOUR, *never(0, 1), first=None)
    assert (found.late, found.behind, found.whole_to) == ((), None, None)
    assert "no hour has been landed yet while it was new" in found.describe()


# -- the books -------------------------------------------------------------------------------------


def promising(source: str = "shop", **keys: Any) -> Source:
    data = {
        "source": source,
        "since": "2026-03-02T09",
        "dumps": "{dump_hour:%Y-%m-%d-%H}.json",
        "fields": {"event_time": "at"},
        "fresh": "90m",
        **keys,
    }
    return parse_source(data, Path(f"{source}.yml"))


def found(books: Books, now: datetime, *sources: Source) -> list[Freshness]:
    with connect(books.write()) as connection:
        return freshness(connection, sources or [promising()], now)


def come(books: Books, hour: datetime, source: str = "shop", **more: Any) -> str:
    """Land an hour ten minutes after its end."""
    return books.land(source, hour, **{"landed_at": hour + HOUR * 7 / 6, **more})


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Give books in which FIRST was there in time."""
    books = Books(tmp_path)
    books.publish("shop", FIRST, come(books, FIRST), version=1)
    books.release(DUE - HOUR, version=1)
    return books


def test_the_books_tell_how_each_hour_stands(books: Books) -> None:
    hours = [FIRST + n * HOUR for n in range(8)]
    # There an hour late, by the first release that has it.
    books.publish("shop", hours[1], come(books, hours[1]), version=2)
    books.release(DUE + 2 * HOUR, version=2)
    books.release(DUE + 3 * HOUR, version=2)
    come(books, hours[2], status="unreadable", error="a.gz is cut")
    come(books, hours[3])
    failed = {"severity": "critical", "status": "failed", "expectation": "rows"}
    books.audit("shop", hours[3], [failed])
    come(books, hours[4])
    books.publish("shop", hours[5], come(books, hours[5]), version=3)
    # hours[6] never came; hours[7] is not due.
    [told] = found(books, DUE + 6 * HOUR + SECOND)
    assert (told.source, told.promised, told.first) == ("shop", PROMISED, FIRST)
    assert [each.describe() for each in told.missing] == [
        "2026-03-02T12: unreadable: a.gz is cut",
        "2026-03-02T13: held: rows: expected x, observed 0 of 100 rows (Because.)",
        "2026-03-02T14: landed, not published yet",
        "2026-03-02T15: published, not released yet",
        "2026-03-02T16: no dump landed yet",
    ]
    [stretch] = told.stretches
    assert (stretch.first, stretch.last, stretch.over) == (hours[1], hours[6], False)
    assert (told.whole_to, told.since) == (hours[1], DUE + 2 * HOUR)


def test_an_older_publication_of_an_hour_goes_on_being_there(books: Books) -> None:
    come(books, FIRST, landed_at=DUE + HOUR, status="unreadable", error="cut")
    books.publish("shop", FIRST, "l", version=2)
    assert found(books, DUE + HOUR)[0].stretches == ()


def test_a_source_of_which_nothing_ever_came_is_not_late(books: Books) -> None:
    [told] = found(books, DUE + 99 * HOUR, promising("app"), promising(fresh=None))
    assert (told.source, told.first, told.late) == ("app", None, ())


def test_hours_before_since_are_not_promised(books: Books) -> None:
    come(books, FIRST + 2 * HOUR)
    [told] = found(books, DUE + 3 * HOUR, promising(since="2026-03-02T11"))
    assert told.first == FIRST + 2 * HOUR
    assert [each.first for each in told.missing] == [FIRST + 2 * HOUR]


def test_history_that_is_backfilled_is_not_late(books: Books) -> None:
    sources = [promising(since="2025-01-01T00"), promising("app"), promising("web")]
    books.land("shop", FIRST - 900 * HOUR, landed_at=DUE)
    books.land("shop", FIRST - 2 * HOUR, landed_at=DUE, run_id="land_shop/backfill__x")
    # A new source, of which nothing but history has come, up to today.
    for n in range(48):
        at, run = FIRST + n * HOUR / 60, "land_app/backfill__x"
        books.land("app", FIRST - (48 - n) * HOUR, landed_at=at, run_id=run)
    # One that nobody backfilled: an hour of yesterday is history, too.
    books.land("web", FIRST - 27 * HOUR, landed_at=FIRST)
    shop, app, web = found(books, DUE, *sources)
    assert (shop.first, shop.late) == (FIRST, ())
    assert (app.first, web.first) == (None, None)


def test_a_source_that_is_late_from_its_first_day_is_told_of(books: Books) -> None:
    books.land("app", FIRST, landed_at=DUE + 3 * HOUR)
    [told] = found(books, DUE + 4 * HOUR, promising("app"))
    assert told.first == FIRST
    assert [each.hours for each in told.missing] == [1, 3]
    assert told.as_json() == {
        "source": "app",
        "fresh": "1h30m",
        "first_hour": "2026-03-02T10",
        "whole_to": None,
        "behind_s": 4 * 3600,
        "since": "2026-03-02T12:30:00Z",
        "missing": [
            {
                "first": "2026-03-02T10",
                "last": "2026-03-02T10",
                "hours": 1,
                "waits": "landed, not published yet",
                "why": None,
            },
            {
                "first": "2026-03-02T11",
                "last": "2026-03-02T13",
                "hours": 3,
                "waits": "no dump landed yet",
                "why": None,
            },
        ],
    }
