"""SQL expressions of a source, over the fields of its records, in DuckDB.

An expression sees fields by their names, as text, the record as `raw`, and the dump hour as `dump_hour`. Where it
fails on the value of one record, that record is reported and the others have their values.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa

from tidegate.common.errors import TidegateError
from tidegate.config.source import RAW_LINE
from tidegate.config.source.sql import DUMP_HOUR, is_dump_hour, reads_raw_line
from tidegate.landing import convert
from tidegate.landing.plan import Names, Plan, Tree
from tidegate.landing.records import Mask, Records, mask_of
from tidegate.landing.schema import TIME

_FIELDS = "tidegate_fields"
_ROWS = "tidegate_rows"


def evaluate(
    records: Records, plan: Plan, hour: datetime, connection: duckdb.DuckDBPyConnection
) -> tuple[dict[str, pa.Array], dict[str, Mask]]:
    """Return the texts that the expressions of a source give, and for which records each failed.

    Args:
        records: the records, personal data treated.
        plan: of the source.
        hour: the dump hour; aware.
        connection: whose time zone is UTC.

    Raises:
        TidegateError: an expression can't be used at all.
    """
    if not plan.expressions:
        return {}, {}
    fields = _fields(records, plan, hour)
    values: dict[str, pa.Array] = {}
    failed: dict[str, Mask] = {}
    for name, sql in plan.expressions.items():
        values[name], wrong = _one(fields, name, sql, plan, connection)
        if wrong is not None:
            failed[name] = wrong
    return values, failed


def _fields(records: Records, plan: Plan, hour: datetime) -> pa.Table:
    """Return the fields that expressions may name; fields of objects are fields of structs."""
    reads_raw = any(map(reads_raw_line, plan.expressions.values()))
    raw = _text(records.raw) if reads_raw and not plan.source.pii else None
    if raw is None:
        raw = pa.nulls(len(records), pa.string())

    def column(names: Names, tree: Tree) -> pa.Array:
        if not tree:
            return convert.to_text(records.columns[names])
        inner = [column((*names, name), below) for name, below in tree.items()]
        return pa.StructArray.from_arrays(inner, names=list(tree))

    columns = {name: column((name,), below) for name, below in plan.tree.items()}
    columns = {name: values for name, values in columns.items() if not is_dump_hour(name)}
    hours = pa.repeat(pa.scalar(hour, TIME), len(records))
    return pa.table({**columns, RAW_LINE: raw, DUMP_HOUR: hours})


def _text(raw: pa.Array) -> pa.Array:
    """Return records as text, with marks in place of bytes that are none."""
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([data.decode(errors="replace") for data in raw.to_pylist()], pa.string())


def _one(
    fields: pa.Table, name: str, sql: str, plan: Plan, connection: duckdb.DuckDBPyConnection
) -> tuple[pa.Array, Mask | None]:
    try:
        return _query(fields, sql, connection), None
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        raise TidegateError(
            "an expression of the source file can't be used",
            where=f"{plan.source.path}, {name}: {sql}",
            expected="an SQL expression over the fields of a record",
            got=str(error).splitlines()[0],
            todo="fix the expression, then land the hour again",
        ) from error
    except duckdb.Error:
        return _by_record(fields, sql, connection)


def _query(fields: pa.Table, sql: str, connection: duckdb.DuckDBPyConnection) -> pa.Array:
    connection.register(_FIELDS, fields)
    try:
        # A cast of a member of a struct would be made of all rows first, those that the expression leaves out too.
        out = connection.execute(
            f"WITH {_ROWS} AS MATERIALIZED (SELECT * FROM {_FIELDS}) "
            f"SELECT CAST(({sql}\n) AS VARCHAR) AS v FROM {_ROWS}"
        ).to_arrow_table()
    finally:
        connection.unregister(_FIELDS)
    column = out.column("v").combine_chunks()
    return column.cast(pa.string()) if len(column) else pa.nulls(0, pa.string())


def _by_record(
    fields: pa.Table, sql: str, connection: duckdb.DuckDBPyConnection
) -> tuple[pa.Array, Mask]:
    """Return the values of an expression that fails on some records, and on which.

    TRY gives NULL for a failure. Those of the records with NULL that fail are found by halves.
    """
    texts = _query(fields, f"TRY({sql}\n)", connection)
    wrong = np.zeros(len(texts), np.bool_)
    parts = [np.flatnonzero(mask_of(texts.is_null()))]
    while parts:
        part = parts.pop()
        if not len(part):
            continue
        try:
            _query(fields.take(pa.array(part)), sql, connection)
        except duckdb.Error:
            if len(part) == 1:
                wrong[part] = True
            else:
                middle = len(part) // 2
                parts += [part[:middle], part[middle:]]
    return texts, wrong
