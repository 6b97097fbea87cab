"""What a query reads: of a published table a version and the times that are asked for; of staging, folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tidegate.tables.model import Table


@dataclass(frozen=True)
class Within:
    """Times that are asked for: files without rows of these need not be read; whoever asks leaves out the rest.

    Attributes:
        starts: the column of when a row begins, one whose minima and maxima Delta keeps.
        ends: likewise, of when it ends.
        stretches: from when to when, both included; in order.
    """

    starts: str
    ends: str
    stretches: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class At:
    """A table as it is, or as it was at a version.

    Attributes:
        table: the table.
        version: which; None for the latest.
        within: what of it is asked for; None for all.
        source: whose rows are asked for; None for those of all. As with times, others may be there too.
    """

    table: Table
    version: int | None = None
    within: Within | None = None
    source: str | None = None


@dataclass(frozen=True)
class Parts:
    """Rows that were staged apart.

    Attributes:
        places: their folders or files, with the columns that they are partitioned by in the folders' names; none for
            no row.
        base: the folder below which these begin.
        columns: of the rows, with their types as tables name them.
    """

    places: tuple[str, ...]
    base: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Query:
    """Rows that a query gives.

    Attributes:
        columns: of the rows, with their types as tables name them.
        source: what follows `FROM`, DuckDB SQL; has them under the name `e`.
        of: by name, what `{name}` in it stands for.
    """

    columns: Mapping[str, str]
    source: str
    of: Mapping[str, At | Parts | str]

    def select(self, *columns: str) -> str:
        """Return the query of some columns; of all of them without."""
        return f"SELECT {', '.join(f'e.{name}' for name in columns or self.columns)} FROM {self.source}"


def slices(table: Table, times: Iterable[datetime]) -> Within:
    """Return what asks for some slices of a table whose slices are hours."""
    return Within(
        table.slice_time, table.slice_time, tuple((time, time) for time in sorted(set(times)))
    )
