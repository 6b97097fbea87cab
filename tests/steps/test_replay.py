"""Quarantined lines come back once their source file is mended, as if they had never been there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from compare import Row, assert_same_rows
from conftest import CopyProject, MakeProject
from histories import tables
from project import HOUR, LINES, NOON, REPO, Project, event
from tidegate.common.errors import EXIT_HELD, TidegateError
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.replay import replay, standing, try_lines
from tidegate.pipeline.verify import verify
from tidegate.tables import BY_NAME, events
from tidegate.tables.system_tables import CORRECTIONS, LANDINGS, QUARANTINE

MINUTE = timedelta(minutes=1)
HOURS = [NOON, NOON + HOUR, NOON + 2 * HOUR]
NARROW: dict[str, Any] = {"accept": {"late": "90m", "future": "1h"}}
MENDED: dict[str, Any] = {
    "accept": {"late": "3d", "future": "1h"},
    "columns": {"n": {"sql": "try_cast(n as int)", "type": "int"}},
}
BROKEN = "\x1b[31m<script>"


def lines(at: int) -> list[Row | str]:
    """Return an hour's lines: of the first two a few are late or do not fit, of the third most."""
    hour = NOON + at * HOUR
    found: list[Row | str] = [
        event(f"{at}{n}", hour + n * 7 * MINUTE, f"u{n % 3}", n=n) for n in range(8)
    ]
    found += [event(f"{at}late", NOON - 3 * HOUR + at * MINUTE, "u1"), BROKEN]
    found.append(event(f"{at}text", hour, "u2", n="many"))
    if at == 2:
        found += [event(f"more{n}", NOON - 2 * HOUR + n * MINUTE, "u4") for n in range(14)]
        found.append(event("0late", NOON - 3 * HOUR, "u1"))  # a duplicate of the first hour's
    return found


def begun(make_project: MakeProject) -> Project:
    """Return a project with three hours' dumps and the repo's own suite of events."""
    project = make_project()
    project.suite("events", (REPO / "expectations" / "events.yml").read_text())
    for at, hour in enumerate(HOURS):
        project.put_hour(hour, lines(at))
    return project


@pytest.fixture(scope="module")
def narrow(make_project: MakeProject) -> Project:
    """Publish three hours by a file that accepts too little; the third is held for its bad lines."""
    project = begun(make_project)
    ran = project.run(project.source(**NARROW), HOURS)
    assert [each.slices for each in ran.held] == [(HOURS[2],)]
    return project


@pytest.fixture(scope="module")
def right(make_project: MakeProject) -> dict[str, list[Row]]:
    """Return the tables of a lake that had the mended file from the start."""
    project = begun(make_project)
    assert not project.run(project.source(**MENDED), HOURS).held
    return tables(project)


@pytest.fixture
def project(narrow: Project, copy_project: CopyProject) -> Project:
    return copy_project(narrow)


def everything(project: Project) -> tuple[dict[str, int], list[Row], list[Row]]:
    return project.versions(), project.table(LANDINGS), project.table(QUARANTINE)


def assert_right(project: Project, right: dict[str, list[Row]]) -> None:
    for name, rows in tables(project).items():
        assert_same_rows(rows, right[name], BY_NAME[name].key)


def test_lines_that_a_mended_file_accepts_come_back_and_held_hours_with_them(
    project: Project, right: dict[str, list[Row]]
) -> None:
    source = project.source(**MENDED)
    before = everything(project)
    trial = try_lines(project.work(), source)
    assert everything(project) == before
    assert [
        (each.hour, each.reason, each.lines, each.becomes, each.now) for each in trial.outcomes
    ] == [
        (hour, reason, n, becomes, now)
        for hour, late in zip(HOURS, (1, 1, 16), strict=True)
        for reason, n, becomes, now in (
            ("bad_value", 1, "fits", None),
            ("not_json", 1, "stays", "not_json"),
            ("too_late", late, "fits", None),
        )
    ]
    assert trial.rebuilds
    assert not trial.again

    done = replay(project.work(), trial)
    assert done.exit_status == 0
    assert done.left == {"not_json": 3}
    assert_right(project, right)
    found = verify(project.work(), [source])
    assert found.holds, found
    assert {row["reason"] for row in project.table(QUARANTINE)} == {"not_json"}
    told = [
        row for row in project.table(CORRECTIONS) if row["release_id"] == done.release.release_id
    ]
    assert "configuration" in {row["cause"] for row in told}

    after = everything(project)
    with pytest.raises(TidegateError, match="none of the 3 quarantined lines of web") as caught:
        replay(project.work(), try_lines(project.work(), source))
    assert "3 not_json (expected one JSON object" in str(caught.value)
    assert everything(project) == after


def test_a_file_by_which_no_line_fits_changes_nothing(project: Project) -> None:
    before = everything(project)
    same = try_lines(project.work(), project.source(**NARROW))
    assert not same.rebuilds
    assert same.count("stays") == same.lines == 24
    other = try_lines(project.work(), project.source(**NARROW, sessions={"id": "session"}))
    assert other.rebuilds
    assert other.count("stays") == 24
    for trial in (same, other):
        with pytest.raises(TidegateError, match="none of the 24") as caught:
            replay(project.work(), trial)
        assert "18 too_late (expected at most 5400 s" in str(caught.value)
        assert "column n: expected int, got many" in str(caught.value)
    assert everything(project) == before


def test_a_range_limits_what_is_tried(project: Project) -> None:
    trial = try_lines(project.work(), project.source(**MENDED), HOURS[1], HOURS[1])
    assert {each.hour for each in trial.outcomes} == {HOURS[1]}
    assert trial.count("fits") == 2


def test_dumps_that_are_gone_stop_a_replay_before_anything_is_changed(project: Project) -> None:
    for file in project.dumps.glob("2024-03-01-13*"):
        file.unlink()
    before = everything(project)
    trial = try_lines(project.work(), project.source(**MENDED))
    with pytest.raises(TidegateError, match="can't be landed anew"):
        replay(project.work(), trial)
    assert everything(project) == before


def test_a_column_that_the_table_has_with_another_type_is_told_before_anything_is_changed(
    project: Project,
) -> None:
    before = everything(project)
    text = project.source(**{**MENDED, "columns": {"n": {"path": "n", "type": "string"}}})
    with pytest.raises(TidegateError, match="column n of events has another type"):
        try_lines(project.work(), text)
    assert everything(project) == before


def test_a_replay_that_the_gate_held_goes_on_when_it_is_run_again(
    project: Project, right: dict[str, list[Row]]
) -> None:
    describe(project)
    suite = (project.settings.expectations / "events.yml").read_text()
    before = project.versions()
    project.suite(
        "events",
        suite
        + """
  - type: expect_column_values_to_be_between
    name: not too many rows
    of: facts
    args: {column: rows, max_value: 9}
    severity: critical
    why: For this test.
""",
    )
    told = project.tidegate("quarantine", "replay", "web", status=EXIT_HELD)
    assert "not too many rows" in told
    assert project.versions() == before

    project.suite("events", suite)
    # The landing that was not published has taken the lines of the one that stands.
    done = json.loads(project.tidegate("quarantine", "replay", "web", "--json"))
    assert (done["trial"]["lines"], done["trial"]["untried"]) == (24, 6)
    assert done["replayed"]["left"] == {"not_json": 3}
    assert done["replayed"]["published"][0]["table"] == "events"
    assert_right(project, right)


def test_where_nothing_is_published_just_the_hours_of_the_lines_are_landed(
    make_project: MakeProject, right: dict[str, list[Row]]
) -> None:
    project = begun(make_project)
    wrong = {**LINES["fields"], "event_time": "when"}
    ran = project.run(project.source(fields=wrong), HOURS)
    assert len(ran.held) == len(HOURS)

    source = project.source(**MENDED)
    trial = try_lines(project.work(), source)
    assert not trial.rebuilds
    assert trial.again == tuple(HOURS)
    assert trial.count("stays") == 3
    # As if the replay had been killed once the first hours were landed.
    land(project.work(), source, HOURS[:2])
    trial = try_lines(project.work(), source)
    assert trial.again == tuple(HOURS)
    done = replay(project.work(), trial)
    assert done.exit_status == 0
    assert [each.outcome for each in done.landed] == ["unchanged", "unchanged", "landed"]
    assert_right(project, right)
    assert try_lines(project.work(), source).is_idle


def test_lines_that_mean_nothing_without_their_file_are_left_to_the_landing(
    project: Project,
) -> None:
    form = {"type": "csv", "delimiter": ";"}
    fields = {"event_id": "id", "event_time": "at", "user_id": "user"}
    wrong = {"source": "table", "format": form, "fields": fields}
    inner = "table-{dump_hour:%Y-%m-%d-%H}.csv"
    project.put(
        "table-2024-03-01-12.csv",
        "at;id;user;n\n2024-03-01T12:00:00Z;1;a;x\n2024-03-01T12:00:00Z;2;b;5\n2024;3\n",
    )
    first = project.source(inner, **wrong)
    project.run(first, [NOON])
    same = try_lines(project.work(), first)
    assert [(each.lines, each.becomes) for each in same.outcomes] == [(1, "stays"), (1, "stays")]

    source = project.source(inner, **wrong, columns={})
    trial = try_lines(project.work(), source)
    assert [(each.reason, each.becomes) for each in trial.outcomes] == [
        ("bad_value", "untried"),
        ("wrong_columns", "untried"),
    ]
    done = replay(project.work(), trial)
    assert done.left == {"wrong_columns": 1}
    found = [row for row in project.table(events.TABLE) if row["source"] == "table"]
    assert sorted(row["event_id"] for row in found) == ["1", "2"]


def test_bytes_that_are_no_text_and_lines_without_an_end_are_tried_as_they_were(
    make_project: MakeProject,
) -> None:
    project = make_project()
    long = json.dumps(event("long", NOON, s="x" * 1_100_000))
    project.put_hour(NOON, [event(1, NOON, when=1), b'{"id": "\xff"}', long])
    wrong = {**LINES["fields"], "event_time": "when"}
    project.run(project.source(fields=wrong), [NOON])
    trial = try_lines(project.work(), project.source())
    assert [(each.reason, each.becomes, each.now) for each in trial.outcomes] == [
        ("bad_event_time", "fits", None),
        ("not_utf8", "stays", "not_utf8"),
        ("too_long", "stays", "too_long"),
    ]
    assert all(each.detail for each in trial.outcomes if each.now)


def test_the_landing_that_stands_is_the_latest_of_the_configuration_in_force() -> None:
    def row(landing: str, hour: int, configuration: str) -> Row:
        return {
            "landing_id": landing,
            "dump_hour": f"2024-03-01T{hour}:00:00Z",
            "configuration": configuration,
            "landed_at": f"2024-03-02T00:0{landing}:00Z",
        }

    rows = [row("3", 12, "new"), row("2", 12, "old"), row("1", 12, "old"), row("1", 13, "new")]
    for configuration, expected in (("old", ["2", "1"]), ("new", ["3", "1"]), (None, ["3", "1"])):
        found = standing(rows, configuration)
        assert [found[hour]["landing_id"] for hour in HOURS[:2]] == expected


def test_the_commands_show_what_is_there_and_what_would_fit(project: Project) -> None:
    describe(project)
    shown = project.tidegate("quarantine")
    assert "web too_late: 18 lines, 37.50% of 3 hours, 2024-03-01T12..2024-03-01T14" in shown
    assert "2024-03-01-14.json.gz:10  expected one JSON object" in shown
    assert "\\x1b[31m<script>" in shown
    assert shown.endswith("next  fix its source file, then: tidegate quarantine replay web\n")

    before = everything(project)
    told = project.tidegate("quarantine", "replay", "web", "--dry-run")
    assert told.startswith("21 of 24 quarantined lines of web fit web.yml now\n")
    assert "all hours are landed again" in told
    told = project.tidegate("quarantine", "replay", "web", "--from", "2024-03-02", "--json")
    assert json.loads(told)["replayed"] is None
    assert everything(project) == before


def describe(project: Project) -> None:
    """Write the mended source file."""
    said: dict[str, Any] = {
        **LINES,
        **MENDED,
        "dumps": f"{project.dumps}/{{dump_hour:%Y-%m-%d-%H}}*.json*",
    }
    (project.settings.sources / "web.yml").write_text(json.dumps(said))


@pytest.mark.parametrize("records", [None, "Records"])
def test_lines_that_look_like_another_layout_are_tried_as_the_records_that_they_were(
    make_project: MakeProject, records: str | None
) -> None:
    project = make_project()
    late = [event(f"late{n}", NOON - 3 * HOUR + n * MINUTE, "u1") for n in range(2)]
    good = [event(f"{n}", NOON + n * MINUTE, "u1") for n in range(8)]
    texts = ["[1, 2]", *map(json.dumps, [*late, *good])]
    body = "[" + ",\n".join(texts) + "]"
    form = {"type": "json", **({"records": records} if records else {})}
    project.put(f"{NOON:%Y-%m-%d-%H}.json", f'{{"{records}": {body}}}' if records else body)
    land(project.work(), project.source(**NARROW, format=form), [NOON])
    trial = try_lines(project.work(), project.source(**{**NARROW, **MENDED}, format=form))
    assert {(each.reason, each.lines, each.becomes) for each in trial.outcomes} == {
        ("not_object", 1, "stays"),
        ("too_late", 2, "fits"),
    }
