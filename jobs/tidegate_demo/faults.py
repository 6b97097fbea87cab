"""What the made-up dumps get wrong on purpose, and the tally of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Fault(StrEnum):
    """Why a line cannot become an event."""

    BLANK = "blank_line"
    """A line without anything in it."""
    CUT_JSON = "cut_json"
    """JSON that ends too early."""
    NOT_OBJECT = "not_object"
    """JSON that is an array and not an object."""
    NOT_UTF8 = "not_utf8"
    """Bytes that are not UTF-8."""
    TOO_FEW_COLUMNS = "too_few_columns"
    """A delimited line with fewer values than the header has names."""
    TOO_MANY_COLUMNS = "too_many_columns"
    """A delimited line with more values than the header has names."""
    BAD_VALUE = "bad_value"
    """A value that does not fit the type that the source declares for it."""
    NO_ID = "missing_event_id"
    """No event id, in a source that has ids."""
    NO_TIME = "missing_event_time"
    """No event time."""
    BAD_TIME = "bad_event_time"
    """An event time that is none."""
    TOO_LATE = "too_late"
    """An event time days before the dump hour."""
    TOO_EARLY = "too_early"
    """An event time far after the dump hour: a clock that runs ahead."""

    @property
    def reason(self) -> str:
        """The reason that the quarantine gives such a line."""
        return _REASONS.get(self, self.value)


_REASONS = {
    Fault.CUT_JSON: "not_json",
    Fault.TOO_FEW_COLUMNS: "wrong_columns",
    Fault.TOO_MANY_COLUMNS: "wrong_columns",
}


FAULTS: Mapping[str, Mapping[Fault, int]] = {
    "shop": {
        Fault.BLANK: 6,
        Fault.CUT_JSON: 30,
        Fault.NOT_OBJECT: 5,
        Fault.NOT_UTF8: 8,
        Fault.BAD_VALUE: 24,
        Fault.NO_ID: 4,
        Fault.NO_TIME: 9,
        Fault.BAD_TIME: 12,
        Fault.TOO_LATE: 40,
        Fault.TOO_EARLY: 14,
    },
    "app": {
        Fault.BLANK: 4,
        Fault.TOO_FEW_COLUMNS: 18,
        Fault.TOO_MANY_COLUMNS: 9,
        Fault.NOT_UTF8: 7,
        Fault.BAD_VALUE: 20,
        Fault.NO_TIME: 8,
        Fault.BAD_TIME: 10,
        Fault.TOO_LATE: 35,
        Fault.TOO_EARLY: 12,
    },
}
"""Bad lines of each source at scale 1; at any scale there is at least one of each."""


@dataclass
class Tally:
    """What the dump of one hour holds, or several: every line is in exactly one of these.

    Attributes:
        lines: all lines, headers apart.
        events: lines that become events and stay when duplicates are dropped.
        duplicates_within: lines whose id an earlier line of the same dump has.
        duplicates_across: other lines whose id the dump of an earlier hour has.
        faults: lines that cannot become events.
        without_user: those of `events` that name no user at all.
        late: those of `events` whose time lies before their dump hour.

    """

    lines: int = 0
    events: int = 0
    duplicates_within: int = 0
    duplicates_across: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    without_user: int = 0
    late: int = 0

    def reasons(self) -> dict[str, int]:
        """Return the faulty lines by the reason that the quarantine gives them."""
        counts: Counter[str] = Counter()
        for fault, count in self.faults.items():
            counts[fault.reason] += count
        return dict(counts)

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        """Return the sum of tallies."""
        total = cls()
        for one in tallies:
            total.lines += one.lines
            total.events += one.events
            total.duplicates_within += one.duplicates_within
            total.duplicates_across += one.duplicates_across
            total.faults.update(one.faults)
            total.without_user += one.without_user
            total.late += one.late
        return total


@dataclass(frozen=True)
class Planted:
    """What the dumps of a seed and scale hold, by (source, dump hour), the cut hour as if whole.

    Attributes:
        dumps: the tally of each dump.
        cut: source and hour of the dump whose upload was cut short.
        cut_key: the file of it that ends too early.

    """

    dumps: Mapping[tuple[str, datetime], Tally]
    cut: tuple[str, datetime]
    cut_key: str

    def of(self, source: str, *, healed: bool = False) -> Tally:
        """Return the sum of a source: without the cut hour or, with `healed`, with all of it."""
        return Tally.total(
            tally
            for (name, hour), tally in self.dumps.items()
            if name == source and (healed or (name, hour) != self.cut)
        )
