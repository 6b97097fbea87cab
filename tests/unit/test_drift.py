"""Schema drift: fields by hour, and what is told of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import tidegate
from handmade_books import Books
from tidegate.cli.app import app
from tidegate.query.schema_drift import Seen, findings

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = {NOON + n * HOUR: 100 for n in range(10)}


def told(seen: list[Seen], declared: set[str] | None = frozenset()) -> list[tuple[str, str]]:  # type: ignore[assignment]
    return [(each.kind, each.path) for each in findings(seen, HOURS, declared)]


def field(path: str, hours: range, events: int = 100, kind: str = "string") -> list[Seen]:
    return [Seen(NOON + n * HOUR, path, kind, events) for n in hours]


def test_what_is_declared_is_declared_with_all_that_is_in_it() -> None:
    seen = [
        *field("user.id", range(10)),
        *field("items[].sku", range(10)),
        *field("userx", range(10)),
    ]
    assert told(seen, {"user", "items"}) == [("undeclared", "userx")]
    assert told(seen, {"user.id", "items", "userx", "gone"}) == [("absent", "gone")]
    assert told(seen, {"user", "items", "userx", "user.name"}) == [("absent", "user.name")]
    assert told(seen, None) == []


def test_a_field_appears_or_vanishes_where_chance_can_not_explain_it() -> None:
    assert told(field("a", range(3, 10)), {"a"}) == [("appeared", "a")]
    assert told(field("a", range(9, 10)), {"a"}) == [("appeared", "a")]
    assert told(field("a", range(3)), {"a"}) == [("vanished", "a")]
    assert told(field("a", range(3, 6)), {"a"}) == [("appeared", "a"), ("vanished", "a")]
    assert told(field("a", range(3, 10), events=1), {"a"}) == []  # one of a hundred, 300 without
    assert told(field("a", range(9, 10), events=1), {"a"}) == [("appeared", "a")] * (
        0.99**900 < 1e-6
    )


def test_types_that_change_are_told_and_null_is_no_type() -> None:
    mixed = [*field("a", range(5)), *field("a", range(5, 10), kind="number")]
    assert told(mixed, {"a"}) == [("types", "a")]
    assert told([*field("a", range(10), 50), *field("a", range(10), 50, "null")], {"a"}) == []
    [found] = findings(mixed, HOURS, {"a"})
    assert (
        found.describe() == "string 500, number 500; 1,000 events, 2026-03-01T12 to 2026-03-01T21"
    )


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(st.integers(-9, 9), max_size=3)
        | st.dictionaries(st.from_regex(r"[a-c ä'\"]{1,3}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=6,
)
_objects = st.dictionaries(st.sampled_from(["a", "b", "c'd", "ü"]), _values, max_size=4)


def leaves(value: Any, path: str) -> set[tuple[str, str]]:
    """Return the scalars of a JSON value, by plain Python."""
    if isinstance(value, dict):
        return set().union(*(leaves(each, f"{path}.{name}") for name, each in value.items()))
    if isinstance(value, list):
        return set().union(*(leaves(each, f"{path}[]") for each in value))
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
    return {(path, kinds[type(value)])}


@settings(deadline=None)  # a connection of DuckDB each
@given(st.lists(_objects, min_size=1, max_size=5))
def test_the_view_finds_every_field_of_every_line(lines: list[dict[str, Any]]) -> None:
    import duckdb

    from tidegate.query.schema_drift import VIEW

    with duckdb.connect() as db:
        db.execute("CREATE TABLE events (source TEXT, dump_hour TIMESTAMPTZ, properties TEXT)")
        for line in lines:
            db.execute("INSERT INTO events VALUES ('s', '2026-03-01', ?)", [json.dumps(line)])
        db.execute(VIEW)
        rows = db.execute("SELECT path, type, events FROM fields_by_hour").fetchall()
    scalars = set().union(*({(p[1:], t) for p, t in leaves(line, "")} for line in lines))
    found = {path for path, _, _ in rows}
    assert {path for path, _ in scalars} <= {path.replace('"', "") for path in found} | found
    tops = {name: sum(name in line for line in lines) for line in lines for name in line}
    for name, count in tops.items():
        simple = [
            line for line in lines if name in line and not isinstance(line[name], dict | list)
        ]
        if len(simple) == count:
            assert sum(events for path, _, events in rows if path.strip('"') == name) == count


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    books = Books(tmp_path)
    events = []
    for n in range(6):
        hour = NOON + n * HOUR
        books.publish("web", hour, books.land("web", hour))
        for m in range(30):
            line: dict[str, Any] = {"id": f"{n}-{m}", "at": hour.isoformat(), "kind": "view"}
            line["price"] = "1" if n == 5 else 1.5
            if n > 3:
                line["ref\x1b[31m"] = "x"
            events.append(
                {
                    "source": "web",
                    "dump_hour": hour,
                    "event_id": line["id"],
                    "properties": json.dumps(line),
                }
            )
    books.release(NOON + 9 * HOUR, 0)
    books.shown["events"] = events
    settings = books.write()
    (settings.sources / "web.yml").write_text(
        "source: web\nsince: 2026-03-01T12\ndumps: x/{dump_hour:%Y%m%d%H}.json\n"
        "fields: {event_id: id, event_time: at, event_type: kind, user_id: user.id}\n"
    )
    (tmp_path / "expectations").mkdir()
    return tmp_path


def test_the_command_tells_people_and_programs(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(lake))
    monkeypatch.setenv("TIDEGATE_HOME", str(lake / "home"))
    monkeypatch.setenv("TIDEGATE_LAKE", str(lake / "lake"))
    said = CliRunner().invoke(app, ["drift"])
    assert said.exit_code == 0, said.output
    assert "web: 180 events of 6 dump hours, 2026-03-01T12 to 2026-03-01T17" in said.output
    assert "user.id: in no event" in said.output
    assert "price: number 150, string 30" in said.output
    assert "\x1b" not in said.output
    rows = json.loads(CliRunner().invoke(app, ["drift", "web", "--json"]).stdout)
    kinds = {(each["kind"], each["path"][:3]) for each in rows[0]["findings"]}
    assert kinds == {
        ("undeclared", "pri"),
        ("undeclared", "ref"),
        ("absent", "use"),
        ("appeared", "ref"),
        ("types", "pri"),
    }
    early = CliRunner().invoke(app, ["drift", "web", "--to", "2026-03-01T14"]).output
    assert "ref" not in early
    assert "no source" in str(CliRunner().invoke(app, ["drift", "wbe"]).exception)


def test_hours_are_counted_in_sql(lake: Path) -> None:
    with tidegate.connect(lake / "lake") as db:
        rows = db.sql(
            "SELECT hour(dump_hour), type, events FROM fields_by_hour "
            "WHERE path = 'price' ORDER BY ALL"
        ).fetchall()
    assert rows == [*((hour, "number", 30) for hour in range(12, 17)), (17, "string", 30)]
