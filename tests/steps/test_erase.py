"""Erasure: nothing of a person is left in the lake, everything of others is, and no landing brings them back."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from compare import Row
from conftest import CopyProject, MakeProject
from project import HOUR, NOON, Project, event
from tidegate import connect
from tidegate.cli.app import app
from tidegate.common.errors import EXIT_HELD, TidegateError, TryAgainError
from tidegate.config.source import Source
from tidegate.pipeline import erase as erasing
from tidegate.pipeline.context.erasures import erased_from
from tidegate.pipeline.context.run_context import Work
from tidegate.pipeline.erase import Erasure
from tidegate.pipeline.erase import run as erase_run
from tidegate.pipeline.ingest import land as landing
from tidegate.pipeline.ingest.current import ensure_current
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.approve import approve, parse_slice
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.release.rollback import roll_back
from tidegate.pipeline.verify import verify
from tidegate.privacy.erased import Erased
from tidegate.privacy.key import make_key
from tidegate.report.files import write
from tidegate.tables import WAREHOUSE, events, session_aliases, sessions
from tidegate.tables.system_tables import (
    AUDITS,
    CORRECTIONS,
    ERASURES,
    LANDINGS,
    NUMBERS,
    QUARANTINE,
    RELEASES,
)
from writes import intercept

MARK = "zq7"
"""What every id of the person has, and nothing else does."""
ANN, DEVICE = f"{MARK}-ann", f"{MARK}.device"
HOURS = [NOON + n * HOUR for n in range(4)]
MINUTE = timedelta(minutes=1)
SUITE = """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    args: {column: n, max_value: 9}
    sources: web
    severity: critical
    why: A test makes it fail.
  - type: expect_column_value_lengths_to_be_between
    args: {column: user_id, max_value: 3}
    severity: warning
    why: It has examples of what is not so.
"""


def line(number: str, hour: int, minute: int, user: str | None, **more: Any) -> Row:
    at = NOON + hour * HOUR + minute * MINUTE
    client = {"client": user or "c", "no": int(number, 36)}
    return event(number, at, user, **{"n": 1, **client, **more})


def lines(hour: int) -> list[Row | str]:
    """Return the lines of an hour: of Bob, of Ann and of her device before she signed in, good and bad ones."""
    return [
        line(f"{hour}a1", hour, 1, ANN, friend="bob"),
        line(f"{hour}b1", hour, 2, "bob"),
        line(f"{hour}a2", hour, 5, ANN, anon=DEVICE),
        line(f"{hour}d1", hour, 6, None, anon=DEVICE),
        line(f"{hour}b2", hour, 50, "bob"),
        line(f"{hour}a3", hour, 7, ANN, n="many"),
        line(f"{hour}b3", hour, 8, "bob", n="few"),
        f'{{"id": "{hour}a4", "user": "{ANN}", "at',
        "[]",
    ]


def web(project: Project, **keys: Any) -> Source:
    return project.source(sequence={"producer": "client", "number": "no"}, **keys)


def other(project: Project) -> Source:
    return project.source(
        "other-{dump_hour:%Y-%m-%d-%H}.csv",
        source="other",
        format={"type": "csv"},
        fields={"event_id": "id", "event_time": "at", "user_id": "user"},
        columns={},
    )


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish some hours: one landed twice, one that renames sessions, one that is held, and another source's."""
    project = make_project()
    project.suite("events", SUITE)
    source = web(project)
    for n in (0, 1):
        project.put_hour(HOURS[n], lines(n))
        project.run(source, [HOURS[n]])
    # Late events that come first give sessions other ids, and the old ones become aliases.
    late = [line("2z1", 0, 0, ANN), line("2z2", 0, 0, "bob")]
    project.put_hour(HOURS[2], [*lines(2), *late])
    project.put_hour(HOURS[1], [*lines(1), line("1c1", 1, 9, "cy")])
    project.run(source, HOURS[1:3])
    project.put_hour(HOURS[3], [*lines(3), line("3c1", 3, 9, "cy", n=10)])
    assert project.run(source, HOURS[3:]).held
    other_hour(project, NOON, "bob")
    assert not project.run(other(project), [NOON]).held
    write(project.settings, project.settings.lake + "/reports")
    assert {row["user_key"] for row in project.table(session_aliases.TABLE)} >= {ANN, "bob"}
    assert any(ANN in row["observed"] for row in project.table(AUDITS))
    assert {row["producer"] for row in project.table(NUMBERS)} >= {ANN}
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


@pytest.fixture(scope="module")
def erased(published: Project, copy_project: CopyProject) -> tuple[Project, Erasure]:
    """Erase the person by both ids."""
    project = copy_project(published)
    return project, erase(project)


def erase(project: Project, *ids: str, **more: Any) -> Erasure:
    sources = [web(project), other(project)]
    return erasing.erase(project.work(), sources, ids or (ANN, DEVICE), by="bo", **more)


def receipts(project: Project) -> list[Row]:
    return [row for row in project.table(ERASURES) if row["status"] == "done"]


def other_hour(project: Project, hour: datetime, *users: str) -> datetime:
    """Put a dump of the other source, with an event of each of some users."""
    at = f"{hour:%Y-%m-%dT%H}:00:00Z"
    rows = [f"{hour:%H}{n},{at},{user}" for n, user in enumerate(users)]
    project.put(f"other-{hour:%Y-%m-%d-%H}.csv", ["id,at,user", *rows])
    return hour


def named_in(root: Path, word: str = MARK) -> list[str]:
    """Return the files below a folder that have a word: in their bytes, or in a value of Parquet."""
    found = []
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        body = path.read_bytes()
        if path.suffix == ".parquet":
            body += json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str).encode()
        if word.encode() in body:
            found.append(str(path.relative_to(root)))
    return found


def without(rows: list[Row], *columns: str) -> list[Row]:
    bare = [{k: v for k, v in row.items() if k not in columns} for row in rows]
    return sorted(bare, key=repr)


def test_no_file_of_the_lake_has_anything_of_the_person(
    published: Project, erased: tuple[Project, Erasure]
) -> None:
    project, done = erased
    assert named_in(published.root / "lake")
    assert done.left == ()
    assert done.exit_status == 0
    assert named_in(project.root / "lake") == []
    [found] = done.found
    assert (found.events, found.quarantined, found.candidates) == (10, 8, 1)
    assert done.mentions == 0
    assert found.hours == tuple(HOURS)
    assert len(found.dumps) == 4
    assert done.removed["files"] > 0
    assert done.removed["scanned"] > done.removed["files"]


def test_tables_are_those_of_dumps_in_which_the_lines_never_could_be_read(
    erased: tuple[Project, Erasure], make_project: MakeProject
) -> None:
    project, _ = erased
    plain = make_project()
    plain.suite("events", SUITE)
    for file in project.dumps.glob("*.json.gz"):
        bare = [
            b"{" if MARK.encode() in each else each
            for each in gzip.decompress(file.read_bytes()).splitlines()
        ]
        plain.put(file.name, bare)
    plain.run(web(plain), HOURS)
    for table in WAREHOUSE[:-1]:
        mine = [row for row in project.table(table) if row["source"] == "web"]
        assert without(mine) == without(plain.table(table)), table.name
    assert verify(project.work(), [web(project), other(project)]).holds


def test_lines_stay_accounted_for_and_say_nothing(erased: tuple[Project, Erasure]) -> None:
    project, _ = erased
    last = {row["dump_hour"]: row for row in sorted(project.table(LANDINGS), key=repr)}
    for row in project.table(LANDINGS):
        if row["erasures"] is None:
            continue
        assert row["lines"] == row["events"] + row["duplicates"] + row["quarantined"]
        assert row["quarantined_by_reason"]["erased"] >= 4
        assert row["erasures"] == 1
    assert len(last) == 4
    bad = [row for row in project.table(QUARANTINE) if row["reason"] == "erased"]
    assert {(row["raw"], row["detail"], row["raw_bytes"]) for row in bad} == {(None, None, None)}
    # Whose a line is that could not be read nobody knows.
    assert {row["raw"] is None for row in project.table(QUARANTINE) if row["reason"] == "not_json"}
    kept = [row["raw"] for row in project.table(QUARANTINE) if row["reason"] == "bad_value"]
    assert len(kept) == 4
    assert all('"few"' in raw for raw in kept)


def test_numbers_that_changed_are_corrections_with_their_cause(
    erased: tuple[Project, Erasure],
) -> None:
    project, done = erased
    newest = max(row["sequence"] for row in project.table(RELEASES))
    rows = [row for row in project.table(CORRECTIONS) if row["sequence"] == newest]
    assert {row["cause"] for row in rows} == {"erased"}
    assert {row["metric"] for row in rows} >= {"events", "users", "sessions"}
    assert done.release == rows[0]["release_id"]
    assert done.gives_up


def test_earlier_releases_are_given_up_and_say_so(
    published: Project, erased: tuple[Project, Erasure]
) -> None:
    project, done = erased
    first = min(published.table(RELEASES), key=lambda row: row["sequence"])
    with pytest.raises(TidegateError, match="can't be read any more"):
        connect(project.settings.lake, first["release_id"])
    with connect(project.settings.lake, done.release) as db:
        assert db.sql("SELECT count(*) FROM events WHERE user_key = 'bob'").fetchall() == [(8,)]


def test_the_receipt_has_what_there_was_but_not_who(erased: tuple[Project, Erasure]) -> None:
    project, done = erased
    asked, receipt = sorted(project.table(ERASURES), key=lambda row: row["status"])
    assert (asked["status"], receipt["status"]) == ("asked", "done")
    assert asked["erasure_id"] == receipt["erasure_id"] == done.erasure_id
    assert receipt["found"]["events"] == asked["found"]["events"] == 10
    assert receipt["removed"]["scanned"] == done.removed["scanned"]
    assert all(uri.endswith(".json.gz") for uri in receipt["dumps"])
    assert len(receipt["persons"]) == 4  # hashed they would be somebody else's
    assert MARK not in json.dumps([asked, receipt])
    assert asked["source"] is None


def test_landing_the_same_dumps_again_brings_nothing_back(
    erased: tuple[Project, Erasure], copy_project: CopyProject
) -> None:
    project = copy_project(erased[0])
    source = web(project)
    before = without(project.table(sessions.TABLE))
    work = project.work()
    land(work, source, HOURS[:3], anew=True)
    publish_events(work, source, HOURS[:3])
    project.put_hour(HOURS[0], [*lines(0), line("0a9", 0, 30, ANN)])  # the dump is uploaded again
    project.put_hour(HOURS[3], lines(3))
    later = HOURS[3] + HOUR
    project.put_hour(later, [line("4a1", 4, 0, ANN)])
    assert not project.run(source, [HOURS[0], HOURS[3], later]).held
    assert {row["user_key"] for row in project.table(events.TABLE)} == {"bob", "cy"}
    assert len(project.table(sessions.TABLE)) > len(before)
    # Nor does another configuration, by which the ids are other ones.
    rebuild(project.work(), events.TABLE, web(project, pii={"user": "hash", "anon": "hash"}))
    assert len({row["user_key"] for row in project.table(events.TABLE)}) == 3  # of both sources
    assert named_in(project.root / "lake") == []


def test_an_erasure_that_was_done_is_found_again_and_does_no_harm(
    erased: tuple[Project, Erasure], copy_project: CopyProject
) -> None:
    project = copy_project(erased[0])
    again = erase(project)
    assert again.left == ()
    assert again.erasure_id == erased[1].erasure_id
    assert again.found == ()
    assert len(project.table(ERASURES)) == 2


def test_who_is_not_there_is_an_error_and_nothing_is_written(project: Project) -> None:
    before = project.versions()
    with pytest.raises(TidegateError, match="nobody has such an id"):
        erase(project, f"{MARK}-nobody")
    with pytest.raises(TidegateError, match="no id of a person"):
        erase(project, " ")
    assert project.versions() == before
    assert project.table(ERASURES) == []
    assert project.table(events.TABLE)


WRITES = 57
"""From the word that the person is to be erased to the receipt."""
IN_SHORT = (11,)
"""The kill of the default run: a publication without its row."""


@pytest.mark.parametrize(
    "write_number",
    [
        pytest.param(n, marks=() if n in IN_SHORT else pytest.mark.slow)
        for n in range(1, WRITES + 1)
    ],
)
def test_a_kill_at_any_write_is_made_good_by_asking_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, write_number: int
) -> None:
    written = 0

    def die(_: str) -> None:
        nonlocal written
        written += 1
        if written == write_number:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        intercept(patched.setattr, before=die)
        with pytest.raises(KeyboardInterrupt):
            erase(project)
        assert written >= write_number
    # Once it was asked for, no run makes it worse; the next try ends it.
    done = erase(project)
    assert done.left == ()
    assert named_in(project.root / "lake") == []
    assert verify(project.work(), [web(project), other(project)]).holds
    [receipt] = receipts(project)
    assert receipt["found"]["events"] == 10


def test_an_hour_that_is_held_leaves_it_open_until_somebody_approves(project: Project) -> None:
    critical = SUITE.replace(
        "max_value: 3}\n    severity: warning", "min_value: 4}\n    severity: critical"
    )
    project.suite("events", critical)
    done = erase(project)
    assert done.exit_status == EXIT_HELD
    assert any("is held" in each for each in done.left)
    assert {row["status"] for row in project.table(ERASURES)} == {"asked"}
    assert named_in(project.root / "lake")
    for hour in HOURS[:3]:
        slice_ = parse_slice(f"web/{hour:%Y-%m-%dT%H}")
        approve(project.work(), web(project), slice_, by="bo", reason="a person was erased")
    done = erase(project)
    assert done.left == ()
    assert named_in(project.root / "lake") == []


@pytest.mark.slow
def test_an_hour_whose_dump_is_gone_is_thinned_from_its_candidate(project: Project) -> None:
    before = without([row for row in project.table(events.TABLE) if row["user_key"] == "bob"])
    for file in project.dumps.glob("2024-03-01-1[23]*"):
        file.unlink()
    done = erase(project)
    assert done.left == ()
    assert named_in(project.root / "lake") == []
    rows = [row for row in project.table(events.TABLE) if row["user_key"] == "bob"]
    assert without(rows) == before
    landings = [row for row in project.table(LANDINGS) if row["erasures"]]
    assert len(landings) == 4
    for row in landings:
        assert row["lines"] == row["events"] + row["duplicates"] + row["quarantined"]
        assert [each["lines"] for each in row["files"]] == [row["lines"]]


def test_while_an_earlier_release_is_shown_nobody_is_erased(project: Project) -> None:
    first = min(project.table(RELEASES), key=lambda row: row["sequence"])
    roll_back(project.work(), first["release_id"], by="ann", reason="a test")
    with pytest.raises(TidegateError, match="earlier release"):
        erase(project)
    assert project.table(ERASURES) == []


@pytest.mark.slow
def test_by_one_id_the_events_of_the_other_stay(project: Project) -> None:
    done = erase(project, DEVICE)
    assert done.found[0].events == 6
    assert {row["user_key"] for row in project.table(events.TABLE) if row["source"] == "web"} == {
        ANN,
        "bob",
        "cy",
    }
    assert named_in(project.root / "lake", DEVICE) == []


def _die(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_landing_that_an_erasure_overtook_is_not_published_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = web(project)
    later = HOURS[3] + HOUR
    project.put_hour(later, [line("4a1", 4, 0, ANN), line("4b1", 4, 0, "bob")])
    [landed] = land(project.work(), source, [later])
    assert landed.events == 2
    with monkeypatch.context() as patched:  # nothing but that it was asked for
        patched.setattr(erase_run, "_land_anew", _die)
        with pytest.raises(KeyboardInterrupt):
            erase(project)
    with pytest.raises(TryAgainError, match="has to be landed again"):
        publish_events(project.work(), source, [later])
    ensure_current(project.work(), source, [later])
    done = publish_events(project.work(), source, [later])
    assert done.publication is not None
    assert [part.rows for part in done.publication.slices if part.slice == later] == [1]
    erase(project)
    assert named_in(project.root / "lake") == []


@pytest.mark.slow
def test_who_is_in_quarantine_only_costs_no_release(project: Project) -> None:
    before = sorted(project.table(RELEASES), key=lambda row: row["sequence"])[-1]["release_id"]
    project.put_hour(
        HOURS[3] + HOUR, [f'{{"id": "x", "user": "{MARK}-ken"', line("4b1", 4, 0, "bob")]
    )
    project.run(web(project), [HOURS[3] + HOUR])
    done = erase(project, f"{MARK}-ken")
    assert (done.found[0].events, done.found[0].quarantined) == (0, 1)
    assert not done.gives_up
    connect(project.settings.lake, before).close()
    assert named_in(project.root / "lake", f"{MARK}-ken") == []


def test_without_the_key_nothing_is_landed_and_nobody_erased(
    erased: tuple[Project, Erasure], copy_project: CopyProject
) -> None:
    project = copy_project(erased[0])
    (project.settings.home / "pii.key").unlink()
    project.put_hour(HOURS[0], lines(0)[:3])
    with pytest.raises(TidegateError, match="is not here"):
        land(project.work(), web(project), HOURS[:1])
    with pytest.raises(TidegateError, match="is not here"):
        erase(project, "bob")
    # Nor is somebody erased by another key: then nothing could be landed by either.
    make_key(project.settings.home)
    with pytest.raises(TidegateError, match="another key"):
        erase(project, "bob")
    assert len(project.table(ERASURES)) == 2


@pytest.mark.slow
def test_whoever_is_erased_is_so_from_sources_to_come_unless_it_is_from_one(
    project: Project,
) -> None:
    erase(project, "bob", only=other(project))
    assert {row["source"] for row in project.table(events.TABLE)} == {"web"}
    assert [row["source"] for row in receipts(project)] == ["other"]
    erase(project)
    later = other_hour(project, HOURS[1], ANN, "bob", "di")
    assert not project.run(other(project), [later]).held
    mine = [row for row in project.table(events.TABLE) if row["source"] == "other"]
    assert [row["user_key"] for row in mine] == ["di"]
    assert named_in(project.root / "lake") == []


@pytest.mark.slow
def test_who_is_in_a_source_without_a_file_is_not_called_erased(project: Project) -> None:
    done = erasing.erase(project.work(), [other(project)], ["bob"], by="bo")
    assert done.exit_status == EXIT_HELD
    assert any("web, which has no source file" in each for each in done.left)
    assert receipts(project) == []


def test_an_event_that_was_withheld_as_a_duplicate_does_not_come_back(project: Project) -> None:
    # The same id, in the first hour of somebody else.
    hours = [HOURS[3] + n * HOUR for n in (1, 2)]
    for n, user in enumerate(("bob", f"{MARK}-kim")):
        project.put_hour(hours[n], [line("5a1", 4, 0, user), line(f"5b{n}", 4 + n, 0, "cy")])
        project.run(web(project), [hours[n]])
    done = erase(project, f"{MARK}-kim")
    assert (done.found[0].events, done.found[0].candidates) == (0, 1)
    assert named_in(project.root / "lake", f"{MARK}-kim") == []
    project.put_hour(hours[0], [line("5b0", 4, 0, "cy")])
    project.run(web(project), [hours[0]])
    assert f"{MARK}-kim" not in {row["user_key"] for row in project.table(events.TABLE)}


@pytest.mark.slow
def test_another_persons_erasure_does_not_stop_a_held_hour_whose_dump_is_gone(
    project: Project,
) -> None:
    for file in project.dumps.glob("2024-03-01-15*"):
        file.unlink()
    erase(project, "bob")
    slice_ = parse_slice(f"web/{HOURS[3]:%Y-%m-%dT%H}")
    approve(project.work(), web(project), slice_, by="bo", reason="a test")
    last = [row for row in project.table(events.TABLE) if row["dump_hour"].endswith("15:00:00")]
    assert {row["user_key"] for row in last} == {ANN, DEVICE, "cy"}


def test_a_landing_that_an_erasure_came_into_leaves_the_person_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = HOURS[3] + HOUR
    project.put_hour(later, [line("4a1", 4, 0, ANN), line("4b1", 4, 0, "bob")])
    counted = landing.account
    begun = 0

    def read(work: Work, source: str) -> Erased | None:
        nonlocal begun
        begun += 1
        return None if begun == 1 else erased_from(work, source)

    erase(project)
    monkeypatch.setattr(landing, "erased_from", read)
    [landed] = land(project.work(), web(project), [later])
    assert counted is landing.account
    assert (landed.events, landed.quarantined) == (1, {"erased": 1})


@pytest.mark.slow
@pytest.mark.parametrize("how", ["half", "temporary"])
def test_a_landing_that_was_killed_of_late_keeps_the_receipt_back(
    project: Project, how: str
) -> None:
    token = project.root / "lake" / "staging" / "events" / "web" / "_token=20240101T000000-aaaaaaaa"
    folder = token / "_dump=20240301T16" / "_outcome=event"
    if how == "temporary":
        folder = token / "_temporary" / "0" / "_dump=20240301T16"
    folder.mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"PAR1" + ANN.encode())
    done = erase(project)
    assert done.exit_status == EXIT_HELD
    assert any("was killed of late" in each for each in done.left)
    old = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    os.utime(folder / "part-0.parquet", (old, old))
    assert erase(project).left == ()
    assert named_in(project.root / "lake") == []


def test_the_command(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project.root))
    for name, value in project.environment.items():
        if name.startswith("TIDEGATE_"):
            monkeypatch.setenv(name, value)
    (project.settings.sources / "web.yml").write_text(json.dumps(raw_source(project)))
    runner = CliRunner()
    looked = runner.invoke(app, ["erase", ANN, DEVICE, "--dry-run"])
    assert looked.exit_code == 0, looked.output
    assert "web: 10 events" in looked.stdout
    assert project.table(ERASURES) == []
    refused = runner.invoke(app, ["erase", ANN])
    assert isinstance(refused.exception, TidegateError)
    done = runner.invoke(app, ["erase", "-", "--yes", "--json"], input=f"{ANN}\n{DEVICE}\n")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["done"]
    assert told["found"][0]["events"] == 10
    assert named_in(project.root / "lake") == []


def raw_source(project: Project) -> dict[str, Any]:
    from project import LINES

    return {
        **LINES,
        "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
        "sequence": {"producer": "client", "number": "no"},
    }
