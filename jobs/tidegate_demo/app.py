"""The made-up mobile app: delimited text with a header, epoch times and no event ids."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate_demo.chance import Chance
from tidegate_demo.faults import FAULTS, Fault
from tidegate_demo.lines import Line, far_off, in_dumps
from tidegate_demo.rhythm import (
    BEGIN_MS,
    HOUR_MS,
    HOURS,
    delay_ms,
    steady_times,
    visit_starts,
    visit_times,
)

SOURCE = "app"
VISITS = 6_100
DEVICES = 5_000
LONGEST_VISIT = 21

HEADER = b"event;at_ms;device_id;user_id;screen;app_version;os;battery;load_ms"

# Share of visits that start in each hour of a UTC day: before work, at lunch, in bed.
WEIGHTS = (4, 2, 1, 1, 2, 6, 14, 18, 13, 9, 8, 10, 15, 12, 8, 8, 9, 12, 13, 13, 15, 18, 16, 9)
EVENTS = ("screen_view",) * 11 + ("tap",) * 6 + ("scroll",) * 2 + ("share",)
# One title holds the delimiter and one a quote, so both must be quoted.
SCREENS = (
    "home",
    "home",
    "list",
    "list",
    "item",
    "item",
    "cart",
    '"offers; new"',
    '"the ""best"""',
)
VERSIONS = ("4.11.0", "4.11.0", "4.10.2", "4.9.7", "3.0.0-beta")


def lines(seed: int, scale: float) -> Iterator[Line]:
    """Yield every line of the app's dumps, in no order, headers apart."""
    chance = Chance(seed, SOURCE)
    devices = max(20, int(DEVICES * scale))
    starts = visit_starts(chance, max(40, int(VISITS * scale)), WEIGHTS)
    for number, start in enumerate(starts):
        rank = chance.skewed(devices, 2)
        device = f"d-{rank * 7_919 % 99_991:05d}"
        user = f"m{rank:05d}" if rank % 4 == 0 else ""
        if number % 200 == 20:
            device = user = ""  # the app may not ask who it is
        battery = 5 + chance.below(95)
        for step, time in enumerate(visit_times(chance, start, LONGEST_VISIT)):
            name = "app_open" if step == 0 else chance.pick(EVENTS)
            yield from _sent(chance, name, time, device, user, rank, battery)
    # A kiosk that reports round the clock.
    pace = 1 / max(scale, 0.1)
    for time in steady_times(chance, 55 * pace, 65 * pace):
        yield from _sent(chance, "screen_view", time, "d-kiosk", "", 0, 100)
    for fault, count in FAULTS[SOURCE].items():
        for _ in range(max(1, round(count * scale))):
            yield _faulty(chance, fault)


def _sent(
    chance: Chance, name: str, time: int, device: str, user: str, rank: int, battery: int
) -> Iterator[Line]:
    arrival = time + delay_ms(chance)
    text = _text(chance, name, str(time), device, user, rank, str(battery))
    if in_dumps(arrival):
        yield Line(arrival, text, None, time, bool(device or user))


def _text(
    chance: Chance, name: str, time: str, device: str, user: str, rank: int, battery: str
) -> bytes:
    load = str(40 + chance.skewed(4_000, 3)) if name in ("screen_view", "app_open") else ""
    values = (
        name,
        time,
        device,
        user,
        chance.pick(SCREENS),
        VERSIONS[rank % len(VERSIONS)],
        ("android", "ios")[rank % 2],
        battery,
        load,
    )
    return ";".join(values).encode()


def _faulty(chance: Chance, fault: Fault) -> Line:
    """Return a line that cannot become an event, for that reason and no other."""
    arrival = BEGIN_MS + chance.below(HOURS * HOUR_MS)
    if fault is Fault.BLANK:
        return Line(arrival, b"", None, 0, False, fault)
    rank = chance.skewed(DEVICES, 2)
    time = str(arrival)
    battery = str(5 + chance.below(95))
    if fault in (Fault.TOO_LATE, Fault.TOO_EARLY):
        time = str(far_off(chance, fault, arrival))
    elif fault is Fault.NO_TIME:
        time = ""
    elif fault is Fault.BAD_TIME:
        time = chance.pick(("NaN", "2026-03-01", "17723x", "n/a"))
    elif fault is Fault.BAD_VALUE:
        battery = chance.pick(("full", "87%", "99999999999", "4x"))
    device = f"d-{rank * 7_919 % 99_991:05d}"
    text = _text(chance, "tap", time, device, "", rank, battery)
    if fault is Fault.TOO_FEW_COLUMNS:
        text = text[: text.index(device.encode()) + 4]
    elif fault is Fault.TOO_MANY_COLUMNS:
        text += b";debug;true"
    elif fault is Fault.NOT_UTF8:
        text = text.replace(b"d-", b"d\xe9-", 1)
    return Line(arrival, text, None, 0, False, fault)
