"""Times in formats of a source's own, and local times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from corpus.chance import Chance
from fuzz.model import BAD, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMATS = (
    *("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %T %z", "%s", "%Y-%m-%dT%H:%M:%S.%f%z"),
    *(
        "%Y-%m-%d %H:%M:%S.%f",
        "%d.%m.%Y %H:%M",
        "%m/%d/%y %I:%M:%S %p",
        "%F %T,%L",
        "%B %e, %Y %T",
        "%Y %j %R",
        "%A %F %T",
    ),
)
_ZONES = (None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_NO_TIMES = (
    "noon",
    "2024",
    "2024-99-99 00:00",
    "32/Jan/2024:00:00:00 +0000",
    "-",
    "0",
    "12:00",
    "x 2024-03-01",
)
FIRST, LAST = 0, 3_000_000_000_000_000
"""The years that all formats have, in microseconds since 1970."""


@dataclass(frozen=True)
class Clock:
    """How a source's times are written.

    Attributes:
        format: directives; None for ISO 8601.
        zone: of times without an offset; None for UTC.
    """

    format: str | None
    zone: str | None

    def written(self, chance: Chance, micros: int) -> Value:
        """Return a time that is near one, as the format can say it and local clocks show it."""
        if chance.happens(0.03):
            # A number is a time as seconds since 1970.
            texts = _NO_TIMES if self.format != "%s" else _NO_TIMES[:1]
            return Value(chance.choice(texts), BAD)
        form = self.format or "%FT%T.%f"
        has_offset = "%z" in form
        minutes = chance.choice((0, 60, -300, 345)) if has_offset else 0
        at = _EPOCH + timedelta(microseconds=_as_told(form, min(max(micros, FIRST), LAST)))
        local = at.replace(tzinfo=None) + timedelta(minutes=minutes)
        if self.zone is not None:
            local = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
            # What is shown twice is the first of the two.
            at = local.replace(tzinfo=ZoneInfo(self.zone), fold=0).astimezone(UTC)
        text = _text(form, local, minutes)
        more = chance.choice(("", "000", "7")) if form.endswith("%f") else ""
        return Value(text + more, (at - _EPOCH) // timedelta(microseconds=1), is_cut=more == "7")


def _as_told(form: str, micros: int) -> int:
    """Return a time without what a format does not tell."""
    unit = 60 * 10**6
    for mark, size in (("%T", 10**6), ("%S", 10**6), ("%s", 10**6), ("%L", 10**3), ("%f", 1)):
        unit = size if mark in form else unit
    return micros // unit * unit


def _text(form: str, at: datetime, minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    clock = f"{at.hour:02}:{at.minute:02}"
    words = {
        "%F": f"{at.year:04}-{at.month:02}-{at.day:02}",
        "%T": f"{clock}:{at.second:02}",
        "%R": clock,
        "%Y": f"{at.year:04}",
        "%y": f"{at.year % 100:02}",
        "%m": f"{at.month:02}",
        "%b": _MONTHS[at.month - 1][:3],
        "%B": _MONTHS[at.month - 1],
        "%d": f"{at.day:02}",
        "%e": f"{at.day:2}",
        "%j": f"{at.timetuple().tm_yday:03}",
        "%H": f"{at.hour:02}",
        "%I": f"{(at.hour + 11) % 12 + 1:02}",
        "%p": "AM" if at.hour < 12 else "PM",
        "%M": f"{at.minute:02}",
        "%S": f"{at.second:02}",
        "%f": f"{at.microsecond:06}",
        "%L": f"{at.microsecond // 1000:03}",
        "%s": str((at.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)),
        "%z": f"{sign}{abs(minutes) // 60:02}{abs(minutes) % 60:02}",
        "%a": _DAYS[at.weekday()][:3],
        "%A": _DAYS[at.weekday()],
    }
    for directive, word in words.items():
        form = form.replace(directive, word)
    return form


def random_clock(chance: Chance) -> Clock:
    """Return a form of times that is not the default one."""
    form = chance.choice((*_FORMATS, None))
    zone = chance.choice(_ZONES) if form is None or ("%z" not in form and form != "%s") else None
    return Clock(form, zone)
