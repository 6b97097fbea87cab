"""Aggregates: the slices that changed events or sessions concern are computed again, whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.lake import literal
from tidegate.lake.reader import fill_in
from tidegate.lake.table_refs import At, Within
from tidegate.pipeline.derive.candidates import Built, Pending, by_slice, new_place
from tidegate.pipeline.derive.time_ranges import Stretch, fold, within
from tidegate.tables import BY_NAME, Aggregate, Input, Table, events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def build_aggregate(work: Work, table: Table, pending: Pending) -> Built:
    """Stage the new content of the slices of an aggregate that changed inputs concern.

    Facts are `rows`, for each input `INPUT_read` and `INPUT_counted`, and `unaccounted`, by how many rows these differ.

    Args:
        work: where.
        table: the aggregate.
        pending: what it has not consumed.
    """
    aggregate = table.aggregate
    assert aggregate is not None, f"{table.name} is an aggregate"
    slices = _slices(work, table, aggregate, pending)
    ranges = fold((slice_, slice_ + aggregate.grain) for slice_ in slices)
    place = new_place(work, table, pending.source.source)
    queries = {
        part.table: _rows_of(pending.source, part, ranges, is_whole=pending.whole)
        for part in aggregate.inputs
    }
    read = {part.table: _at(work, part, pending, ranges) for part in aggregate.inputs}
    work.lake.build(
        fill_in(aggregate.query, queries),
        place,
        table.types,
        **{_alias(part): read[part.table] for part in aggregate.inputs},
    )
    sums = {part.counted_by: f"sum({part.counted_by})" for part in aggregate.inputs}
    by_time = by_slice(work, table, place, **sums)
    facts: dict[str, Any] = {"rows": sum(row["n"] for row in by_time.values())}
    unaccounted = 0
    for part in aggregate.inputs:
        rows_read = _count(work, part, queries[part.table], read[part.table])
        counted = sum(row[part.counted_by] for row in by_time.values())
        facts |= {f"{part.table}_read": rows_read, f"{part.table}_counted": counted}
        unaccounted += abs(rows_read - counted)
    return Built(
        table,
        place,
        {slice_: by_time[slice_]["n"] if slice_ in by_time else 0 for slice_ in slices},
        {**facts, "unaccounted": unaccounted},
    )


def _slices(work: Work, table: Table, aggregate: Aggregate, pending: Pending) -> Sequence[datetime]:
    """Return the slices to compute: those that the pending publications concern, or all."""
    if pending.whole:
        times = _all_times(work, table, pending)
    else:
        times = {
            time
            for publication in pending.publications
            for time in (
                publication.event_hours
                if publication.table_name == events.TABLE.name
                else [record.slice for record in publication.slices]
            )
        }
    return sorted({aggregate.slice_of(time) for time in times})


def _all_times(work: Work, table: Table, pending: Pending) -> set[datetime]:
    """Return all hours with events, and the slices that the table has now."""
    name = pending.source.source
    mine = f"source = {literal(name)}"
    rows = work.lake.look(
        "SELECT DISTINCT epoch_us(event_time) // 3600000000 AS h "
        f"FROM {{events}} WHERE {mine} UNION SELECT DISTINCT "
        f"epoch_us(CAST({table.slice_time} AS TIMESTAMPTZ)) // 3600000000 AS h FROM {{there}} WHERE {mine}",
        events=work.at(events.TABLE, name, pending.version),
        there=work.at(table, name),
    )
    return {datetime.fromtimestamp(row["h"] * 3600, UTC) for row in rows}


def _rows_of(source: Source, part: Input, ranges: Sequence[Stretch], *, is_whole: bool) -> str:
    """Return what stands after FROM for the rows of an input that lie in the slices."""
    wanted = "true" if is_whole else within(part.time, ranges)
    return (
        f"(SELECT * FROM {{{_alias(part)}}} WHERE source = {literal(source.source)} AND ({wanted}))"
    )


def _alias(part: Input) -> str:
    """Return the name of an input's table in the query; that of the input stands for its wanted rows."""
    return f"all_{part.table}"


def _at(work: Work, part: Input, pending: Pending, ranges: Sequence[Stretch]) -> At:
    """Return an input's table at the version to read, with the times that are wanted of it."""
    times = None if pending.whole else Within(part.time, part.time, tuple(ranges))
    table, version = BY_NAME[part.table], pending.inputs[part.table]
    return work.at(table, pending.source.source, version, times)


def _count(work: Work, part: Input, query: str, read: At) -> int:
    """Return how many rows of an input lie in the slices."""
    tables: Mapping[str, At] = {_alias(part): read}
    [found] = work.lake.look(f"SELECT count(*) AS n FROM {query} r", **tables)
    return int(found["n"])
