"""Which listed files are an hour's dump, and which of the others are worth a word; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tidegate.common.text_output import visible
from tidegate.config.source.name_patterns import as_expression, matches_any
from tidegate.storage.files import StoredFile

MOST_NAMED = 100
"""Files that a landing names of those that were not read, or that repeat another one."""
_SHOWN = 3
"""Files that a message names."""
_HIDDEN = ("_", ".")
_UNFINISHED = (".tmp", ".part", ".partial", ".inprogress", "._COPYING_")
_SILENT = re.compile(
    r"_SUCCESS|_committed_.*|_started_.*|_metadata|_common_metadata|\..*\.crc|\.DS_Store|.*_\$folder\$",
    re.DOTALL,
)
"""Names of files that writers leave beside data, and that hold none."""
EXCLUDED = "excluded"


@dataclass(frozen=True)
class Repeated:
    """A file with the bytes of another one of its hour.

    Attributes:
        name: of the file, relative to the template's root.
        same_as: name of the other one.
    """

    name: str
    same_as: str


@dataclass(frozen=True)
class Unread:
    """A file, or a folder (its name ends in `/`), of an hour that is not read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class HourFiles:
    """The files of an hour.

    Attributes:
        read: those that are its dump, by name.
        folder: that they lie in, relative to the template's root; ends with `/`, "" is the root.
        unread: of the files and folders that exist and are not read, the first `MOST_NAMED` by name.
        unread_count: how many there are.
        repeated: files with the bytes of another one, where they were looked for.
        repeats_are_read: whether these are among `read`.
    """

    read: tuple[StoredFile, ...]
    folder: str = ""
    unread: tuple[Unread, ...] = ()
    unread_count: int = 0
    repeated: tuple[Repeated, ...] = ()
    repeats_are_read: bool = True

    def notes(self) -> list[str]:
        """Return in words what was not read, and what was there twice; a few names each."""
        notes = []
        if self.unread_count:
            # What somebody excluded is expected, so the others are named first.
            ordered = sorted(self.unread, key=lambda each: each.reason == EXCLUDED)
            named = [f"{self._below(each.name)} ({each.reason})" for each in ordered]
            notes.append(f"{self._count()} not read: {_some(named, self.unread_count)}")
        if self.repeated:
            count = len(self.repeated)
            named = [
                f"{self._below(each.name)} (as {self._below(each.same_as)})"
                for each in self.repeated
            ]
            has = "file has" if count == 1 else "files have"
            done = (
                "landed too ('repeated_files: once' lands them once)"
                if self.repeats_are_read
                else "landed once"
            )
            notes.append(
                f"{count:,} {has} the same bytes as another one, {done}: {_some(named, count)}"
            )
        return notes

    def as_row(self) -> dict[str, object]:
        """Return what `ops/landings` has of it, beside the files that were read."""
        return {
            "unread": [{"name": each.name, "reason": each.reason} for each in self.unread],
            "unread_count": self.unread_count,
            "repeated": [
                {"name": each.name, "same_as": each.same_as} for each in self.repeated[:MOST_NAMED]
            ],
            "repeated_count": len(self.repeated),
        }

    def _count(self) -> str:
        """Return how many files and folders were not read, in words."""
        if self.unread_count > len(self.unread):
            return f"{self.unread_count:,} files or folders were"
        folders = sum(each.name.endswith("/") for each in self.unread)
        counts = [
            f"{count:,} {word}{'s' if count > 1 else ''}"
            for count, word in ((self.unread_count - folders, "file"), (folders, "folder"))
            if count
        ]
        return f"{' and '.join(counts)} {'was' if self.unread_count == 1 else 'were'}"

    def _below(self, name: str) -> str:
        return name.removeprefix(self.folder)


@dataclass(frozen=True)
class HourNames:
    """Which names are those of an hour's dump.

    Attributes:
        relative: the hour's path: a file, a folder (`…/`), or a pattern with `*` in its last part.
        apart: name of its marker or manifest, if it has one.
        exclude: patterns of names to leave out; `*` stands for any text.
        is_own: whether all that is listed belongs to this hour.
    """

    relative: str
    apart: str | None = None
    exclude: tuple[str, ...] = ()
    is_own: bool = True

    @cached_property
    def folder(self) -> str:
        """The hour's folder with its `/`; "" is the root."""
        head, slash, _ = self.relative.rpartition("/")
        return head + slash

    @property
    def is_deep(self) -> bool:
        """Whether folders below the hour's are read too."""
        return self.relative.endswith("/")

    def sorted_out(self, listed: Iterable[StoredFile]) -> HourFiles:
        """Return which of listed files are the hour's dump, and which others are there."""
        read, unread = [], []
        for file in listed:
            fits = self._shape.fullmatch(file.name) is not None
            if not fits and not self.is_own:
                continue
            reason = self._reason(file, fits=fits)
            if reason is None:
                read.append(file)
            elif reason:
                unread.append(Unread(file.name, reason))
        read.sort(key=lambda file: file.name)
        unread.sort(key=lambda each: each.name)
        return HourFiles(tuple(read), self.folder, tuple(unread[:MOST_NAMED]), len(unread))

    def is_excluded(self, name: str) -> bool:
        """Return whether a file is left out, by its own name or its path below the hour's folder."""
        return matches_any(self.exclude, name, self.folder)

    @cached_property
    def _shape(self) -> re.Pattern[str]:
        if self.is_deep:
            return re.compile(re.escape(self.folder) + ".*", re.DOTALL)
        return re.compile(as_expression(self.relative, "[^/]*"), re.DOTALL)

    def _reason(self, file: StoredFile, *, fits: bool) -> str | None:
        """Return why a file is not read; None if it is, "" where that is not worth a word."""
        name, last = file.name, _base(file.name)
        if name in (self.apart, self.folder) or _SILENT.fullmatch(last):
            return ""
        if self.is_excluded(name):
            return EXCLUDED
        if name.endswith("/"):
            if file.fault is None and self.is_deep:  # what S3 has for an empty folder
                return "its name ends in '/'" if file.size else ""
            return file.fault or "a folder: only 'dumps' that end in '/' read the folders below"
        parts = name.removeprefix(self.folder).split("/") if self.is_deep else [last]
        if any(part.startswith(_HIDDEN) for part in parts):
            return "names that begin with '_' or '.' are no data"
        if last.endswith(_UNFINISHED):
            return "unfinished by its name"
        return None if fits else f"does not match {self.relative.rpartition('/')[2]}"


def is_visible(name: str) -> bool:
    """Return whether a name is one of data, by all its parts."""
    parts = name.split("/")
    return not any(part.startswith(_HIDDEN) for part in parts) and not name.endswith(_UNFINISHED)


def is_hidden(name: str) -> bool:
    """Return whether a file is no data by its own name: a marker, a manifest, or what is hidden."""
    return _base(name).startswith(_HIDDEN)


def _base(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _some(named: Sequence[str], count: int) -> str:
    shown = ", ".join(visible(each) for each in named[:_SHOWN])
    more = count - min(len(named), _SHOWN)
    return f"{shown} and {more:,} more" if more else shown
