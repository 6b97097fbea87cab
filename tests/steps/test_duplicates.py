"""Duplicates over hours, in every order of landing; and that publishing nothing new commits nothing."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from compare import assert_same_rows
from conftest import MakeProject
from project import HOUR, NOON, Project, event
from reckoning import Description, Event, keep_events, read_json_lines
from tidegate.config.source import Source
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import Published, publish_events
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS, PUBLICATIONS
from workbench import Workbench

WITHIN = 3
LINES = Description(
    "web", event_time="at", event_type="type", event_id="id", user_id="user", anonymous_id="anon"
)


def source_of(project: Project) -> Source:
    return project.source(duplicates={"within": f"{WITHIN}h"}, columns={})


def reckoned(project: Project, hours: list[datetime]) -> list[tuple[str, str]]:
    """Return (dump hour, event id) of what must be published of the dumps as they are."""
    dumps: dict[datetime, list[Event]] = {}
    for hour in hours:
        name = f"{hour:%Y-%m-%d-%H}.json.gz"
        files = {name: (project.dumps / name).read_bytes()}
        dumps[hour] = read_json_lines(LINES, hour, files).events
    return sorted((f"{e.dump_hour:%d %H}", e.event_id) for e in keep_events(dumps, WITHIN).events)


def published(project: Project) -> list[tuple[str, str]]:
    rows = project.table(events.TABLE)
    return sorted((row["dump_hour"][8:13], row["event_id"]) for row in rows)


def go(project: Project, source: Source, hours: list[datetime]) -> Published:
    land(project.work(), source, hours)
    found = publish_events(project.work(), source, hours)
    assert not found.held, [each.describe() for each in found.held]
    return found


def put(project: Project, hour: datetime, numbers: list[int]) -> None:
    project.put_hour(hour, [event(n, NOON) for n in numbers])


def test_an_early_hour_that_lands_late_takes_rows_from_later_ones_in_the_same_commit(
    project: Project,
) -> None:
    source = source_of(project)
    hours = [NOON + n * HOUR for n in range(6)]
    for hour, numbers in zip(
        hours, [[1, 2, 7], [1, 3], [3, 4], [1, 5], [1, 2, 6], [8]], strict=True
    ):
        put(project, hour, numbers)
    go(project, source, hours[1:])
    assert published(project) == reckoned(project, hours[1:])
    version = project.versions()["events"]
    found = go(project, source, hours[:1])
    assert found.publication is not None
    # 13 and 15 lose the 1 they had; 14 and 16 are as they were, and 17 is out of reach.
    assert [(s.slice.hour, s.rows, s.duplicates) for s in found.publication.slices] == [
        (12, 3, 0),
        (13, 1, 1),
    ]
    assert project.versions()["events"] == version + 1
    assert published(project) == reckoned(project, hours)

    put(project, hours[0], [7])
    found = go(project, source, hours[:1])
    assert found.publication is not None
    assert [s.slice.hour for s in found.publication.slices] == [12, 13]
    assert published(project) == reckoned(project, hours)

    put(project, hours[0], [])
    assert go(project, source, hours[:1]).publication is not None
    assert published(project) == reckoned(project, hours)

    before = project.versions()
    work = project.work()
    assert publish_events(work, source, hours).publication is None
    assert project.versions() == before


def test_a_duplicate_of_a_duplicate_is_one_too_even_where_its_original_is_out_of_reach(
    project: Project,
) -> None:
    source = source_of(project)
    hours = [NOON + n * HOUR for n in (0, 3, 6, 10)]
    for hour in hours:
        put(project, hour, [1])
    for hour in reversed(hours):
        go(project, source, [hour])
    # 15 repeats 12, 18 repeats 15 (kept there or not); 22 is more than 3 hours after 18.
    assert published(project) == [("01 12", "1"), ("01 22", "1")] == reckoned(project, hours)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_the_order_of_landings_and_corrections_the_same_rows_are_published(
    seed: int, make_project: MakeProject
) -> None:
    chance = random.Random(seed)
    hours = [NOON + n * HOUR for n in range(7)]
    project = make_project()
    source = source_of(project)
    for hour in hours:
        put(project, hour, [chance.randrange(12) for _ in range(6)])
    steps = [[hour] for hour in hours[1::2]] + [hours[::2]]
    chance.shuffle(steps)
    corrected = chance.sample(hours, 3)
    for step in steps:
        go(project, source, step)
    for hour in corrected[:2]:
        put(project, hour, [chance.randrange(12) for _ in range(6)])
    go(project, source, corrected[:2])
    put(project, corrected[2], [])
    go(project, source, corrected[2:])
    assert published(project) == reckoned(project, hours)
    landings = {row["landing_id"]: row for row in project.table(LANDINGS)}
    for row in project.table(PUBLICATIONS):
        for each in row["slices"]:
            landing = landings[each["landing_id"]]
            assert landing["events"] == each["rows"] + each["duplicates"]
            assert landing["lines"] == landing["events"] + landing["duplicates"]
        assert row["rows"] == sum(each["rows"] for each in row["slices"])


def test_hours_that_are_published_at_once_are_all_published_with_their_duplicates_right(
    project: Project,
) -> None:
    source = project.source(duplicates={"within": f"{WITHIN}h"})
    hours = [NOON + n * HOUR for n in range(3)]
    for n, hour in enumerate(hours):
        put(project, hour, [1, n + 2, n + 3])
    land(project.work(), source, hours)
    with ThreadPoolExecutor(len(hours)) as pool:
        found = list(pool.map(lambda h: publish_events(project.work(), source, [h]), hours))
    assert all(each.publication is not None for each in found)
    assert published(project) == reckoned(project, hours)
    rows = sorted(project.table(PUBLICATIONS), key=lambda row: int(row["sequence"]))
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    assert len({row["publication_id"] for row in rows}) == 3
    assert project.versions()["events"] >= 3


def test_computed_ids_are_never_duplicates(project: Project) -> None:
    source = project.source(fields={"event_time": "at"}, columns={})
    hours = [NOON, NOON + HOUR]
    for hour in hours:
        project.put_hour(hour, ['{"at":"2024-03-01T12:00:00Z"}'] * 4)
    for hour in reversed(hours):
        go(project, source, [hour])
    found = published(project)
    assert len(found) == len({each for _, each in found}) == 8


IDS = {"dump_hour": "timestamp", "event_id": "string", "file": "string", "line": "bigint"}
REPEATS = {name: IDS[name] for name in ("dump_hour", "file", "line")}
WITHHELD = {name: IDS[name] for name in ("dump_hour", "event_id")}
KEPT = """
    SELECT i.* FROM {ids} i
    ANTI JOIN {repeats} r ON i.dump_hour = r.dump_hour AND i.file = r.file AND i.line = r.line
    ANTI JOIN {withheld} w ON i.dump_hour = w.dump_hour AND i.event_id = w.event_id"""


@pytest.mark.parametrize("seed", range(2))
def test_withheld_and_repeats_follow_the_definition(seed: int, workbench: Workbench) -> None:
    """Many sources' worth of random dumps in one query each: ids are prefixed by the trial."""
    chance = random.Random(seed)
    dumps: dict[datetime, list[Event]] = {NOON + n * HOUR: [] for n in range(9)}
    for trial, _ in itertools.product(range(60), range(4)):
        dump = NOON + chance.randrange(9) * HOUR
        for line in range(chance.randrange(1, 4)):
            place = len(dumps[dump])
            name = f"{trial}-{chance.randrange(3)}"
            dumps[dump].append(
                Event(
                    "web",
                    dump,
                    name,
                    NOON,
                    None,
                    None,
                    f"f{place % 3}",
                    line * 1000 + place,
                )
            )
    rows = [
        {"dump_hour": e.dump_hour, "event_id": e.event_id, "file": e.file, "line": e.line}
        for each in dumps.values()
        for e in each
    ]
    chance.shuffle(rows)
    ids = workbench.stage(rows, IDS, files=3)
    repeats = workbench.build(events.REPEATS, REPEATS, staged=ids)
    withheld = workbench.build(events.withheld(WITHIN * HOUR), WITHHELD, ids=ids)
    kept = workbench.run(KEPT, IDS, ids=ids, repeats=repeats, withheld=withheld)
    expected = [
        {
            "dump_hour": f"{e.dump_hour:%Y-%m-%d %H:%M:%S}",
            "event_id": e.event_id,
            "file": e.file,
            "line": e.line,
        }
        for e in keep_events(dumps, WITHIN).events
    ]
    assert_same_rows(kept, expected, ["event_id", "dump_hour"])
