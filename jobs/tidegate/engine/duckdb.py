"""The DuckDB engine: rows are computed in this process. No JVM, no server, no port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.lake.reader import LakeReader, Place, typed

if TYPE_CHECKING:
    from tidegate.lake.delta import DeltaTables
    from tidegate.lake.model import Compacted
    from tidegate.lake.slices import Slices
    from tidegate.lake.staging_store import StagingStore
    from tidegate.landing.kernel import Rules
    from tidegate.landing.staging import DumpResult, DumpTask, Opener
    from tidegate.tables import Table

_THREADS = 2
"""Files that are landed at once."""
_BATCH_ROWS = 65_536
"""Rows that a query gives at a time: the next are computed while these are written."""


class DuckDBEngine:
    """Computes rows of one lake by DuckDB, and commits them by delta-rs.

    Args:
        reader: queries of the lake.
        tables: its tables.
        store: the files of the lake.
    """

    name = "duckdb"

    def __init__(self, reader: LakeReader, tables: DeltaTables, store: StagingStore) -> None:
        self._reader = reader
        self._tables = tables
        self._store = store

    def write(
        self, query: str, places: Mapping[str, Place], columns: Mapping[str, str], folder: str
    ) -> None:
        """See `Engine.write`."""
        self._reader.write(query, places, columns, folder)

    def replace(
        self,
        table: Table,
        query: str,
        places: Mapping[str, Place],
        columns: Mapping[str, str],
        slices: Slices,
        record: Mapping[str, Any],
        app: str,
        number: int,
    ) -> None:
        """See `Engine.replace`."""
        text = typed(self._reader.resolve(query, places), columns)
        with self._reader.cursor() as own:
            rows = own.execute(text).to_arrow_reader(_BATCH_ROWS)
            self._tables.replace(table, rows, slices, record=dict(record), app=app, number=number)

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """See `Engine.add_columns`."""
        self._tables.add_columns(table, wanted)

    def compact(self, table: Table, partitions: Mapping[str, Sequence[str]]) -> Compacted | None:
        """See `Engine.compact`."""
        return self._tables.compact(table, partitions)

    def land(
        self, tasks: Sequence[DumpTask], rules: Rules, files: Opener, folder: str
    ) -> list[DumpResult]:
        """See `Engine.land`."""
        from tidegate.landing.staging import land_dumps

        return land_dumps(tasks, rules, files, self._store.target(folder), threads=_THREADS)
