"""SQL expressions of source files: what they read, and whether tables may depend on them.

An expression computes one value from one line, and the same value every time; else the tables would
not be a function of the dumps. sqlglot is imported late: most sources need none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from tidegate.source.paths import join_path

if TYPE_CHECKING:
    from sqlglot import exp

RAW_LINE = "raw"
"""The column that holds the raw line itself; expressions may use it beside the fields."""

_UNSTABLE = frozenset(
    [
        "rand",
        "randn",
        "random",
        "randstr",
        "uniform",
        "uuid",
        "now",
        "curdate",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "current_catalog",
        "current_database",
        "current_schema",
        "current_timezone",
        "session_user",
        "user",
        "localtimestamp",
        "version",
        "monotonically_increasing_id",
        "spark_partition_id",
        "input_file_name",
        "input_file_block_start",
        "input_file_block_length",
        "shuffle",
        "aes_encrypt",
        "java_method",
        "reflect",
        "try_reflect",
        "raise_error",
        "assert_true",
    ]
)
"""Functions whose value is not decided by the line, run foreign code, or stop the whole job."""

_BARE = frozenset(["localtimestamp", "session_user", "current_time", "current_catalog"])
"""Functions that Spark takes without parentheses and that sqlglot reads as columns."""

_AGGREGATES = frozenset(
    [
        "any",
        "any_value",
        "approx_count_distinct",
        "approx_percentile",
        "approx_top_k",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bool_and",
        "bool_or",
        "collect_list",
        "collect_set",
        "corr",
        "count",
        "count_if",
        "count_min_sketch",
        "covar_pop",
        "covar_samp",
        "every",
        "first",
        "first_value",
        "grouping",
        "grouping_id",
        "histogram_numeric",
        "kurtosis",
        "last",
        "last_value",
        "listagg",
        "max",
        "max_by",
        "mean",
        "median",
        "min",
        "min_by",
        "mode",
        "percentile",
        "percentile_approx",
        "percentile_cont",
        "percentile_disc",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "skewness",
        "some",
        "std",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "try_avg",
        "try_sum",
        "var_pop",
        "var_samp",
        "variance",
        "hll_sketch_agg",
        "hll_union_agg",
    ]
)
_WINDOWS = frozenset(
    [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "nth_value",
        "window",
        "session_window",
    ]
)
_GENERATORS = frozenset(
    [
        "explode",
        "explode_outer",
        "posexplode",
        "posexplode_outer",
        "inline",
        "inline_outer",
        "stack",
        "json_tuple",
        "sql_keywords",
        "variant_explode",
        "variant_explode_outer",
    ]
)
_REASON = "the tables must be a function of the dumps"
_MOMENTS = frozenset(["now", "today", "yesterday", "tomorrow"])
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class SqlError(ValueError):
    """An expression can't be used; `faults` holds every reason, one line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@lru_cache(maxsize=512)
def sql_references(sql: str) -> frozenset[str]:
    """Return the dotted paths that an expression reads, the raw line (`raw`) left out.

    Raises:
        SqlError: it is no single expression over one line's columns, or not a function of the line.

    """
    tree = _parse(sql)
    faults = list(dict.fromkeys(_faults(tree)))
    if faults:
        raise SqlError(faults)
    return frozenset(join_path(p) for p in _paths(tree) if p != (RAW_LINE,))


@lru_cache(maxsize=512)
def reads_raw_line(sql: str) -> bool:
    """Return whether a right expression reads the raw line."""
    return any(path[0] == RAW_LINE for path in _paths(_parse(sql)))


def _parse(sql: str) -> exp.Expr:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError, SqlglotError

    if not sql.strip():
        raise SqlError(["the SQL expression is empty"])
    try:
        # As a SELECT's one column: a bare expression could be taken for a statement (SET, REPLACE,
        # …).
        statements = sqlglot.parse(f"SELECT {sql}\n", read="spark")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = str(first.get("highlight") or "").strip()
        told = str(first.get("description") or error).rstrip(".")
        told = re.sub(r" for <class '[\w.]*?(\w+)'>", r" for \1", told)
        raise SqlError(
            [f"the SQL does not parse: {told}{f', near {near!r}' if near else ''} in {sql!r}"]
        ) from error
    except SqlglotError as error:
        told = _ANSI.sub("", str(error)).splitlines()[0].replace("SELECT ", "", 1)
        raise SqlError([f"the SQL does not parse: {told}"]) from error
    select = statements[0]
    if len(statements) != 1 or not isinstance(select, exp.Select):
        raise SqlError([f"expected one SQL expression, got several statements: {sql!r}"])
    clauses = [key for key, value in select.args.items() if value and key != "expressions"]
    if clauses:
        word = clauses[0].rstrip("_").upper()
        raise SqlError([f"expected one SQL expression, got a query with {word}: {sql!r}"])
    if len(select.expressions) != 1:
        raise SqlError(
            [
                f"expected one SQL expression, got {len(select.expressions)} with ',' between: "
                f"{sql!r}"
            ]
        )
    found = select.expressions[0]
    if isinstance(found, exp.Alias):
        raise SqlError(
            [
                f"expected an expression without a name of its own, got the name '{found.alias}': "
                f"{sql!r}"
            ]
        )
    assert isinstance(found, exp.Expr)
    return found


def _faults(tree: exp.Expr) -> Iterator[str]:
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, exp.Subquery | exp.Query):
            yield f"a subquery is not allowed: {_REASON}"
        elif isinstance(node, exp.Window):
            yield f"a window function is not allowed: {_REASON}, line by line"
        elif isinstance(node, exp.Star):
            yield "'*' is not allowed: name the columns"
        elif isinstance(node, exp.Parameter | exp.Placeholder | exp.SessionParameter):
            yield f"a parameter is not allowed: {node.sql('spark')}"
        elif isinstance(node, exp.Func):
            yield from _function_faults(node)
        elif isinstance(node, exp.Column) and not node.table:
            name = node.name.lower()
            if name in _BARE and not node.this.args.get("quoted"):
                yield f"{name} is not allowed: {_REASON}"
        if (
            isinstance(node, exp.Cast)
            and node.this.is_string
            and node.this.name.lower() in _MOMENTS
        ):
            yield f"'{node.this.name}' as a time is not allowed: {_REASON}"


def _function_faults(node: exp.Func) -> Iterator[str]:
    from sqlglot import exp

    names = _names(node)
    shown = _shown(node)
    if names & _UNSTABLE:
        yield f"{shown} is not allowed: {_REASON}"
    elif names & _WINDOWS:
        yield f"the window function {shown} is not allowed: {_REASON}, line by line"
    elif isinstance(node, exp.UDTF | exp.ExplodingGenerateSeries) or names & _GENERATORS:
        yield f"{shown} is not allowed: one line is one event"
    elif isinstance(node, exp.AggFunc) or names & _AGGREGATES:
        yield f"the aggregate {shown} is not allowed: an expression sees one line only"


def _names(node: exp.Func) -> frozenset[str]:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return frozenset([node.name.lower()])
    if isinstance(node, exp.Connector | exp.Binary):
        return frozenset()
    return frozenset(name.lower() for name in node.sql_names())


def _shown(node: exp.Func) -> str:
    return node.sql("spark").partition("(")[0].lower() + "()"


def _paths(tree: exp.Expr) -> Iterator[tuple[str, ...]]:
    """Yield the longest path of names that each column begins: `a.b.c`, and `a['b']` as a.b too."""
    from sqlglot import exp

    for column in tree.find_all(exp.Column):
        names = [part.name for part in column.parts]
        node: exp.Expr = column
        while isinstance(parent := node.parent, exp.Dot | exp.Bracket) and parent.this is node:
            key = parent.expression if isinstance(parent, exp.Dot) else _only_key(parent)
            if not isinstance(key, exp.Identifier) and not (key is not None and key.is_string):
                break
            names.append(key.name)
            node = parent
        yield tuple(names)


def _only_key(bracket: exp.Bracket) -> exp.Expr | None:
    from sqlglot import exp

    keys = bracket.expressions
    return keys[0] if len(keys) == 1 and isinstance(keys[0], exp.Expr) else None
