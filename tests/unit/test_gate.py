"""The gate: what Great Expectations decides of candidates, and that whatever goes wrong fails closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.config.suites import Entry, Suite, Usual
from tidegate.gate import Result, Rows, audit, audit_slices, faults


def entry(kind: str, of: Any = "rows", severity: Any = "critical", **args: Any) -> Entry:
    return Entry(f"expect_{kind}", args, severity, "because", of)


def judged(rows: Rows, *entries: Entry, **facts: Any) -> list[Result]:
    return audit(entries, rows, facts)


def suite(*entries: Entry) -> Suite:
    return Suite("events", "o", entries, Path("x"))


def candidate(query: str, **columns: str) -> Rows:
    """Return a candidate of a connection of its own, whose columns have such types."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return Rows(connection, query, columns)


def of(rows: Rows, what: str, **columns: str) -> Rows:
    """Return another candidate, made of the rows of one."""
    return Rows(rows.connection, what.format(f"({rows.query})"), columns or rows.columns)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return candidate(
        "SELECT * FROM (VALUES (1, 'a', CAST(NULL AS INTEGER)), (2, 'a', NULL)) t(n, s, e)",
        n="int",
        s="string",
        e="int",
    )


POSITIVE = entry("column_values_to_be_between", column="n", min_value=1)
UNIQUE = entry("column_values_to_be_unique", column="s")
PRESENT = entry("column_values_to_not_be_null", column="e")
PRESENT_N = entry("column_values_to_not_be_null", column="n")


def test_results_come_in_the_order_of_the_suite_with_what_was_asked_and_found(
    rows: Rows,
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
def test_only_a_critical_failure_holds(severity: str, holds: bool, rows: Rows) -> None:
    [found] = judged(rows, entry("column_values_to_be_unique", severity=severity, column="s"))
    assert not found.success
    assert found.holds == holds


def test_one_question_with_two_severities_is_answered_twice(rows: Rows) -> None:
    twice = [
        entry("column_values_to_be_unique", severity=severity, column="s")
        for severity in ("critical", "warning")
    ]
    found = judged(rows, *twice)
    assert [(each.severity, each.success) for each in found] == [
        ("critical", False),
        ("warning", False),
    ]


def test_a_column_that_vanished_fails_its_check_and_no_other(rows: Rows) -> None:
    found = judged(of(rows, "SELECT n, e FROM {}", n="int", e="int"), POSITIVE, UNIQUE)
    assert [each.success for each in found] == [True, False]
    assert found[1].holds
    assert "check failed" in found[1].observed
    assert "s" in found[1].observed


def test_a_fact_that_is_not_known_fails_its_check(rows: Rows) -> None:
    [found] = judged(
        rows, entry("column_values_to_be_between", "facts", column="gone", max_value=1), n=1
    )
    assert found.holds


def test_a_fact_that_has_no_value_meets_what_is_asked_of_values(rows: Rows) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_between", "facts", column="off", min_value=0, max_value=0),
        entry("column_values_to_be_between", "facts", column="share", max_value=0.001),
        off=None,
        share=None,
    )
    assert [each.success for each in found] == [True, True]


def test_rows_that_cannot_be_computed_fail_every_check(rows: Rows) -> None:
    broken = of(rows, "SELECT CAST(s AS INTEGER) AS n, s, e FROM {}")
    found = judged(broken, POSITIVE, entry("column_values_to_not_be_null", column="n"))
    assert [each.holds for each in found] == [True, True]


def test_what_is_no_expectation_fails_in_the_audit_too(rows: Rows) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_betwen", column="n", min_value=1),
        entry("column_values_to_be_between", column="n", minimum=1),
        POSITIVE,
    )
    assert [each.holds for each in found] == [True, True, False]
    assert "unknown expectation type" in found[0].observed
    assert "minimum" in found[1].observed


def test_an_empty_candidate_meets_what_is_asked_of_each_row(rows: Rows) -> None:
    found = judged(
        of(rows, "SELECT * FROM {} WHERE FALSE"),
        POSITIVE,
        UNIQUE,
        PRESENT,
        entry("compound_columns_to_be_unique", column_list=["n", "s"]),
        entry(
            "column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="e", or_equal=True
        ),
    )
    assert [each.success for each in found] == [True] * 5


def test_nulls_are_left_out_of_ranges_and_of_uniqueness(rows: Rows) -> None:
    found = judged(
        rows,
        entry("column_values_to_be_between", column="e", min_value=1),
        entry("column_values_to_be_unique", column="e"),
        entry("column_values_to_be_between", "facts", column="share", max_value=0.5),
        share=None,
    )
    assert [each.success for each in found] == [True, True, True]


def test_mostly_lets_some_rows_pass(rows: Rows) -> None:
    mixed = of(rows, "SELECT CASE WHEN n = 1 THEN n END AS n FROM {}", n="int")
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
def sliced() -> Rows:
    """Rows of four hours; the fifth has none."""
    values = """
        (0, 1, 'a', 1), (0, 2, 'a', 2), (0, 3, null, null),
        (1, 2, 'a', 1), (1, 3, 'b', 3), (1, 2, 'b', 2),
        (2, 9, 'c', 10),
        (3, null, null, null), (3, null, null, 1)
    """
    hour = "TIMESTAMPTZ '2025-01-01 00:00:00+00' + h * INTERVAL 1 HOUR AS hour"
    return candidate(
        f"SELECT {hour}, n, s, m FROM (VALUES {values}) t(h, n, s, m)",
        hour="timestamp",
        n="int",
        s="string",
        m="int",
    )


FACTS = {hour: {"lines": 2 * n} for n, hour in enumerate(HOURS)}


def no_history(_: Entry, __: datetime) -> Any:
    raise AssertionError("no entry here has usual values")


def together(
    asked: Sequence[Entry], sliced: Rows, hours: Sequence[datetime] = HOURS
) -> dict[datetime, list[Result]]:
    facts = {hour: FACTS[hour] for hour in hours}
    return audit_slices(asked, hours, facts, sliced, "hour", no_history)


def parts(sliced: Rows, hours: Sequence[datetime] = HOURS) -> dict[datetime, Rows]:
    return {
        hour: of(sliced, f"SELECT * FROM {{}} WHERE hour = TIMESTAMPTZ '{hour:%F %T}+00'")
        for hour in hours
    }


def test_slices_audited_together_are_judged_as_each_is_alone(sliced: Rows) -> None:
    found = together(MANY, sliced)
    alone = {hour: audit(MANY, rows, FACTS[hour]) for hour, rows in parts(sliced).items()}
    assert found == alone
    verdicts = {tuple(each.success for each in results) for results in alone.values()}
    assert len(verdicts) == len(HOURS), "the slices were meant to differ"


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_MS", "VARCHAR"])
def test_slices_are_found_whatever_type_their_times_have(sliced: Rows, kind: str) -> None:
    typed = of(sliced, f"SELECT * REPLACE (CAST(hour AS {kind}) AS hour) FROM {{}}")
    asked = [*MANY, replace(QUERY_ENTRY, args={"unexpected_rows_query": "SELECT n FROM {batch}"})]
    if kind != "VARCHAR":
        assert together(asked, typed) == together(asked, sliced)
        return
    failed = together([POSITIVE], typed)  # no time: nothing can be said of any slice
    assert {each.status for (each,) in failed.values()} == {"failed"}


def test_a_slice_of_days_is_found(sliced: Rows) -> None:
    daily = of(sliced, "SELECT * REPLACE (CAST(hour AS DATE) AS hour) FROM {}")
    found = audit_slices([MANY[9], PRESENT_N], HOURS[:1], {HOURS[0]: {}}, daily, "hour", no_history)
    assert [each.observed for each in found[HOURS[0]]] == ["9", "2 of 9 rows, such as [null, null]"]


def test_a_slice_that_cannot_be_computed_fails_alone(sliced: Rows) -> None:
    mixed = of(
        sliced,
        "SELECT hour, CASE WHEN s = 'c' THEN CAST(s AS INTEGER) ELSE n END AS n, s, m FROM {}",
    )
    found = together([MANY[9], POSITIVE], mixed)
    assert [found[hour][1].holds for hour in HOURS] == [False, False, True, False, False]
    assert "Could not convert string 'c' to INT32" in found[HOURS[2]][1].observed
    # What needs no values of it is known nevertheless.
    assert [found[hour][0].observed for hour in HOURS] == ["3", "3", "1", "2", "0"]


class Counting:
    """A connection that keeps what it was asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection, self.queries = connection, list[str]()

    def execute(self, query: str) -> Any:
        self.queries.append(query)
        return self._connection.execute(query)


def counting(rows: Rows) -> tuple[Rows, list[str]]:
    """Return a candidate, and the list of queries that will be run of it."""
    connection = Counting(rows.connection)
    return replace(rows, connection=connection), connection.queries  # type: ignore[arg-type]


def test_more_slices_are_no_more_queries(sliced: Rows) -> None:
    good, queries = counting(of(sliced, "SELECT * FROM {} WHERE n IS NOT NULL"))
    asked = [POSITIVE, PRESENT_N, MANY[13], MANY[2]]
    counts = []
    for n in (1, 3):
        queries.clear()
        together(
            [*asked[:3], replace(asked[3], args={"column": "n", "mostly": 0.0})], good, HOURS[:n]
        )
        counts.append(len(queries))
    # Of rows all aggregates, what is to be unique, and all facts.
    assert counts == [3, 3]


def test_only_columns_that_a_suite_names_are_read(sliced: Rows, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    sliced.connection.execute(f"COPY ({sliced.query}) TO '{file}'")
    good, queries = counting(replace(sliced, query=f"SELECT * FROM '{file}'"))
    together([PRESENT_N, replace(POSITIVE, where="n < 9"), MANY[5]], good)
    assert queries
    read = set()
    for query in queries:
        plan = json.loads(
            sliced.connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1]
        )
        read |= set(_scanned(plan))
    assert read == {"hour", "n"}


def _scanned(plan: Any) -> Iterator[str]:
    """Yield the columns that a plan reads from files."""
    for node in plan:
        columns = node["extra_info"].get("Projections", [])
        if "PARQUET" in node["name"]:
            yield from [columns] if isinstance(columns, str) else columns
        yield from _scanned(node["children"])


# -- conditions, queries, history ---------------------------------------------------------------------


def test_a_condition_chooses_the_rows_that_are_asked(rows: Rows) -> None:
    wanted = replace(entry("column_values_to_be_between", column="n", min_value=2), where="n > 1")
    [found] = judged(rows, wanted)
    assert (found.status, found.observed) == ("met", "0 of 1 rows")
    assert found.expectation == "expect_column_values_to_be_between(n) where n > 1"
    [found] = judged(rows, replace(wanted, where="nosuch > 1"))
    assert found.holds
    assert "nosuch" in found.observed


QUERY_ENTRY = Entry(
    "unexpected_rows_expectation",
    {"unexpected_rows_query": "SELECT b.n FROM {batch} b ANTI JOIN sessions s ON s.n = b.n"},
    "critical",
    "because",
    named="each has a session",
)


def test_a_query_may_join_published_tables_and_shows_the_rows_that_should_not_be(
    rows: Rows,
) -> None:
    [whole] = audit(
        [QUERY_ENTRY], rows, {}, lambda name: f"(SELECT n, '{name}' AS t FROM ({rows.query}))"
    )
    assert (whole.status, whole.observed, whole.metric) == ("met", "0", 0.0)
    [less] = audit([QUERY_ENTRY], rows, {}, lambda _: f"(SELECT n FROM ({rows.query}) WHERE n = 1)")
    assert less.holds
    assert less.observed == '1 rows, such as [{"n": 2}]'
    assert less.expected.startswith("no row of: SELECT b.n FROM {batch}")
    assert less.expectation == "each has a session"
    # Nothing stays behind that a later query could take for a published table.
    assert rows.connection.execute("SHOW TABLES").fetchall() == []


def test_of_slices_audited_together_each_has_limits_and_rows_of_its_own(
    sliced: Rows,
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
    found = audit_slices(asked, HOURS[:4], facts, sliced, "hour", history)
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


def test_a_column_of_nulls_only_has_no_aggregate_and_never_passes_for_one(rows: Rows) -> None:
    found = judged(
        rows,
        entry("column_mean_to_be_between", column="e", min_value=0),
        entry("column_max_to_be_between", column="e", max_value=9),
        entry("column_values_to_be_in_set", column="e", value_set=[1]),
        entry("column_proportion_of_non_null_values_to_be_between", column="e", min_value=0.5),
    )
    assert [each.status for each in found] == ["failed", "failed", "met", "failed"]
    assert [each.metric for each in found] == [None, None, 0.0, 0.0]


def test_nan_is_no_number_that_passes(rows: Rows) -> None:
    mixed = of(
        rows,
        "SELECT CASE WHEN n = 1 THEN CAST('NaN' AS DOUBLE) ELSE 1.0 END AS x FROM {}",
        x="double",
    )
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


def test_an_aggregate_of_no_rows_fails_and_says_so(rows: Rows) -> None:
    [found] = judged(
        of(rows, "SELECT * FROM {} WHERE FALSE"),
        entry("column_mean_to_be_between", column="n", min_value=0),
    )
    assert found.status == "failed"
    assert found.metric is None


def test_values_as_long_as_a_line_and_hostile_ones_are_cut_and_kept_as_data() -> None:
    nasty = candidate(
        "SELECT '<script>alert(1)</script>' || chr(27) || '[2J' || chr(0) || repeat('x', 1000000) AS s",
        s="string",
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


def test_audits_at_the_same_time_do_not_meet(rows: Rows) -> None:
    def one(n: int) -> list[str]:
        own = replace(
            rows,
            connection=rows.connection.cursor(),
            query=f"SELECT n + {n} AS n FROM ({rows.query})",
            columns={"n": "int"},
        )
        query = "SELECT n FROM {batch} WHERE n > 4"
        asked = [
            entry("column_max_to_be_between", column="n", max_value=4),
            replace(QUERY_ENTRY, args={"unexpected_rows_query": query}),
        ]
        return [f"{each.status} {each.metric}" for each in audit(asked, own, {})]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(4)))
    assert found == [
        ["met 2.0", "met 0.0"],
        ["met 3.0", "met 0.0"],
        ["met 4.0", "met 0.0"],
        ["failed 5.0", "failed 1.0"],
    ]


def test_a_query_is_asked_once_unless_it_fails(rows: Rows) -> None:
    counted, queries = counting(rows)
    query = "SELECT n FROM {batch} WHERE n > "
    good, bad = (replace(QUERY_ENTRY, args={"unexpected_rows_query": query + n}) for n in "91")
    assert [each.status for each in judged(counted, good)] == ["met"]
    assert len(queries) == 1
    [found] = judged(counted, bad)
    assert found.observed == '1 rows, such as [{"n": 2}]'


def test_examples_are_looked_up_only_where_something_failed(sliced: Rows) -> None:
    counted, queries = counting(sliced)
    met = replace(PRESENT_N, args={"column": "n", "mostly": 0.0})
    assert {each.status for (each,) in together([met], counted).values()} == {"met"}
    queries.clear()
    found = together([PRESENT_N], counted)
    assert found[HOURS[3]][0].observed == "2 of 2 rows, such as [null, null]"
    # The counts, those of no rows, the type of the column of slices, and the examples of one slice.
    assert len(queries) == 4


# -- exact values -----------------------------------------------------------------------------------------

BIG = 9007199254740993
"""2**53 + 1: a double has 2**53 for it."""


NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
MOMENT = "TIMESTAMPTZ '2025-01-01 00:00:00.000001+00'"


def one(value: str, type_: str) -> Rows:
    return candidate(f"SELECT {value} AS x", x=type_)


@pytest.mark.parametrize(
    ("value", "type_", "limits", "met"),
    [
        (f"CAST({BIG} AS BIGINT)", "bigint", {"max_value": BIG - 1}, False),
        (f"CAST({BIG} AS BIGINT)", "bigint", {"max_value": BIG}, True),
        (f"CAST({BIG} AS BIGINT)", "bigint", {"min_value": BIG + 1}, False),
        (f"CAST({BIG} AS BIGINT)", "bigint", {"min_value": BIG, "strict_min": True}, False),
        ("CAST(9223372036854775807 AS BIGINT)", "bigint", {"max_value": 1e300}, True),
        ("CAST(9223372036854775807 AS BIGINT)", "bigint", {"min_value": 1e300}, False),
        ("CAST(-9223372036854775808 AS BIGINT)", "bigint", {"min_value": -1e300}, True),
        ("CAST(5 AS BIGINT)", "bigint", {"max_value": 5.5}, True),
        ("CAST(6 AS BIGINT)", "bigint", {"max_value": 5.5}, False),
        ("CAST(5 AS BIGINT)", "bigint", {"max_value": 5.5, "strict_max": True}, True),
        ("CAST(-5 AS BIGINT)", "bigint", {"min_value": -5.5}, True),
        ("CAST(-6 AS BIGINT)", "bigint", {"min_value": -5.5}, False),
        ("CAST(5 AS BIGINT)", "bigint", {"max_value": 5, "strict_max": True}, False),
        ("CAST('0.1' AS DECIMAL(38, 20))", "decimal(38,20)", {"max_value": 0.1}, True),
        ("CAST('0.10000000000000000001' AS DECIMAL(38, 20))", "decimal(38,20)", {"max_value": 0.1}, False),
        ("CAST('0.09' AS DECIMAL(10, 2))", "decimal(10,2)", {"max_value": 0.095}, True),
        ("CAST('0.10' AS DECIMAL(10, 2))", "decimal(10,2)", {"max_value": 0.095}, False),
        ("CAST('99999999.99' AS DECIMAL(10, 2))", "decimal(10,2)", {"max_value": 99999999.999}, True),
        ("CAST('99999999.99' AS DECIMAL(10, 2))", "decimal(10,2)", {"min_value": 1e9}, False),
        ("CAST('Infinity' AS DOUBLE)", "double", {"max_value": 1.7e308}, False),
        ("CAST('NaN' AS DOUBLE)", "double", {"max_value": 1.7e308}, False),
        (MOMENT, "timestamp", {"max_value": NEW_YEAR}, False),
        (MOMENT, "timestamp", {"max_value": "2025-01-01 00:00:00.000001"}, True),
        ("DATE '2025-01-01'", "date", {"max_value": date(2025, 1, 1)}, True),
    ],
)  # fmt: skip
def test_limits_are_compared_with_every_digit(
    value: str, type_: str, limits: dict[str, Any], met: bool
) -> None:
    [found] = judged(one(value, type_), entry("column_values_to_be_between", column="x", **limits))
    assert (found.status, found.metric) == ("met" if met else "failed", 0.0 if met else 1.0)


def test_what_is_observed_keeps_every_digit() -> None:
    values = candidate(
        f"SELECT CAST({BIG} AS BIGINT) AS n, CAST('0.30' AS DECIMAL(38, 2)) AS m, "
        "TIMESTAMPTZ '2025-01-01 00:00:00.123456+00' AS t",
        n="bigint",
        m="decimal(38,2)",
        t="timestamp",
    )
    found = judged(
        values,
        entry("column_max_to_be_between", column="n", max_value=1),
        entry("column_sum_to_be_between", column="n", max_value=1),
        entry("column_sum_to_be_between", column="m", max_value=0.1),
        entry("column_max_to_be_between", column="t", min_value=NEW_YEAR),
        entry("column_max_to_be_between", column="t", max_value=NEW_YEAR),
        entry("column_values_to_be_in_set", column="n", value_set=[BIG - 1]),
        entry("column_values_to_be_in_set", column="m", value_set=[0.3]),
        entry("column_values_to_be_null", column="t"),
    )
    assert [each.observed for each in found] == [
        str(BIG),
        str(BIG),
        "0.30",
        "2025-01-01 00:00:00.123456",
        "2025-01-01 00:00:00.123456",
        f"1 of 1 rows, such as [{BIG}]",
        "0 of 1 rows",
        '1 of 1 rows, such as ["2025-01-01 00:00:00.123456"]',
    ]
    assert [each.success for each in found[3:5]] == [True, False]


@pytest.mark.parametrize("known", [["a", None], [None]])
def test_a_null_in_a_set_lets_no_other_value_pass(rows: Rows, known: list[str | None]) -> None:
    other = of(rows, "SELECT 'z' AS s UNION ALL SELECT NULL", s="string")
    found = judged(
        other,
        entry("column_values_to_be_in_set", column="s", value_set=known),
        entry("column_distinct_values_to_be_in_set", column="s", value_set=known),
    )
    assert [each.status for each in found] == ["failed", "failed"]


@pytest.mark.parametrize(
    "text",
    ["it's", 'a "quote"', "back\\slash", "nul\x00inside", "{batch}", "a\nb", "émoji🤦", "--", ""],
)
def test_any_text_can_be_a_value_of_a_set(text: str) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (s VARCHAR)")
    connection.execute("INSERT INTO t VALUES (?), ('other')", [text])
    rows = Rows(connection, "SELECT * FROM t", {"s": "string"})
    found = judged(
        rows,
        entry("column_values_to_be_in_set", column="s", value_set=[text, "other"]),
        entry("column_values_to_not_be_in_set", column="s", value_set=[text]),
        replace(entry("table_row_count_to_equal", value=2), where="s IS NOT NULL"),
    )
    assert [each.metric for each in found] == [0.0, 0.5, 2.0]


def test_names_of_columns_may_be_anything() -> None:
    odd = candidate(
        'SELECT 1 AS "a ""b"" from", 2 AS "select"', **{'a "b" from': "int", "select": "int"}
    )
    found = judged(
        odd,
        entry("column_values_to_be_between", column='a "b" from', max_value=0),
        entry(
            "column_pair_values_a_to_be_greater_than_b", column_A="select", column_B='a "b" from'
        ),
        entry("compound_columns_to_be_unique", column_list=["select", 'a "b" from']),
        entry("column_values_to_be_unique", column="select"),
    )
    assert [each.status for each in found] == ["failed", "met", "met", "met"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^a$", [True, False, False]),
        ("a(?=b)", [False, True, False]),  # RE2 has no lookahead: Python decides
        (r"(.)\1", [False, False, True]),
        ("b|c", [False, True, True]),
    ],
)
def test_regular_expressions_work_with_and_without_lookaround(
    pattern: str, expected: list[bool]
) -> None:
    for text, match in zip(["a", "ab", "cc"], expected, strict=True):
        rows = candidate(f"SELECT '{text}' AS s UNION ALL SELECT NULL", s="string")
        found = judged(
            rows,
            entry("column_values_to_match_regex", column="s", regex=pattern),
            entry("column_values_to_not_match_regex", column="s", regex=pattern),
        )
        assert [each.success for each in found] == [match, not match], text
        shown = next(each for each in found if not each.success)
        assert shown.observed == f'1 of 2 rows, such as ["{text}"]'


def test_a_pattern_that_is_none_fails_its_check(rows: Rows) -> None:
    [found] = judged(rows, entry("column_values_to_match_regex", column="s", regex="a("))
    assert found.holds
    assert found.observed.startswith("the check failed: ")


@pytest.mark.parametrize(
    "kind", ["timestamptz '2025-01-01'", "1", "1.5", "date '2025-01-01'", "true"]
)
def test_a_value_that_is_no_text_is_matched_by_its_text(kind: str) -> None:
    types = {"t": "timestamp", "d": "date"}
    rows = candidate(f"SELECT {kind} AS x", x=types.get(kind[0], "double"))
    [found] = judged(rows, entry("column_values_to_match_regex", column="x", regex="^no time$"))
    assert found.holds


# -- errors that say nothing of a candidate -----------------------------------------------------------------


class Broken:
    """A connection that fails after some queries."""

    def __init__(self, rows: Rows, error: Exception, after: int) -> None:
        self._connection, self._error, self._left = rows.connection, error, after

    def execute(self, query: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._connection.execute(query)


LOST = duckdb.IOException("IO Error: Could not connect to server error for HTTP GET to 's3://b/x'")
FULL = duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data of size 1 GiB")


@pytest.mark.parametrize("after", range(5))
@pytest.mark.parametrize(("error", "kind"), [(LOST, TryAgainError), (FULL, TidegateError)])
def test_what_says_nothing_of_the_candidate_ends_the_audit_without_a_verdict(
    rows: Rows, error: Exception, kind: type[TidegateError], after: int
) -> None:
    broken = replace(rows, connection=Broken(rows, error, after))  # type: ignore[arg-type]
    query = replace(QUERY_ENTRY, args={"unexpected_rows_query": "SELECT * FROM {batch}"})
    with pytest.raises(kind, match="nothing was judged") as raised:
        judged(broken, UNIQUE, PRESENT, query)
    assert type(raised.value) is kind


def test_an_unknown_metric_is_a_failure_of_its_check(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate.gate import aggregates

    known = {name: made for name, made in aggregates.AGGREGATES.items() if name != "column.max"}
    monkeypatch.setattr(aggregates, "AGGREGATES", known)
    found = judged(rows, entry("column_max_to_be_between", column="n", max_value=9), POSITIVE)
    assert [each.holds for each in found] == [True, False]
    assert "column.max" in found[0].observed


# -- facts ----------------------------------------------------------------------------------------------------


def test_facts_of_slices_keep_their_kinds_and_their_values(sliced: Rows) -> None:
    values: list[Any] = [BIG, 0.5, "text", None, 10**30]
    facts = {hour: {"v": value, "w": 1} for hour, value in zip(HOURS, values, strict=True)}
    asked = [
        entry(
            "column_values_to_be_in_set", "facts", column="v", value_set=[BIG, 0.5, "text", 10**30]
        ),
        entry(
            "column_values_to_be_in_set", "facts", column="v", value_set=[BIG - 1, 0.25, "TEXT", 0]
        ),
        entry("column_values_to_be_between", "facts", column="w", min_value=1, max_value=1),
    ]
    found = audit_slices(asked[2:], HOURS, facts, sliced, "hour", no_history)
    assert {each.status for (each,) in found.values()} == {"met"}
    for hour, value in zip(HOURS, values, strict=True):
        same = [value] if value is not None else []
        asked = [
            entry("column_values_to_be_in_set", "facts", column="v", value_set=same),
            entry("column_values_to_not_be_in_set", "facts", column="v", value_set=same),
        ]
        results = audit_slices(asked, HOURS, facts, sliced, "hour", no_history)[hour]
        expected = ["met", "failed"] if same else ["met", "met"]
        assert [each.status for each in results] == expected, value
        assert results[0].observed == ("nothing" if value is None else str(value))


def test_a_fact_that_only_some_slices_have_fails_where_it_is_not(sliced: Rows) -> None:
    facts: dict[datetime, dict[str, Any]] = {hour: {"a": 1} for hour in HOURS}
    facts[HOURS[2]] = {"b": 1}
    asked = [entry("column_values_to_be_between", "facts", column="a", max_value=1)]
    found = audit_slices(asked, HOURS, facts, sliced, "hour", no_history)
    assert [found[hour][0].success for hour in HOURS] == [True, True, False, True, True]
    assert "check failed" in found[HOURS[2]][0].observed


# -- SQL that users write -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM read_parquet('/etc/x') JOIN {batch} USING (n)", "read_parquet() is not allowed"),
        ("SELECT * FROM '/etc/passwd', {batch}", "/etc/passwd"),
        ("SELECT n, getenv('HOME') FROM {batch}", "getenv() is not allowed"),
        ("SELECT n FROM {batch} WHERE n > (SELECT count(*) FROM duckdb_secrets())", "duckdb_secrets() is not"),
        ("COPY {batch} TO '/tmp/x'", "expected a query"),
        ("SELECT n FROM {batch}; DROP TABLE t", "Only SELECT"),
        ("SELECT n FROM rows, {batch}", "no published table 'rows'"),
        ("SELECT to_date(n) FROM {batch}", "to_date() is a function of Spark: in DuckDB's SQL, write CAST(x AS DATE)"),
        ("SELECT n FROM {batch} WHERE now() > DATE '2025-01-01'", "would depend on the clock"),
    ],
)  # fmt: skip
def test_a_query_that_reaches_beyond_the_tables_is_not_run(rows: Rows, sql: str, told: str) -> None:
    connection = Counting(rows.connection)
    counted = replace(rows, connection=connection)  # type: ignore[arg-type]
    [found] = judged(counted, replace(QUERY_ENTRY, args={"unexpected_rows_query": sql}))
    assert found.holds
    assert told in found.observed or "expected a query" in found.observed
    assert connection.queries == []


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("n > 1) OR (TRUE", "not an SQL expression"),
        ("n IN (SELECT 1)", "a subquery is not allowed"),
        ("getenv('HOME') = 'x'", "getenv() is not allowed"),
        ("rlike(s, 'a')", "write regexp_matches(text, 'pattern')"),
        ("sum(n) > 1", "sum() is not allowed"),
    ],
)
def test_a_condition_sees_one_row(rows: Rows, condition: str, told: str) -> None:
    [found] = judged(rows, replace(POSITIVE, where=condition))
    assert found.holds
    assert told in found.observed


def test_a_condition_guards_what_cannot_be_computed_for_other_rows() -> None:
    mixed = candidate("SELECT * FROM (VALUES ('a'), ('1')) t(s)", s="string")
    [found] = judged(
        mixed,
        replace(entry("column_values_to_be_in_set", column="s", value_set=[1]), where="s = '1'"),
    )
    assert found.status == "met"
