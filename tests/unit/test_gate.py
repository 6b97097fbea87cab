"""The gate: what Great Expectations says of candidates, and that whatever goes wrong fails closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidegate.gate import Result, audit, audit_slices, faults
from tidegate.suites import Entry, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def entry(kind: str, of: Any = "rows", severity: Any = "critical", **args: Any) -> Entry:
    return Entry(f"expect_{kind}", args, severity, "because", of)


def judged(rows: DataFrame | None, *entries: Entry, **facts: Any) -> list[Result]:
    return audit(suite(*entries), rows, facts)  # type: ignore[arg-type]


def suite(*entries: Entry) -> Suite:
    return Suite("events", "o", entries, Path("x"))


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


def test_a_fact_that_has_no_value_meets_what_is_asked_of_values(rows: DataFrame) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_between", "facts", column="off", min_value=0, max_value=0),
        entry("column_values_to_be_between", "facts", column="share", max_value=0.001),
        off=None,
        share=None,
    )
    assert [each.success for each in found] == [True, True]


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


MANY = (
    entry("column_values_to_be_between", column="n", min_value=2),
    entry("column_values_to_not_be_null", column="s", mostly=0.5),
    entry("column_values_to_be_unique", column="s"),
    entry("column_values_to_be_in_set", column="s", value_set=["a", "b"]),
    entry("column_values_to_match_regex", column="s", regex="^[ab]$"),
    entry("column_mean_to_be_between", column="n", min_value=2, max_value=3),
    entry("column_max_to_be_between", column="n", max_value=3),
    entry("column_median_to_be_between", column="n", max_value=3),
    entry("column_unique_value_count_to_be_between", column="s", max_value=2),
    entry("table_row_count_to_be_between", min_value=2),
    entry("compound_columns_to_be_unique", column_list=["n", "s"]),
    entry("column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="m", or_equal=True),
    entry(
        "column_values_to_be_between",
        column="n",
        min_value=3,
        row_condition="s = 'b'",
        condition_parser="spark",
    ),
    entry("column_values_to_be_between", "facts", column="lines", max_value=5),
)
HOURS = [datetime(2025, 1, 1, hour, tzinfo=UTC) for hour in range(5)]


@pytest.fixture(scope="module")
def sliced(spark: SparkSession) -> DataFrame:
    """Rows of four hours; the fifth has none."""
    values = """
        (0, 1, 'a', 1), (0, 2, 'a', 2), (0, 3, null, null),
        (1, 2, 'a', 1), (1, 3, 'b', 3), (1, 2, 'b', 2),
        (2, 9, 'c', 10),
        (3, null, null, null), (3, null, null, 1)
    """
    hour = "timestamp'2025-01-01T00:00:00Z' + make_interval(0, 0, 0, 0, h) as hour"
    return spark.sql(f"select {hour}, n, s, m from values {values} t(h, n, s, m)")


FACTS = {hour: {"lines": 2 * n} for n, hour in enumerate(HOURS)}


def together(
    asked: Suite, sliced: DataFrame, hours: Sequence[datetime] = HOURS
) -> dict[datetime, list[Result]]:
    facts = {hour: FACTS[hour] for hour in hours}
    return audit_slices(asked, parts(sliced, hours), facts, sliced, "hour")


def parts(sliced: DataFrame, hours: Sequence[datetime] = HOURS) -> dict[datetime, DataFrame]:
    return {hour: sliced.where(sliced["hour"] == hour) for hour in hours}


def test_slices_audited_together_are_judged_as_each_is_alone(sliced: DataFrame) -> None:
    asked = suite(*MANY)
    found = together(asked, sliced)
    alone = {hour: audit(asked, rows, FACTS[hour]) for hour, rows in parts(sliced).items()}
    assert found == alone
    verdicts = {tuple(each.success for each in results) for results in alone.values()}
    assert len(verdicts) == len(HOURS), "the slices were meant to differ"


def test_a_slice_that_cannot_be_computed_fails_alone(sliced: DataFrame) -> None:
    mixed = sliced.repartition(1).selectExpr(
        "hour", "if(s = 'c', cast(s as int), n) as n", "s", "m"
    )
    found = together(suite(MANY[9], POSITIVE), mixed)
    assert [found[hour][1].holds for hour in HOURS] == [False, False, True, False, False]
    assert "CAST_INVALID_INPUT" in found[HOURS[2]][1].observed


def test_more_slices_are_no_more_queries(
    sliced: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql.connect.dataframe import DataFrame as Frame

    collected: list[None] = []
    collect = Frame.collect

    def counting(self: Any) -> Any:
        collected.append(None)
        return collect(self)

    monkeypatch.setattr(Frame, "collect", counting)
    good = sliced.where("n is not null")
    asked = suite(POSITIVE, entry("column_values_to_not_be_null", column="n"))
    queries = []
    for n in (1, 3):
        collected.clear()
        together(asked, good, HOURS[:n])
        queries.append(len(collected))
    assert queries[0] == queries[1] > 0
