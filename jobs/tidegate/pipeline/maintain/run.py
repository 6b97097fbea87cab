"""Maintenance as one step, of one part or of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.suggestions import hint
from tidegate.pipeline.maintain.candidates import clean_staging
from tidegate.pipeline.maintain.compact import compact, fold
from tidegate.pipeline.maintain.model import PARTS, Freed, Maintained
from tidegate.pipeline.maintain.promise import what_is_kept
from tidegate.pipeline.maintain.vacuum import clean_log, vacuum
from tidegate.storage.lake_files import LakeFiles, open_files
from tidegate.tables.system_tables import MAINTENANCE

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work


def maintain(
    work: Work,
    parts: Sequence[str] = PARTS,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Maintained:
    """Do parts of the maintenance of a lake; write down what each freed.

    Args:
        work: where.
        parts: some of `PARTS`.
        dry_run: whether only to look what there would be to do.
        now: the time, for tests; else the clock's.

    Raises:
        TidegateError: there is no such part, or files can't be listed or removed.
    """
    from tidegate.pipeline.context import run_context as clock

    check_parts(parts)
    time = now or clock.now()
    freed: list[Freed] = []
    for part in parts:
        with work.stage(part):
            found = list(_do(work, part, time, dry_run))
        for each in found:
            work.tell(each.describe())
        if not dry_run:
            _write_down(work, found)
        freed += found
    return Maintained(tuple(freed), dry_run)


def check_parts(parts: Sequence[str]) -> Sequence[str]:
    """Return names of parts.

    Raises:
        TidegateError: there is no such part.
    """
    for part in parts:
        if part not in PARTS:
            raise TidegateError("no such part of maintenance", expected=hint(part, PARTS), got=part)
    return parts


def _do(work: Work, part: str, now: datetime, dry_run: bool) -> Iterator[Freed]:
    match part:
        case "compact":
            yield from compact(work, now, dry_run)
        case "fold":
            yield from fold(work, dry_run)
        case "vacuum":
            files = _files(work)
            yield from vacuum(work, files, what_is_kept(work, files, now), now, dry_run)
        case "log":
            files = _files(work)
            yield from clean_log(work, files, what_is_kept(work, files, now), now, dry_run)
        case _:
            yield from clean_staging(work, _files(work), now, dry_run)


def _files(work: Work) -> LakeFiles:
    found = open_files(work.settings.lake, work.settings.s3)
    if found is None:
        raise TidegateError(
            "files of this lake can't be removed from here",
            where=work.settings.lake,
            expected="a lake on S3 or in a local folder",
            todo="leave it to `--part compact` and `--part fold`",
        )
    return found


def _write_down(work: Work, freed: Sequence[Freed]) -> None:
    from tidegate.pipeline.context.run_context import new_id, now

    work.lake.append(
        MAINTENANCE,
        [
            {
                "maintenance_id": new_id(),
                "part": each.part,
                "place": each.place,
                "kept_from": each.kept_from,
                "files": each.files,
                "bytes": each.bytes,
                "note": each.note,
                "run_id": work.run_id,
                "done_at": now(),
            }
            for each in freed
        ],
    )
