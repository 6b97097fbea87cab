"""Alerts: one when a slice is held, one when it heals, none for trying again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from project import NOON, Project
from tidegate.common.errors import TidegateError
from tidegate.orchestration.alerts import alerts_file, load_notifiers, tell
from tidegate.orchestration.check import check
from tidegate.pipeline.publish.approve import HeldSlice
from tidegate.tables import events, sessions
from tidegate.tables.system_tables import ALERTS

HERE = str(Path(__file__).parent)
HOUR = HeldSlice(events.TABLE, "web", NOON)
WHOLE = HeldSlice(sessions.TABLE, "web", None)
FILE = """
- notifier: recorder.Recorder
  args: {subject: "{{ tidegate.subject }}", text: "{{ tidegate.text }}"}
- notifier: recorder.Mute
"""


class Told:
    """What was told, and the telling."""

    def __init__(self, project: Project, file: Path) -> None:
        self.project, self.file = project, file
        self.log: list[str] = []

    def tell(self, kind: Any, *slices: HeldSlice, text: str = "why") -> None:
        run = SimpleNamespace(dag_id="land_web", run_id="r")
        asked = [(each, text) for each in slices]
        tell(self.project.settings, kind, asked, {"dag_run": run}, self.log.append)

    @property
    def subjects(self) -> list[str]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line)["subject"] for line in lines]


@pytest.fixture
def told(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("TIDEGATE_TEST_TOLD", str(tmp_path / "told"))
    alerts_file(project.settings).write_text(FILE)
    return Told(project, tmp_path / "told")


def test_people_are_told_once_when_a_slice_is_held_and_once_when_it_heals(told: Told) -> None:
    told.tell("healed", HOUR)  # as every hour that is published
    assert told.subjects == []
    told.tell("held", HOUR, WHOLE)
    told.tell("held", HOUR)
    told.tell("held", WHOLE)
    told.tell("healed", HOUR)
    told.tell("healed", HOUR)
    told.tell("held", HOUR)
    assert told.subjects == [
        "Tidegate: web/2024-03-01T12 is held",
        "Tidegate: sessions/web is held",
        "Tidegate: web/2024-03-01T12 has healed",
        "Tidegate: web/2024-03-01T12 is held",
    ]


def test_who_could_not_be_told_is_written_down_and_stops_nobody(told: Told) -> None:
    told.tell("held", HOUR, text="it said \x1b[2J {{ tidegate.kind }} " + "x" * 5000)
    [row] = told.project.table(ALERTS)
    assert row["notifiers"] == ["recorder.Recorder"]
    assert row["error"] == "recorder.Mute: no route to held"
    assert any("could not tell recorder.Mute" in line for line in told.log)
    # What it says is data: neither a terminal nor a template takes orders from it.
    assert "\x1b" not in row["text"]
    assert "{{ tidegate.kind }}" in json.loads(told.file.read_text())["text"]
    assert len(row["text"]) == 2000


def test_when_nobody_could_be_told_the_next_time_tells_again(told: Told) -> None:
    alerts_file(told.project.settings).write_text("- notifier: recorder.Mute\n")
    told.tell("held", HOUR)
    alerts_file(told.project.settings).write_text(FILE)
    told.tell("held", HOUR)
    assert told.subjects == ["Tidegate: web/2024-03-01T12 is held"]


def test_without_a_file_nobody_is_told_and_nothing_is_written(told: Told) -> None:
    alerts_file(told.project.settings).unlink()
    told.tell("held", HOUR)
    assert told.subjects == []
    assert told.project.table(ALERTS) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "the alerts are not YAML"),
        ("notifier: x", "expected a list of notifiers"),
        ("- notifier: recorder.Mute\n  arg: {}\n", "unknown key 'arg'; did you mean 'args'?"),
        ("- args: {}\n", "expected a mapping with notifier and args"),
        ("- notifier: recorder.Mute\n  args: 7\n", "args: expected a mapping"),
        ("- notifier: recorder.Nobody\n", "recorder.Nobody can't be used"),
        ("- notifier: json.JSONDecoder\n", "it is no notifier of Airflow's"),
        (
            "- notifier: recorder.Recorder\n  args: {subjekt: x}\n",
            "recorder.Recorder can't be used",
        ),
    ],
)
def test_check_finds_what_is_wrong_with_the_file(told: Told, text: str, fault: str) -> None:
    alerts_file(told.project.settings).write_text(text)
    wrong = [each for each in check(told.project.settings)[1] if "alerts.yml" in each]
    assert len(wrong) == 1
    assert fault in wrong[0]


def test_the_file_is_read_with_its_arguments(told: Told) -> None:
    first, second = load_notifiers(alerts_file(told.project.settings))
    assert first.args == {"subject": "{{ tidegate.subject }}", "text": "{{ tidegate.text }}"}
    assert second.args == {}
    with pytest.raises(TidegateError, match="can't be used"):
        load_notifiers(_written(told, "- notifier: nowhere.Nobody\n"))[0].make()


def _written(told: Told, text: str) -> Path:
    path = alerts_file(told.project.settings)
    path.write_text(text)
    return path
