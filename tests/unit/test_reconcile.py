"""Reconcile: hours whose dumps are not what was landed of them, and no others."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handmade_books import Books
from tidegate.common.hours import HOUR
from tidegate.config.settings import Settings
from tidegate.config.source import Source, parse_source
from tidegate.dumps.dumps import Dumps
from tidegate.orchestration import tasks
from tidegate.orchestration.runs import Run
from tidegate.pipeline.reconcile import compare, differences
from tidegate.storage.files import StoredFile
from tidegate.storage.s3 import S3Access

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
NOW = NOON + 10 * HOUR + timedelta(minutes=40)


def file(name: str, size: int = 5, etag: str = "e") -> StoredFile:
    return StoredFile(f"s3a://b/{name}", name, size, etag, NOON)


def row(name: str, size: int = 5, etag: str = "e") -> dict[str, Any]:
    return {"name": name, "size": size, "etag": etag}


def test_hours_whose_files_are_those_that_were_landed_do_not_differ() -> None:
    there = {NOON: [file("a"), file("b")], NOON + HOUR: []}
    assert compare("web", there, {NOON: [row("b"), row("a")]}) == []


@pytest.mark.parametrize(
    ("files", "kind", "why"),
    [
        ([file("a"), file("b"), file("c")], "changed", "c came"),
        ([file("a")], "changed", "b went"),
        ([file("a", size=6), file("b")], "changed", "a changed"),
        ([file("a", etag="f"), file("b")], "changed", "a changed"),
        ([file("A"), file("b")], "changed", "A came; a went"),
        ([], "gone", "a, b can't be found any more"),
    ],
)
def test_an_hour_differs_by_names_sizes_and_etags(
    files: list[StoredFile], kind: str, why: str
) -> None:
    [found] = compare("web", {NOON: files}, {NOON: [row("a"), row("b")]})
    assert (found.kind, found.why) == (kind, why)
    assert found.is_to_land is (kind != "gone")


def test_an_hour_that_was_never_landed_and_has_files_now_has_come() -> None:
    many = [file(f"{n}") for n in range(5)]
    [found] = compare("web", {NOON: many, NOON + HOUR: []}, {})
    assert (found.kind, found.why) == ("came", "0, 1, 2 and 2 more")


class Project:
    """A source with local dumps, and books that say what was landed of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.books = Books(root)
        (root / "dumps").mkdir()
        (root / "expectations").mkdir()
        (root / "dags" / "sources").mkdir(parents=True)
        text = (
            "source: web\nsince: 2024-01-01T00\nfields: {event_time: at}\n"
            f"dumps: {root}/dumps/{{dump_hour:%Y-%m-%d-%H}}*.json\n"
        )
        (root / "dags" / "sources" / "web.yml").write_text(text)

    @property
    def source(self) -> Source:
        from tidegate.config.source import load_source

        return load_source(self.root / "dags" / "sources" / "web.yml")

    def put(self, hour: datetime, text: str = "{}\n") -> None:
        (self.root / "dumps" / f"{hour:%Y-%m-%d-%H}.json").write_text(text)

    def land(self, hour: datetime, text: str = "{}\n") -> None:
        self.put(hour, text)
        etag = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        name = f"{hour:%Y-%m-%d-%H}.json"
        files = [{"name": name, "uri": "", "size": len(text), "etag": etag, "lines": 1}]
        self.books.publish("web", hour, self.books.land("web", hour, files=files))

    def write(self) -> Settings:
        return self.books.write()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_LAKE", str(tmp_path / "lake"))
    return Project(tmp_path)


def test_the_bucket_is_compared_with_the_latest_landing_of_each_hour(project: Project) -> None:
    for n in range(4):
        project.land(NOON + n * HOUR)
    project.land(NOON, "{}\n{}\n")  # again
    project.put(NOON + HOUR, "{}\n{}\n")  # changed after it was landed
    (project.root / "dumps" / "2024-03-01-14.json").unlink()
    project.put(NOON + 5 * HOUR)  # came at last
    project.put(NOON + 10 * HOUR)  # still going on
    project.put(NOON - HOUR)  # before anything was landed: a backfill's
    found = differences(project.write(), project.source, NOW)
    assert [(each.hour, each.kind) for each in found] == [
        (NOON + HOUR, "changed"),
        (NOON + 2 * HOUR, "gone"),
        (NOON + 5 * HOUR, "came"),
    ]


def test_only_so_many_days_are_compared(project: Project) -> None:
    for n in (0, 48):
        project.land(NOON + n * HOUR)
        project.put(NOON + n * HOUR, "changed\n")
    settings = project.write()
    now = NOON + 50 * HOUR
    assert [d.hour for d in differences(settings, project.source, now, days=1)] == [
        NOON + 48 * HOUR
    ]
    assert len(differences(settings, project.source, now, days=3)) == 2


def test_where_nothing_was_landed_yet_nothing_differs(project: Project) -> None:
    project.put(NOON)
    nowhere = Settings(project.root, project.root / "home", str(project.root / "lake"))
    assert differences(nowhere, project.source, NOW) == []
    assert differences(project.write(), project.source, NOW) == []


def test_each_hour_that_differs_starts_its_run_anew_unless_that_is_under_way(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        project.land(NOON + n * HOUR)
        project.put(NOON + n * HOUR, "changed\n")
    project.write()
    runs = {NOON: Run("scheduled__x", "success"), NOON + HOUR: Run("backfill__y", "running")}
    monkeypatch.setattr("tidegate.orchestration.runs.run_of", lambda _, hour: runs.get(hour))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return NOW

    monkeypatch.setattr(tasks, "datetime", Clock)
    assert tasks.compare(7) == [
        {
            "trigger_dag_id": "land_web",
            "trigger_run_id": "scheduled__x",
            "logical_date": "2024-03-01T12:00:00+00:00",
        },
        {
            "trigger_dag_id": "land_web",
            "trigger_run_id": "operator_triggered__2024-03-01T14:00:00+00:00",
            "logical_date": "2024-03-01T14:00:00+00:00",
        },
    ]
    assert "2024-03-01T13: left to backfill__y, which is running" in capsys.readouterr().out


def test_a_bucket_of_a_hundred_thousand_keys_is_listed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All files lie in one folder, and the hour stands at the end of their names."""
    data = {
        "source": "web",
        "since": "2024-01-01T00",
        "dumps": "s3://events/*-{dump_hour:%Y-%m-%d-%H}.json",
        "fields": {"event_time": "at"},
    }
    dumps = Dumps(parse_source(data, Path("web.yml")), S3Access())
    keys = [file(f"{n % 100}-{NOON + n // 100 * HOUR:%Y-%m-%d-%H}.json") for n in range(100_000)]
    asked: list[str] = []

    def listing(prefix: str, **_: object) -> list[StoredFile]:
        asked.append(prefix)
        return keys

    monkeypatch.setattr(dumps, "_store", SimpleNamespace(listing=listing, with_etags=lambda f: f))
    found = dumps.files_by_hour(NOON + n * HOUR for n in range(24))
    assert asked == [""]
    assert [len(files) for files in found.values()] == [100] * 24
