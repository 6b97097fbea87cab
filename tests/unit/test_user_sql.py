"""SQL that users write: what is allowed, what is refused, and what a refusal says."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from tidegate.user_sql import (
    FUNCTIONS,
    ROW_FUNCTIONS,
    ExpressionError,
    read_expression,
    read_query,
)
from tidegate.user_sql.functions import AGGREGATES, SOURCES, SPARK_ONLY, WINDOWS


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT * FROM {batch}", set()),
        ("SELECT b.n FROM {batch} b ANTI JOIN sessions s ON s.n = b.n;", {"sessions"}),
        ("FROM {batch} SELECT count(*) FILTER (WHERE n > 1)", set()),
        ("WITH own AS (SELECT * FROM events) SELECT * FROM own, {batch}", {"events"}),
        ("SELECT 1 FROM {batch} WHERE EXISTS (SELECT 1 FROM staging.sessions)", {"staging.sessions"}),
        ("SELECT * FROM {batch} UNION ALL SELECT * FROM events ORDER BY 1 LIMIT 3", {"events"}),
        ("SELECT n, lag(n) OVER (ORDER BY n) FROM {batch} QUALIFY row_number() OVER (ORDER BY n) = 1", set()),
        ("SELECT u.e FROM {batch} b, unnest(b.l) AS u(e)", set()),
        ("SELECT {{'a': n}}.a FROM {batch}", set()),
        ("SELECT CAST(x AS MAP(VARCHAR, BIGINT)), j::JSON->>'$.a' FROM {batch}", set()),
        ("SELECT list_filter(l, e -> e > 1) FROM {batch} b ASOF JOIN events e ON e.t >= b.t", {"events"}),
        ("SELECT '; FROM ''x.parquet''' FROM {batch} -- FROM 'x.csv'", set()),
    ],
)  # fmt: skip
def test_a_query_may_read_tables_by_name(query: str, tables: set[str]) -> None:
    assert read_query(query).tables == tables


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * FROM read_csv('/x'), {batch}", "read_csv() is not allowed after FROM"),
        ("SELECT * FROM glob('*'), {batch}", "glob() is not allowed after FROM"),
        ("SELECT * FROM query('SELECT 1')", "query() is not allowed after FROM"),
        ("SELECT read_text('/x') FROM {batch}", "read_text() is not allowed"),
        ("SELECT current_setting('x') FROM {batch}", "current_setting() is not allowed"),
        ("SELECT random() FROM {batch}", "random() is not allowed"),
        ("SELECT n FROM {batch} WHERE t < current_timestamp", "current_timestamp is not allowed"),
        ("SELECT now() FROM {batch}", "now() is not allowed: the answer would depend on the clock"),
        ("SELECT * FROM {batch} TABLESAMPLE 10%", "a sample is not allowed"),
        ("SELECT * FROM {batch} AT (VERSION => 1)", "AT is not allowed"),
        ("SELECT * FROM (DESCRIBE {batch})", "show ref is not allowed"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT * FROM r, {batch}", "recursive cte"),
        ("SELECT n FROM {batch} WHERE n = ?", "parameter is not allowed"),
        ("SELECT x::foo FROM {batch}", "a cast to foo is not allowed"),
        ("ATTACH 'x' AS y", "expected a query: SELECT …"),
        ("INSERT INTO t SELECT * FROM {batch}", "expected a query: SELECT …"),
        ("SELECT 1; SELECT * FROM {batch}", "expected one query: SELECT …"),
        ("SELECT FROM WHERE {batch}", "not an SQL query: "),
        ("SELECT n FROM {batch} WHERE s RLIKE 'a'", "RLIKE is Spark's: write regexp_matches(x, 'pattern')"),
        ("SELECT n FROM {batch} LEFT ANTI JOIN events USING (n)", "LEFT ANTI JOIN is Spark's: write ANTI JOIN"),
        ("SELECT x FROM {batch} LATERAL VIEW explode(l) t AS x", "LATERAL VIEW is Spark's"),
        ("SELECT other.lower(s) FROM {batch}", "lower() is not allowed"),
    ],
)  # fmt: skip
def test_a_query_that_does_more_is_refused_with_the_reason(query: str, told: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        read_query(query)
    assert told in str(raised.value)


def test_every_fault_of_a_query_is_told_at_once() -> None:
    with pytest.raises(ExpressionError) as raised:
        read_query("SELECT nvl(a, b), size(l), date_format(t, 'y') FROM {batch}, glob('*')")
    names = [fault.split("(")[0] for fault in raised.value.faults]
    assert names == ["nvl", "size", "date_format", "glob"]


def functions_of_duckdb() -> set[str]:
    rows = duckdb.connect().execute("SELECT function_name FROM duckdb_functions()").fetchall()
    return {name for (name,) in rows}


def test_each_function_that_is_allowed_is_one_of_duckdb() -> None:
    # What its grammar makes of COUNT(*), windows and literals is in no list of functions.
    grammar = {
        "unnest",
        "list_value",
        "row",
        "nullif",
        "count_star",
        "map",
        "->",
        "ifnull",
    } | WINDOWS
    allowed = ROW_FUNCTIONS | AGGREGATES | SOURCES
    assert allowed - functions_of_duckdb() - grammar == set()
    assert FUNCTIONS < ROW_FUNCTIONS


def test_what_only_spark_has_is_never_allowed_under_that_name() -> None:
    assert SPARK_ONLY.keys() & (ROW_FUNCTIONS | AGGREGATES | WINDOWS) == set()


@pytest.mark.parametrize("name", sorted(SPARK_ONLY))
def test_the_replacement_of_a_function_of_spark_is_named_and_allowed(name: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        read_expression(f'"{name}"(x)', ROW_FUNCTIONS)
    assert f"{name}() is a function of Spark: in DuckDB's SQL, write " in str(raised.value)
    instead = SPARK_ONLY[name].partition(", and ")[0].replace("{", "{{").replace("}", "}}")
    assert read_query(f"SELECT {instead} FROM {{batch}}").tables == set()


NONE = None
EDGES: list[tuple[str, Any]] = [
    ("lower('ÄB')", "äb"), ("upper('ä')", "Ä"), ("length('a🤦')", 2), ("length('')", 0),
    ("octet_length('ab'::BLOB)", 2), ("substring('abc', 2, 9)", "bc"), ("left('abc', 0)", ""),
    ("split_part('a,b', ',', 3)", ""), ("concat('a', NULL)", "a"), ("'a' || NULL", NONE),
    ("replace('aa', 'a', '')", ""), ("regexp_matches('a' || chr(10) || 'b', 'a.b')", False),
    ("regexp_replace('aab', 'a', 'x', 'g')", "xxb"), ("regexp_extract('ab', '(b)', 1)", "b"),
    ("instr('abc', 'z')", 0), ("lpad('a', 3, '0')", "00a"), ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
    ("contains('', '')", True), ("abs(-1)", 1), ("round(2.5)", 3), ("round_even(2.5, 0)", 2.0),
    ("floor(-1.5)", -2), ("5 // 2", 2), ("5 % -3", 2), ("1 / 0", math.inf), ("ceil(-1.5)", -1),
    ("trunc(-1.5)", -1), ("sign(-3)", -1), ("greatest(1, NULL)", 1), ("least(NULL, NULL)", NONE),
    ("ifnull(NULL, 1)", 1), ("nullif(1, 1)", NONE), ("isnan('NaN'::DOUBLE)", True),
    ("isfinite('inf'::DOUBLE)", False), ("coalesce(NULL, 2)", 2), ("'NaN'::DOUBLE > 1e308", True),
    ("NULL IN (1, NULL)", NONE), ("1 IS DISTINCT FROM NULL", True),
    ("date_trunc('hour', TIMESTAMPTZ '2024-02-29 23:59:59.999999+00')", datetime(2024, 2, 29, 23, tzinfo=UTC)),
    ("CAST(TIMESTAMPTZ '2024-12-31 23:59:59.999999+00' AS DATE)", date(2024, 12, 31)),
    ("date_diff('day', DATE '2024-02-28', DATE '2024-03-01')", 2),
    ("last_day(DATE '2024-02-01')", date(2024, 2, 29)),
    ("epoch_us(TIMESTAMPTZ '1970-01-01 00:00:00.000001+00')", 1),
    ("epoch(TIMESTAMPTZ '1969-12-31 23:59:59+00')", -1.0),
    ("strftime(DATE '2024-01-02', '%Y-%m-%d')", "2024-01-02"), ("try_strptime('x', '%Y')", NONE),
    ("isodow(DATE '2024-01-07')", 7), ("to_timestamp(0)", datetime(1970, 1, 1, tzinfo=UTC)),
    ("year(DATE '0001-01-01')", 1), ("len([])", 0), ("list_contains([1, NULL], 2)", False),
    ("list_distinct([1, 1, NULL])", [1]), ("[1, 2][3]", NONE), ("map(['a'], [1])['b']", NONE),
    ("map_contains(map(['a'], [1]), 'a')", True), ("cardinality(map(['a'], [NULL]))", 1),
    ("map_keys(map(['a'], [1]))", ["a"]), ("json_valid('{')", False),
    ("json_extract_string('{\"a\": null}', '$.a')", NONE), ("'{\"a\": 1}'::JSON->>'$.a'", "1"),
    ("json_array_length('[1, 2]')", 2), ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "value"), EDGES)
def test_functions_give_what_is_known_of_values_at_the_edge(expression: str, value: Any) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    text = read_query(
        f"SELECT {expression.replace('{', '{{').replace('}', '}}')} FROM {{batch}}"
    ).text
    [(found,)] = connection.execute(f"WITH __batch__ AS (SELECT 1) {text}").fetchall()
    assert found == value
