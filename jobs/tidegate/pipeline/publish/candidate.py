"""A candidate: staged rows that are to replace slices of a published table of one source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake import Slices
from tidegate.lake.ledger import SliceRecord
from tidegate.lake.table_refs import Query
from tidegate.tables import Table

if TYPE_CHECKING:
    from tidegate.config.source import Source


@dataclass(frozen=True)
class Candidate:
    """What one publication replaces, by which rows, and what these were made from.

    Attributes:
        table: the published table.
        source: whose rows, by the configuration that they were made by.
        sequence: the number that the publication gets.
        slices: the slices, with the number of rows of each; those without rows are emptied.
        rows: the query of the new rows.
        inputs: ids of the landings, or of the publications, that they were made from.
        input_versions: versions of the tables that they were made from.
        event_hours: of events: the hours in which events happened that come in or go out.
        is_whole: whether all rows of the source are replaced.
        renames: of sessions: whether published ids end, or lead to other sessions.
    """

    table: Table
    source: Source
    sequence: int
    slices: tuple[SliceRecord, ...]
    rows: Query
    inputs: tuple[str, ...]
    input_versions: Mapping[str, int]
    event_hours: tuple[datetime, ...] = ()
    is_whole: bool = False
    renames: bool = False

    @property
    def replaced(self) -> Slices:
        """The rows that the publication replaces."""
        if self.is_whole:
            return Slices.whole_source(self.source.source)
        if not self.slices:
            return Slices.none(self.table)
        return Slices.of(self.table, self.source.source, [record.slice for record in self.slices])
