"""Verify: it is content with what the pipeline made, and with nothing that hands made of it."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake

from conftest import MakeProject
from project import HOUR, LINES, NOON, Project, event
from tidegate.common.errors import TidegateError
from tidegate.config.source import Source
from tidegate.lake.schema import arrow_schema, rows_to_arrow
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.verify import Scope, Verified, parse_sample, verify
from tidegate.query.connect import connect
from tidegate.query.lineage import trace
from tidegate.tables import (
    Table,
    daily_activity,
    events,
    hourly_activity,
    session_aliases,
    sessions,
)

HOURS = [NOON + n * HOUR for n in range(3)]
MINUTE = timedelta(minutes=1)
COUNTS = {
    "events": 7,
    "sessions": 4,
    "hourly_activity": 3,
    "daily_activity": 1,
    "session_aliases": 1,
}


@pytest.fixture(scope="module")
def built(make_project: MakeProject) -> Project:
    """Land and publish three hours: repeats, an hour that comes late, a bad line, no user."""
    project = make_project()
    source = project.source(columns={})
    project.put_hour(HOURS[0], [event(1, NOON), event(2, NOON + MINUTE), event(2, NOON), "{"])
    project.put_hour(HOURS[1], [event(2, NOON), event(3, NOON + HOUR), event(4, NOON, None)])
    project.put_hour(
        HOURS[2], [event(5, NOON + 2 * HOUR), event(6, NOON + 5 * MINUTE), event(7, NOON, "u2")]
    )
    project.run(source, HOURS[1:])
    project.run(source, HOURS[:1])
    return project


@pytest.fixture
def project(built: Project, make_project: MakeProject) -> Project:
    """Give a copy of it of the test's own."""
    copied = make_project()
    for folder in ("lake", "dumps"):
        shutil.copytree(built.root / folder, copied.root / folder, dirs_exist_ok=True)
    return copied


@pytest.fixture
def source(project: Project) -> Source:
    return project.source(columns={})


def differing(found: Verified) -> dict[str, int]:
    return {each.table: each.differing for each in found.compared}


def test_every_row_leads_to_the_files_that_it_was_made_of(built: Project) -> None:
    by_key = {
        "events": "SELECT source, event_id FROM events",
        "sessions": "SELECT session_id FROM sessions",
        "session_aliases": "SELECT session_id FROM session_aliases",
        "hourly_activity": "SELECT source, strftime(hour, '%Y-%m-%dT%H') FROM hourly_activity",
        "daily_activity": "SELECT source, date::VARCHAR FROM daily_activity",
    }
    with connect(built.settings) as connection:
        for table, query in by_key.items():
            keys = connection.execute(query).fetchall()
            assert len(keys) == COUNTS[table]
            for key in keys:
                found = trace(connection, table, key)
                assert found.publication is not None, (table, key)
                assert found.audits, (table, key)
                if table == "session_aliases":
                    continue
                assert not found.notes, (table, key)
                assert found.dumps
                for dump in found.dumps:
                    assert dump.landing is not None
                    uris = {each["name"]: each["uri"] for each in dump.landing["files"]}
                    assert dump.events
                    assert all(Path(uris[name]).is_file() for name in dump.events)
                if table == "events":
                    row = found.rows[0]
                    lines = gzip.decompress((built.dumps / row["file"]).read_bytes()).splitlines()
                    assert json.loads(lines[row["line"] - 1])["id"] == row["event_id"]
                else:
                    assert {each["table_name"] for each in found.inputs} >= {"events"}


def test_what_the_pipeline_made_holds_and_what_hands_changed_is_found_and_named(
    project: Project, source: Source
) -> None:
    found = verify(project.work(), [source])
    assert found.holds, found
    assert {each.table: each.rows for each in found.compared} == COUNTS

    project.delta(events.TABLE).delete("event_id = '3'")
    project.delta(sessions.TABLE).update(
        updates={"event_count": "event_count + 1"}, predicate="user_key = 'u2'"
    )
    midnight = datetime(2024, 3, 2, tzinfo=UTC)
    append(
        project,
        hourly_activity.TABLE,
        source="web",
        date=midnight.date(),
        hour=midnight,
        event_type="view",
        events=1,
        users=1,
    )
    project.delta(daily_activity.TABLE).update({"events": "events + 1"})
    project.delta(session_aliases.TABLE).delete()
    found = verify(project.work(), [source])
    assert not found.holds
    assert differing(found) == dict.fromkeys(COUNTS, 1)
    by_table = {each.table: each.shown[0] for each in found.compared}
    assert {name: each.kind for name, each in by_table.items()} == {
        "events": "missing",
        "sessions": "changed",
        "hourly_activity": "extra",
        "daily_activity": "changed",
        "session_aliases": "missing",
    }
    assert by_table["sessions"].columns == {"event_count": (2, 1)}
    assert "event_id=3" in by_table["events"].key
    for name, operation in (("events", "DELETE"), ("sessions", "UPDATE")):
        cause = by_table[name].cause
        assert cause is not None
        assert operation in cause

    nothing = verify(project.work(), [source], Scope(HOURS[0] - 48 * HOUR, HOURS[0] - 24 * HOUR))
    assert nothing.holds
    assert {each.rows for each in nothing.compared} == {0}

    # A range that the changed rows lie outside of is well.
    part = verify(project.work(), [source], Scope(HOURS[2], HOURS[2]))
    assert differing(part) == {**dict.fromkeys(COUNTS, 0), "daily_activity": 1}
    users = verify(project.work(), [source], Scope(sample=0.999999))
    assert differing(users) == {"events": 1, "sessions": 1}


def test_a_row_in_a_slice_that_was_never_published_or_of_no_source_is_found(
    project: Project, source: Source
) -> None:
    for name, hour in (("web", datetime(2024, 3, 5, tzinfo=UTC)), ("nobody", NOON)):
        append(
            project,
            events.TABLE,
            source=name,
            dump_date=hour.date(),
            dump_hour=hour,
            event_id="x",
            event_time=hour,
            file="f",
            line=1,
        )
    found = verify(project.work(), [source])
    assert differing(found)["events"] == 1
    assert any("'nobody'" in text for text in found.open)
    assert not any("nobody" in text for text in verify(project.work(), [source], alone=True).open)


@pytest.mark.slow
def test_a_dump_that_changed_between_two_verifications_is_read_again(
    project: Project, source: Source
) -> None:
    assert verify(project.work(), [source]).holds
    lines = [event(1, NOON, "u3"), event(2, NOON + MINUTE), event(8, NOON)]
    project.put_hour(HOURS[0], lines)
    project.run(source, HOURS[:1])
    found = verify(project.work(), [source])
    assert found.holds, found


def test_what_cannot_be_made_again_is_told_with_the_reason(
    project: Project, source: Source
) -> None:
    project.put_hour(HOURS[0], [event(1, NOON, "u9")])
    for file in project.dumps.glob("2024-03-01-13*"):
        file.unlink()
    found = verify(project.work(), [source])
    assert [text.split(": ", 1)[0] for text in found.open] == [
        "web 2024-03-01T12",
        "web 2024-03-01T13",
    ]
    assert "have changed" in found.open[0]
    assert "are gone" in found.open[1]
    assert not found.holds

    land(project.work(), source, HOURS[:1])
    publish_events(project.work(), source, HOURS[:1])
    found = verify(project.work(), [source])
    assert any("lag behind" in text for text in found.open)


def test_the_command_says_so_and_exits_with_1(project: Project, source: Source) -> None:
    described = {**LINES, "columns": {}, "dumps": source_template(project)}
    (project.settings.sources / "web.yml").write_text(json.dumps(described))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate", "verify", *arguments],
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run()
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert "events web: 7 rows as published" in done.stdout
    project.delta(sessions.TABLE).update(updates={"is_bounce": "true"}, predicate="user_key = 'u1'")
    done = run("web", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert not told["holds"]
    assert sum(each["differing"] for each in told["compared"]) >= 1
    assert source.source == "web"


def append(project: Project, table: Table, **row: Any) -> None:
    """Append a row to a table, as a program does that knows nothing of the project."""
    schema = arrow_schema(project.lake().columns(table))
    rows = rows_to_arrow([row], schema, table.name)
    write_deltalake(project.delta(table), rows, mode="append")


def source_template(project: Project) -> str:
    return f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*"


@pytest.mark.parametrize(("text", "share"), [("0.1", 0.1), ("1/4", 0.25), ("1", 1.0)])
def test_a_share_is_a_number_or_a_fraction(text: str, share: float) -> None:
    assert parse_sample(text) == share


@pytest.mark.parametrize("text", ["0", "2", "1/0", "half", "-1"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(TidegateError, match="not a share"):
        parse_sample(text)
