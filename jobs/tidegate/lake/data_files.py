"""What Delta's logs say of data files: which ones a version of a table has, and what they hold.

DuckDB's Delta reader skips whole partitions only, and not even those where a time is compared too. By the minima
and maxima in the log a query of an hour reads that hour's files, however long the history is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.lake.storage import short_text, storage_options

if TYPE_CHECKING:
    from tidegate.storage.s3 import S3Access

_KEPT = 8
"""Versions whose files are remembered: several queries ask for each."""


class DataFiles:
    """The data files of tables of a lake.

    Args:
        base: its URI, as DuckDB has it: `s3://…` or an absolute path.
        s3: how S3 is reached; with keys, where the lake is there.
    """

    def __init__(self, base: str, s3: S3Access) -> None:
        self._base = base
        self._options = storage_options(s3) if base.startswith("s3://") else {}
        self._known: dict[tuple[str, int], Any] = {}

    def of(self, table: str, version: int) -> Any:
        """Return the data files of a table at a version.

        Returns:
            An Arrow table of `path` (below the table), `partition.…` for columns that it is partitioned by, and
            `min.…` and `max.…` for columns that Delta keeps these of; NULL where a file lacks them.

        Raises:
            TryAgainError: S3 does not answer.
            TidegateError: there is no such version any more.
        """
        if (table, version) not in self._known:
            files = self._read(table, version)
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[table, version] = files
        return self._known[table, version]

    def paths(self, table: str, version: int) -> list[str]:
        """Return the data files of a table at a version, below its folder; see `of`."""
        return [str(path) for path in self.of(table, version)["path"].to_pylist()]

    def _read(self, table: str, version: int) -> Any:
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        where = f"{self._base}/{table}"
        try:
            snapshot = DeltaTable(where, version=version, storage_options=self._options)
            files = pa.table(snapshot.get_add_actions(flatten=True))
        except OSError as error:
            raise TryAgainError(
                "a table's log can't be read",
                where=where,
                expected="S3, or the disk, to answer",
                got=short_text(error),
                todo=f"see whether it runs ({command('status')}), then run this again",
            ) from error
        except DeltaError as error:
            raise TidegateError(
                "a version of a table can't be read",
                where=f"{where}, version {version}",
                expected="its commits, or a checkpoint",
                got=short_text(error),
                todo="it may be older than what is kept; run this again to begin with the latest",
            ) from error
        # The log has paths as URIs; what opens files takes their names.
        names = pa.array([unquote(path) for path in files["path"].to_pylist()], pa.string())
        return files.set_column(files.schema.get_field_index("path"), "path", names)
