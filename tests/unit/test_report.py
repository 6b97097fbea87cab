"""The report: what its pages say, and that nothing in the books can become more than text in them."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handmade_books import HOUR, Books
from s3server import s3_client, s3_server
from tidegate.cli.app import app as commands
from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.report import pages
from tidegate.report.addresses import UnknownPageError
from tidegate.report.files import write
from tidegate.report.grid import Grid
from tidegate.report.hour import Hour as HourFound
from tidegate.report.pages import Reach, Written
from tidegate.report.reader import open_reader
from tidegate.tables import WAREHOUSE

FIRST = datetime(2026, 3, 2, 0, tzinfo=UTC)  # a Monday
LAST = FIRST + 47 * HOUR
MUCH_LATER = LAST + timedelta(days=30)
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "</svg><a href=javascript:alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31m\u202egnp.exe\u2066\x00\u2028",
)
HOSTILE = "".join(ATTACKS)
ELEMENTS = re.findall(
    r"\w+",
    "html head meta title style body header nav main footer section h1 h2 h3 p a b br span code pre div "
    "ul li dl dt dd table caption thead tbody tr th td details summary svg desc path circle text "
    "article rect g defs pattern",
)


@dataclass
class Page(HTMLParser):
    """A page as a browser's parser sees it."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("td", "th", "p", "li", "dd"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def words(self) -> str:
        """Its text with all space made one."""
        return " ".join(self.text.split())

    def links(self) -> list[str]:
        return [str(found["href"]) for tag, found in self.elements if tag == "a"]

    def cells(self, *classes: str) -> int:
        return sum(tag == "td" and found.get("class") in classes for tag, found in self.elements)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def full(books: Books, source: str = "shop", skip: tuple[datetime, ...] = ()) -> None:
    """Land, audit and publish two whole days, but for some hours."""
    for n in range(48):
        hour = FIRST + n * HOUR
        if hour in skip:
            continue
        landing = books.land(source, hour)
        books.audit(source, hour, [{"metric": n / 100}])
        books.publish(source, hour, landing)


def grid(settings: Settings, now: datetime = MUCH_LATER, to: date | None = None) -> Grid:
    with open_reader(settings) as found:
        [only] = found.overview(now, to).grids
        return only


def states(settings: Settings, hours: dict[str, datetime], now: datetime) -> dict[str, Any]:
    found = {hour: state for day in grid(settings, now).days for hour, state in day.hours}
    return {name: found.get(hour) for name, hour in hours.items()}


def hour_of(
    settings: Settings, hour: datetime, source: str = "shop", now: datetime = MUCH_LATER
) -> HourFound:
    with open_reader(settings) as found:
        return found.hour(source, hour, now)


def written(settings: Settings) -> Written:
    return Written(MUCH_LATER, settings.lake)


def page_of(settings: Settings, hour: datetime, source: str = "shop") -> Page:
    found = hour_of(settings, hour, source)
    return Page(pages.hour(found, written(settings), Reach("../../")))


def overview_page(settings: Settings, now: datetime = MUCH_LATER) -> Page:
    with open_reader(settings) as found:
        return Page(pages.overview(found.overview(now), written(settings), Reach()))


# -- the grid --------------------------------------------------------------------------------------


def test_each_hour_of_the_grid_has_its_state(books: Books) -> None:
    hours = {
        "held": FIRST + HOUR,
        "unreadable": FIRST + 2 * HOUR,
        "waiting": FIRST + 3 * HOUR,
        "missing": FIRST + 4 * HOUR,
        "approved": FIRST + 5 * HOUR,
        "published": FIRST + 6 * HOUR,
    }
    full(books, skip=tuple(hours.values()))
    books.land("shop", hours["held"])
    books.audit("shop", hours["held"], [{"severity": "critical", "status": "failed"}])
    books.land("shop", hours["unreadable"], status="unreadable", error="cut short")
    books.land("shop", hours["waiting"])
    books.audit("shop", hours["waiting"], [{"severity": "warning", "status": "failed"}])
    landing = books.land("shop", hours["approved"])
    books.audit("shop", hours["approved"], [{"severity": "critical", "status": "approved"}])
    books.publish("shop", hours["approved"], landing)
    books.publish("shop", hours["published"], books.land("shop", hours["published"]))

    found = states(books.write(), {**hours, "before": FIRST - HOUR, "after": LAST + HOUR}, LAST)

    expected = {name: name for name in hours} | {"approved": "published"}
    assert found == {**expected, "before": None, "after": None}


def test_an_hour_that_was_published_before_its_new_landing_is_held(books: Books) -> None:
    full(books)
    books.land("shop", LAST, status="unreadable", landed_at=LAST + 5 * HOUR)
    settings = books.write()
    assert states(settings, {"last": LAST}, LAST) == {"last": "unreadable"}
    assert "its older publication" in overview_page(settings).words


def test_hours_are_late_an_hour_after_their_end_while_the_source_lives(books: Books) -> None:
    full(books)
    settings = books.write()
    hours = {str(n): LAST + n * HOUR for n in (1, 2, 3)}
    # The hour after LAST ends at LAST + 2 h.
    early = LAST + 3 * HOUR - timedelta(seconds=1)
    assert states(settings, hours, early) == {"1": None, "2": None, "3": None}
    assert states(settings, hours, LAST + 4 * HOUR) == {"1": "late", "2": "late", "3": None}
    assert grid(settings, LAST + 4 * HOUR).late == 2
    assert grid(settings, LAST + 48 * HOUR).late == 46
    assert grid(settings, LAST + 49 * HOUR).late == 0


def test_the_overview_says_whether_a_source_keeps_what_it_promises(books: Books) -> None:
    full(books)
    books.release(FIRST + HOUR, version=0)  # long ago: all hours were there in time
    settings = books.write()
    silent = overview_page(settings, LAST + 4 * HOUR).words
    file = settings.sources / "shop.yml"
    file.write_text(
        "source: shop\nsince: 2026-03-01T00\ndumps: d/{dump_hour:%Y-%m-%d-%H}.json\n"
        "fields: {event_time: at}\nfresh: 90m\n"
    )
    kept = overview_page(settings, LAST + 3 * HOUR).words
    assert "Freshness: promised 1h30m after an hour's end, kept, up to 2026-03-03T23." in kept
    assert "Behind" not in kept
    late = overview_page(settings, LAST + 4 * HOUR)
    assert "Behind what is promised: shop for 30m." in late.words
    assert (
        "Late: promised 1h30m after an hour's end, behind for 30m: 2026-03-04T00: no" in late.words
    )
    assert "#source-shop" in late.links()
    assert "promised" not in silent


def test_a_day_is_partial_unless_all_its_hours_are_published(books: Books) -> None:
    full(books, skip=(FIRST + 30 * HOUR,))
    days = grid(books.write()).days
    assert [day.date for day in days if not day.partial] == [FIRST.date()]
    assert days[-1].date == LAST.date()


def test_weeks_before_and_after_can_be_asked_for(books: Books) -> None:
    full(books)
    books.publish("shop", FIRST + 240 * HOUR, books.land("shop", FIRST + 240 * HOUR))
    settings = books.write()
    last = grid(settings)
    assert (last.earlier, last.later) == (last.days[0].date - timedelta(days=1), None)
    before = grid(settings, to=last.earlier)
    assert before.days[-1].date == last.earlier
    assert (before.earlier, before.later) == (None, last.days[-1].date)
    assert f"index.html?to={last.earlier}" in overview_page(settings).links()


def test_the_overview_shows_a_letter_a_word_and_a_link_for_each_hour(books: Books) -> None:
    full(books, skip=(FIRST + HOUR,))
    page = overview_page(books.write())
    assert page.cells("published") == 47
    assert page.cells("missing") == 1
    assert "Mmissing" in page.text
    assert "hours/shop/2026-03-02T01.html" in page.links()
    assert "47 of 47 landed hours published, 1 missing" in page.words
    assert "Nothing is held." in page.words
    assert "Nothing has been released yet." in page.words


def test_the_overview_tells_the_release_and_what_it_lacks(books: Books) -> None:
    full(books)
    books.rows["publications"][-1]["delta_version"] = 1  # type: ignore[index]
    books.rows["releases"].append(
        {"release_id": "r7", "released_at": LAST, "versions": [("events", 0)]}
    )
    page = overview_page(books.write())
    assert "Readers see release r7 of 2026-03-03 23:00:00. 1 published hour is in no" in page.words


def test_a_lake_without_any_hour_has_a_page(books: Books) -> None:
    assert "No hour of any source has been landed yet." in overview_page(books.write()).words


# -- an hour ---------------------------------------------------------------------------------------


def test_an_hour_shows_its_landing_its_publication_and_its_audits_newest_first(
    books: Books,
) -> None:
    landing = books.land("shop", FIRST, quarantined_by_reason={"not_json": 3, "too_late": 1})
    books.audit("shop", FIRST, [{"why": "The old.", "facts": '{"usual_rows": 1234.5}'}])
    books.audit(
        "shop",
        FIRST,
        [
            {"expectation": "expect_met", "why": "The new."},
            {"expectation": "expect_f", "severity": "critical", "status": "failed", "metric": 0.5},
            {"expectation": "expect_w", "status": "warming up", "observed": None},
            {
                "expectation": "expect_a",
                "status": "approved",
                "approved_by": "ann",
                "why": "Known.",
            },
        ],
        audited_at=FIRST + 9 * HOUR,
    )
    books.publish("shop", FIRST, landing, rows=95)
    settings = books.write()
    found = hour_of(settings, FIRST)
    assert [each.status for each in found.audits[0].results] == [
        "failed",
        "approved",
        "warming up",
        "met",
    ]
    assert [each.verdict for each in found.audits] == ["held", "met"]
    page = page_of(settings, FIRST)
    assert "100 lines = 96 events + 0 duplicates + 4 quarantined" in page.words
    assert "3 not_json, 1 too_late" in page.words
    assert "95 rows published" in page.words
    assert "usual_rows 1234.5" in page.words
    assert "Approved by ann: Known." in page.words
    assert page.words.index("The new.") < page.words.index("The old.")


def test_an_approval_is_told_apart_from_the_audit_that_failed(books: Books) -> None:
    landing = books.land("shop", FIRST)
    books.audit(
        "shop",
        FIRST,
        [{"severity": "critical", "status": "failed", "metric": 0.5}, {"metric": 1.0}],
    )
    approval = {"severity": "critical", "status": "approved", "success": None}
    books.audit(
        "shop",
        FIRST,
        [{**approval, "approved_by": "ann", "why": "A quiet day."}],
        audited_at=FIRST + 9 * HOUR,
    )
    books.publish("shop", FIRST, landing)
    settings = books.write()
    found = hour_of(settings, FIRST)
    assert [(each.approval, each.verdict) for each in found.audits] == [
        (True, "approved"),
        (False, "held"),
    ]
    assert len(found.histories) == 2  # of the audit, which has all expectations
    page = page_of(settings, FIRST)
    assert "approved 2026-03-02 09:00:00 by ann: A quiet day." in page.words
    assert sum(tag == "svg" for tag, _ in page.elements) == 2


def test_statuses_of_older_books_follow_from_success(books: Books) -> None:
    books.land("shop", FIRST)
    books.audit(
        "shop",
        FIRST,
        [
            {"expectation": name, "success": s}
            for name, s in zip("abc", (True, False, None), strict=True)
        ],
    )
    settings = books.write(without={"audits": ("status", "metric", "facts", "approved_by")})
    [audit] = hour_of(settings, FIRST).audits
    assert {each.expectation: each.status for each in audit.results} == {
        "a": "met",
        "b": "failed",
        "c": "not known",
    }
    assert "never landed" not in page_of(settings, FIRST).words


def test_a_missing_hour_has_a_page_and_an_hour_that_never_was_due_has_none(books: Books) -> None:
    full(books, skip=(FIRST + HOUR,))
    settings = books.write()
    page = page_of(settings, FIRST + HOUR)
    assert "tidegate run shop --from 2026-03-02T01 --to 2026-03-02T01" in page.words
    with pytest.raises(UnknownPageError):
        hour_of(settings, FIRST - HOUR)
    with pytest.raises(UnknownPageError):
        hour_of(settings, FIRST, "another")


def test_the_bad_lines_of_an_hour_are_sampled_by_reason(books: Books) -> None:
    books.land("shop", FIRST, quarantined_by_reason={"not_json": 9})
    books.bad_lines("shop", FIRST, [{"reason": "not_json", "raw": f"line {n}"} for n in range(9)])
    page = page_of(books.write(), FIRST)
    assert "f:1" in page.words
    assert "line 4" in page.words
    assert "line 5" not in page.words


def test_an_hour_audited_many_times_shows_the_newest_and_counts_the_rest(books: Books) -> None:
    books.land("shop", FIRST)
    for n in range(15):
        books.audit("shop", FIRST, [{}, {"expectation": "b"}], audited_at=FIRST + n * HOUR)
    found = hour_of(books.write(), FIRST)
    assert [each.audited_at for each in found.audits] == [
        FIRST + n * HOUR for n in range(14, 2, -1)
    ]
    assert found.older_audits == 3


# -- numbers over time -----------------------------------------------------------------------------


def test_a_history_is_of_its_expectation_and_has_the_newest_number_of_each_hour(
    books: Books,
) -> None:
    full(books)
    books.audit("shop", FIRST, [{"metric": 7.0}], audited_at=FIRST + 9 * HOUR)
    books.audit("shop", FIRST, [{"metric": 8.0, "severity": "info"}], audited_at=FIRST + 9 * HOUR)
    books.audit("app", FIRST, [{"metric": 9.0}])
    [history] = hour_of(books.write(), LAST).histories.values()
    assert history.points[0] == (FIRST, 7.0)
    assert history.points[1:] == tuple((FIRST + n * HOUR, n / 100) for n in range(1, 48))


def test_a_history_leaves_out_what_is_no_number_and_what_is_four_weeks_old(books: Books) -> None:
    long_ago = LAST - timedelta(days=28, hours=1)
    for hour, metric in (
        (long_ago, 1.0),
        (long_ago + HOUR, 2.0),
        (FIRST, float("nan")),
        (FIRST + HOUR, float("inf")),
        (FIRST + 2 * HOUR, None),
        (LAST, 3.0),
    ):
        books.land("shop", hour)
        books.audit("shop", hour, [{"metric": metric}])
    settings = books.write()
    [history] = hour_of(settings, LAST).histories.values()
    assert history.points == ((long_ago + HOUR, 2.0), (LAST, 3.0))
    assert "nan" not in page_of(settings, FIRST).words.lower()


def test_limits_are_those_of_the_suite_as_it_is_now(books: Books) -> None:
    settings = books.write()
    suite = """table: events
owner: tests
expectations:
  - {type: expect_column_values_to_be_between, of: facts, severity: critical, why: x,
     args: {column: rows, min_value: 3, max_value: 9}}
  - {type: expect_column_values_to_not_be_null, severity: warning, why: x,
     args: {column: user_key, mostly: 0.75}}
  - {type: expect_column_values_to_be_between, of: facts, severity: warning, why: x, name: moving,
     args: {column: rows, min_value: {usual: rows}, max_value: 9}}
  - {type: expect_column_values_to_be_between, of: facts, severity: info, why: x, sources: [app],
     args: {column: lines, max_value: 9}}
"""
    settings.expectations.mkdir()
    (settings.expectations / "events.yml").write_text(suite)
    books.land("shop", FIRST)
    between, another, filled = (
        "expect_column_values_to_be_between(rows)",
        "expect_column_values_to_be_between(lines)",
        "expect_column_values_to_not_be_null(user_key)",
    )
    books.audit(
        "shop",
        FIRST,
        [
            {"expectation": between, "severity": "critical", "metric": 5.0},
            {"expectation": filled, "severity": "warning", "metric": 0.1},
            {"expectation": "gone", "severity": "info", "metric": 0.1},
            {"expectation": "moving", "severity": "warning", "metric": 5.0},
            {"expectation": another, "severity": "info", "metric": 5.0},
        ],
    )
    books.root = books.root / "again"
    again = books.write()
    again = Settings(settings.project, settings.home, again.lake)
    found = {key[0]: (h.least, h.most) for key, h in hour_of(again, FIRST).histories.items()}
    assert found == {
        between: (3.0, 9.0),
        filled: (None, 0.25),
        "gone": (None, None),
        "moving": (None, 9.0),
        another: (None, None),
    }


def test_what_was_not_met_is_drawn_large_and_the_rest_small(books: Books) -> None:
    full(books, skip=(LAST,))
    books.land("shop", LAST)
    books.audit(
        "shop", LAST, [{"metric": 1.0, "status": "failed"}, {"expectation": "b", "metric": 0.0}]
    )
    drawn = [found["class"] for tag, found in page_of(books.write(), LAST).elements if tag == "svg"]
    assert drawn == ["plot", "plot small"]


# -- bad lines, derived tables ---------------------------------------------------------------------


def test_bad_lines_are_counted_by_reason_and_hour_from_the_newest_landings(books: Books) -> None:
    books.land("shop", FIRST, quarantined_by_reason={"not_json": 9})
    books.land("shop", FIRST, quarantined_by_reason={"too_late": 2}, landed_at=FIRST + 9 * HOUR)
    books.land("shop", LAST, quarantined_by_reason={"not_json": 4, "too_late": 1})
    books.bad_lines("shop", LAST, [{"reason": "not_json", "raw": "{", "detail": "expected }"}])
    settings = books.write()
    with open_reader(settings) as found:
        quarantine = found.quarantine("shop")
    assert quarantine.counts == {LAST: {"not_json": 4, "too_late": 1}, FIRST: {"too_late": 2}}
    assert quarantine.reasons == ("not_json", "too_late")
    page = Page(pages.quarantine(quarantine, written(settings), Reach("../")))
    assert "not_json 4 1 2026-03-03T23 too_late 3 2 2026-03-03T23" in page.words
    assert "2026-03-03T23 5 4 not_json, 1 too_late" in page.words
    assert "not_json f:1 2026-03-03T23 expected } {" in page.words
    assert "../hours/shop/2026-03-03T23.html" in page.links()


def test_a_source_without_bad_lines_says_so(books: Books) -> None:
    full(books)
    settings = books.write()
    with open_reader(settings) as found:
        html = pages.quarantine(found.quarantine("shop"), written(settings), Reach("../"))
    assert "No line was quarantined." in Page(html).words


def test_derived_tables_show_their_newest_audits_in_the_order_they_are_built(
    books: Books,
) -> None:
    full(books)
    for table in ("daily_activity", "sessions"):
        for n, status in enumerate(("met", "failed")):
            result = {"status": status, "severity": "critical", "why": f"Audit {n} of {table}."}
            more = {"table_name": table, "audited_at": LAST + n * HOUR, "slices": [FIRST, LAST]}
            books.audit("shop", LAST, [result], **more)
    settings = books.write()
    with open_reader(settings) as found:
        page = Page(pages.derived(found.derived(), written(settings), Reach()))
    assert "Audit 0" not in page.words
    assert page.words.index("Audit 1 of sessions.") < page.words.index("Audit 1 of daily_activity.")
    assert "slices 2026-03-02T00 to 2026-03-03T23" in page.words
    assert "daily_activity shop" in overview_page(settings).words


# -- the catalogue ---------------------------------------------------------------------------------


def test_the_catalogue_tells_what_each_table_is_and_how_fresh(books: Books) -> None:
    for n in range(3):
        landing = books.land("shop", FIRST + n * HOUR)
        books.audit("shop", FIRST + n * HOUR, [{"status": "failed" if n == 2 else "met"}])
        books.publish("shop", FIRST + n * HOUR, landing, version=n)
    books.rows["configurations"].append(
        {
            "configuration": "c",
            "table_name": "events",
            "source": "shop",
            "definition": json.dumps({"names": "%Y/*.json", "columns": {}}),
            "recorded_at": FIRST,
        }
    )
    books.release(LAST, 1)
    buyers = {
        "metric": "buyers",
        "kind": "unique",
        "description": "Who <b>buys</b>.",
        "owner": "me",
    }
    books.rows["releases"][-1]["metrics"] = [("buyers", json.dumps(buyers))]
    with open_reader(books.write()) as found:
        told = found.catalogue()
        page = Page(pages.catalogue(told, Written(LAST, "lake"), Reach()))
    assert [each.name for each in told.tables] == [table.name for table in WAREHOUSE]
    tables = {each.name: each for each in told.tables}
    assert tables["events"].version == 1
    assert tables["events"].built_from == ("shop",)
    assert "sessions" in tables["events"].used_by
    assert "completeness_by_hour" in tables["events"].used_by
    assert tables["daily_activity"].built_from == ("events", "sessions")
    [standing] = tables["events"].standing
    assert (standing.newest, standing.publications) == (FIRST + 2 * HOUR, 3)
    assert standing.verdict == "warned"
    [metric] = told.metrics
    assert (metric.name, metric.meaning) == ("metrics.buyers", "Who <b>buys</b>.")
    [fresh] = told.freshness
    assert fresh["newest_hour"] == FIRST + HOUR  # what was published later is in no release
    for each in (*told.tables, *told.views, *told.books):
        assert all(column.meaning for column in each.columns), each.name
    assert "dumps of shop %Y/*.json → events" in page.words
    assert "One row is a session. Built from events. Used by daily_activity" in page.words
    assert "2 of 24" in page.words


# -- nothing in the books is more than text --------------------------------------------------------


def hostile(books: Books, text: str) -> Settings:
    """Write a lake in which every text that comes from outside is `text`."""
    full(books, skip=(LAST,))
    books.land(
        "shop",
        LAST,
        status="unreadable",
        error=text,
        files=[{"name": text, "size": 1, "lines": 1}],
        quarantined_by_reason={text[:200]: 3},
        absent=[text[:500]],
        run_id=text,
    )
    results = [
        {
            "expectation": text[:2000],
            "severity": severity,
            "status": status,
            "observed": text,
            "expected": text,
            "why": text,
            "approved_by": text,
            "run_id": text,
            "metric": 1.0,
            "facts": json.dumps({text[:200]: text}),
        }
        for severity, status in (("critical", "failed"), ("warning", "approved"), ("info", "met"))
    ]
    books.audit("shop", LAST, results)
    books.audit("shop", LAST, results, table_name="sessions")
    books.bad_lines(
        "shop", LAST, [{"reason": "not_json", "file": text, "detail": text, "raw": text}]
    )
    books.rows["configurations"].append(
        {
            "configuration": "c",
            "table_name": "events",
            "source": text[:5000],
            "definition": json.dumps({"names": text, "columns": {"price": {"path": text}}}),
            "recorded_at": LAST,
        }
    )
    books.rows["releases"].append(
        {
            "release_id": text[:200].replace("\x00", ""),
            "released_at": LAST,
            "versions": [("events", 0)],
        }
    )
    return books.write()


def all_pages(settings: Settings) -> dict[str, str]:
    with open_reader(settings) as found:
        at = written(settings)
        return {
            "overview": pages.overview(found.overview(LAST), at, Reach()),
            "hour": pages.hour(found.hour("shop", LAST, LAST), at, Reach("../../")),
            "quarantine": pages.quarantine(found.quarantine("shop"), at, Reach("../")),
            "derived": pages.derived(found.derived(), at, Reach()),
            "catalogue": pages.catalogue(found.catalogue(), at, Reach()),
            "metrics": pages.metrics(found.metrics(), at, Reach()),
            "fault": pages.fault(500, TidegateError(HOSTILE, where=HOSTILE), Reach()),
        }


def check_is_harmless(html: str) -> None:
    """Check that a page has only our elements and attributes, and no character that hides."""
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag in ELEMENTS, tag
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
        assert "src" not in attributes
        if tag == "a":
            assert re.fullmatch(r"[\w./?=#%-]+", str(attributes["href"])), attributes
    assert sum(tag == "style" for tag, _ in page.elements) == 1
    hidden = {char for char in page.text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl")}
    assert hidden <= {"\n"}
    assert len(html.encode()) < 300_000


def test_attacks_in_every_text_of_the_books_are_shown_and_do_nothing(books: Books) -> None:
    found = all_pages(hostile(books, HOSTILE))
    for name, html in found.items():
        check_is_harmless(html)
        if name == "metrics":  # it has no text but the release's
            continue
        for attack in ATTACKS[:-1]:
            assert attack in Page(html).text, (name, attack)
        assert "\\x1b[31m\\u202egnp.exe\\u2066\\x00\\u2028" in Page(html).text


def test_a_megabyte_in_every_text_is_cut(books: Books) -> None:
    found = all_pages(hostile(books, "\u202e<i>" * 250_000))
    for html in found.values():
        check_is_harmless(html)
    assert "\\u202e<i>\\u202e<i>" in Page(found["hour"]).text


def test_a_bad_line_is_cut_at_its_length_and_says_so(books: Books) -> None:
    books.land("shop", FIRST, quarantined_by_reason={"not_json": 1})
    books.bad_lines("shop", FIRST, [{"reason": "not_json", "raw": "x" * 1_000_000}])
    page = page_of(books.write(), FIRST)
    assert re.findall("x{100,}", page.text) == ["x" * 500]
    assert "The first 500 of 1,000,000 characters." in page.words


def test_a_bad_line_that_was_not_kept_says_so(books: Books) -> None:
    books.land("shop", FIRST, quarantined_by_reason={"not_json": 1})
    books.bad_lines("shop", FIRST, [{"reason": "not_json", "raw": None, "detail": "one object"}])
    page = page_of(books.write(), FIRST)
    assert "one object The line is not kept: it may hold personal data." in page.words
    assert "None" not in page.words


def test_a_page_allows_itself_nothing_but_its_own_style(books: Books) -> None:
    page = overview_page(books.write())
    [policy] = [
        str(found["content"])
        for tag, found in page.elements
        if found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == pages.POLICY
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_tables_have_heads_that_say_what_they_are_of(books: Books) -> None:
    found = [Page(html) for html in all_pages(hostile(books, "x")).values()]
    heads = [head for page in found for tag, head in page.elements if tag == "th"]
    assert len(heads) > 40
    assert all(head.get("scope") in ("col", "row") for head in heads)


def test_files_with_faults_are_named_and_the_pages_are_there(books: Books) -> None:
    full(books)
    settings = books.write()
    (settings.sources / "shop.yml").write_text("source: <b>")
    words = overview_page(settings).words
    assert "With faults (tidegate check names them): shop.yml, events.yml, sessions.yml" in words
    assert "Every table is what" not in words


# -- as files --------------------------------------------------------------------------------------


@pytest.fixture
def worrying(books: Books) -> Settings:
    """Write two days of two sources with a held, a warned, an approved and an informed hour."""
    full(books, "app")
    full(books, skip=(LAST,))
    books.land("shop", LAST)
    books.audit("shop", LAST, [{"severity": "critical", "status": "failed"}])
    for n, (severity, status) in enumerate(
        (("warning", "failed"), ("critical", "approved"), ("info", "failed"))
    ):
        result = {"severity": severity, "status": status}
        books.audit("shop", FIRST + n * HOUR, [result], audited_at=FIRST + 9 * HOUR)
    # It failed once and was met when it was audited again.
    again = FIRST + 20 * HOUR
    books.audit("shop", again, [{"status": "failed"}], audited_at=again + HOUR)
    return books.write()


FILES = [
    "catalogue.html",
    "derived.html",
    "hours/shop/2026-03-02T00.html",
    "hours/shop/2026-03-02T01.html",
    "hours/shop/2026-03-03T23.html",
    "index.html",
    "metrics.html",
    "quarantine/app.html",
    "quarantine/shop.html",
]


def test_files_are_the_overview_and_the_hours_that_want_a_look(
    worrying: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert write(worrying, str(out), MUCH_LATER) == FILES
    for name in FILES:
        html = (out / name).read_text()
        check_is_harmless(html)
        for link in Page(html).links():
            target, _, _ = link.partition("#")
            assert not target or ((out / name).parent / target).resolve().is_file(), (name, link)


def test_files_that_are_out_of_date_go_and_those_of_others_stay(
    worrying: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    old, other = out / "hours/gone/2020-01-01T00.html", out / "hours/notes.html"
    for path in (old, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    write(worrying, str(out), MUCH_LATER)
    assert not old.exists()
    assert other.read_text() == "x"


def test_files_go_to_a_bucket_as_to_a_folder(worrying: Settings, tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3", ("lake",)) as s3:
        settings = Settings(worrying.project, worrying.home, worrying.lake, s3=s3)
        client = s3_client(s3)
        for key in (
            "a/hours/gone/2020-01-01T00.html",
            "a/other.html",
            "hours/gone/2020-01-01T00.html",
        ):
            client.put_object(Bucket="lake", Key=key, Body=b"x")
        write(settings, "s3a://lake/a", MUCH_LATER)
        listed = client.list_objects_v2(Bucket="lake").get("Contents", [])
        assert sorted(item["Key"] for item in listed) == sorted(
            [*(f"a/{name}" for name in FILES), "a/other.html", "hours/gone/2020-01-01T00.html"]
        )
        got = client.get_object(Bucket="lake", Key="a/index.html")
        assert got["ContentType"] == "text/html"


def test_the_command_writes_into_the_lake_unless_told_otherwise(
    worrying: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(worrying.project))
    monkeypatch.setenv("TIDEGATE_HOME", str(worrying.home))
    done = CliRunner().invoke(commands, ["report", "--lake", worrying.lake])
    assert done.exit_code == 0, done.output
    index = Path(worrying.lake) / "reports" / "index.html"
    assert done.output == f"{len(FILES)} pages: {index}\n"
    assert index.is_file()


def test_a_folder_that_can_t_be_written_is_told(worrying: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TidegateError, match="the folder can't be written"):
        write(worrying, str(tmp_path / "file"))


def test_a_lake_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="no lake there"):
        write(Settings(tmp_path, tmp_path, str(tmp_path / "lake")), str(tmp_path / "out"))
