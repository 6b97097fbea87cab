"""Functions that expressions may use: the values that DuckDB gives at the edges, and that no other one gets in.

`scalar_functions.json` has an expression a line and its value as text: of NULL, empty text, characters beyond ASCII,
negative numbers and numbers beyond their type. A value that begins with `!` is the kind of an error.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import duckdb
import pytest

from tidegate.scalar_functions import FUNCTIONS, LAMBDA_FUNCTIONS, REPLACEMENTS
from tidegate.scalar_sql import (
    ExpressionError,
    Rules,
    empty_cursor,
    expression_tree,
    tree_faults,
    tree_nodes,
)

ALLOWED = FUNCTIONS | LAMBDA_FUNCTIONS
GOLDEN: dict[str, str | None] = json.loads(
    (Path(__file__).parent / "scalar_functions.json").read_text(encoding="utf-8")
)
PARSED_AWAY = {"ifnull": "OPERATOR_COALESCE", "->": "LAMBDA"}
"""Functions of which DuckDB's parser makes a node of another type."""


@lru_cache(maxsize=1)
def cases_by_function() -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {name: [] for name in ALLOWED}
    for expression in GOLDEN:
        for node in tree_nodes(expression_tree(expression)):
            names = {node.get("function_name", "").lower()}
            names |= {
                name for name, kind in PARSED_AWAY.items() if kind in (node["class"], node["type"])
            }
            for name in names & ALLOWED:
                cases[name].append(expression)
    return cases


@pytest.mark.parametrize("function", sorted(ALLOWED))
def test_a_function_gives_at_the_edges_what_is_written_down(function: str) -> None:
    cases = cases_by_function()[function]
    assert len(cases) >= 2
    values: dict[str, str | None] = {}
    with empty_cursor() as cursor:
        for expression in cases:
            try:
                row = cursor.execute(f"SELECT CAST((\n{expression}\n) AS VARCHAR)").fetchone()
            except duckdb.Error as error:
                values[expression] = "! " + str(error).partition("\n")[0].partition(":")[0]
            else:
                assert row is not None
                values[expression] = row[0]
    assert values == {expression: GOLDEN[expression] for expression in cases}


def test_each_expression_of_the_examples_may_be_used() -> None:
    rules = Rules("", nested=True)
    casts = ("a cast to STRUCT", "a cast to MAP", "a cast to UNBOUND", "a cast to BLOB")
    for expression in GOLDEN:
        faults = tree_faults(expression_tree(expression), rules)
        assert [fault for fault in faults if not fault.startswith(casts)] == [], expression


def test_no_function_depends_on_more_than_its_arguments() -> None:
    with empty_cursor() as cursor:
        rows = cursor.execute(
            "SELECT function_name, list(DISTINCT function_type), list(DISTINCT stability) "
            "FROM duckdb_functions() GROUP BY ALL"
        ).fetchall()
    kinds = {name.lower(): (set(types), set(stabilities)) for name, types, stabilities in rows}
    unknown = ALLOWED - set(kinds) - {"ifnull", "->", "@"}
    assert not unknown
    for name in ALLOWED & set(kinds):
        types, stabilities = kinds[name]
        assert types <= {"scalar", "macro"}, name
        assert stabilities <= {"CONSISTENT", None}, name


def test_what_is_replaced_is_not_allowed_itself() -> None:
    assert not set(REPLACEMENTS) & FUNCTIONS - {"transform"}


@pytest.mark.parametrize(
    "name",
    [
        "now", "today", "random", "uuid", "gen_random_uuid", "getenv", "getvariable", "current_setting", "hash",
        "repeat", "range", "generate_series", "unnest", "sum", "count", "first", "list_distinct", "read_text",
        "nextval", "txid_current", "version", "error", "sleep_ms", "age", "ago", "write_log", "list_aggregate",
        "json_serialize_sql", "parse_duckdb_log_message", "get_current_time", "in_search_path", "pg_sleep", "if_x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("nested", [True, False])
def test_a_function_that_is_not_listed_is_refused(name: str, *, nested: bool) -> None:
    for text in (f"{name}(a)", f"main.{name}(a)", f"lower({name.upper()}(a))", f'"{name}"(a)'):
        try:
            faults = tree_faults(expression_tree(text), Rules("one row", nested=nested))
        except ExpressionError as error:
            faults = error.faults
        assert faults, text


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
        ("current_date", "current_date is not allowed"),
        ("Current_Timestamp", "current_timestamp is not allowed"),
    ],
)
def test_what_is_no_value_of_one_row_is_refused_among_nested_fields_too(
    text: str, message: str
) -> None:
    faults = tree_faults(expression_tree(text), Rules("one row", nested=True))
    assert any(message in fault for fault in faults), faults


def test_a_text_means_the_same_alone_and_within_a_query() -> None:
    for text in ("a) OR (b", "a /* x", "a -- x", "1; SELECT 2", "a, b", "DISTINCT a", "a FROM t"):
        try:
            tree = expression_tree(text)
        except ExpressionError:
            continue
        assert tree["class"] == "COLUMN_REF", text
