"""Mistakes that the document on source files lists: each is made here and gives the message that is shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from documents import SOURCES, section
from project import REPO
from tidegate.cli.app import app

SECTION = "Five mistakes that everybody makes once"
SOURCE = {
    "source": "web",
    "since": "2026-05-01T00",
    "dumps": "dumps/{dump_hour:%Y-%m-%d-%H}.json",
    "format": "json",
    "fields": "{event_id: id, event_time: at, event_type: kind, user_id: user.id}",
}
LINE = '{"id": "e1", "at": "2026-05-01T10:00:00Z", "kind": "view", "user": {"id": "ann"}}\n'
MADE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "A key is misspelt": ({"feilds": SOURCE["fields"], "fields": ""}, {}),
    "The template does not fit the names": (
        {"dumps": "dumps/{dump_hour:%Y-%m-%d}_{dump_hour:%H}.json"},
        {},
    ),
    "Times are numbers": (
        {},
        {"2026-05-01-10.json": LINE.replace('"2026-05-01T10:00:00Z"', "1777629600")},
    ),
    "A path ends too early": ({"fields": SOURCE["fields"].replace("user.id", "user")}, {}),
    "A CSV has no header": (
        {
            "dumps": "dumps/{dump_hour:%Y-%m-%d-%H}.csv",
            "format": "csv",
            "fields": SOURCE["fields"].replace("user.id", "user"),
        },
        {"2026-05-01-10.csv": "e1,2026-05-01T10:00:00Z,view,ann\n"},
    ),
}


def shown() -> dict[str, str]:
    """Return the messages of the document on source files by what is wrong."""
    rows = re.findall(r"^\| ([^|`]+?) *\| `(.*)` \|$", section(SOURCES, SECTION), re.MULTILINE)
    return {what: message.replace(r"\|", "|") for what, message in rows}


def test_the_document_shows_these_mistakes() -> None:
    assert [*shown()] == [*MADE]


@pytest.mark.parametrize("what", MADE)
def test_the_message_is_the_one_that_is_shown(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, files = MADE[what]
    (tmp_path / "dumps").mkdir()
    for name, text in (files or {"2026-05-01-10.json": LINE}).items():
        (tmp_path / "dumps" / name).write_text(text)
    said = {key: text for key, text in {**SOURCE, **keys}.items() if text}
    (tmp_path / "web.yml").write_text("".join(f"{key}: {text}\n" for key, text in said.items()))
    shutil.copytree(REPO / "expectations", tmp_path / "expectations")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    for name in ("TIDEGATE_SPARK", "TIDEGATE_ENGINE", "TIDEGATE_LAKE"):
        monkeypatch.delenv(name, raising=False)
    arguments = [
        "run",
        "web.yml",
        "--from",
        "2026-05-01T10",
        "--to",
        "2026-05-01T10",
        "--lake",
        "lake",
    ]
    done = CliRunner().invoke(app, arguments)
    printed = f"{done.output}\n{done.exception or ''}".replace(f"{tmp_path}/", "")
    assert shown()[what] in " ".join(printed.split()), printed
    assert done.exit_code != 0
