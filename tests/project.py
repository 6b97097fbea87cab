"""A small project of a test's own: sources, dumps in a folder, suites, and a local lake."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from compare import Row, exact_rows
from tidegate.config.settings import Settings
from tidegate.config.source import Source, parse_source
from tidegate.lake.table_refs import At
from tidegate.tables import WAREHOUSE, Table

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

    from tidegate.lake import Lake, Rows
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.run import Ran

REPO = Path(__file__).resolve().parents[1]
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""The first dump hour of most tests."""
HOUR = timedelta(hours=1)


def of_the_repository(home: Path) -> dict[str, str]:
    """Return the environment of a command that is to work on the repository, with a state folder of its own."""
    return {
        **os.environ,
        "TIDEGATE_PROJECT": str(REPO),
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_JARS": os.environ.get("TIDEGATE_JARS", str(REPO / ".tidegate" / "jars")),
    }


_SMALL = """table: {table}
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    of: facts
    args: {{column: unaccounted, min_value: 0, max_value: 0}}
    severity: critical
    why: Nothing is lost on the way.
"""

LIMITED = """table: events
owner: tests
expectations:
  - type: expect_column_values_to_be_between
    args: {column: n, max_value: 9}
    severity: critical
    why: A test makes it fail.
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: rows, min_value: 2}
    severity: SEVERITY
    why: Fewer rows look wrong.
"""
"""A suite of events that holds an hour with an `n` above 9; what few rows come to, tests say."""

LINES: Mapping[str, Any] = {
    "source": "web",
    "since": "2024-01-01T00",
    "fields": {
        "event_id": "id",
        "event_time": "at",
        "event_type": "type",
        "user_id": "user",
        "anonymous_id": "anon",
    },
    "columns": {"n": {"path": "n", "type": "int"}},
}
"""What most tests' source file says."""


class Project:
    """A project in a folder.

    Args:
        root: its folder, with an empty lake in `lake`.
        suites: `small` for suites of one critical rule, `real` for the repo's own.
        spark: a session of a Spark server, where that is its engine; DuckDB is, without.
        url: the server's address.
    """

    def __init__(
        self,
        root: Path,
        suites: str = "small",
        spark: SparkSession | None = None,
        url: str | None = None,
    ) -> None:
        self._place(root, spark, url)
        for folder in (self.dumps, self.settings.sources):
            folder.mkdir(parents=True)
        if suites == "real":
            shutil.copytree(REPO / "expectations", self.settings.expectations)
        else:
            self.settings.expectations.mkdir()
            for table in WAREHOUSE:
                self.suite(table.name, _SMALL.format(table=table.name))

    @classmethod
    def copied(cls, other: Project, root: Path) -> Project:
        """Return a copy of a project in a folder that is not there yet: dumps, suites, lake."""
        shutil.copytree(other.root, root)
        made = cls.__new__(cls)
        made._place(root, other.spark, other.settings.spark)
        return made

    def on(self, spark: SparkSession | None, url: str | None) -> Project:
        """Return the same project, in the same folder, on another engine: DuckDB without a session."""
        same = Project.__new__(Project)
        same._place(self.root, spark, url)
        return same

    def _place(self, root: Path, spark: SparkSession | None, url: str | None) -> None:
        self.root = root
        self.spark = spark
        self.settings = Settings(
            root,
            root / "home",
            str(root / "lake"),
            spark=url,
            engine="duckdb" if spark is None else "spark",
        )
        self.dumps = root / "dumps"

    def suite(self, table: str, text: str) -> None:
        """Write the suite of a table."""
        (self.settings.expectations / f"{table}.yml").write_text(text, encoding="utf-8")

    def source(self, inner: str = "{dump_hour:%Y-%m-%d-%H}*.json*", **keys: Any) -> Source:
        """Return a source whose dumps lie below `dumps`; keys replace those of `LINES`."""
        data = {**LINES, "dumps": f"{self.dumps}/{inner}", **keys}
        return parse_source(data, self.settings.sources / f"{data['source']}.yml")

    def put(self, name: str, body: bytes | str | Iterable[Row | str | bytes]) -> Path:
        """Write a file of a dump: its bytes, or its lines; gzip if its name ends in `.gz`."""
        path = self.dumps / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes):
            body = b"".join(_line(line) + b"\n" for line in body)
        # No time stamp in the gzip header: equal lines are to be equal files.
        path.write_bytes(gzip.compress(body, mtime=0) if name.endswith(".gz") else body)
        return path

    def put_hour(self, hour: datetime, lines: Iterable[Row | str | bytes], name: str = "") -> Path:
        """Write the file of an hour, as the template of `source` names it."""
        return self.put(f"{hour:%Y-%m-%d-%H}{name}.json.gz", lines)

    def lake(self) -> Lake:
        """Return its lake, with connections of its own."""
        from tidegate.engine.start import lake_on

        scratch = self.root / "scratch"
        scratch.mkdir(exist_ok=True)
        return lake_on(self.settings.lake, scratch=scratch, spark=self.spark)

    def work(self) -> Work:
        """Return what steps work with, with a ledger that has read nothing yet."""
        from tidegate.pipeline.context.run_context import Work

        return Work(self.settings, self.lake(), "test")

    def run(self, source: Source, hours: Sequence[datetime]) -> Ran:
        """Run all steps for some hours."""
        from tidegate.pipeline.run import run

        return run(self.work(), source, hours)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that is to work on this project."""
        return {
            **os.environ,
            "TIDEGATE_PROJECT": str(self.root),
            "TIDEGATE_HOME": str(self.settings.home),
            "TIDEGATE_LAKE": self.settings.lake,
            "TIDEGATE_SPARK": self.settings.spark or "",
            "TIDEGATE_ENGINE": self.settings.engine,
        }

    def tidegate(self, *arguments: str, status: int = 0) -> str:
        """Run a command on this project; return what it printed, to standard error if it was not done."""
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def table(self, table: Table) -> list[Row]:
        """Return the rows of a table of the lake."""
        return exact_rows(rows_of(self.lake(), "SELECT * FROM {table}", table=At(table)))

    def delta(self, table: Table) -> DeltaTable:
        """Return a table as a program sees it that knows nothing of the project."""
        from deltalake import DeltaTable

        return DeltaTable(f"{self.settings.lake}/{table.path}")

    def versions(self) -> dict[str, int]:
        """Return the version of every warehouse table."""
        lake = self.lake()
        return {table.name: lake.version(table) for table in WAREHOUSE}


def rows_of(lake: Lake, query: str, **of: Rows) -> pa.Table:
    """Return the rows of a query of what is staged or published."""
    with lake.reader.cursor() as own:
        return own.execute(lake.reader.resolve(query, lake.places(of))).to_arrow_table()


def event(number: int | str, at: datetime | str, user: str | None = "u1", **more: Any) -> Row:
    """Return a line of the source that `LINES` describes."""
    time = at if isinstance(at, str) else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"id": str(number), "at": time, "type": "view", "user": user, **more}


def _line(line: Row | str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()
