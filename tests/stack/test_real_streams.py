"""The two real streams, through S3 and an Airflow backfill and through `tidegate run`: the same rows.

An independent reckoning in plain Python, with none of Tidegate's code, agrees on events, users, sessions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pipeline import api_of, backfill, copy_project, settings_of, wait_for_release

import reckoning
from compare import assert_same_rows
from project import REPO, of_the_repository
from tidegate.config.settings import Settings
from tidegate.query.connect import connect
from tidegate.stack.run import running_stack
from tidegate.storage.s3 import Bucket, split_uri

DATA = REPO.parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATA.is_dir(), reason=f"the real dumps are not there: {DATA.name} beside the project"
    ),
]
HOUR = timedelta(hours=1)
RANGES = {
    "github": (datetime(2015, 1, 1, 12, tzinfo=UTC), datetime(2015, 1, 1, 12, tzinfo=UTC)),
    "nasa": (datetime(1995, 8, 1, 6, tzinfo=UTC), datetime(1995, 8, 1, 18, tzinfo=UTC)),
}
FOLDERS = {"github": "gharchive", "nasa": "nasa"}
KEYS = {
    "events": ("source", "event_id"),
    "sessions": ("source", "session_id"),
    "hourly_activity": ("source", "event_hour", "event_type"),
    "daily_activity": ("source", "event_date"),
}


def objects() -> dict[str, bytes]:
    """Return the dumps by their key in the bucket, as the source files name them."""
    found = {}
    for source, folder in FOLDERS.items():
        for file in sorted((DATA / folder).rglob("*.gz")):
            found[f"{source}/{file.relative_to(DATA / folder).as_posix()}"] = file.read_bytes()
    return found


def rows_of(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Return all published rows by table."""
    with connect(settings) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}").to_arrow_table().to_pylist()
            for table in KEYS
        }


@dataclass(frozen=True)
class Told:
    events: int
    users: int
    sessions: int


def told_by(settings: Settings, source: str) -> Told:
    with connect(settings) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM events WHERE source = $1), "
            "(SELECT count(DISTINCT user_key) FROM events WHERE source = $1), "
            "(SELECT count(*) FROM sessions WHERE source = $1)",
            [source],
        ).fetchone()
    assert row is not None
    return Told(*row)


def reckoned(source: str) -> Told:
    """Reckon a stream in plain Python."""
    bodies = objects()
    by_hour = {}
    hour, last = RANGES[source]
    while hour <= last:
        if source == "github":
            about = reckoning.Description(
                "github", "created_at", event_type="type", event_id="id", user_id="actor.id"
            )
            name = f"{hour:%Y-%m-%d}-{hour.hour}.json.gz"
            dump = reckoning.read_json_lines(about, hour, {name: bodies[f"github/{name}"]})
        else:
            about = reckoning.Description(
                "nasa", "time", event_type="method", user_id="host", unit="epoch_s"
            )
            name = f"{hour:%Y-%m-%d}/{hour:%H}/requests.tsv.gz"
            dump = reckoning.read_delimited(about, hour, {name: bodies[f"nasa/{name}"]}, "\t")
        by_hour[hour] = dump.events
        hour += HOUR
    kept = reckoning.keep_events(by_hour, 24).events
    sessions = reckoning.sessions_of(kept, 1800, 86400)
    return Told(len(kept), len({e.user_key for e in kept if e.user_key}), len(sessions))


@pytest.fixture(scope="module")
def through_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    os.environ.setdefault("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars"))
    home = tmp_path_factory.mktemp("stack")
    project = copy_project(tmp_path_factory.mktemp("project") / "project")
    with running_stack(home, project=project) as state, api_of(state) as api:
        Bucket(split_uri(state.dumps)[0], state.s3).put_all(objects())
        settings = settings_of(state, project, home)
        states = backfill(api, RANGES)
        assert states == {"github": ["success"], "nasa": ["success"] * 13}
        wait_for_release(api, settings)
        yield settings


@pytest.fixture(scope="module")
def through_run(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    lake = tmp_path_factory.mktemp("lake")
    for source, (first, last) in RANGES.items():
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tidegate", "run", source, "--json"),
                *("--from", f"{first:%Y-%m-%dT%H}", "--to", f"{last:%Y-%m-%dT%H}"),
                *("--dumps", str(DATA / FOLDERS[source]), "--lake", str(lake)),
            ],
            env=of_the_repository(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        landed = json.loads(done.stdout)["landed"]
        assert {each["outcome"] for each in landed} == {"landed"}
    return Settings(project=REPO, home=home, lake=str(lake))


@pytest.mark.parametrize("source", sorted(RANGES))
def test_plain_python_reckons_the_same(through_airflow: Settings, source: str) -> None:
    found = told_by(through_airflow, source)
    assert found == reckoned(source)
    assert found.events > 8_000


def test_s3_and_airflow_or_local_folders_and_a_command_give_the_same_rows(
    through_airflow: Settings, through_run: Settings
) -> None:
    one, other = rows_of(through_airflow), rows_of(through_run)
    for table in KEYS:
        assert one[table], f"{table} is empty"
        assert_same_rows(one[table], other[table], KEYS[table])
