"""SQL of tables is written once: each query has a form for Spark, and what has none is refused."""

from __future__ import annotations

import ast
import re
from datetime import timedelta

import pytest
import sqlglot

from project import REPO
from tidegate.engine.dialect import to_spark
from tidegate.lake.reader import fill_in
from tidegate.pipeline.derive.aliases import LOST
from tidegate.tables import daily_activity, events, hourly_activity, session_aliases, sessions

RULES = sessions.Rules(gap=timedelta(minutes=30), max=timedelta(hours=24))
WITHIN = timedelta(hours=72)
QUERIES = {
    "daily_activity": daily_activity.QUERY,
    "events.NO_IDS": events.NO_IDS,
    "events.REPEATS": events.REPEATS,
    "events.withheld": events.withheld(WITHIN),
    "hourly_activity": hourly_activity.QUERY,
    "session_aliases.build": session_aliases.build(WITHIN),
    "session_aliases.lost": LOST,
    "session_aliases.members": session_aliases.members(),
    "sessions.RESUMED": sessions.RESUMED,
    "sessions.affected": sessions.affected(RULES),
    "sessions.events_of": sessions.events_of(sessions.is_long(RULES)),
    "sessions.sessionize": sessions.sessionize(RULES),
    "sessions.uncut": sessions.uncut(RULES),
}
TABLES = REPO / "jobs" / "tidegate" / "tables"
ENGINES = re.compile(r"duckdb|spark|delta[-_ ]?(lake|rs|table|scan)", re.IGNORECASE)
"""Names of engines and of their libraries; `delta_version` and `delta` are columns of system tables."""


def filled(query: str) -> str:
    """Return a query with tables in place of the rows that it reads."""
    names = set(re.findall(r"\{(\w+)\}", query))
    return fill_in(query, {name: f"t_{name}" for name in names})


@pytest.mark.parametrize("name", QUERIES)
def test_each_query_of_a_table_has_a_form_for_spark_that_spark_can_read(name: str) -> None:
    text = to_spark(filled(QUERIES[name]))
    assert "{" not in text
    assert len(sqlglot.parse(text, read="spark")) == 1
    for word in ("epoch_us", "make_timestamptz", "session_cuts", "list_sort", "struct_pack"):
        assert f"{word}(" not in text.lower(), f"{word}() is DuckDB's"


def test_no_query_of_a_table_is_forgotten() -> None:
    """Every text of a module of tables that selects something is part of one of `QUERIES`."""
    known = " ".join(" ".join(query.split()) for query in QUERIES.values())
    for module in (daily_activity, events, hourly_activity, session_aliases, sessions):
        for name, value in vars(module).items():
            if isinstance(value, str) and "SELECT " in value and not name.startswith("__"):
                assert " ".join(value.split()) in known, f"{module.__name__}.{name}"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT no_such_function(a) FROM t", "no_such_function"),
        ("SELECT a FROM (SELECT list_aggregate(b, 'sum') AS a FROM t)", "list_aggregate"),
        ("SELECT epoch_us(no_such_function(a)) FROM t", "no_such_function"),
        ("SELECT list_transform(a, lambda x: no_such_function(x)) FROM t", "no_such_function"),
    ],
)
def test_a_function_that_is_not_known_on_spark_is_refused_and_named(query: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"no function on Spark is known for {name}"):
        to_spark(query)


def test_arguments_of_a_function_are_translated_too() -> None:
    text = to_spark("SELECT epoch_us(make_timestamptz(epoch_us(a))) AS n FROM t")
    assert text == "SELECT UNIX_MICROS(TIMESTAMP_MICROS(UNIX_MICROS(a))) AS n FROM t"


def names_and_texts(source: str) -> list[str]:
    """Return what code names and says: identifiers and texts, but for its documentation."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [] if id(node) in documentation else [node.value]
        elif isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.alias):
            found.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
    return found


@pytest.mark.parametrize("module", sorted(path.name for path in TABLES.glob("*.py")))
def test_no_module_of_a_table_names_an_engine(module: str) -> None:
    if module == "types.py":
        return
    texts = names_and_texts((TABLES / module).read_text(encoding="utf-8"))
    assert [text for text in texts if ENGINES.search(text)] == []
