"""The Spark engine: rows are computed and committed by a Spark Connect server, and never pass through this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tidegate.engine.dialect import to_spark
from tidegate.lake.actions import encode
from tidegate.lake.model import Compacted
from tidegate.lake.reader import Place, fill_in
from tidegate.lake.schema import arrow_schema
from tidegate.lake.staging_store import StagingStore
from tidegate.lake.table_refs import At, Parts
from tidegate.storage.s3 import S3Access
from tidegate.tables.types import duckdb_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tidegate.lake.slices import Slices
    from tidegate.landing.kernel import Rules
    from tidegate.landing.staging import DumpResult, DumpTask, Opener
    from tidegate.tables import Table

_CONFLICTS = ("[DELTA_CONCURRENT_", "[DELTA_METADATA_CHANGED", "[DELTA_PROTOCOL_CHANGED")
"""What Delta says to the slower of two writes."""
_ADDED_MEANWHILE = (*_CONFLICTS, "[DELTA_DUPLICATE_COLUMNS_FOUND", "[FIELD_ALREADY_EXISTS]")
"""What Delta says to the slower of two that add a column."""
_ATTEMPTS = 20


class SparkEngine:
    """Computes rows of one lake on a Spark server, and commits them by delta-spark.

    Args:
        spark: a session of a server that writes the lake.
        root: URI or absolute path of the lake.
        s3: how S3 is reached.
    """

    name = "spark"

    def __init__(self, spark: SparkSession, root: str, s3: S3Access) -> None:
        self.session = spark
        self._root = root
        self._s3 = s3

    def write(
        self, query: str, places: Mapping[str, Place], columns: Mapping[str, str], folder: str
    ) -> None:
        """See `Engine.write`."""
        with self._rows(query, places, columns) as rows:
            rows.write.mode("overwrite").parquet(self._uri(folder))

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
        with self._rows(query, places, columns) as rows:
            if slices.column is not None and slices.values:
                rows = rows.repartition(max(1, min(len(slices.values), 64)), slices.column)
            writer = (
                rows.write.format("delta")
                .mode("overwrite")
                .option("replaceWhere", _predicate(slices))
                .option("userMetadata", json.dumps(record, default=encode))
                .option("txnAppId", app)
                .option("txnVersion", number)
            )
            self._unless_beaten(lambda: writer.save(f"{self._root}/{table.path}"), _CONFLICTS)

    def land(
        self, tasks: Sequence[DumpTask], rules: Rules, files: Opener, folder: str
    ) -> list[DumpResult]:
        """See `Engine.land`."""
        from tidegate.engine.spark_landing import land_on_spark

        store = StagingStore(self._root, self._s3)
        return land_on_spark(self.session, tasks, rules, files, store, folder)

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """See `Engine.add_columns`."""
        added = ", ".join(f"`{name}` {kind}" for name, kind in wanted.items())
        path = f"delta.`{self._root}/{table.path}`"
        for _ in range(_ATTEMPTS):
            if self._unless_beaten(
                lambda: self.session.sql(f"ALTER TABLE {path} ADD COLUMNS ({added})"),
                _ADDED_MEANWHILE,
            ):
                return

    def compact(self, table: Table, partitions: Mapping[str, Sequence[str]]) -> Compacted | None:
        """See `Engine.compact`."""
        where = " AND ".join(
            f"{name} IN ({', '.join(map(_literal, values))})" for name, values in partitions.items()
        )
        found: list[Any] = []

        def optimize() -> None:
            path = f"delta.`{self._root}/{table.path}`"
            rows = self.session.sql(f"OPTIMIZE {path} WHERE {where or 'true'}")
            found.extend(rows.select("metrics.*").collect())

        if not self._unless_beaten(optimize, _CONFLICTS):
            return None
        [metrics] = found
        return Compacted(
            metrics["numFilesRemoved"],
            metrics["numFilesAdded"],
            metrics["filesRemoved"]["totalSize"] or 0,
            metrics["filesAdded"]["totalSize"] or 0,
        )

    @staticmethod
    def _unless_beaten(save: Callable[[], object], conflicts: Sequence[str]) -> bool:
        """Run a write; return whether no other one was first, which is no error here."""
        from pyspark.errors import PySparkException

        try:
            save()
        except PySparkException as error:
            if not any(word in str(error) for word in conflicts):
                raise
            return False
        return True

    # -- rows -----------------------------------------------------------------------------------

    @contextmanager
    def _rows(
        self, query: str, places: Mapping[str, Place], columns: Mapping[str, str]
    ) -> Iterator[DataFrame]:
        """Yield the rows of a query. Its places are views of the session for the length of the block."""
        views = {name: f"{name}_{uuid4().hex}" for name in places}
        try:
            for name, place in places.items():
                self._frame(place).createTempView(views[name])
            casts = ", ".join(
                f'CAST("{name}" AS {duckdb_type(kind)}) AS "{name}"'
                for name, kind in columns.items()
            )
            text = f"SELECT {casts} FROM ({fill_in(query, views)}) typed"
            yield self.session.sql(to_spark(text))
        finally:
            for view in views.values():
                self.session.catalog.dropTempView(view)

    def _frame(self, place: Place) -> DataFrame:
        if isinstance(place, At):
            return self._table(place)
        reader = self.session.read
        if isinstance(place, Parts):
            if not place.places:
                return self._no_rows(place.columns)
            schema = ", ".join(f"`{name}` {kind}" for name, kind in place.columns.items())
            reader = reader.schema(schema)
            return reader.option("basePath", self._uri(place.base)).parquet(
                *map(self._uri, place.places)
            )
        return reader.parquet(*map(self._uri, place))

    def _no_rows(self, columns: Mapping[str, str]) -> DataFrame:
        """Return no rows of some columns: name -> type. A schema given as text would ask the server to read it."""
        from pyspark.sql.pandas.types import from_arrow_schema

        return self.session.createDataFrame([], from_arrow_schema(arrow_schema(columns)))

    def _table(self, at: At) -> DataFrame:
        reader = self.session.read.format("delta")
        if at.version is not None:
            reader = reader.option("versionAsOf", at.version)
        rows = reader.load(f"{self._root}/{at.table.path}")
        if at.version is not None:  # columns that the table did not have at that version are NULL
            rows = rows.unionByName(self._no_rows(at.table.types), allowMissingColumns=True)
        within = at.within
        if within is None:
            return rows
        # A predicate over the times that are wanted lets Delta skip files by their statistics.
        reach = [
            f"({within.ends} >= {_literal(lo)} AND {within.starts} <= {_literal(hi)})"
            for lo, hi in within.stretches
        ]
        return rows.where(" OR ".join(reach) or "false")

    def _uri(self, place: str) -> str:
        if "://" in place:
            return place
        return f"file://{place}" if place.startswith("/") else f"{self._root}/{place}"


def _predicate(slices: Slices) -> str:
    """Return slices as Delta's `replaceWhere` takes them: literals over partition and slice columns."""
    parts = [] if slices.source is None else [f"source = {_literal(slices.source)}"]
    if slices.column is not None:
        values = sorted(slices.values)
        if slices.date_column is not None:
            days = sorted({value.date() for value in values if isinstance(value, datetime)})
            parts.append(f"{slices.date_column} IN ({', '.join(map(_literal, days))})")
        parts.append(f"{slices.column} IN ({', '.join(map(_literal, values))})")
        if not values:
            parts = ["false"]
    return " AND ".join(parts) or "true"


def _literal(value: object) -> str:
    """Return a value as a literal of Spark SQL."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).isoformat(' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
