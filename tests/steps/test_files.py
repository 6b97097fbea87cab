"""Which files of an hour are landed, what is told of the others, and that a bad one holds only its hour."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import MakeProject
from project import HOUR, NOON, Project, event
from s3server import s3_client, s3_server
from tidegate.config.source import Source
from tidegate.pipeline.context.run_context import Work
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.reconcile import differences
from tidegate.pipeline.verify import verify
from tidegate.query.connect import connect
from tidegate.query.status import held, unread
from tidegate.storage.s3 import S3Access
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS

FOLDER = "{dump_hour:%Y-%m-%d}/{dump_hour:%H}/"
HERE = "2024-03-01/12"


def publish(project: Project, source: Any, *hours: int) -> Any:
    """Land and publish hours, counted from noon."""
    wanted = [NOON + n * HOUR for n in hours]
    landed = land(project.work(), source, wanted)
    return landed, publish_events(project.work(), source, wanted)


def published(project: Project) -> list[str]:
    return sorted(row["event_id"] for row in project.table(events.TABLE))


def is_verified(work: Work, source: Source) -> bool:
    """Return whether the published events of a source are what its dumps give."""
    [compared] = verify(work, [source], alone=True).compared
    return (compared.table, compared.differing) == ("events", 0) and compared.rows > 0


def test_folders_below_the_hours_are_landed_and_verified(project: Project) -> None:
    for n, name in enumerate(("a", "country=DE/a", "country=FR/a")):
        project.put(f"{HERE}/{name}.json", [event(n, NOON)])
    source = project.source(FOLDER)
    [landed], _ = publish(project, source, 0)
    assert landed.lines == 3
    assert "not read" not in landed.describe()
    assert published(project) == ["0", "1", "2"]
    assert is_verified(project.work(), source)


def test_what_is_not_read_is_told_and_stands_in_the_landing(project: Project) -> None:
    project.put(f"{HERE}/a.json", [event(1, NOON)])
    project.put(f"{HERE}/a.keys.json", [event(2, NOON)])
    project.put(f"{HERE}/b.csv", b"x")
    project.put(f"{HERE}/deep/c.json", [event(3, NOON)])
    project.put(f"{HERE}/_SUCCESS", b"")
    source = project.source(f"{FOLDER}*.json", exclude="*.keys.json")
    [landed], _ = publish(project, source, 0)
    assert landed.describe().endswith(
        "2 files and 1 folder were not read: b.csv (does not match *.json), deep/ (a folder: only "
        "'dumps' that end in '/' read the folders below), a.keys.json (excluded)"
    )
    [row] = project.table(LANDINGS)
    assert row["unread_count"] == 3
    assert [(each["name"], each["reason"][:8]) for each in row["unread"]] == [
        (f"{HERE}/a.keys.json", "excluded"),
        (f"{HERE}/b.csv", "does not"),
        (f"{HERE}/deep/", "a folder"),
    ]
    with connect(project.settings) as connection:
        assert unread(connection) == [
            "web: 3 files of 1 hour landed in the last 7 days; of 2024-03-01T12: "
            f"{HERE}/b.csv (does not match *.json)"
        ]
    # What is not read is no reason to land the hour again.
    project.put(f"{HERE}/d.csv", b"y")
    project.put(f"{HERE}/a.keys.json", b"z")
    [again], _ = publish(project, source, 0)
    assert again.outcome == "unchanged"
    assert "3 files and 1 folder were not read" in again.describe()


def test_an_hour_of_files_that_do_not_match_is_missing_and_says_what_is_there(
    project: Project,
) -> None:
    project.put(f"{HERE}/a.ndjson", [event(1, NOON)])
    [landed] = land(project.work(), project.source(f"{FOLDER}*.json"), [NOON])
    assert landed.outcome == "missing"
    assert "1 file was not read: a.ndjson (does not match *.json)" in landed.describe()


def test_repeated_files_are_landed_once_where_the_source_says_so(
    make_project: MakeProject, engine: str
) -> None:
    project = make_project(engine=engine)
    no_ids = {"event_time": "at", "user_id": "user"}
    for name in ("a", "b", "c"):
        project.put(f"{HERE}/{name}.json", [event(int(name == "c"), NOON)])
    every = project.source(FOLDER, fields=no_ids)
    [landed], _ = publish(project, every, 0)
    assert landed.events == 3
    assert "1 file has the same bytes as another one, landed too" in landed.describe()
    [row] = project.table(LANDINGS)
    assert row["repeated"] == [{"name": f"{HERE}/b.json", "same_as": f"{HERE}/a.json"}]

    once = project.source(FOLDER, fields=no_ids, repeated_files="once", source="once")
    [landed], _ = publish(project, once, 0)
    assert landed.events == 2
    assert "1 file has the same bytes as another one, landed once: b.json (as a.json)" in (
        landed.describe()
    )
    row = next(row for row in project.table(LANDINGS) if row["source"] == "once")
    assert [each["name"][-6:] for each in row["files"]] == ["a.json", "c.json"]
    assert (row["repeated_count"], row["unread_count"]) == (1, 0)
    project.put(f"{HERE}/d.json", [event(0, NOON)])
    [again], _ = publish(project, once, 0)
    assert again.outcome == "unchanged"
    assert is_verified(project.work(), once)


def test_which_files_are_read_takes_effect_by_a_rebuild(project: Project) -> None:
    project.put(f"{HERE}/a.json", [event(1, NOON)])
    project.put(f"{HERE}/a.keys.json", [event(2, NOON)])
    publish(project, project.source(FOLDER), 0)
    [landed], _ = publish(project, project.source(FOLDER, exclude="*.keys.json"), 0)
    assert landed.outcome == "unchanged"
    assert published(project) == ["1", "2"]


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _vanishing(path: Path) -> None:
    path.write_bytes(b"{}\n")


def _not_utf8(path: Path) -> None:
    path.with_name(os.fsdecode(b"caf\xe9.json")).write_bytes(b"{}\n")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling link": (_dangling, "x.json: a link to a file that is not there"),
    "loop of links": (_loop, "x.json: a link that leads back to itself"),
    "pipe": (os.mkfifo, "x.json: expected a file, got a pipe"),
    "name": (_not_utf8, r"caf\xe9.json: its name is not UTF-8"),
}


@pytest.mark.parametrize("inner", [FOLDER, f"{FOLDER}*.json"], ids=["folder", "pattern"])
def test_files_that_can_not_be_read_hold_their_hour_and_no_other(
    project: Project, inner: str
) -> None:
    for n in range(len(BAD) + 1):
        project.put(f"2024-03-01/{12 + n}/a.json", [event(n, NOON + n * HOUR)])
    for n, (make, _) in enumerate(BAD.values(), 1):
        make(project.dumps / "2024-03-01" / str(12 + n) / "x.json")
    source = project.source(inner)
    landed, done = publish(project, source, *range(len(BAD) + 1))
    assert [each.outcome for each in landed] == ["landed", *["unreadable"] * len(BAD)]
    assert published(project) == ["0"]
    assert done.publication is not None
    for each, (_, why) in zip(landed[1:], BAD.values(), strict=True):
        assert why in str(each.error)
    rows = [row for row in project.table(LANDINGS) if row["status"] == "unreadable"]
    assert len(rows) == len(BAD)
    with connect(project.settings) as connection:
        assert len(held(connection)) == len(BAD)
    # Their files have not changed, so there is nothing to land again.
    assert differences(project.settings, source, NOON + 12 * HOUR) == []


def test_a_folder_that_is_named_like_a_file_is_told(project: Project) -> None:
    project.put("2024-03-01/12/x.json/part-0", [event(1, NOON)])
    project.put("2024-03-01/13/a.json", [event(2, NOON + HOUR)])
    landed, _ = publish(project, project.source(f"{FOLDER}*.json"), 0, 1)
    assert [each.outcome for each in landed] == ["missing", "landed"]
    assert "not read: x.json/ (a folder" in landed[0].describe()
    assert published(project) == ["2"]


def test_files_and_folders_that_may_not_be_read_hold_their_hour_and_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        project.put(f"2024-03-01/{12 + n}/a.json", [event(n, NOON + n * HOUR)])
    opened, scanned = os.open, os.scandir

    def open_(path: Any, flags: int, *rest: Any, **keys: Any) -> int:
        if str(path).endswith("12/a.json"):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest, **keys)

    def scandir(path: Any = ".") -> Any:
        if str(path).rstrip("/").endswith("2024-03-01/13"):
            raise PermissionError(13, "Permission denied")
        return scanned(path)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "scandir", scandir)
    landed, _ = publish(project, project.source(FOLDER), 0, 1, 2)
    assert [each.outcome for each in landed] == ["unreadable", "unreadable", "landed"]
    assert all("Permission denied" in str(each.error) for each in landed[:2])
    assert published(project) == ["2"]


def test_a_file_that_vanishes_before_it_is_opened_holds_its_hour_and_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate.dumps.dumps import Dumps

    for n in range(2):
        project.put(f"2024-03-01/{12 + n}/a.json", [event(n, NOON + n * HOUR)])
    look = Dumps.faults

    def faults(self: Dumps, files: Any) -> dict[str, str]:
        found = look(self, files)
        (project.dumps / HERE / "a.json").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Dumps, "faults", faults)
    landed, _ = publish(project, project.source(FOLDER), 0, 1)
    assert [each.outcome for each in landed] == ["unreadable", "landed"]
    assert "No such file" in str(landed[0].error)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


def test_dumps_on_s3_are_read_by_the_same_rules(project: Project, server: S3Access) -> None:
    client = s3_client(server)
    line = b'{"id": "%d", "at": "2024-03-01T12:00:00Z", "type": "v", "user": "u"}\n'
    bodies = {
        "12/a.json": line % 1,
        "12/b.json": line % 1,
        "12/country=DE/c.json": line % 2,
        "12/c.keys.json": b"key",
        "12/_temporary/d.json": line % 3,
        "13/a.json": line % 4,
        "13/b.json": line % 5,
    }
    for name, body in bodies.items():
        client.put_object(Bucket="events", Key=f"x/2024-03-01/{name}", Body=body)
    settings = replace(project.settings, s3=server)
    source = project.source(
        dumps=f"s3://events/x/{FOLDER}", exclude="*.keys.json", repeated_files="once"
    )

    def work() -> Work:
        return Work(settings, project.lake(), "test")

    hours = [NOON, NOON + HOUR]
    [noon, _] = land(work(), source, hours)
    publish_events(work(), source, hours)
    assert published(project) == ["1", "2", "4", "5"]
    assert noon.describe().endswith(
        "2 files were not read: _temporary/d.json (names that begin with '_' or '.' are no data), "
        "c.keys.json (excluded); 1 file has the same bytes as another one, landed once: b.json (as a.json)"
    )
    row = next(row for row in project.table(LANDINGS) if row["dump_hour"][11:13] == "12")
    assert (row["unread_count"], row["repeated_count"], len(row["files"])) == (2, 1, 2)
    client.delete_object(Bucket="events", Key="x/2024-03-01/12/b.json")
    assert [each.outcome for each in land(work(), source, hours)] == ["unchanged"] * 2
    assert is_verified(work(), source)


def test_what_is_excluded_needs_nobody(project: Project) -> None:
    project.put(f"{HERE}/a.json", [event(1, NOON)])
    project.put(f"{HERE}/a.keys.json", b"")
    publish(project, project.source(FOLDER, exclude="*.keys.json"), 0)
    with connect(project.settings) as connection:
        assert unread(connection) == []
