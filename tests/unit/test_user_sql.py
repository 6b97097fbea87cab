"""SQL that users write: what is allowed, what is refused, and what a refusal says."""

from __future__ import annotations

import pytest

from tidegate.config.user_sql import (
    CONDITION,
    LINE,
    METRIC,
    ExpressionError,
    Kind,
    read_expression,
    read_query,
)


def refusal_of(text: str, kind: Kind) -> list[str]:
    with pytest.raises(ExpressionError) as raised:
        read_expression(text, kind)
    return raised.value.faults


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
        ("SELECT * FROM other.range(3), {batch}", "range() is not allowed after FROM"),
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
        ("SELECT n FROM {batch} WHERE s RLIKE 'a'", "RLIKE is Spark's: write regexp_matches(text, 'pattern')"),
        ("SELECT n FROM {batch} LEFT ANTI JOIN events USING (n)", "LEFT ANTI JOIN is Spark's: write ANTI JOIN"),
        ("SELECT x FROM {batch} LATERAL VIEW explode(l) t AS x", "LATERAL VIEW is Spark's"),
        ("SELECT other.lower(s) FROM {batch}", "lower() is not allowed"),
        ("SELECT n FROM {batch} WHERE n <=> 1", "<=> is Spark's: write a IS NOT DISTINCT FROM b"),
        ("SELECT `n m` FROM {batch}", 'a name that is not plain stands in double quotes, such as "a b"'),
        ("SELECT nowhere(n) OVER () FROM {batch}", "nowhere() is not allowed"),
        ('SELECT x::other."json" FROM {batch}', "a cast to json is not allowed"),
        ("SELECT current_user FROM {batch}", "current_user is not allowed"),
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


@pytest.mark.parametrize(
    "name",
    [
        "now", "today", "random", "uuid", "gen_random_uuid", "getenv", "getvariable", "current_setting", "hash",
        "repeat", "range", "generate_series", "unnest", "sum", "count", "first", "list_distinct", "read_text",
        "nextval", "txid_current", "version", "error", "sleep_ms", "age", "ago", "write_log", "list_aggregate",
        "json_serialize_sql", "parse_duckdb_log_message", "get_current_time", "in_search_path", "pg_sleep", "if_x",
        "typeof", "octet_length", "log", "dayofweek", "weekday",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [LINE, METRIC])
def test_a_function_that_is_not_listed_is_refused(name: str, kind: Kind) -> None:
    for text in (f"{name}(a)", f"main.{name}(a)", f"lower({name.upper()}(a))", f'"{name}"(a)'):
        with pytest.raises(ExpressionError):
            read_expression(text, kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lower(a) FILTER (WHERE b)", "takes neither FILTER"),
        ("other.lower(a)", "lower() is not allowed"),
        ("a::STRUCT(b INTEGER)", "a cast to STRUCT is not allowed"),
        ("a::STRUCT(b INTEGER)[]", "a cast to STRUCT is not allowed"),
        ("a::my_type", "a cast to my_type is not allowed"),
        ("a IN (SELECT 1)", "a subquery is not allowed"),
        ("sum(a) OVER ()", "a window function is not allowed"),
        ("a.*", "'*' is not allowed"),
        ("unix_timestamp()", "unix_timestamp() is not allowed: the answer would depend on the clock"),
        ("a[1:2]", "array_slice is not allowed"),
    ],
)  # fmt: skip
def test_what_is_no_value_of_one_row_is_refused_among_nested_fields_too(
    text: str, message: str
) -> None:
    for kind in (LINE, CONDITION, METRIC):
        faults = refusal_of(text, kind)
        assert any(message in fault for fault in faults), (kind.reason, faults)


@pytest.mark.parametrize("name", ["current_date", "Current_Timestamp", "session_user"])
def test_a_name_that_reads_the_clock_or_a_setting_is_no_field_of_a_line(name: str) -> None:
    assert any(f"{name.lower()} is not allowed" in fault for fault in refusal_of(name, LINE))


def test_only_expressions_of_lines_read_members_of_objects() -> None:
    assert read_expression("user.id", LINE).paths == (("user", "id"),)
    for kind in (CONDITION, METRIC):
        assert refusal_of("user.id", kind) == ["expected a column of the table, got 'user.id'"]


def test_parameters_of_a_lambda_are_no_columns() -> None:
    text = "len(list_filter(tags, lambda x: x != kind)) > 0 AND x"
    for kind in (LINE, CONDITION):
        assert read_expression(text, kind).columns == ("tags", "kind", "x")
    [fault] = refusal_of(text, METRIC)
    assert fault.startswith("list_filter() is not allowed: an expression sees one row")


def test_an_arrow_reads_json_in_every_kind() -> None:
    for kind in (LINE, CONDITION, METRIC):
        assert read_expression("properties -> '$.page' ->> '$.id'", kind).columns == ("properties",)


def test_a_text_means_the_same_alone_and_within_a_query() -> None:
    for text in ("a) OR (b", "a /* x", "a -- x", "1; SELECT 2", "a, b", "DISTINCT a", "a FROM t"):
        try:
            tree = read_expression(text, LINE).tree
        except ExpressionError:
            continue
        assert tree["class"] == "COLUMN_REF", text
