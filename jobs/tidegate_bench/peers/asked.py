"""What a script is asked for, and what it answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """A column of events.

    Attributes:
        column: its name.
        names: the path of its value in a line; none where the source has no such value.
        type: as Spark names it.
    """

    column: str
    names: tuple[str, ...]
    type: str


@dataclass(frozen=True)
class Asked:
    """What a script is asked for.

    Attributes:
        dumps: files of one JSON object a line, in the order of their hours.
        out: a folder to write into.
        gap_s: the pause that ends a session, in seconds.
        fields: the columns of events: those of every source, then its own.
    """

    dumps: list[str]
    out: str
    gap_s: int
    fields: Sequence[Field]

    @classmethod
    def read(cls) -> Asked:
        """Return what standard input asks for."""
        told = json.load(sys.stdin)
        fields = [
            Field(each["column"], tuple(each["names"]), each["type"]) for each in told["fields"]
        ]
        return cls(told["dumps"], told["out"], told["gap_s"], fields)

    def path(self, column: str) -> tuple[str, ...]:
        """Return the names of the path of a column's value."""
        return next(each.names for each in self.fields if each.column == column)

    def nested(self, types: Mapping[str, Any]) -> dict[str, Any]:
        """Return what lines hold of the fields: by name a type, or a dict of the same kind.

        Args:
            types: by Spark's names of types; others go by themselves.
        """
        root: dict[str, Any] = {}
        for each in self.fields:
            if each.names:
                place = root
                for name in each.names[:-1]:
                    place = place.setdefault(name, {})
                place[each.names[-1]] = types.get(each.type, each.type)
        return root


def answer(rows: Mapping[str, int]) -> None:
    """Tell how many rows were written, by table."""
    json.dump(rows, sys.stdout)
