"""Queries of tables on rows that a test gives, on either engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from compare import Row, exact_rows
from project import rows_of
from tidegate.engine.start import lake_on
from tidegate.lake import Rows, Staged
from tidegate.lake.schema import arrow_schema, rows_to_arrow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Workbench:
    """A lake without tables, on whose engine queries run.

    Args:
        root: an empty folder.
        spark: a session, where Spark is the engine.
    """

    def __init__(self, root: Path, spark: SparkSession | None = None) -> None:
        (root / "lake").mkdir()
        (root / "scratch").mkdir()
        self.lake = lake_on(str(root / "lake"), scratch=root / "scratch", spark=spark)
        self._root = root
        self._numbers = count()

    def stage(self, rows: Iterable[Row], columns: Mapping[str, str], files: int = 1) -> Staged:
        """Write rows as Parquet, in so many files."""
        place = self._place()
        Path(place).mkdir(parents=True)
        table = rows_to_arrow(list(rows), arrow_schema(columns), place)
        size = -(-max(table.num_rows, 1) // files)
        for number in range(files):
            part = table.slice(number * size, size)
            if part.num_rows or not number:
                pq.write_table(part, f"{place}/{number}.parquet")
        return Staged(place, columns)

    def build(self, query: str, columns: Mapping[str, str], **of: Rows) -> Staged:
        """Have the engine write the rows of a query."""
        return self.lake.build(query, self._place(), columns, **of)

    def rows(self, staged: Staged) -> list[Row]:
        """Return staged rows, exactly."""
        return exact_rows(rows_of(self.lake, "SELECT * FROM {rows}", rows=staged))

    def run(self, query: str, columns: Mapping[str, str], **of: Rows) -> list[Row]:
        """Return the rows of a query, exactly, as the engine computes them."""
        return self.rows(self.build(query, columns, **of))

    def value(self, query: str, **of: Rows) -> Any:
        """Return the only value of a small query."""
        [row] = self.lake.look(f"SELECT ({query}) AS v", **of)
        return row["v"]

    def _place(self) -> str:
        return f"{self._root}/scratch/{next(self._numbers)}"
