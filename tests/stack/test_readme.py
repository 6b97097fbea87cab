"""README's tour does what README says, run as a reader would: from top to bottom, in a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kernel import rows_of, source_of
from project import REPO
from tidegate.config.suites import FACTS

README = (REPO / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text below a heading of the README."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)
    assert found, f"README has no section {title!r}"
    return found[1]


def commands(text: str) -> list[str]:
    """Return the shell blocks of a text."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def source_blocks() -> list[str]:
    """Return the YAML of the section on source files: a whole file, then some expressions."""
    text = section("A source file, explained")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return blocks


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the tour in an empty folder, without Spark; give the folder and what was printed."""
    folder = tmp_path_factory.mktemp("tour")
    blocks = commands(section("A tour on files of your own"))
    assert len(blocks) >= 6
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TIDEGATE_PROJECT": str(REPO),
            "TIDEGATE_HOME": str(folder / "home"),
            "TIDEGATE_SPARK": "",
            "TIDEGATE_ENGINE": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


def test_the_tour_ends_with_what_the_readme_says(tour: tuple[Path, str]) -> None:
    folder, printed = tour
    assert "4 lines = 2 events + 1 duplicates + 1 quarantined (1 bad_event_time)" in printed
    assert "nothing is held" in printed
    assert re.search(
        r"^  event_id: id  .*\n  event_time: at  .*\n  event_type: kind  ", printed, re.MULTILINE
    )
    assert re.search(r"^    file +\S+/tour/dumps/2026-05-01/10\.json$", printed, re.MULTILINE)
    assert "tour bad_event_time: 1 lines, 25.00% of 2026-05-01T10" in printed
    assert "unchanged" in printed
    assert "b1" in (folder / "tour" / "report" / "quarantine" / "tour.html").read_text()
    quarantined = re.search(r"^\[\n.*?^\]$", printed, re.MULTILINE | re.DOTALL)
    assert quarantined
    [line] = json.loads(quarantined[0])
    assert line["reason"] == "bad_event_time"
    assert json.loads(line["raw"])["id"] == "b1"


def test_the_tour_gives_one_session_of_three_events_and_three_by_a_shorter_gap(
    tour: tuple[Path, str],
) -> None:
    from tidegate.config.settings import Settings
    from tidegate.query.connect import connect

    folder, printed = tour
    assert re.search(r"ann +3 +3540", printed)
    settings = Settings(REPO, folder / "home", str(folder / "tour" / "lake"))
    with connect(settings) as connection:
        rows = connection.execute(
            "SELECT user_key, event_count, duration_s FROM sessions ORDER BY session_start"
        ).fetchall()
        corrected = connection.execute(
            "SELECT metric, before, after, cause FROM ops.corrections WHERE metric = 'sessions' ORDER BY sequence"
        ).fetchall()
        counted = connection.execute("SELECT count(*) FROM events").fetchone()
    assert rows == [("ann", 1, 0.0)] * 3 + [("cid", 1, 0.0)]
    assert corrected == [
        ("sessions", 1.0, 3.0, "configuration"),
        ("sessions", 3.0, 4.0, "new"),  # the hour that is approved
        ("sessions", 4.0, 1.0, "rollback"),  # to the first release, and forth again
        ("sessions", 1.0, 4.0, "configuration, new"),
    ]
    assert "the tables are what the dumps give" in printed
    assert counted == (4,)


def test_the_tour_holds_an_hour_that_somebody_approves(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert printed.count("exit status 3") == 2
    assert "tidegate approve tour/2026-05-01T12 --reason" in printed
    assert re.search(r"quarantined_share\) +0\.6+7 +the app cut its last lines", printed)
    assert re.search(r"2026-05-01 +true +3 +0", printed)


def test_the_tour_reads_releases_and_rolls_back(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert "every field is declared" in printed
    assert len(re.findall(r"^\d{8}T\d{6}-[0-9a-f]{8} [34] events$", printed, re.MULTILINE)) == 2
    assert re.search(r"events of tour: \d publications? of 2026-05-01T1", printed)
    assert "new releases are made again after: tidegate release --resume" in printed


def test_the_tour_writes_pages(tour: tuple[Path, str]) -> None:
    folder, _ = tour
    pages = {page.name for page in (folder / "tour" / "report").rglob("*.html")}
    assert {"index.html", "derived.html", "tour.html"} <= pages


def test_the_tour_tries_a_suite_on_what_was_published(tour: tuple[Path, str]) -> None:
    _, printed = tour
    assert "tour 2026-05-01T10: warned, would be warned" in printed
    for verdict, did, would in (("passed", 1, 2), ("warned", 1, 1), ("approved", 1, 0)):
        assert re.search(rf"{verdict} +{did} did, +{would} would", printed)


def test_the_source_file_that_the_readme_explains_is_right(tmp_path: Path) -> None:
    from tidegate.config.source import load_source

    file = tmp_path / "github.yml"
    file.write_text(source_blocks()[0], encoding="utf-8")
    assert load_source(file).source == "github"


def test_the_expressions_that_the_readme_explains_give_the_values_that_it_promises() -> None:
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


def test_the_suite_that_the_readme_explains_is_right(tmp_path: Path) -> None:
    from tidegate import gate
    from tidegate.config.suites import load_suite, name_faults
    from tidegate.tables import events

    [text] = re.findall(
        r"^```yaml\n(.*?)^```$", section("A suite, explained"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "events.yml").write_text(text, encoding="utf-8")
    suite = load_suite(tmp_path, "events")
    assert not gate.faults(suite)
    assert not name_faults(suite, [*events.TABLE.column_names], {"shop": ["price"], "app": []})


def test_the_metric_that_the_readme_explains_is_right_and_every_kind_and_key_is_told(
    tmp_path: Path,
) -> None:
    from tidegate.config.metrics import KEYS, load_metrics, metric_faults

    told = section("Metrics")
    [text] = re.findall(r"^```yaml\n(.*?)^```$", told, re.MULTILINE | re.DOTALL)
    (tmp_path / "revenue.yml").write_text(text, encoding="utf-8")
    metrics = load_metrics(tmp_path)
    own = {"shop": {"price": "decimal(10,2)", "device": "string"}}
    assert metric_faults(metrics, own) == {}
    words = {*KEYS, *(key for keys in KEYS.values() for key in keys)}
    assert [word for word in sorted(words) if f"`{word}" not in told] == []


def test_every_fact_of_events_is_in_the_readme() -> None:
    told = section("A suite, explained")
    assert [fact for fact in FACTS["events"] if f"`{fact}`" not in told] == []


def test_the_alerts_that_the_readme_shows_are_read(tmp_path: Path) -> None:
    from tidegate.orchestration.alerts import load_notifiers

    [text] = re.findall(r"^### Alerts\n.*?^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "alerts.yml").write_text(text, encoding="utf-8")
    assert [each.path.rpartition(".")[2] for each in load_notifiers(tmp_path / "alerts.yml")] == [
        "SlackNotifier",
        "SmtpNotifier",
    ]


def test_the_readme_has_just_two_commands_for_the_set_up() -> None:
    assert commands(section("Two commands")) == [
        "python3 infra/bootstrap.py tidegate demo\npython3 infra/bootstrap.py test\n"
    ]


def test_what_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    files = {target for target in targets if not target.startswith(("#", "http"))}
    assert sorted(file for file in files if not (REPO / file).exists()) == []
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {
        "#" + re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings
    }
    assert {target for target in targets if target.startswith("#")} <= anchors
