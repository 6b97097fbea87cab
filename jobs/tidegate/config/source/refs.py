"""Where values of events come from: paths, SQL expressions, and how times and columns are written."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import (
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from tidegate.common.suggestions import hint
from tidegate.common.time_zones import load_zone
from tidegate.config.source.base import Model, shown
from tidegate.config.source.paths import split_path
from tidegate.config.source.sql import DUMP_HOUR, sql_references
from tidegate.config.source.time_format import format_tokens

_TYPES = ("string", "int", "bigint", "double", "float", "boolean", "date", "timestamp")
_ALIASES = {"integer": "int", "long": "bigint"}
_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")


class FieldRef(Model):
    """Where a value comes from: a path into the line, or an SQL expression (DuckDB's) over its fields.

    Attributes:
        path: dotted names, such as `actor.id`.
        sql: an expression; a function of the line and nothing else.

    """

    path: str | None = None
    sql: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"path": data}
        if isinstance(data, dict | FieldRef):
            return data
        raise ValueError(f"expected a path, {{path: …}} or {{sql: …}}, got {shown(data)}")

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None:
            split_path(path)
        return path

    @field_validator("sql")
    @classmethod
    def _is_sql(cls, sql: str | None) -> str | None:
        if sql is not None:
            sql_references(sql)
        return sql

    @model_validator(mode="after")
    def _one_of(self) -> FieldRef:
        self._check_one()
        return self

    def _check_one(self) -> None:
        if (self.path is None) == (self.sql is None):
            both = "both" if self.path is not None else "neither"
            raise ValueError(f"expected exactly one of path and sql, got {both}")

    def references(self) -> frozenset[str]:
        """Return the dotted paths that the value is computed from, but the raw line (`raw`)."""
        if self.sql is not None:
            return sql_references(self.sql)
        return frozenset(self.parts())

    def parts(self) -> tuple[str, ...]:
        """Return the dotted paths that the value is read from in this order, or none for an expression."""
        return (self.path,) if self.path is not None else ()

    def names(self) -> tuple[str, ...]:
        """Return the names of the path, or none for an expression."""
        return split_path(self.path) if self.path is not None else ()


class TimeRef(FieldRef):
    """Where a time comes from, and how it is written: by default as RFC 3339 or ISO 8601 has it.

    Attributes:
        paths: in place of `path`: fields whose values, with a space between, are the text, such as a date and a time.
        unit: what a number counts since 1970, else iso.
        format: directives of strptime; see `time_format`.
        zone: name of the time zone of times without an offset; None for UTC.

    """

    paths: tuple[str, ...] | None = None
    unit: Literal["iso", "epoch_s", "epoch_ms", "epoch_us"] = "iso"
    format: str | None = None
    zone: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _dump_hour(cls, data: Any) -> Any:
        return {"sql": DUMP_HOUR} if data == DUMP_HOUR else data

    @field_validator("paths", mode="before")
    @classmethod
    def _are_paths(cls, value: Any) -> Any:
        is_list = isinstance(value, list | tuple) and all(isinstance(path, str) for path in value)
        if value is not None and (not is_list or not value):
            raise ValueError(f"expected a list of paths, such as [date, time], got {shown(value)}")
        for path in value or ():
            split_path(path)
        return None if value is None else tuple(value)

    @field_validator("format")
    @classmethod
    def _is_format(cls, text: str | None) -> str | None:
        if text is not None:
            format_tokens(text)
        return text

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str | None) -> str | None:
        if name is not None:
            load_zone(name)
        return name

    def _check_one(self) -> None:
        if self.paths is None:
            super()._check_one()
        elif self.path is not None or self.sql is not None:
            raise ValueError("expected exactly one of path, paths and sql, got paths and another")

    @model_validator(mode="after")
    def _one_way(self) -> TimeRef:
        if self.unit != "iso" and (self.format or self.zone or self.paths):
            other = "format" if self.format else "zone" if self.zone else "paths"
            raise ValueError(f"unit {self.unit} is for one number, which takes no {other}")
        tokens = format_tokens(self.format) if self.format is not None else ()
        for token in ("%z", "%s"):
            if self.zone is not None and token in tokens:
                raise ValueError(f"zone is for times without an offset, but format has {token}")
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out keys that came later at their defaults: what an existing source is known by stays."""
        said: dict[str, Any] = serialize(self)
        later = {"paths": None, "format": None, "zone": None, **self._later()}
        return {
            key: value for key, value in said.items() if key not in later or value != later[key]
        }

    def _later(self) -> dict[str, Any]:
        return {}

    def parts(self) -> tuple[str, ...]:
        """Return the dotted paths that the value is read from in this order, or none for an expression."""
        return self.paths if self.paths is not None else super().parts()

    @property
    def is_dump_hour(self) -> bool:
        """Whether it is the dump hour for every line."""
        return self.sql is not None and self.sql.strip().lower() == DUMP_HOUR

    @property
    def written(self) -> str:
        """How the time is written, as messages say it."""
        iso = "ISO 8601, such as 2026-05-01T10:00:00Z" if self.zone is None else "ISO 8601"
        how = self.format or (iso if self.unit == "iso" else self.unit)
        return f"{how} in {self.zone}" if self.zone is not None else how


class Column(TimeRef):
    """A typed column of the source's own in warehouse/events. `type` is a normalized Spark type.

    Only timestamps take `paths`, `unit`, `format` and `zone`.
    """

    type: str

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError(f"a column needs a type: {{path: {data}, type: string}}")
        return data

    @field_validator("type")
    @classmethod
    def _known_type(cls, text: str) -> str:
        return normalize_type(text)

    @model_validator(mode="after")
    def _times_only(self) -> Column:
        given = {"paths": self.paths, "format": self.format, "zone": self.zone}
        names = [name for name, value in given.items() if value is not None]
        names += ["unit"] if self.unit != "iso" else []
        if names and self.type != "timestamp":
            raise ValueError(f"only columns of type timestamp take {names[0]}; this is {self.type}")
        return self

    def _later(self) -> dict[str, Any]:
        return {"unit": "iso"}


def normalize_type(text: str) -> str:
    """Return a column type as Spark names it.

    Raises:
        ValueError: it is none that a column may have.

    """
    squeezed = re.sub(r"\s+", "", text).lower()
    name = _ALIASES.get(squeezed, squeezed)
    if name in _TYPES:
        return name
    found = _DECIMAL.fullmatch(name)
    if found is not None:
        precision, scale = int(found[1]), int(found[2])
        if 1 <= precision <= 38 and scale <= precision:
            return f"decimal({precision},{scale})"
        raise ValueError(f"expected decimal(p,s) with p from 1 to 38 and s at most p, got {text!r}")
    known = [*_TYPES, "decimal(p,s)"]
    raise ValueError(f"unknown type {text!r}; {hint(squeezed, known)} (known: {', '.join(known)})")
