"""Types and values of tables: Spark's names of types, Arrow's types, and rows of Python as Arrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tidegate.common.errors import TidegateError

Row = Mapping[str, Any]

_SIMPLE: dict[str, pa.DataType] = {
    "string": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
_NAMES = {kind: name for name, kind in _SIMPLE.items()}
_TOKEN = re.compile(r"\s*([A-Za-z0-9_]+|`[^`]+`|[<>,:()])")
_UTC = ("UTC", "Etc/UTC", "+00:00", "Z")


# -- names of types -----------------------------------------------------------------------------


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of a Spark type name, such as `array<struct<name:string,size:bigint>>`.

    Raises:
        ValueError: the name is no type that tables may have.
    """
    tokens = _TOKEN.findall(name)
    if "".join(tokens) != re.sub(r"\s+", "", name):
        raise ValueError(f"no type: {name!r}")
    kind, rest = _parsed(tokens, name)
    if rest:
        raise ValueError(f"no type: {name!r}")
    return kind


def _parsed(tokens: Sequence[str], name: str) -> tuple[pa.DataType, Sequence[str]]:
    """Return the type that some tokens begin with, and the tokens after it."""
    if not tokens:
        raise ValueError(f"no type: {name!r}")
    head, rest = tokens[0].lower(), tokens[1:]
    if head in _SIMPLE:
        return _SIMPLE[head], rest
    if head == "decimal" and len(rest) >= 5 and (rest[0], rest[2], rest[4]) == ("(", ",", ")"):
        return pa.decimal128(int(rest[1]), int(rest[3])), rest[5:]
    if head == "array" and rest[:1] == ["<"]:
        item, rest = _parsed(rest[1:], name)
        return pa.list_(item), _after(">", rest, name)
    if head == "map" and rest[:1] == ["<"]:
        key, rest = _parsed(rest[1:], name)
        item, rest = _parsed(_after(",", rest, name), name)
        return pa.map_(key, item), _after(">", rest, name)
    if head == "struct" and rest[:1] == ["<"]:
        return _parsed_struct(rest, name)
    raise ValueError(f"no type: {name!r}")


def _parsed_struct(tokens: Sequence[str], name: str) -> tuple[pa.DataType, Sequence[str]]:
    members: list[pa.Field] = []
    rest = tokens
    while rest[:1] == (["<"] if not members else [","]) and len(rest) > 1:
        member = rest[1].strip("`")
        kind, rest = _parsed(_after(":", rest[2:], name), name)
        members.append(pa.field(member, kind))
    return pa.struct(members), _after(">", rest, name)


def _after(token: str, tokens: Sequence[str], name: str) -> Sequence[str]:
    if tokens[:1] != [token]:
        raise ValueError(f"no type: {name!r}")
    return tokens[1:]


def spark_type(kind: pa.DataType) -> str:
    """Return the Spark name of an Arrow type.

    Raises:
        ValueError: tables cannot have such a type.
    """
    plain = plain_type(kind)
    if plain in _NAMES:
        return _NAMES[plain]
    if pa.types.is_decimal128(plain):
        return f"decimal({plain.precision},{plain.scale})"
    if pa.types.is_list(plain):
        return f"array<{spark_type(plain.value_type)}>"
    if pa.types.is_map(plain):
        return f"map<{spark_type(plain.key_type)},{spark_type(plain.item_type)}>"
    if pa.types.is_struct(plain):
        members = ",".join(f"{member.name}:{spark_type(member.type)}" for member in plain)
        return f"struct<{members}>"
    raise ValueError(f"no type of a table: {kind}")


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return an Arrow type without what is only a matter of its layout in memory.

    Strings of 32 and 64 bits, views and dictionaries hold the same values. So do lists whose items have other names.
    """
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_timestamp(kind) and kind.unit == "us" and kind.tz in _UTC:
        return _SIMPLE["timestamp"]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    if types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(member.name, plain_type(member.type)) for member in kind])
    return kind


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Return the Arrow schema of columns: name → Spark type."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()])


# -- rows ---------------------------------------------------------------------------------------


def conform(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """Return rows with exactly the columns of a table; columns that they lack are NULL.

    Args:
        batch: the rows.
        schema: of the table, with plain types.
        where: the table, for errors.

    Raises:
        TidegateError: the rows have a column that the table lacks, or one of another type.
    """
    unknown = [name for name in batch.schema.names if name not in schema.names]
    if unknown or len(set(batch.schema.names)) < batch.num_columns:
        raise TidegateError(
            "rows have columns that the table lacks, or a column twice",
            where=where,
            expected=", ".join(schema.names),
            got=", ".join(unknown or batch.schema.names),
            todo="add the columns to the table first, or leave them out",
        )
    columns = [_column(batch, field, where) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field, where: str) -> pa.Array:
    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(field.name)
    if column.type == field.type:
        return column
    if plain_type(column.type) != field.type and not pa.types.is_null(column.type):
        raise TidegateError(
            f"column {field.name} of the rows has another type than the table's",
            where=where,
            expected=str(field.type),
            got=str(column.type),
            todo="cast the column where the rows are computed",
        )
    return column.cast(field.type)


def rows_to_arrow(rows: Iterable[Row], schema: pa.Schema, where: str) -> pa.Table:
    """Return Python rows as Arrow, exactly: nothing is rounded, cut or guessed.

    Args:
        rows: values by column: aware datetimes, or ISO 8601 text with an offset, for timestamps; dates, or such text;
            numbers, strings, bytes, lists, dicts (also for maps), None. Columns that a row lacks are NULL.
        schema: of the table.
        where: the table, for errors.

    Raises:
        TidegateError: a row has a column that the table lacks, or a value that its column cannot hold.
    """
    known, columns = set(schema.names), {name: list[Any]() for name in schema.names}
    for row in rows:
        if not row.keys() <= known:
            raise TidegateError(
                "a row has columns that the table lacks",
                where=where,
                expected=", ".join(schema.names),
                got=", ".join(sorted(row.keys() - known)),
                todo="add the columns to the table first, or leave them out",
            )
        for field in schema:
            try:
                columns[field.name].append(_value(row.get(field.name), field.type))
            except ValueError as error:
                raise TidegateError(
                    f"column {field.name} cannot hold a value",
                    where=where,
                    expected=spark_type(field.type),
                    got=str(error),
                ) from error
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(value: Any, kind: pa.DataType) -> Any:
    """Return a value as Arrow takes it for a type.

    Raises:
        ValueError: the type cannot hold the value; its text says which value.
    """
    if value is None:
        return None
    types = pa.types
    if types.is_list(kind) and isinstance(value, list | tuple | set | frozenset):
        return [_value(item, kind.value_type) for item in value]
    if types.is_map(kind) and isinstance(value, Mapping):
        return [(_key(k, kind.key_type), _value(v, kind.item_type)) for k, v in value.items()]
    if types.is_struct(kind) and isinstance(value, Mapping):
        names = {member.name for member in kind}
        if not value.keys() <= names:
            raise ValueError(f"members {sorted(value.keys() - names)} that the type lacks")
        return {member.name: _value(value.get(member.name), member.type) for member in kind}
    return _simple(value, kind)


def _key(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        raise ValueError("a map with NULL as a key")
    return _value(value, kind)


def _simple(value: Any, kind: pa.DataType) -> Any:
    types = pa.types
    if types.is_timestamp(kind):
        return _moment(value)
    if types.is_date(kind):
        return _day(value)
    if types.is_integer(kind) and isinstance(value, int) and not isinstance(value, bool):
        if not -(2 ** (kind.bit_width - 1)) <= value < 2 ** (kind.bit_width - 1):
            raise ValueError(f"{value}, which is out of range")
        return value
    if types.is_floating(kind) and isinstance(value, float | int) and not isinstance(value, bool):
        if isinstance(value, int) and int(float(value)) != value:
            raise ValueError(f"{value}, which a {kind} would round")
        return float(value)
    if types.is_decimal(kind) and isinstance(value, Decimal | int) and not isinstance(value, bool):
        try:
            pa.scalar(Decimal(value), kind)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{value}, which has too many digits") from error
        return Decimal(value)
    fits = (
        (types.is_string(kind) and isinstance(value, str))
        or (types.is_binary(kind) and isinstance(value, bytes))
        or (types.is_boolean(kind) and isinstance(value, bool))
    )
    if not fits:
        raise ValueError(f"{value!r}, a {type(value).__name__}")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"{value!r}, which is no time with an offset from UTC")
    return moment.astimezone(UTC)


def _day(value: Any) -> date:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError(f"{value!r}, which is no date")
    return day
