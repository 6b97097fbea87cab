"""The reckoning itself, by cases that were worked out by hand."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from reckoning import (
    Day,
    Description,
    Event,
    daily_of,
    hourly_of,
    keep_events,
    parse_time,
    read_delimited,
    read_json_lines,
    sessions_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GAP = 1800
DAY = 86_400
TICK = timedelta(microseconds=1)


def event(
    time: datetime = NOON,
    user: str | None = "u",
    *,
    event_id: str = "",
    hour: datetime = NOON,
    kind: str = "view",
    line: int = 1,
) -> Event:
    return Event("s", hour, event_id or time.isoformat(), time, kind, user, "f", line)


def starts(*times: datetime, longest: float = DAY) -> list[datetime]:
    return [s.start for s in sessions_of([event(time) for time in times], GAP, longest)]


def test_exactly_the_gap_does_not_cut() -> None:
    assert starts(NOON, NOON + timedelta(seconds=GAP)) == [NOON]


def test_a_microsecond_more_than_the_gap_cuts() -> None:
    later = NOON + timedelta(seconds=GAP) + TICK
    assert starts(NOON, later) == [NOON, later]


def test_the_gap_counts_from_the_previous_event_and_not_from_the_start() -> None:
    times = [NOON + timedelta(minutes=20 * step) for step in range(4)]
    assert starts(*times) == [NOON]


def test_exactly_the_longest_time_after_the_start_cuts() -> None:
    times = [NOON + timedelta(minutes=30 * step) for step in range(5)]
    assert starts(*times, longest=7200) == [NOON, NOON + timedelta(hours=2)]
    just_before = [*times[:4], times[4] - TICK]
    assert starts(*just_before, longest=7200) == [NOON]


def test_after_a_cut_the_longest_time_counts_anew() -> None:
    times = [NOON + timedelta(minutes=30 * step) for step in range(9)]
    cuts = [NOON, NOON + timedelta(hours=2), NOON + timedelta(hours=4)]
    assert starts(*times, longest=7200) == cuts


def test_events_of_one_time_are_ordered_by_id() -> None:
    (session,) = sessions_of([event(event_id="b"), event(event_id="a")], GAP, DAY)
    assert [e.event_id for e in session.events] == ["a", "b"]
    assert session.duration_s == 0
    assert not session.is_bounce


def test_the_order_of_the_input_does_not_count() -> None:
    times = [NOON + timedelta(minutes=17 * step * step) for step in range(5)]
    assert starts(*times) == starts(*reversed(times))


def test_users_have_sessions_of_their_own_and_nobody_has_none() -> None:
    found = sessions_of([event(user="a"), event(user="b"), event(user=None)], GAP, DAY)
    assert [(s.user_key, s.is_bounce) for s in found] == [("a", True), ("b", True)]


def test_a_session_over_midnight_belongs_to_the_day_of_its_start() -> None:
    late = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
    events = [event(late), event(late + timedelta(minutes=20))]
    days = daily_of(events, sessions_of(events, GAP, DAY))
    first = Day(1, 1, 1, Fraction(1200), Fraction(1200), Fraction(0))
    assert days == {
        ("s", date(2026, 3, 1)): first,
        ("s", date(2026, 3, 2)): Day(1, 1, 0, None, None, None),
    }


def test_a_day_has_mean_exact_median_and_bounce_rate() -> None:
    events = [event(user=None)]
    for user, seconds in (("a", 0), ("b", 1), ("c", 10), ("d", 101)):
        events.append(event(user=user))
        if seconds:
            events.append(event(NOON + timedelta(seconds=seconds), user))
    (day,) = daily_of(events, sessions_of(events, GAP, DAY)).values()
    assert day == Day(8, 4, 4, Fraction(28), Fraction(11, 2), Fraction(1, 4))


def test_hours_count_events_and_different_users_by_type() -> None:
    events = [
        event(),
        event(user="v"),
        event(user="v"),
        event(user=None),
        event(kind="buy"),
        event(NOON + timedelta(hours=1)),
    ]
    assert hourly_of(events) == {
        ("s", NOON, "view"): (4, 2),
        ("s", NOON, "buy"): (1, 1),
        ("s", NOON + timedelta(hours=1), "view"): (1, 1),
    }


def test_a_duplicate_is_what_an_earlier_line_of_the_dump_has() -> None:
    kept = keep_events({NOON: [event(event_id="x", line=2), event(event_id="x", line=1)]}, 24)
    assert ([e.line for e in kept.events], kept.within, kept.across) == ([1], 1, 0)


def test_a_duplicate_is_what_a_dump_within_the_window_has_kept_there_or_not() -> None:
    hours = [NOON + timedelta(hours=step) for step in (0, 2, 4)]
    dumps = {hour: [event(event_id="x", hour=hour)] for hour in hours}
    # The dump at 16 is compared with the one at 14, whose own copy was dropped.
    assert keep_events(dumps, 2).across == 2
    assert keep_events(dumps, 1).across == 0
    without = {hour: dumps[hour] for hour in (hours[0], hours[2])}
    assert keep_events(without, 2).across == 0
    assert keep_events(without, 4).across == 1


def test_later_dumps_make_no_duplicates_of_earlier_ones() -> None:
    later = NOON + timedelta(hours=1)
    dumps = {later: [event(event_id="x", hour=later)], NOON: [event(event_id="x")]}
    assert [e.dump_hour for e in keep_events(dumps, 24).events] == [NOON]


JSON = Description(
    source="s",
    event_id="id",
    event_time="ts",
    event_type="type",
    user_id="user.id",
    anonymous_id="anon",
    late=timedelta(days=1),
    fits={"n": str.isdigit},
)


def read(*lines: bytes) -> tuple[list[Event], dict[str, int], int]:
    dump = read_json_lines(JSON, NOON, {"a": gzip.compress(b"\n".join(lines) + b"\n")})
    return dump.events, dict(dump.quarantined), dump.lines


def test_json_lines_become_events() -> None:
    events, bad, lines = read(
        b'{"id":12345678901234567890,"ts":"2026-03-01T14:00:00.5+02:00","type":"t",'
        b'"user":{"id":7}}',
        b'{"id":"b","ts":"2026-03-01T12:00:00Z","user":{"id":null},"anon":"x","n":1}',
        b'{"id":"c","ts":"2026-03-01 12:00:00","user":{"id":""},"anon":" "}',
    )
    half = NOON + timedelta(milliseconds=500)
    assert [(e.event_id, e.event_time, e.event_type, e.user_key, e.line) for e in events] == [
        ("12345678901234567890", half, "t", "7", 1),
        ("b", NOON, None, "x", 2),
        ("c", NOON, None, None, 3),
    ]
    assert (bad, lines) == ({}, 3)


def test_lines_that_are_no_events_are_counted_by_reason() -> None:
    events, bad, lines = read(
        b'{"id":"\xff"}',
        b" \r",
        b'{"id":',
        b'{"id":1} {"id":2}',
        b"[1]",
        b'{"ts":"2026-03-01T12:00:00Z"}',
        b'{"id":1}',
        b'{"id":1,"ts":"2026-02-30T12:00:00Z"}',
        b'{"id":1,"ts":"2026-02-28T11:59:59.999999Z"}',
        b'{"id":1,"ts":"2026-03-01T14:00:00.000001Z"}',
        b'{"id":1,"ts":"2026-03-01T12:00:00Z","n":"x"}',
        b'{"id":2,"ts":"2026-02-28T12:00:00Z"}',
        b'{"id":3,"ts":"2026-03-01T14:00:00Z"}',
    )
    assert bad == {
        "not_utf8": 1,
        "blank_line": 1,
        "not_json": 2,
        "not_object": 1,
        "missing_event_id": 1,
        "missing_event_time": 1,
        "bad_event_time": 1,
        "too_late": 1,
        "too_early": 1,
        "bad_value": 1,
    }
    assert [e.event_id for e in events] == ["2", "3"]
    assert lines == 13


def test_delimited_lines_are_named_by_the_header_of_their_file() -> None:
    about = Description(source="s", event_time="at", user_id="who", unit="epoch_s")
    at = str(int(NOON.timestamp()))
    files = {
        "h/b": f"who;at\nv;{at}\nv;{at}\n".encode(),
        "h/a": f'at;who\n{at};"u;1"\n{at}.25;\n{at}\n'.encode(),
    }
    dump = read_delimited(about, NOON, files, ";")
    assert [(e.event_id, e.user_key, e.event_time.microsecond) for e in dump.events] == [
        ("h/a:2", "u;1", 0),
        ("h/a:3", None, 250_000),
        ("h/b:2", "v", 0),
        ("h/b:3", "v", 0),
    ]
    assert (dict(dump.quarantined), dump.lines) == ({"wrong_columns": 1}, 5)
    assert keep_events({NOON: dump.events}, 24).within == 0


def test_times_are_read_with_their_zone_and_to_the_microsecond() -> None:
    assert parse_time("2026-03-01T07:00-05:00", "iso") == NOON
    assert parse_time("2026-03-01T12:00:00.0000019Z", "iso") == NOON + TICK
    assert parse_time("1772366400000", "epoch_ms") == NOON
    for wrong in ("12:30", "2026-03-01", "2026-03-01T25:00:00Z", "soon"):
        assert parse_time(wrong, "iso") is None
    for wrong in ("NaN", "Infinity", "1e30", "x"):
        assert parse_time(wrong, "epoch_s") is None
