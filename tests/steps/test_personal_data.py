"""Personal data from dumps to analysts: nothing raw is in the lake, and the key is nowhere but in its file."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from compare import Row
from conftest import CopyProject, MakeProject
from project import HOUR, LINES, NOON, REPO, Project, event
from tidegate.common.errors import TidegateError
from tidegate.config.source import Source
from tidegate.config.suites import load_suite
from tidegate.engine.spark_server import start_spark
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.release.release import release
from tidegate.pipeline.replay import replay, try_lines
from tidegate.pipeline.verify import verify
from tidegate.privacy.key import VARIABLE, PiiKey, find_key, key_file, with_known_key
from tidegate.query.connect import connect
from tidegate.query.status import stale
from tidegate.storage.s3 import S3Access
from tidegate.tables import REBUILDABLE, events, sessions
from tidegate.tables.system_tables import CONFIGURATIONS, PUBLICATIONS, QUARANTINE

HOURS = [NOON, NOON + HOUR]
MARK = "qx5vk"
"""What every personal value of these tests holds, and nothing else does, of other tests on this server either."""
RULES: dict[str, Any] = {
    "accept": {"late": "90m", "future": "1h"},
    "columns": {
        "n": {"path": "n", "type": "int"},
        "mail": {"path": "contact.mail", "type": "string"},
    },
    "pii": {"user": "hash", "anon": "hash", "contact": "drop", "ip": "keep"},
}
APP: dict[str, Any] = {
    "source": "app",
    "format": {"type": "csv"},
    "fields": {"event_id": "id", "event_time": "at", "user_id": "login"},
    "columns": {},
    "pii": {"login": "hash"},
}


def lines(at: int) -> list[Row | str]:
    hour = NOON + at * HOUR
    personal = {"contact": {"mail": f"{MARK}@x.org"}, "undeclared": MARK, "ip": "10.0.0.1"}
    found: list[Row | str] = [
        event(f"{at}{n}", hour + n * timedelta(minutes=7), f"{MARK}-ann", n=n, **personal)
        for n in range(4)
    ]
    found += [
        event(f"{at}anon", hour, None, anon=f"{MARK}-device"),
        event(f"{at}late", NOON - 3 * HOUR, f"{MARK}-bob", **personal),
        event(f"{at}text", hour, f"{MARK}-bob", n="many", **personal),
        f'{{"id": "9", "user": "{MARK}-cut',
    ]
    return found


def web(project: Project, **keys: Any) -> Source:
    return project.source(**{**RULES, **keys})


def app(project: Project) -> Source:
    return project.source("app-{dump_hour:%Y-%m-%d-%H}.csv", **APP)


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    """Publish two hours of a source with personal data, and one hour of another one's."""
    project = make_project()
    for at, hour in enumerate(HOURS):
        project.put_hour(hour, lines(at))
    project.put("app-2024-03-01-12.csv", ["id,at,login", f"1,2024-03-01T12:00:00Z,{MARK}-ann"])
    assert not project.run(web(project), HOURS).held
    assert not project.run(app(project), [NOON]).held
    return project


@pytest.fixture
def project(published: Project, copy_project: CopyProject) -> Project:
    return copy_project(published)


def key_of(project: Project) -> PiiKey:
    found = find_key(project.settings.home)
    assert found is not None
    return found


def hashed(key: PiiKey, text: str) -> str:
    return hmac.new(key.secret, text.encode(), "sha256").hexdigest()[:32]


def told_stale(project: Project, source: Source) -> dict[str, str]:
    suites = {
        table.name: load_suite(project.settings.expectations, table.name).fingerprint
        for table in REBUILDABLE
    }
    with connect(project.settings) as connection:
        known = with_known_key(source, project.settings.home)
        return {each.table_name: each.why for each in stale(connection, [known], suites)}


def found_in(root: Path, needles: list[bytes]) -> Iterator[tuple[Path, bytes]]:
    """Yield which of some bytes are in which files: as they are, and in the values of Parquet."""
    for path in (each for each in (root, *root.rglob("*")) if each.is_file()):
        body = path.read_bytes()
        if path.suffix == ".parquet":
            body += json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str).encode()
        yield from ((path, needle) for needle in needles if needle in body)


def spellings(key: PiiKey) -> list[bytes]:
    """Return what would betray a key: itself, as bytes or as text."""
    return [
        text
        for secret in (key.secret,)
        for text in (secret[:16], secret.hex()[:32].encode(), secret.hex()[:32].upper().encode())
    ]


def test_analysts_see_hashes_that_join_sources_and_nothing_raw_is_in_the_lake(
    published: Project, spark_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = published
    key = key_of(project)
    ann = hashed(key, f"{MARK}-ann")
    rows = project.table(events.TABLE)
    assert {(row["source"], row["user_key"]) for row in rows} == {
        ("web", ann),
        ("web", hashed(key, f"{MARK}-device")),
        ("app", ann),
    }
    assert {row["mail"] for row in rows} == {None}
    assert {json.loads(row["properties"]).get("ip") for row in rows if row["n"]} == {"10.0.0.1"}
    assert {row["user_key"] for row in project.table(sessions.TABLE)} <= {
        row["user_key"] for row in rows
    }
    bad = project.table(QUARANTINE)
    assert sorted((row["reason"], row["raw"] is None) for row in bad) == [
        *[("bad_value", False)] * 2,
        *[("not_json", True)] * 2,
        *[("too_late", False)] * 2,
    ]
    bob = hashed(key, f"{MARK}-bob")
    assert {json.loads(row["raw"])["user"] for row in bad if row["raw"]} == {bob}

    # The scan would find what is there.
    lake = Path(project.settings.lake)
    assert {path.parts[-2][:7] for path, _ in found_in(lake, [bob.encode()])}
    assert list(found_in(project.settings.home, [key.secret.hex().encode()]))
    assert list(found_in(lake, [MARK.encode(), *spellings(key)])) == []
    others = [path for path, _ in found_in(project.root, spellings(key))]
    assert set(others) == {key_file(project.settings.home)}
    for log in tmp_path_factory.getbasetemp().glob("spark*/spark.log"):
        assert list(found_in(log.parent, [MARK.encode(), *spellings(key)])) == []
    assert spark_url


def test_verify_reads_the_dumps_by_the_same_key_and_a_second_landing_is_idle(
    project: Project,
) -> None:
    found = verify(project.work(), [web(project)])
    assert [each.table for each in found.compared if each.rows]
    assert not [each for each in found.compared if each.differing], found
    assert {each.outcome for each in land(project.work(), web(project), HOURS)} == {"unchanged"}
    assert told_stale(project, web(project)) == {}
    [row] = [r for r in project.table(CONFIGURATIONS) if '"pii"' in r["definition"] and
             r["source"] == "web"]  # fmt: skip
    assert json.loads(row["definition"])["pii_key"] == key_of(project).fingerprint


def test_another_key_waits_for_a_rebuild_and_never_mixes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = key_of(project), PiiKey(bytes(range(32)))
    monkeypatch.setenv(VARIABLE, new.secret.hex())
    source = web(project)
    assert told_stale(project, source) == {"events": "web.yml has changed (pii_key)"}
    before = project.versions()
    project.put_hour(HOURS[1], [*lines(1), event("more", HOURS[1], f"{MARK}-ann")])
    with pytest.raises(TidegateError, match="hashed by another key") as caught:
        land(project.work(), source, HOURS)
    assert caught.value.expected == f"the key with the fingerprint {old.fingerprint}"
    assert caught.value.todo is not None
    assert caught.value.todo.endswith("tidegate rebuild events web")
    for secret in spellings(old) + spellings(new):
        assert secret.decode("latin-1") not in str(caught.value)
    assert project.versions() == before

    work = project.work()
    assert rebuild(work, events.TABLE, source).publication is not None
    release(work, derive(work, [source]))
    rows = [row for row in project.table(events.TABLE) if row["source"] == "web"]
    assert {row["user_id"] for row in rows} == {None, hashed(new, f"{MARK}-ann")}
    assert "more" in {row["event_id"] for row in rows}
    assert told_stale(project, source) == {}
    # The other source's are as they were, by the key that they were made by.
    assert told_stale(project, app(project)) == {"events": "app.yml has changed (pii_key)"}


def test_a_key_that_is_lost_is_asked_for_and_not_made_anew(project: Project) -> None:
    key = key_of(project)
    file = key_file(project.settings.home)
    file.rename(file.with_name("away"))
    with pytest.raises(TidegateError, match="is not here") as caught:
        land(project.work(), web(project), HOURS)
    assert caught.value.expected == f"the key with the fingerprint {key.fingerprint}"
    assert not file.exists()
    # Who only reads, or has no key, is not told of what can't be known.
    assert told_stale(project, web(project)) == {}
    derive(project.work(), [web(project)])


@pytest.mark.slow
def test_quarantined_lines_come_back_from_their_dumps(project: Project) -> None:
    wider = web(project, accept={"late": "1d", "future": "1h"})
    trial = try_lines(project.work(), wider)
    assert (trial.count("untried"), trial.rebuilds) == (6, True)
    done = replay(project.work(), trial)
    assert done.publication is not None
    assert dict(done.left) == {"bad_value": 2, "not_json": 2}
    bob = hashed(key_of(project), f"{MARK}-bob")
    assert bob in {row["user_id"] for row in project.table(events.TABLE)}
    assert verify(project.work(), [wider, app(project)]).holds


@pytest.mark.slow
def test_a_source_that_begins_to_hash_is_stale_until_it_is_built_anew(
    make_project: MakeProject,
) -> None:
    project = make_project()
    project.put_hour(NOON, lines(0))
    numbers = {"n": {"path": "n", "type": "int"}}
    plain = web(project, pii={"ip": "keep"}, columns=numbers)
    project.run(plain, [NOON])
    assert find_key(project.settings.home) is None
    hashes = web(project)
    changed = "columns.mail, pii.anon, pii.contact, pii.user, pii_key"
    assert told_stale(project, hashes) == {"events": f"web.yml has changed ({changed})"}
    project.put_hour(HOURS[1], lines(1))
    project.run(hashes, HOURS)
    kinds = {row["user_id"] for row in project.table(events.TABLE)}
    assert kinds == {None, f"{MARK}-ann"}  # in force until events are built anew
    work = project.work()
    rebuild(work, events.TABLE, hashes)
    release(work, derive(work, [hashes]))
    assert MARK not in json.dumps(project.table(events.TABLE))
    assert verify(project.work(), [hashes]).holds
    made = [row for row in project.table(PUBLICATIONS) if row["table_name"] == "events"]
    assert len({row["configuration"] for row in made}) == 2


@pytest.mark.slow
def test_the_key_is_in_no_plan_event_log_environment_or_command_line_of_a_server(
    make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that writes down all that it is asked: its log of events is what Spark's UI shows."""
    key = PiiKey(bytes(range(200, 240)))
    monkeypatch.setenv(VARIABLE, key.secret.hex())
    monkeypatch.setenv("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars"))
    log = tmp_path / "events"
    log.mkdir()
    told = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.compress": "false",
    }
    child, url = start_spark(tmp_path, s3=S3Access(), log=tmp_path / "spark.log", extra_conf=told)
    try:
        project = make_project("real")
        mine = Project.__new__(Project)
        mine._place(project.root, project.spark, url)
        for at, hour in enumerate(HOURS):
            mine.put_hour(hour, lines(at))
        told_source = {**LINES, **RULES, "dumps": f"{mine.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*"}
        (mine.settings.sources / "web.yml").write_text(json.dumps(told_source))
        # As commands: checks ask the one session of a process.
        first, last = (f"{hour:%Y-%m-%dT%H}" for hour in HOURS)
        mine.tidegate("run", "web", "--from", first, "--to", last)
        assert "the tables are what the dumps give" in mine.tidegate("verify", "web")
        for name in ("environ", "cmdline"):
            body = Path(f"/proc/{child.pid}/{name}").read_bytes()
            assert not [secret for secret in spellings(key) if secret in body]
    finally:
        child.stop()
    # What is asked of the server is written there, the literals of its plans too.
    assert list(found_in(log, [b"~inner~"]))
    assert list(found_in(log, [b"expected a time as ISO 8601"]))
    for root in (tmp_path, project.root):
        assert list(found_in(root, spellings(key))) == []
    for root in (log, tmp_path / "spark.log", Path(project.settings.lake)):
        assert list(found_in(root, [MARK.encode()])) == []
