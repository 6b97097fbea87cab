"""Corrections: which published numbers a release changes after the fact, by how much, and why.

A number is a metric of a day, or of an hour and event type, that the release before showed already. What
changed it is found in the events: those that a dump brought or took between the versions that the two
releases were built from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from tidegate.common.hours import HOUR
from tidegate.lake import Row, literal, parse_time, slices_where
from tidegate.lake.ledger import Publication, published_landings
from tidegate.lake.table_refs import At, slices
from tidegate.pipeline.context.erasures import erased_lines
from tidegate.pipeline.derive.candidates import in_dumps
from tidegate.tables import BY_NAME, WAREHOUSE, Table, events, sessions
from tidegate.tables.system_tables import PUBLICATIONS

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work

Cause = Literal[
    "new", "late", "corrected", "duplicate", "configuration", "erased", "unknown", "rollback"
]

_DAY = timedelta(days=1)
_AT_ONCE = 500
"""Slices compared at a time."""
_END = datetime.max.replace(tzinfo=UTC)
_MEASURES: Mapping[str, tuple[str, ...]] = {
    table.name: tuple(name for part in table.aggregate.inputs for name in part.measures)
    for table in WAREHOUSE
    if table.aggregate is not None
}
"""The columns of each aggregate whose changes are corrections."""
_OF_SESSIONS = frozenset(
    name
    for table in WAREHOUSE
    if table.aggregate is not None
    for part in table.aggregate.inputs
    if part.table == sessions.TABLE.name
    for name in part.measures
)


@dataclass(frozen=True)
class Moved:
    """Events of an hour that a dump brought, took away or changed.

    Attributes:
        event_hour: when they happened.
        dump_hour: the dump.
        causes: why, as far as the dump tells; empty where it was simply the next one.
    """

    event_hour: datetime
    dump_hour: datetime
    causes: frozenset[Cause]


def corrections(work: Work, before: Mapping[str, int], after: Mapping[str, int]) -> list[Row]:
    """Return the numbers that differ between two releases, of what the first of them showed.

    Args:
        work: where; its ledger has to be fresh.
        before: the version of each table in the release before.
        after: the same in the release to be.

    Returns:
        Rows of `ops/corrections`, but for the release.
    """
    rows: list[Row] = []
    known: dict[tuple[str, int, int], list[Moved]] = {}
    for table, source, mine in _between(work, before, after):
        first, last = mine[0], mine[-1]
        if first.sequence == 1:
            continue  # nothing of it was published before
        found = _changed(work, table, mine, before[table.name], after[table.name])
        if not found:
            continue
        previous = work.ledger.numbered(table, source, first.sequence - 1)
        name = events.TABLE.name
        span = (source, previous.input_versions[name], last.input_versions[name])
        if span not in known:
            known[span] = _moved(work, *span)
        told = _Told(known[span], _reconfigured(work, table, previous, last))
        rows += [{**row, "cause": ", ".join(sorted(told.causes(row)))} for row in found]
    return rows


def taken_back(work: Work, shown: Mapping[str, int], earlier: Mapping[str, int]) -> list[Row]:
    """Return the numbers that a release shows and that an earlier one, rolled back to, did not.

    Args:
        work: where; its ledger has to be fresh.
        shown: the version of each table in the release that is shown.
        earlier: the same in the earlier one.

    Returns:
        Rows of `ops/corrections`, but for the release; `after` is NULL where the earlier one had nothing.
    """
    return [
        {**row, "cause": "rollback"}
        for table, _, mine in _between(work, earlier, shown)
        for row in _changed(work, table, mine, shown[table.name], earlier[table.name])
    ]


def _between(
    work: Work, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[tuple[Table, str, list[Publication]]]:
    """Yield each table with numbers and source, and what was published of it between two releases."""
    for name in _MEASURES:
        if name not in before or name not in after:
            continue  # the table is new: no release showed it before
        made = work.ledger.publications(
            BY_NAME[name], after_version=before[name], upto_version=after[name]
        )
        for source in sorted({each.source for each in made}):
            yield BY_NAME[name], source, [each for each in made if each.source == source]


@dataclass(frozen=True)
class _Told:
    """What is known of the causes for one table and source."""

    moved: Sequence[Moved]
    reconfigured: Set[str]
    """Tables whose rows were made by another configuration than before."""

    def causes(self, row: Row) -> set[Cause]:
        """Return why a number changed."""
        out: set[Cause] = set()
        if row["hour"] is not None:
            out |= causes_of(self.moved, row["hour"], row["hour"] + HOUR)
        else:
            start = _midnight(row["date"])
            out |= causes_of(self.moved, start, start + _DAY)
            if row["metric"] in _OF_SESSIONS:
                if sessions.TABLE.name in self.reconfigured:
                    out.add("configuration")
                if not out:  # sessions of this day may reach into the next, or come to begin before
                    out |= causes_of(self.moved, start - _DAY, start + 2 * _DAY)
                if not out:  # the source's own sessions may be longer still
                    out |= causes_of(self.moved, datetime.min.replace(tzinfo=UTC), _END)
        if self.reconfigured - {sessions.TABLE.name}:
            out.add("configuration")
        return out or {"unknown"}


def causes_of(moved: Iterable[Moved], start: datetime, end: datetime) -> set[Cause]:
    """Return why the events of a stretch of time (end excluded) are not what they were.

    What the next dump brought of the stretch is new if its own hour lies in it, and late if it came after.
    """
    out: set[Cause] = set()
    for each in moved:
        if start <= each.event_hour < end:
            out |= each.causes or {"late" if each.dump_hour >= end else "new"}
    return out


def _changed(
    work: Work, table: Table, made: Sequence[Publication], before: int, after: int
) -> list[Row]:
    """Return the metrics that differ, of slices that had rows before.

    The tables are small, so they are read as the books are, some slices at a time.
    """
    slices = sorted({each.slice for publication in made for each in publication.slices})
    found: list[Row] = []
    for at in range(0, len(slices), _AT_ONCE):
        where = slices_where(table, made[0].source, slices[at : at + _AT_ONCE])
        old, new = (_shown(work, table, where, version) for version in (before, after))
        published = {(number.date, number.hour) for number in old}
        found += [
            {
                "table_name": table.name,
                "source": made[0].source,
                **asdict(number),
                "before": old.get(number),
                "after": new.get(number),
                "delta": (new.get(number) or 0.0) - (old.get(number) or 0.0),
                "publications": _makers(made, number),
            }
            for number in sorted({**old, **new}, key=repr)
            if old.get(number) != new.get(number) and (number.date, number.hour) in published
        ]
    return found


@dataclass(frozen=True)
class _Number:
    """What a published number of a source is about; its fields are columns of `ops/corrections`."""

    date: date
    hour: datetime | None
    event_type: str | None
    metric: str


def _shown(work: Work, table: Table, where: str, version: int) -> dict[_Number, float]:
    """Return the numbers that a version of a table shows; NULL shows none."""
    key = [name for name in ("date", "hour", "event_type") if name in table.column_names]
    metrics = _MEASURES[table.name]
    rows = work.lake.book(table, where, (*key, *metrics), version)
    return {
        _Number(
            date.fromisoformat(row["date"]),
            parse_time(row["hour"]) if row.get("hour") else None,
            row.get("event_type"),
            metric,
        ): float(row[metric])
        for row in rows
        for metric in metrics
        if row[metric] is not None
    }


def _makers(made: Sequence[Publication], number: _Number) -> list[str]:
    time = number.hour or _midnight(number.date)
    return [each.publication_id for each in made if any(s.slice == time for s in each.slices)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _reconfigured(
    work: Work, table: Table, previous: Publication, last: Publication
) -> frozenset[str]:
    """Return which tables changed their configuration on the way: the table itself, or sessions."""
    out = set()
    if previous.configuration != last.configuration:
        out.add(table.name)
    name = sessions.TABLE.name
    versions = [each.input_versions.get(name) for each in (previous, last)]
    if versions[0] is not None and versions[1] is not None and versions[0] < versions[1]:
        between = work.ledger.publications(
            sessions.TABLE, last.source, after_version=versions[0], upto_version=versions[1]
        )
        if between and between[0].sequence > 1:
            old = work.ledger.numbered(sessions.TABLE, last.source, between[0].sequence - 1)
            if old.configuration != between[-1].configuration:
                out.add(name)
    return frozenset(out)


def _moved(work: Work, source: str, before: int, after: int) -> list[Moved]:
    """Return what dumps brought and took between two versions of events."""
    made = work.ledger.publications(events.TABLE, source, after_version=before, upto_version=after)
    hours = sorted({each.slice for publication in made for each in publication.slices})
    if not hours:
        return []
    why = _causes_of_dumps(work, source, hours, before, after)
    return [
        Moved(event_hour, dump_hour, why[dump_hour])
        for event_hour, dump_hour in _differing(work, source, hours, why, before, after)
    ]


def _causes_of_dumps(
    work: Work, source: str, hours: Sequence[datetime], before: int, after: int
) -> dict[datetime, frozenset[Cause]]:
    """Return for each dump why its slice is not what it was."""
    near = work.ledger.publications(events.TABLE, source, slices=(hours[0], hours[-1]))
    old = published_landings(each for each in near if each.delta_version <= before)
    new = published_landings(each for each in near if each.delta_version <= after)
    landings = work.ledger.landings_by_id(
        str(state[hour][0].landing_id) for state in (old, new) for hour in hours if hour in state
    )
    newest = work.lake.book(
        PUBLICATIONS,
        f"table_name = {literal(events.TABLE.name)} and source = {literal(source)} "
        f"and delta_version <= {before}",
        ["max(slice_max) as newest"],
    )[0]["newest"]
    out: dict[datetime, frozenset[Cause]] = {}
    for hour in hours:
        if hour not in old:
            # A dump that comes after those of later hours is late as a whole.
            is_late = newest is not None and hour < parse_time(newest)
            out[hour] = frozenset({"late"} if is_late else set())
            continue
        was, now = (landings[str(state[hour][0].landing_id)] for state in (old, new))
        causes: set[Cause] = set()
        if was["fingerprint"] != now["fingerprint"]:
            causes.add("corrected")
        if was["configuration"] != now["configuration"]:
            causes.add("configuration")
        if erased_lines(now) > erased_lines(was):
            causes.add("erased")
        out[hour] = frozenset(causes or {"duplicate"})
    return out


def _differing(
    work: Work,
    source: str,
    hours: Sequence[datetime],
    why: Mapping[datetime, frozenset[Cause]],
    before: int,
    after: int,
) -> list[tuple[datetime, datetime]]:
    """Return (event hour, dump hour) of where the events of dumps are not what they were."""

    def read(version: int) -> At:
        return work.at(events.TABLE, source, version, slices(events.TABLE, hours))

    known = [hour for hour in hours if not _is_first(why[hour])]
    first = [hour for hour in hours if _is_first(why[hour])]
    mine = f"source = {literal(source)}"
    # What the metrics are made of.
    said = "event_id, event_time, event_type, user_key, user_key_kind, dump_hour"
    rows = work.lake.look(
        f"""
        WITH states AS (
            SELECT {said}, 1 AS sign FROM {{now}} WHERE {mine} AND {in_dumps(known)}
            UNION ALL
            SELECT {said}, -1 AS sign FROM {{then}} WHERE {mine} AND {in_dumps(known)}
        ),
        moved AS (
            SELECT event_time, dump_hour FROM {{now}} WHERE {mine} AND {in_dumps(first)}
            UNION ALL
            SELECT event_time, dump_hour FROM states GROUP BY {said} HAVING sum(sign) <> 0
        )
        SELECT DISTINCT date_trunc('hour', event_time) AS event_hour, dump_hour FROM moved""",
        now=read(after),
        then=read(before),
    )
    return [(parse_time(row["event_hour"]), parse_time(row["dump_hour"])) for row in rows]


def _is_first(causes: frozenset[Cause]) -> bool:
    """Return whether a dump had no slice before."""
    return causes <= {"late"}
