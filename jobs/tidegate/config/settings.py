"""Settings: `TIDEGATE_*` variables or command-line options, options first.

Whoever runs beside a running embedded stack gets its lake, S3 endpoint and Spark server by default, so that
a lake in a local folder has one writing server.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tidegate.common.errors import TidegateError
from tidegate.storage.s3 import S3Access

EngineName = Literal["duckdb", "spark"]
ENGINES: tuple[EngineName, ...] = ("duckdb", "spark")
LEAST_KEPT = timedelta(days=2)
"""A release is promised at least so long: queries and steps that have begun are over by then."""
LEAST_QUIET = timedelta(hours=1)
LEAST_TIMEOUT = timedelta(seconds=1)


@dataclass(frozen=True)
class Settings:
    """What a command works on.

    Attributes:
        project: the folder that holds `dags/sources` and `expectations`.
        home: the state folder: embedded services, jars, logs.
        lake: URI or absolute path of the lake; tables lie in `<lake>/warehouse`, `/staging`, `/ops`.
        dumps: what replaces the part of a source's template before its first placeholder, if anything.
        spark: address of a Spark Connect server (`sc://…`), or None to start one where the engine is Spark.
        engine: what computes rows: `duckdb`, in the process, or `spark`, on a server.
        s3: how S3 is reached.
        keep_releases: how long a release can be read after it was made; the newest one always can.
        compact_after: how long nothing was published of a day before its files are put together.
    """

    project: Path
    home: Path
    lake: str
    dumps: str | None = None
    spark: str | None = None
    s3: S3Access = field(default_factory=S3Access)
    keep_releases: timedelta = timedelta(days=30)
    compact_after: timedelta = timedelta(days=3)
    engine: EngineName = "duckdb"

    @property
    def sources(self) -> Path:
        """The folder of the source files."""
        return self.project / "dags" / "sources"

    @property
    def metrics(self) -> Path:
        """The folder of the metric files."""
        return self.project / "dags" / "metrics"

    @property
    def expectations(self) -> Path:
        """The folder of the suites."""
        return self.project / "expectations"


@dataclass(frozen=True)
class SqlLimits:
    """What the SQL server gives to whom it serves.

    Attributes:
        rows: of one result at most.
        timeout: of one query.
        memory: its largest heap, as Java writes it.
        releases: how many of the newest are listed as schemas.
    """

    rows: int = 1_000_000
    timeout: timedelta = timedelta(minutes=10)
    memory: str = "2g"
    releases: int = 5


def load_sql_limits() -> SqlLimits:
    """Return what the environment says, else the defaults.

    Raises:
        TidegateError: `TIDEGATE_SQL_ROWS`, `_TIMEOUT`, `_MEMORY` or `_RELEASES` is none.
    """
    memory = os.environ.get("TIDEGATE_SQL_MEMORY") or SqlLimits.memory
    if not re.fullmatch(r"[1-9][0-9]*[mgMG]", memory):
        raise TidegateError(
            "TIDEGATE_SQL_MEMORY is no size of a heap",
            where="TIDEGATE_SQL_MEMORY",
            expected="a whole number of MiB or GiB as Java writes it, such as 2g",
            got=memory,
            todo="set one, or unset it",
        )
    return SqlLimits(
        rows=_number("TIDEGATE_SQL_ROWS", SqlLimits.rows),
        timeout=_duration("TIDEGATE_SQL_TIMEOUT", SqlLimits.timeout, LEAST_TIMEOUT),
        memory=memory,
        releases=_number("TIDEGATE_SQL_RELEASES", SqlLimits.releases),
    )


def find_project(start: Path | None = None) -> Path:
    """Return the project's folder.

    That is `TIDEGATE_PROJECT`, else the nearest folder above `start` (the working directory) with
    `dags/sources` and `expectations`, else the checkout that this package runs from.

    Raises:
        TidegateError: there is none.
    """
    named = os.environ.get("TIDEGATE_PROJECT")
    if named:
        return Path(named).resolve()
    here = (start or Path.cwd()).resolve()
    checkout = Path(__file__).resolve().parents[3]
    for folder in (here, *here.parents, checkout):
        if (folder / "dags" / "sources").is_dir() and (folder / "expectations").is_dir():
            return folder
    raise TidegateError(
        "no Tidegate project here",
        where=str(here),
        expected="a folder with dags/sources and expectations, here or above",
        todo="change into the project, or set TIDEGATE_PROJECT to its folder",
    )


def normalize_lake(lake: str) -> str:
    """Return a lake's address without a trailing slash; local folders as absolute paths, S3 as `s3a://`."""
    if lake.startswith(("s3://", "s3a://", "s3n://")):
        return "s3a://" + lake.split("://", 1)[1].rstrip("/")
    if lake.startswith("file:"):
        lake = lake.removeprefix("file://").removeprefix("file:")
    elif "://" in lake:
        return lake.rstrip("/")
    return str(Path(lake).expanduser().resolve())


def demo_home(home: Path) -> Path:
    """Return the demo's own state folder: a demo never touches what a stack of the user's holds."""
    return home / "demo"


def load_settings(
    *,
    lake: str | None = None,
    dumps: str | None = None,
    spark: str | None = None,
    project: Path | None = None,
    engine: str | None = None,
) -> Settings:
    """Return the settings from the options given, else the environment, else a running stack, else defaults.

    The default lake without a stack is `<home>/lake`, a local folder.
    """
    from tidegate.config.stack_state import running_state

    root = project or find_project()
    home = Path(os.environ.get("TIDEGATE_HOME") or root / ".tidegate").resolve()
    state = running_state(home)
    s3 = S3Access(
        endpoint=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        access_key=os.environ.get("AWS_ACCESS_KEY_ID"),
        secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY"),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    )
    chosen = lake or os.environ.get("TIDEGATE_LAKE")
    if state is not None:
        if s3.endpoint is None and s3.access_key is None:
            s3 = state.s3
        chosen = chosen or state.lake
    where = normalize_lake(chosen or str(home / "lake"))
    server = spark or os.environ.get("TIDEGATE_SPARK") or None
    if server is None and state is not None and normalize_lake(state.lake) == where:
        server = state.spark
    return Settings(
        project=root,
        home=home,
        lake=where,
        dumps=dumps or os.environ.get("TIDEGATE_DUMPS"),
        spark=server,
        s3=s3,
        keep_releases=_duration("TIDEGATE_KEEP_RELEASES", Settings.keep_releases, LEAST_KEPT),
        compact_after=_duration("TIDEGATE_COMPACT_AFTER", Settings.compact_after, LEAST_QUIET),
        engine=_engine(engine or os.environ.get("TIDEGATE_ENGINE") or None, server, where),
    )


def _engine(wanted: str | None, server: str | None, lake: str) -> EngineName:
    """Return the engine of a lake: the one that is named, else Spark where there is a server, else DuckDB.

    Raises:
        TidegateError: there is no such engine, or it can't write this lake.
    """
    chosen = engine_named(wanted or ("spark" if server is not None else "duckdb"))
    if "://" in lake and not lake.startswith("s3a://"):
        raise TidegateError(
            "a lake of this kind can't be written",
            where=lake,
            expected="a local folder, or s3://bucket/prefix: the system tables are written by conditional "
            "requests, which other stores are not known to support",
            todo="choose such a lake with --lake or TIDEGATE_LAKE",
        )
    return chosen


def engine_named(name: str) -> EngineName:
    """Return an engine by its name.

    Raises:
        TidegateError: there is none of that name.
    """
    for engine in ENGINES:
        if engine == name:
            return engine
    raise TidegateError(
        f"no engine {name!r}",
        where="--engine, or TIDEGATE_ENGINE",
        expected=" or ".join(ENGINES),
        todo="leave it out for the default: spark where TIDEGATE_SPARK or a running stack names a server, "
        "else duckdb",
    )


def known_project() -> Path | None:
    """Return the project's folder, or None where there is none: a reader of a lake may have no project."""
    try:
        return find_project()
    except TidegateError:
        return None


def reader_settings(lake: str | None) -> Settings:
    """Return the settings of who only reads a lake, and may have no project here."""
    try:
        project = find_project()
    except TidegateError:
        if not (lake or os.environ.get("TIDEGATE_LAKE")):
            raise
        project = Path.cwd()
    return load_settings(lake=lake, project=project)


def _duration(name: str, default: timedelta, least: timedelta) -> timedelta:
    """Return the duration that a variable says, else the default.

    Raises:
        TidegateError: it says none, or one that is too short.
    """
    from tidegate.common.durations import duration_text, parse_duration

    text = os.environ.get(name)
    if not text:
        return default
    expected = f"a duration of at least {duration_text(least)}, such as {duration_text(default)}"
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise TidegateError(
            f"{name} is no duration", where=name, expected=expected, got=text, todo=str(error)
        ) from error
    if found < least:
        raise TidegateError(
            f"{name} is too short",
            where=name,
            expected=expected,
            got=text,
            todo="set a longer one, or unset it",
        )
    return found


def _number(name: str, default: int) -> int:
    """Return the whole number from 1 that a variable says, else the default.

    Raises:
        TidegateError: it says none.
    """
    text = os.environ.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise TidegateError(
            f"{name} is no number",
            where=name,
            expected=f"a whole number from 1, such as {default}",
            got=text,
            todo="set one, or unset it",
        )
    return int(text)
