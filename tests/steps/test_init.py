"""From samples to rows: what `init` proposes for well-known exports passes `check` and lands every event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import exports
from exports import COUNT, HOURS, Files, events, uuid
from project import Project
from tidegate.cli.app import app
from tidegate.config.source import Source, load_source
from tidegate.tables import events as events_table


@dataclass(frozen=True)
class Case:
    """What is expected of an export: the template of its files, and of each event its fields."""

    files: Callable[[], Files]
    template: str
    event_id: Callable[[int], str] | None
    event_type: str
    users: int
    looks_like: str = ""


CASES = {
    "segment": Case(
        exports.segment,
        "{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.gz",
        lambda n: f"ajs-{n}",
        "track",
        7,
        "Segment's calls",
    ),
    "snowplow": Case(
        exports.snowplow,
        "run={dump_hour:%Y-%m-%d-%H}-00-00/part-*.txt.gz",
        uuid,
        "page_view",
        5,
        "Snowplow's enriched events",
    ),
    "mixpanel": Case(
        exports.mixpanel,
        "{dump_hour:%Y/%m/%d/%H}/events.jsonl.gz",
        lambda n: f"mp{n}",
        "Sign up",
        4,
        "Mixpanel's raw events",
    ),
    "amplitude": Case(
        exports.amplitude,
        "98765_{dump_hour:%Y-%m-%d}_{dump_hour:%-H}#*.json.gz",
        uuid,
        "open",
        4,
        "Amplitude's export",
    ),
    "posthog": Case(
        exports.posthog,
        "{dump_hour:%Y-%m-%dT%H}*.jsonl.gz",
        uuid,
        "$pageview",
        4,
        "PostHog's batch export",
    ),
    "google": Case(
        exports.google,
        "{dump_hour:%Y%m%d}/{dump_hour:%H}/events-*.json.gz",
        None,
        "page_view",
        4,
        "Google Analytics 4's BigQuery export",
    ),
    "google_parquet": Case(
        exports.google_parquet,
        "{dump_hour:%Y%m%d}/{dump_hour:%H}/events-*.parquet",
        None,
        "page_view",
        4,
        "Google Analytics 4's BigQuery export",
    ),
    "cloudfront": Case(
        exports.cloudfront,
        "E2EXAMPLE.{dump_hour:%Y-%m-%d-%H}*.gz",
        lambda n: f"req{n}==",
        "GET",
        4,
        "CloudFront's standard logs",
    ),
    "kafka": Case(
        exports.kafka,
        "year={dump_hour:%Y}/month={dump_hour:%m}/day={dump_hour:%d}/hour={dump_hour:%H}/*.json",
        lambda n: f"k{n}",
        "order",
        4,
        "Kafka Connect's S3 sink",
    ),
    "cloudtrail": Case(
        exports.cloudtrail,
        "{dump_hour:%Y/%m/%d}/111122223333_CloudTrail_us-east-2_{dump_hour:%Y%m%dT%H}*.json.gz",
        uuid,
        "DescribeInstances",
        3,
        "CloudTrail's records",
    ),
    "firehose": Case(
        exports.firehose,
        "{dump_hour:%Y/%m/%d/%H}/clicks-*",
        lambda n: f"f{n}",
        "click",
        4,
        "Firehose's objects",
    ),
    "apache": Case(exports.apache, "access-{dump_hour:%Y-%m-%d-%H}.log", None, "GET", 4),
}


def init(project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[Source, str]:
    """Propose a source file for the dumps of a project; return it, and what was said."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    out = project.settings.sources / "trial.yml"
    done = CliRunner().invoke(
        app, ["init", str(project.dumps), "--name", "trial", "--out", str(out)]
    )
    assert done.exit_code == 0, f"{done.output}\n{done.exception}"
    checked = CliRunner().invoke(app, ["check"])
    assert checked.exit_code == 0, checked.output
    return load_source(out), done.stderr


@pytest.mark.parametrize("vendor", CASES)
def test_an_export_is_proposed_so_that_all_its_events_land(
    vendor: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[vendor]
    for name, body in case.files().items():
        put(project.dumps, name, body)
    source, told = init(project, monkeypatch)
    assert source.dumps.inner.text == case.template
    assert ("looks like " in told) == bool(case.looks_like)
    assert case.looks_like in told
    assert f"{2 * COUNT} records = {2 * COUNT} events + 0 duplicates + 0 quarantined" in told
    project.run(source, HOURS)
    rows = project.table(events_table.TABLE)
    found = sorted((row["dump_hour"][:19], row["event_time"][:19]) for row in rows)
    assert found == sorted(
        (f"{hour:%Y-%m-%d %H:%M:%S}", f"{time:%Y-%m-%d %H:%M:%S}") for hour, _, time in events()
    )
    if case.event_id is not None:
        assert sorted(row["event_id"] for row in rows) == sorted(
            map(case.event_id, range(2 * COUNT))
        )
    assert len({row["user_key"] for row in rows}) == case.users
    assert case.event_type in {row["event_type"] for row in rows}


def put(folder: Path, name: str, body: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


# -- samples that are none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "no sample to read"),
        ({"_SUCCESS": b""}, "no sample to read"),
        ({"2026-05-01-10.json": b""}, "the samples have no line"),
        ({"2026-05-01-10.json.gz": b"\x1f\x8b\x08"}, "no sample can be read"),
        ({"2026-05-01-10.json": bytes(range(256))}, "not text"),
        ({"2026-05-01-10.zip": b"PK\x03\x04"}, "no sample can be read"),
        (
            {"2026-05-01-10.json": b'{"a": 1}\n', "2026-05-01-11.csv": b"a,b\n1,2\n"},
            "several formats",
        ),
        ({"a.json": b'{"a": 1}\n'}, "no field of the samples looks like a time"),
    ],
)
def test_what_is_no_sample_is_refused_with_a_next_step(
    files: Files, expected: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    for name, body in files.items():
        put(project.dumps, name, body)
    done = CliRunner().invoke(app, ["init", str(project.dumps)])
    assert done.exit_code == 1
    assert expected in str(done.exception)
    assert "next:" in str(done.exception)
    assert not done.stdout


def test_a_proposal_that_does_not_land_its_sample_is_written_and_said_to_be_wrong(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    lines = [
        f'{{"id": {n}, "ts": "2026-05-01T10:00:{n:02d}Z"}}' if n % 3 else "broken"
        for n in range(30)
    ]
    put(project.dumps, "2026-05-01-10.json", "\n".join(lines).encode())
    out = project.settings.sources / "trial.yml"
    done = CliRunner().invoke(app, ["init", str(project.dumps), "--out", str(out)])
    assert done.exit_code == 1
    assert "wrong  10 of 30 records would be quarantined, 10 as not_json" in done.stderr
    assert "30 records = 20 events + 0 duplicates + 10 quarantined (not_json 10)" in done.stderr
    assert "read it, correct it" in done.stderr
    assert load_source(out)


@pytest.mark.parametrize(
    ("right", "broken", "status"), [(5, 1, 0), (5, 2, 0), (2, 2, 1), (95, 5, 0), (90, 10, 1)]
)
def test_some_broken_lines_are_no_fault_of_a_proposal(
    right: int, broken: int, status: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    lines = [f'{{"id": {n}, "ts": "2026-05-01T10:00:00Z"}}' for n in range(right)]
    put(project.dumps, "2026-05-01T10.json", "\n".join([*lines, *["broken"] * broken]).encode())
    done = CliRunner().invoke(app, ["init", str(project.dumps)])
    assert done.exit_code == status, done.stderr
    assert f"{broken} quarantined (not_json {broken})" in done.stderr


def test_names_without_an_hour_give_a_proposal_that_is_said_to_be_wrong(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    put(project.dumps, "dump.json", b'{"id": 1, "ts": "2026-05-01T10:00:00Z"}\n')
    done = CliRunner().invoke(app, ["init", str(project.dumps)])
    assert done.exit_code == 1
    assert "wrong  the names of the samples tell no hour" in done.stderr
    assert "could not decide where an hour's files are" in done.stderr
    assert "1 records = 1 events" in done.stderr


def test_events_that_are_sent_twice_are_counted_as_duplicates(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b'{"event_id": "%d", "ts": "2026-05-01T10:00:00Z", "user_id": "u"}\n'
    body = b"".join(line % n for n in range(20))
    put(project.dumps, "2026-05-01T10.json", body)
    put(project.dumps, "2026-05-01T11.json", body)
    _, told = init(project, monkeypatch)
    assert "40 records = 20 events + 20 duplicates + 0 quarantined; hours: 2" in told
