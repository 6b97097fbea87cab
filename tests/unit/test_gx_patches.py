"""What is done to Great Expectations: that it is the version that this holds for, and that nothing else changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from test_gate_types import ARGS, entry, known

from tidegate.common.errors import TidegateError
from tidegate.config.suites import QUERY
from tidegate.gate import UNSUPPORTED, gx_patches
from tidegate.gate.expectations import expectation


def run(script: str) -> Any:
    """Return what a Python process of its own prints, as JSON has it."""
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(process.stdout.splitlines()[-1])


def test_the_version_is_the_one_that_the_private_parts_are_known_of() -> None:
    from importlib.metadata import version

    assert version("great-expectations").startswith(gx_patches.VERSION), (
        "read in the new version what gx_patches.py uses, and what its metrics are, before VERSION is raised"
    )


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gx_patches, "VERSION", "1.99.")
    with pytest.raises(TidegateError, match="unknown to the gate"):
        gx_patches.great_expectations()


def test_it_is_imported_without_what_no_audit_calls_and_that_can_be_imported_later() -> None:
    script = """
import json, sys
from tidegate.gate import preload
preload().join()
there = [n for n in ("pyspark", "sqlalchemy", "boto3", "duckdb", "deltalake") if n in sys.modules]
delayed = [type(sys.modules[n]).__name__ for n in ("altair", "scipy.stats")]
finders = [type(each).__name__ for each in sys.meta_path]
import altair, boto3, sqlalchemy, scipy.stats
from pyspark.sql import types
scores = scipy.stats.entropy([0.5, 0.5])
print(json.dumps([there, delayed, "_Finder" in finders, altair.__name__, round(scores, 3)]))
"""
    assert run(script) == [[], ["_LazyModule"] * 2, False, "altair", 0.693]


def test_other_threads_import_what_is_hidden_from_it_meanwhile() -> None:
    script = """
import json, sys, threading
from tidegate.gate.gx_patches import _lean
found = []
with _lean():
    thread = threading.Thread(target=lambda: found.append(__import__("sqlalchemy").__name__))
    thread.start()
    thread.join()
    try:
        import botocore
    except ModuleNotFoundError as error:
        found.append(error.name)
print(json.dumps(found))
"""
    assert run(script) == ["sqlalchemy", "botocore"]


def test_a_process_forks_after_the_preload_and_its_child_audits() -> None:
    script = """
import json, os, sys
from tidegate import gate
gate.preload().join()
read, write = os.pipe()
if os.fork() == 0:
    import duckdb
    from tidegate.config.suites import Entry
    rows = gate.Rows(duckdb.connect(), "SELECT 1 AS n", {"n": "int"})
    entry = Entry("expect_column_max_to_be_between", {"column": "n", "max_value": 0}, "info", "w")
    [result] = gate.audit([entry], rows, {})
    os.write(write, json.dumps([result.status, result.observed]).encode())
    os._exit(0)
os.wait()
print(os.read(read, 1000).decode())
"""
    assert run(script) == ["failed", "1"]


def test_preloads_at_the_same_time_import_it_once() -> None:
    first, second = gx_patches.preload(), gx_patches.preload()
    first.join()
    second.join()
    assert gx_patches.great_expectations() is sys.modules["great_expectations"]


VALUES: Mapping[str, Any] = {
    "table.columns": ["n"],
    "column.quantile_values": [2],
    "column.most_common_value": ["a"],
    "unexpected_rows_query.table": [{"n": 1}],
}
TYPES = ["expect_" + name for name in ARGS] + [QUERY]


def test_the_types_below_are_all_that_are_known() -> None:
    assert sorted(TYPES) == known()


@pytest.mark.parametrize("name", [name for name in TYPES if name not in UNSUPPORTED])
def test_a_decision_is_the_one_that_comes_the_public_way(name: str) -> None:
    import pandas as pd

    made = expectation(entry(name), 0)
    form = {
        "result_format": "COMPLETE" if name == QUERY else "BASIC",
        "partial_unexpected_count": 3,
    }
    needed = gx_patches.needs(made, form)
    metrics: dict[str, Any] = {}
    for key in needed.metrics:
        if key.endswith((".unexpected_values", ".not_in_set", ".missing_from_column")):
            metrics[key] = ["a", "b"]
        elif key == "table.column_types":
            metrics[key] = [{"name": "n", "type": gx_patches.spark_type("LongType")}]
        elif key == "column.value_counts":
            values = pd.Index(["a", "b"], name="value")
            metrics[key] = pd.Series([1, 2], index=values, name="count")
        else:
            metrics[key] = VALUES.get(key, 1)
    public = made.metrics_validate(
        {each.id: metrics[key] for key, each in needed.metrics.items()},
        {"result_format": form},
        gx_patches.spark_engine(),
    )
    success, report = gx_patches.decide(made, needed, metrics)
    assert (success, repr(report)) == (bool(public.success), repr(public.result))


def test_outside_of_a_decision_a_configuration_follows_its_expectation() -> None:
    made = expectation(entry("expect_column_max_to_be_between"), 0)
    gx_patches.needs(made, {"result_format": "BASIC"})
    assert made.configuration.kwargs["max_value"] == 5.0
    made.max_value = 9.0
    assert made.configuration.kwargs["max_value"] == 9.0
