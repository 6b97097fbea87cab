"""Commands that messages print: each is complete, and no message spells one by hand."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from project import REPO
from tidegate.cli.app import app
from tidegate.common.hints import TAKES_DUMPS, TAKES_LAKE, command, forget, note, source_word

PACKAGE = REPO / "jobs" / "tidegate"
ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def test_a_command_repeats_the_lake_the_dumps_and_the_file_that_the_user_named() -> None:
    assert command("held") == "tidegate held"
    note(lake="my lake", dumps="s3://b/d", source=("shop", "other/shop.yml"))
    run = command("run", source_word("shop"), "--from", "2026-03-01T00", "--to", "2026-03-01T00")
    assert run == (
        "tidegate run other/shop.yml --from 2026-03-01T00 --to 2026-03-01T00 "
        '--dumps s3://b/d --lake "my lake"'
    )
    approve = command("approve", "shop/2026-03-01T00", "--reason", "…", source="shop")
    assert approve.endswith('--reason … --source other/shop.yml --lake "my lake"')
    assert command("check") == "tidegate check"


@pytest.mark.parametrize("word", ["a", "a b", 'say "x"', "$HOME", "it's", "`ls`", "a;b", ""])
def test_a_shell_reads_each_word_as_it_was(word: str) -> None:
    assert shlex.split(command("trace", "events", word)) == ["tidegate", "trace", "events", word]


def test_the_commands_with_a_lake_or_dumps_are_these() -> None:
    assert isinstance(ROOT, TyperGroup)
    own = {name: _options(each) for name, each in ROOT.commands.items()}
    own = {name: options for name, options in own.items() if name not in ("demo", "bench")}
    assert {name for name, options in own.items() if "--lake" in options} == TAKES_LAKE - {"gate"}
    direct = {name for name, options in own.items() if "--dumps" in options}
    assert direct - {"erase"} == TAKES_DUMPS


def _options(of: object) -> set[str]:
    return {name for each in getattr(of, "params", ()) for name in each.opts}


def test_no_message_spells_a_command_by_hand() -> None:
    """A command with options that the user may have given comes from `command`; names in backticks are no hints."""
    spelled = re.compile(rf"(?<!`)\btidegate ({'|'.join(sorted(TAKES_LAKE))})\b(?! \.\.\.)")
    found = [
        f"{path.relative_to(REPO)}:{node.lineno}: {node.value.strip()[:80]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in _texts(path)
        if spelled.search(str(node.value))
    ]
    assert not found, "\n".join(found)


def _texts(path: Path) -> Iterator[ast.Constant]:
    """Yield the texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node
