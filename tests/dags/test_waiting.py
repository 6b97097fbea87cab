"""The task `wait`: what its trigger does until the dump is complete, or late."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, floor_hour
from tidegate.dumps.completeness import Completeness
from tidegate.orchestration import waiting
from tidegate.orchestration.waiting import DumpTrigger
from tidegate.orchestration.watch import LONGEST, SHORTEST, Look, Seen, Watch, pause

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
FAR = datetime(9999, 1, 1, tzinfo=UTC)
NOTHING = Completeness(False, "nothing yet")
SOURCE = """source: web
since: 2024-01-01T00
dumps: {dumps}/{{dump_hour:%Y-%m-%d}}/{{dump_hour:%H}}.json
complete: {complete}
fields: {{event_time: at}}
"""


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_WATCHES", {})


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Let no time pass between looks; give what each pause would have been, in seconds."""
    waited: list[float] = []

    def no_time(hour: datetime, look: Look, now: datetime) -> timedelta:
        waited.append(pause(hour, look, now).total_seconds())
        return timedelta(0)

    monkeypatch.setattr("tidegate.orchestration.watch.pause", no_time)
    yield waited


class Place:
    """A project with one source, and where its dump of an hour is to come."""

    def __init__(self, root: Path, hour: datetime = NOON) -> None:
        self.root, self.hour = root, hour
        (root / "dags" / "sources").mkdir(parents=True)
        (root / "expectations").mkdir()
        self.file = root / "dumps" / f"{hour:%Y-%m-%d}" / f"{hour:%H}.json"
        self.file.parent.mkdir(parents=True)
        self.describe("{files: 1, within: 36500d}")

    def describe(self, complete: str) -> None:
        text = SOURCE.format(dumps=self.root / "dumps", complete=complete)
        (self.root / "dags" / "sources" / "web.yml").write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    return Place(tmp_path)


def first_event(source: str = "web", hour: datetime = NOON) -> TriggerEvent:
    async def run() -> TriggerEvent:
        async with aclosing(DumpTrigger(source, hour.isoformat()).run()) as events:  # type: ignore[type-var]
            return await anext(events)

    return asyncio.run(run())


def test_a_dump_that_is_there_ends_the_task_at_once(place: Place) -> None:
    place.file.write_text("{}\n")
    assert isinstance(first_event(), TaskSuccessEvent)


def test_a_dump_that_comes_later_is_waited_for(
    place: Place,
    hurried: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    looks = []

    def look_at(source: str, hours: Sequence[datetime]) -> Seen:
        looks.append(hours)
        if len(looks) == 3:
            place.file.write_text("{}\n")
        return original(source, hours)

    original = waiting.look_at
    monkeypatch.setattr(waiting, "look_at", look_at)
    assert isinstance(first_event(), TaskSuccessEvent)
    assert looks == [[NOON]] * 3
    assert len(hurried) == 3
    said = capsys.readouterr().out
    assert said.count("web 2024-03-01T12: there is no file") == 1  # once, and not at each look


def test_an_hour_that_is_late_fails_its_task_and_says_what_it_waited_for(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.describe("{files: 1, within: 6h}")
    assert isinstance(first_event(), TaskFailedEvent)
    said = capsys.readouterr().out
    assert "late: web 2024-03-01T12 was not complete by 2024-03-01T19:00Z" in said
    assert "there is no file" in said


def test_a_late_hour_whose_files_need_only_some_quiet_is_waited_for(
    place: Place, hurried: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.describe("{after: 10s, within: 1h}")
    place.file.write_text("{}\n")
    original = waiting.look_at

    def look_at(source: str, hours: Sequence[datetime]) -> Seen:
        seen = original(source, hours)
        os.utime(place.file, (0, 0))
        return seen

    monkeypatch.setattr(waiting, "look_at", look_at)
    assert isinstance(first_event(), TaskSuccessEvent)
    assert 5 < hurried[0] < 11


def test_a_file_without_a_byte_holds_a_place_and_is_no_dump(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.describe("{files: 1, within: 6h}")
    place.file.write_bytes(b"")
    assert isinstance(first_event(), TaskFailedEvent)
    assert "12.json of 1 file: not a byte in it yet" in capsys.readouterr().out


def test_dumps_that_cannot_be_looked_at_are_given_up_after_a_while_with_the_reason(
    place: Place,
    hurried: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return begun + timedelta(seconds=sum(hurried))

    monkeypatch.setattr(waiting, "datetime", Clock)
    assert isinstance(first_event("nosuch"), TaskFailedEvent)
    assert 600 <= sum(hurried) <= 1200
    assert "no source named 'nosuch'" in capsys.readouterr().out
    assert place.file.parent.is_dir()


def test_a_run_without_a_logical_date_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> TriggerEvent:
        trigger = DumpTrigger("web", "")
        return await anext(trigger.run())

    assert isinstance(asyncio.run(run()), TaskFailedEvent)
    assert "no logical date" in capsys.readouterr().out
    assert not place.file.exists()


def test_hours_of_a_source_share_one_stream_and_only_those_that_wait_are_looked_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Airflow's own shared streams: a thousand hours, of which all but one have come."""
    hours = [NOON + n * HOUR for n in range(1000)]
    rounds: list[list[datetime]] = []
    last_comes = 3

    def look_at(_: str, asked: Sequence[datetime]) -> Seen:
        rounds.append(list(asked))
        last_looks = sum(hours[-1] in each for each in rounds)
        whole = {h: h != hours[-1] or last_looks >= last_comes for h in asked}
        return {h: Look(Completeness(whole[h], f"{whole[h]}"), FAR) for h in asked}

    def no_time_for_the_last(hour: datetime, look: Look, now: datetime) -> timedelta:
        return timedelta(0) if hour == hours[-1] else pause(hour, look, now)

    monkeypatch.setattr(waiting, "look_at", look_at)
    monkeypatch.setattr("tidegate.orchestration.watch.pause", no_time_for_the_last)

    async def one(manager: SharedStreamManager, number: int) -> TriggerEvent:
        trigger = DumpTrigger("web", hours[number].isoformat())
        key = trigger.shared_stream_key()
        stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            return await anext(trigger.filter_shared_stream(stream))
        finally:
            await manager.unsubscribe(number, key)

    async def run() -> list[TriggerEvent]:
        import structlog

        manager = SharedStreamManager(log=structlog.get_logger())
        return await asyncio.gather(*(one(manager, n) for n in range(len(hours))))

    events = asyncio.run(run())
    assert len(events) == 1000
    assert all(isinstance(each, TaskSuccessEvent) for each in events)
    asked = [hour for each in rounds for hour in each]
    assert {hour: asked.count(hour) for hour in hours[:-1]} == dict.fromkeys(hours[:-1], 1)
    assert asked.count(hours[-1]) >= last_comes
    assert waiting._WATCHES["web"].hours == []
    assert place.hour == NOON


def test_an_hour_that_begins_to_wait_is_looked_at_before_others_are_due_again() -> None:
    later = NOON + HOUR
    rounds: list[list[datetime]] = []

    def look(asked: Sequence[datetime]) -> Seen:
        rounds.append(list(asked))
        return {hour: Look(NOTHING, FAR) for hour in asked}

    async def run() -> None:
        watch = Watch(look)
        watch.add(NOON)
        async with aclosing(watch.seen()) as stream:
            assert set(await anext(stream)) == {NOON}
            upcoming = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)  # it waits for its next hour now, minutes off
            watch.add(later)
            assert set(await upcoming) == {later}
        watch.remove(NOON)
        assert watch.hours == [later]

    asyncio.run(asyncio.wait_for(run(), 60))
    assert rounds == [[NOON], [later]]


def test_hours_that_have_waited_long_are_looked_at_less_often_and_never_too_late() -> None:
    now = NOON + HOUR
    assert pause(NOON, Look(NOTHING, FAR), now) == SHORTEST
    assert pause(NOON, Look(NOTHING, FAR), now + timedelta(hours=1)) == timedelta(minutes=1)
    assert pause(NOON, Look(NOTHING, FAR), now + timedelta(days=9)) == LONGEST
    assert pause(NOON, Look(TidegateError("S3 is away"), FAR), now) == SHORTEST
    quiet = Look(Completeness(False, "", timedelta(seconds=1)), FAR)
    assert timedelta(seconds=1) < pause(NOON, quiet, now) < SHORTEST
    assert floor_hour(now) == now
