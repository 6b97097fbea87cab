"""Promised freshness: people are told once when hours are late, and once when they have come."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from project import HOUR, LINES, NOON, Project, event
from tidegate.config.source import Source
from tidegate.orchestration.alerts import alerts_file, tell
from tidegate.orchestration.promises import look_at
from tidegate.pipeline.publish.approve import HeldSlice
from tidegate.tables import events

HERE = str(Path(__file__).parent)
FILE = """
- notifier: recorder.Recorder
  args: {subject: "{{ tidegate.subject }}", text: "{{ tidegate.text }}"}
"""
MINUTE = timedelta(minutes=1)
CONTEXT = {"dag_run": SimpleNamespace(dag_id="freshness", run_id="r")}


class Watched:
    """A project whose one source promises its hours within 90 minutes, by a clock of the test's own."""

    def __init__(self, project: Project, told: Path) -> None:
        self.project, self.told = project, told
        self.clock = NOON
        described: dict[str, Any] = {
            **LINES,
            "fresh": "90m",
            "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
        }
        (project.settings.sources / "web.yml").write_text(json.dumps(described))
        self.source: Source = project.source(fresh="90m")

    def now(self) -> datetime:
        return self.clock

    def run(self, hour: datetime, at: datetime) -> None:
        """Land, publish and release an hour at some time."""
        self.clock = at
        self.project.put_hour(hour, [event(f"{hour:%H}", hour)])
        self.project.run(self.source, [hour])

    def look(self, at: datetime) -> None:
        self.clock = at
        look_at(self.project.settings, at, CONTEXT)

    @property
    def texts(self) -> list[str]:
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return [json.loads(line)["text"] for line in lines]


@pytest.fixture
def watched(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("TIDEGATE_TEST_TOLD", str(tmp_path / "told"))
    alerts_file(project.settings).write_text(FILE)
    made = Watched(project, tmp_path / "told")
    monkeypatch.setattr("tidegate.pipeline.context.run_context.now", made.now)
    return made


def test_late_hours_are_told_of_once_and_so_is_that_they_have_come(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    due = NOON + HOUR + 90 * MINUTE
    (watched.project.settings.sources / "broken.yml").write_text("source: broken\n")
    watched.look(due)
    assert "web: promised 1h30m after an hour's end; no hour has been landed" in (
        capsys.readouterr().out
    )
    watched.run(NOON, at=NOON + HOUR + MINUTE)
    watched.look(due + HOUR)
    assert watched.texts == []
    said = capsys.readouterr().out
    assert "web: promised 1h30m after an hour's end, kept, up to 2024-03-01T12" in said
    assert "not looked at: broken.yml: since is missing" in said
    # 13:00 and 14:00 do not come; then 13:00 does, and 14:00 is still late.
    watched.look(due + HOUR + MINUTE)
    watched.look(due + 2 * HOUR + MINUTE)
    watched.run(NOON + HOUR, at=due + 2 * HOUR + 2 * MINUTE)
    watched.look(due + 2 * HOUR + 3 * MINUTE)
    assert watched.texts == [
        "web is promised 1h30m after an hour's end. Not so since 2024-03-01 15:30 UTC:\n"
        "2024-03-01T13: no dump landed yet"
    ]
    # All have come, but the next hour may be late again: the one after them has to be there in time.
    watched.run(NOON + 2 * HOUR, at=due + 2 * HOUR + 4 * MINUTE)
    watched.look(due + 2 * HOUR + 5 * MINUTE)
    assert len(watched.texts) == 1
    watched.run(NOON + 3 * HOUR, at=due + 2 * HOUR + 6 * MINUTE)
    watched.look(due + 2 * HOUR + 7 * MINUTE)
    watched.look(due + 2 * HOUR + 8 * MINUTE)
    assert watched.texts[1:] == [
        "web: 2024-03-01T13..2024-03-01T14 (2 hours) can be read, and what followed came in time"
    ]
    # Another stretch is news.
    watched.look(due + 4 * HOUR + MINUTE)
    assert "2024-03-01T16: no dump landed yet" in watched.texts[2]
    assert len(watched.texts) == 3


def test_an_hour_may_be_late_and_held_and_is_told_of_as_both(watched: Watched) -> None:
    held = HeldSlice(events.TABLE, "web", NOON + HOUR)
    due = NOON + 2 * HOUR + 90 * MINUTE
    watched.run(NOON, at=NOON + HOUR)
    tell(watched.project.settings, "held", [(held, "is held")], CONTEXT, print)
    watched.look(due + MINUTE)
    tell(watched.project.settings, "held", [(held, "is held")], CONTEXT, print)
    tell(watched.project.settings, "healed", [(held, "has healed")], CONTEXT, print)
    watched.look(due + 2 * MINUTE)
    assert [text.splitlines()[0] for text in watched.texts] == [
        "is held",
        "web is promised 1h30m after an hour's end. Not so since 2024-03-01 15:30 UTC:",
        "has healed",
    ]


def test_what_is_promised_no_more_is_not_late(watched: Watched) -> None:
    due = NOON + 2 * HOUR + 90 * MINUTE
    watched.run(NOON, at=NOON + HOUR)
    watched.look(due + MINUTE)
    file = watched.project.settings.sources / "web.yml"
    file.write_text(file.read_text().replace("90m", "3h"))
    watched.look(due + 2 * MINUTE)
    assert watched.texts[1:] == ["web/2024-03-01T13 is not late by what its source promises now"]
    file.write_text(file.read_text().replace('"fresh": "3h", ', ""))
    watched.look(due + 99 * HOUR)
    assert len(watched.texts) == 2
