"""A connection is one release: what it joins belongs together, whatever is published meanwhile."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from conftest import MakeProject
from project import HOUR, NOON, Project, event
from tidegate import connect
from tidegate.config.settings import Settings
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.release.release import release
from together import assert_together

STEP = timedelta(minutes=7)


def put(project: Project, n: int, seed: int) -> None:
    """Write an hour in which sessions go on from the hour before, and events come late."""
    chance = random.Random(seed)
    hour = NOON + n * HOUR
    lines = [
        event(
            f"{n}-{seed}-{at}",
            hour + chance.randrange(-6, 8) * STEP,
            chance.choice(["a", "b", "c", None]),
            type=chance.choice(["view", "buy"]),
        )
        for at in range(chance.randrange(3, 12))
    ]
    project.put_hour(hour, lines)


@pytest.fixture(scope="module")
def published(make_project: MakeProject) -> Project:
    project = make_project()
    put(project, 0, 1)
    project.run(project.source(), [NOON])
    return project


def releases(settings: Settings) -> list[str]:
    with connect(settings.lake) as db:
        rows = db.execute("SELECT release_id FROM ops.releases ORDER BY sequence").fetchall()
    return [str(row[0]) for row in rows]


def test_who_joins_while_hours_are_published_sees_whole_releases_only(published: Project) -> None:
    lake = published.settings.lake
    source = published.source()
    early = connect(lake)
    seen_early = assert_together(early)

    def publish() -> None:
        for n, seed in ((1, 2), (2, 3), (1, 4)):  # the hour in the middle comes again, corrected
            put(published, n, seed)
            published.run(source, [NOON + n * HOUR])

    seen = set()
    with ThreadPoolExecutor(1) as other:
        publishing = other.submit(publish)
        while True:
            over = publishing.done()
            with connect(lake) as db:
                seen.add(assert_together(db))
            if over:
                break
        publishing.result()
    assert len(seen) > 1  # it was looked at in between, and what it was has changed

    with early:  # a connection stays with its release
        assert assert_together(early) == seen_early
    every = releases(published.settings)
    assert len(every) >= 4
    counts = []
    for each in every:
        with connect(lake, each) as db:
            counts.append(assert_together(db))
    assert seen <= set(counts)


def test_a_slow_run_does_not_take_events_back_that_a_faster_one_has_released(
    make_project: MakeProject,
) -> None:
    project = make_project()
    source = project.source()
    put(project, 0, 1)
    project.run(source, [NOON])
    work = project.work()
    slow = derive(work, [source])  # it has taken what there is by now
    put(project, 1, 2)
    fast = project.run(source, [NOON + HOUR]).release
    late = release(work, slow)
    assert late.versions["events"] == fast.versions["events"] > slow.version
    with connect(project.settings.lake) as db:
        assert_together(db)
