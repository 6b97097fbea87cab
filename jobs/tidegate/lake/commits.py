"""Commits to one Delta table, exactly once.

Each commit carries an id of its own. A commit is tried at exactly one version of the table: the one after the
snapshot that it was made from. After any error the log is searched for the id, since an answer can get lost after the
commit was stored. So a lost answer neither writes twice nor passes for a conflict.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.lake.actions import (
    Change,
    Commit,
    SnapshotFiles,
    add_action,
    encode,
    remove_action,
)
from tidegate.lake.storage import Storage, short_text, storage_error
from tidegate.lake.table_files import TableFiles, table_files

COMMIT_ID = "tidegateCommit"
"""Key of a commit's own id in its `commitInfo`."""
_ATTEMPTS = 100
"""Commits that are tried while other writers are faster."""
_UNCLEAR_ATTEMPTS = 3
"""Commits that are tried while an error leaves the version free."""
_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.3


class CommittedTable:
    """One Delta table: its latest snapshot, and commits to it. Threads may share it.

    Args:
        storage: of the lake.
        place: the table's folder below the lake.
    """

    def __init__(self, storage: Storage, place: str) -> None:
        self.storage = storage
        self.uri = storage.uri(place)
        self._lock = threading.RLock()
        self._snapshot: DeltaTable | None = None

    @cached_property
    def files(self) -> TableFiles:
        """The files below the table's folder."""
        return table_files(self.uri, self.storage.s3)

    # -- snapshots ------------------------------------------------------------------------------

    def snapshot(self) -> DeltaTable:
        """Return the table at its latest version.

        Raises:
            TryAgainError: the log cannot be read.
            TidegateError: there is no table.
        """
        with self._lock:
            snapshot = self._latest()
        if snapshot is None:
            raise TidegateError(
                "no such table",
                where=self.uri,
                expected="a Delta table",
                todo="run a step first: it creates the tables of a lake",
            )
        return snapshot

    def exists(self) -> bool:
        """Return whether the table is there.

        Raises:
            TryAgainError: the log cannot be read.
        """
        with self._lock:
            return self._latest() is not None

    def _latest(self) -> DeltaTable | None:
        if self._snapshot is not None:
            try:
                self._snapshot.update_incremental()
            except (OSError, DeltaError):
                # The log may begin after what was read of it: it is read again from its last checkpoint.
                self._snapshot = None
            else:
                return self._snapshot
        try:
            self._snapshot = DeltaTable(self.uri, storage_options=self.storage.options)
        except TableNotFoundError:
            return None
        except (OSError, DeltaError) as error:
            raise storage_error(error, "a table's log cannot be read", self.uri) from error
        return self._snapshot

    def active_files(self) -> SnapshotFiles:
        """Return the data files of the latest version."""
        with self._lock:
            files = SnapshotFiles(self.snapshot())
            _ = files.table  # other threads change what the snapshot shows
            return files

    # -- commits --------------------------------------------------------------------------------

    def commit(
        self,
        plan: Callable[[SnapshotFiles], Change | None],
        *,
        record: Mapping[str, Any] | None = None,
        app: str | None = None,
        number: int | None = None,
    ) -> int | None:
        """Commit a change, exactly once, and return the version that it made.

        Args:
            plan: returns the change to a snapshot's files. It is called again for a newer snapshot when another commit
                was faster. None gives the commit up.
            record: goes into the commit as its user metadata.
            app: with `number`, the commit is made only while no commit of `app` has this number or a higher one.
            number: see `app`.

        Returns:
            The version; None where `plan` gave up, or another commit of `app` was first.

        Raises:
            TryAgainError: the storage fails, or other writers are always faster. Where the text says that the outcome
                is unknown, the change may have been committed.
        """
        with self._lock:
            return _CommitRun(self, plan, record, app, number).run()

    def alter(self, change: Callable[[DeltaTable, CommitProperties], None]) -> None:
        """Change a table's metadata; again while other commits are faster.

        Args:
            change: commits to the snapshot that it is given, or does nothing where nothing is to be done.
        """
        with self._lock:
            for attempt in range(_ATTEMPTS):
                snapshot = self.snapshot()
                try:
                    change(snapshot, CommitProperties(max_commit_retries=0))
                    return
                except (OSError, DeltaError) as error:
                    # A change that was stored, though its answer got lost, is part of the next snapshot.
                    version = snapshot.version()
                    self._snapshot = None
                    if self.snapshot().version() == version and attempt >= _UNCLEAR_ATTEMPTS:
                        raise storage_error(error, "a table cannot be changed", self.uri) from error
                pause(attempt)
        raise _too_slow(self.uri)

    # -- the log --------------------------------------------------------------------------------

    def history(self, limit: int | None) -> list[Commit]:
        """Return the last commits, newest first.

        Raises:
            TryAgainError: the log cannot be read, or other writers are always faster.
        """
        with self._lock:
            infos = self._commit_infos(limit)
        return [
            Commit(
                version=info["version"],
                timestamp=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
                operation=info.get("operation", ""),
                user_metadata=info.get("userMetadata"),
                commit_id=info.get(COMMIT_ID),
            )
            for info in infos
        ]

    def _commit_infos(self, limit: int | None) -> list[dict[str, Any]]:
        for attempt in range(_ATTEMPTS):
            snapshot = self.snapshot()
            version = snapshot.version()
            try:
                infos = snapshot.history(limit)
            except (OSError, DeltaError) as error:
                raise storage_error(error, "a table's log cannot be read", self.uri) from error
            # delta-rs lists the log, and counts down from the version of the snapshot: a commit in between gives
            # every commit the version of another one.
            if self.snapshot().version() == version:
                return infos
            pause(attempt)
        raise _too_slow(self.uri)

    def commit_id(self, version: int) -> str | None:
        """Return the own id of the commit that made a version; None where it has none.

        Raises:
            FileNotFoundError: there is no such commit.
            TidegateError: the log cannot be read.
        """
        entry = self.files.read(f"_delta_log/{version:020}.json")
        actions = map(json.loads, entry.splitlines())
        return next((a["commitInfo"].get(COMMIT_ID) for a in actions if "commitInfo" in a), None)


class _CommitRun:
    """One call of `CommittedTable.commit`. All its attempts have one id, so that only one of them can count."""

    def __init__(
        self,
        table: CommittedTable,
        plan: Callable[[SnapshotFiles], Change | None],
        record: Mapping[str, Any] | None,
        app: str | None,
        number: int | None,
    ) -> None:
        self._table = table
        self._plan = plan
        self._record = record
        self._transaction = (app, number) if app is not None and number is not None else None
        self._id = str(uuid4())
        self._searched = -1
        """Versions up to this one are known not to be this commit's."""
        self._unclear = 0

    def run(self) -> int | None:
        snapshot = self._table.snapshot()
        self._searched = snapshot.version()
        for attempt in range(_ATTEMPTS):
            if (version := self._search(snapshot.version())) is not None:
                return version
            if self._is_beaten(snapshot):
                return None
            change = self._plan(SnapshotFiles(snapshot))
            if change is None:
                return None
            version = snapshot.version() + 1
            try:
                self._write(snapshot, change)
            except Exception as error:
                # Whatever it is: the commit may have been stored before it failed.
                if (stored := self._search(None, error)) is not None:
                    return stored
                self._note(version, error)
            else:
                return version
            pause(attempt)
            snapshot = self._next_snapshot()
        raise _too_slow(self._table.uri)

    def _is_beaten(self, snapshot: DeltaTable) -> bool:
        if self._transaction is None:
            return False
        app, number = self._transaction
        last = snapshot.transaction_version(app)
        # delta-rs accepts a number that it has had from a fresh snapshot again.
        return last is not None and last >= number

    def _write(self, snapshot: DeltaTable, change: Change) -> None:
        metadata = {COMMIT_ID: self._id}
        if self._record is not None:
            metadata["userMetadata"] = json.dumps(self._record, default=encode)
        now_ms = int(time.time() * 1000)
        partition = snapshot.metadata().partition_columns
        snapshot.create_write_transaction(
            [
                *(add_action(file, change) for file in change.add),
                *(remove_action(file, partition, now_ms, change) for file in change.remove),
            ],
            "append",
            snapshot.schema(),
            partition_by=partition,
            commit_properties=CommitProperties(
                custom_metadata=metadata,
                # With more, delta-rs itself would write again at the next version, and take the own commit whose
                # answer got lost for another writer's.
                max_commit_retries=0,
                app_transactions=[Transaction(*self._transaction)] if self._transaction else None,
            ),
            post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
        )

    def _search(self, upto: int | None, cause: Exception | None = None) -> int | None:
        """Return the version that this commit made, if the log has it.

        Args:
            upto: the log is known to have all versions up to this one; None to search to its end.
            cause: the error after which the outcome is in doubt.

        Raises:
            TryAgainError: the log cannot be read, so the outcome is unknown.
        """
        while upto is None or self._searched < upto:
            try:
                commit_id = self._table.commit_id(self._searched + 1)
            except FileNotFoundError as error:
                if upto is None:
                    return None
                raise self._unknown(cause or error) from error
            except Exception as error:
                raise self._unknown(cause or error) from error
            self._searched += 1
            if commit_id == self._id:
                return self._searched
        return None

    def _note(self, version: int, error: Exception) -> None:
        """Raise the error of a commit, unless another commit has its version or it may be tried again."""
        if not isinstance(error, OSError | DeltaError):
            raise error
        if self._searched >= version:
            return
        # The version is free: the commit was not stored, or not yet. To try it at the same version, with the same id,
        # is safe, since the version is given once.
        self._unclear += 1
        if self._unclear < _UNCLEAR_ATTEMPTS:
            return
        raise storage_error(error, "a commit failed", self._table.uri) from error

    def _next_snapshot(self) -> DeltaTable:
        try:
            return self._table.snapshot()
        except TidegateError as error:
            raise self._unknown(error) from error

    def _unknown(self, error: Exception) -> TryAgainError:
        return TryAgainError(
            "the outcome of a commit is unknown: the table's log cannot be read after an error",
            where=self._table.uri,
            expected=f"a log that shows whether commit {self._id} is in it",
            got=short_text(error),
            todo=f"check that the storage runs ({command('status')}), then run the step again: "
            "it goes on from what the table has by then",
        )


def pause(attempt: int) -> None:
    """Wait before the next attempt, by chance shorter or longer, so that writers do not meet again."""
    longest = min(_PAUSE_S * 2 ** min(attempt, 10), _LONGEST_PAUSE_S)
    time.sleep(random.uniform(0, longest))  # noqa: S311 (nothing secret)


def _too_slow(uri: str) -> TryAgainError:
    return TryAgainError(
        "other writers to this table were always faster",
        where=uri,
        expected=f"a commit within {_ATTEMPTS} attempts",
        todo="run the step again when fewer run at once",
    )
