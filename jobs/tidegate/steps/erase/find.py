"""Where a person is: in published rows, in quarantine, and in candidates that wait.

DuckDB looks for it, in this process: what Spark is asked stands in its logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.lake import Row, literal, parse_time
from tidegate.lake_files import LakeFile, LakeFiles
from tidegate.ledger import published_landings
from tidegate.steps.erase.model import Found, Person
from tidegate.steps.maintain.candidates import STAGING, Place, by_place
from tidegate.tables import events, session_aliases, sessions
from tidegate.tables.books import LANDINGS, QUARANTINE

if TYPE_CHECKING:
    from tidegate.steps.work import Work


@dataclass(frozen=True)
class Candidates:
    """Candidates of events of a source that have something of a person.

    Attributes:
        files: by candidate, its files.
        landings: by id, the landings of the source.
        published: ids of the landings that are published.
    """

    files: Mapping[Place, Sequence[LakeFile]]
    landings: Mapping[str, Row]
    published: frozenset[str]

    def waiting(self) -> list[Row]:
        """Return the landings of those that a publication may take: the latest of their hours."""
        latest: dict[str, Row] = {}
        for row in self.landings.values():
            hour = row["dump_hour"]
            if hour not in latest or _age(row) > _age(latest[hour]):
                latest[hour] = row
        mine = {place.landing_id for place in self.files}
        return [
            row
            for row in latest.values()
            if row["landing_id"] in mine and row["landing_id"] not in self.published
        ]


def find(work: Work, files: LakeFiles, person: Person, since: int | None) -> Found:
    """Return where a person is.

    Args:
        work: where; its ledger has to be fresh.
        files: of its lake.
        person: who.
        since: number of the person's erasure; landings that knew of it left the lines out. None: not asked for.
    """
    name = person.source.source
    books, mine = work.lake.books, f"source = {literal(name)}"
    [of_events] = books.rows(
        "warehouse/events",
        f"{mine} AND {person.is_of_event}",
        ("count(*) AS n", "list(DISTINCT dump_hour) AS hours", "list(DISTINCT file) AS files"),
    )
    owned = 0
    for table in (sessions.TABLE, session_aliases.TABLE):
        theirs = f"{mine} AND {person.is_in('user_key')}"
        owned += books.rows(f"warehouse/{table.name}", theirs, ("count(*) AS n",))[0]["n"]
    [others] = books.rows(
        "warehouse/events",
        f"{mine} AND NOT {person.is_of_event} AND {person.is_in_text('properties')}",
        ("count(*) AS n",),
    )
    lines = quarantined(work, person, since)
    waiting = candidates(work, files, person, since).waiting()
    hours = {
        *(parse_time(hour) for hour in of_events["hours"] or ()),
        *(parse_time(each["dump_hour"]) for each in (*lines, *waiting)),
    }
    names = {*(of_events["files"] or ()), *(line["file"] for line in lines)}
    landed = work.lake.book(LANDINGS, f"{mine} AND files IS NOT NULL", ("dump_hour", "files"))
    uris = {
        each["uri"]
        for row in landed
        if parse_time(row["dump_hour"]) in hours
        for each in row["files"]
        if each["name"] in names
    }
    return Found(
        name,
        of_events["n"],
        owned,
        len(lines),
        len(waiting),
        tuple(sorted(hours)),
        tuple(sorted(uris)),
        others["n"],
    )


def quarantined(work: Work, person: Person, since: int | None) -> list[Row]:
    """Return the lines in quarantine that name a person, but for those of landings that left theirs out.

    What those still name the person in are lines of others, like their events.
    """
    aware = {row["landing_id"] for row in _landings(work, person) if _aware(row, since)}
    rows = work.lake.books.rows(
        f"{QUARANTINE.area}/{QUARANTINE.name}",
        f"source = {literal(person.source.source)} "
        f"AND ({person.is_in_text('raw')} OR {person.is_in_text('detail')})",
        ("dump_hour", "file", "line", "landing_id"),
    )
    return [row for row in rows if row["landing_id"] not in aware]


def candidates(work: Work, files: LakeFiles, person: Person, since: int | None) -> Candidates:
    """Return the candidates of events that have something of a person."""
    name = person.source.source
    by_id = {row["landing_id"]: row for row in _landings(work, person)}
    near = work.ledger.publications(events.TABLE, name)
    published = {str(record.landing_id) for record, _ in published_landings(near).values()}
    places = {
        place: parts
        for place, parts in by_place(files.below(f"{STAGING}")).items()
        if (place.kind, place.source) == (events.TABLE.name, name) and place.dump is not None
    }
    of_place = {
        f"{STAGING}/{part.name}": place
        for place, parts in places.items()
        for part in parts
        if part.name.endswith(".parquet")
    }
    theirs = (
        f"{person.is_of_event} OR {person.is_in_text('_raw')} OR {person.is_in_text('_detail')}"
    )
    holding = {of_place[file] for file in work.lake.books.holding(sorted(of_place), theirs)}
    return Candidates(
        {
            place: places[place]
            for place in holding
            if not _aware(by_id.get(str(place.landing_id)), since)
        },
        by_id,
        frozenset(published),
    )


def _landings(work: Work, person: Person) -> list[Row]:
    return work.lake.book(
        LANDINGS,
        f"source = {literal(person.source.source)}",
        ("landing_id", "dump_hour", "landed_at", "erasures"),
    )


def _aware(landing: Row | None, since: int | None) -> bool:
    """Return whether a landing knew of an erasure."""
    return since is not None and landing is not None and (landing["erasures"] or 0) >= since


def _age(landing: Row) -> tuple[str, str]:
    return landing["landed_at"], landing["landing_id"]
