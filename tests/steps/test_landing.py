"""Landing hours: again, changed, without files, empty, unreadable; and what is written down of it."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compare import Row
from conftest import MakeProject
from project import HOUR, NOON, Project, event
from tidegate.common.errors import TidegateError
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.rebuild import rebuild
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS, QUARANTINE

BAD: list[Row | str | bytes] = [
    b"",
    b"{",
    b"null",
    b"\xff",
    {"id": "9"},
    event(8, "2020-01-01T00:00:00Z"),
]


def ids(project: Project) -> dict[str, list[str]]:
    """Return the ids of published events by dump hour of the day."""
    found: dict[str, list[str]] = {}
    for row in project.table(events.TABLE):
        found.setdefault(row["dump_hour"][11:13], []).append(row["event_id"])
    return {hour: sorted(each) for hour, each in sorted(found.items())}


def publish(project: Project, source: Any, *hours: int) -> Any:
    """Land and publish hours, counted from noon."""
    wanted = [NOON + n * HOUR for n in hours]
    landed = land(project.work(), source, wanted)
    return landed, publish_events(project.work(), source, wanted)


def test_every_line_is_accounted_for_and_landing_again_changes_nothing(project: Project) -> None:
    source = project.source()
    project.put_hour(NOON, [event(1, NOON), event(1, NOON), event(2, NOON), *BAD])
    project.put("2024-03-01-12-b.json", [event(2, NOON), event(3, NOON, n="many")])
    [landed], first = publish(project, source, 0)
    assert (landed.outcome, landed.lines, landed.events, landed.duplicates) == ("landed", 11, 2, 2)
    assert landed.quarantined == {
        "blank_line": 1,
        "not_json": 1,
        "not_object": 1,
        "not_utf8": 1,
        "missing_event_time": 1,
        "too_late": 1,
        "bad_value": 1,
    }
    [row] = project.table(LANDINGS)
    assert row["lines"] == row["events"] + row["duplicates"] + row["quarantined"] == 11
    assert row["quarantined_by_reason"] == landed.quarantined
    assert [(each["name"], each["lines"]) for each in row["files"]] == [
        ("2024-03-01-12-b.json", 2),
        ("2024-03-01-12.json.gz", 9),
    ]
    assert row["absent"] == ["anonymous_id", "n"]
    bad = project.table(QUARANTINE)
    assert sorted(each["line"] for each in bad if each["file"].endswith(".gz")) == [
        4,
        5,
        6,
        7,
        8,
        9,
    ]
    assert {each["landing_id"] for each in bad} == {landed.landing_id}
    assert [each["raw_bytes"] for each in bad if each["reason"] == "not_utf8"] == ["FF"]
    assert first.publication is not None

    versions = project.versions()
    [again], second = publish(project, source, 0)
    assert (again.outcome, again.landing_id) == ("unchanged", landed.landing_id)
    assert (again.lines, again.events, again.quarantined) == (11, 2, landed.quarantined)
    assert second.publication is None
    assert project.versions() == versions
    assert len(project.table(LANDINGS)) == 1
    assert project.table(QUARANTINE) == bad
    assert ids(project) == {"12": ["1", "2"]}


def test_a_changed_hour_replaces_itself_only_and_its_quarantine_with_it(project: Project) -> None:
    source = project.source()
    for n in range(2):
        project.put_hour(NOON + n * HOUR, [event(10 * n, NOON), event(10 * n + 1, NOON), b"bad"])
    publish(project, source, 0, 1)
    other = [row for row in project.table(events.TABLE) if row["dump_hour"][11:13] == "13"]
    project.put_hour(NOON, [event(5, NOON)])
    [landed], published = publish(project, source, 0)
    assert landed.outcome == "landed"
    assert [each.slice for each in published.publication.slices] == [NOON]
    assert ids(project) == {"12": ["5"], "13": ["10", "11"]}
    assert [r for r in project.table(events.TABLE) if r["dump_hour"][11:13] == "13"] == other
    assert [row["dump_hour"][11:13] for row in project.table(QUARANTINE)] == ["13"]


def test_what_is_noted_of_times_is_recorded_and_shown(project: Project) -> None:
    source = project.source(
        fields={"event_id": "id", "event_time": {"path": "at", "zone": "America/New_York"}},
        columns={"t": {"path": "t", "type": "timestamp", "zone": "America/New_York"}},
    )
    at = "2024-03-01T07:00:00"
    lines = [
        {"id": "1", "at": f"{at}.1234567", "t": "2023-11-05T01:30:00"},
        {"id": "2", "at": at, "t": "2023-03-12T02:30:00"},
    ]
    project.put_hour(NOON, lines)
    for outcome in ("landed", "unchanged"):
        [landed], _ = publish(project, source, 0)
        assert landed.outcome == outcome
        told = "; 1 times cut to microseconds, 1 ambiguous local times, 1 local times that do not exist"
        assert told in landed.describe()
    [row] = project.table(LANDINGS)
    assert row["notes"] == {"cut_times": 1, "ambiguous_times": 1, "nonexistent_times": 1}


def test_an_hour_without_files_is_missing_and_one_with_empty_files_is_published_empty(
    project: Project,
) -> None:
    source = project.source()
    project.put("2024-03-01-13.json.gz", b"")
    project.put("2024-03-01-14.json", b"")
    landed, published = publish(project, source, 0, 1, 2)
    assert [each.outcome for each in landed] == ["missing", "landed", "landed"]
    assert "2024-03-01-12*.json*" in landed[0].error
    assert [each.lines for each in landed] == [0, 0, 0]
    assert [(s.slice, s.rows) for s in published.publication.slices] == [
        (NOON + HOUR, 0),
        (NOON + 2 * HOUR, 0),
    ]
    assert project.table(events.TABLE) == []
    assert len(project.table(LANDINGS)) == 2


def cut(project: Project, name: str) -> None:
    lines = [json.dumps(event(n, NOON, s="x" * (n % 50))) for n in range(2000)]
    body = gzip.compress("\n".join(lines).encode(), mtime=0)
    project.put(name, b"")
    (project.dumps / name).write_bytes(body[: len(body) // 2])


def test_files_that_cannot_be_read_whole_hold_their_hour_only_until_they_are_mended(
    project: Project,
) -> None:
    source = project.source()
    project.put_hour(NOON, [event(1, NOON)])
    publish(project, source, 0)
    cut(project, "2024-03-01-12.json.gz")
    project.put_hour(NOON + HOUR, [event(2, NOON)])
    project.put("2024-03-01-14.json", gzip.compress(b"{}\n"))
    project.put("2024-03-01-15.json.gz", b"")
    (project.dumps / "2024-03-01-15.json.gz").write_bytes(b'{"plain": "text"}\n')
    project.put("2024-03-01-16.json.gz", b"")
    (project.dumps / "2024-03-01-16.json.gz").write_bytes(b"")
    landed, published = publish(project, source, 0, 1, 2, 3, 4)
    assert [each.outcome for each in landed] == [
        "unreadable",
        "landed",
        "unreadable",
        "unreadable",
        "unreadable",
    ]
    assert [each.slice for each in published.publication.slices] == [NOON + HOUR]
    assert ids(project) == {"12": ["1"], "13": ["2"]}
    for each in landed:
        if each.outcome == "unreadable":
            assert "2024-03-01-1" in each.error, each.error
            assert "expected" in each.error, each.error
    assert [row["status"] for row in project.table(LANDINGS)].count("unreadable") == 4

    project.put_hour(NOON, [event(3, NOON)])
    project.put("2024-03-01-14.json", [event(4, NOON)])
    for n in (3, 4):
        project.put_hour(NOON + n * HOUR, [event(2 + n, NOON)])
    landed, published = publish(project, source, 0, 1, 2, 3, 4)
    assert [each.outcome for each in landed] == ["landed", "unchanged", *["landed"] * 3]
    assert ids(project) == {"12": ["3"], "13": ["2"], "14": ["4"], "15": ["5"], "16": ["6"]}


CSV: dict[str, Any] = {
    "format": "csv",
    "fields": {"event_id": "id", "event_time": "at", "user_id": "user"},
    "columns": {"n": {"path": "n", "type": "int"}},
}
AT = "2024-03-01T12:00:00Z"


def test_headers_that_cannot_be_read_hold_their_hour_only(project: Project) -> None:
    source = project.source("{dump_hour:%Y-%m-%d-%H}*.csv*", **CSV)
    bodies: list[bytes] = [
        f"id,at,user,n\n1,{AT},u,3\n".encode(),
        b"id,\xff,user,n\n",
        f"id,at,id,n\n1,{AT},u,3\n".encode(),
        b"",
        f"\n1,{AT},u,3\n".encode(),
        f"id,at\n1,{AT}\n".encode(),
        f"at,id,n,user\n{AT},2,x,u\n{AT},3,4,u\n".encode(),
    ]
    for n, body in enumerate(bodies):
        project.put(f"{NOON + n * HOUR:%Y-%m-%d-%H}.csv", body)
    cut(project, f"{NOON + len(bodies) * HOUR:%Y-%m-%d-%H}.csv.gz")
    landed, published = publish(project, source, *range(len(bodies) + 1))
    assert [each.outcome for each in landed] == [
        "landed",
        "unreadable",
        "unreadable",
        "landed",
        "unreadable",
        "landed",
        "landed",
        "unreadable",
    ], "\n".join(each.describe() for each in landed)
    assert [each.lines for each in landed] == [1, 0, 0, 0, 0, 1, 2, 0]
    assert "an empty line" in str(landed[4].error)
    assert landed[5].absent == ("user_id", "n")
    assert landed[6].quarantined == {"bad_value": 1}
    assert published.held == ()


def test_a_declared_column_that_no_event_has_is_told(project: Project) -> None:
    project.put_hour(NOON, [event(1, NOON)])
    source = project.source(columns={"gone": {"path": "a.b", "type": "int"}})
    [landed], _ = publish(project, source, 0)
    assert landed.absent == ("anonymous_id", "gone")
    assert "no event has a value for anonymous_id, gone" in landed.describe()


def test_an_expression_that_fails_on_a_value_quarantines_that_line_and_no_other(
    project: Project,
) -> None:
    project.put_hour(NOON, [event(1, NOON, type="7"), event(2, NOON, type="seven")])
    source = project.source(columns={"count": {"sql": "cast(type as int)", "type": "int"}})
    [landed], published = publish(project, source, 0)
    assert landed.outcome == "landed"
    assert published.publication is not None
    assert [(row["event_id"], row["count"]) for row in project.table(events.TABLE)] == [("1", 7)]
    [row] = project.table(QUARANTINE)
    assert (row["line"], row["reason"]) == (2, "bad_value")
    assert "count" in row["detail"]


def test_hours_before_since_are_refused(project: Project) -> None:
    with pytest.raises(TidegateError, match="does not reach back that far"):
        land(project.work(), project.source(since="2024-03-01T13"), [NOON, NOON + HOUR])


def test_a_column_of_another_type_than_the_tables_is_an_error_that_names_both(
    project: Project,
) -> None:
    project.put_hour(NOON, [event(1, NOON, n=7)])
    publish(project, project.source(), 0)
    before = project.table(events.TABLE)
    other = project.source(source="other", columns={"n": {"path": "n", "type": "string"}})
    with pytest.raises(TidegateError, match="column n of events has another type"):
        publish(project, other, 0)
    assert project.table(events.TABLE) == before


def test_hours_of_one_source_that_land_at_once_all_land(project: Project) -> None:
    source = project.source()
    hours = [NOON + n * HOUR for n in range(4)]
    for n, hour in enumerate(hours):
        project.put_hour(hour, [event(n, NOON), b"bad", b""])
    with ThreadPoolExecutor(len(hours)) as pool:
        found = list(pool.map(lambda hour: land(project.work(), source, [hour]), hours))
    assert [each.outcome for [each] in found] == ["landed"] * 4
    assert len(project.table(QUARANTINE)) == 8
    assert len(project.table(LANDINGS)) == 4


def test_those_that_make_the_tables_of_a_new_lake_at_once_can_all_work(
    make_project: MakeProject,
) -> None:
    import shutil

    from tidegate.pipeline.context.run_context import working

    project = make_project()
    shutil.rmtree(project.root / "lake")

    def begin(_: int) -> int:
        with working(project.settings) as work:
            return len(work.ledger.publications(events.TABLE))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(begin, range(3))) == [0, 0, 0]


def test_dumps_that_are_named_otherwise_in_mid_life_take_effect_by_a_rebuild(
    project: Project,
) -> None:
    """Neither are hours of two kinds mixed, nor is one taken for an hour that has no files."""
    source = project.source()
    project.put_hour(NOON, [event(1, NOON)])
    publish(project, source, 0)
    moved = project.source("{dump_hour:%Y/%m/%d/%H}.json")
    project.put("2024/03/01/13.json", [event(2, NOON)])
    [landed], published = publish(project, moved, 1)
    assert landed.outcome == "missing"
    assert "no files at" in str(landed.error)
    assert "names {dump_hour:%Y/%m/%d/%H}.json by now" in landed.error
    assert "tidegate rebuild events web" in landed.error
    assert published.publication is None
    project.put("2024/03/01/12.json", [event(1, NOON)])
    assert rebuild(project.work(), events.TABLE, moved).publication is not None
    [landed], _ = publish(project, moved, 1)
    assert landed.outcome == "landed"
    assert ids(project) == {"12": ["1"], "13": ["2"]}
