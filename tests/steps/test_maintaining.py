"""Maintenance of a lake that has lived a while: what readers, publications and the ledger see of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from compare import Row
from conftest import CopyProject, MakeProject
from project import HOUR, LIMITED, NOON, Project, event
from tidegate.common.errors import TidegateError
from tidegate.pipeline.context.run_context import now
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.maintain import Maintained, maintain
from tidegate.pipeline.publish.approve import approve, parse_slice
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.verify import verify
from tidegate.query.connect import connect
from tidegate.tables import WAREHOUSE, daily_activity, events, sessions
from tidegate.tables.system_tables import LANDINGS, MAINTENANCE, PUBLICATIONS, RELEASES

DAY = timedelta(days=1)
HOURS = [NOON + n * HOUR for n in range(6)]
HELD = NOON + 6 * HOUR


def lines(hour: datetime, *users: str, **more: Any) -> list[dict[str, Any]]:
    return [
        event(f"{hour:%H}-{n}", hour + n * timedelta(minutes=1), user, **more)
        for n, user in enumerate(users)
    ]


def as_row(hour: datetime) -> str:
    """Return an hour as rows of tests have it."""
    return f"{hour:%Y-%m-%d %H:%M:%S}"


class Lived:
    """A project with two releases: in the second an hour was landed again. One more hour is held."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.suite("events", LIMITED.replace("SEVERITY", "info"))
        self.web = project.source()
        self.app = project.source("app/{dump_hour:%Y-%m-%d-%H}.json", source="app")
        self.take(project)

    def take(self, project: Project) -> None:
        """Go on in another project that is a copy."""
        self.project = project
        self.web = project.source()
        self.app = project.source("app/{dump_hour:%Y-%m-%d-%H}.json", source="app")

    def begin(self) -> None:
        project = self.project
        # A checkpoint every few commits, so that there is something of the log to clean.
        for table in (events.TABLE, sessions.TABLE):
            project.delta(table).alter.set_table_properties({"delta.checkpointInterval": "2"})
        project.put(f"app/{NOON:%Y-%m-%d-%H}.json", lines(NOON, "x", "y"))
        assert project.run(self.app, HOURS[:1]).exit_status == 0
        for hour in HOURS:
            project.put_hour(hour, lines(hour, "u1", "u2"))
        assert project.run(self.web, HOURS).exit_status == 0
        project.put_hour(NOON, lines(NOON, "u3", "u4", "u5"))
        project.put_hour(HELD, lines(HELD, "u6", n=10))
        assert project.run(self.web, [NOON, HELD]).exit_status == 3

    def maintain(self, days: float, *parts: str, dry_run: bool = False) -> Maintained:
        """Maintain as if so many days had passed."""
        chosen = {"parts": parts} if parts else {}
        return maintain(self.project.work(), **chosen, dry_run=dry_run, now=now() + days * DAY)

    def rows(self) -> dict[str, list[Row]]:
        return {table.name: self.project.table(table) for table in WAREHOUSE}

    def files(self) -> set[str]:
        root = Path(self.project.settings.lake)
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def differing(self) -> list[str]:
        """Return the tables whose rows are not what the dumps give."""
        found = verify(self.project.work(), [self.web, self.app])
        return [f"{each.source} {each.table}" for each in found.compared if each.differing]

    def releases(self) -> list[str]:
        rows = sorted(self.project.table(RELEASES), key=lambda row: row["sequence"])
        return [str(row["release_id"]) for row in rows]

    def seen(self, release: str | None = None) -> list[tuple[Any, ...]]:
        """Return what an analyst sees of a release."""
        with connect(self.project.settings, release) as connection:
            return (
                connection.execute(
                    "SELECT source, event_id, user_id FROM events ORDER BY ALL"
                ).fetchall()
                + connection.execute(
                    "SELECT source, session_id, user_key FROM sessions ORDER BY ALL"
                ).fetchall()
            )


@pytest.fixture(scope="module")
def first(make_project: MakeProject) -> Lived:
    lived = Lived(make_project())
    lived.begin()
    return lived


@pytest.fixture
def lived(first: Lived, copy_project: CopyProject) -> Iterator[Lived]:
    """Give a copy, whose lake lies elsewhere: what maintenance names is relative to it."""
    began = first.project
    copied = Lived.__new__(Lived)
    copied.take(copy_project(began))
    yield copied


def test_a_dry_run_tells_and_changes_nothing(lived: Lived) -> None:
    before = lived.files()
    told = lived.maintain(80, dry_run=True)
    assert {each.part for each in told.freed} >= {"compact", "vacuum", "candidates"}
    assert told.files > 0 and told.bytes > 0
    assert lived.files() == before
    assert "would be freed" in lived.project.tidegate("maintain", "--dry-run")


def test_what_is_young_is_left_alone(lived: Lived) -> None:
    before = lived.files()
    assert lived.maintain(0, "compact", "vacuum", "log", "candidates").freed == ()
    assert lived.files() == before


def test_a_promised_release_and_a_query_in_its_middle_are_not_disturbed(lived: Lived) -> None:
    rows, (one, two) = lived.rows(), lived.releases()[-2:]
    seen = {each: lived.seen(each) for each in (one, two)}
    assert seen[one] != seen[two]
    assert ("web", "12-2", "u5") in seen[two]
    query = "SELECT source, event_id, user_id FROM events ORDER BY ALL"
    with connect(lived.project.settings, one) as connection:
        running = connection.execute(query)
        begun = running.fetchmany(1)
        done = lived.maintain(10)
        rest = running.fetchall()
        again = connection.execute(query).fetchall()
    parts = {each.part: each for each in done.freed if each.place == "warehouse/events"}
    assert parts["compact"].files == 5
    assert "6 files became 1" in parts["compact"].note
    assert "vacuum" not in parts  # both releases are promised, and pin all there was
    assert begun + rest == again == seen[one][: len(again)]
    assert {each: lived.seen(each) for each in (one, two)} == seen
    assert lived.rows() == rows
    # No commit of maintenance looks like a publication, or like somebody else's.
    published = lived.project.table(PUBLICATIONS)
    work = lived.project.work()
    assert len(work.ledger.publications(events.TABLE)) == 3
    assert lived.project.table(PUBLICATIONS) == published
    assert lived.differing() == []


def test_the_newest_release_stays_whole_and_one_that_is_given_up_is_told_of(lived: Lived) -> None:
    one, two = lived.releases()[-2:]
    rows, seen = lived.rows(), lived.seen(two)
    done = lived.maintain(40)
    freed = {(each.part, each.place): each for each in done.freed}
    assert freed["vacuum", "warehouse/events"].files >= 1
    assert lived.seen(two) == lived.seen() == seen
    assert lived.rows() == rows
    with pytest.raises(TidegateError, match="can't be read any more") as error:
        lived.seen(one)
    told = error.value.describe()
    assert two in told and "TIDEGATE_KEEP_RELEASES" in told and "kept from" in told
    assert "can't be read" in lived.project.tidegate("sql", "SELECT 1", "--release", one, status=1)
    kept = {row["place"]: row for row in lived.project.table(MAINTENANCE) if row["kept_from"]}
    assert kept["warehouse/events"]["kept_from"] > 0
    # Again, there is nothing left to do but to the books, which have got rows by it.
    again = {each.place.partition("/")[0] for each in lived.maintain(40).freed}
    assert again <= {"ops"}


@pytest.mark.slow
def test_after_all_of_it_hours_are_published_again_and_quiet_sources_go_on(lived: Lived) -> None:
    project = lived.project
    lived.maintain(80)
    two, three = HOURS[1], HOURS[5]
    project.put_hour(two, lines(two, "u7"))
    # A source whose last publication was before all that was given up.
    project.put(f"app/{three:%Y-%m-%d-%H}.json", lines(three, "x"))
    assert project.run(lived.web, [two]).exit_status == 0
    assert project.run(lived.app, [three]).exit_status == 0
    shown = {
        (row["source"], row["dump_hour"], row["user_id"]) for row in project.table(events.TABLE)
    }
    assert ("web", as_row(two), "u7") in shown and ("web", as_row(two), "u1") not in shown
    assert ("web", as_row(HOURS[2]), "u1") in shown and ("app", as_row(three), "x") in shown

    # What was compacted is now pinned by nothing but the newest release; the log goes too.
    done = lived.maintain(160)
    freed = {(each.part, each.place): each for each in done.freed}
    assert freed["log", "warehouse/events"].files > 0
    assert not Path(
        project.settings.lake, "warehouse/events/_delta_log/00000000000000000000.json"
    ).exists()
    rows = lived.rows()
    assert rebuild(project.work(), daily_activity.TABLE, lived.app).publication is not None
    assert lived.rows() == rows
    assert lived.differing() == []


def test_a_held_candidate_stays_and_a_replaced_one_goes(lived: Lived) -> None:
    project = lived.project
    landings = sorted(
        (row for row in project.table(LANDINGS) if row["source"] == "web"),
        key=lambda row: (row["dump_hour"], row["landed_at"]),
    )

    def folder(landing_id: str) -> Path:
        dump, _, token = landing_id.partition(".")
        return Path(project.settings.lake, f"staging/events/web/_token={token}/_dump={dump}")

    replaced, latest, *others = (folder(row["landing_id"]) for row in landings)
    assert replaced.is_dir()
    lived.maintain(80, "candidates")
    assert not replaced.exists()
    assert all(each.is_dir() for each in (latest, *others))
    assert [each.outcome for each in land(project.work(), lived.web, [HELD])] == ["unchanged"]
    done = approve(
        project.work(),
        lived.web,
        parse_slice(f"web/{HELD:%Y-%m-%dT%H}"),
        by="ann",
        reason="it is right",
    )
    assert done.publication is not None
    assert ("web", "18-0", "u6") in {
        (row["source"], row["event_id"], row["user_id"]) for row in project.table(events.TABLE)
    }
