"""What every step works with."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.config import fingerprint as configuration
from tidegate.config.settings import Settings
from tidegate.lake import Lake, parse_time
from tidegate.lake.ledger import Ledger
from tidegate.lake.table_refs import At, Within
from tidegate.privacy.key import (
    PiiKey,
    find_key,
    key_file,
    lost_key_error,
    make_key,
    other_key_error,
)
from tidegate.tables import Table, events
from tidegate.tables.system_tables import CONFIGURATIONS, ERASURES

if TYPE_CHECKING:
    from tidegate.config.source import Source


def _silent(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Work:
    """A lake to work on, on behalf of a run.

    Attributes:
        settings: where things are.
        lake: the lake, and the engine that computes its rows.
        run_id: who did it, as the books record it: an Airflow run, or one of the CLI.
        tell: is given a line of progress at a time.
        runs: of hours that other runs asked for, those runs.
        took: is told of each stage of a step, when it ends, how many seconds it took.
        ledger: the lake's ledger.
    """

    settings: Settings
    lake: Lake
    run_id: str
    tell: Callable[[str], None] = field(default=_silent)
    runs: Mapping[datetime, str] = field(default_factory=dict)
    took: Callable[[str, float], None] = field(default=_silent)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ledger", Ledger(self.lake))

    def apart(self) -> Work:
        """Return the same for another thread: a ledger of its own, that knows what this one's has read."""
        other = replace(self)
        object.__setattr__(other, "ledger", self.ledger.apart())
        return other

    def at(
        self,
        table: Table,
        source: str,
        version: int | None = None,
        within: Within | None = None,
    ) -> At:
        """Return where a query finds a source's rows, as they are or as they were at a version of the table.

        Other sources' may be there too, and rows at other times than those asked for.
        """
        if version is None:
            return At(table, self.ledger.latest(table), within, source)
        return At(table, self.ledger.same_rows(table, source, version), within, source)

    def keyed(self, source: Source) -> Source:
        """Return a source that knows the fingerprint of its key; one that knows it stays as it is.

        Raises:
            TidegateError: as `pii_key`.
        """
        if source.pii_key is not None or not source.hashes:
            return source
        return source.keyed(self.pii_key().fingerprint)

    def fingerprint(self, source: Source, table: Table) -> str:
        """Return the fingerprint of what decides a table's rows.

        Raises:
            TidegateError: as `pii_key`, for events of a source that hashes personal data.
        """
        known = self.keyed(source) if table is events.TABLE else source
        return configuration.fingerprint(known, table)

    def definition(self, source: Source, table: Table) -> dict[str, Any]:
        """Return what of a source decides a table's rows, its key's fingerprint included; else as that."""
        known = self.keyed(source) if table is events.TABLE else source
        return configuration.definition(known, table)

    def pii_key(self) -> PiiKey:
        """Return the key of hashed personal data; the first time that one is needed, it is made.

        Raises:
            TidegateError: as `known_pii_key`.
        """
        found = self.known_pii_key()
        if found is not None:
            return found
        home = self.settings.home
        self.tell(f"making a key for hashed personal data: {key_file(home)}; keep a copy of it")
        return make_key(home)

    def known_pii_key(self) -> PiiKey | None:
        """Return the key of hashed personal data; None where none was ever needed.

        Raises:
            TidegateError: what is there is no key; or there is none, but the lake holds what was hashed.
        """
        home = self.settings.home
        found = find_key(home)
        if found is not None:
            return found
        known = self._known_key()
        if known is not None:
            raise lost_key_error(home, known)
        return None

    def _known_key(self) -> str | None:
        """Return the fingerprint of the key that something in the lake was hashed by last, if anything was."""
        used = [
            (parse_time(row["recorded_at"]), json.loads(row["definition"])["pii_key"])
            for row in self.lake.book(
                CONFIGURATIONS, "definition LIKE '%\"pii_key\": %'", ["definition", "recorded_at"]
            )
        ]
        erased = self.lake.book(ERASURES, select=["key", "done_at"])
        used += [(parse_time(row["done_at"]), row["key"]) for row in erased]
        return max(used)[1] if used else None

    def key_of(self, source: Source) -> PiiKey | None:
        """Return the key that a source's personal data are hashed by; None where none are.

        Raises:
            TidegateError: as `pii_key`, or the key that is here is another one.
        """
        if not source.hashes:
            return None
        key = self.pii_key()
        if source.pii_key not in (None, key.fingerprint):
            raise other_key_error(source, key)
        return key

    def run_of(self, hour: datetime) -> str:
        """Return the run that asked for an hour."""
        return self.runs.get(hour, self.run_id)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage of a step; `took` is told when it ends."""
        with _timed(name, self.took):
            yield


@contextmanager
def working(
    settings: Settings,
    run_id: str | None = None,
    tell: Callable[[str], None] = _silent,
    runs: Mapping[datetime, str] | None = None,
    took: Callable[[str, float], None] = _silent,
) -> Iterator[Work]:
    """Yield what steps work with: the lake, claimed, with its engine started and its tables created.

    The arguments are those of `Work`.

    Raises:
        TidegateError: the engine can't be started, another process holds the lake, or it can't be written.
    """
    from tidegate.engine.start import open_lake

    with ExitStack() as held:
        with _timed("start engine", took):
            lake = held.enter_context(open_lake(settings, tell))
            if lake.exists():
                lake.complete_published()
            else:
                lake.create_tables()
        yield Work(settings, lake, run_id or f"cli-{new_id()}", tell, runs or {}, took)


@contextmanager
def system_tables(
    settings: Settings, run_id: str | None = None, tell: Callable[[str], None] = _silent
) -> Iterator[Work]:
    """Yield what reads and appends to the system tables of a lake that is there, without an engine.

    Their commits are conditional on either engine, so no claim is needed.
    """
    lake = Lake(settings.lake, settings.s3)
    try:
        yield Work(settings, lake, run_id or f"cli-{new_id()}", tell)
    finally:
        lake.close()


@contextmanager
def _timed(name: str, took: Callable[[str, float], None]) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        took(name, time.monotonic() - begun)


def new_id() -> str:
    """Return a new id: the time, then chance, so that ids sort by age and never meet."""
    return f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def now() -> datetime:
    """Return the time. Only the books hold it; no published row depends on the clock."""
    return datetime.now(UTC)
