"""The demo's made-up dumps: the same for everybody, and as bad as they say they are."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from reckoning import Description, Dump, keep_events, read_delimited, read_json_lines, sessions_of
from tidegate.config.source import load_source
from tidegate_demo.faults import Fault, Planted
from tidegate_demo.rhythm import FIRST_HOUR, LAST_HOUR
from tidegate_demo.traffic import (
    CUT,
    SOURCES,
    DumpObject,
    dumps,
    planted,
    whole,
)

SCALE = 0.05
LINES_SHA256 = "082fc48c3efc448f3b11739a3803d2232db6ac36d06afbc8ab19fc731fbbe3bf"
"""Of all lines at `SCALE`, of the seed that is the default."""


def _price(written: str) -> bool:
    try:
        value = Decimal(written)
    except InvalidOperation:
        return False
    return value.is_finite() and abs(value) < 10**8


SHOP = Description(
    source="shop",
    event_id="id",
    event_time="ts",
    event_type="type",
    user_id="user.id",
    anonymous_id="user.anonymous_id",
    late=timedelta(days=1),
    fits={"price": _price},
)
APP = Description(
    source="app",
    event_time="at_ms",
    event_type="event",
    user_id="user_id",
    anonymous_id="device_id",
    unit="epoch_ms",
    late=timedelta(days=1),
    fits={"battery": lambda text: text.isdigit() and len(text) < 9},
)


@pytest.fixture(scope="module")
def objects() -> list[DumpObject]:
    return list(dumps(scale=SCALE))


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted(scale=SCALE)


@pytest.fixture(scope="module")
def read(objects: list[DumpObject]) -> Mapping[tuple[str, datetime], Dump]:
    files: dict[tuple[str, datetime], dict[str, bytes]] = {}
    for one in objects:
        files.setdefault((one.source, one.hour), {})[one.key] = whole(one)
    return {
        (source, hour): read_json_lines(SHOP, hour, of_hour)
        if source == "shop"
        else read_delimited(APP, hour, of_hour, ";")
        for (source, hour), of_hour in files.items()
    }


def test_a_seed_gives_the_same_lines_on_every_machine(objects: list[DumpObject]) -> None:
    found = hashlib.sha256()
    for one in objects:
        found.update(one.key.encode() + b"\0" + gzip.decompress(whole(one)))
    assert found.hexdigest() == LINES_SHA256


def test_a_seed_gives_the_same_bytes_twice_and_another_seed_others(
    objects: list[DumpObject],
) -> None:
    assert list(dumps(scale=SCALE)) == objects
    assert [one.body for one in dumps(seed=7, scale=SCALE)] != [one.body for one in objects]


def test_there_are_24_hours_of_both_sources_over_two_utc_days(objects: list[DumpObject]) -> None:
    hours = [FIRST_HOUR + timedelta(hours=step) for step in range(24)]
    assert (hours[0], hours[-1]) == (datetime(2026, 3, 1, 12, tzinfo=UTC), LAST_HOUR)
    files = Counter((one.source, one.hour) for one in objects)
    assert files == {(s, h): 2 if s == "shop" else 1 for s in SOURCES for h in hours}
    assert len({one.key for one in objects}) == len(objects)


def test_at_full_scale_there_are_over_100_000_events_without_the_cut_hour() -> None:
    truth = planted()
    assert 100_000 <= sum(truth.of(source).events for source in SOURCES) <= 120_000


def test_every_kind_of_fault_is_planted(truth: Planted) -> None:
    shop, app = truth.of("shop", healed=True), truth.of("app", healed=True)
    assert set(shop.faults) | set(app.faults) == set(Fault)
    assert min(*shop.faults.values(), *app.faults.values()) >= 1
    assert shop.duplicates_within and shop.duplicates_across
    for tally in (shop, app):
        assert tally.late and tally.without_user
        bad = sum(tally.faults.values())
        duplicates = tally.duplicates_within + tally.duplicates_across
        assert tally.lines == tally.events + duplicates + bad


def test_what_is_planted_is_what_an_independent_reading_finds(
    truth: Planted, read: Mapping[tuple[str, datetime], Dump]
) -> None:
    for key, tally in truth.dumps.items():
        assert (read[key].lines, dict(read[key].quarantined)) == (tally.lines, tally.reasons())
    for source in SOURCES:
        own = {hour: dump.events for (name, hour), dump in read.items() if name == source}
        kept = keep_events(own, 24)
        tally = truth.of(source, healed=True)
        assert (len(kept.events), kept.within, kept.across) == (
            tally.events,
            tally.duplicates_within,
            tally.duplicates_across,
        )
        assert sum(e.user_key is None for e in kept.events) == tally.without_user
        assert sum(e.event_time < e.dump_hour for e in kept.events) == tally.late


def test_one_file_was_cut_short_and_can_be_healed(
    objects: list[DumpObject], truth: Planted
) -> None:
    (cut,) = [one for one in objects if one.intact is not None]
    assert ((cut.source, cut.hour), cut.key) == (truth.cut, truth.cut_key) == (CUT, cut.key)
    assert whole(cut).startswith(cut.body)
    assert len(whole(cut)) / 2 <= len(cut.body) < len(whole(cut))
    with pytest.raises(EOFError):
        gzip.decompress(cut.body)
    lines = gzip.decompress(whole(cut)).count(b"\n")
    assert lines == truth.dumps[CUT].lines + 1  # the header
    for other in objects:
        assert other is cut or whole(other) == other.body


def test_without_the_cut_hour_its_lines_are_not_counted(truth: Planted) -> None:
    app = truth.of("app"), truth.of("app", healed=True)
    assert app[1].lines - app[0].lines == truth.dumps[CUT].lines
    assert truth.of("shop") == truth.of("shop", healed=True)


def test_sessions_pass_midnight_and_a_robot_never_pauses(
    read: Mapping[tuple[str, datetime], Dump],
) -> None:
    own = {hour: dump.events for (name, hour), dump in read.items() if name == "shop"}
    sessions = sessions_of(keep_events(own, 24).events, 1800, 4 * 3600)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    people = [s for s in sessions if s.user_key != "anon-crawler"]
    assert any(s.start < midnight <= s.end for s in people)
    assert any(len(s.events) > 1 for s in people) and any(s.is_bounce for s in people)
    robot = [s for s in sessions if s.user_key == "anon-crawler"]
    assert len(robot) == 6  # 24 hours cut every 4
    days = {e.event_time.date() for s in sessions for e in s.events}
    assert days == {date(2026, 3, 1), date(2026, 3, 2)}


def test_lines_come_out_of_order(read: Mapping[tuple[str, datetime], Dump]) -> None:
    for source in SOURCES:
        of_hours = [dump for (name, _), dump in read.items() if name == source]
        times = [[event.event_time for event in dump.events] for dump in of_hours]
        assert sum(own != sorted(own) for own in times) > 18  # some hours of the night are tiny


def test_the_source_files_describe_the_dumps(objects: list[DumpObject]) -> None:
    folder = Path(__file__).resolve().parents[2] / "dags" / "sources"
    for name, about in (("shop", SHOP), ("app", APP)):
        source = load_source(folder / f"{name}.yml")
        assert source.since == FIRST_HOUR
        assert source.accept.late == about.late
        assert source.fields.event_time.path == about.event_time
        assert (source.fields.event_id is None) == (about.event_id is None)
        assert source.complete.files == sum(
            one.source == name and one.hour == FIRST_HOUR for one in objects
        )
