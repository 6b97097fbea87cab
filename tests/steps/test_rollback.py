"""Rollback: an earlier release is shown again, what that hides is told, and nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from conftest import CopyProject, MakeProject
from project import HOUR, NOON, Project, event
from tidegate import connect
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError
from tidegate.lake import Lake, Row
from tidegate.pipeline.derive.derive import derive, standing
from tidegate.pipeline.release import release as releasing
from tidegate.pipeline.release import rollback as rolling
from tidegate.pipeline.release.release import release, repaired
from tidegate.pipeline.release.rollback import RolledBack, roll_back
from tidegate.tables import WAREHOUSE, Table, sessions
from tidegate.tables.system_tables import CORRECTIONS, RELEASES


def releases(project: Project) -> list[Row]:
    return sorted(project.table(RELEASES), key=lambda row: row["sequence"])


def seen(project: Project, release: str | None = None) -> dict[str, int]:
    """Return how many rows of each table readers see."""
    with connect(project.settings.lake, release) as db:
        return {
            table.name: int(db.table(table.name).count("*").fetchall()[0][0]) for table in WAREHOUSE
        }


def back(project: Project, wanted: str, *, dry_run: bool = False) -> RolledBack:
    return roll_back(project.work(), wanted, by="ann", reason="wrong prices", dry_run=dry_run)


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish and release two hours, one after the other; the second changes the session of the first."""
    project = make_project()
    source = project.source()
    for n in (0, 1):
        hour = NOON + n * HOUR
        project.put_hour(
            hour, [event(f"{n}{m}", hour + n * 59 * HOUR / 60, f"u{m}") for m in (1, 2)]
        )
        project.run(source, [hour])
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


def test_an_earlier_release_is_shown_again_until_somebody_resumes(project: Project) -> None:
    first, second = releases(project)
    before, after = seen(project, first["release_id"]), seen(project)
    assert before["events"] == 2
    assert after["events"] == 4

    looked = back(project, first["release_id"], dry_run=True)
    assert looked.release_id is None
    assert seen(project) == after
    done = back(project, first["release_id"])
    assert done.hidden == looked.hidden
    assert {each.table_name for each in done.hidden} >= {"events", "sessions", "daily_activity"}
    assert any(line.startswith("events of web: 1 publication of ") for line in done.lines())
    assert seen(project) == before
    assert seen(project, second["release_id"]) == after  # it is still there for who asks

    # What is published meanwhile is in no release, whatever makes them.
    hour = NOON + 2 * HOUR
    project.put_hour(hour, [event("9", hour, "u9")])
    ran = project.run(project.source(), [hour])
    assert not ran.release.is_new
    assert seen(project) == before
    again = release(project.work(), derive(project.work(), [project.source()]))
    assert (again.release_id, again.is_new) == (done.release_id, False)

    resumed = release(project.work(), standing(project.work(), [project.source()]), resume=True)
    assert resumed.is_new
    assert seen(project)["events"] == 5
    last = releases(project)[-1]
    assert last["rolled_back_to"] is None
    assert len(project.table(sessions.TABLE)) == seen(project)["sessions"]


def test_the_books_tell_who_rolled_back_why_and_which_numbers_it_took(project: Project) -> None:
    first, second = releases(project)
    done = back(project, first["release_id"])
    row = releases(project)[-1]
    assert row["release_id"] == done.release_id
    assert (row["rolled_back_to"], row["rolled_back_by"], row["reason"]) == (
        first["release_id"],
        "ann",
        "wrong prices",
    )
    assert row["versions"] == first["versions"]
    taken = [each for each in project.table(CORRECTIONS) if each["sequence"] == row["sequence"]]
    assert {each["cause"] for each in taken} == {"rollback"}
    day = {
        each["metric"]: (each["before"], each["after"])
        for each in taken
        if each["table_name"] == "daily_activity"
    }
    assert day["events"] == (4.0, 2.0)
    hours = {each["hour"]: each["after"] for each in taken if each["hour"]}
    assert None in hours.values()  # the second hour is not shown at all
    assert second["release_id"] == done.shown


def test_a_time_is_the_release_that_was_shown_then(project: Project) -> None:
    first, second = releases(project)
    assert back(project, first["released_at"]).earlier == first["release_id"]
    # While it was rolled back readers saw the first one again, and so does who asks for that time.
    assert seen(project, releases(project)[-1]["released_at"])["events"] == 2
    assert seen(project, second["released_at"])["events"] == 4


@pytest.mark.parametrize("wanted", ["r0", "2001-01-01", "'", "\\", ""])
def test_a_release_that_is_not_there_is_told(project: Project, wanted: str) -> None:
    with pytest.raises(TidegateError, match="no release"):
        back(project, wanted)


def test_what_is_shown_already_is_not_rolled_back_to(project: Project) -> None:
    first, second = releases(project)
    with pytest.raises(TidegateError, match="already"):
        back(project, second["release_id"])
    back(project, first["release_id"])
    with pytest.raises(TidegateError, match="already"):
        back(project, first["release_id"])
    assert back(project, second["release_id"]).earlier == second["release_id"]  # and forth again
    assert seen(project)["events"] == 4


def test_a_kill_at_any_step_shows_one_release_or_the_other_and_the_next_try_ends_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = releases(project)
    before, after = seen(project, first["release_id"]), seen(project)
    append = Lake.append_next
    # First its commit is not there, then its commit is there and its row is not.
    for table in (CORRECTIONS, RELEASES):

        def killed(lake: Lake, to: Table, *rest: Any, last: Table = table, **named: Any) -> bool:
            if to is last:
                raise KeyboardInterrupt
            return append(lake, to, *rest, **named)

        monkeypatch.setattr(Lake, "append_next", killed)
        with pytest.raises(KeyboardInterrupt):
            back(project, first["release_id"])
        assert seen(project) == after
    monkeypatch.setattr(Lake, "append_next", append)
    row = repaired(project.work())
    assert row is not None
    assert row["rolled_back_to"] == first["release_id"]
    assert seen(project) == before


def test_who_is_beaten_by_a_release_looks_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = releases(project)
    hour = NOON + 2 * HOUR
    project.put_hour(hour, [event("9", hour, "u9")])
    beaten: list[bool] = []

    def commit(*given: Any) -> bool:
        if not beaten:
            beaten.append(True)
            project.run(project.source(), [hour])  # another release comes first
        return releasing.commit(*given)

    monkeypatch.setattr(rolling, "commit", commit)
    done = back(project, first["release_id"])
    assert seen(project)["events"] == 2
    assert len([each for each in done.hidden if each.table_name == "events"]) == 2


def test_the_command(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = releases(project)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    call = CliRunner().invoke
    looked = call(app, ["rollback", first["release_id"], "--reason", "x", "--dry-run"])
    assert looked.exit_code == 0, looked.output
    assert "this would hide:" in looked.output
    done = call(app, ["rollback", first["release_id"], "--reason", "x", "--json"])
    told = json.loads(done.stdout)
    assert told["rolled_back_to"] == first["release_id"]
    assert told["hidden"]
    assert seen(project)["events"] == 2
    to = f"rolled back to release {first['release_id']} by "
    assert to in call(app, ["status"]).output
    assert json.loads(call(app, ["status", "--json"]).stdout)["rolled_back"].startswith(to)
    assert to in call(app, ["sql", "FROM events"]).output
    assert call(app, ["report", "--out", str(project.root / "report")]).exit_code == 0
    assert to in (project.root / "report" / "index.html").read_text()
    said = call(app, ["release"])
    assert "rolled back to release" in said.output
    resumed = call(app, ["release", "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert seen(project)["events"] == 4
