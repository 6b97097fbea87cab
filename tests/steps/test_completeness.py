"""Completeness: which hours and days analysts see whole, and which not, by the release that they see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from project import LIMITED, NOON, Project, event
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.query.connect import connect

HOUR = timedelta(hours=1)


def asked(project: Project, query: str, release: str | None = None) -> list[tuple[Any, ...]]:
    with connect(project.settings, release) as connection:
        return connection.execute(query).fetchall()


BY_HOUR = "SELECT strftime(dump_hour, '%d %H'), state, rows, is_latest FROM completeness_by_hour ORDER BY 1"
BY_DAY = (
    "SELECT strftime(dump_date, '%d'), is_partial, hours_published, hours_held, hours_waiting, "
    "hours_missing, hours_outside FROM completeness_by_day ORDER BY 1"
)


def test_a_day_with_a_held_hour_is_partial_and_heals_when_the_hour_is_published(
    project: Project,
) -> None:
    project.suite("events", LIMITED.replace("SEVERITY", "critical"))
    source = project.source()
    day = NOON.replace(hour=0)
    hours = [day + n * HOUR for n in range(25)]
    for n, hour in enumerate(hours):
        most = 10 if n == 3 else 1
        project.put_hour(hour, [event(f"{n}-{k}", hour, n=most) for k in range(2)])
    first = project.run(source, hours).release.release_id
    assert asked(project, BY_DAY) == [
        ("01", True, 23, 1, 0, 0, 0),
        ("02", True, 1, 0, 0, 0, 23),
    ]
    [[state, why]] = asked(
        project, "SELECT state, why FROM completeness_by_hour WHERE state <> 'published'"
    )
    assert state == "held"
    assert "observed 2 of 2 rows" in why
    project.put_hour(hours[3], [event(f"3-{k}", hours[3], n=2) for k in range(2)])
    project.run(source, [hours[3]])
    assert asked(project, BY_DAY)[0] == ("01", False, 24, 0, 0, 0, 0)
    # Who looks at the release before still sees a partial day.
    assert asked(project, BY_DAY, first)[0][:3] == ("01", True, 23)


def test_every_state_of_an_hour(project: Project) -> None:
    project.suite("events", LIMITED.replace("SEVERITY", "critical"))
    source = project.source()
    hours = [NOON + n * HOUR for n in range(6)]
    for n in (0, 1, 3, 4, 5):
        project.put_hour(hours[n], [event(f"{n}-{k}", hours[n], n=1) for k in range(2)])
    project.put_hour(hours[1], [event("bad", NOON, n=10), event("worse", NOON, n=11)])
    (project.dumps / f"{hours[3]:%Y-%m-%d-%H}.json.gz").write_bytes(b"\x1f\x8bcut")
    project.run(source, hours[:4])
    # Landed, not published; then published, not released.
    land(project.work(), source, hours[4:])
    publish_events(project.work(), source, [hours[5]])
    # A newer landing is held: readers go on seeing the older rows.
    project.put_hour(hours[0], [event("new", NOON, n=12), event("er", NOON, n=12)])
    project.run(source, [hours[0]])
    assert asked(project, BY_HOUR) == [
        ("01 12", "published", 2, False),
        ("01 13", "held", 0, False),
        ("01 14", "missing", 0, False),
        ("01 15", "unreadable", 0, False),
        ("01 16", "waiting", 0, False),
        ("01 17", "published", 2, True),
    ]
    assert asked(project, "SELECT state, count(*) FROM ops.hours GROUP BY 1 ORDER BY 1") == [
        ("held", 2),
        ("published", 1),
        ("unreadable", 1),
        ("waiting", 1),
    ]
