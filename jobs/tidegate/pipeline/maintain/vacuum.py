"""Vacuum and log: files of versions that nothing needs any more, and the log entries of such versions.

Delta's own VACUUM goes by how long ago a file was replaced, and its log by how old a commit is. A release may
be old and the newest, or pin a version that was replaced before it was made; so what may go is found here
from the versions that are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.pipeline.maintain.model import IN_WORK, Freed, counted
from tidegate.pipeline.maintain.promise import LOG, Kept, version_of
from tidegate.storage.lake_files import LakeFile, LakeFiles
from tidegate.tables.system_tables import MAINTENANCE

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work

_CHECKPOINT = re.compile(r"\d{20}\.checkpoint\.parquet")


def vacuum(
    work: Work, files: LakeFiles, kept: Sequence[Kept], now: datetime, dry_run: bool
) -> Iterator[Freed]:
    """Remove the data files that no version kept refers to."""
    going = [(each, _unreferenced(work, files, each, now)) for each in kept]
    going = [(each, gone) for each, gone in going if gone]
    if not dry_run:
        _announce(work, [each for each, _ in going])
    for each, gone in going:
        if not dry_run:
            files.remove(each.place, [file.name for file in gone])
        yield _freed("vacuum", each, gone)


def clean_log(
    work: Work, files: LakeFiles, kept: Sequence[Kept], now: datetime, dry_run: bool
) -> Iterator[Freed]:
    """Remove the log entries before the newest checkpoint that every version kept can be read from."""
    going = [(each, superfluous(each.log, each.version, now)) for each in kept]
    going = [(each, gone) for each, gone in going if gone]
    if not dry_run:
        _announce(work, [each for each, _ in going])
    for each, gone in going:
        if not dry_run:
            files.remove(f"{each.place}/{LOG}", [file.name for file in gone])
        yield _freed("log", each, gone)


def superfluous(log: Sequence[LakeFile], version: int, now: datetime) -> list[LakeFile]:
    """Return the files of a log that versions from one on are readable without.

    As Delta's protocol has it: what lies before a checkpoint that is not newer than the oldest version.

    Args:
        log: its files.
        version: the oldest version that has to stay readable.
        now: the time.
    """
    settled = [each for each in log if each.modified <= now - IN_WORK]
    whole = [
        number
        for each in settled
        if _CHECKPOINT.fullmatch(each.name)
        and (number := version_of(each)) is not None
        and number <= version
    ]
    if not whole:
        return []
    base = max(whole)
    return [each for each in settled if (number := version_of(each)) is not None and number < base]


def unreferenced(listed: Sequence[LakeFile], referred: Set[str], now: datetime) -> list[LakeFile]:
    """Return the data files of a table that nothing refers to, but for those that a write may be at.

    Args:
        listed: what lies below the table's folder.
        referred: names, without folders, of the files of all versions that are kept.
        now: the time.
    """
    return [
        each
        for each in listed
        if _is_data(each) and each.base not in referred and each.modified <= now - IN_WORK
    ]


def _is_data(file: LakeFile) -> bool:
    return file.name.endswith(".parquet") and not file.name.startswith(("_", "."))


def _unreferenced(work: Work, files: LakeFiles, kept: Kept, now: datetime) -> list[LakeFile]:
    oldest = {_base(name) for name in work.lake.files(kept.table, kept.version)}
    latest = {_base(name) for name in work.lake.files(kept.table)}
    listed = files.below(kept.place)
    missing = latest - {each.base for each in listed}
    if missing:
        raise TidegateError(
            f"{kept.place} lacks files that its log names",
            where=work.lake.path(kept.table),
            expected="every file of the latest version to be listed",
            got=f"{len(missing)} are not, such as {min(missing)}",
            todo="nothing was removed; see who else removes files of the lake, and bring them back",
        )
    between = work.lake.reader.added(kept.place, kept.version)
    return unreferenced(listed, oldest | latest | between, now)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _announce(work: Work, kept: Sequence[Kept]) -> None:
    """Write down what is given up before it is: nobody is to begin reading it."""
    from tidegate.pipeline.context.run_context import new_id, now

    rows = [
        {
            "maintenance_id": new_id(),
            "part": "promise",
            "place": each.place,
            "kept_from": each.version,
            "note": f"oldest needed: {each.why}",
            "run_id": work.run_id,
            "done_at": now(),
        }
        for each in kept
        if each.version > each.before
    ]
    work.lake.append(MAINTENANCE, rows)


def _freed(part: str, kept: Kept, gone: Sequence[LakeFile]) -> Freed:
    what = counted(
        len(gone), "file" if part == "vacuum" else "entry", None if part == "vacuum" else "entries"
    )
    return Freed(
        part,
        kept.place,
        len(gone),
        sum(file.size for file in gone),
        f"{what} of before version {kept.version} (oldest needed: {kept.why})",
        kept.version,
    )
