"""Documents lead somewhere, are short where they promise it, and show what is right."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from documents import (
    ANALYSTS,
    ARCHITECTURE,
    DOCUMENTS,
    METRICS,
    OPERATIONS,
    ORCHESTRATION,
    README,
    SOURCES,
    SUITES,
    TOUR,
    anchors,
    blocks,
    links,
    prose,
    section,
    target,
)
from kernel import rows_of, source_of
from project import REPO
from tidegate.cli.app import app
from tidegate.config.suites import FACTS
from tidegate.landing.reasons import REASONS
from tidegate.tables import OPS, WAREHOUSE
from tidegate_demo.traffic import CUT, planted

INTERNAL = {"TIDEGATE_MARK", "TIDEGATE_STACK", "TIDEGATE_PRELOAD"}
"""Variables that processes of one stack pass to each other; nobody sets them."""
EXECUTED = {README, TOUR}
"""Documents whose shell blocks are run: by `test_tours.py`, and the set-up by `test_demo.py` and CI."""


def test_the_readme_is_short() -> None:
    assert len(DOCUMENTS[README].splitlines()) <= 200


def test_the_readme_has_just_two_commands_for_the_set_up() -> None:
    assert blocks(section(README, "Two commands"), "sh") == [
        "python3 infra/bootstrap.py tidegate demo\npython3 infra/bootstrap.py test\n"
    ]


def test_the_output_that_the_readme_shows_is_that_of_the_demo() -> None:
    dumps = planted()
    [output] = blocks(section(README, "Two commands"), "text")
    published = sum(dumps.of(source).events for source in ("shop", "app"))
    assert re.search(rf"^ +events +{published}$", output, re.MULTILINE)
    source, hour = CUT
    assert f"{source} {hour:%Y-%m-%dT%H}: " in output


def test_shell_blocks_are_only_in_documents_whose_blocks_are_run() -> None:
    assert {name for name, text in DOCUMENTS.items() if blocks(text, "sh")} == EXECUTED


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_are_there(document: str) -> None:
    broken = []
    for link in links(DOCUMENTS[document]):
        if link.startswith(("http://", "https://")):
            continue
        file, anchor = target(document, link)
        there = file.exists() and file.is_relative_to(REPO)
        if not there or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[str] = set()
    waiting = [README]
    while waiting:
        document = waiting.pop()
        if document in reached:
            continue
        reached.add(document)
        for link in links(DOCUMENTS[document]):
            file, _ = target(document, link)
            if file.suffix == ".md" and file.is_relative_to(REPO):
                waiting.append(file.relative_to(REPO).as_posix())
    assert sorted(set(DOCUMENTS) - reached) == []


def test_python_blocks_are_run() -> None:
    """`test_tours.py` runs the script for analysts, this test the one of the corpus."""
    scripts = {name: blocks(text, "python") for name, text in DOCUMENTS.items()}
    [script] = scripts.pop("tests/corpus/README.md")
    assert len(scripts.pop(ANALYSTS)) == 1
    assert not any(scripts.values())
    exec(compile(script, "tests/corpus/README.md", "exec"), {})  # noqa: S102 (it is ours)


def unknown_in(words: list[str]) -> str | None:
    """Return the first command or option of a command line that `tidegate` does not have."""
    command: Any = get_command(app)
    for before, word in pairwise(["", *words]):
        if word.startswith("--"):
            known = {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            if word.partition("=")[0] not in known | {"--help"}:
                return word
        elif hasattr(command, "commands") and not word.isupper() and not before.startswith("--"):
            if word not in command.commands:
                return word
            command = command.commands[word]
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_the_text_have_the_names_and_options_that_are_written(document: str) -> None:
    shown = re.findall(r"`tidegate ([^`]+)`", prose(DOCUMENTS[document]))
    shown += re.findall(r"^ *tidegate (.*)$", DOCUMENTS[document], re.MULTILINE)
    wrong = {
        text: word
        for text in shown
        if (word := unknown_in(re.sub(r'"[^"]*"|[\[\]]', " ", text).split()))
    }
    assert wrong == {}


def test_every_setting_is_in_the_table_of_settings_and_no_other() -> None:
    table = set(re.findall(r"TIDEGATE_[A-Z0-9_]+", section(OPERATIONS, "Settings")))
    files = [*(REPO / "jobs" / "tidegate").rglob("*.py"), *(REPO / "infra").rglob("*.scala")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    used = {name for text in texts for name in re.findall(r"\bTIDEGATE_[A-Z0-9_]*[A-Z]\b", text)}
    ports = {name for name in table if name.endswith("_PORT")}
    assert table - ports == used - INTERNAL
    assert len(ports) == 4


def test_every_table_is_listed_for_analysts() -> None:
    listed = section(ANALYSTS, "Tables")
    names = [*(table.name for table in WAREHOUSE), *(f"ops.{table.name}" for table in OPS)]
    assert [name for name in names if f"`{name}`" not in listed] == []


def test_the_architecture_lists_the_packages_in_the_order_of_the_contracts() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    listed = re.findall(r"^\| `(\w+)` \|", section(ARCHITECTURE, "Packages"), re.MULTILINE)
    assert listed == [layer for layer in reversed(layers) if layer != "__main__"]


def source_blocks() -> list[str]:
    """Return the YAML that begins the document on source files: a whole file, then some expressions."""
    shown = blocks(DOCUMENTS[SOURCES], "yaml")
    assert len(shown) == 2
    return shown


def test_the_source_file_that_is_explained_is_right(tmp_path: Path) -> None:
    from tidegate.config.source import load_source

    file = tmp_path / "github.yml"
    file.write_text(source_blocks()[0], encoding="utf-8")
    assert load_source(file).source == "github"


def test_the_expressions_that_are_explained_give_the_values_that_are_promised() -> None:
    shown = yaml.safe_load(source_blocks()[1])
    line = {
        "date": "2024-03-01",
        "time": "12:02:00",
        "user": {"id": None},
        "context": {"traits": {"id": "ann"}},
        "url": "https://example.com/lamps?page=2",
        "price": "12.34",
        "tags": ["new", "sale"],
    }
    [row] = rows_of(source_of(**shown), [json.dumps(line)])
    assert row["_reason"] is None
    assert (row["event_time"], row["user_id"]) == ("2024-03-01 12:02:00", "ann")
    assert [row[name] for name in shown["columns"]] == ["example.com", 1234, "new"]


def test_every_key_of_a_source_file_is_explained() -> None:
    from tidegate.config.source import Source

    explained = {
        key
        for row in re.findall(r"^\| (`.*?) \|", DOCUMENTS[SOURCES], re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
    }
    # What the loader adds is no key of the file.
    assert sorted({*Source.model_fields} - explained - {"pii_key", "path"}) == []


def test_every_reason_of_quarantine_is_explained() -> None:
    explained = section(SOURCES, "Quarantined lines and held hours")
    assert [reason for reason in REASONS if f"`{reason}`" not in explained] == []


def test_the_suite_that_is_explained_is_right(tmp_path: Path) -> None:
    from tidegate import gate
    from tidegate.config.suites import load_suite, name_faults
    from tidegate.tables import events

    [text] = blocks(DOCUMENTS[SUITES], "yaml")
    (tmp_path / "events.yml").write_text(text, encoding="utf-8")
    suite = load_suite(tmp_path, "events")
    assert not gate.faults(suite)
    assert not name_faults(suite, [*events.TABLE.column_names], {"shop": ["price"], "app": []})


def test_every_fact_of_events_is_explained() -> None:
    assert [fact for fact in FACTS["events"] if f"`{fact}`" not in DOCUMENTS[SUITES]] == []


def test_the_metric_that_is_explained_is_right_and_every_kind_and_key_is_named(
    tmp_path: Path,
) -> None:
    from tidegate.config.metrics import KEYS, load_metrics, metric_faults

    explained = DOCUMENTS[METRICS]
    [text] = blocks(explained, "yaml")
    (tmp_path / "revenue.yml").write_text(text, encoding="utf-8")
    metrics = load_metrics(tmp_path)
    own = {"shop": {"price": "decimal(10,2)", "device": "string"}}
    assert metric_faults(metrics, own) == {}
    words = {*KEYS, *(key for keys in KEYS.values() for key in keys)}
    assert [word for word in sorted(words) if f"`{word}" not in explained] == []


def test_the_alerts_that_are_shown_are_read(tmp_path: Path) -> None:
    from tidegate.orchestration.alerts import load_notifiers

    [text] = blocks(section(ORCHESTRATION, "Alerts"), "yaml")
    (tmp_path / "alerts.yml").write_text(text, encoding="utf-8")
    notifiers = load_notifiers(tmp_path / "alerts.yml")
    assert [notifier.path.rpartition(".")[2] for notifier in notifiers] == [
        "SlackNotifier",
        "SmtpNotifier",
    ]
