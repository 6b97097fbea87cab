"""Where a person is: in published rows, in quarantine, and in candidates.

DuckDB looks for it, in this process: what Spark is asked stands in its logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.common import sql_quoting as quoting
from tidegate.lake import Row, literal, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.pipeline.erase.model import Found, Person
from tidegate.pipeline.maintain.candidates import STAGING, Place, by_place
from tidegate.privacy.erased import ID_COLUMNS
from tidegate.storage.lake_files import LakeFile, LakeFiles
from tidegate.tables import events, session_aliases, sessions
from tidegate.tables.system_tables import LANDINGS, QUARANTINE

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Candidates:
    """Candidates of events of a source that have something of a person.

    Attributes:
        files: by candidate, its files.
        landings: by id, the landings of the source.
        published: ids of the landings that are published.
        unfinished: files that can't be read: of a landing that goes on, or was killed.
    """

    files: Mapping[Place, Sequence[LakeFile]]
    landings: Mapping[str, Row]
    published: frozenset[str]
    unfinished: Sequence[LakeFile]

    def standing(self) -> list[Row]:
        """Return the landings of those that are published, or that a publication may take: the latest ones."""
        latest: dict[str, Row] = {}
        for row in self.landings.values():
            hour = row["dump_hour"]
            if hour not in latest or _age(row) > _age(latest[hour]):
                latest[hour] = row
        stand = {row["landing_id"] for row in latest.values()} | self.published
        return [
            self.landings[str(place.landing_id)]
            for place in self.files
            if place.landing_id in stand
        ]


def find(work: Work, files: LakeFiles, source: Source, person: Person, since: int | None) -> Found:
    """Return where a person is in a source.

    Args:
        work: where; its ledger has to be fresh.
        files: of its lake.
        source: whose.
        person: who.
        since: number of the person's erasure; landings that knew of it left the lines out. None: not asked for.
    """
    name = source.source
    reader, mine = work.lake.reader, f"source = {literal(name)}"
    [of_events] = reader.rows(
        "warehouse/events",
        f"{mine} AND {person.is_of_event}",
        ("count(*) AS n", "list(DISTINCT dump_hour) AS hours", "list(DISTINCT file) AS files"),
    )
    owned = 0
    for table in (sessions.TABLE, session_aliases.TABLE):
        theirs = f"{mine} AND {person.is_in('user_key')}"
        owned += reader.rows(f"warehouse/{table.name}", theirs, ("count(*) AS n",))[0]["n"]
    lines = quarantined(work, source, person, since)
    standing = candidates(work, files, source, person, since).standing()
    published = {parse_time(hour) for hour in of_events["hours"] or ()}
    hours = {
        *published,
        *(parse_time(each["dump_hour"]) for each in (*lines, *standing)),
    }
    names = {*(of_events["files"] or ()), *(line["file"] for line in lines)}
    landed = work.lake.book(LANDINGS, f"{mine} AND files IS NOT NULL", ("dump_hour", "files"))
    uris = {
        each["uri"]
        for row in landed
        if parse_time(row["dump_hour"]) in hours
        for each in row["files"]
        if each["name"] in names or parse_time(row["dump_hour"]) not in published
    }
    return Found(
        name,
        of_events["n"],
        owned,
        len(lines),
        sum(parse_time(each["dump_hour"]) not in published for each in standing),
        tuple(sorted(hours)),
        tuple(sorted(uris)),
    )


def strangers(work: Work, person: Person, known: Sequence[Source]) -> dict[str, int]:
    """Return how many events of a person there are of sources that have no file any more."""
    names = ", ".join(literal(source.source) for source in known) or "''"
    rows = work.lake.reader.rows(
        "warehouse/events",
        f"source NOT IN ({names}) AND {person.is_of_event}",
        ("source",),
    )
    return {
        name: sum(row["source"] == name for row in rows) for name in {r["source"] for r in rows}
    }


def mentions(work: Work, source: Source, person: Person) -> int:
    """Return how many published events of others name a person in their properties."""
    where = (
        f"source = {literal(source.source)} AND NOT {person.is_of_event} "
        f"AND {person.is_named_in('properties')}"
    )
    return int(work.lake.reader.rows("warehouse/events", where, ("count(*) AS n",))[0]["n"])


def quarantined(work: Work, source: Source, person: Person, since: int | None) -> list[Row]:
    """Return the lines in quarantine that are, or may be, a person's, but for those of landings that knew."""
    aware = {row["landing_id"] for row in _landings(work, source) if _aware(row, since)}
    rows = work.lake.reader.rows(
        f"{QUARANTINE.area}/{QUARANTINE.name}",
        f"source = {literal(source.source)} AND {person.is_of_line(source, 'raw')}",
        ("dump_hour", "file", "line", "landing_id"),
    )
    return [row for row in rows if row["landing_id"] not in aware]


def candidates(
    work: Work, files: LakeFiles, source: Source, person: Person, since: int | None
) -> Candidates:
    """Return the candidates of events that have something of a person."""
    name = source.source
    by_id = {row["landing_id"]: row for row in _landings(work, source)}
    published = published_landings(work.ledger.publications(events.TABLE, name))
    places = {
        place: parts
        for place, parts in by_place(files.below(STAGING)).items()
        if (place.kind, place.source) == (events.TABLE.name, name)
        and not _aware(by_id.get(str(place.landing_id)), since)
    }
    of_place = {
        f"{STAGING}/{part.name}": place
        for place, parts in places.items()
        for part in parts
        if part.name.endswith(".parquet") and place.dump is not None
    }
    # What of a landing is not whole yet lies in folders of Spark's own.
    begun = {
        f"{STAGING}/{part.name}": part
        for place, parts in places.items()
        for part in parts
        if "/_temporary/" in part.name
    }
    theirs = f"{person.is_of_event} OR {person.is_of_line(source, '_raw')}"
    looked = work.lake.reader.holding([*sorted(of_place), *sorted(begun)], theirs)
    unfinished = [*looked.unreadable, *(each for each in looked.rows if each in begun)]
    every = {f"{STAGING}/{part.name}": part for parts in places.values() for part in parts}
    return Candidates(
        {of_place[file]: places[of_place[file]] for file in looked.rows if file in of_place},
        by_id,
        frozenset(str(record.landing_id) for record, _ in published.values()),
        [every[each] for each in unfinished],
    )


def of_columns(person: Person, columns: Sequence[str]) -> str:
    """Return DuckDB's predicate of rows of a person, by what of these columns there is."""
    named = [name for name in (*ID_COLUMNS, "user_key") if name in columns]
    theirs = [person.is_in(*named)] if named else []
    if "k" in columns:  # `tables.sessions.KEY`
        listed = ", ".join(quoting.literal(f"u:{value}") for value in person.ids)
        theirs.append(f"coalesce(k IN ({listed}), false)")
    return " OR ".join(theirs) or "false"


def _landings(work: Work, source: Source) -> list[Row]:
    return work.lake.book(
        LANDINGS,
        f"source = {literal(source.source)}",
        ("landing_id", "dump_hour", "landed_at", "erasures"),
    )


def _aware(landing: Row | None, since: int | None) -> bool:
    """Return whether a landing knew of an erasure."""
    return since is not None and landing is not None and (landing["erasures"] or 0) >= since


def _age(landing: Row) -> tuple[str, str]:
    return landing["landed_at"], landing["landing_id"]
