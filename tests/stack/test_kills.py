"""A kill at any instant: readers see a published state that existed, and running again finishes it.

Each kill is of a process that lands, publishes, derives and releases hours that changed: corrected lines, late
events, duplicates. What is left of it is looked at; then the same is run again, and the reckoning judges.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from compare import Row, assert_same_rows
from histories import RULES, Ids, assert_reckoned
from project import HOUR, LINES, NOON, Project, event
from tidegate import connect
from tidegate.common.hours import hour_text
from tidegate.config.source import Source
from tidegate.pipeline.verify import verify
from tidegate.tables import WAREHOUSE
from together import assert_together

pytestmark = pytest.mark.slow

HOURS = [NOON + n * HOUR for n in (9, 10, 11, 12, 20)]
STEP = timedelta(minutes=5)
AT_RANDOM = 30
TOGETHER = 10
LONGEST_S = 8.0
"""About as long as a run of some hours works."""
_VERIFIED = 5
"""After each so many kills `verify` judges too."""


def change(project: Project, chance: random.Random, hours: Sequence[datetime]) -> None:
    """Put other lines into the dumps of some hours."""
    for hour in hours:
        lines = [
            event(
                chance.randrange(80),
                hour + chance.randrange(-14, 12) * STEP,
                chance.choice(["a", "b", "c", None]),
                type=chance.choice(["view", "buy"]),
            )
            for _ in range(chance.randrange(25))
        ]
        project.put_hour(hour, lines)


def start(project: Project, limit: int, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killed.py")), str(limit), *arguments],
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_of(hours: Sequence[datetime]) -> tuple[str, ...]:
    return ("run", "web", "--from", hour_text(hours[0]), "--to", hour_text(hours[-1]))


@pytest.fixture
def source(project: Project) -> Source:
    """Describe the source in a file too; publish and derive all hours once."""
    described = {
        **LINES,
        **RULES,
        "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
    }
    (project.settings.sources / "web.yml").write_text(json.dumps(described))
    made = project.source(**RULES)
    change(project, random.Random(0), HOURS)
    project.run(made, HOURS)
    return made


def assert_seen_before_or_after(
    before: dict[str, list[Row]], between: dict[str, list[Row]], after: dict[str, list[Row]]
) -> None:
    """Each table is one publication a run: after a kill it is as it was, or as it will be."""
    for name, rows in between.items():
        if rows != before[name]:
            assert_same_rows(rows, after[name], ["event_id", "session_id", "hour", "date"])


def finish(
    project: Project, source: Source, hours: Sequence[datetime], ids: Ids | None, *, again: bool
) -> None:
    """Run again what was killed; nothing may be wrong then.

    The reckoning is quicker than `verify`, which is asked with `again` only.
    """
    ran = project.run(source, hours)
    assert not ran.held, [each.describe() for each in ran.held]
    assert_reckoned(project)
    if again:
        found = verify(project.work(), [source])
        assert found.holds, found
    if ids is not None:
        ids.look(project)
        ids.assert_led(project)


def all_tables(project: Project) -> dict[str, list[Row]]:
    return {table.name: project.table(table) for table in WAREHOUSE}


def test_a_kill_after_any_write_loses_nothing_and_shows_nothing_half_done(
    project: Project, source: Source
) -> None:
    chance = random.Random(1)
    ids = Ids()
    ids.look(project)
    for limit in range(1, 200):
        hours = HOURS[limit % 3 : limit % 3 + 2]
        change(project, chance, hours)
        before = all_tables(project)
        process = start(project, limit, *run_of(hours))
        _, told = process.communicate()
        between = all_tables(project)
        with connect(project.settings.lake) as db:
            assert_together(db)
        ids.look(project)
        finish(project, source, hours, ids, again=limit % _VERIFIED == 0)
        assert_seen_before_or_after(before, between, all_tables(project))
        if process.returncode == 0:
            break  # it has fewer writes than that
        assert process.returncode == -signal.SIGKILL, told
    assert 20 < limit < 200, f"{limit} writes are not what a run makes"


def test_a_kill_at_any_instant_loses_nothing_and_shows_nothing_half_done(
    project: Project, source: Source
) -> None:
    chance = random.Random(2)
    ids = Ids()
    ids.look(project)
    killed = 0
    while killed < AT_RANDOM:
        at = chance.randrange(4)
        hours = HOURS[at : at + 2] if at < 3 else HOURS[4:]
        change(project, chance, hours)
        before = all_tables(project)
        process = start(project, 0, *run_of(hours))
        killed += kill_after(process, chance.random() * LONGEST_S)
        between = all_tables(project)
        with connect(project.settings.lake) as db:
            assert_together(db)
        ids.look(project)
        finish(project, source, hours, ids, again=killed % _VERIFIED == 0)
        assert_seen_before_or_after(before, between, all_tables(project))


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill a process so long after its first write; return whether it was still there."""
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_two_landings_and_a_derive_run_killed_at_once_lose_nothing(
    project: Project, source: Source
) -> None:
    chance = random.Random(3)
    for number in range(TOGETHER):
        first, second = HOURS[:2], HOURS[2:4]
        change(project, chance, [*first, *second])
        running = [
            start(project, 0, *run_of(first)),
            start(project, 0, *run_of(second)),
            start(project, 0, "derive"),
        ]
        for process in chance.sample(running, 2):
            kill_after(process, chance.random() * LONGEST_S / 3)
        for process in running:
            process.communicate()
        Ids().look(project)  # sessions are those of a version of the events
        finish(project, source, HOURS, None, again=number % _VERIFIED == 0)
