"""Pictures and tables of what scenes found, and those that the document on measurements shows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from documents import DOCUMENTS, MEASUREMENTS, links, target
from project import REPO
from tidegate.common.errors import TidegateError
from tidegate_bench.plot import svg
from tidegate_bench.report import Mark, Outcome, Row

RESULTS = sorted((REPO / "tests" / "bench" / "results").glob("*.json"))
COSTS: Row = {"seconds": 2.0, "files_read": 3}
ROWS: Mapping[str, Sequence[Row]] = {
    "backfill": [{"who": "tidegate, duckdb, s3", "seconds": 2.0, "peak_gib": 1.5}],
    "history": [{"published_hours": 10, **COSTS}, {"published_hours": 100, **COSTS}],
    "hour": [{"hour": "2025-01-08T00", "seconds": 20.0}],
    "late": [{"late_events": 0, **COSTS}, {"late_events": 1, **COSTS}],
    "query": [
        {"query": "funnel", "published_s": 1.0, "parquet_s": 0.5, "ratio": 2.0},
        {"query": "all", "published_s": 1.0, "parquet_s": 0.5, "ratio": 2.0},
    ],
    "scale": [{"on": "one process", "events": 1000, "seconds": 9.0, "peak_gb": 2.0}],
}
TIMELINE: Sequence[Row] = [
    {"stage": "land: read lines", "seconds": 1.5, "spark_s": 1.0},
    {"stage": "all", "seconds": 1.5, "spark_s": 1.0},
]


def outcome(scene: str) -> Outcome:
    return Outcome(scene, "about", {"runs": 1}, ROWS[scene], [Mark("seconds", 3.0, 2.0)], TIMELINE)


@pytest.mark.parametrize("scene", sorted(ROWS))
def test_every_scene_has_a_picture_and_comes_back_from_its_json(scene: str) -> None:
    found = Outcome.of_json(json.loads(json.dumps(outcome(scene).as_json())))
    assert found == outcome(scene)
    drawn = svg(found)
    assert drawn.startswith("<svg")
    assert {"query": "funnel", "hour": "land: read lines", "backfill": "tidegate"}.get(
        scene, "seconds"
    ) in drawn


def test_a_scene_without_a_picture_is_named() -> None:
    with pytest.raises(TidegateError, match="no picture of the scene 'none'"):
        svg(Outcome("none", "", {}, [], []))


def test_json_of_something_else_is_refused() -> None:
    with pytest.raises(TidegateError, match="not what tidegate bench found"):
        Outcome.of_json({"marks": [], "scene": "late"})


def test_a_history_that_spark_did_not_read_is_drawn_by_its_seconds() -> None:
    rows: Sequence[Row] = [{"published_hours": hours, "seconds": 2.0} for hours in (10, 100)]
    drawn = svg(Outcome("history", "about", {}, rows, []))
    assert "seconds of one more hour" in drawn
    assert "Spark" not in drawn


def test_the_bars_of_tidegate_have_a_colour_of_their_own() -> None:
    names = ("tidegate, duckdb, s3", "airflow, spark", "duckdb", "tidegate.py")
    rows: Sequence[Row] = [{"who": who, "seconds": 2.0, "peak_gib": 1.5} for who in names]
    drawn = svg(Outcome("backfill", "about", {}, rows, []))
    ours = re.findall(r'aria-label="seconds: [^"]*who: ([^"]*)"[^>]*fill="#0b6e99"', drawn)
    assert ours == ["tidegate, duckdb, s3", "airflow, spark"]


def test_the_measurements_show_the_pictures_of_all_results_and_no_others() -> None:
    pictures = [link for link in links(DOCUMENTS[MEASUREMENTS]) if link.endswith(".svg")]
    assert sorted(target(MEASUREMENTS, link)[0] for link in pictures) == [
        file.with_suffix(".svg") for file in RESULTS
    ]


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_measurements_show_what_was_measured(file: Path) -> None:
    found = Outcome.of_json(json.loads(file.read_text()))
    assert "\n".join(found.markdown()) in DOCUMENTS[MEASUREMENTS]
    assert said(file.with_suffix(".svg").read_text()) == said(svg(found))


def said(picture: str) -> list[str]:
    """Return what a picture says of its data; sizes are not among it, as they depend on fonts."""
    labels = re.findall(r'aria-label="([^"]*)"', picture)
    assert labels
    return labels
