"""Counts of staged rows, by input file, outcome and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.config.source import Source
from tidegate.landing.kernel import NOTES


@dataclass(frozen=True)
class Group:
    """Rows of a file with one outcome and one reason.

    Attributes:
        outcome: event or quarantined.
        reason: why they are quarantined; None for events.
        n: how many rows.
        last: the highest line number among them.
        present: by declared column, how many rows have a value.
        unnumbered: rows without a number, of a source with a sequence; else 0.
        first: of quarantined rows the lowest line number.
        detail: what was expected there, and what is there.
    """

    outcome: str
    reason: str | None
    n: int
    last: int
    present: Mapping[str, int]
    unnumbered: int
    first: int | None = None
    detail: str | None = None


@dataclass(frozen=True)
class FileCount:
    """What became of the records of an input file.

    Attributes:
        name: of the file.
        groups: by outcome and reason; none for a file without records.
        notes: what else was counted, by `kernel.NOTES`; what there is none of is left out.
    """

    name: str
    groups: tuple[Group, ...]
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records the file has."""
        return sum(group.n for group in self.groups)


def declared(source: Source) -> list[str]:
    """Return the columns that a source file gives a field for, and leaves in it."""
    fields = source.fields
    named = {
        "event_id": fields.event_id,
        "event_time": fields.event_time,
        "event_type": fields.event_type,
        "user_id": fields.user_id,
        "anonymous_id": fields.anonymous_id,
        "source_session_id": source.sessions.id,
    }
    refs = {name: ref for name, ref in named.items() if ref is not None} | source.columns
    return [name for name, ref in refs.items() if source.pii_action(ref.names()) != "drop"]


@dataclass
class _Sum:
    n: int = 0
    last: int = 0
    unnumbered: int = 0
    first: int | None = None
    detail: str | None = None
    present: dict[str, int] = field(default_factory=dict)


class Counts:
    """Adds up batches of staged rows.

    Args:
        source: whose rows.
    """

    def __init__(self, source: Source) -> None:
        self._declared = declared(source)
        self._is_numbered = source.sequence is not None
        self._sums: dict[str, dict[tuple[str, str | None], _Sum]] = {}
        self._notes: dict[str, Counter[str]] = {}

    def begin(self, file: str) -> None:
        """Count a file, also if no row comes of it."""
        self._sums[file] = {}
        self._notes[file] = Counter()

    def add(self, file: str, rows: pa.RecordBatch) -> None:
        """Count rows of a file."""
        metadata = rows.schema.metadata or {}
        for note in NOTES:
            if (count := metadata.get(note.encode())) is not None:
                self._notes[file][note] += int(count)
        reasons = rows.column("_reason")
        if reasons.null_count == len(rows):
            self._add(file, "event", None, rows)
            return
        for reason in pc.unique(reasons).to_pylist():
            same = pc.is_null(reasons) if reason is None else pc.equal(reasons, reason)
            outcome = "event" if reason is None else "quarantined"
            self._add(file, outcome, reason, rows.filter(same))

    def _add(self, file: str, outcome: str, reason: str | None, rows: pa.RecordBatch) -> None:
        if not len(rows):
            return
        group = self._sums[file].setdefault((outcome, reason), _Sum())
        group.n += len(rows)
        lines = pc.min_max(rows.column("line"))
        group.last = max(group.last, lines["max"].as_py())
        first = lines["min"].as_py()
        if reason is not None and (group.first is None or first < group.first):
            place = pc.index(rows.column("line"), first).as_py()
            group.first, group.detail = first, rows.column("_detail")[place].as_py()
        if self._is_numbered:
            group.unnumbered += rows.column("_number").null_count
        for name in self._declared:
            there = len(rows) - rows.column(name).null_count
            group.present[name] = group.present.get(name, 0) + there

    def files(self) -> dict[str, FileCount]:
        """Return the counts by file."""
        return {
            name: FileCount(
                name,
                tuple(
                    Group(outcome, reason, s.n, s.last, s.present, s.unnumbered, s.first, s.detail)
                    for (outcome, reason), s in sorted(
                        groups.items(), key=lambda item: (item[0][0], item[0][1] or "")
                    )
                ),
                self._notes[name],
            )
            for name, groups in self._sums.items()
        }
