"""Runs `fuzz.run` in a process of its own, so that a file that hangs it or ends it is a failure like any other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_STILL = 60.0
"""Seconds without another file after which the process hangs."""
_MOST_GROWN = 250
"""MiB that the process may grow, from its first few hundred files to the last."""
_MOST = 10
"""Failures after which a run ends."""


def failures(seed: int, first: int, count: int) -> list[dict[str, Any]]:
    """Return what fails of so many files: a report a file, as `fuzz.run` prints it.

    Args:
        seed: decides all files.
        first: number of the first one.
        count: how many.
    """
    found: list[dict[str, Any]] = []
    stop = first + count
    while first < stop and len(found) < _MOST:
        with tempfile.TemporaryDirectory() as folder:
            progress, errors = Path(folder) / "progress", Path(folder) / "errors"
            lines, status = _run(seed, first, stop - first, progress, errors)
            done = [line for line in lines if "done" in line]
            found += [line for line in lines if "done" not in line]
            if done:
                if done[0]["grown"] > _MOST_GROWN:
                    found.append(
                        {"seed": seed, "faults": [f"memory grew by {done[0]['grown']} MiB"]}
                    )
                return found
            at = int(progress.read_text() or first) if progress.exists() else first
            tail = errors.read_text()[-3000:]
            found.append({"seed": seed, "number": at, "faults": [status, tail]})
            first = at + 1
    return found


def _run(
    seed: int, first: int, count: int, progress: Path, errors: Path
) -> tuple[list[dict[str, Any]], str]:
    """Return the reports of a process, and how it ended."""
    command = [
        sys.executable,
        "-m",
        "fuzz.run",
        str(seed),
        str(first),
        str(count),
        "--progress",
        str(progress),
    ]
    tests = Path(__file__).resolve().parents[1]
    places = [str(tests), str(tests.parent / "jobs"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    with errors.open("w") as stderr:
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        try:
            ending = _wait(child, progress)
        finally:
            child.kill()
    assert child.stdout is not None, "it is a pipe"
    return list(_reports(child.stdout.read())), ending


def _wait(child: subprocess.Popen[str], progress: Path) -> str:
    """Wait for the end of a process; return how it ended."""
    seen, since = b"", time.monotonic()
    while child.poll() is None:
        time.sleep(0.2)
        now = progress.read_bytes() if progress.exists() else b""
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _STILL:
            child.send_signal(signal.SIGABRT)  # it then writes where it is
            child.wait()
            return f"the file takes more than {_STILL:.0f} s"
    return f"the process ended with {child.returncode}"


def _reports(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        yield json.loads(line)
