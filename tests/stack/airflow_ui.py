"""Airflow's pages, used as a person does: by clicks and keys in a headless Chromium."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

from chromium import Browser

_WAIT_S = 60.0
_LOOK_S = 0.1
_WIDTH = 1280
_DATE = 'input[placeholder="YYYY/MM/DD"]'
_TIME = 'input[placeholder="HH:mm"]'
_REPROCESS = {
    "none": "Missing Runs",
    "failed": "Missing and Errored Runs",
    "completed": "All Runs",
}


_PLACE = """
(() => {
  const e = %s;
  if (!e) return null;
  e.scrollIntoView({block: "center"});
  const box = e.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const top = document.elementFromPoint(x, y);
  const own = top && (e.contains(top) || (top.contains(e) && !top.contains(document.body)));
  return own ? [x, y] : null;
})()
"""
"""JavaScript of the middle of an element, or null while there is none or something lies above it."""


class AirflowUi:
    """A tab in which somebody is logged in.

    Args:
        browser: the tab.
        login: Airflow's address, a user and the password.
    """

    def __init__(self, browser: Browser, login: tuple[str, str, str]) -> None:
        self._browser = browser
        self._url, user, password = login
        self._open("/")
        self._fill("input[name=username]", user)
        self._fill("input[name=password]", password)
        self.click("button", "Sign in")
        self.wait_for("!document.querySelector('input[name=password]')", "the login to be over")

    def dag(self, dag_id: str) -> None:
        """Open the page of a DAG."""
        self._open(f"/dags/{dag_id}")
        self.wait_for_text(dag_id)

    def run(self, dag_id: str, run_id: str) -> None:
        """Open the page of a run."""
        self._open(f"/dags/{dag_id}/runs/{run_id}")
        self.wait_for_text(dag_id)

    def fill_backfill(
        self,
        first: datetime,
        last: datetime,
        *,
        reprocess: str = "none",
        backwards: bool = False,
        at_once: int = 24,
    ) -> None:
        """On the page of a DAG, open the form of a backfill and fill it in."""
        self._wait_for_no_dialog()
        self.click("button", "Trigger")
        self.wait_for(f"{_all('input[value=backfill]')}.length", "the form")
        self._press(f"{_all('input[value=backfill]')}[0].parentElement")
        self.wait_for_text("Date Range")
        for at, time_ in enumerate((first, last)):
            self._press(f"{_shown('[data-testid=datetime-input]')}[{at}]")
            self._fill(_DATE, f"{time_:%Y/%m/%d}")
            self._fill(_TIME, f"{time_:%H:%M}")
            self.click("h1, h2, h3, h4, p, div, span", "Date Range")  # closes the calendar
        self.click("label", _REPROCESS[reprocess])
        self._fill("input[name=max_active_runs]", str(at_once))
        if backwards:
            self.click("label", "Run Backwards")

    def press_labelled(self, label: str) -> None:
        """Press the button that has a picture, and this label for those who can't see it."""
        self._press(f"{_shown(f'button[aria-label={json.dumps(label)}]')}[0]")

    def clear_run(self) -> None:
        """On the page of a run, have all its tasks run again."""
        self.press_labelled("Press shift+c to clear")
        self.wait_for_text("Affected Tasks: 3")
        self.click("button", "Confirm")
        self._wait_for_no_dialog()

    def wait_for_text(self, text: str) -> None:
        """Wait until a page shows a text."""
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})", repr(text))

    def wait_for(self, holds: str, what: str, timeout: float = _WAIT_S) -> None:
        """Wait until a JavaScript expression holds in the page."""
        deadline = time.monotonic() + timeout
        while not self._browser.value(f"!!({holds})"):
            assert time.monotonic() < deadline, (what, self.text())
            time.sleep(_LOOK_S)

    def text(self) -> str:
        """Return what the page shows."""
        return str(self._browser.value("document.body.innerText"))

    def click(self, tag: str, text: str) -> None:
        """Click on the shown element of a tag that has exactly a text, once it can be."""
        found = f"{_shown(tag)}.filter(e => !e.disabled && e.innerText.trim() === {json.dumps(text)}).at(-1)"
        self._press(found)

    def picture(self, file: Path) -> None:
        """Keep what the window shows."""
        self._browser.screenshot(file)

    def _wait_for_no_dialog(self) -> None:
        """Wait until no dialog is open, nor one that is closing keeps clicks from the page."""
        open_ = "[data-scope=dialog][data-part=content][data-state=open]"
        free = "getComputedStyle(document.body).pointerEvents !== 'none'"
        self.wait_for(f"!document.querySelector('{open_}') && {free}", "the dialog to close")

    def _open(self, path: str) -> None:
        self._browser.show(f"{self._url}{path}", _WIDTH, "light")

    def _press(self, element: str) -> None:
        """Click on an element once it stands still and nothing covers it."""
        place = before = None
        deadline = time.monotonic() + _WAIT_S
        while place is None or place != before:
            assert time.monotonic() < deadline, (f"to press {element}", self.text())
            time.sleep(_LOOK_S)
            before, place = place, self._browser.value(_PLACE % element)
        for kind in ("mousePressed", "mouseReleased"):
            self._browser.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def _fill(self, selector: str, text: str) -> None:
        """Replace what stands in an input, as if typed."""
        element = f"{_shown(selector)}[0]"
        self.wait_for(element, selector)
        self._browser.value(f"(() => {{ const e = {element}; e.focus(); e.select(); return 1 }})()")
        self._browser.send("Input.insertText", text=text)


def _all(selector: str) -> str:
    return f"[...document.querySelectorAll({json.dumps(selector)})]"


def _shown(selector: str) -> str:
    return f"{_all(selector)}.filter(e => e.offsetParent)"
