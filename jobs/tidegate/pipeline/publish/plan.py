"""What the next publication of a source's events would put where: its slices and their rows.

Whether an event is a duplicate depends on the dumps of earlier hours. So a landing also changes later
slices, which lose or regain rows: they are published again in the same commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake import Row, Staged, literal, parse_time
from tidegate.lake.ledger import SliceRecord, published_landings
from tidegate.lake.table_refs import Parts, Query
from tidegate.landing.columns import event_columns
from tidegate.pipeline.ingest.land import REPEATS, REPEATS_COLUMNS, candidate_folder
from tidegate.tables import events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


_IDS = {"dump_hour": "timestamp", "event_id": "string"}


@dataclass(frozen=True)
class Standing:
    """A landing that stands for an hour: published, or about to be.

    Attributes:
        landing_id: the landing.
        candidates: its candidate events, duplicates within the dump left out.
        staged: the files of those, below the folder of the candidate; None: all that are there.
    """

    landing_id: str
    candidates: int
    staged: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PlannedSlice:
    """A slice as the plan would publish it.

    Attributes:
        hour: the dump hour.
        standing: the landing that it comes from.
        withheld: candidate events that are duplicates of other dumps.
        content: says what exactly the rows are; equal contents are equal rows.
        again: whether the slice is published already from the same landing, and only loses or
            regains rows.
    """

    hour: datetime
    standing: Standing
    withheld: int
    content: str
    again: bool

    @property
    def rows(self) -> int:
        """Rows to be published."""
        return self.standing.candidates - self.withheld


@dataclass(frozen=True)
class Plan:
    """The next publication of a source's events.

    Attributes:
        source: whose.
        sequence: the number that the publication would have.
        slices: what it would put in.
        withheld: where the ids to leave out lie (`dump_hour`, `event_id`), if any.
    """

    source: Source
    sequence: int
    slices: tuple[PlannedSlice, ...]
    withheld: str | None


def make_plan(
    work: Work, source: Source, hours: Iterable[datetime], *, whole: bool = False
) -> Plan:
    """Plan the publication of the latest landings of some hours.

    Hours whose latest landing is published already, or could not be read, or that were never landed, are
    not in the plan.

    Args:
        work: where.
        source: whose, as it is in force, or is to be.
        hours: the dump hours.
        whole: whether those that are published as they were landed are in the plan too.
    """
    wanted = sorted(set(hours))
    last = work.ledger.last(events.TABLE, source.source)
    sequence = last.sequence + 1 if last else 1
    reach = source.duplicates.within
    window = (wanted[0] - reach, wanted[-1] + reach)
    published = {
        hour: (record, publication)
        for hour, (record, publication) in published_landings(
            work.ledger.publications(events.TABLE, source.source, slices=window)
        ).items()
        if window[0] <= hour <= window[1]
    }
    rows = work.ledger.landings_by_id(str(record.landing_id) for record, _ in published.values())
    before = {
        hour: _standing(record, rows.get(str(record.landing_id)))
        for hour, (record, _) in published.items()
    }
    landed = work.ledger.landings(
        source.source, (wanted[0], wanted[-1]), work.fingerprint(source, events.TABLE)
    )
    changed = {
        hour: Standing(row["landing_id"], row["events"], _staged(row))
        for hour in wanted
        if (row := landed.get(hour)) is not None
        and row["status"] == "landed"
        and (whole or hour not in before or before[hour].landing_id != row["landing_id"])
    }
    if not changed:
        return Plan(source, sequence, (), None)
    if source.fields.event_id is None:  # ids made of source, hour, file and line never meet
        slices = [_planned(hour, standing, 0, 0, False) for hour, standing in changed.items()]
        return Plan(source, sequence, tuple(slices), None)
    return _plan_with_duplicates(work, source, sequence, before, changed)


def _plan_with_duplicates(
    work: Work,
    source: Source,
    sequence: int,
    before: Mapping[datetime, Standing],
    changed: Mapping[datetime, Standing],
) -> Plan:
    from tidegate.pipeline.context.run_context import new_id

    reach = source.duplicates.within
    after = {**before, **changed}
    first, last = min(changed), max(changed)
    later = [h for h in before if h not in changed and first < h <= last + reach]
    involved = set(changed)
    if later:
        involved |= _later_slices(work, source, before, after, changed, later)
    neighbours = {
        hour: each for hour, each in after.items() if min(involved) - reach <= hour <= max(involved)
    }
    if len(neighbours) == 1:
        counts: dict[datetime, tuple[int, int]] = {}
        place = None
    else:
        mine = _paths(work, source, {hour: neighbours[hour] for hour in involved})
        others = _paths(work, source, {h: n for h, n in neighbours.items() if h not in involved})
        # Of the neighbours' ids only those that the hours have too.
        shared = f"{_ids('others', others)} WHERE event_id IN (SELECT event_id FROM mine)"
        ids = f"WITH mine AS ({_ids('mine', mine)}) SELECT * FROM mine UNION ALL {shared}"
        kept = work.lake.select(
            f"SELECT * FROM ({events.withheld(reach, ids)}) w WHERE {_hours_in(involved)}",
            work.lake.staging("withheld", source.source, new_id()),
            _IDS,
            mine=mine,
            others=others,
        )
        counts = _count_withheld(work, kept)
        place = kept.place if counts else None
    slices = [
        _planned(hour, after[hour], *counts.get(hour, (0, 0)), again=hour not in changed)
        for hour in sorted(involved)
    ]
    return Plan(source, sequence, tuple(slices), place)


def _later_slices(
    work: Work,
    source: Source,
    before: Mapping[datetime, Standing],
    after: Mapping[datetime, Standing],
    changed: Mapping[datetime, Standing],
    later: Sequence[datetime],
) -> set[datetime]:
    """Return the published later hours that lose or regain a row by the change."""
    # Only ids that a changed hour has, or had, can change what becomes of other hours' events.
    replaced = {hour: before[hour] for hour in changed if hour in before}
    concerned = [*_paths(work, source, changed), *_paths(work, source, replaced)]
    if not concerned:
        return set()
    states = {"before": _paths(work, source, before), "after": _paths(work, source, after)}
    old, new = (
        f"SELECT * FROM ({_withheld_of(name, paths, source)}) w WHERE {_hours_in(later)}"
        for name, paths in states.items()
    )
    rows = work.lake.look(
        f"SELECT DISTINCT dump_hour FROM (({old} EXCEPT {new}) UNION ALL ({new} EXCEPT {old})) d",
        concerned=concerned,
        **states,
    )
    return {parse_time(row["dump_hour"]) for row in rows}


def _withheld_of(name: str, paths: Sequence[str], source: Source) -> str:
    """Return the query of what is withheld of a state, of ids that are concerned."""
    ids = f"{_ids(name, paths)} WHERE event_id IN (SELECT event_id FROM {{concerned}})"
    return events.withheld(source.duplicates.within, ids)


def _ids(name: str, paths: Sequence[str]) -> str:
    """Return the query of `dump_hour`, `event_id` of all lines of some landings, repeats included."""
    rows = f"{{{name}}}" if paths else f"({events.NO_IDS}) n"
    return f"SELECT dump_hour, event_id FROM {rows}"


def _count_withheld(work: Work, withheld: Staged) -> dict[datetime, tuple[int, int]]:
    """Return by dump hour how many events are withheld, and a number that says which ones."""
    rows = work.lake.look(
        "SELECT dump_hour, count(*) AS n, bit_xor(CAST('0x' || left(sha256(event_id), 15) AS BIGINT)) AS which "
        "FROM {withheld} GROUP BY dump_hour",
        withheld=withheld,
    )
    return {parse_time(row["dump_hour"]): (row["n"], row["which"]) for row in rows}


def _planned(
    hour: datetime, standing: Standing, withheld: int, which: int, again: bool
) -> PlannedSlice:
    said = f"{standing.landing_id}/{withheld}/{which}"
    return PlannedSlice(
        hour, standing, withheld, hashlib.sha256(said.encode()).hexdigest()[:16], again
    )


def _standing(record: SliceRecord, landing: Row | None) -> Standing:
    assert record.landing_id is not None, "a publication of events names its landings"
    return Standing(record.landing_id, record.rows + record.duplicates, _staged(landing))


def _staged(landing: Row | None) -> tuple[str, ...] | None:
    """Return the files of a landing's candidate, if its row names them."""
    # A lake of an earlier version has no such column until something is landed in it.
    named = landing.get("staged") if landing is not None else None
    return None if named is None else tuple(named)


# -- rows -------------------------------------------------------------------------------------------


def rows_of(work: Work, plan: Plan, slices: Sequence[PlannedSlice]) -> Query:
    """Return the query of the events that the plan would publish for some of its slices."""
    source, columns = plan.source, event_columns(plan.source)
    standing = {each.hour: each.standing for each in slices}
    base = work.lake.staging("events", source.source)

    def parts(places: Sequence[str], types: Mapping[str, str]) -> Parts:
        return Parts(tuple(places), base, {**types, "_token": "string"})

    of: dict[str, Parts] = {"landed": parts(_paths(work, source, standing), columns)}
    text = "{landed} e"
    if source.fields.event_id is not None:
        # By token too: another of the landings may have been of an earlier state of the same file.
        line = ("_token", "dump_hour", "file", "line")
        of["repeats"] = parts(_repeat_paths(work, source, standing), REPEATS_COLUMNS)
        text += f" ANTI JOIN {{repeats}} r ON {_equal('e', 'r', line)}"
    if plan.withheld is not None and any(each.withheld for each in slices):
        of["withheld"] = Parts((plan.withheld,), plan.withheld, _IDS)
        text += f" ANTI JOIN {{withheld}} w ON {_equal('e', 'w', ('dump_hour', 'event_id'))}"
    return Query(columns, text, of)


def _equal(one: str, other: str, names: Sequence[str]) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def _paths(work: Work, source: Source, standing: Mapping[datetime, Standing]) -> list[str]:
    """Return the files, or folders, of candidates that have events; others were never made."""
    places = []
    for _, each in sorted(standing.items()):
        dump, token = _split(each)
        folder = work.lake.staging(*candidate_folder(source.source, token))
        if each.candidates and each.staged is None:
            places.append(f"{folder}/_dump={dump}/_outcome=event")
        elif each.candidates:
            places += [f"{folder}/{file}" for file in each.staged or ()]
    return places


def _repeat_paths(work: Work, source: Source, standing: Mapping[datetime, Standing]) -> list[str]:
    tokens = sorted({_split(each)[1] for each in standing.values()})
    return [work.lake.staging(*candidate_folder(source.source, t), REPEATS) for t in tokens]


def _split(standing: Standing) -> tuple[str, str]:
    dump, _, token = standing.landing_id.partition(".")
    return dump, token


def _hours_in(hours: Iterable[datetime]) -> str:
    return f"dump_hour in ({', '.join(literal(hour) for hour in sorted(hours))})"
