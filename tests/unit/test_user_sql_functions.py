"""Functions that users' SQL may call: the values that DuckDB gives at the edges, and that no other one gets in.

`user_sql_functions.json` has an expression a line and its value as text: of NULL, empty text, characters beyond ASCII,
negative numbers and numbers beyond their type. A value that begins with `!` is the kind of an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import duckdb
import pytest

from tidegate.config.user_sql import (
    CONDITION,
    LINE,
    METRIC,
    QUERY,
    ExpressionError,
    Kind,
    read_expression,
    read_query,
)
from tidegate.config.user_sql.faults import tree_faults
from tidegate.config.user_sql.functions import (
    AGGREGATES,
    LAMBDA_FUNCTIONS,
    SCALARS,
    SUITE_SCALARS,
    TABLE_FUNCTIONS,
    WINDOWS,
)
from tidegate.config.user_sql.replacements import REMARKS, REPLACEMENTS
from tidegate.config.user_sql.syntax import empty_cursor, expression_tree, nodes

ALLOWED = SCALARS | SUITE_SCALARS | LAMBDA_FUNCTIONS
GOLDEN: dict[str, str | None] = json.loads(
    (Path(__file__).parent / "user_sql_functions.json").read_text(encoding="utf-8")
)
PARSED_AWAY = {"ifnull": "OPERATOR_COALESCE", "->": "LAMBDA"}
"""Functions of which DuckDB's parser makes a node of another type."""
TABLE_NAMES = {"range", "repeat"}
"""Functions whose name a function of tables has too."""
GRAMMAR = {
    "unnest",
    "nullif",
    "count_star",
    "map",
    "row",
    "list_value",
    "->",
    "ifnull",
    "@",
} | WINDOWS
"""What DuckDB's grammar makes of COUNT(*), windows and literals, which is in no list of functions."""


def functions_in(expression: str) -> set[str]:
    names = set()
    for node in nodes(expression_tree(expression)):
        names.add(node.get("function_name", "").lower())
        names |= {
            name for name, kind in PARSED_AWAY.items() if kind in (node["class"], node["type"])
        }
    return names & ALLOWED


@lru_cache(maxsize=1)
def cases_by_function() -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {name: [] for name in ALLOWED}
    for expression in GOLDEN:
        for name in functions_in(expression):
            cases[name].append(expression)
    return cases


def values_of(expressions: Iterable[str]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    with empty_cursor() as cursor:
        for expression in expressions:
            try:
                row = cursor.execute(f"SELECT CAST((\n{expression}\n) AS VARCHAR)").fetchone()
            except duckdb.Error as error:
                values[expression] = "! " + str(error).partition("\n")[0].partition(":")[0]
            else:
                assert row is not None
                values[expression] = row[0]
    return values


@pytest.mark.parametrize("function", sorted(ALLOWED))
def test_a_function_gives_at_the_edges_what_is_written_down(function: str) -> None:
    cases = cases_by_function()[function]
    assert len(cases) >= 2
    assert values_of(cases) == {expression: GOLDEN[expression] for expression in cases}


def test_operators_that_are_no_functions_give_what_is_written_down() -> None:
    cases = [expression for expression in GOLDEN if not functions_in(expression)]
    assert len(cases) >= 4
    assert values_of(cases) == {expression: GOLDEN[expression] for expression in cases}


@pytest.mark.parametrize("kind", [LINE, CONDITION, METRIC, QUERY])
def test_each_expression_of_the_examples_may_be_used_where_its_functions_are_allowed(
    kind: Kind,
) -> None:
    nested = ("a cast to STRUCT", "a cast to MAP", "a cast to BLOB", "struct_extract")
    beyond = () if kind is QUERY else nested
    used = [text for text in GOLDEN if functions_in(text) <= kind.functions]
    assert len(used) > len(GOLDEN) * 0.9
    for expression in used:
        faults = tree_faults(expression_tree(expression), kind)
        assert [fault for fault in faults if not fault.startswith(beyond)] == [], expression


def test_no_scalar_function_depends_on_more_than_its_arguments() -> None:
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
        assert types - ({"table"} if name in TABLE_NAMES else set()) <= {"scalar", "macro"}, name
        assert stabilities <= {"CONSISTENT", None}, name


def test_each_function_that_is_allowed_is_one_of_duckdb() -> None:
    with empty_cursor() as cursor:
        rows = cursor.execute("SELECT function_name FROM duckdb_functions()").fetchall()
    known = {name for (name,) in rows} | GRAMMAR
    assert known >= ALLOWED | AGGREGATES | TABLE_FUNCTIONS


def test_a_metric_may_use_the_least_and_a_query_the_most() -> None:
    assert METRIC.functions < LINE.functions < CONDITION.functions < QUERY.functions


def test_what_is_replaced_is_not_allowed_itself() -> None:
    for kind in (METRIC, LINE):
        assert not REPLACEMENTS.keys() & kind.functions
    # Bytes have a length, which only suites can read; the length of a text has another name.
    for kind in (CONDITION, QUERY):
        assert REPLACEMENTS.keys() & (kind.functions | WINDOWS) == {"octet_length"}
    assert not REPLACEMENTS.keys() & (SCALARS | LAMBDA_FUNCTIONS | AGGREGATES | WINDOWS)


def test_each_remark_belongs_to_a_replacement() -> None:
    assert REMARKS.keys() <= {text for texts in REPLACEMENTS.values() for text in texts}


@pytest.mark.parametrize("name", sorted(REPLACEMENTS.keys() - SUITE_SCALARS))
def test_the_replacement_of_a_function_of_spark_is_named_and_allowed(name: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        read_query(f'SELECT "{name}"(x) FROM {{batch}}')
    start = f"{name}() is a function of Spark: in DuckDB's SQL, write "
    assert str(raised.value).startswith(start + REPLACEMENTS[name][0])
    for text in REPLACEMENTS[name]:
        escaped = text.replace("{", "{{").replace("}", "}}")
        assert read_query(f"SELECT {escaped} FROM {{batch}}").tables == set()


@pytest.mark.parametrize("kind", [LINE, CONDITION, METRIC])
@pytest.mark.parametrize("name", sorted(REPLACEMENTS.keys() - SUITE_SCALARS))
def test_a_replacement_is_named_only_where_it_may_be_used(name: str, kind: Kind) -> None:
    with pytest.raises(ExpressionError) as raised:
        read_expression(f'"{name}"(x)', kind)
    usable = [text for text in REPLACEMENTS[name] if not tree_faults(expression_tree(text), kind)]
    for text in REPLACEMENTS[name]:
        assert (text in str(raised.value)) == (text in usable)
    if not usable:
        assert str(raised.value) == f"{name}() is not allowed: {kind.reason}"
