"""When people come, how they behave, and how long it takes until a dump has it.

All times are whole milliseconds since the epoch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from tidegate_demo.chance import Chance

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS

FIRST_HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The first dump hour: noon, so that the dumps span two UTC days and a midnight."""
HOURS = 24
LAST_HOUR = FIRST_HOUR + timedelta(hours=HOURS - 1)
BEGIN_MS = int(FIRST_HOUR.timestamp()) * SECOND_MS
END_MS = BEGIN_MS + HOURS * HOUR_MS

WARM_UP_HOURS = 1
"""People were already there when the first dump began; some of what they did arrives late."""

GAP_MS = 30 * MINUTE_MS
"""The longest pause within a session, as both sources declare it."""


def visit_starts(chance: Chance, count: int, weights: Sequence[float]) -> Iterator[int]:
    """Yield `count` start times, by the weights of the 24 hours of a UTC day."""
    first = (FIRST_HOUR.hour - WARM_UP_HOURS) % 24
    hours = [weights[(first + step) % 24] for step in range(HOURS + WARM_UP_HOURS)]
    edges = list(accumulate(hours))
    begin = BEGIN_MS - WARM_UP_HOURS * HOUR_MS
    for _ in range(count):
        hour = min(bisect_right(edges, chance.unit() * edges[-1]), len(hours) - 1)
        yield begin + hour * HOUR_MS + chance.below(HOUR_MS)


def visit_times(chance: Chance, start: int, longest: int) -> list[int]:
    """Return the times of one visit: bursts of seconds, now and then a long pause.

    A few pauses are exactly the gap (which does not end a session), and a few events share a time.
    """
    if chance.unit() < 0.12:
        return [start]
    times = [start]
    for _ in range(1 + chance.skewed(longest, 2)):
        mood = chance.unit()
        if mood < 0.004:
            step = GAP_MS
        elif mood < 0.02:
            step = chance.below(GAP_MS)
        elif mood < 0.03:
            step = 0
        else:
            step = 800 + chance.skewed(300 * SECOND_MS, 4)
        times.append(times[-1] + step)
    return times


def steady_times(chance: Chance, low_s: float, high_s: float) -> Iterator[int]:
    """Yield the times of someone who never pauses (a robot, a kiosk), from first to last dump."""
    time = BEGIN_MS
    while time < END_MS:
        yield time
        time += int(chance.between(low_s, high_s) * SECOND_MS)


def delay_ms(chance: Chance) -> int:
    """Return how long an event takes until it is in a dump: seconds, for a few up to 20 hours."""
    mood = chance.unit()
    if mood < 0.955:
        return 150 + chance.skewed(25 * SECOND_MS, 3)
    if mood < 0.992:
        return MINUTE_MS + chance.skewed(70 * MINUTE_MS, 2)
    return HOUR_MS + chance.below(19 * HOUR_MS)
