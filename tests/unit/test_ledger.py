"""The ledger: what commits say, its rows follow, also after a kill between the two."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from conftest import MakeProject
from project import HOUR, LINES, NOON, Project, event
from tidegate.lake import Slices
from tidegate.lake.ledger import (
    Publication,
    SliceRecord,
    publication_of,
    published_landings,
    sources_in,
)
from tidegate.pipeline.context.run_context import Work
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.tables import events, sessions
from tidegate.tables.system_tables import PUBLICATIONS

COLUMNS = events.TABLE.types_of(("source", "dump_date", "dump_hour", "event_id"))


def publication(sequence: int, source: str = "web", rows: int = 1, *hours: int) -> Publication:
    return Publication(
        publication_id=f"{source}-{sequence}-{rows}",
        table_name="events",
        source=source,
        sequence=sequence,
        slices=tuple(SliceRecord(NOON + n * HOUR, rows, f"l{n}", 2) for n in hours or (0,)),
        rows=rows,
        event_hours=(NOON, NOON + HOUR),
        inputs=("l0",),
        input_versions={"x": 3},
        audit_ids=("a",),
        configuration="f",
        code_version=1,
        suite="s",
        run_id="r",
        published_at=NOON + timedelta(microseconds=123456),
    )


def commit(project: Project, made: Publication) -> bool:
    """Publish rows that hold nothing but what tells them apart."""
    return publish(project.work(), made)


def publish(work: Work, made: Publication) -> bool:
    where, query = content(made)
    return work.ledger.publish(events.TABLE, made, query, COLUMNS, where)


def content(made: Publication) -> tuple[Slices, str]:
    """Return the slices of a publication, and the query of its rows."""
    hours = [each.slice for each in made.slices]
    rows = ", ".join(
        f"('{made.source}', DATE '{hour.date()}', TIMESTAMPTZ '{hour}', '{made.publication_id}')"
        for hour in hours
    )
    query = f"SELECT * FROM (VALUES {rows}) t({', '.join(COLUMNS)})"
    return Slices.of(events.TABLE, made.source, hours), query


def commit_without_row(project: Project, made: Publication) -> None:
    """Do as a writer that is killed after its commit."""
    where, query = content(made)
    project.work().lake.publish(
        events.TABLE,
        f"{query} WHERE false",
        COLUMNS,
        where,
        record={"tidegate": made.row},
        app=f"publish/events/{made.source}",
        number=made.sequence,
    )


def known(project: Project) -> list[str]:
    return [each.publication_id for each in project.work().ledger.publications(events.TABLE)]


def test_a_publication_is_the_same_by_its_row_and_by_its_commits_record(project: Project) -> None:
    made = publication(1, "web", 7, 0, 1)
    assert commit(project, made)
    [found] = project.work().ledger.publications(events.TABLE)
    assert found.delta_version == project.versions()["events"]
    _, record = project.work().lake.history(events.TABLE, 1)[0]
    assert record is not None
    by_record = publication_of(json.loads(record)["tidegate"])
    assert by_record == made
    assert found.row["slices"] == made.row["slices"]
    assert found.row["event_dates"] == [NOON.date()]
    assert (found.event_hours, found.input_versions) == (made.event_hours, made.input_versions)


def test_a_kill_between_commit_and_row_is_repaired_by_the_next_reader_once(
    project: Project,
) -> None:
    commit(project, publication(1))
    commit_without_row(project, publication(2))
    assert len(project.table(PUBLICATIONS)) == 1
    assert known(project) == ["web-1-1", "web-2-1"]
    assert known(project) == ["web-1-1", "web-2-1"]
    rows = project.table(PUBLICATIONS)
    assert sorted(row["publication_id"] for row in rows) == ["web-1-1", "web-2-1"]
    assert {row["publication_id"]: row["delta_version"] for row in rows}["web-2-1"] == (
        project.versions()["events"]
    )


def test_many_commits_without_rows_are_all_repaired_by_readers_that_come_at_once(
    project: Project,
) -> None:
    for sequence in range(1, 7):
        commit_without_row(project, publication(sequence))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: known(project), range(3)))
    assert found == [[f"web-{n}-1" for n in range(1, 7)]] * 3
    assert len(project.table(PUBLICATIONS)) == 6


def test_a_number_that_is_taken_loses_and_leaves_the_table_as_it_was(project: Project) -> None:
    assert commit(project, publication(1, "web", 1))
    before = project.table(events.TABLE)
    assert not commit(project, publication(1, "web", 2))
    assert project.table(events.TABLE) == before
    assert known(project) == ["web-1-1"]
    assert commit(project, publication(1, "app", 2))
    assert known(project) == ["web-1-1", "app-1-2"]


def test_a_lost_row_that_others_published_after_is_found_again(project: Project) -> None:
    commit_without_row(project, publication(1))
    assert commit(project, publication(1, "app"))
    assert commit(project, publication(2))
    assert known(project) == ["web-1-1", "app-1-1", "web-2-1"]
    assert len(project.table(PUBLICATIONS)) == 3


def test_publications_are_found_by_source_version_and_slice(
    make_project: MakeProject,
) -> None:
    project = make_project()
    for made in (
        publication(1, "web", 1, 0),
        publication(1, "app", 1, 0),
        publication(2, "web", 1, 5, 9),
    ):
        assert commit(project, made)
    ledger = project.work().ledger
    table = events.TABLE
    first = ledger.publications(table)[0].delta_version
    assert [p.sequence for p in ledger.publications(table, "web")] == [1, 2]
    assert [p.source for p in ledger.publications(table, after_version=first)] == ["app", "web"]
    assert ledger.publications(table, after_version=first + 2) == []
    span = (NOON + 6 * HOUR, NOON + 7 * HOUR)  # between the slices of one: it may be given
    assert [p.sequence for p in ledger.publications(table, slices=span)] == [2]
    assert ledger.publications(table, slices=(NOON + 10 * HOUR, NOON + 11 * HOUR)) == []
    last = ledger.last(table, "web")
    assert last is not None
    assert last.sequence == 2
    assert ledger.last(table, "none") is None
    assert ledger.last(sessions.TABLE, "web") is None
    assert sources_in(ledger.publications(table)) == ["app", "web"]


def test_a_quiet_sources_rows_are_read_at_the_newest_version_that_has_them(
    project: Project,
) -> None:
    for made in (publication(1, "app"), publication(1), publication(2), publication(2, "app")):
        assert commit(project, made)
    ledger = project.work().ledger
    found = {
        (each.source, each.sequence): each.delta_version
        for each in ledger.publications(events.TABLE)
    }
    first, second = found["app", 1], found["app", 2]
    assert ledger.same_rows(events.TABLE, "app", first) == second - 1 > first
    assert ledger.same_rows(events.TABLE, "app", second) == project.versions()["events"]
    assert ledger.same_rows(events.TABLE, "web", found["web", 1]) == found["web", 2] - 1
    assert ledger.same_rows(events.TABLE, "none", 1) == project.versions()["events"]


def test_the_newest_publication_of_a_slice_is_what_stands() -> None:
    state = published_landings([publication(2, "web", 9, 1, 2), publication(1, "web", 5, 0, 1)])
    assert {hour: record.rows for hour, (record, _) in state.items()} == {
        NOON: 5,
        NOON + HOUR: 9,
        NOON + 2 * HOUR: 9,
    }


_KILLED = """
import os, signal, sys
from tidegate.cli.app import main
from tidegate.lake.ledger import Ledger

def killed(ledger, table, book, records):
    if any(record is not None and version > book.version for version, record in records):
        os.kill(os.getpid(), signal.SIGKILL)
    return False

Ledger._append = killed
main()
"""


def by_a_kill(project: Project, *arguments: str) -> None:
    """Run a command that is killed between the commit of a publication and its row in the ledger."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments],
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_publication_whose_process_was_killed_is_finished_by_running_the_step_again(
    project: Project,
) -> None:
    source = project.source(columns={})
    described = {
        **LINES,
        "columns": {},
        "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
    }
    (project.settings.sources / "web.yml").write_text(json.dumps(described))
    project.put_hour(NOON, [event(1, NOON), event(2, NOON)])
    land(project.work(), source, [NOON])
    by_a_kill(project, "publish", "web", "--from", "2024-03-01T12", "--to", "2024-03-01T12")
    assert len(project.table(events.TABLE)) == 2
    assert project.table(PUBLICATIONS) == []
    version = project.versions()["events"]
    assert publish_events(project.work(), source, [NOON]).publication is None
    assert project.versions()["events"] == version
    [row] = project.table(PUBLICATIONS)
    assert (row["rows"], row["delta_version"]) == (2, version)
    by_a_kill(project, "derive")
    found = derive(project.work(), [source])
    # Sessions and hours are built side by side: either may have been the one that was committed.
    *others, last = [each.table_name for each in found.publications]
    assert last == "daily_activity"
    assert others in ([], ["sessions"], ["hourly_activity"])
    assert [row["event_count"] for row in project.table(sessions.TABLE)] == [2]
    names = [row["table_name"] for row in project.table(PUBLICATIONS)]
    assert sorted(names) == ["daily_activity", "events", "hourly_activity", "sessions"]


def test_what_is_published_is_known_while_its_row_is_still_being_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(project, publication(1))
    work = project.work()
    written, go_on = Event(), Event()
    append = work.lake.append_next

    def slow(*args: Any) -> None:
        assert go_on.wait(60)
        append(*args)
        written.set()

    monkeypatch.setattr(work.lake, "append_next", slow)
    with work.ledger.rows_beside():
        for sequence in (2, 3):
            assert publish(work, publication(sequence, "web", sequence, sequence))
        other = work.ledger.apart()
        for ledger in (work.ledger, other):
            assert [each.sequence for each in ledger.publications(events.TABLE)] == [1, 2, 3]
            near = ledger.publications(events.TABLE, slices=(NOON + 3 * HOUR, NOON + 4 * HOUR))
            assert [each.sequence for each in near] == [3]
            last = ledger.last(events.TABLE, "web")
            assert last is not None and last.sequence == 3
            assert ledger.numbered(events.TABLE, "web", 2).rows == 2
            versions = [each.delta_version for each in ledger.publications(events.TABLE)]
            upto = ledger.publications(events.TABLE, upto_version=versions[1])
            assert [each.sequence for each in upto] == [1, 2]
            assert ledger.publications(events.TABLE, "app") == []
        assert not written.is_set()
        go_on.set()
    assert known(project) == ["web-1-1", "web-2-2", "web-3-3"]
    assert len(project.table(PUBLICATIONS)) == 3


def test_a_row_that_others_write_first_is_not_written_twice(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = project.work()
    append, go_on = work.lake.append_next, Event()

    def slow(*args: Any) -> None:
        assert go_on.wait(60)
        append(*args)

    monkeypatch.setattr(work.lake, "append_next", slow)
    with work.ledger.rows_beside():
        assert publish(work, publication(1))
        assert known(project) == ["web-1-1"], "another ledger repairs what it finds without a row"
        go_on.set()
    assert known(project) == ["web-1-1"]
    assert len(project.table(PUBLICATIONS)) == 1


def test_a_row_that_cannot_be_written_is_an_error_at_the_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = project.work()

    def failing(*_: Any) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(work.lake, "append_next", failing)
    with pytest.raises(OSError, match="no answer"), work.ledger.rows_beside():
        assert publish(work, publication(1))
    assert known(project) == ["web-1-1"]


@pytest.mark.parametrize("between", [False, True], ids=["alone", "others publish too"])
def test_threads_know_of_each_others_publications(project: Project, between: bool) -> None:
    commit(project, publication(1))
    work = project.work()
    assert len(work.ledger.publications(events.TABLE)) == 1
    with work.ledger.rows_beside():
        mine, other = work.apart(), work.apart()
        if between:
            commit(project, publication(1, "app"))
        assert publish(mine, publication(2))
        assert publish(mine, publication(3))
        found = other.ledger.publications(events.TABLE, "web")
        assert [each.sequence for each in found] == [1, 2, 3]
        assert other.ledger.latest(events.TABLE) == found[-1].delta_version
        assert len(other.ledger.publications(events.TABLE)) == 3 + between
    assert len(known(project)) == len(project.table(PUBLICATIONS)) == 3 + between
