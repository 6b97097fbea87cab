"""What `tidegate quarantine` shows: counts of the landings that stand, and lines that do no harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from handmade_delta import write_delta
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError
from tidegate.common.text_output import clipped

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STAMP = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
COUNTS = pa.map_(TEXT, pa.int64())
HOSTILE = "<script>alert(1)</script>\x1b]0;owned\x07\x9b31m\u202e\x7f\r" + "日" * 1_000_000


def landing(
    id_: str, source: str, hours: int, lines: int, bad: dict[str, int], made_by: str = "old"
) -> dict[str, object]:
    return {
        "landing_id": id_,
        "source": source,
        "dump_hour": NOON + hours * HOUR,
        "status": "landed",
        "lines": lines,
        "quarantined_by_reason": list(bad.items()),
        "configuration": made_by,
        "landed_at": NOON + int(id_) * HOUR,
    }


LANDINGS = [
    landing("1", "shop", 0, 10, {"too_late": 5}),
    landing("2", "shop", 0, 12, {"too_late": 3, "not_json": 1}),  # the hour, again
    landing("3", "shop", 1, 8, {"too_late": 2}),
    landing("4", "shop", 1, 8, {}, "new"),  # of a rebuild that was not published
    landing("5", "app", 2, 100, {"bad_value": 1}),
    landing("6", "still", 2, 4, {}),
]
LINES: list[tuple[str, str, int, str, str, str, str | None]] = [
    ("2", "shop", 0, "too_late", f"shop/{n}.json", "expected at most 5 s", '{"n": 1}')
    for n in range(3)
]
LINES += [
    ("2", "shop", 0, "not_json", "shop/\x1b[2J.json", f"got {HOSTILE}", HOSTILE),
    ("5", "app", 2, "bad_value", "app.json", "column n: expected int, got x", '{"n": "x"}'),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake whose books tell of three sources; `shop` was published by the old file."""
    lake = tmp_path_factory.mktemp("lake")
    write(lake, LANDINGS, LINES)
    return lake


def write(
    lake: Path,
    landings: list[dict[str, object]],
    lines: list[tuple[str, str, int, str, str, str, str | None]],
) -> None:
    write_delta(lake / "warehouse/events", pa.table({"event_id": pa.array([], TEXT)}))
    kinds = {"dump_hour": STAMP, "landed_at": STAMP, "lines": pa.int64()}
    kinds["quarantined_by_reason"] = COUNTS
    columns = {
        name: pa.array([row[name] for row in landings], kinds.get(name, TEXT))
        for name in LANDINGS[0]
    }
    write_delta(lake / "ops/landings", pa.table(columns))
    made = {"table_name": "events", "source": "shop", "configuration": "old"}
    write_delta(
        lake / "ops/publications",
        pa.table({**{k: pa.array([v], TEXT) for k, v in made.items()}, "sequence": [1]}),
    )
    names = ("landing_id", "source", "dump_hour", "reason", "file", "detail", "raw")
    rows: dict[str, list[Any]] = {name: [row[at] for row in lines] for at, name in enumerate(names)}
    rows["dump_hour"] = [NOON + n * HOUR for n in rows["dump_hour"]]
    table = {name: pa.array(rows[name], kinds.get(name, TEXT)) for name in names}
    numbers = pa.array([at + 1 for at in range(len(lines))], pa.int64())
    write_delta(lake / "ops/quarantine", pa.table({**table, "line": numbers}))


def told(lake: Path, *words: str) -> str:
    result = CliRunner().invoke(
        app, ["quarantine", *words, "--lake", str(lake)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def fault(lake: Path, *words: str) -> str:
    with pytest.raises(TidegateError) as caught:
        told(lake, *words)
    return str(caught.value)


def test_lines_are_counted_by_source_and_reason_as_the_landings_that_stand_met_them(
    lake: Path,
) -> None:
    assert told(lake, "--lines", "0").splitlines() == [
        "app bad_value: 1 lines, 1.00% of 2026-05-01T14",
        "  a value does not fit its column's type, or can't be kept exactly",
        f"  next  fix its source file, then: tidegate quarantine replay app --lake {lake}",
        "shop not_json: 1 lines, 8.33% of 2026-05-01T12",
        "  the line is not one JSON value and nothing else",
        "shop too_late: 5 lines, 25.00% of 2 hours, 2026-05-01T12..2026-05-01T13",
        "  the event is older than the source accepts",
        f"  next  fix its source file, then: tidegate quarantine replay shop --lake {lake}",
    ]


def test_a_source_or_a_range_is_told_by_hour(lake: Path) -> None:
    words = ("--source", "shop", "--reason", "too_late", "--lines", "2")
    assert told(lake, *words).splitlines() == [
        "shop too_late: 5 lines, 25.00% of 2 hours, 2026-05-01T12..2026-05-01T13",
        "  the event is older than the source accepts",
        "  2026-05-01T12  3 of 12",
        "  2026-05-01T13  2 of 8",
        "  shop/0.json:1  expected at most 5 s",
        '    {"n": 1}',
        "  shop/1.json:2  expected at most 5 s",
        '    {"n": 1}',
        f"  next  fix its source file, then: tidegate quarantine replay shop --lake {lake}",
    ]
    later = told(lake, "--from", "2026-05-01T13", "--to", "2026-05-01T13")
    assert later.startswith("shop too_late: 2 lines, 25.00% of 2026-05-01T13\n")
    assert "app" not in later


def test_scripts_get_the_same_as_json(lake: Path) -> None:
    app_, *_, late = json.loads(told(lake, "--json"))
    assert app_ == {
        "source": "app",
        "reason": "bad_value",
        "lines": 1,
        "share": 0.01,
        "hours": [{"hour": "2026-05-01T14", "lines": 1, "of": 100}],
        "samples": [
            {
                "hour": "2026-05-01T14",
                "file": "app.json",
                "line": 5,
                "detail": "column n: expected int, got x",
                "raw": '{"n": "x"}',
            }
        ],
        "todo": f"fix its source file, then: tidegate quarantine replay app --lake {lake}",
    }
    assert (late["lines"], late["share"], len(late["samples"])) == (5, 0.25, 3)


def test_hostile_lines_are_escaped_and_cut(lake: Path) -> None:
    for words in ((), ("--json",), ("--source", "shop")):
        shown = told(lake, *words)
        assert all(char == "\n" or char.isprintable() for char in shown), words
        assert max(map(len, shown.splitlines())) < 300
    assert "    <script>alert(1)</script>\\x1b]0;owned\\x07\\x9b31m\\u202e\\x7f\\r日" in shown
    assert "shop/\\x1b[2J.json:4  got <script>" in shown


def test_a_line_that_was_not_kept_is_shown_by_its_place_alone(tmp_path: Path) -> None:
    lines = [("1", "shop", 0, "not_json", "a.json", "expected one object", None)]
    write(tmp_path, [landing("1", "shop", 0, 9, {"not_json": 1})], [*lines])
    assert told(tmp_path).splitlines()[2:] == [
        "  a.json:1  expected one object",
        f"  next  fix its source file, then: tidegate quarantine replay shop --lake {tmp_path}",
    ]


def test_a_cut_text_is_as_wide_as_asked_for_and_marked() -> None:
    assert clipped("x" * 10, 10) == "x" * 10
    assert clipped("x" * 11, 10) == "x" * 9 + "…"
    assert clipped("日" * 6, 10) == "日" * 4 + "…"
    assert clipped("\x1b" * 3, 10) == "\\x1b\\x1b\\…"


def test_what_is_not_there_is_named_with_the_nearest_that_is(lake: Path, tmp_path: Path) -> None:
    assert "did you mean 'shop'?" in fault(lake, "--source", "shap")
    assert "did you mean 'too_late'?" in fault(lake, "--reason", "to-late")
    assert "ends before it begins" in fault(lake, "--from", "2026-05-02", "--to", "2026-05-01")
    assert "no lake there" in fault(tmp_path / "none")


def test_an_empty_quarantine_is_a_sentence(lake: Path, tmp_path: Path) -> None:
    assert told(lake, "--source", "still") == "no line is in quarantine of still\n"
    assert told(lake, "--source", "still", "--json") == "[]\n"
    write(tmp_path, [], [])
    assert told(tmp_path) == "no line is in quarantine\n"
    assert told(tmp_path, "--reason", "too_late") == "no line is in quarantine for too_late\n"


def test_options_before_replay_are_refused_since_they_would_be_ignored(lake: Path) -> None:
    result = CliRunner().invoke(app, ["quarantine", "--lake", str(lake), "replay", "shop"])
    assert result.exit_code == 2
    assert "put options after the word replay" in result.output
