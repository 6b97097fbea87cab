"""What the schema of an Avro file says, as types of Arrow; pure.

Text is read as bytes, maps as lists of their members, and values without their logical types: so bytes that are not
UTF-8, a key that is there twice and a time of the year 20000 are faults of their row, as they are in Parquet.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa

from tidegate.common.unreadable import UnreadableError
from tidegate.landing.json_values import value_texts

Convert = Callable[[Any], Any]

_MAX_TYPES = 10_000
_EXACT = Context(prec=200_000)
_PRIMITIVES: Mapping[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
}
_TIMES: Mapping[tuple[str, str], pa.DataType] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    **{
        ("long", f"{local}timestamp-{name}"): pa.timestamp(unit, "UTC")
        for local in ("", "local-")
        for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}
_MOST_DIGITS, _MORE_DIGITS = 38, 76


@dataclass(frozen=True)
class Part:
    """A type of the schema.

    Attributes:
        avro: the schema by which it is read.
        arrow: the type that its values have.
        convert: makes an Arrow value of what is read; None where that is one.
        members: of a record, its fields by name.
        is_mixed: whether values of several types become text.
        is_nothing: whether a value may take no byte.
    """

    avro: Any
    arrow: pa.DataType
    convert: Convert | None = None
    members: Mapping[str, Part] = field(default_factory=dict)
    is_mixed: bool = False
    is_nothing: bool = False


def read_schema(text: bytes) -> Part:
    """Return the record that a file's schema describes.

    Raises:
        UnreadableError: the schema is none, or describes what can't be read.
    """
    try:
        part = _Reader().part(json.loads(text), "")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _wrong(f"it is damaged: {str(error)[:200]}") from error
    if not pa.types.is_struct(part.arrow) or part.is_mixed:
        raise _wrong("its values are no records")
    if part.is_nothing:
        raise _wrong("its records have no values")
    return part


def _wrong(got: str) -> UnreadableError:
    return UnreadableError(
        "the schema of the Avro file can't be used",
        expected="a record with fields",
        got=got,
        todo="write the file with another schema",
    )


class _Reader:
    def __init__(self) -> None:
        self._named: dict[str, Mapping[str, Any]] = {}
        self._open: set[str] = set()
        self._count = self._names = 0

    def part(self, schema: Any, space: str) -> Part:
        """Return a type; `space` is the namespace around it."""
        self._count += 1
        if self._count > _MAX_TYPES:
            raise _wrong(f"more than {_MAX_TYPES:,} types")
        if isinstance(schema, list):
            return self._union(schema, space)
        if isinstance(schema, str):
            if schema in _PRIMITIVES or schema in ("string", "bytes"):
                schema = {"type": schema}
            else:
                schema = self._named[self._full(schema, space)]
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.part(kind, space)
        if kind in ("record", "error"):
            return self._record(schema, space)
        if kind in ("enum", "fixed"):
            self._name(schema, space)
            return self._enum(schema) if kind == "enum" else self._fixed(schema)
        if kind == "array":
            return self._array(schema, space)
        if kind == "map":
            return self._map(schema, space)
        if kind in ("string", "bytes"):
            decimal = _decimal(schema) if kind == "bytes" else None
            return decimal("bytes") if decimal is not None else Part("bytes", pa.binary())
        if kind in _PRIMITIVES:
            arrow = _TIMES.get((kind, str(schema.get("logicalType"))), _PRIMITIVES[kind])
            return Part(kind, arrow, is_nothing=kind == "null")
        return self.part(kind, space)

    def _full(self, name: str, space: str) -> str:
        return name if "." in name or not space else f"{space}.{name}"

    def _name(self, schema: Mapping[str, Any], space: str) -> tuple[str, str]:
        """Return the full name and the namespace of a type, which may be used by its name from here on."""
        name = self._full(schema["name"], schema.get("namespace", space))
        inner = name.rpartition(".")[0]
        self._named[name] = {**schema, "name": name}
        return name, inner

    def _unique(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def _record(self, schema: Mapping[str, Any], space: str) -> Part:
        name, inner = self._name(schema, space)
        if name in self._open:
            raise _wrong(f"the record {name} is within itself")
        unique = self._unique()
        self._open.add(name)
        fields: dict[str, Part] = {}
        for one in schema["fields"]:
            if one["name"] in fields:
                raise _wrong(f"the record {name} has two fields {one['name']}")
            fields[one["name"]] = self.part(one["type"], inner)
        self._open.discard(name)
        avro = {
            "type": "record",
            "name": unique,
            "fields": [{"name": name, "type": part.avro} for name, part in fields.items()],
        }
        changes = {name: part.convert for name, part in fields.items() if part.convert is not None}

        def convert(value: dict[str, Any]) -> dict[str, Any]:
            for name, change in changes.items():
                value[name] = change(value[name])
            return value

        arrow = pa.struct([pa.field(name, part.arrow) for name, part in fields.items()])
        nothing = all(part.is_nothing for part in fields.values())
        return Part(avro, arrow, convert if changes else None, fields, is_nothing=nothing)

    def _enum(self, schema: Mapping[str, Any]) -> Part:
        symbols = [str(symbol) for symbol in schema["symbols"]]
        places = {f"s{place}": symbol.encode() for place, symbol in enumerate(symbols)}
        avro = {"type": "enum", "name": self._unique(), "symbols": list(places)}
        return Part(avro, pa.binary(), places.__getitem__)

    def _fixed(self, schema: Mapping[str, Any]) -> Part:
        size = int(schema["size"])
        avro = {"type": "fixed", "name": self._unique(), "size": size}
        if schema.get("logicalType") == "uuid" and size == 16:
            return Part(avro, pa.binary(), lambda value: str(uuid.UUID(bytes=value)).encode())
        decimal = _decimal(schema)
        if decimal is not None:
            return decimal(avro)
        return Part(avro, pa.binary(), is_nothing=size == 0)

    def _array(self, schema: Mapping[str, Any], space: str) -> Part:
        item = self.part(schema["items"], space)
        if item.is_nothing:
            raise _wrong("a list of nothing")
        change = item.convert
        convert = None if change is None else lambda values: [change(value) for value in values]
        return Part({"type": "array", "items": item.avro}, pa.list_(item.arrow), convert)

    def _map(self, schema: Mapping[str, Any], space: str) -> Part:
        value = self.part(schema["values"], space)
        change = value.convert or (lambda inner: inner)
        member = {
            "type": "record",
            "name": self._unique(),
            "fields": [{"name": "k", "type": "bytes"}, {"name": "v", "type": value.avro}],
        }
        return Part(
            {"type": "array", "items": member},
            pa.map_(pa.binary(), value.arrow),
            lambda members: [(one["k"], change(one["v"])) for one in members],
        )

    def _union(self, schemas: Sequence[Any], space: str) -> Part:
        parts = [self.part(schema, space) for schema in schemas]
        some = [part for part in parts if not pa.types.is_null(part.arrow)]
        avro = [part.avro for part in parts]
        kinds = {part.arrow for part in some}
        if len(some) > 1 and all(part.convert is None for part in some):
            if kinds <= {pa.int32(), pa.int64()}:
                return Part(avro, pa.int64())
            if kinds == {pa.binary()}:
                return Part(avro, pa.binary())
        if len(some) > 1:
            return self._mixed(parts)
        if not some:
            return Part(avro, pa.null())
        [part] = some
        change = part.convert
        convert = None if change is None else lambda value: None if value is None else change(value)
        return Part(avro, part.arrow, convert, part.members, part.is_mixed)

    def _mixed(self, parts: Sequence[Part]) -> Part:
        """Return the type of values of several types: their text, of an object or a list its JSON."""
        # A record of one field is written as the field alone is, and says which type it was.
        avro: list[Any] = []
        for place, part in enumerate(parts):
            one = {"name": str(place), "type": part.avro}
            is_null = pa.types.is_null(part.arrow)
            avro.append(
                "null" if is_null else {"type": "record", "name": self._unique(), "fields": [one]}
            )

        def convert(value: dict[str, Any] | None) -> bytes | None:
            if value is None:
                return None
            [(place, inner)] = value.items()
            part = parts[int(place)]
            if part.convert is not None:
                inner = part.convert(inner)
            if isinstance(inner, bytes):
                return inner
            text: str = value_texts(pa.array([inner], part.arrow))[0].as_py()
            return text.encode()

        return Part(avro, pa.binary(), convert, is_mixed=True)


def _decimal(schema: Mapping[str, Any]) -> Callable[[Any], Part] | None:
    """Return what makes a part of a decimal's bytes, or None where the schema describes none."""
    digits, scale = schema.get("precision"), schema.get("scale", 0)
    if schema.get("logicalType") != "decimal" or not isinstance(digits, int):
        return None
    if not isinstance(scale, int) or not 0 <= scale <= digits or digits < 1:
        return None

    def number(value: bytes) -> Decimal:
        return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)

    def part(avro: Any) -> Part:
        if digits > _MORE_DIGITS:
            return Part(avro, pa.binary(), lambda value: format(number(value), "f").encode())
        most = _MOST_DIGITS if digits <= _MOST_DIGITS else _MORE_DIGITS
        kind = pa.decimal128 if most == _MOST_DIGITS else pa.decimal256
        return Part(avro, kind(most, scale), number)

    return part
