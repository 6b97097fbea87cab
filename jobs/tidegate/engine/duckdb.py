"""The DuckDB engine: rows are computed in this process. No JVM, no server, no port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.lake.reader import LakeReader, Place, typed

if TYPE_CHECKING:
    from tidegate.lake.delta import DeltaTables
    from tidegate.lake.slices import Slices
    from tidegate.tables import Table


class DuckDBEngine:
    """Computes rows of one lake by DuckDB, and commits them by delta-rs.

    Args:
        reader: queries of the lake.
        tables: its tables.
    """

    name = "duckdb"

    def __init__(self, reader: LakeReader, tables: DeltaTables) -> None:
        self._reader = reader
        self._tables = tables

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
            rows = own.execute(text).to_arrow_reader()
            self._tables.replace(table, rows, slices, record=dict(record), app=app, number=number)
