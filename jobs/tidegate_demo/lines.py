"""One line of a made-up dump before it is bytes, and what is told apart about it."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate_demo.chance import Chance
from tidegate_demo.faults import Fault
from tidegate_demo.rhythm import BEGIN_MS, END_MS, HOUR_MS

DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a dump, without its line end.

    Attributes:
        arrival: when the dump got it, milliseconds since the epoch.
        text: the line.
        event_id: its id, or None where the source has none or the line is faulty.
        time: its event time in milliseconds since the epoch, 0 where the line is faulty.
        has_user: whether it names a user or a device.
        fault: why it cannot become an event, if it cannot.

    """

    arrival: int
    text: bytes
    event_id: str | None
    time: int
    has_user: bool
    fault: Fault | None = None


def in_dumps(arrival: int) -> bool:
    """Tell whether a line that arrives then is in one of the dumps."""
    return BEGIN_MS <= arrival < END_MS


def far_off(chance: Chance, fault: Fault, arrival: int) -> int:
    """Return a time that is too late or too early for its arrival, far from any bound."""
    if fault is Fault.TOO_LATE:
        # A phone without a clock battery says 1970; the others were offline for days.
        return chance.below(DAY_MS) if chance.unit() < 0.2 else arrival - _days(chance, 2, 9)
    return arrival + _days(chance, 1, 400)


def _days(chance: Chance, low: int, high: int) -> int:
    return int(chance.between(low, high) * DAY_MS)
