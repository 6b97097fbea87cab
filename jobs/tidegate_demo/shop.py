"""The made-up web shop: JSON lines with nested products, ids, and times in several zones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tidegate_demo.chance import Chance
from tidegate_demo.faults import FAULTS, Fault
from tidegate_demo.lines import Line, far_off, in_dumps
from tidegate_demo.rhythm import (
    BEGIN_MS,
    HOUR_MS,
    HOURS,
    MINUTE_MS,
    delay_ms,
    steady_times,
    visit_starts,
    visit_times,
)

SOURCE = "shop"
VISITS = 7_600
VISITORS = 6_000
PRODUCTS = 400
LONGEST_VISIT = 27

# Share of visits that start in each hour of a UTC day: an evening shop.
WEIGHTS = (3, 2, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 12, 11, 10, 10, 11, 13, 16, 19, 20, 17, 11, 6)
ZONES = (("Z", 0), ("Z", 0), ("+02:00", 120), ("+00:00", 0), ("-05:00", -300))
WORDS = ("lamp", "chair", "mug", "rug", "shelf", "clock", "plaid", "vase", "Kißen", "étagère")
QUERIES = ("lamp", "oak table", "rug 2x3", 'mug "XL"', "Stühle", "gift", "clock\tred", "sofa; grey")
PAGES = ("/", "/sale", "/new", "/lamps", "/rugs", "/help", "/about")

_DAYS = {
    day: f"2026-{text}" for day, text in enumerate(("02-28", "03-01", "03-02", "03-03"), 20_512)
}
_DAY_MS = 24 * HOUR_MS


def iso_time(time: int, suffix: str, offset_min: int) -> str:
    """Return a time in milliseconds as ISO 8601 in a zone; whole seconds go without a fraction."""
    day, rest = divmod(time + offset_min * MINUTE_MS, _DAY_MS)
    seconds, ms = divmod(rest, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{ms:03d}" if ms else ""
    return f"{_DAYS[day]}T{hour:02d}:{minute:02d}:{second:02d}{fraction}{suffix}"


def lines(seed: int, scale: float) -> Iterator[Line]:
    """Yield every line of the shop's dumps, in no order."""
    chance = Chance(seed, SOURCE)
    visitors = max(20, int(VISITORS * scale))
    for start in visit_starts(chance, max(40, int(VISITS * scale)), WEIGHTS):
        for time, event in _visit(chance, visitors, start):
            yield from _sent(chance, time, event)
    # A crawler that never pauses: only the longest session time cuts what it does.
    pace = 1 / max(scale, 0.1)
    for time in steady_times(chance, 25 * pace, 95 * pace):
        crawler = {"id": None, "anonymous_id": "anon-crawler"}
        event = {"type": "page_view", "user": crawler, "page": chance.pick(PAGES)}
        yield from _sent(chance, time, event)
    for fault, count in FAULTS[SOURCE].items():
        for _ in range(max(1, round(count * scale))):
            yield _faulty(chance, fault)


def _visit(chance: Chance, visitors: int, start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what one visitor does, as pairs of time and event without id and time."""
    rank = chance.skewed(visitors, 2)
    anonymous = f"anon-{rank:05d}"
    known = rank % 3 == 0
    user: dict[str, Any] = {"id": f"u{rank:05d}" if known else None, "anonymous_id": anonymous}
    if chance.unit() < 0.008:
        user = {"id": None, "anonymous_id": None}  # a visitor who let nothing be stored
    device = ("desktop", "phone", "tablet")[rank % 7 % 3]
    stage = 0  # 1: something in the cart; 2: at the checkout
    for step, time in enumerate(visit_times(chance, start, LONGEST_VISIT)):
        event: dict[str, Any] = {"type": "page_view", "user": user, "device": device}
        mood = chance.unit()
        if stage == 2 and mood < 0.7:
            event["type"] = "purchase"
            event["price"] = (500 + chance.skewed(90_000, 3)) / 100
            stage = 0
        elif stage == 1 and mood < 0.15:
            event["type"] = "checkout"
            stage = 2
        elif mood < 0.45 or step == 0:
            event["page"] = chance.pick(PAGES)
        elif mood < 0.58:
            event["type"] = "search"
            event["query"] = chance.pick(QUERIES)
        else:
            event["type"] = "product_view"
            event["product"] = _product(chance)
            if mood > 0.9:
                event["type"] = "add_to_cart"
                event["quantity"] = 1 + chance.skewed(4, 3)
                event["price"] = event["product"]["price"]
                stage = max(stage, 1)
        yield time, event


def _product(chance: Chance) -> dict[str, Any]:
    number = chance.skewed(PRODUCTS, 2)
    return {
        "id": f"P-{number:04d}",
        "name": WORDS[number % len(WORDS)],
        "category": ("light", "furniture", "kitchen", "textile")[number % 4],
        "price": (199 + number * 7_919 % 40_000) / 100,
    }


def _sent(chance: Chance, time: int, event: dict[str, Any]) -> Iterator[Line]:
    """Yield the line of an event, and the copies of it that its sender sent again."""
    arrival = time + delay_ms(chance)
    mood = chance.unit()
    again: tuple[int, ...] = ()
    if mood < 0.012:
        again = (arrival + chance.below(20_000),)
    elif mood < 0.019:
        again = (arrival + HOUR_MS + chance.below(2 * HOUR_MS),)
    elif mood < 0.0195:
        again = (arrival + 10, arrival + HOUR_MS, arrival + 5 * HOUR_MS)
    event_id = f"{chance.bits(48):012x}"
    user = event["user"]
    has_user = user["id"] is not None or user["anonymous_id"] is not None
    text = _text(event_id, time, event, chance)
    for at in (arrival, *again):
        if in_dumps(at):
            yield Line(at, text, event_id, time, has_user)


def _text(event_id: str, time: int, event: dict[str, Any], chance: Chance) -> bytes:
    suffix, offset = chance.pick(ZONES)
    return _dump({"id": event_id, "ts": iso_time(time, suffix, offset), **event})


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _faulty(chance: Chance, fault: Fault) -> Line:
    """Return a line that cannot become an event, for that reason and no other."""
    arrival = BEGIN_MS + chance.below(HOURS * HOUR_MS)
    if fault is Fault.BLANK:
        return Line(arrival, b"", None, 0, False, fault)
    event: dict[str, Any] = {
        "id": f"{chance.bits(48):012x}",
        "ts": iso_time(arrival - 2_000 if arrival - 2_000 > BEGIN_MS else arrival, "Z", 0),
        "type": "page_view",
        "user": {"id": None, "anonymous_id": f"anon-{chance.skewed(VISITORS, 2):05d}"},
        "product": _product(chance),
        "price": 12.5,
    }
    if fault in (Fault.TOO_LATE, Fault.TOO_EARLY):
        event["ts"] = _any_iso(far_off(chance, fault, arrival))
    elif fault is Fault.NO_ID:
        del event["id"]
    elif fault is Fault.NO_TIME:
        event["ts"] = None
        if chance.unit() < 0.5:
            del event["ts"]
    elif fault is Fault.BAD_TIME:
        event["ts"] = chance.pick(
            ("yesterday", "2026-02-30T10:00:00Z", "2026-03-01T25:61:00Z", "?")
        )
    elif fault is Fault.BAD_VALUE:
        event["price"] = chance.pick(("twelve", "12,50 EUR", 123456789012.5, "NaN"))
    text = _dump(event)
    if fault is Fault.CUT_JSON:
        text = text[: 20 + chance.below(len(text) - 40)].decode(errors="ignore").encode()
    elif fault is Fault.NOT_OBJECT:
        text = b"[" + text + b"]"
    elif fault is Fault.NOT_UTF8:
        text = text.replace(b'"page_view"', b'"page\xff\xfeview"')
    return Line(arrival, text, None, 0, False, fault)


def _any_iso(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
