"""A time that is written in any allowed format, in any zone, comes back as its instant."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import NOON, rows_of, source_of
from reference.parser import Place, decide_json
from tidegate.common.time_zones import load_zone
from tidegate.config.source import TimeRef
from tidegate.landing.instants import to_time

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Monrovia",
    "Europe/Dublin",
    "America/Sao_Paulo",
    "Africa/Casablanca",
]
MONTHS = [f"{datetime(2024, month, 1, tzinfo=UTC):%B}" for month in range(1, 13)]
DAYS = [f"{datetime(2024, 1, day, tzinfo=UTC):%A}" for day in range(1, 8)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DAY_US = 86_400 * 10**6
instants = (st.integers(-719_000, 2_932_000) | st.integers(-3_660, 25_000)).flatmap(
    lambda day: st.integers(day * DAY_US, (day + 1) * DAY_US - 1).map(
        lambda micros: (EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None)
    )
)


def written(at: datetime, directive: str) -> str:
    """Return what a directive stands for, without any locale."""
    hour = at.hour % 12 or 12
    offset = at.utcoffset() or timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    texts = {
        "%Y": f"{at.year:04}",
        "%y": f"{at.year % 100:02}",
        "%m": f"{at.month:02}",
        "%-m": f"{at.month}",
        "%b": MONTHS[at.month - 1][:3],
        "%B": MONTHS[at.month - 1],
        "%d": f"{at.day:02}",
        "%-d": f"{at.day}",
        "%e": f"{at.day:2}",
        "%j": f"{at.timetuple().tm_yday:03}",
        "%H": f"{at.hour:02}",
        "%-H": f"{at.hour}",
        "%I": f"{hour:02}",
        "%p": "AM" if at.hour < 12 else "PM",
        "%M": f"{at.minute:02}",
        "%S": f"{at.second:02}",
        "%f": f"{at.microsecond:06}",
        "%z": f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}",
        "%a": DAYS[at.weekday()][:3],
        "%A": DAYS[at.weekday()],
    }
    return texts[directive]


@st.composite
def formats(draw: st.DrawFn) -> list[str]:
    """Directives in any order, with texts between them."""
    day = draw(
        st.sampled_from([["%j"]])
        | st.tuples(
            st.sampled_from(["%m", "%-m", "%b", "%B"]), st.sampled_from(["%d", "%-d", "%e"])
        ).map(list)
    )
    hour = draw(st.sampled_from([["%H"], ["%-H"], ["%I", "%p"]]))
    weekday = draw(st.sampled_from([[], ["%a"], ["%A"]]))
    parts = draw(st.permutations(["%Y", *day, *hour, "%M", "%S", "%f", *weekday]))
    betweens = st.sampled_from([" ", "/", ":", "-", ".", " [", "T", ", ", "%%", "é"])
    return [text for part in parts for text in (part, draw(betweens))]


def text_of(at: datetime, form: list[str]) -> str:
    return "".join(
        written(at, part)
        if len(part) > 1 and part[0] == "%" != part[1]
        else part.replace("%%", "%")
        for part in form
    )


def read(text: str, ref: TimeRef) -> tuple[datetime | None, bool, bool]:
    found = to_time(pa.array([text]), ref)
    marks = (found.ambiguous, found.nonexistent)
    ambiguous, nonexistent = (bool(mask is not None and mask[0]) for mask in marks)
    return found.values[0].as_py(), ambiguous, nonexistent


@given(instants, formats(), st.sampled_from([None, *ZONES]))
def test_an_instant_in_a_format_and_a_zone_comes_back(
    naive: datetime, form: list[str], zone: str | None
) -> None:
    at = naive.replace(tzinfo=UTC)
    local = at.astimezone(load_zone(zone) if zone is not None else UTC)
    found, ambiguous, nonexistent = read(
        text_of(local, form), TimeRef(path="at", format="".join(form), zone=zone)
    )
    assert not nonexistent
    assert ambiguous == (local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset())
    if local.fold:
        assert found == local.replace(fold=0).astimezone(UTC)
        assert found < at
    else:
        assert found == at


@given(instants, formats(), st.integers(-18 * 60, 18 * 60))
def test_an_instant_with_an_offset_comes_back(
    naive: datetime, form: list[str], minutes: int
) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    with_offset = [*form, " ", "%z"]
    found, _, _ = read(text_of(at, with_offset), TimeRef(path="at", format="".join(with_offset)))
    assert found == at


@given(instants, st.sampled_from(ZONES), st.sampled_from(["T", " ", "t"]))
def test_every_local_time_is_an_instant_that_shows_it_or_is_skipped(
    local: datetime, zone: str, between: str
) -> None:
    found, ambiguous, nonexistent = read(local.isoformat(between), TimeRef(path="at", zone=zone))
    zoned = load_zone(zone)
    shows = [
        local.replace(tzinfo=zoned, fold=fold).astimezone(UTC)
        for fold in (0, 1)
        if local.replace(tzinfo=zoned, fold=fold).astimezone(UTC).astimezone(zoned).replace(tzinfo=None) == local
    ]  # fmt: skip
    assert found == (min(shows) if shows else None)
    assert nonexistent == (not shows)
    assert ambiguous == (len(set(shows)) == 2)


@pytest.mark.parametrize("zone", ZONES)
def test_each_minute_around_a_change_of_the_clocks_is_right(zone: str) -> None:
    zoned = load_zone(zone)
    hours = [EPOCH + timedelta(hours=n) for n in range(0, 24 * 365 * 55)]
    before = hours[0].astimezone(zoned).utcoffset()
    changes = []
    for hour in hours:
        offset = hour.astimezone(zoned).utcoffset()
        if offset != before:
            changes.append(hour)
            before = offset
    starts = [
        change.astimezone(zoned).replace(tzinfo=None) + timedelta(minutes=minute, seconds=29.5)
        for change in changes[-4:]
        for minute in range(-26 * 60, 26 * 60)
    ]
    found = to_time(
        pa.array([f"{at}" for at in starts], pa.string()), TimeRef(path="at", zone=zone)
    )
    values = found.values.to_pylist()
    for at, value in zip(starts, values, strict=True):
        assert value == _first(at, zoned)


def _first(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant at which the clocks of a zone show a time."""
    for fold in (0, 1):
        at = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            return at
    return None


@given(
    instants,
    st.integers(0, 9),
    st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+0530", "-08", " UTC", "+18:00"]),
    st.sampled_from(["T", "t", " "]),
    st.booleans(),
)
def test_many_at_once_and_one_by_one_are_the_same(
    at: datetime, digits: int, offset: str, between: str, is_basic: bool
) -> None:
    fraction = f".{at.microsecond:06}789"[: digits + 1] if digits else ""
    if is_basic:
        text = f"{at.year:04}{at:%m%d}T{at:%H%M%S}{fraction}{offset}"
    else:
        text = f"{at.year:04}-{at:%m-%d}{between}{at:%H:%M:%S}{fraction}{offset}"
    ref = TimeRef(path="at")
    alone, padded = (to_time(pa.array([form]), ref) for form in (text, f" {text} "))
    assert alone.values.equals(padded.values)
    assert alone.values[0].is_valid
    cuts = [bool(one.cut is not None and one.cut[0]) for one in (alone, padded)]
    assert cuts == [digits > 6] * 2


def test_lines_with_times_of_every_kind_are_decided_as_by_the_reference() -> None:
    source = source_of(
        fields={"event_id": "id", "event_time": {"paths": ["d", "t"], "zone": "Europe/Berlin"}},
        columns={
            "ms": {"path": "ms", "type": "timestamp", "unit": "epoch_ms"},
            "ny": {"path": "ny", "type": "timestamp", "zone": "America/New_York"},
        },
        accept={"late": "36500d", "future": "36500d"},
    )
    values = {
        "d": ["2024-03-31", "2024-10-27", "20241027T", "", None, 5],
        "t": ["02:30:00", "02:30", "01:00:00.1234567", "12:00:00+01:00", None, ""],
        "ms": [1709294400000, 1709294400000.1239, "1e12", "x", None, True],
        "ny": ["2024-03-10T02:30:00", "2024-11-03 01:30", "2024-11-03T01:30:00Z", 1, None],
    }
    chosen = [dict(zip(values, some, strict=True)) for some in itertools.product(*values.values())]
    lines = [json.dumps({"id": str(n), **line}) for n, line in enumerate(chosen)]
    for row, line in zip(rows_of(source, lines), lines, strict=True):
        place = Place(NOON, row["file"], row["line"])
        decided = decide_json(line.encode(), source, place)
        assert (row["_reason"], line) == (decided.reason, line)
        for name in ("event_time", "ms", "ny") if decided.reason is None else ():
            expected = decided.values[name]
            assert row[name] == (expected and expected.rstrip("0").rstrip(".")), line
