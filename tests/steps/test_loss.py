"""Loss is seen: counts that manifests declare, and the numbers that producers give their events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from compare import Row
from project import HOUR, NOON, REPO, Project, event
from tidegate.config.source import Source
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.ingest.producer_numbers import MAX_RUNS
from tidegate.pipeline.publish.audit import audit_events
from tidegate.pipeline.publish.publish import Published, publish_events
from tidegate.pipeline.rebuild import rebuild
from tidegate.query.connect import connect, run
from tidegate.tables import events
from tidegate.tables.system_tables import AUDITS, LANDINGS, NUMBERS

SEQUENCE = {"producer": "host", "number": "seq"}
SUITE = """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {{column: {column}, min_value: 0, max_value: {most}}}
    severity: critical
    why: It is asked for.
"""


def numbered(hour: int, *numbers: int, host: str = "a", **more: Any) -> list[Row]:
    """Return events of a producer, received in an hour from noon."""
    at = NOON + hour * HOUR
    return [event(f"{host}-{n}-{hour}", at, host=host, seq=n, **more) for n in numbers]


def put(project: Project, hour: int, *lines: Row | str | bytes, name: str = "") -> None:
    project.put_hour(NOON + hour * HOUR, lines, name)


def go(project: Project, source: Source, *hours: int) -> Published:
    """Land and publish hours, counted from noon."""
    wanted = [NOON + n * HOUR for n in hours]
    land(project.work(), source, wanted)
    return publish_events(project.work(), source, wanted)


def seen(project: Project, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of `ops.sequences`, as an analyst does."""
    with connect(project.settings) as connection:
        listed = ", ".join(columns)
        return run(
            connection,
            f"SELECT hour(dump_hour) - 12, producer, {listed} FROM ops.sequences ORDER BY 1, 2",
        ).fetchall()


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_are_accounted_for_by_producer_and_hour_in_whatever_order_hours_land(
    project: Project,
) -> None:
    source = project.source(sequence=SEQUENCE)
    put(project, 0, *numbered(0, 1, 2), name="-a")
    put(project, 0, *numbered(0, 3), *numbered(0, 1, 2, host="b"), name="-b")
    # 4 is lost; 5 comes twice; the line of 6 has no time that can be understood.
    put(
        project,
        1,
        *numbered(1, 5, 5),
        {"id": "x", "at": "never", "host": "a", "seq": 6},
        b"{broken",
    )
    put(project, 2, *numbered(2, 9), *numbered(2, 4, host="b"), event("y", NOON, host="c"))
    put(project, 3, *numbered(3, 8, 10))
    go(project, source, 2)
    go(project, source, 3, 0)
    assert seen(project, "expected", "lost", "awaited")[2:] == [
        (2, "a", 6, 0, 4),
        (2, "b", 2, 0, 1),
        (3, "a", 1, 0, 0),
        (3, "b", None, None, None),
    ]
    go(project, source, 1)
    assert seen(project, "received", "expected", "lost", "awaited", "late", "repeated") == [
        (0, "a", 3, 3, 0, 0, 0, 0),
        (0, "b", 2, 2, 0, 0, 0, 0),
        (1, "a", 3, 3, 1, 0, 0, 1),
        (1, "b", 0, None, None, None, 0, 0),
        (2, "a", 1, 3, 1, 0, 0, 0),
        (2, "b", 1, 2, 1, 0, 0, 0),
        (3, "a", 2, 1, 0, 0, 1, 0),
        (3, "b", 0, None, None, None, 0, 0),
    ]
    latest = {row["dump_hour"][11:13]: row["unnumbered"] for row in project.table(LANDINGS)}
    assert latest == {"12": 0, "13": 1, "14": 1, "15": 0}
    assert {name for row in project.table(events.TABLE) for name in row} == set(
        events.TABLE.column_names
    ) | {"n"}


def test_what_is_published_of_an_hour_stands_or_else_what_is_held(project: Project) -> None:
    source = project.source(sequence=SEQUENCE)
    put(project, 0, *numbered(0, 1, 2))
    put(project, 1, *numbered(1, 3, 4))
    put(project, 2, *numbered(2, 7))
    project.suite("events", SUITE.format(column="lost", most=1))
    found = go(project, source, 0, 1, 2)
    assert [each.slices for each in found.held] == [(NOON + 2 * HOUR,)]
    assert seen(project, "lost", "published") == [
        (0, "a", 0, True),
        (1, "a", 0, True),
        (2, "a", 2, False),
    ]
    # The hour lands again with less: until that is published, what is published stands.
    put(project, 1, *numbered(1, 4))
    land(project.work(), source, [NOON + HOUR])
    assert seen(project, "received", "lost")[1] == (1, "a", 2, 0)
    publish_events(project.work(), source, [NOON + HOUR])
    assert seen(project, "received", "lost")[1] == (1, "a", 1, 1)
    # A late number in a later hour, and the held one passes as it is.
    put(project, 3, *numbered(3, 5, 8))
    assert not go(project, source, 3).held
    assert not go(project, source, 2).held
    assert [row[-2:] for row in seen(project, "lost", "published")] == [
        (0, True),
        (1, True),
        (1, True),
        (0, True),
    ]


def test_audits_know_what_an_hour_lacks(project: Project) -> None:
    source = project.source(sequence=SEQUENCE)
    put(project, 0, *numbered(0, 1, 2), *numbered(0, 1, host="b"))
    put(project, 1, *numbered(1, 2, 4, 7), event("x", NOON, host="a"), event("y", NOON))
    go(project, source, 0)
    land(project.work(), source, [NOON + HOUR])
    audit_events(project.work(), source, [NOON + HOUR])
    told = [
        json.loads(row["facts"]) for row in project.table(AUDITS) if "13:00" in str(row["slices"])
    ]
    facts = {
        "lost": 3,
        "lost_share": 0.6,
        "repeated_numbers": 1,
        "silent_producers": 1,
        "unnumbered": 2,
    }
    assert [{name: each[name] for name in facts} for each in told] == [facts]


def test_without_a_sequence_nothing_is_known_of_numbers_and_no_check_of_them_fails(
    project: Project,
) -> None:
    put(project, 0, *numbered(0, 1, 5))
    project.suite("events", SUITE.format(column="lost", most=0))
    assert not go(project, project.source(), 0).held
    assert project.table(NUMBERS) == []
    assert project.table(LANDINGS)[0]["unnumbered"] is None
    assert seen(project, "lost") == []


def test_a_sequence_that_is_added_concerns_what_lands_from_then_on_and_no_published_row(
    project: Project,
) -> None:
    put(project, 0, *numbered(0, 1, 2))
    go(project, project.source(), 0)
    rows = project.table(events.TABLE)
    source = project.source(sequence=SEQUENCE)
    put(project, 1, *numbered(1, 4))
    assert not go(project, source, 1).held
    assert seen(project, "expected", "previous_hour") == [(1, "a", 1, None)]
    # The hour before can be landed again for its numbers.
    go(project, source, 0)
    assert seen(project, "expected", "lost") == [(0, "a", 2, 0), (1, "a", 2, 1)]
    assert [row for row in project.table(events.TABLE) if row["dump_hour"][11:13] == "12"] == rows
    assert rebuild(project.work(), events.TABLE, source).publication is not None
    assert seen(project, "expected", "lost") == [(0, "a", 2, 0), (1, "a", 2, 1)]


def test_a_sequence_waits_where_what_is_in_force_reads_its_folder_as_a_value(
    project: Project,
) -> None:
    put(project, 0, event(1, NOON, host={"name": "a"}, seq=1))
    columns = {"host": {"path": "host", "type": "string"}}
    go(project, project.source(columns=columns), 0)
    put(project, 1, event(2, NOON, host={"name": "a"}, seq=2))
    within = {"producer": "host.name", "number": "seq"}
    go(project, project.source(columns={}, sequence=within), 1)
    assert [row["host"] for row in project.table(events.TABLE)] == ['{"name":"a"}'] * 2
    assert seen(project, "received") == []


def test_numbers_are_whole_and_not_below_nought_and_producers_have_names(project: Project) -> None:
    source = project.source(sequence={"producer": {"sql": "host || '/x'"}, "number": "seq"})
    bad: list[Any] = [-1, 1.5, "x", None, (1 << 63) - 1, 1 << 70, True, [1]]
    lines = [event(n, NOON, host="a", seq=value) for n, value in enumerate(bad)]
    good = [event("g", NOON, host="a", seq=(1 << 63) - 2), event("h", NOON, host="a", seq=" 0 ")]
    nobody = [event("i", NOON, seq=1), event("j", NOON, host="x" * 300, seq=1)]
    put(project, 0, *lines, *good, *nobody)
    go(project, source, 0)
    [row] = project.table(NUMBERS)
    assert (row["producer"], row["received"]) == ("a/x", 2)
    assert row["runs"] == [{"first": n, "last": n} for n in (0, (1 << 63) - 2)]
    assert project.table(LANDINGS)[0]["unnumbered"] == len(bad) + len(nobody)


def test_numbers_in_too_many_runs_are_not_kept(project: Project) -> None:
    apart = range(0, 2 * MAX_RUNS, 2)
    few, many = [*apart, apart[-1] + 1], [*apart, apart[-1] + 2]
    put(project, 0, *numbered(0, *few), *numbered(0, *many, host="b"))
    go(project, project.source(sequence=SEQUENCE), 0)
    assert seen(project, "received", "expected", "last") == [
        (0, "a", len(few), few[-1] + 1, few[-1]),
        (0, "b", len(many), None, many[-1]),
    ]


def test_delimited_rows_of_another_width_have_no_number_that_could_be_read(
    project: Project,
) -> None:
    source = project.source(
        "{dump_hour:%Y-%m-%d-%H}.csv",
        format="csv",
        fields={"event_time": "at"},
        columns={},
        sequence=SEQUENCE,
    )
    at = f"{NOON:%Y-%m-%dT%H:%M:%SZ}"
    project.put(f"{NOON:%Y-%m-%d-%H}.csv", f"host,seq,at\na,1,{at}\na,2\na,3,{at},9\na,4,bad\n")
    go(project, source, 0)
    assert seen(project, "received", "lost") == [(0, "a", 2, 2)]
    assert project.table(LANDINGS)[0]["unnumbered"] == 2


# -- manifests -------------------------------------------------------------------------------------


def declare(project: Project, hour: int, manifest: Any) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    project.put(f"{NOON + hour * HOUR:%Y-%m-%d-%H}.manifest", text)


def with_manifest(project: Project) -> Source:
    return project.source(complete={"manifest": "{dump_hour:%Y-%m-%d-%H}.manifest"})


def entry(hour: int, **counts: Any) -> Row:
    return {"name": f"{NOON + hour * HOUR:%Y-%m-%d-%H}.json.gz", **counts}


def held(found: Published) -> Sequence[int]:
    return sorted(int((hour - NOON) / HOUR) for hour in found.held_hours)


def test_an_hour_with_other_lines_or_bytes_than_its_manifest_declares_is_held_until_one_is_mended(
    project: Project,
) -> None:
    suite = yaml.safe_load((REPO / "expectations" / "events.yml").read_text())
    about = [each for each in suite["expectations"] if each["args"]["column"].endswith("_off")]
    project.suite("events", yaml.safe_dump({**suite, "expectations": about}))
    source = with_manifest(project)
    for hour in range(4):
        put(project, hour, event(f"{hour}-1", NOON), event(f"{hour}-2", NOON), b"bad")
    declare(project, 0, {"files": [entry(0, rows=3)], "rows": 3})
    declare(project, 1, [entry(1, rows=4)])
    declare(project, 2, [entry(2, size=1)])
    declare(project, 3, [entry(3)])
    found = go(project, source, 0, 1, 2, 3)
    assert held(found) == [1, 2]
    text = "\n".join(each.describe() for each in found.held)
    for told in ("(lines_off)", "(bytes_off)", "The producer counted its lines"):
        assert told in text
    rows = sorted(project.table(LANDINGS), key=lambda row: row["dump_hour"])
    assert [(row["declared_lines"], row["lines_off"]) for row in rows] == [
        (3, 0),
        (4, 1),
        (None, None),
        (None, None),
    ]
    assert [row["declared_bytes"] for row in rows] == [None, None, 1, None]
    assert rows[2]["bytes_off"] == rows[2]["bytes"] - 1
    # The same files with a mended manifest.
    declare(project, 1, [entry(1, rows=3)])
    assert held(go(project, source, 1, 2)) == [2]
    declare(project, 2, [entry(2)])
    assert held(go(project, source, 1, 2)) == []
    assert len(project.table(events.TABLE)) == 8


@pytest.mark.parametrize("rows", [-1, "3", 1.5, True, 1 << 60], ids=str)
def test_counts_that_cannot_be_hold_their_hour_only(rows: Any, project: Project) -> None:
    source = with_manifest(project)
    put(project, 0, event(1, NOON))
    put(project, 1, event(2, NOON))
    declare(project, 0, [entry(0, rows=rows)])
    landed = land(project.work(), source, [NOON, NOON + HOUR])
    assert [each.outcome for each in landed] == ["unreadable", "landed"]
    assert "the manifest 2024-03-01-12.manifest can't be read" in str(landed[0].error)
    [row] = [row for row in project.table(LANDINGS) if row["status"] == "unreadable"]
    assert row["declared_lines"] is None


def test_files_that_no_manifest_names_are_reported(project: Project) -> None:
    source = with_manifest(project)
    for hour in range(3):
        put(project, hour, event(hour, NOON))
    declare(project, 0, [entry(0)])
    declare(project, 1, ["other.json.gz"])
    declare(project, 2, {"rows": 1})
    landed = land(project.work(), source, [NOON + hour * HOUR for hour in range(3)])
    assert [each.notes for each in landed] == [{}, {"undeclared_files": 1}, {}]
    assert "1 files that the manifest does not name" in landed[1].describe()
    rows = sorted(project.table(LANDINGS), key=lambda row: row["dump_hour"])
    assert [dict(row["notes"] or {}) for row in rows] == [{}, {"undeclared_files": 1}, {}]
