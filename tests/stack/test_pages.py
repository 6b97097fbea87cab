"""The report in a real browser: it fits a desk and a phone, and breaks no rule of its own policy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from chromium import NAMES, Browser, chromium, find_chromium
from fastapi import FastAPI
from page_checks import FAINT, NARROW, OUTSIDE
from page_lakes import LAKES, LAST, pages_of

from tidegate.config.settings import Settings
from tidegate.orchestration import web
from tidegate.report.files import write
from tidegate.report.names import PREFIX

COMMAND = find_chromium()
pytestmark = pytest.mark.skipif(
    COMMAND is None, reason=f"no browser: none of {', '.join(NAMES)}, no TIDEGATE_CHROMIUM"
)
WIDTHS = (1920, 1366, 390)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module", params=LAKES)
def lake(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def settings(lake: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return LAKES[lake](tmp_path_factory.mktemp("pages"))


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


def test_pages_fit_and_can_be_read_and_break_no_rule(
    lake: str, served: str, browser: Browser, tmp_path: Path
) -> None:
    for name, page in pages_of(lake).items():
        for width in WIDTHS:
            for scheme in SCHEMES:
                browser.complaints.clear()
                browser.show(f"{served}/{page}", width, scheme)
                browser.screenshot(tmp_path / f"{name}-{width}-{scheme}.png")
                where = (name, width, scheme)
                assert browser.value("document.querySelectorAll('h1').length") == 1, where
                assert browser.value("innerWidth") == width, where
                assert browser.value(NARROW) == [], where
                assert browser.value(OUTSIDE) == [], where
                assert browser.value(FAINT) == [], where
                # The style is in force: else the policy has refused it.
                assert browser.value("getComputedStyle(document.body).maxWidth") == "1216px"
                assert browser.complaints == [], where


def test_pages_as_files_open_without_a_server(
    lake: str, settings: Settings, browser: Browser, tmp_path: Path
) -> None:
    write(settings, str(tmp_path), LAST + timedelta(hours=2) if lake != "demo" else None)
    for name, page in pages_of(lake).items():
        browser.complaints.clear()
        browser.show((tmp_path / page).as_uri(), 390, "light")
        assert browser.value("getComputedStyle(document.body).maxWidth") == "1216px", name
        assert browser.value(OUTSIDE) == [], name
        assert browser.complaints == [], name


def test_the_check_of_narrow_cells_sees_one(browser: Browser) -> None:
    """A column squeezed to a letter is what the check is for: it must not pass by being blind."""
    cell = "<td style='width:1px;overflow-wrap:anywhere'>Samples of lines</td>"
    browser.show(f"data:text/html,<table style='width:1px'><tr>{cell}</table>", 1366, "light")
    assert len(browser.value(NARROW)) == 1
    browser.show("data:text/html,<p style='width:3000px'>x</p>", 1366, "light")
    assert browser.value(OUTSIDE)
