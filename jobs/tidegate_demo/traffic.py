"""Made-up hourly dumps of two sources, 24 hours from noon to noon, with everything that goes wrong.

Pure and seeded: the same seed and scale give the same lines on every machine. (The compressed
bytes are the same wherever zlib is; their gzip header holds neither a time nor a system.)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate_demo import app, shop
from tidegate_demo.chance import Chance
from tidegate_demo.faults import Planted, Tally
from tidegate_demo.lines import Line
from tidegate_demo.rhythm import BEGIN_MS, FIRST_HOUR, HOUR_MS, HOURS

SEED = 20_260_301
SOURCES = (shop.SOURCE, app.SOURCE)

CUT = (app.SOURCE, FIRST_HOUR + timedelta(hours=8))
"""The dump whose upload was cut short: of a source without ids, so that no other hour's
duplicates depend on it."""
CUT_SHARE = 0.7
"""How much of the cut file is there."""


@dataclass(frozen=True)
class DumpObject:
    """One file of a dump.

    Attributes:
        source: the source's name.
        hour: the dump hour, UTC.
        key: where it goes, below the bucket `events`.
        body: its bytes, as uploaded.
        intact: its bytes as they should have been, where the upload was cut short.

    """

    source: str
    hour: datetime
    key: str
    body: bytes = field(repr=False)
    intact: bytes | None = field(default=None, repr=False)


def dumps(seed: int = SEED, scale: float = 1.0) -> Iterator[DumpObject]:
    """Yield the files of all dumps, hour by hour; about 116,000 lines at scale 1."""
    for source, hour, files in _dumps(seed, scale):
        for key, lines in files:
            body = _gzip(_body(source, lines))
            if (source, hour) == CUT:
                yield DumpObject(source, hour, key, body[: int(len(body) * CUT_SHARE)], body)
            else:
                yield DumpObject(source, hour, key, body)


def whole(dump_object: DumpObject) -> bytes:
    """Return a file's bytes as they should have been: uploaded, they heal the cut hour."""
    return dump_object.body if dump_object.intact is None else dump_object.intact


def planted(seed: int = SEED, scale: float = 1.0) -> Planted:
    """Return what the dumps of this seed and scale hold, the cut hour counted as if whole."""
    tallies: dict[tuple[str, datetime], Tally] = {}
    cut_key = ""
    for source in SOURCES:
        earlier: set[str] = set()
        for name, hour, files in _dumps(seed, scale, (source,)):
            lines = [line for _, of_file in files for line in of_file]
            tallies[name, hour] = _tally(lines, hour, earlier)
            earlier.update(line.event_id for line in lines if line.event_id is not None)
            if (name, hour) == CUT:
                cut_key = files[0][0]
    return Planted(dumps=tallies, cut=CUT, cut_key=cut_key)


_Files = list[tuple[str, list[Line]]]


def _dumps(
    seed: int, scale: float, sources: Sequence[str] = SOURCES
) -> Iterator[tuple[str, datetime, _Files]]:
    """Yield source, hour and files (key, lines in order) of every dump, hour by hour."""
    makers = {shop.SOURCE: shop.lines, app.SOURCE: app.lines}
    by_hour = {source: _by_hour(makers[source](seed, scale)) for source in sources}
    chances = {source: Chance(seed, f"{source}/files") for source in sources}
    for step in range(HOURS):
        hour = FIRST_HOUR + timedelta(hours=step)
        for source in sources:
            lines = by_hour[source][step]
            by_hour[source][step] = []
            if source == shop.SOURCE:
                yield source, hour, _shop_files(lines, hour, chances[source])
            else:
                yield source, hour, [(f"app/{hour:%Y-%m-%d-%H}.csv.gz", lines)]


def _by_hour(lines: Iterator[Line]) -> list[list[Line]]:
    """Return the lines by the dump they are in, each dump by arrival."""
    by_hour: list[list[Line]] = [[] for _ in range(HOURS)]
    for line in lines:
        by_hour[(line.arrival - BEGIN_MS) // HOUR_MS].append(line)
    for of_hour in by_hour:
        of_hour.sort(key=lambda line: (line.arrival, line.text))
    return by_hour


def _shop_files(lines: list[Line], hour: datetime, chance: Chance) -> _Files:
    """Return the lines of an hour in two files, as two servers wrote them."""
    parts: tuple[list[Line], list[Line]] = ([], [])
    for line in lines:
        parts[chance.below(2)].append(line)
    return [
        (f"shop/{hour:%Y-%m-%d/%H}/part-{number}.json.gz", part)
        for number, part in enumerate(parts)
    ]


def _tally(lines: list[Line], hour: datetime, earlier: set[str]) -> Tally:
    """Return the tally of a dump, given the ids of the dumps of earlier hours."""
    tally = Tally(lines=len(lines))
    begin = int(hour.timestamp()) * 1_000
    own: set[str] = set()
    for line in lines:
        if line.fault is not None:
            tally.faults[line.fault] += 1
        elif line.event_id is not None and line.event_id in own:
            tally.duplicates_within += 1
        elif line.event_id is not None and line.event_id in earlier:
            own.add(line.event_id)
            tally.duplicates_across += 1
        else:
            if line.event_id is not None:
                own.add(line.event_id)
            tally.events += 1
            tally.without_user += not line.has_user
            tally.late += line.time < begin
    return tally


def _body(source: str, lines: list[Line]) -> bytes:
    texts = [line.text for line in lines]
    if source == app.SOURCE:
        texts.insert(0, app.HEADER)
    return b"".join(text + b"\n" for text in texts)


def _gzip(body: bytes) -> bytes:
    """Return a gzip member whose header says neither when nor on what system it was made."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFF_FFFF)
    return header + packer.compress(body) + packer.flush() + tail
