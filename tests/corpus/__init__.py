"""Files of every kind, and what the parser on Spark made of each line of them.

`groups()` names the groups, `group(name)` is one with its source definition and files, `lines(name)` are the
lines of its files, and `today(name)` is what the parser on Spark made of them on the day that the fixture was
saved. README.md in this folder says how.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.catalogue import GROUPS
from corpus.model import DUMP_HOUR, Group, Line

__all__ = [
    "DUMP_HOUR",
    "Decided",
    "Group",
    "Line",
    "Unread",
    "group",
    "groups",
    "lines",
    "today",
    "unread",
]

TODAY = Path(__file__).parent / "today"


@dataclass(frozen=True)
class Decided:
    """What the parser on Spark made of a line, or of a row of Parquet.

    Attributes:
        file: the name of the file.
        line: from 1.
        outcome: event, quarantined or header.
        reason: why it is quarantined.
        detail: the same in words.
        values: all staged columns by name but the last three. Timestamps are UTC text with six digits of
            fraction, decimals and dates are text, floats are text as `repr` writes them, bytes are hex digits.
    """

    file: str
    line: int
    outcome: str
    reason: str | None
    detail: str | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Unread:
    """A file that could not be read at all.

    Attributes:
        file: its name.
        error: the first line of the error.
    """

    file: str
    error: str


def groups() -> tuple[str, ...]:
    """Return the names of all groups."""
    return tuple(GROUPS)


def group(name: str) -> Group:
    """Return a group.

    Raises:
        KeyError: there is none of that name.
    """
    return GROUPS[name]


def lines(name: str) -> Iterator[Line]:
    """Yield the lines of a group's files, by file, then number.

    Raises:
        ValueError: its files are Parquet, which has no lines.
    """
    return group(name).lines()


def today(name: str) -> list[Decided]:
    """Return what the parser on Spark made of a group, by file, then line.

    Raises:
        ValueError: the files are no longer those that it was given.
    """
    head, *rows = _records(name)
    if head["sha256"] != digests(group(name)):
        changed = sorted(
            file
            for file in {*head["sha256"], *group(name).files}
            if head["sha256"].get(file) != digests(group(name)).get(file)
        )
        raise ValueError(
            f"{name}: files differ from those that the parser was given: {changed[:5]}"
        )
    texts = (
        {(line.file, line.number): line.data for line in group(name).lines()}
        if group(name).is_text
        else {}
    )
    return [_decided(row, head["columns"], texts) for row in rows]


def unread(name: str) -> list[Unread]:
    """Return the files of a group that the parser on Spark could not read at all, by name."""
    return [Unread(row["file"], row["error"]) for row in _records(name)[0]["unread"]]


def digests(group: Group) -> dict[str, str]:
    """Return the SHA-256 of each file of a group, in hex."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(group.files.items())}


def _records(name: str) -> list[dict[str, Any]]:
    with gzip.open(TODAY / f"{name}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def _decided(
    row: Mapping[str, Any], columns: list[str], texts: Mapping[tuple[str, int], bytes]
) -> Decided:
    values = {column: row["values"].get(column) for column in columns}
    same = row.get("same", [])
    if same:  # what repeats the line is not kept twice
        text = texts[row["file"], row["line"]].decode()
        for column in same:
            values[column] = text if column == "_raw" else text.strip(" \t\r")
    return Decided(
        row["file"], row["line"], row["outcome"], row.get("reason"), row.get("detail"), values
    )
