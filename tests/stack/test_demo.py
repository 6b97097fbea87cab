"""The demo, as README's first command runs it, on less traffic; minutes long."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from project import REPO
from tidegate.demo.traffic import CUT, planted

SCALE = 0.05


@pytest.mark.slow
def test_the_demo_shows_what_was_planted_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "demo", "--exit", "--scale", str(SCALE)],
        env={
            **os.environ,
            "TIDEGATE_PROJECT": str(REPO),
            "TIDEGATE_HOME": str(tmp_path / "home"),
            "TIDEGATE_JARS": os.environ.get("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = planted(scale=SCALE)
    published = sum(told.of(source).events for source in ("shop", "app"))
    assert re.search(rf"^ +events +{published}$", done.stdout, re.MULTILINE), done.stdout
    source, hour = CUT
    assert f"{source} {hour:%Y-%m-%dT%H}: " in done.stdout
    for source in ("shop", "app"):
        for reason in told.of(source).reasons():
            assert reason in done.stdout
    assert "Airflow" in done.stdout
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(tmp_path) in word for word in process.info["cmdline"] or ())
    ]
    assert not left
