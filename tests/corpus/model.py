"""What the corpus is made of: groups of files, and the source definition that says how each is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

DUMP_HOUR = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""The hour that every file of the corpus belongs to."""
PREFIX = "2024-03-01-12-"
"""What the names of all files begin with, as the template of each source says."""

GOOD = '"id":"1","at":"2024-03-01T12:00:01Z"'
"""Members that make an event of an object."""

SourceData = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of a text file.

    Attributes:
        file: the name of the file.
        number: from 1.
        data: its bytes without the line feed. A byte order mark of the file is part of its first line.
    """

    file: str
    number: int
    data: bytes


@dataclass(frozen=True)
class Group:
    """Files that one source definition describes.

    Attributes:
        name: of the group.
        about: one sentence: what is in it.
        source: the data that `parse_source` takes.
        make_files: returns the bytes of each file by its name.
        pii_key: the secret that personal data are hashed by, where the source hashes any.
        erased: ids of persons who were erased, as events have them: hashed, where the source hashes them.
    """

    name: str
    about: str
    source: SourceData
    make_files: Callable[[], Mapping[str, bytes]]
    pii_key: bytes | None = None
    erased: tuple[str, ...] = ()

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The bytes of each file by its name."""
        return self.make_files()

    @property
    def is_text(self) -> bool:
        """Whether the files consist of lines."""
        return source_format(self.source) != "parquet"

    def lines(self) -> Iterator[Line]:
        """Yield the lines of all files, by file name, then number.

        Raises:
            ValueError: the files are Parquet.
        """
        if not self.is_text:
            raise ValueError(f"{self.name} consists of Parquet files, which have no lines")
        for name, data in sorted(self.files.items()):
            parts = data.split(b"\n")
            if parts[-1] == b"":
                parts.pop()
            for number, part in enumerate(parts, start=1):
                yield Line(name, number, part)


def source_format(source: SourceData) -> str:
    """Return the format of a source definition: json, csv or parquet."""
    declared = source.get("format", "json")
    return str(declared["type"] if isinstance(declared, Mapping) else declared)


def source_of(suffix: str, **keys: Any) -> SourceData:
    """Return a source definition whose dumps are the files of `PREFIX` and `suffix`."""
    return {
        "source": "web",
        "since": "2024-01-01T00",
        "dumps": f"dumps/{{dump_hour:%Y-%m-%d-%H}}-*{suffix}",
        **keys,
    }


def text_file(lines: Sequence[str | bytes], end: str = "\n") -> bytes:
    """Return the bytes of a file: text is written as UTF-8, and `end` follows each line."""
    return b"".join(
        (line if isinstance(line, bytes) else line.encode()) + end.encode() for line in lines
    )


def event(members: str) -> str:
    """Return an object that is an event, with further members."""
    return f"{{{GOOD},{members}}}" if members else f"{{{GOOD}}}"
