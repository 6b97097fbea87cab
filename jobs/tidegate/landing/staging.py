"""Dumps to staged Parquet files, and the counts of what is in them: the kernel, with its rows written down.

Below a target, the rows of an hour lie in `_dump=YYYYMMDDTHH/_outcome=event` and `…/_outcome=quarantined`.
A file's name begins with the id of the attempt that wrote it. Only the files that a result names count: an attempt
that was killed leaves others.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import BinaryIO, Protocol

import duckdb
import pyarrow as pa

from tidegate.common.errors import TidegateError
from tidegate.common.unreadable import UnreadableError
from tidegate.landing.counts import Counts, FileCount
from tidegate.landing.kernel import InputFile, Rules, parse_file
from tidegate.landing.parquet_files import Behind, StagedFile, Writers

DUCKDB_MEMORY = "256MB"
"""Memory of each thread's DuckDB, for expressions and computed ids."""


@dataclass(frozen=True)
class TaskFile:
    """A file of a dump to land.

    Attributes:
        name: relative to the root of the source's dumps.
        size: in bytes; files are shared out among threads by it.
    """

    name: str
    size: int = 0


@dataclass(frozen=True)
class DumpTask:
    """A dump to land.

    Attributes:
        hour: the dump hour; aware, UTC.
        files: its files.
    """

    hour: datetime
    files: tuple[TaskFile, ...]


@dataclass(frozen=True)
class DumpResult:
    """What became of a dump.

    Attributes:
        hour: the dump hour.
        files: the Parquet files that hold its rows; none where it could not be read.
        counts: of each input file, what became of its records.
        error: why the dump could not be read, else None.
        error_file: name of the file that could not be read.
    """

    hour: datetime
    files: tuple[StagedFile, ...] = ()
    counts: tuple[FileCount, ...] = ()
    error: str | None = None
    error_file: str | None = None


class Opener(Protocol):
    """What opens the files of dumps."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a file as a stream, to be closed; whoever reads it to its end has all of it.

        Raises:
            UnreadableError: it is gone, or another one than was listed.
        """


class Target(Protocol):
    """Where staged files go that is no local folder."""

    def put(self, path: str, local_file: Path) -> None:
        """Store a local file under a path relative to the target."""


def land_dumps(
    tasks: Sequence[DumpTask],
    rules: Rules,
    store: Opener,
    target: Path | Target,
    *,
    threads: int = 2,
) -> list[DumpResult]:
    """Read dumps and write what becomes of their records.

    Of a dump with a file that can't be read whole nothing is left, and the others go on.

    Args:
        tasks: the dumps, each hour once.
        rules: how lines become events.
        store: opens their files.
        target: a local folder, or where finished files are put.
        threads: how many files are read at once.

    Returns:
        A result a dump, in the order of the tasks.

    Raises:
        TidegateError: an expression can't be used, or storage fails; what was written of the attempt is
            removed where that is local.
    """
    attempt = uuid.uuid4().hex
    with _folder(target) as folder, ThreadPoolExecutor(max_workers=threads) as pool:
        landings = [_Landing(task, rules, store, folder, attempt) for task in tasks]
        shares = 1 if len(tasks) >= threads else threads
        is_alone = len(tasks) == 1 < threads
        works = [landing.works(shares, is_alone=is_alone) for landing in landings]
        try:
            _run(pool, [work for some in works for work in some])
            if not isinstance(target, Path):
                _run(pool, [_upload(target, folder, landing) for landing in landings])
        except BaseException:
            for landing in landings:
                landing.remove()
            raise
        return [landing.result() for landing in landings]


def _run(pool: ThreadPoolExecutor, works: Iterable[Callable[[], None]]) -> None:
    """Run all, largest first as they come; the first error ends the rest."""
    futures: list[Future[None]] = [pool.submit(work) for work in works]
    done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
    for future in waiting:
        future.cancel()
    wait(waiting)
    for future in done:
        future.result()


@contextmanager
def _folder(target: Path | Target) -> Iterator[Path]:
    """Return the local folder that files are written into: the target itself, or one for the time being."""
    if isinstance(target, Path):
        yield target
        return
    folder = Path(tempfile.mkdtemp(prefix="tidegate-staging-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _upload(target: Target, folder: Path, landing: _Landing) -> Callable[[], None]:
    def upload() -> None:
        for file in landing.files():
            target.put(file.path, folder / file.path)

    return upload


@dataclass
class _Landing:
    """The landing of one dump, in one thread or in several."""

    task: DumpTask
    rules: Rules
    store: Opener
    folder: Path
    attempt: str
    writers: list[Writers] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)
    faults: list[tuple[str, UnreadableError]] = field(default_factory=list)

    def works(self, shares: int, *, is_alone: bool) -> Iterator[Callable[[], None]]:
        """Yield the work to be done, of about equal sizes.

        Args:
            shares: how many parts the files are shared out into.
            is_alone: whether a thread would have nothing to do, so that it may write what the other reads.
        """
        parts: list[list[TaskFile]] = [[] for _ in range(min(shares, len(self.task.files)))]
        sizes = [0] * len(parts)
        for file in sorted(self.task.files, key=lambda file: -file.size):
            least = sizes.index(min(sizes))
            parts[least].append(file)
            sizes[least] += file.size + 1
        for number, part in enumerate(parts):
            files = sorted(part, key=lambda file: file.name)
            yield self._work(files, number, is_alone=is_alone and len(parts) == 1)

    def _work(
        self, files: Sequence[TaskFile], number: int, *, is_alone: bool
    ) -> Callable[[], None]:
        def work() -> None:
            place = f"_dump={self.task.hour:%Y%m%dT%H}"
            writers = Writers(self.folder, place, f"{self.attempt}-{number}", self.rules.schema)
            counts = Counts(self.rules.source)
            self.writers.append(writers)
            self.counts.append(counts)
            behind = Behind(writers) if is_alone else None
            try:
                with closing(landing_connection()) as connection:
                    for file in files:
                        if self.is_over.is_set():
                            break
                        self._file(file, behind or writers, counts, connection)
                with _writable(self.folder):
                    if behind is not None:
                        behind.close()
                    if not self.faults:
                        writers.close()
            except BaseException:
                self.is_over.set()
                if behind is not None:
                    with suppress(OSError):
                        behind.close()
                writers.abandon()
                raise
            if self.faults:
                writers.abandon()

        return work

    def _file(
        self,
        file: TaskFile,
        writers: Writers | Behind,
        counts: Counts,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        counts.begin(file.name)
        try:
            with self.store.open(file.name) as stream:
                source = InputFile(self.task.hour, file.name)
                for rows in _guarded(parse_file(stream, source, self.rules, connection)):
                    counts.add(file.name, rows)
                    with _writable(self.folder):
                        writers.write(rows)
        except UnreadableError as error:
            self.faults.append((file.name, error))
            self.is_over.set()

    def files(self) -> list[StagedFile]:
        """Return what was written; nothing of a dump that could not be read."""
        if self.faults:
            return []
        return [file for writers in self.writers for file in writers.files]

    def remove(self) -> None:
        """Remove what was written."""
        for writers in self.writers:
            writers.abandon()

    def result(self) -> DumpResult:
        if self.faults:
            self.remove()  # another thread may have been done before
            name, error = min(self.faults, key=lambda fault: fault[0])
            return DumpResult(self.task.hour, error=f"{name}: {error.reason}", error_file=name)
        counted: Mapping[str, FileCount] = {
            name: count for counts in self.counts for name, count in counts.files().items()
        }
        return DumpResult(
            self.task.hour,
            tuple(sorted(self.files(), key=lambda file: file.path)),
            tuple(counted[file.name] for file in self.task.files),
        )


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Say of an error within the block that it is one of writing: it says nothing of the file that is read."""
    try:
        yield
    except OSError as error:
        raise TidegateError(
            "staged rows can't be written",
            where=str(folder),
            expected="a folder that this user may write, with room on its disk",
            got=error.strerror or str(error),
            todo="make room or fix its rights, then land the hour again",
        ) from error


def _guarded(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield rows; an error that nobody foresaw holds the hour of its file, and no other."""
    try:
        yield from rows
    except (UnreadableError, TidegateError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableError(
            "the file can't be read because of an unexpected error",
            got=str(error).partition("\n")[0][:300],
            todo="report this; nothing was landed of the hour",
        ) from error


def landing_connection() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in memory that reads and writes no files."""
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": DUCKDB_MEMORY,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
