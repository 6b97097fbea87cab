"""What a source reads from a record: the paths, and what each is used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tidegate.config.source import FieldRef, Source, TimeRef, split_path

Names = tuple[str, ...]
"""A path, as the names on it."""
Tree = Mapping[str, Any]
"""Names of paths, nested as the paths are; an empty mapping is a leaf."""

ID_FIELDS = ("event_id", "user_id", "anonymous_id", "source_session_id")
"""Fields of an event whose empty text is no value."""
_SCALARS = frozenset([*ID_FIELDS, "event_type"])
"""What is never an object or a list."""


@dataclass(frozen=True)
class Plan:
    """What a source reads from a record.

    Attributes:
        source: the source.
    """

    source: Source

    @cached_property
    def refs(self) -> dict[str, FieldRef]:
        """Return what each value of an event is read from, in the order in which faults are reported."""
        fields, sequence = self.source.fields, self.source.sequence
        refs: dict[str, FieldRef | None] = {
            "event_id": fields.event_id,
            "event_time": fields.event_time,
            "event_type": fields.event_type,
            "user_id": fields.user_id,
            "anonymous_id": fields.anonymous_id,
            "source_session_id": self.source.sessions.id,
            **self.source.columns,
        }
        if sequence is not None:
            refs |= {"_producer": sequence.producer, "_number": sequence.number}
        return {name: ref for name, ref in refs.items() if ref is not None}

    @cached_property
    def times(self) -> dict[str, TimeRef]:
        """Return what each time of an event is read from, and how it is written: name → reference."""
        columns = self.source.columns.items()
        times: dict[str, TimeRef] = {
            n: column for n, column in columns if column.type == "timestamp"
        }
        return {"event_time": self.source.fields.event_time, **times}

    @cached_property
    def paths(self) -> tuple[Names, ...]:
        """Return every path that is wanted of a record: what is referred to, and what `pii` keeps."""
        return tuple(split_path(path) for path in sorted(self.source.wanted()))

    @cached_property
    def tree(self) -> Tree:
        """Return the paths as a tree."""
        tree: dict[str, Any] = {}
        for names in self.paths:
            place = tree
            for name in names:
                place = place.setdefault(name, {})
        return tree

    @cached_property
    def expressions(self) -> dict[str, str]:
        """Return the values that are computed by SQL: name → expression."""
        return {name: ref.sql for name, ref in self.refs.items() if ref.sql is not None}

    @cached_property
    def scalars(self) -> dict[Names, str]:
        """Return the paths where an object or a list is a fault: path → name of the value."""
        return {ref.names(): name for name, ref in reversed(self.refs.items()) if name in _SCALARS}

    @cached_property
    def exact(self) -> frozenset[Names]:
        """Return the paths whose text counts, so that `1.10` is not `1.1`."""
        typed = {ref.names() for name, ref in self.refs.items() if self._is_typed(name, ref)}
        texts = {
            split_path(path)
            for name, ref in self.refs.items()
            if not self._is_typed(name, ref)
            for path in ref.references()
        }
        return frozenset(names for names in self.paths if names in texts or names not in typed)

    def _is_typed(self, name: str, ref: FieldRef) -> bool:
        """Return whether a value is read from a path by what it is, and not by how it is written."""
        if ref.path is None or (isinstance(ref, TimeRef) and ref.format is not None):
            return False
        column = self.source.columns.get(name)
        return name in ("event_time", "_number") or (column is not None and column.type != "string")

    def types(self, names: Names) -> tuple[str, ...]:
        """Return the types of the columns that are read from a path; a time counts as `event_time`."""
        columns = self.source.columns
        return tuple(
            columns[name].type if name in columns else name
            for name, ref in self.refs.items()
            if ref.names() == names
        )


def path_text(names: Names) -> str:
    """Return a path as messages show it."""
    return ".".join(names)
