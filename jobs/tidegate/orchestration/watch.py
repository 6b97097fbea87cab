"""The watch over the dumps of a source: which hours are waited for, and when to look at each again.

All hours of a source that wait share one watch, and only they are looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR
from tidegate.config.settings import load_settings

if TYPE_CHECKING:
    from tidegate.dumps.completeness import Completeness
    from tidegate.dumps.dumps import Dumps

SHORTEST = timedelta(seconds=2)
"""Between two looks at an hour that has just begun to wait: what it takes to see a dump is time without its rows."""
LONGEST = timedelta(minutes=5)
"""The same for an hour that has been waited for all day: 1,000 of them cost some 3 listings a second."""
_SOON = timedelta(milliseconds=200)
_PATIENCE = 60
"""A dump is seen after a sixtieth more of the time that it has been waited for; some 270 looks in the first hour."""
_AT_ONCE = 32
"""Hours that are looked at before anybody hears of one."""
_LOOKERS = 8


@dataclass(frozen=True)
class Look:
    """What a look at an hour showed.

    Attributes:
        found: how far its dump is, or why that can't be told.
        late_from: when the hour is late, if it is not complete by then.
    """

    found: Completeness | TidegateError
    late_from: datetime

    def is_over(self, now: datetime) -> bool:
        """Return whether an hour that is not complete is waited for no longer.

        One whose files need nothing but some quiet is not late: it is complete soon.
        """
        if isinstance(self.found, TidegateError) or self.found.quiet_in is None:
            return now >= self.late_from
        return False


Seen = Mapping[datetime, Look]


class Watch:
    """The hours of a source that wait.

    Args:
        look: shows hours as they are now; runs in a thread.
        now: the time; aware.
    """

    def __init__(
        self,
        look: Callable[[Sequence[datetime]], Seen],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._look = look
        self._now = now
        self._waiting: Counter[datetime] = Counter()
        self._due: dict[datetime, datetime] = {}
        self._came = asyncio.Event()

    @property
    def hours(self) -> list[datetime]:
        """The hours that wait."""
        return sorted(self._waiting)

    def add(self, hour: datetime) -> None:
        """Begin to watch an hour, and look at it at once; somebody more may wait for the same."""
        self._waiting[hour] += 1
        self._due[hour] = self._now()
        self._came.set()

    def remove(self, hour: datetime) -> None:
        """End it for one who waits."""
        self._waiting[hour] -= 1
        if self._waiting[hour] <= 0:
            del self._waiting[hour], self._due[hour]

    async def seen(self) -> AsyncGenerator[Seen, None]:
        """Yield what is seen of the hours that are due, some at a time, for ever."""
        while True:
            self._came.clear()
            now = self._now()
            due = sorted((at, hour) for hour, at in self._due.items() if at <= now)
            hours = [hour for _, hour in due[:_AT_ONCE]]
            if hours:
                found = await asyncio.to_thread(self._look, hours)
                now = self._now()
                for hour in self._due.keys() & found.keys():
                    self._due[hour] = now + pause(hour, found[hour], now)
                yield found
                continue
            left = min(self._due.values(), default=now + LONGEST) - now
            try:
                await asyncio.wait_for(self._came.wait(), left.total_seconds())
            except TimeoutError:
                continue  # the next one is due


def pause(hour: datetime, look: Look, now: datetime) -> timedelta:
    """Return how long to wait before the next look at an hour."""
    usual = min(LONGEST, max(SHORTEST, (now - hour - HOUR) / _PATIENCE))
    if isinstance(look.found, TidegateError) or look.found.quiet_in is None:
        return usual
    return min(usual, look.found.quiet_in + _SOON)


def look_at(source: str, hours: Sequence[datetime]) -> Seen:
    """Return how far the dumps of some hours of a source are, by the source file as it is now."""
    from tidegate.config.source import Complete, find_source
    from tidegate.dumps.dumps import Dumps

    settings = load_settings()
    within = Complete(after=SHORTEST).within  # until the source file is known
    try:
        chosen = find_source(source, settings.sources)
        within = chosen.complete.within
        dumps = Dumps(chosen, settings.s3, settings.dumps)
    except TidegateError as error:
        return {hour: Look(error, hour + HOUR + within) for hour in hours}
    with ThreadPoolExecutor(min(_LOOKERS, len(hours))) as pool:
        found = pool.map(lambda hour: _one(dumps, hour), hours)
        return {h: Look(f, h + HOUR + within) for h, f in zip(hours, found, strict=True)}


def _one(dumps: Dumps, hour: datetime) -> Completeness | TidegateError:
    try:
        return dumps.completeness(hour, datetime.now(UTC))
    except TidegateError as error:
        return error
