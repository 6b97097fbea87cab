"""The gate: what Great Expectations says of candidates, and that whatever goes wrong fails closed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidegate.gate import Result, audit, audit_slices, faults
from tidegate.suites import Entry, Suite, Usual

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def entry(kind: str, of: Any = "rows", severity: Any = "critical", **args: Any) -> Entry:
    return Entry(f"expect_{kind}", args, severity, "because", of)


def judged(rows: DataFrame | None, *entries: Entry, **facts: Any) -> list[Result]:
    return audit(entries, rows, facts)  # type: ignore[arg-type]


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
    assert (found[1].observed, found[1].metric) == ("7", 7.0)
    assert (found[0].metric, found[2].metric) == (0.0, 1.0)
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
    replace(entry("column_values_to_be_between", column="n", min_value=3), where="s = 'b'"),
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


def no_history(_: Entry, __: datetime) -> Any:
    raise AssertionError("no entry here has usual values")


def together(
    asked: Sequence[Entry], sliced: DataFrame, hours: Sequence[datetime] = HOURS
) -> dict[datetime, list[Result]]:
    facts = {hour: FACTS[hour] for hour in hours}
    return audit_slices(asked, parts(sliced, hours), facts, sliced, "hour", no_history)


def parts(sliced: DataFrame, hours: Sequence[datetime] = HOURS) -> dict[datetime, DataFrame]:
    return {hour: sliced.where(sliced["hour"] == hour) for hour in hours}


def test_slices_audited_together_are_judged_as_each_is_alone(sliced: DataFrame) -> None:
    asked = MANY
    found = together(asked, sliced)
    alone = {hour: audit(asked, rows, FACTS[hour]) for hour, rows in parts(sliced).items()}
    assert found == alone
    verdicts = {tuple(each.success for each in results) for results in alone.values()}
    assert len(verdicts) == len(HOURS), "the slices were meant to differ"


def test_a_slice_that_cannot_be_computed_fails_alone(sliced: DataFrame) -> None:
    mixed = sliced.repartition(1).selectExpr(
        "hour", "if(s = 'c', cast(s as int), n) as n", "s", "m"
    )
    found = together([MANY[9], POSITIVE], mixed)
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
    asked = [POSITIVE, entry("column_values_to_not_be_null", column="n")]
    queries = []
    for n in (1, 3):
        collected.clear()
        together(asked, good, HOURS[:n])
        queries.append(len(collected))
    assert queries[0] == queries[1] > 0


# -- conditions, queries, history ---------------------------------------------------------------------


def test_a_condition_chooses_the_rows_that_are_asked(rows: DataFrame) -> None:
    wanted = replace(entry("column_values_to_be_between", column="n", min_value=2), where="n > 1")
    [found] = judged(rows, wanted)
    assert (found.status, found.observed) == ("met", "0 of 1 rows")
    assert found.expectation == "expect_column_values_to_be_between(n) where n > 1"
    [found] = judged(rows, replace(wanted, where="nosuch > 1"))
    assert found.holds
    assert "nosuch" in found.observed


QUERY_ENTRY = Entry(
    "unexpected_rows_expectation",
    {"unexpected_rows_query": "SELECT b.n FROM {batch} b LEFT ANTI JOIN sessions s ON s.n = b.n"},
    "critical",
    "because",
    named="each has a session",
)


def test_a_query_may_join_published_tables_and_shows_the_rows_that_should_not_be(
    rows: DataFrame,
) -> None:
    [whole] = audit([QUERY_ENTRY], rows, {}, lambda name: rows.selectExpr("n", f"'{name}' as t"))
    assert (whole.status, whole.observed, whole.metric) == ("met", "0", 0.0)
    [less] = audit([QUERY_ENTRY], rows, {}, lambda _: rows.where("n = 1"))
    assert less.holds
    assert less.observed == '1 rows, such as [{"n": 2}]'
    assert less.expected.startswith("no row of: SELECT b.n FROM {batch}")
    assert less.expectation == "each has a session"
    # Nothing stays behind that a later query could take for a published table.
    assert not rows.sparkSession.catalog.tableExists("sessions")


def test_of_slices_audited_together_each_has_limits_and_rows_of_its_own(
    sliced: DataFrame,
) -> None:
    limits = {HOURS[0]: 1.0, HOURS[1]: 2.5}

    def history(_: Entry, hour: datetime) -> tuple[dict[str, float], dict[str, str]]:
        told = {"min_value": f"min of {hour:%H}"}
        return ({"min_value": limits[hour]} if hour in limits else {}), told

    usual = Usual("observed")
    asked = [
        entry("column_values_to_be_between", column="n", min_value=usual),
        entry("column_values_to_be_between", "facts", column="lines", min_value=usual),
        entry("column_max_to_be_between", column="n", min_value=usual, max_value=5),
        replace(QUERY_ENTRY, args={"unexpected_rows_query": "SELECT n FROM {batch} WHERE n > 8"}),
    ]
    facts = {hour: FACTS[hour] for hour in HOURS[:4]}
    found = audit_slices(asked, parts(sliced, HOURS[:4]), facts, sliced, "hour", history)
    assert {hour: [each.status for each in found[hour]] for hour in HOURS[:4]} == {
        HOURS[0]: ["met", "failed", "met", "met"],
        HOURS[1]: ["failed", "failed", "met", "met"],
        # What is known of a limit still holds: 9 is above 5, whatever is usual.
        HOURS[2]: ["warming up", "warming up", "failed", "failed"],
        HOURS[3]: ["warming up", "warming up", "failed", "met"],
    }
    warming = found[HOURS[2]][1]
    assert (warming.success, warming.holds, warming.metric) == (None, False, 4.0)
    assert warming.expected == "column values to be between [min_value min of 02]"


# -- values that are none, and hostile ones -------------------------------------------------------------


def test_a_column_of_nulls_only_has_no_aggregate_and_never_passes_for_one(rows: DataFrame) -> None:
    found = judged(
        rows,
        entry("column_mean_to_be_between", column="e", min_value=0),
        entry("column_max_to_be_between", column="e", max_value=9),
        entry("column_values_to_be_in_set", column="e", value_set=[1]),
        entry("column_proportion_of_non_null_values_to_be_between", column="e", min_value=0.5),
    )
    assert [each.status for each in found] == ["failed", "failed", "met", "failed"]
    assert [each.metric for each in found] == [None, None, 0.0, 0.0]


def test_nan_is_no_number_that_passes(rows: DataFrame) -> None:
    mixed = rows.selectExpr("if(n = 1, double('NaN'), 1.0D) as x")
    found = judged(
        mixed,
        entry("column_values_to_be_between", column="x", max_value=5),
        entry("column_mean_to_be_between", column="x", min_value=0, max_value=5),
        entry("column_values_to_be_between", "facts", column="share", max_value=5),
        share=float("nan"),
    )
    assert [each.status for each in found[:2]] == ["failed", "failed"]
    assert [each.metric for each in found[1:]] == [None, None]
    assert found[2].observed == "nothing"


def test_an_aggregate_of_no_rows_fails_and_says_so(rows: DataFrame) -> None:
    [found] = judged(
        rows.where("false"), entry("column_mean_to_be_between", column="n", min_value=0)
    )
    assert found.status == "failed"
    assert found.metric is None


def test_values_as_long_as_a_line_and_hostile_ones_are_cut_and_kept_as_data(
    spark: SparkSession,
) -> None:
    nasty = spark.sql(
        "select concat('<script>alert(1)</script>', char(27), '[2J', char(0), repeat('x', 1000000)) s"
    )
    found = judged(
        nasty,
        entry("column_values_to_be_in_set", column="s", value_set=["y"]),
        entry("column_distinct_values_to_be_in_set", column="s", value_set=["y"]),
        entry("column_most_common_value_to_be_in_set", column="s", value_set=["y" * 5000]),
    )
    assert [each.status for each in found] == ["failed"] * 3
    for each in found:
        assert len(each.observed) <= 1001
        assert len(each.expected) <= 1001
        assert "<script>" in each.observed
        assert "\x1b" not in each.observed
        assert "\x00" not in each.observed


def test_audits_at_the_same_time_do_not_meet(rows: DataFrame) -> None:
    def one(n: int) -> list[str]:
        mine = rows.selectExpr(f"n + {n} as n")
        query = "SELECT n FROM {batch} WHERE n > 4"
        asked = [
            entry("column_max_to_be_between", column="n", max_value=4),
            replace(QUERY_ENTRY, args={"unexpected_rows_query": query}),
        ]
        return [f"{each.status} {each.metric}" for each in audit(asked, mine, {})]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(4)))
    assert found == [
        ["met 2.0", "met 0.0"],
        ["met 3.0", "met 0.0"],
        ["met 4.0", "met 0.0"],
        ["failed 5.0", "failed 1.0"],
    ]


def test_a_query_is_asked_once_unless_it_fails(
    rows: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql.connect.session import SparkSession as Session

    asked: list[str] = []
    sql = Session.sql

    def counting(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(query)
        return sql(self, query, *args, **kwargs)

    monkeypatch.setattr(Session, "sql", counting)
    query = "SELECT n FROM {batch} WHERE n > "
    good, bad = (replace(QUERY_ENTRY, args={"unexpected_rows_query": query + n}) for n in "91")
    assert [each.status for each in judged(rows, good)] == ["met"]
    assert len(asked) == 1
    [found] = judged(rows, bad)
    assert found.observed == '1 rows, such as [{"n": 2}]'
