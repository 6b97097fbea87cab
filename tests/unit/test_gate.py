"""The gate: what Great Expectations says of candidates, and that whatever goes wrong fails closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidegate.gate import Result, audit, faults
from tidegate.suites import Entry, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def entry(kind: str, of: Any = "rows", severity: Any = "critical", **args: Any) -> Entry:
    return Entry(f"expect_{kind}", args, severity, "because", of)


def judged(rows: DataFrame | None, *entries: Entry, **facts: Any) -> list[Result]:
    return audit(Suite("events", "o", entries, Path("x")), rows, facts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return spark.sql("select * from values (1, 'a', cast(null as int)), (2, 'a', null) t(n, s, e)")


POSITIVE = entry("column_values_to_be_between", column="n", min_value=1)
UNIQUE = entry("column_values_to_be_unique", column="s")
PRESENT = entry("column_values_to_not_be_null", column="e")


def test_results_come_in_the_order_of_the_suite_with_what_was_asked_and_found(
    rows: DataFrame,
) -> None:
    found = judged(
        rows,
        POSITIVE,
        entry("column_values_to_be_between", "facts", column="lines", max_value=5),
        UNIQUE,
        PRESENT,
        lines=7,
    )
    assert [each.success for each in found] == [True, False, False, False]
    assert found[1].expectation == "expect_column_values_to_be_between(lines)"
    assert found[1].expected == "column values to be between [max_value 5]"
    assert "1 of 1 rows" in found[1].observed
    assert "7" in found[1].observed
    assert "2 of 2 rows" in found[2].observed
    assert found[2].describe().endswith("(because)")
    assert all(each.holds for each in found[1:])


@pytest.mark.parametrize(
    ("severity", "holds"), [("critical", True), ("warning", False), ("info", False)]
)
def test_only_a_critical_failure_holds(severity: str, holds: bool, rows: DataFrame) -> None:
    [found] = judged(rows, entry("column_values_to_be_unique", severity=severity, column="s"))
    assert not found.success
    assert found.holds == holds


def test_one_question_with_two_severities_is_answered_twice(rows: DataFrame) -> None:
    twice = [
        entry("column_values_to_be_unique", severity=severity, column="s")
        for severity in ("critical", "warning")
    ]
    found = judged(rows, *twice)
    assert [(each.severity, each.success) for each in found] == [
        ("critical", False),
        ("warning", False),
    ]


def test_a_column_that_vanished_fails_its_check_and_no_other(rows: DataFrame) -> None:
    found = judged(rows.drop("s"), POSITIVE, UNIQUE)
    assert [each.success for each in found] == [True, False]
    assert found[1].holds
    assert "check failed" in found[1].observed
    assert "s" in found[1].observed


def test_a_fact_that_is_not_known_fails_its_check(rows: DataFrame) -> None:
    [found] = judged(
        rows, entry("column_values_to_be_between", "facts", column="gone", max_value=1), n=1
    )
    assert found.holds


def test_rows_that_cannot_be_computed_fail_every_check(rows: DataFrame) -> None:
    broken = rows.selectExpr("cast(s as int) as n", "s", "e")
    found = judged(broken, POSITIVE, entry("column_values_to_not_be_null", column="n"))
    assert [each.holds for each in found] == [True, True]


def test_what_is_no_expectation_fails_in_the_audit_too(rows: DataFrame) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_betwen", column="n", min_value=1),
        entry("column_values_to_be_between", column="n", minimum=1),
        POSITIVE,
    )
    assert [each.holds for each in found] == [True, True, False]
    assert "unknown expectation type" in found[0].observed
    assert "minimum" in found[1].observed


def test_an_empty_candidate_meets_what_is_asked_of_each_row(rows: DataFrame) -> None:
    found = judged(
        rows.where("false"),
        POSITIVE,
        UNIQUE,
        PRESENT,
        entry("compound_columns_to_be_unique", column_list=["n", "s"]),
        entry(
            "column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="e", or_equal=True
        ),
    )
    assert [each.success for each in found] == [True] * 5


def test_nulls_are_left_out_of_ranges_and_of_uniqueness(rows: DataFrame) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_between", column="e", min_value=1),
        entry("column_values_to_be_unique", column="e"),
        entry("column_values_to_be_between", "facts", column="share", max_value=0.5),
        share=None,
    )
    assert [each.success for each in found] == [True, True, True]


def test_mostly_lets_some_rows_pass(rows: DataFrame) -> None:
    mixed = rows.selectExpr("if(n = 1, n, null) as n")
    found = judged(
        mixed,
        entry("column_values_to_not_be_null", column="n", mostly=0.5),
        entry("column_values_to_not_be_null", column="n", mostly=0.6),
    )
    assert [each.success for each in found] == [True, False]


def test_faults_name_the_type_or_argument_and_the_nearest_right_one() -> None:
    suite = Suite(
        "events",
        "o",
        (
            entry("column_values_to_be_betwen", column="n"),
            entry("column_values_to_be_between", column="n", minimum=1),
            entry("column_values_to_be_between"),
            entry("column_values_to_be_unique", column="n", mostly=3),
            POSITIVE,
        ),
        Path("x"),
    )
    found = faults(suite)
    assert len(found) == 4
    assert "did you mean 'expect_column_values_to_be_between'" in found[0]
    assert "minimum" in found[1]
    assert "column" in found[2]
    assert "mostly" in found[3]
