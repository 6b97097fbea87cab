"""A headless Chromium for tests, driven through its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_S = 60.0
_WAIT_S = 60.0
_TALLEST = 4_000  # pixels: a browser draws no picture of any size


def find_chromium() -> str | None:
    """Return the browser's command: `TIDEGATE_CHROMIUM`, or the first one on the path; None for none."""
    named = os.environ.get("TIDEGATE_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium(command: str, profile: Path) -> Iterator[Browser]:
    """Run a browser for the length of the block, with a profile of its own."""
    process = subprocess.Popen(
        [
            command,
            "--headless=new",
            "--no-sandbox",  # tests may run as root, in a container
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_address(process, profile), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait()


class Browser:
    """One tab, and what its console and its security policy had to complain of.

    Args:
        socket: of its DevTools.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._sent = 0
        self._loaded = False
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while (found := self._next()).get("id") != self._sent:
            pass
        assert "error" not in found, found
        return dict(found["result"])

    def show(self, url: str, width: int, scheme: str) -> None:
        """Open a page in a window of some width, light or dark, and wait until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        wanted = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[wanted])
        self._loaded = False
        self.send("Page.navigate", url=url)
        while not self._loaded:
            self._next()

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"]["value"]

    def screenshot(self, file: Path) -> None:
        """Write the page as a picture, but for what lies below `_TALLEST`."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], _TALLEST)}
        taken = self.send(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1}
        )
        file.write_bytes(base64.b64decode(taken["data"]))

    def _next(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._socket.recv(timeout=_WAIT_S))
        kind = found.get("method")
        if kind == "Page.loadEventFired":
            self._loaded = True
        elif kind in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(found["params"]))
        return found


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Return the address of the DevTools of the browser's tab, once it tells its port."""
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_S
    while not (told.is_file() and "\n" in told.read_text()):
        assert process.poll() is None, f"the browser ended with status {process.returncode}"
        assert time.monotonic() < deadline, "the browser does not tell its port"
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        return next(
            str(tab["webSocketDebuggerUrl"]) for tab in json.load(answer) if tab["type"] == "page"
        )
