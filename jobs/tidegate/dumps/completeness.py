"""Whether the files of an hour are all there, by each of the ways that a source may name; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.common.durations import duration_text
from tidegate.dumps.hour_files import HourFiles
from tidegate.dumps.manifest import Manifest
from tidegate.storage.files import StoredFile

_MOST_FAULTS = 5
"""Differences from a manifest that a reason names."""


@dataclass(frozen=True)
class Completeness:
    """Whether a dump is complete, and why or why not, in words.

    Attributes:
        complete: whether it is.
        why: in words.
        quiet_in: what quiet is still needed, if it is known that nothing else is.
    """

    complete: bool
    why: str
    quiet_in: timedelta | None = None


def without_content(files: Sequence[StoredFile]) -> Completeness | None:
    """Return that files have no content yet; None where each has some.

    Without a marker or a manifest, an empty file can't be told from one that is still to be written.
    """
    empty = [file.name for file in files if not file.size and file.fault is None]
    if not empty:
        return None
    more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
    return Completeness(False, f"{empty[0]}{more} of {file_count(files)}: not a byte in it yet")


def by_count(files: Sequence[StoredFile], expected: int) -> Completeness:
    """Return whether there are as many files as the source says."""
    faults = "".join(f"; {file.name}: {file.fault}" for file in files if file.fault)
    text = f"{len(files)} of {expected} files{faults}"
    if len(files) > expected:
        return Completeness(False, f"{text}: more than the source says")
    return Completeness(len(files) == expected, text)


def by_quiet(
    files: Sequence[StoredFile], end: datetime, now: datetime, needed: timedelta
) -> Completeness:
    """Return whether no file was written for some time.

    Args:
        files: at least one.
        end: of the dump hour; the quiet time does not begin before it.
        now: by the clock that dates the files.
        needed: how long the quiet time has to be.
    """
    none = timedelta(0)
    newest = max(file.modified for file in files)
    since = max(newest, end)
    quiet = max(now - since, none)
    reason = (
        f"the newest of {file_count(files)} is of {newest:%Y-%m-%dT%H:%M:%SZ}"
        if since == newest
        else f"{file_count(files)}, none newer than the end of the hour"
    )
    text = f"{reason}; quiet for {duration_text(quiet)}, {duration_text(needed)} needed"
    return Completeness(quiet >= needed, text, max(since + needed - now, none))


def by_manifest(name: str, manifest: Manifest, listed: HourFiles) -> Completeness:
    """Return whether the files of an hour are those that its manifest names, of the sizes that it declares.

    Args:
        name: of the manifest.
        manifest: what it declares.
        listed: the files of the hour, at least one.
    """
    sizes = {file.name: file.size for file in listed.read}
    declared = {file: entry.size for file, entry in manifest.files.items()}
    unread = {file.name: file.reason for file in listed.unread}
    faults = [
        f"{file} is not read: {unread[file]}" if file in unread else f"{file} is missing"
        for file in declared
        if file not in sizes
    ]
    faults += [
        f"{file} has {sizes[file]} bytes, not {size}"
        for file, size in declared.items()
        if file in sizes and size is not None and sizes[file] != size
    ]
    faults += [f"{file} is not in it" for file in sizes if file not in declared]
    total, size = sum(sizes.values()), manifest.whole.size
    if not faults and size is not None and total != size:
        faults = [f"{total} bytes in {file_count(listed.read)}, not {size}"]
    if faults:
        hidden = len(faults) - _MOST_FAULTS
        more = f" and {hidden} more" if hidden > 0 else ""
        text = f"by the manifest {name}: {'; '.join(faults[:_MOST_FAULTS])}{more}"
        return Completeness(False, text)
    return Completeness(True, f"{file_count(listed.read)}, as the manifest {name} says")


def file_count(files: Sequence[StoredFile]) -> str:
    """Return a number of files in words."""
    return f"{len(files)} file{'' if len(files) == 1 else 's'}"
