"""What maintenance came to, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.settings import LEAST_KEPT

PARTS = ("compact", "fold", "vacuum", "log", "candidates")
"""What maintenance does, in this order; any part can be done alone."""

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
        files: files that are gone; of compact and fold: by how many they are fewer.
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
        return (
            f"{self.part} {self.place}: {self.files:,} files, {size_text(self.bytes)}: {self.note}"
        )


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
        """Files fewer in all."""
        return sum(each.files for each in self.freed)

    @property
    def bytes(self) -> int:
        """Bytes fewer in all."""
        return sum(each.bytes for each in self.freed)

    def describe(self) -> str:
        """Return it in lines, the sum last."""
        verb = "would be freed" if self.dry_run else "freed"
        total = f"{self.files:,} files, {size_text(self.bytes)} {verb}"
        return "\n".join([*(each.describe() for each in self.freed), total])

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
