"""Pictures of what scenes found: one SVG a scene, drawn by Vega-Lite from its JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.common.errors import TidegateError
from tidegate_bench.report import Outcome, Row

Spec = dict[str, Any]
"""A Vega-Lite specification, less its data and configuration."""

_WIDTH, _HALF, _BAR = 480, 240, 22
_OURS, _THEIRS = "#0b6e99", "#b0b7bf"
_VERSION = "5.20"


def svg(outcome: Outcome) -> str:
    """Return the picture of an outcome.

    Raises:
        TidegateError: there is none of this scene, or what draws it is not installed.
    """
    if outcome.scene not in _SPECS:
        raise TidegateError(
            f"no picture of the scene {outcome.scene!r}", expected=", ".join(sorted(_SPECS))
        )
    try:
        import vl_convert
    except ImportError as error:
        raise TidegateError(
            "what draws pictures is not installed",
            expected="the packages that pyproject.toml lists under bench",
            got=str(error),
            todo="run: python3 infra/bootstrap.py env",
        ) from error
    spec = {"config": {"background": "white"}, **_SPECS[outcome.scene](outcome)}
    return str(vl_convert.vegalite_to_svg(spec, vl_version=_VERSION))


def _bars(rows: Sequence[Row], name: str, value: str, title: str) -> Spec:
    """Return a bar a row, ours in colour."""
    ours = {"test": f"test(/^(tidegate|airflow)(,|$)/, datum.{name})", "value": _OURS}
    return {
        "title": title,
        "data": {"values": list(rows)},
        "width": _HALF,
        "height": {"step": _BAR},
        "mark": "bar",
        "encoding": {
            "x": {"field": value, "type": "quantitative", "title": None},
            "y": {"field": name, "type": "nominal", "sort": None, "title": None},
            "color": {"condition": ours, "value": _THEIRS},
        },
    }


def _line(rows: Sequence[Row], over: str, value: str, title: str) -> Spec:
    """Return a line with points, from nought."""
    return {
        "title": title,
        "data": {"values": list(rows)},
        "width": _HALF,
        "height": 160,
        "mark": {"type": "line", "point": True, "color": _OURS},
        "encoding": {
            "x": {
                "field": over,
                "type": "quantitative",
                "title": over.replace("_", " "),
                "axis": {"format": "~s"},
                "scale": {"zero": True},
            },
            "y": {"field": value, "type": "quantitative", "title": None, "scale": {"zero": True}},
        },
    }


def _backfill(outcome: Outcome) -> Spec:
    rows = outcome.rows
    return {
        "hconcat": [
            _bars(rows, "who", "seconds", "seconds"),
            _bars(rows, "who", "peak_gib", "peak GiB of all processes"),
        ]
    }


def _history(outcome: Outcome) -> Spec:
    over = "published_hours"
    return {
        "hconcat": [
            _line(outcome.rows, over, value, title)
            for value, title in (
                ("seconds", "seconds of one more hour"),
                ("files_read", "files that Spark reads for it"),
            )
            if value in outcome.rows[0]
        ]
    }


def _late(outcome: Outcome) -> Spec:
    return _bars(outcome.rows, "late_events", "seconds", "seconds by late events")


def _scale(outcome: Outcome) -> Spec:
    alone = [row for row in outcome.rows if row["on"] == "one process"]
    return {
        "hconcat": [
            _line(alone, "events", "seconds", "seconds"),
            _line(alone, "events", "peak_gb", "peak GB of all processes"),
        ]
    }


def _query(outcome: Outcome) -> Spec:
    names = {"published_s": "published tables", "parquet_s": "plain Parquet"}
    bars = [
        {"query": row["query"], "on": on, "seconds": row[name]}
        for row in outcome.rows[:-1]  # the last one is their sum
        for name, on in names.items()
    ]
    return {
        "title": "seconds by query",
        "data": {"values": bars},
        "width": _WIDTH,
        "height": {"step": _BAR / 2},
        "mark": "bar",
        "encoding": {
            "x": {"field": "seconds", "type": "quantitative", "title": None},
            "y": {"field": "query", "sort": None, "title": None},
            "yOffset": {"field": "on", "sort": None},
            "color": {
                "field": "on",
                "sort": None,
                "title": None,
                "scale": {"range": [_OURS, _THEIRS]},
            },
        },
    }


def _hour(outcome: Outcome) -> Spec:
    """Return the timeline: each stage begins where the one before it ends."""
    at, stages = 0.0, []
    for row in outcome.timeline[:-1]:  # the last one is their sum
        seconds = float(row["seconds"] or 0)
        stages.append({"stage": row["stage"], "begin": at, "end": at + seconds})
        at += seconds
    return {
        "title": "seconds since the dump was complete",
        "data": {"values": stages},
        "width": _WIDTH,
        "height": {"step": 14},
        "mark": {"type": "bar", "color": _OURS},
        "encoding": {
            "x": {"field": "begin", "type": "quantitative", "title": None},
            "x2": {"field": "end"},
            "y": {"field": "stage", "sort": None, "title": None, "axis": {"labelLimit": 300}},
        },
    }


_SPECS: Mapping[str, Callable[[Outcome], Spec]] = {
    "backfill": _backfill,
    "history": _history,
    "hour": _hour,
    "late": _late,
    "query": _query,
    "scale": _scale,
}
