"""Every expectation type that is known: what `tidegate check` says of it is what an audit does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tidegate.config.suites import QUERY, Entry, Suite
from tidegate.gate import UNSUPPORTED, Rows, audit, faults

N, S, NM = {"column": "n"}, {"column": "s"}, {"column_list": ["n", "m"]}
ALL = ["a", "b", "c"]
COLUMNS = ["n", "m", "s", "j", "d", "y"]
ARGS: Mapping[str, Mapping[str, Any]] = {
    "column_distinct_values_to_be_in_set": {**S, "value_set": ALL},
    "column_distinct_values_to_contain_set": {**S, "value_set": ["a"]},
    "column_distinct_values_to_equal_set": {**S, "value_set": ALL},
    "column_kl_divergence_to_be_less_than": {
        **S,
        "partition_object": {"values": ALL, "weights": [0.3, 0.3, 0.4]},
        "threshold": 1,
    },
    "column_max_to_be_between": {**N, "max_value": 5},
    "column_mean_to_be_between": {**N, "max_value": 5},
    "column_median_to_be_between": {**N, "max_value": 5},
    "column_min_to_be_between": {**N, "max_value": 5},
    "column_most_common_value_to_be_in_set": {**S, "value_set": ALL, "ties_okay": True},
    "column_pair_values_a_to_be_greater_than_b": {"column_A": "m", "column_B": "n"},
    "column_pair_values_to_be_equal": {"column_A": "n", "column_B": "n"},
    "column_pair_values_to_be_in_set": {
        "column_A": "n",
        "column_B": "m",
        "value_pairs_set": [[1, 2], [2, 3], [3, 4]],
    },
    "column_proportion_of_non_null_values_to_be_between": {**N, "min_value": 0.5},
    "column_proportion_of_unique_values_to_be_between": {**N, "min_value": 0.5},
    "column_quantile_values_to_be_between": {
        **N,
        "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[1, 3]]},
    },
    "column_stdev_to_be_between": {**N, "max_value": 5},
    "column_sum_to_be_between": {**N, "max_value": 50},
    "column_to_exist": N,
    "column_type_to_be": {**N, "type_": "IntegerType"},
    "column_unique_value_count_to_be_between": {**N, "max_value": 5},
    "column_value_lengths_to_be_between": {**S, "max_value": 5},
    "column_value_lengths_to_equal": {**S, "value": 1},
    "column_value_z_scores_to_be_less_than": {
        "column": "d",
        "threshold": 5,
        "double_sided": True,
    },
    "column_values_to_be_between": {**N, "max_value": 5},
    "column_values_to_be_dateutil_parseable": {"column": "y"},
    "column_values_to_be_decreasing": {**N, "mostly": 0.1},
    "column_values_to_be_in_set": {**S, "value_set": ALL},
    "column_values_to_be_in_type_list": {**N, "type_list": ["IntegerType"]},
    "column_values_to_be_increasing": N,
    "column_values_to_be_json_parseable": {"column": "j"},
    "column_values_to_be_null": {**S, "mostly": 0.0},
    "column_values_to_be_of_type": {**N, "type_": "IntegerType"},
    "column_values_to_be_unique": N,
    "column_values_to_match_json_schema": {"column": "j", "json_schema": {"type": "object"}},
    "column_values_to_match_like_pattern": {**S, "like_pattern": "%"},
    "column_values_to_match_like_pattern_list": {**S, "like_pattern_list": ["%"]},
    "column_values_to_match_regex": {**S, "regex": "."},
    "column_values_to_match_regex_list": {**S, "regex_list": ["."]},
    "column_values_to_match_strftime_format": {"column": "y", "strftime_format": "%Y"},
    "column_values_to_not_be_in_set": {**S, "value_set": ["z"]},
    "column_values_to_not_be_null": S,
    "column_values_to_not_be_outliers": {"column": "d", "method": "iqr", "multiplier": 3.0},
    "column_values_to_not_match_like_pattern": {**S, "like_pattern": "z"},
    "column_values_to_not_match_like_pattern_list": {**S, "like_pattern_list": ["z"]},
    "column_values_to_not_match_regex": {**S, "regex": "z"},
    "column_values_to_not_match_regex_list": {**S, "regex_list": ["z"]},
    "compound_columns_to_be_unique": NM,
    "multicolumn_sum_to_equal": {**NM, "sum_total": 3, "mostly": 0.0},
    "multicolumn_values_to_be_equal": {"column_list": ["n", "n"]},
    "query_results_to_match_comparison": {
        "base_query": "select 1",
        "comparison_data_source_name": "x",
        "comparison_query": "select 1",
    },
    "select_column_values_to_be_unique_within_record": NM,
    "table_column_count_to_be_between": {"max_value": 10},
    "table_column_count_to_equal": {"value": len(COLUMNS)},
    "table_columns_to_match_ordered_list": {"column_list": COLUMNS},
    "table_columns_to_match_set": {"column_set": COLUMNS},
    "table_row_count_to_be_between": {"max_value": 10},
    "table_row_count_to_equal": {"value": 3},
    "table_row_count_to_equal_other_table": {"other_table_name": "x"},
}


def entry(name: str) -> Entry:
    """Return an entry of a type that the rows below meet."""
    if name == QUERY:
        args: Mapping[str, Any] = {"unexpected_rows_query": "select * from {batch} where n > 9"}
        return Entry(QUERY, args, "critical", "w")
    return Entry(name, ARGS[name.removeprefix("expect_")], "critical", "w")


def known() -> list[str]:
    from great_expectations.expectations.registry import (
        list_registered_expectation_implementations,
    )

    faults(Suite("events", "o", (entry(QUERY),), Path("x")))  # imports all of them
    return sorted(list_registered_expectation_implementations())


VALUES = """(1, 2, 'a', '{"k": 1}', 1.0, '2025'), (2, 3, 'b', '{"k": 2}', 2.0, '2024'),
    (3, 4, 'c', '{"k": 3}', 3.0, '2023')"""
TYPES = {"n": "int", "m": "int", "s": "string", "j": "string", "d": "double", "y": "string"}
WRONG: Mapping[str, Mapping[str, Any]] = {
    "column_distinct_values_to_be_in_set": {"value_set": ["a"]},
    "column_distinct_values_to_contain_set": {"value_set": ["z"]},
    "column_distinct_values_to_equal_set": {"value_set": ["a", "b"]},
    "column_kl_divergence_to_be_less_than": {
        "partition_object": {"values": ALL, "weights": [0.8, 0.1, 0.1]},
        "threshold": 0.01,
    },
    "column_max_to_be_between": {"max_value": 2},
    "column_mean_to_be_between": {"max_value": 1.9},
    "column_median_to_be_between": {"max_value": 1.9},
    "column_min_to_be_between": {"min_value": 2, "max_value": None},
    "column_most_common_value_to_be_in_set": {"value_set": ["z"]},
    "column_pair_values_a_to_be_greater_than_b": {"column_A": "n", "column_B": "m"},
    "column_pair_values_to_be_equal": {"column_B": "m"},
    "column_pair_values_to_be_in_set": {"value_pairs_set": [[1, 2], [2, 3]]},
    "column_proportion_of_non_null_values_to_be_between": {"min_value": None, "max_value": 0.5},
    "column_proportion_of_unique_values_to_be_between": {"min_value": None, "max_value": 0.5},
    "column_quantile_values_to_be_between": {
        "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[3, 4]]}
    },
    "column_stdev_to_be_between": {"max_value": 0.9},
    "column_sum_to_be_between": {"max_value": 5},
    "column_to_exist": {"column": "z"},
    "column_type_to_be": {"type_": "StringType"},
    "column_unique_value_count_to_be_between": {"max_value": 2},
    "column_value_lengths_to_be_between": {"min_value": 2, "max_value": None},
    "column_value_lengths_to_equal": {"value": 2},
    "column_value_z_scores_to_be_less_than": {"threshold": 0.5},
    "column_values_to_be_between": {"max_value": 2},
    "column_values_to_be_dateutil_parseable": {"column": "j"},
    "column_values_to_be_decreasing": {"mostly": 1.0},
    "column_values_to_be_in_set": {"value_set": ["a"]},
    "column_values_to_be_in_type_list": {"type_list": ["StringType"]},
    "column_values_to_be_increasing": {"column": "y"},
    "column_values_to_be_json_parseable": {"column": "s"},
    "column_values_to_be_null": {"mostly": 0.1},
    "column_values_to_be_of_type": {"type_": "StringType"},
    "column_values_to_be_unique": {"where": "n = 1 OR TRUE", "column": "one"},
    "column_values_to_match_json_schema": {"json_schema": {"required": ["q"]}},
    "column_values_to_match_like_pattern": {"like_pattern": "a%"},
    "column_values_to_match_like_pattern_list": {"like_pattern_list": ["a", "b"]},
    "column_values_to_match_regex": {"regex": "a"},
    "column_values_to_match_regex_list": {"regex_list": ["a", "b"]},
    "column_values_to_match_strftime_format": {"strftime_format": "%d"},
    "column_values_to_not_be_in_set": {"value_set": ["a"]},
    "column_values_to_not_be_null": {"column": "none"},
    "column_values_to_not_be_outliers": {"multiplier": 0.0},
    "column_values_to_not_match_like_pattern": {"like_pattern": "a%"},
    "column_values_to_not_match_like_pattern_list": {"like_pattern_list": ["z", "a"]},
    "column_values_to_not_match_regex": {"regex": "a"},
    "column_values_to_not_match_regex_list": {"regex_list": ["z", "a"]},
    "compound_columns_to_be_unique": {"column_list": ["one", "one"]},
    "multicolumn_sum_to_equal": {"mostly": 1.0},
    "multicolumn_values_to_be_equal": {"column_list": ["n", "m"]},
    "select_column_values_to_be_unique_within_record": {"column_list": ["n", "n"]},
    "table_column_count_to_be_between": {"max_value": 3},
    "table_column_count_to_equal": {"value": 3},
    "table_columns_to_match_ordered_list": {"column_list": ["m", "n"]},
    "table_columns_to_match_set": {"column_set": ["n", "q"]},
    "table_row_count_to_be_between": {"max_value": 2},
    "table_row_count_to_equal": {"value": 2},
}
"""Arguments that the rows do not meet: what a type has to fail for."""


@pytest.fixture(scope="module")
def rows() -> Rows:
    columns = ", ".join(TYPES)
    return Rows(duckdb.connect(), f"SELECT * FROM (VALUES {VALUES}) t({columns})", TYPES)


def test_each_type_that_check_accepts_works_and_no_other_does(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = known()
    assert {*ARGS} == {name.removeprefix("expect_") for name in every} - {QUERY}
    accepted = [n for n in every if not faults(Suite("events", "o", (entry(n),), Path("x")))]
    assert set(every) - set(accepted) == set(UNSUPPORTED)
    found = audit([entry(name) for name in accepted], rows, {})
    assert [(e, r) for e, r in zip(accepted, found, strict=True) if r.status != "met"] == []
    # The others, were they let through, would fail for no fault of the rows.
    monkeypatch.setattr("tidegate.gate.expectations.UNSUPPORTED", {})
    refused = audit([entry(name) for name in UNSUPPORTED], rows, {})
    assert {each.status for each in refused} == {"failed"}
    assert all(each.observed.startswith("the check failed: ") for each in refused), refused


def test_each_type_fails_for_rows_that_do_not_meet_it(rows: Rows) -> None:
    more = replace(
        rows,
        query=f"SELECT *, 1 AS one, NULL AS none FROM ({rows.query})",
        columns={**rows.columns, "one": "int", "none": "int"},
    )
    entries = []
    for name in known():
        plain = name.removeprefix("expect_")
        if name in UNSUPPORTED or name == QUERY:
            continue
        args = {**ARGS[plain], **WRONG[plain]}
        where = args.pop("where", None)
        args = {key: value for key, value in args.items() if value is not None}
        entries.append(Entry(name, args, "critical", "w", "rows", where))
    results = audit(entries, more, {})
    assert [each for each in results if each.status != "failed"] == []
    assert [each for each in results if "check failed" in each.observed] == []


@pytest.mark.parametrize("part", ["WHERE FALSE", "WHERE n = 1"])
def test_each_type_of_one_row_or_none_is_decided_without_an_exception(
    rows: Rows, part: str
) -> None:
    few = replace(rows, query=f"SELECT * FROM ({rows.query}) {part}")
    accepted = [name for name in known() if name not in UNSUPPORTED]
    results = audit([entry(name) for name in accepted], few, {})
    assert [each for each in results if "check failed" in each.observed] == []
