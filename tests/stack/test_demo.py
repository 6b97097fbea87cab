"""The demo, as README's first command runs it, on less traffic; minutes long."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from project import of_the_repository
from tidegate_demo.traffic import CUT, planted

SCALE = 0.05


@pytest.mark.slow
def test_the_demo_shows_what_was_planted_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "demo", "--exit", "--scale", str(SCALE)],
        env=of_the_repository(tmp_path / "home"),
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
