"""The lake: the only place that reads or writes Delta through Spark.

`<lake>/staging` holds candidates, `<lake>/warehouse` what is published, `<lake>/ops` the books.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tidegate.at import At, Parts, Query
from tidegate.errors import TidegateError, TryAgainError
from tidegate.settings import S3Access
from tidegate.tables import BY_NAME, OPS, WAREHOUSE, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tidegate.query import Books, Place

Row = dict[str, Any]

TABLE_PROPERTIES = {
    # Analysts' other engines must be able to read what is published.
    "delta.enableDeletionVectors": "false",
    # A checkpoint costs a pass over all files; hourly tables commit often.
    "delta.checkpointInterval": "50",
    # Delta goes by the age of commits only. Which ones a release or the ledger still needs, the project
    # knows: `steps.maintain` cleans up.
    "delta.enableExpiredLogCleanup": "false",
}
_BOOK_PROPERTIES = {
    # Every run adds a few rows: the append that makes it fifty small files folds them into one, so that
    # what it costs to look a thing up does not grow with the number of runs.
    "delta.autoOptimize.autoCompact": "true",
}

_ATTEMPTS = 20
_AT_ONCE = 3
_CONFLICTS = ("[DELTA_CONCURRENT_", "[DELTA_METADATA_CHANGED", "[DELTA_PROTOCOL_CHANGED")
"""What Delta says to the slower of two writes."""
_CREATED_MEANWHILE = (
    *_CONFLICTS,
    "TABLE_OR_VIEW_ALREADY_EXISTS",
    "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
)
"""What Delta says to the slower of two that create a table."""
_ADDED_MEANWHILE = (*_CONFLICTS, "[DELTA_DUPLICATE_COLUMNS_FOUND", "[FIELD_ALREADY_EXISTS]")
"""What Delta says to the slower of two that add a column."""


@dataclass(frozen=True)
class Staged:
    """Rows that were written down under staging, so that they are computed once.

    Attributes:
        rows: the rows.
        place: where they are.
    """

    rows: DataFrame
    place: str


Rows = str | Staged | Sequence[str] | At | Parts
"""What a query reads: the place, or places, where rows were staged or kept, the folder of a partition for one;
rows that were staged apart; or a table at a version."""


@dataclass(frozen=True)
class Compacted:
    """What putting files together came to: how many there were and are, and their bytes."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


class Lake:
    """A lake, reached through one Spark session.

    Args:
        spark: a session of the one server that writes this lake.
        root: URI or absolute path of the lake.
        s3: how S3 is reached, for a quick look at the books.
        scratch: a folder of this session's own on the server's disk, if that is this machine's.
    """

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        s3: S3Access | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.spark = spark
        self.root = root.rstrip("/")
        self._s3 = s3 or S3Access()
        self._scratch = scratch
        self._books: Books | None = None

    # -- places ---------------------------------------------------------------------------------

    def path(self, table: Table) -> str:
        """Return where a table lies."""
        return f"{self.root}/{table.area}/{table.name}"

    def staging(self, *parts: str) -> str:
        """Return a place under staging."""
        return "/".join((self.root, "staging", *parts))

    # -- tables ---------------------------------------------------------------------------------

    def create_tables(self) -> None:
        """Create what tables are missing, once, so that first writes can't collide.

        Several runs may do so at once: that another one was faster is as good. Books that an older
        version made get the columns that they lack, and its tables keep their logs.
        """
        older = self._is_there(OPS[0])
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            list(pool.map(self._create, (*WAREHOUSE, *OPS[:-1])))
            if older:
                wanted = [{column.name: column.type for column in book.columns} for book in OPS]
                list(pool.map(self.add_columns, OPS[:-1], wanted[:-1]))
                list(pool.map(self._keep_log, (*WAREHOUSE, *OPS[:-1])))
        self._create(OPS[-1])

    def _create(self, table: Table) -> None:
        from pyspark.errors import PySparkException

        for attempt in range(_ATTEMPTS):
            try:
                self.spark.sql(self._creation(table))
            except PySparkException as error:
                if not any(word in str(error) for word in _CREATED_MEANWHILE):
                    raise
                # The one that is faster may not have committed yet; it may also have been killed.
                time.sleep(0.1 * attempt)
            else:
                return
        raise TidegateError(
            "the table can't be created",
            where=self.path(table),
            expected="an empty place, or a Delta table",
            got="files, and no Delta log",
            todo="look at what lies there; a lake needs a prefix of its own",
        )

    def _creation(self, table: Table) -> str:
        properties = {
            **TABLE_PROPERTIES,
            **(_BOOK_PROPERTIES if table in OPS else {}),
            "delta.dataSkippingStatsColumns": ",".join(table.statistics),
        }
        options = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
        columns = ", ".join(
            f"`{c.name}` {c.type} COMMENT {literal(c.meaning)}" for c in table.columns
        )
        layout = (
            f"PARTITIONED BY ({', '.join(f'`{c}`' for c in table.partition)}) "
            if table.partition
            else ""
        )
        return (
            f"CREATE TABLE IF NOT EXISTS delta.`{self.path(table)}` ({columns}) USING delta "
            f"{layout}COMMENT {literal('One row is ' + table.meaning + '.')} "
            f"TBLPROPERTIES ({options})"
        )

    def _keep_log(self, table: Table) -> None:
        """Have Delta leave a table's log alone, if it was made before that was so."""
        name = "delta.enableExpiredLogCleanup"
        value = TABLE_PROPERTIES[name]

        def keep(path: str) -> None:
            [row] = self.spark.sql(f"SHOW TBLPROPERTIES delta.`{path}` ('{name}')").collect()
            if row["value"] != value:
                self.spark.sql(
                    f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{name}' = '{value}')"
                )

        _until_done(keep, self.path(table), _ADDED_MEANWHILE)

    def exists(self) -> bool:
        """Return whether all tables are there."""
        return self._is_there(OPS[-1])  # the last one to be made

    def _is_there(self, table: Table) -> bool:
        try:
            return bool(self.history(table, 1))
        except TryAgainError:
            raise
        except TidegateError:
            # Not even the folder is there, or the bucket can't be read: Spark will tell.
            return False

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Return a table, as it is or as it was at a version."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def columns(self, table: Table) -> dict[str, str]:
        """Return the columns that a table has now: name → Spark type."""
        return dict(self.read(table).dtypes)

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """Add columns that a table lacks; others may add the same ones at the same time.

        Args:
            table: where.
            wanted: name → Spark type.

        Raises:
            TidegateError: the table has such a column with another type.
        """

        def add(path: str) -> None:
            missing = self.missing_columns(table, wanted)
            if missing:
                added = ", ".join(f"`{name}` {kind}" for name, kind in missing.items())
                self.spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({added})")

        _until_done(add, self.path(table), _ADDED_MEANWHILE)

    def missing_columns(self, table: Table, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return which of the columns a table lacks.

        Raises:
            TidegateError: the table has such a column with another type.
        """
        present = self.columns(table)
        for name, kind in wanted.items():
            if name in present and present[name] != kind:
                raise TidegateError(
                    f"column {name} of {table.name} has another type",
                    where=self.path(table),
                    expected=f"{present[name]}, as in the table",
                    got=f"{kind}, as the source file says",
                    todo="give the column another name in the source file, or the table's type",
                )
        return {name: kind for name, kind in wanted.items() if name not in present}

    def book(
        self,
        table: Table,
        where: str = "true",
        select: Sequence[str] = ("*",),
        version: int | None = None,
    ) -> list[Row]:
        """Return rows of a small table, quickly.

        Args:
            table: which.
            where: predicate, in words that Spark and DuckDB both know.
            select: columns, or aggregates over all rows, likewise.
            version: of the table; None for the latest.

        Returns:
            Times are ISO 8601 text (see `parse_time`).
        """
        if self._by_duckdb:
            return self.books.rows(f"{table.area}/{table.name}", where, select, version)
        return self.rows(self.read(table, version).where(where).selectExpr(*select))

    def history(self, table: Table, limit: int) -> list[tuple[int, str | None]]:
        """Return (version, user metadata) of a table's last commits, newest first."""
        if self._by_duckdb:
            return self.books.commits(f"{table.area}/{table.name}", limit)
        rows = (
            self.spark.sql(f"DESCRIBE HISTORY delta.`{self.path(table)}` LIMIT {limit}")
            .select("version", "userMetadata")
            .collect()
        )
        return [(row["version"], row["userMetadata"]) for row in rows]

    @property
    def books(self) -> Books:
        """The quick look at this lake."""
        if self._books is None:
            from tidegate.query import Books

            self._books = Books(self.root, self._s3, self._scratch)
        return self._books

    @property
    def _by_duckdb(self) -> bool:
        """Whether DuckDB can read this lake: on S3 or in a local folder. Others are read by Spark."""
        return self.root.startswith("s3a://") or "://" not in self.root

    def version(self, table: Table) -> int:
        """Return the latest version of a table."""
        return self.history(table, 1)[0][0]

    # -- rows -----------------------------------------------------------------------------------

    def frame(self, rows: Iterable[Row], ddl: str) -> DataFrame:
        """Return a DataFrame of Python rows. They travel as JSON, so that no local time zone meets them.

        Args:
            rows: values by column; aware datetimes, dates, numbers, strings, lists, dicts.
            ddl: `name type, …`.
        """
        texts = [(json.dumps(row, default=_encode),) for row in rows]
        raw = self.spark.createDataFrame(texts, "value string")
        from pyspark.sql import functions as F

        return raw.select(F.from_json("value", ddl, {"mode": "FAILFAST"}).alias("r")).select("r.*")

    def rows(self, frame: DataFrame) -> list[Row]:
        """Return a small DataFrame as Python rows.

        Timestamps come as ISO 8601 text ending in `Z`; `parse_time` makes datetimes of them.
        """
        from pyspark.sql import functions as F

        packed = frame.select(
            F.to_json(F.struct("*"), {"ignoreNullFields": "false"}).alias("value")
        )
        return [json.loads(row["value"]) for row in packed.collect()]

    # -- writes ---------------------------------------------------------------------------------

    def append(self, table: Table, rows: Sequence[Row] | DataFrame) -> None:
        """Append rows to one of the books in one commit."""
        if isinstance(rows, Sequence):
            if not rows:
                return
            rows = self.frame(rows, table.ddl)
        rows.coalesce(1).write.format("delta").mode("append").save(self.path(table))

    def append_next(self, table: Table, rows: Sequence[Row], app: str, number: int) -> None:
        """Append rows unless somebody has appended under `app` with this number or a higher one.

        Delta ignores a transaction whose number is not above the last one of its application, and
        makes one of two concurrent ones fail: together that is a compare-and-swap.
        """
        frame = self.frame(rows, table.ddl).coalesce(1)
        _unless_beaten(
            frame.write.format("delta")
            .mode("append")
            .option("txnAppId", app)
            .option("txnVersion", number)
            .save,
            self.path(table),
        )

    def replace(
        self,
        table: Table,
        frame: DataFrame,
        where: str,
        *,
        record: Row | None = None,
        app: str | None = None,
        number: int | None = None,
    ) -> None:
        """Replace exactly the rows that match `where` by `frame`, in one commit.

        Args:
            table: where.
            frame: the table's columns; rows outside `where` are refused by Delta.
            where: predicate of literals over partition and slice columns.
            record: goes into the commit as its user metadata.
            app: with `number`, a compare-and-swap as in `append_next`. It also makes the commit of
                nothing over nothing exist, which needs a place for its record.
            number: see `app`.
        """
        writer = frame.write.format("delta").mode("overwrite").option("replaceWhere", where)
        if record is not None:
            writer = writer.option("userMetadata", json.dumps(record, default=_encode))
        if app is not None and number is not None:
            writer = writer.option("txnAppId", app).option("txnVersion", number)
            _unless_beaten(writer.save, self.path(table))
        else:
            _until_done(writer.save, self.path(table))

    # -- files ----------------------------------------------------------------------------------

    def files(self, table: Table, version: int | None = None) -> list[str]:
        """Return the data files of a table, as it is or as it was at a version, below its folder."""
        # Their names are text in the URIs that Spark gives, whatever the lake's own address looks like.
        depth = 1 + len(table.partition)
        found = self.read(table, version).inputFiles()
        return ["/".join(uri.rsplit("/", depth)[1:]) for uri in found]

    def compact(self, table: Table, where: str) -> Compacted | None:
        """Put the small files of some partitions together; rows and record stay as they are.

        Args:
            table: whose.
            where: predicate of literals over partition columns; `true` for all of them.

        Returns:
            What it came to; None where another write was faster, to which this one leaves the table.
        """
        found: list[Any] = []

        def optimize(path: str) -> None:
            rows = self.spark.sql(f"OPTIMIZE delta.`{path}` WHERE {where}")
            found.extend(rows.select("metrics.*").collect())

        if not _unless_beaten(optimize, self.path(table)):
            return None
        [metrics] = found
        return Compacted(
            metrics["numFilesRemoved"],
            metrics["numFilesAdded"],
            metrics["filesRemoved"]["totalSize"] or 0,
            metrics["filesAdded"]["totalSize"] or 0,
        )

    def stage(self, frame: DataFrame, path: str, partition: Sequence[str] = ()) -> None:
        """Write a DataFrame as Parquet under staging. What a kill leaves there, nothing refers to."""
        writer = frame.write.mode("overwrite")
        if partition:
            writer = writer.partitionBy(*partition)
        writer.parquet(path)

    def keep(self, frame: DataFrame, place: str, schema: str, *, lasting: bool = False) -> Staged:
        """Write rows down, to be asked for often.

        Args:
            frame: the rows.
            place: under staging; the same below this session's scratch folder takes its place where there is
                one: a small write to S3 is some fifty requests.
            schema: of the rows, as DDL.
            lasting: whether they are to stay under staging after the session.
        """
        if self._scratch is not None and not lasting:
            place = self._own(place)
        self.stage(frame, place)
        return Staged(self.staged(place, schema=schema), place)

    def select(self, query: str, place: str, schema: str, **of: Rows) -> Staged:
        """Write down the rows of a query, to be asked for often: quickly, where there are few.

        Args:
            query: as for `look`.
            place: as for `keep`.
            schema: of the rows, as DDL.
            of: as for `look`.
        """
        if self._scratch is None or not self._by_duckdb:
            return self.keep(self.spark.sql(query, **self._frames(of)), place, schema)
        place = self._own(place)
        self.books.write(query, self._places(of), Path(place))
        return Staged(self.staged(place, schema=schema), place)

    def look(self, query: str, **of: Rows) -> list[Row]:
        """Return the rows of a query of what is staged or published, quickly.

        Args:
            query: in words that Spark and DuckDB both know, `explode`, `unix_micros` and `unix_seconds` among
                them; `{name}` stands for the rows of a place.
            of: by name.

        Returns:
            Times are ISO 8601 text (see `parse_time`).
        """
        if self._by_duckdb and all(map(self._is_for_duckdb, of.values())):
            return self.books.look(query, self._places(of))
        return self.rows(self.spark.sql(query, **self._frames(of)))

    def of(self, query: Query) -> DataFrame:
        """Return the rows of a query, to publish them or to ask more of them."""
        return self.spark.sql(query.select(), **self._frames(query.of))

    def query(self, text: str, until: ExitStack, **of: DataFrame) -> DataFrame:
        """Return the rows of a query, in words of `look`, of DataFrames by name.

        As views of the session: inside one message their plans would soon be deeper than it may be.

        Args:
            text: the query.
            until: takes the views away at its end; by then the rows must have been asked for.
            of: by name.
        """
        views = {name: f"{name}_{uuid4().hex}" for name in of}
        for name, frame in of.items():
            frame.createTempView(views[name])
            until.callback(self.spark.catalog.dropTempView, views[name])
        return self.spark.sql(text.format(**views))

    def _is_for_duckdb(self, rows: Rows) -> bool:
        """Return whether DuckDB may read these.

        Whole dumps it reads with a disk for what is too much, and where there is a file: without one only Spark
        knows the columns.
        """
        return not isinstance(rows, Parts) or (self._scratch is not None and bool(rows.places))

    def _places(self, of: Mapping[str, Rows]) -> dict[str, Place]:
        """Return what DuckDB reads."""
        return {name: self._place(each) for name, each in of.items()}

    def _place(self, rows: Rows) -> Place:
        if isinstance(rows, At):
            return rows
        if isinstance(rows, Parts):
            return replace(rows, places=tuple(self._below(rows.places)))
        return self._below(_folders(rows))

    def _below(self, places: Iterable[str]) -> list[str]:
        return [place.removeprefix(f"{self.root}/") for place in places]

    def _frames(self, of: Mapping[str, Rows]) -> dict[str, Any]:
        """Return what Spark reads."""
        return {name: self._frame(each) for name, each in of.items()}

    def _frame(self, rows: Rows) -> DataFrame:
        if isinstance(rows, At):
            return self.read(rows.table, rows.version)
        if isinstance(rows, Parts):
            if not rows.places:
                return self.frame([], rows.schema)
            return self.staged(*rows.places, base=rows.base, schema=rows.schema)
        return self.staged(*_folders(rows))

    def _own(self, place: str) -> str:
        """Return the place in this session's scratch folder, which there is, that takes one's place."""
        return f"{self._scratch}/{place.removeprefix(f'{self.root}/')}"

    def staged(self, *paths: str, base: str | None = None, schema: str | None = None) -> DataFrame:
        """Read Parquet from staging."""
        reader = self.spark.read
        if base is not None:
            reader = reader.option("basePath", base)
        if schema is not None:
            reader = reader.schema(schema)
        return reader.parquet(*paths)


def _folders(staged: str | Staged | Sequence[str]) -> Sequence[str]:
    if isinstance(staged, Staged):
        return [staged.place]
    return [staged] if isinstance(staged, str) else staged


def _unless_beaten(
    save: Callable[[str], None], path: str, conflicts: Sequence[str] = _CONFLICTS
) -> bool:
    """Run a write; return whether no other one was faster, which is no error here."""
    from pyspark.errors import PySparkException

    try:
        save(path)
    except PySparkException as error:
        if not any(word in str(error) for word in conflicts):
            raise
        return False
    return True


def _until_done(
    save: Callable[[str], None], path: str, conflicts: Sequence[str] = _CONFLICTS
) -> None:
    """Run a write that gives the same result whenever it runs, again while others are faster."""
    for _ in range(_ATTEMPTS):
        if _unless_beaten(save, path, conflicts):
            return
    raise TryAgainError(
        "other writes to this table were faster, again and again",
        where=path,
        expected=f"to be written within {_ATTEMPTS} tries",
        todo="run the step again when fewer run at once",
    )


def literal(value: str | datetime | date) -> str:
    """Return a value as a Spark SQL literal; datetimes must be aware."""
    if isinstance(value, datetime):
        return f"TIMESTAMP'{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z'"
    if isinstance(value, date):
        return f"DATE'{value:%Y-%m-%d}'"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def slices_where(table: Table, source: str, slices: Sequence[datetime]) -> str:
    """Return the predicate of a source's slices: literals over partition and slice columns."""
    ordered = sorted(set(slices))
    parts = [f"source = {literal(source)}"]
    dates = [column for column in table.partition if column != "source"]
    if dates:
        days = ", ".join(
            literal(day) for day in sorted({s.astimezone(UTC).date() for s in ordered})
        )
        parts.append(f"{dates[0]} IN ({days})")
    if table.slice_time == "date":
        values = ", ".join(literal(s.astimezone(UTC).date()) for s in ordered)
    else:
        values = ", ".join(literal(s) for s in ordered)
    parts.append(f"{table.slice_time} IN ({values})")
    return " AND ".join(parts)


def parse_time(text: str) -> datetime:
    """Return the aware datetime of a timestamp as `Lake.rows` gives it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def table_named(name: str) -> Table:
    """Return a table by its name.

    Raises:
        TidegateError: there is none of that name.
    """
    if name not in BY_NAME:
        raise TidegateError("no such table", expected=", ".join(sorted(BY_NAME)), got=name)
    return BY_NAME[name]
