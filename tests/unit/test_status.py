"""`tidegate status`: what needs somebody comes first, and is not lost among many sources."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handmade_books import HOUR, Books
from project import REPO
from tidegate.cli.app import app
from tidegate.cli.status import SHORT, source_lines
from tidegate.common.errors import TidegateError
from tidegate.query.freshness import Seen, judge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROMISED = timedelta(minutes=90)


def row(source: str, **counts: int) -> dict[str, Any]:
    whole = {"landed": 3, "published": 3, "held": 0, "waiting": 0, "missing": 0, "stale": 0}
    return {
        "source": source,
        "first_hour": "2026-03-02T06",
        "last_hour": "2026-03-02T08",
        **whole,
        **counts,
    }


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:]]


def test_sources_that_need_somebody_come_first() -> None:
    found = [
        row("a"),
        row("b", stale=1),
        row("c", waiting=1),
        row("d", missing=2),
        row("e"),
        row("f", held=1),
        row("g", held=1, missing=1),
    ]
    late = [Seen(NOW - 5 * HOUR)]
    kept = [judge("e", PROMISED, NOW - 9 * HOUR, late, NOW)]
    assert names(source_lines(found, kept)) == ["g", "f", "e", "d", "c", "b", "a"]
    assert names(source_lines(found, [])) == ["g", "f", "d", "c", "b", "a", "e"]


def test_what_is_promised_shows_where_anything_is() -> None:
    found = [row("kept"), row("late"), row("silent")]
    kept = [
        judge("kept", timedelta(hours=3), NOW - 9 * HOUR, [], NOW),
        judge("late", PROMISED, NOW - 9 * HOUR, [Seen(NOW - 5 * HOUR)], NOW),
    ]
    assert [line.split()[-3:] for line in source_lines(found, kept)] == [
        ["stale", "fresh", "behind"],
        ["0", "1h30m", "2h30m"],
        ["0", "0", "3h"],
        ["0", "0", "0"],
    ]
    assert "fresh" not in source_lines(found, [])[0]


def test_of_many_sources_those_that_need_nobody_are_counted() -> None:
    found = [row(f"s{n:02}", held=n % 50 == 7) for n in range(100)]
    lines = source_lines(found, [])
    assert len(lines) == 4
    assert names(lines[:3]) == ["s07", "s57"]
    assert lines[3] == "and 98 sources of which every hour is there: tidegate status --all"
    assert len(source_lines(found, [], everything=True)) == 101
    assert len(source_lines(found[: SHORT + 1], [])) == 3
    assert len(source_lines(found[:SHORT], [])) == SHORT + 1
    assert source_lines([], []) == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a lake with hours of just now: of `app`, whose last one is late, and of `web`."""
    books = Books(tmp_path)
    last = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 6 * HOUR
    for source in ("app", "web"):
        for n in range(3):
            hour = last - n * HOUR
            books.publish(source, hour, books.land(source, hour))
    books.release(last + 2 * HOUR, version=0)
    settings = books.write()
    shutil.copytree(REPO / "expectations", settings.expectations)
    for source, fresh in (("app", "fresh: 90m"), ("web", "")):
        (settings.sources / f"{source}.yml").write_text(
            f"source: {source}\nsince: 2026-01-01T00\ndumps: {source}/{{dump_hour:%Y-%m-%d-%H}}.json\n"
            f"fields: {{event_time: at}}\n{fresh}\n"
        )
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_LAKE", settings.lake)
    monkeypatch.setenv("TIDEGATE_HOME", str(settings.home))
    return tmp_path


def status(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["status", *arguments])
    if isinstance(done.exception, TidegateError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_late_hours_and_faults_of_files_are_told_and_the_rest_all_the_same(project: Path) -> None:
    (project / "dags" / "sources" / "bad.yml").write_text("source: bad\nfersh: 90m\n")
    lines = status().splitlines()
    head, app_row, web_row = lines[2:5]
    assert head.split()[-2:] == ["fresh", "behind"]
    assert (app_row.split()[0], app_row.split()[8:10]) == ("app", ["0", "1h30m"])
    assert (web_row.split()[0], web_row.split()[8:]) == ("web", ["0"])
    [late] = [line for line in lines if line.startswith("late ")]
    assert late.startswith("late     app: promised 1h30m after an hour's end, behind for ")
    assert late.endswith("no dump landed yet")
    faults = [line for line in lines if line.startswith("fault ")]
    assert "fault    bad.yml: unknown key 'fersh'; did you mean 'fresh'?" in faults
    assert [line.split()[1:4] for line in lines if line.startswith("stale ")]


def test_scripts_get_what_is_promised(project: Path) -> None:  # noqa: ARG001 - it is in the environment
    told = json.loads(status("--json"))
    [promise] = told["freshness"]
    assert (promise["source"], promise["fresh"]) == ("app", "1h30m")
    assert promise["behind_s"] > 3600
    assert [each["waits"] for each in promise["missing"]] == ["no dump landed yet"]
    assert [each["source"] for each in told["sources"]] == ["app", "web"]


def test_one_source_can_be_asked_for(project: Path) -> None:
    told = json.loads(status("--source", "web", "--json"))
    assert [each["source"] for each in told["sources"]] == ["web"]
    assert told["freshness"] == []
    assert {each["source"] for each in told["stale"]} == {"web"}
    assert "late " not in status("--source", "web")
    with pytest.raises(TidegateError, match="did you mean 'web'"):
        status("--source", "wep")
    # The books have it still.
    (project / "dags" / "sources" / "web.yml").unlink()
    assert "web " in status("--source", "web")
