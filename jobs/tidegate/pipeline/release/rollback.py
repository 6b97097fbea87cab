"""Rollback: readers see an earlier release again, until somebody resumes; nothing is lost by it.

It is a release of its own, with the versions and metrics of the earlier one. Hours go on being published and derived
meanwhile, but are in no release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command
from tidegate.common.hours import hours_text
from tidegate.lake import Row, literal, parse_time
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.maintain.promise import kept_from
from tidegate.pipeline.release.corrections import taken_back
from tidegate.pipeline.release.release import commit, repaired
from tidegate.query.releases import lost_tables, parse_moment
from tidegate.tables import WAREHOUSE
from tidegate.tables.system_tables import RELEASES

if TYPE_CHECKING:
    from tidegate.lake.ledger import Publication
    from tidegate.pipeline.context.run_context import Work

_ID = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class RolledBack:
    """What a rollback hides, or would hide.

    Attributes:
        release_id: of the release that it made; None where it only looked.
        earlier: the release whose versions are shown again.
        released_at: when that was made.
        shown: the release that was shown before.
        hidden: the publications that the earlier release does not have.
        numbers: days and hours of which published numbers are other ones, or none, now: rows of
            `ops/corrections`.
    """

    release_id: str | None
    earlier: str
    released_at: datetime
    shown: str
    hidden: tuple[Publication, ...]
    numbers: tuple[Row, ...]

    def lines(self) -> list[str]:
        """Return in words what is hidden: a line a table and source, and one of numbers."""
        found: dict[tuple[str, str], list[Publication]] = {}
        for each in self.hidden:
            found.setdefault((each.table_name, each.source), []).append(each)
        out = []
        for (table, source), made in found.items():
            slices = {each.slice for publication in made for each in publication.slices}
            count = f"{len(made):,} publication{'' if len(made) == 1 else 's'}"
            out.append(f"{table} of {source}: {count} of {hours_text(slices)}")
        gone = sum(row["after"] is None for row in self.numbers)
        if self.numbers:
            out.append(
                f"{len(self.numbers):,} numbers of days and hours, of which {gone:,} are not shown at all"
            )
        return out

    def as_json(self) -> Row:
        """Return it for programs."""
        return {
            "release_id": self.release_id,
            "rolled_back_to": self.earlier,
            "instead_of": self.shown,
            "hidden": [
                {
                    "table": each.table_name,
                    "source": each.source,
                    "publication_id": each.publication_id,
                    "slices": len(each.slices),
                }
                for each in self.hidden
            ],
            "numbers": len(self.numbers),
        }


def roll_back(
    work: Work, wanted: str, *, by: str, reason: str, dry_run: bool = False
) -> RolledBack:
    """Show an earlier release again.

    Args:
        work: where.
        wanted: the id of a release, or a time: the release that was shown then.
        by: who does it.
        reason: why; kept in `ops/releases`.
        dry_run: whether only to tell what it would hide.

    Raises:
        TidegateError: there is no such release, it is shown already, or its files were removed in time.
        TryAgainError: other runs made releases first, again and again.
    """
    if not reason.strip():
        raise TidegateError(
            "no reason to roll back",
            expected="a reason, for whoever wonders why numbers are older",
            todo="give one: --reason TEXT",
        )

    def attempt() -> RolledBack | None:
        last = repaired(work)
        earlier = _found(work, wanted)
        assert last is not None, "where a release is found there is a last one"
        _check(work, earlier, last)
        work.ledger.refresh()
        rows = taken_back(work, last["versions"], earlier["versions"])
        made = _row(work, earlier, last, by, reason.strip())
        if not dry_run and not commit(work, made, rows):
            return None
        return RolledBack(
            None if dry_run else made["release_id"],
            earlier["release_id"],
            parse_time(earlier["released_at"]),
            last["release_id"],
            tuple(_hidden(work, earlier, last)),
            tuple(rows),
        )

    return until_first("releases", attempt)


def _found(work: Work, wanted: str) -> Row:
    """Return the release of an id, or the one that was the newest at a time."""
    rows: list[Row] = []
    if _ID.fullmatch(wanted):  # Spark and DuckDB have no common way to write other texts
        rows = work.lake.book(RELEASES, f"release_id = {literal(wanted)}")
    moment = parse_moment(wanted)
    if not rows and moment is not None:
        upto = f"released_at <= {literal(moment)}"
        [newest] = work.lake.book(RELEASES, upto, ["max(sequence) AS n"])
        if newest["n"] is not None:
            rows = work.lake.book(RELEASES, f"sequence = {newest['n']}")
    if rows:
        return rows[0]
    raise TidegateError(
        f"no release {wanted!r}" + ("" if moment is None else ": none had been made by then"),
        where=work.lake.path(RELEASES),
        expected="the id of a release, or a time after the first",
        todo="see all: "
        + command("sql", "SELECT release_id, released_at FROM ops.releases ORDER BY 2"),
    )


def _check(work: Work, earlier: Row, last: Row) -> None:
    if earlier["versions"] == last["versions"]:
        raise TidegateError(
            f"readers see the rows of release {earlier['release_id']} already",
            where=work.lake.path(RELEASES),
            got=f"release {last['release_id']} with the same versions",
            todo="take an earlier one",
        )
    kept = {place.rpartition("/")[2]: version for place, version in kept_from(work).items()}
    gone = lost_tables(earlier["versions"], kept)
    if gone:
        raise TidegateError(
            f"release {earlier['release_id']} can't be read any more: its files were removed in time",
            where=work.lake.root,
            expected="a release that is kept (TIDEGATE_KEEP_RELEASES says how long)",
            got="; ".join(gone),
            todo="take a later one",
        )


def _hidden(work: Work, earlier: Row, last: Row) -> Sequence[Publication]:
    return [
        each
        for table in WAREHOUSE
        for each in work.ledger.publications(
            table,
            after_version=earlier["versions"].get(table.name, -1),
            upto_version=last["versions"].get(table.name, -1),
        )
    ]


def _row(work: Work, earlier: Row, last: Row, by: str, reason: str) -> Row:
    from tidegate.pipeline.context.run_context import new_id, now

    return {
        **earlier,
        "release_id": new_id(),
        "sequence": last["sequence"] + 1,
        "released_at": now(),
        "publications": [],
        "run_id": work.run_id,
        "rolled_back_to": earlier["release_id"],
        "rolled_back_by": by,
        "reason": reason,
    }
