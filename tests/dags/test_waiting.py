"""The task `wait`: what its trigger does until the dump is complete, or is given up."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from tidegate.orchestration.waiting import DumpTrigger

SOURCE = """source: web
since: 2024-01-01T00
dumps: {dumps}/{{dump_hour:%Y-%m-%d}}/{{dump_hour:%H}}.json
complete: {{files: 1}}
fields: {{event_time: at}}
"""


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with one source; return where its dump of 12:00 is to come."""
    (tmp_path / "dags" / "sources").mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    text = SOURCE.format(dumps=tmp_path / "dumps")
    (tmp_path / "dags" / "sources" / "web.yml").write_text(text)
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    file = tmp_path / "dumps" / "2024-03-01" / "12.json"
    file.parent.mkdir(parents=True)
    return file


def first_event(source: str = "web") -> TriggerEvent:
    async def run() -> TriggerEvent:
        return await anext(DumpTrigger(source, "2024-03-01T13:00:00+01:00").run())

    return asyncio.run(run())


def test_a_dump_that_is_there_ends_the_task_at_once(dump: Path) -> None:
    dump.write_text("{}\n")
    assert isinstance(first_event(), TaskSuccessEvent)


def test_a_dump_that_comes_later_is_waited_for(
    dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def meanwhile(_: float) -> None:
        dump.write_text("{}\n")

    monkeypatch.setattr("tidegate.orchestration.waiting.asyncio.sleep", meanwhile)
    assert isinstance(first_event(), TaskSuccessEvent)
    assert "web 2024-03-01T12: there is no file" in capsys.readouterr().out


def test_a_dump_is_looked_at_again_as_soon_as_it_has_been_quiet_for_long_enough(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = dump.parents[2] / "dags" / "sources" / "web.yml"
    file.write_text(file.read_text().replace("{files: 1}", "{after: 10s}"))
    dump.write_text("{}\n")
    waited: list[float] = []

    async def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        os.utime(dump, (0, 0))

    monkeypatch.setattr("tidegate.orchestration.waiting.asyncio.sleep", meanwhile)
    assert isinstance(first_event(), TaskSuccessEvent)
    [seconds] = waited
    assert 5 < seconds < 11


def test_dumps_that_cannot_be_looked_at_are_given_up_after_a_while_with_the_reason(
    dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []

    async def no_time(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("tidegate.orchestration.waiting.asyncio.sleep", no_time)
    assert isinstance(first_event("nosuch"), TaskFailedEvent)
    assert 300 <= sum(waited) <= 900
    assert "nosuch" in capsys.readouterr().out
    assert dump.parent.is_dir()
