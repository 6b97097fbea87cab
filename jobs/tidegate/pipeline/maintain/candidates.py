"""Candidates: what lies under staging and no publication will take any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake import Row, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.pipeline.context.effective_config import REUSED_FOR
from tidegate.pipeline.maintain.model import IN_WORK, Freed, counted
from tidegate.storage.lake_files import LakeFile, LakeFiles
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work

STAGING = "staging"
_TOKEN, _DUMP = "_token=", "_dump="
_PASSING = ("withheld",)
"""What only the run that made it reads."""


@dataclass(frozen=True)
class Place:
    """A folder under staging that stays or goes as a whole.

    Attributes:
        kind: the table, or what else it is for.
        source: whose.
        name: the folder that one step made.
        dump: of a landing, the dump; None for what belongs to all of them.
    """

    kind: str
    source: str
    name: str
    dump: str | None = None

    @property
    def landing_id(self) -> str | None:
        """The landing whose candidate it is."""
        if self.dump is None:
            return None
        return f"{self.dump}.{self.name.removeprefix(_TOKEN)}"


def clean_staging(work: Work, files: LakeFiles, now: datetime, dry_run: bool) -> Iterator[Freed]:
    """Remove candidates that no publication will take: replaced, published, or left by a kill.

    The candidate of each hour's latest landing stays, held or not, and that of what is published: other
    hours' duplicates are found by it. Of a derived table the last one stays, for who wants to see why it is
    held; the next derive run makes another.
    """
    work.ledger.refresh()
    listed = files.below(STAGING)
    places = by_place(listed)
    for kind, gone in sorted(superfluous(places, needed_landings(work, now), now).items()):
        names = [file.name for place in gone for file in places[place]]
        size = sum(file.size for place in gone for file in places[place])
        if not dry_run:
            files.remove(STAGING, names, tidy=True)
        what = counted(len(gone), "candidate")
        yield Freed("candidates", f"{STAGING}/{kind}", len(names), size, f"{what}, not needed")


def by_place(listed: Sequence[LakeFile]) -> dict[Place, list[LakeFile]]:
    """Return the files under staging by what stays or goes as a whole; others are not ours to judge."""
    found: dict[Place, list[LakeFile]] = defaultdict(list)
    for file in listed:
        kind, _, rest = file.name.partition("/")
        source, _, rest = rest.partition("/")
        name, _, rest = rest.partition("/")
        if not (kind and source and name and rest):
            continue
        is_landing = kind == events.TABLE.name
        if is_landing != name.startswith(_TOKEN):
            continue
        first = rest.partition("/")[0]
        dump = first.removeprefix(_DUMP) if is_landing and first.startswith(_DUMP) else None
        found[Place(kind, source, name, dump)].append(file)
    return dict(found)


def superfluous(
    places: Mapping[Place, Sequence[LakeFile]], needed: Set[str], now: datetime
) -> dict[str, list[Place]]:
    """Return what may go, by kind.

    Args:
        places: what there is.
        needed: ids of the landings whose candidates stay.
        now: the time.
    """
    written: dict[tuple[str, str, str], datetime] = {}
    newest: dict[tuple[str, str], str] = {}
    stays: set[tuple[str, str, str]] = set()
    for place, files in places.items():
        whole = (place.kind, place.source, place.name)
        latest = max(file.modified for file in files)
        written[whole] = max(latest, written.get(whole, latest))
        # The names are ids, which sort by age.
        newest[whole[:2]] = max(place.name, newest.get(whole[:2], ""))
        if place.landing_id in needed:
            stays.add(whole)
    gone: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        whole = (place.kind, place.source, place.name)
        if written[whole] > now - IN_WORK:
            continue
        if place.kind == events.TABLE.name:
            keep = place.landing_id in needed if place.dump is not None else whole in stays
        else:
            keep = place.kind not in _PASSING and newest[whole[:2]] == place.name
        if not keep:
            gone[place.kind].append(place)
    return dict(gone)


def needed_landings(work: Work, now: datetime) -> set[str]:
    """Return the ids of the landings whose candidates a publication may take, or look for ids in."""
    rows = work.lake.book(
        LANDINGS,
        select=("landing_id", "source", "dump_hour", "status", "configuration", "landed_at"),
    )
    force = {s: last.configuration for s, last in work.ledger.lasts(events.TABLE).items()}
    needed = latest_landings(rows, force, now)
    for source in force:
        state = published_landings(work.ledger.publications(events.TABLE, source))
        needed |= {str(record.landing_id) for record, _ in state.values()}
    return needed


def latest_landings(rows: Sequence[Row], force: Mapping[str, str], now: datetime) -> set[str]:
    """Return the ids of the latest landings of each hour by each configuration that may be taken up.

    Args:
        rows: of `ops/landings`.
        force: by source the configuration that its published events were made by.
        now: the time.
    """
    latest: dict[tuple[str, str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (parse_time(row["landed_at"]), row["landing_id"])):
        latest[row["source"], row["dump_hour"], row["configuration"]] = row
    # `land` does not take up what is older either; a step that has begun with it has two days.
    since = now - REUSED_FOR - IN_WORK
    return {
        row["landing_id"]
        for (source, _, configuration), row in latest.items()
        if row["status"] == "landed"
        and (
            force.get(source, configuration) == configuration
            or parse_time(row["landed_at"]) > since
        )
    }
