"""What maintenance came to, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.config.settings import LEAST_KEPT

PARTS = ("compact", "fold", "vacuum", "log", "candidates")
"""What maintenance does, in this order; any part can be done alone."""

REMOVING = ("vacuum", "log", "candidates")
"""The parts that remove files; the others only have readers open fewer."""

IN_WORK = LEAST_KEPT
"""A query, a write or a step that is older than this is over, or was killed."""

MANY = 4
"""A partition with more files than this is compacted."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Freed:
    """What a part did to one table or folder, or would do.

    Attributes:
        part: one of `PARTS`.
        place: the table or folder, below the lake.
        files: files removed; of compact and fold: by how many readers open fewer.
        bytes: theirs.
        note: what was done, or left, in words.
        kept_from: of vacuum and log: the version from which on all are kept.
    """

    part: str
    place: str
    files: int
    bytes: int
    note: str
    kept_from: int | None = None

    def describe(self) -> str:
        """Return it in a line."""
        freed = "fewer files" if self.part not in REMOVING else "files"
        return f"{self.part} {self.place}: {self.files:,} {freed}, {size_text(self.bytes)}: {self.note}"


@dataclass(frozen=True)
class Maintained:
    """What maintenance came to.

    Attributes:
        freed: by part and place; places where there was nothing to do are not among them.
        dry_run: whether nothing was done, only looked at.
    """

    freed: tuple[Freed, ...]
    dry_run: bool

    @property
    def files(self) -> int:
        """Files removed in all: those that compaction replaced are removed by a later vacuum."""
        return sum(each.files for each in self.freed if each.part in REMOVING)

    @property
    def bytes(self) -> int:
        """Bytes of those."""
        return sum(each.bytes for each in self.freed if each.part in REMOVING)

    def describe(self) -> str:
        """Return it in lines, the sum last."""
        return "\n".join([*(each.describe() for each in self.freed), self.total()])

    def total(self) -> str:
        """Return the sum in a line."""
        verb = "would be freed" if self.dry_run else "freed"
        return f"{counted(self.files, 'file')}, {size_text(self.bytes)} {verb}"

    def table(self) -> list[dict[str, str]]:
        """Return it as rows of words."""
        return [
            {
                "part": each.part,
                "place": each.place,
                "files": f"{each.files:,}",
                "size": size_text(each.bytes),
                "note": each.note,
            }
            for each in self.freed
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "dry_run": self.dry_run,
            "files": self.files,
            "bytes": self.bytes,
            "freed": [asdict(each) for each in self.freed],
        }


def size_text(size: int) -> str:
    """Return bytes in words, such as `3.4 MB`."""
    value = float(size)
    for unit in _UNITS[:-1]:
        if abs(value) < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{int(value)} B"
        value /= 1000
    return f"{value:.1f} {_UNITS[-1]}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as `1 file` and `2 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shown(items: Sequence[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
