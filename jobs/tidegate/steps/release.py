"""Release: the versions of all published tables that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.lake import literal, parse_time
from tidegate.tables import WAREHOUSE, events
from tidegate.tables.books import RELEASES

if TYPE_CHECKING:
    from tidegate.steps.derive import Derived
    from tidegate.steps.work import Work


@dataclass(frozen=True)
class Release:
    """Versions pinned together, and the sources whose derived tables lag behind."""

    release_id: str
    versions: dict[str, int]
    publications: tuple[str, ...]
    behind: tuple[str, ...]
    is_new: bool = True


def release(work: Work, derived: Derived) -> Release:
    """Pin the versions that a derive run brought together.

    Events are pinned at the version that the run consumed, not at what came since. Where nothing
    changed since the last release, that one is returned.
    """
    from tidegate.steps.work import new_id, now

    versions = {table.name: work.lake.version(table) for table in WAREHOUSE}
    if derived.version >= 0:
        versions[events.TABLE.name] = derived.version
    last = _last(work)
    behind = tuple(sorted(derived.behind))
    if last is not None and last.versions == versions and last.behind == behind:
        return last
    since = last.versions if last else {}
    ids = [
        each.publication_id
        for table in WAREHOUSE
        for each in work.ledger.publications(table, after_version=since.get(table.name, -1))
        if each.delta_version <= versions[table.name]
    ]
    made = Release(new_id(), versions, tuple(ids), behind)
    work.lake.append(
        RELEASES,
        [
            {
                "release_id": made.release_id,
                "released_at": now(),
                "versions": made.versions,
                "publications": made.publications,
                "behind": made.behind,
                "run_id": work.run_id,
            }
        ],
    )
    work.tell(f"release {made.release_id}")
    return made


def _last(work: Work) -> Release | None:
    newest = work.lake.book(RELEASES, select="max(released_at) AS at")[0]["at"]
    if newest is None:
        return None
    row = work.lake.book(RELEASES, f"released_at = {literal(parse_time(newest))}")[0]
    return Release(
        row["release_id"],
        row["versions"],
        tuple(row["publications"]),
        tuple(row["behind"] or ()),
        is_new=False,
    )
