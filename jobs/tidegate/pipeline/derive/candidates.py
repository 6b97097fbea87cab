"""What derived tables are built from, and the staged rows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.lake import Row, literal, slices_where
from tidegate.lake.ledger import Publication
from tidegate.tables import Table, events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.lake import Staged
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Built:
    """The staged new content of some slices of a derived table.

    Attributes:
        table: the table.
        place: where it is staged.
        slices: rows by slice, those without included.
        facts: what its suite may use beside its rows.
        renames: of sessions: whether published ids end, or lead to other sessions.
    """

    table: Table
    place: str
    slices: Mapping[datetime, int]
    facts: Mapping[str, Any]
    renames: bool = False


@dataclass(frozen=True)
class Pending:
    """What a derived table has not consumed of a source.

    Attributes:
        source: whose, by the configuration to build by.
        inputs: the versions of the tables to build from, by their names.
        publications: what was published of those since.
        last: the derived table's last publication.
        whole: whether all of the source is to be built again, not only what is pending.
    """

    source: Source
    inputs: Mapping[str, int]
    publications: tuple[Publication, ...]
    last: Publication | None
    whole: bool = False

    @property
    def version(self) -> int:
        """The version of events."""
        return self.inputs[events.TABLE.name]

    @property
    def sequence(self) -> int:
        """The number that the next publication has."""
        return self.last.sequence + 1 if self.last else 1


def by_slice(work: Work, table: Table, place: str, **sums: str) -> dict[datetime, Row]:
    """Return by slice the number of staged rows, `n`, and aggregates of their columns.

    Args:
        work: where.
        table: whose rows they are.
        place: where they are staged.
        sums: name -> aggregate.
    """
    listed = "".join(f", {aggregate} AS {name}" for name, aggregate in sums.items())
    rows = work.lake.look(
        f"SELECT epoch_us(CAST({table.slice_time} AS TIMESTAMPTZ)) // 1000000 AS slice, count(*) AS n{listed} "
        "FROM {rows} GROUP BY 1",
        rows=place,
    )
    return {datetime.fromtimestamp(row["slice"], UTC): row for row in rows}


def new_place(work: Work, table: Table, source: str) -> str:
    """Return a new place under staging for a candidate."""
    from tidegate.pipeline.context.run_context import new_id

    return work.lake.staging(table.name, source, new_id())


def rest_of(table: Table, source: str, slices: Sequence[datetime]) -> str:
    """Return the query of the `published` rows of some slices, but for those whose ids are `replaced`."""
    columns = ", ".join(f"p.{name}" for name in table.column_names)
    return (
        f"SELECT {columns} FROM (SELECT * FROM {{published}} "
        f"WHERE {slices_where(table, source, slices)}) p "
        "ANTI JOIN {replaced} r ON p.session_id = r.session_id"
    )


def in_dumps(hours: Sequence[datetime]) -> str:
    """Return the predicate of events of some dumps: literals of partition and slice columns."""
    if not hours:
        return "false"
    days = sorted({hour.astimezone(UTC).date() for hour in hours})
    return (
        f"dump_date in ({', '.join(literal(day) for day in days)}) "
        f"and dump_hour in ({', '.join(literal(hour) for hour in hours)})"
    )


def hours_staged(work: Work, hour: str, *kept: Staged) -> set[datetime]:
    """Return the different hours that an expression gives in staged rows."""
    found: set[datetime] = set()
    for each in kept:
        rows = work.lake.look(
            f"SELECT DISTINCT epoch_us(h) // 1000000 AS s FROM (SELECT {hour} AS h FROM {{rows}}) t",
            rows=each.place,
        )
        found |= {datetime.fromtimestamp(row["s"], UTC) for row in rows}
    return found
