"""Made-up traffic of any size: hourly dumps of a web shop, the same for the same seed.

Few visitors make many of the events and many make one (a power law), visits come in bursts, some events
arrive an hour late, some come twice, and some lines are broken.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.common.hours import HOUR

DESCRIPTION: Mapping[str, Any] = {
    "source": "bench",
    "since": "2025-01-01T00",
    "format": "json",
    "complete": {"after": "1s"},
    "fields": {
        "event_id": "id",
        "event_time": "ts",
        "event_type": "type",
        "user_id": "user.id",
        "anonymous_id": "user.anonymous_id",
    },
    "columns": {
        "page": {"path": "page", "type": "string"},
        "device": {"path": "device", "type": "string"},
        "product_id": {"path": "product.id", "type": "string"},
        "price": {"path": "price", "type": "decimal(10,2)"},
    },
    "sessions": {"gap": "30m", "max": "24h"},
    "duplicates": {"within": "24h"},
    "accept": {"late": "3d", "future": "1h"},
}
"""What its source file says, but for `dumps`."""
NAME = "{dump_hour:%Y-%m-%d-%H}.json.gz"
FIRST = datetime.fromisoformat("2025-01-01T00:00:00+00:00")

_TYPES = ("page_view", "product_view", "search", "add_to_cart", "checkout", "purchase")
_TYPE_SHARES = (0.50, 0.28, 0.12, 0.06, 0.025, 0.015)
_PAGES = ("/", "/sale", "/new", "/lamps", "/rugs", "/help", "/about")
_DEVICES = ("desktop", "phone", "tablet")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1",
)
_TWICE, _BROKEN = 0.006, 0.001
_SKEW = 3
"""The power that a visitor's number is drawn with: of 100 visitors the first makes a fifth of the visits."""
_LONGEST_VISIT = 24


@dataclass(frozen=True)
class Traffic:
    """What is made.

    Attributes:
        events: lines of a dump, about.
        visitors: how many different ones there are.
        seed: of all chance.
        late: share of events that arrive an hour late.
    """

    events: int
    visitors: int
    seed: int = 1
    late: float = 0.004

    def lines(self, number: int) -> Iterator[bytes]:
        """Yield the lines of a dump, in the order of their arrival.

        Args:
            number: of the dump hour, counted from `FIRST`.
        """
        made = [*self._made(number - 1), *self._made(number)]
        for _, text in sorted(each for each in made if _us(number) <= each[0] < _us(number + 1)):
            yield text

    def one_of(self, number: int) -> bytes:
        """Return a line that is in no dump: an event of an hour, of a visitor who was there then."""
        made = sorted(self._made(number))
        return made[len(made) // 2][1].replace(b'{"id":"', b'{"id":"belated-')

    def write(self, number: int, folder: Path, *more: bytes) -> tuple[Path, int]:
        """Write a dump into a folder, as `NAME` names it; return its file and how many bytes of lines it has."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hour_of(number):%Y-%m-%d-%H}.json.gz"
        body = b"".join(line + b"\n" for line in (*self.lines(number), *more))
        file.write_bytes(gzip.compress(body, compresslevel=4, mtime=0))
        return file, len(body)

    def _made(self, number: int) -> list[tuple[int, bytes]]:
        """Return (arrival in µs, line) of what happens in an hour; some arrives in the next one."""
        import numpy as np

        if number < 0:
            return []
        chance = np.random.default_rng([self.seed, number])
        visits = max(1, round(self.events / (1 + _LONGEST_VISIT / 4)))
        lengths = 1 + (chance.random(visits) ** 3 * _LONGEST_VISIT).astype(int)
        visitor = np.repeat((chance.random(visits) ** _SKEW * self.visitors).astype(int), lengths)
        total = len(visitor)
        starts = np.repeat(chance.random(visits) * 3.0e9, lengths)
        pace = chance.random(total) * 6.0e8
        times = np.minimum(starts + pace, 3.6e9 - 1).astype(int) // 1000 * 1000 + _us(number)
        kinds = chance.choice(len(_TYPES), total, p=_TYPE_SHARES)
        ids = chance.integers(0, 2**63, total)
        picks = chance.random((6, total))
        return list(self._told(visitor, times, kinds, ids, picks))

    def _told(
        self, visitor: Any, times: Any, kinds: Any, ids: Any, picks: Any
    ) -> Iterator[tuple[int, bytes]]:
        for who, at, kind, event_id, (mood, page, item, late, twice, broken) in zip(
            visitor.tolist(),
            times.tolist(),
            kinds.tolist(),
            ids.tolist(),
            picks.T.tolist(),
            strict=True,
        ):
            known = f'"u{who:07d}"' if who % 3 == 0 else "null"
            more = f'"page":"{_PAGES[int(page * len(_PAGES))]}"'
            if kind:
                number = int(item * item * 400)
                more += (
                    f',"product":{{"id":"P-{number:04d}","category":"c{number % 7}"}},'
                    f'"price":{(199 + number * 7919 % 40000) / 100}'
                )
            text = (
                f'{{"id":"{event_id:016x}","ts":"{_text(at)}","type":"{_TYPES[kind]}",'
                f'"user":{{"id":{known},"anonymous_id":"a{who:07d}"}},"device":"{_DEVICES[who % 3]}",'
                f'{more},"agent":"{_AGENTS[who % 2]}","mood":{mood:.6f}}}'
            ).encode()
            if broken < _BROKEN:
                text = text[: len(text) // 2]
            arrival = at + int(mood * 2e6)
            yield arrival + (3_600_000_000 if late < self.late else 0), text
            if twice < _TWICE:
                yield arrival + int(item * 3.6e9), text


def hour_of(number: int) -> datetime:
    """Return the dump hour of a number."""
    return FIRST + number * HOUR


def _us(number: int) -> int:
    return number * 3_600_000_000


def _text(us: int) -> str:
    return (FIRST + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
