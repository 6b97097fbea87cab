"""The report in a real browser: it fits a desk and a phone, and breaks no rule of its own policy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from chromium import NAMES, Browser, chromium, find_chromium
from fastapi import FastAPI

from handmade_books import HOUR, Books
from tidegate.config.settings import Settings
from tidegate.report import web
from tidegate.report.files import write
from tidegate.report.names import PREFIX, hour_page

COMMAND = find_chromium()
pytestmark = pytest.mark.skipif(
    COMMAND is None, reason=f"no browser: none of {', '.join(NAMES)}, no TIDEGATE_CHROMIUM"
)

LAST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
LONG = "expect_column_values_to_be_between(" + "a_very_long_name_of_a_column_" * 6 + ")"
WIDTHS = (1280, 390, 360)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake of five weeks with a held hour, long names and long lines."""
    books = Books(tmp_path_factory.mktemp("pages"))
    for n in range(35 * 24, -1, -1):
        hour = LAST - n * HOUR
        status = "failed" if n == 0 else "met"
        landing = books.land("shop", hour, quarantined_by_reason={"not_json": 1, "too_late": 2})
        results = [
            {"expectation": LONG, "severity": "critical", "status": status, "metric": n % 24},
            {"expectation": "expect_b", "metric": 0.01 * (n % 7), "expected": "x" * 300},
        ]
        books.audit("shop", hour, results)
        if n:
            books.publish("shop", hour, landing)
    books.bad_lines("shop", LAST, [{"reason": "not_json", "raw": "x" * 5_000, "detail": "y" * 400}])
    more = {"table_name": "sessions", "slices": [LAST, LAST]}
    books.audit("shop", LAST, [{"status": "failed", "severity": "critical"}], **more)
    return books.write()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert COMMAND is not None
    with chromium(COMMAND, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def served(settings: Settings) -> Iterator[str]:
    """Serve the pages as Airflow's API server does, to somebody who is logged in."""

    async def know(*_: Any) -> str:
        return "ann"

    outer = FastAPI()
    outer.mount(PREFIX, web.app)
    server = uvicorn.Server(uvicorn.Config(outer, port=0, log_level="error"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEGATE_PROJECT", str(settings.project))
        patch.setenv("TIDEGATE_HOME", str(settings.home))
        patch.setenv("TIDEGATE_LAKE", settings.lake)
        patch.setattr(web, "get_user", know)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the pages are not served"
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{PREFIX}"
        server.should_exit = True
        thread.join()


PAGES = {
    "hours": "index.html",
    "hour": hour_page("shop", LAST),
    "quarantine": "quarantine/shop.html",
    "derived": "derived.html",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_breaks_no_rule(
    served: str, browser: Browser, tmp_path: Path, name: str
) -> None:
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            browser.complaints.clear()
            browser.show(f"{served}/{PAGES[name]}", width, scheme)
            browser.screenshot(tmp_path / f"{name}-{width}-{scheme}.png")
            assert browser.value("document.querySelectorAll('h1').length") == 1
            assert browser.value("innerWidth") == width
            assert browser.value("document.documentElement.scrollWidth") <= width
            # The style is in force: else the policy has refused it.
            assert browser.value("getComputedStyle(document.body).maxWidth") == "1072px"
            assert browser.complaints == []


def test_a_plot_lies_inside_its_page(served: str, browser: Browser) -> None:
    for width in WIDTHS:
        browser.show(f"{served}/{PAGES['hour']}", width, "light")
        ends = browser.value(
            "[...document.querySelectorAll('svg.plot')].map(e => e.getBoundingClientRect().right)"
        )
        assert len(ends) == 2
        assert all(0 < end <= width for end in ends)


def test_text_stands_out_from_its_ground(served: str, browser: Browser) -> None:
    """Each text has the contrast that WCAG 2 asks of small text (AA)."""
    for scheme in ("light", "dark"):
        for page in ("hours", "hour"):
            browser.show(f"{served}/{PAGES[page]}", 1280, scheme)
            faint = browser.value(_FAINT)
            assert faint == [], scheme


def test_pages_as_files_open_without_a_server(
    settings: Settings, browser: Browser, tmp_path: Path
) -> None:
    write(settings, str(tmp_path), LAST + timedelta(hours=2))
    for name, page in PAGES.items():
        browser.complaints.clear()
        browser.show((tmp_path / page).as_uri(), 390, "light")
        assert browser.value("getComputedStyle(document.body).maxWidth") == "1072px", name
        assert browser.value("document.documentElement.scrollWidth") <= 390
        assert browser.complaints == []


_FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("svg")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${e.className || e.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
})()
"""
