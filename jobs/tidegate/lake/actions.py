"""What a commit does to a Delta table, and what the table's log says of its files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake._internal import RemoveAction
from deltalake.transaction import AddAction

from tidegate.common.errors import TidegateError
from tidegate.lake.parquet import DataFile, partition_text

_WRITTEN_AS_THEY_ARE = "!$&'()+,/:;=@"
"""Characters of a path that delta-rs writes as they are, beside letters, digits and `_.-~`."""

ActiveFile = Mapping[str, Any]
"""What the log says of a data file: `path` below the table, `uri` (the same as the log has it), `size_bytes`,
`partition.…`, `min.…`, `max.…`."""


@dataclass(frozen=True)
class Commit:
    """A commit of a table.

    Attributes:
        version: the version of the table that it made.
        timestamp: when, UTC.
        operation: Delta's word for what it did, such as `WRITE`.
        user_metadata: its record, if it has one.
        commit_id: its own id, if this module wrote it.
    """

    version: int
    timestamp: datetime
    operation: str
    user_metadata: str | None
    commit_id: str | None


@dataclass(frozen=True)
class Change:
    """What one commit does to the files of a table.

    Attributes:
        add: files that become part of it.
        remove: files that are part of it no more.
        changes_data: whether rows change, or only the files that hold them.
    """

    add: Sequence[DataFile] = ()
    remove: Sequence[ActiveFile] = ()
    changes_data: bool = True


class SnapshotFiles:
    """The data files of a snapshot of a table. They are read from it when they are asked for.

    Args:
        snapshot: of the table.
    """

    def __init__(self, snapshot: DeltaTable) -> None:
        self._snapshot = snapshot

    @cached_property
    def table(self) -> pa.Table:
        """One row a file, with the columns of `ActiveFile`; paths as URIs have them."""
        return pa.table(self._snapshot.get_add_actions(flatten=True))

    def matching(self, partitions: Mapping[str, Collection[Any]] | None = None) -> list[ActiveFile]:
        """Return the files of some partitions.

        Args:
            partitions: by partition column the values that are meant; columns that are missing may have any value.
        """
        table = self.table
        for name, values in (partitions or {}).items():
            column = table[f"partition.{name}"]
            table = table.filter(pc.is_in(column, pa.array(list(values), column.type)))
        return [
            {**row, "path": unquote(row["path"]), "uri": row["path"]} for row in table.to_pylist()
        ]


def add_action(file: DataFile, change: Change) -> AddAction:
    """Return what the log says of a file that becomes part of a table."""
    return AddAction(
        file.path,
        file.size,
        file.partition,
        file.modified_ms,
        change.changes_data,
        file.statistics,
    )


def remove_action(
    file: ActiveFile, partition: Sequence[str], now_ms: int, change: Change
) -> RemoveAction:
    """Return what the log says of a file that is part of a table no more.

    Raises:
        TidegateError: delta-rs would write the file's path in another way than the log has it, so that the file would
            stay part of the table.
    """
    if quote(file["path"], safe=_WRITTEN_AS_THEY_ARE) != file["uri"]:
        raise TidegateError(
            "a data file of this name can't be removed from the table",
            where=file["uri"],
            expected=f"the path as delta-rs writes it: {quote(file['path'], safe=_WRITTEN_AS_THEY_ARE)}",
            got="a path that another writer wrote in another way; nothing was written",
            todo="use --engine spark for this source",
        )
    values = {name: partition_text(file[f"partition.{name}"]) for name in partition}
    return RemoveAction(file["path"], change.changes_data, now_ms, file["size_bytes"], values)


def encode(value: object) -> str:
    """Return a value that JSON lacks as text, for `json.dumps`: times and dates in ISO 8601.

    Raises:
        TypeError: there is no such text.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")
