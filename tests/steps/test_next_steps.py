"""Commands that are printed as a next step run when they are copied, with a lake and a source file elsewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from project import REPO
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError

HOUR = "2026-03-01T07"
SOURCE = """
source: shop
since: 2026-03-01T00
dumps: {root}/dumps/{{dump_hour:%Y-%m-%d-%H}}.json
fields: {{event_id: id, event_time: at, event_type: kind, user_id: user}}
"""
GOOD = '{"id": "%d", "at": "2026-03-01T07:10:00Z", "kind": "view", "user": "ann"}\n'
PRINTED = re.compile(
    r"tidegate (?:\"[^\"]*\"|'[^']*'|[^\s;,()\"'])(?:\"[^\"]*\"|'[^']*'| (?=-)|[^;,()\n])*"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project, and beside it a lake with a space in its name and a source file."""
    project = tmp_path / "project"
    (project / "dags" / "sources").mkdir(parents=True)
    shutil.copytree(REPO / "expectations", project / "expectations")
    (tmp_path / "dumps").mkdir()
    (tmp_path / "shop.yml").write_text(SOURCE.format(root=tmp_path))
    for name in ("TIDEGATE_LAKE", "TIDEGATE_DUMPS", "TIDEGATE_SPARK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tidegate(*words: str) -> tuple[int, str]:
    """Run a command; return its exit status and all that it printed, the message of its error included."""
    done = CliRunner().invoke(app, [*words])
    if isinstance(done.exception, TidegateError):
        return done.exception.exit_status, done.output + done.exception.describe()
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def hints(text: str) -> list[str]:
    """Return the commands in a text."""
    return [
        re.split(r" (?:lists|then)\b|: |`", found)[0].rstrip(" .")
        for line in text.splitlines()
        for found in PRINTED.findall(line)
    ]


def follow(text: str, *, first: str) -> list[str]:
    """Run every command in a text that begins with a word; none may fail for what it omits."""
    found = [hint for hint in hints(text) if hint.split()[1] == first]
    assert found, text
    for hint in found:
        status, output = tidegate(*shlex.split(hint)[1:])
        assert status in (0, 3), f"{hint}: {output}"
        assert "--lake" in hint, hint
    return found


def run(place: Path, lines: int, bad: int = 5) -> tuple[int, str]:
    body = "".join(GOOD % n for n in range(lines)) + "not json\n" * bad
    (place / "dumps" / "2026-03-01-07.json").write_text(body)
    return tidegate("run", "shop.yml", "--from", HOUR, "--to", HOUR, "--lake", "my lake")


def test_an_hour_that_is_held_names_commands_that_run(place: Path) -> None:
    status, told = run(place, 20, bad=60)
    assert status == 3, told
    status, told = tidegate("held", "--lake", "my lake")
    assert status == 3
    assert str(place / "shop.yml") in told  # named to `run` only, an earlier process
    follow(told, first="run")
    follow(told, first="approve")


def test_errors_of_an_hour_that_is_published_name_commands_that_run(place: Path) -> None:
    assert run(place, 5000)[0] == 0
    lake = ("--lake", "my lake")
    for words, first in (
        (("trace", "events", "nothing"), "sql"),
        (("sql", "SELECT 1", "--release", "none"), "sql"),
        (("rollback", "none", "--reason", "x"), "sql"),
        (("trace", "sessions", "nothing"), "sql"),
        (("approve", f"shop/{HOUR}", "--reason", "x", "--source", "shop.yml"), "held"),
        (("erase", "nothing", "--source", "shop.yml", "--dry-run"), "sql"),
    ):
        status, told = tidegate(*words, *lake)
        assert status == 1, told
        follow(told, first=first)


def test_stale_tables_and_quarantined_lines_name_the_commands_that_help(place: Path) -> None:
    assert run(place, 5000)[0] == 0
    shutil.copy(place / "shop.yml", place / "project" / "dags" / "sources" / "shop.yml")
    file = place / "project" / "dags" / "sources" / "shop.yml"
    file.write_text(file.read_text() + "sessions: {gap: 10m}\n")
    status, told = tidegate("status", "--lake", "my lake")
    assert status == 0, told
    follow(told, first="rebuild")
    status, told = tidegate("quarantine", "--lake", "my lake")
    assert status == 0, told
    found = [hint for hint in hints(told) if hint.split()[1:3] == ["quarantine", "replay"]]
    assert found, told
    # No line of these can become an event: the message says what else to do.
    status, told = tidegate(*shlex.split(found[0])[1:])
    assert status == 1, told
    assert follow(told, first="run") == [
        f'tidegate run shop --from {HOUR} --to {HOUR} --lake "my lake"'
    ]


def test_an_empty_lake_and_a_proposal_name_a_run(place: Path) -> None:
    status, told = tidegate("sql", "SELECT 1", "--lake", "my lake")
    assert status == 1
    assert 'tidegate run SOURCE --from HOUR --to HOUR --lake "my lake"' in told
    (place / "dumps" / "2026-03-01-07.json").write_text("".join(GOOD % n for n in range(30)))
    status, told = tidegate("init", "dumps", "--name", "web", "--out", "web.yml")
    assert status == 0, told
    (found,) = [hint for hint in hints(told) if hint.split()[1] == "run"]
    status, told = tidegate(*shlex.split(found)[1:])
    assert status in (0, 3), told
