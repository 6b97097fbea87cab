"""Sequences: what of the numbers of producers arrived, against sets of numbers that are counted out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from project import HOUR, NOON
from tidegate.lake import parse_time
from tidegate.query.sequences import REACH, SILENT, sequences

Row = dict[str, Any]
Hours = Mapping[int, Mapping[str, Sequence[int] | None] | None]
"""By hour from noon: of each producer the numbers received, None for too many runs; None: not known."""


def runs(numbers: Iterable[int]) -> list[Row]:
    """Return different numbers as runs without a gap."""
    different = set(numbers)
    starts = sorted(n for n in different if n - 1 not in different)
    ends = sorted(n for n in different if n + 1 not in different)
    return [{"first": first, "last": last} for first, last in zip(starts, ends, strict=True)]


def at(hour: int) -> str:
    return (NOON + hour * HOUR).isoformat()


def from_noon(time: str) -> int:
    return int((parse_time(time) - NOON) / HOUR)


def reckoned(*histories: Hours) -> list[Row]:
    """Return what the rule says of histories, each of a source of its own."""
    standing, numbers = [], []
    for number, hours in enumerate(histories):
        for hour, found in hours.items():
            if found is None:
                continue
            row = {"source": f"s{number}", "dump_hour": at(hour), "landing_id": f"l{hour}"}
            standing.append({**row, "published": True})
            for producer, got in found.items():
                counts: Row = {"received": 7, "first": 0, "last": 99, "runs": None}
                if got is not None:
                    counts = {"received": len(got), "first": min(got), "last": max(got)}
                    counts["runs"] = runs(got)
                numbers.append({**row, "producer": producer, **counts})
    found_ = sequences(standing, numbers)
    return sorted(found_, key=lambda row: (row["source"], row["producer"], row["dump_hour"]))


def shown(hours: Hours, *columns: str) -> list[tuple[Any, ...]]:
    """Return some columns of the one producer's rows, hours counted from noon."""

    def of(row: Row, name: str) -> Any:
        value = row[name]
        if name.endswith("hour"):
            return None if value is None else from_noon(value)
        return value

    return [tuple(of(row, name) for name in ("dump_hour", *columns)) for row in reckoned(hours)]


def count(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# -- the rule, by sets -----------------------------------------------------------------------------


def told(hours: Hours) -> dict[tuple[str, int], Row]:
    """Return by producer and hour what there should be: sets of numbers, one after another."""
    back, silent = int(REACH / HOUR), int(SILENT / HOUR)
    known = {hour: found for hour, found in hours.items() if found is not None}
    heard = {
        producer: {hour: found[producer] for hour, found in known.items() if producer in found}
        for producer in {name for found in known.values() for name in found}
    }
    out: dict[tuple[str, int], Row] = {}
    for producer, by_hour in heard.items():
        for hour in known:
            before = [h for h in by_hour if hour - back <= h < hour]
            previous = max(before, default=None)
            if hour not in by_hour:
                if previous is not None and hour - previous <= silent:
                    out[producer, hour] = {"received": 0, "lost": None, "previous": previous}
                continue
            got = by_hour[hour]
            if got is None:
                out[producer, hour] = {"received": 7, "lost": None, "previous": previous}
                continue
            earlier = {h: set(by_hour[h] or ()) for h in before if by_hour[h] is not None}
            seen = set().union(*earlier.values())
            later = [set(n or ()) for h, n in by_hour.items() if hour < h <= hour + back]
            mine = set(got)
            floor = max(seen, default=min(mine) - 1)
            expected = set(range(floor + 1, max(mine) + 1))
            gone = expected - mine - set().union(*later)
            top = max((h for h, n in earlier.items() if floor in n), default=hour)
            is_known = all(
                h in known and by_hour.get(h, ()) is not None for h in range(top + 1, hour)
            )
            edge = min((n for n in mine if n > floor), default=floor)
            awaited = set() if is_known else {n for n in gone if n < edge}
            out[producer, hour] = {
                "received": len(got),
                "expected": len(expected),
                "lost": len(gone - awaited),
                "awaited": len(awaited),
                "late": len({n for n in mine - seen if n < floor}),
                "repeated": len(got) - len(mine - seen),
                "previous": previous,
            }
    return out


def compare(*histories: Hours) -> None:
    expected = {
        (f"s{number}", *key): row
        for number, hours in enumerate(histories)
        for key, row in told(hours).items()
    }
    got = {}
    for row in reckoned(*histories):
        previous = row["previous_hour"]
        row["previous"] = None if previous is None else from_noon(previous)
        key = row["source"], row["producer"], from_noon(row["dump_hour"])
        assert key not in got
        got[key] = row
    assert got.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: got[key][name] for name in row} == row, key


HOUR_FOUND = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.one_of(st.none(), st.lists(st.integers(0, 12), min_size=1, max_size=8)),
        max_size=2,
    ),
)


def histories(hours: st.SearchStrategy[int]) -> st.SearchStrategy[list[Hours]]:
    """Return lists of histories: the rule is asked of all of them at once, as to ask takes longest."""
    return st.lists(st.dictionaries(hours, HOUR_FOUND, max_size=8), min_size=1, max_size=30)


@settings(max_examples=15, deadline=None)
@given(histories(st.integers(0, 6)))
def test_the_rule_is_that_of_sets(found: list[Hours]) -> None:
    compare(*found)


@settings(max_examples=10, deadline=None)
@given(histories(st.sampled_from([0, 1, 23, 24, 25, 26, 167, 168, 169, 170])))
def test_it_reaches_as_far_as_it_says_and_no_further(found: list[Hours]) -> None:
    compare(*found)


def test_a_stream_that_lost_repeated_and_delayed_lines_is_accounted_for() -> None:
    chance = random.Random(7)
    sent = {f"p{n}": count(1, 400) for n in range(3)}
    hours: dict[int, dict[str, list[int]]] = {hour: {} for hour in range(12)}
    lost = dict.fromkeys(sent, 0)
    for producer, numbers in sent.items():
        for number in numbers:
            if 1 < number < 400 and chance.random() < 0.05:
                lost[producer] += 1
                continue
            hour = min(11, (number - 1) // 40 + (chance.randrange(3) if 1 < number < 390 else 0))
            hours[hour].setdefault(producer, []).append(number)
            if chance.random() < 0.02:
                hours[min(11, hour + 1)].setdefault(producer, []).append(number)
    compare(hours)
    for producer, missing in lost.items():
        rows = [row for row in reckoned(hours) if row["producer"] == producer]
        assert sum(row["lost"] or 0 for row in rows) == missing
        assert sum(row["expected"] or 0 for row in rows) == 400


# -- what dags/sources/README.md says of it -------------------------------------------------------


def test_the_first_number_of_an_hour_follows_the_last_of_the_hour_before() -> None:
    hours = {0: {"a": count(5, 9)}, 1: {"a": count(10, 12)}, 2: {"a": count(15, 16)}}
    assert shown(hours, "expected", "received", "lost") == [
        (0, 5, 5, 0),
        (1, 3, 3, 0),
        (2, 4, 2, 2),
    ]


def test_what_comes_late_is_not_lost_any_more() -> None:
    hours: dict[int, Any] = {0: {"a": [1, 2]}, 1: {"a": [5, 6]}}
    assert shown(hours, "lost", "late") == [(0, 0, 0), (1, 2, 0)]
    hours[2] = {"a": [3, 7]}
    assert shown(hours, "lost", "late") == [(0, 0, 0), (1, 1, 0), (2, 0, 1)]


def test_an_hour_that_is_not_known_makes_what_it_may_have_awaited_and_not_lost() -> None:
    hours: dict[int, Any] = {0: {"a": [1, 2]}, 1: None, 2: {"a": [6, 8]}}
    assert shown(hours, "lost", "awaited") == [(0, 0, 0), (2, 1, 3)]
    hours[1] = {"a": [3, 4]}
    assert shown(hours, "lost", "awaited") == [(0, 0, 0), (1, 0, 0), (2, 2, 0)]


def test_a_producer_that_fell_silent_is_told_of_for_a_day_and_when_it_comes_back() -> None:
    hours: dict[int, Any] = {hour: {"b": [hour + 1]} for hour in range(31)}
    hours[0]["a"] = [1, 2]
    hours[30]["a"] = [5]
    rows = [row for row in reckoned(hours) if row["producer"] == "a"]
    assert [row["received"] for row in rows] == [2, *[0] * 24, 1]
    assert {row["lost"] for row in rows[1:-1]} == {None}
    assert {parse_time(row["previous_hour"]) for row in rows[1:]} == {NOON}
    assert (rows[-1]["expected"], rows[-1]["lost"]) == (3, 2)


def test_numbers_that_came_before_are_repeats_in_an_hour_or_in_two() -> None:
    hours = {0: {"a": [1, 1, 2]}, 1: {"a": [2, 2, 3]}}
    assert shown(hours, "received", "repeated", "lost") == [(0, 3, 1, 0), (1, 3, 2, 0)]


def test_a_producer_that_begins_anew_repeats_itself_or_is_late_where_it_was_not_heard_of() -> None:
    hours = {0: {"a": count(3, 6)}, 1: {"a": count(1, 8)}}
    assert shown(hours, "expected", "late", "repeated", "lost") == [
        (0, 4, 0, 0, 0),
        (1, 2, 2, 4, 0),
    ]


def test_numbers_in_too_many_runs_are_not_counted_and_make_no_loss_elsewhere() -> None:
    hours = {0: {"a": [1, 2]}, 1: {"a": None}, 2: {"a": [90, 91]}}
    assert shown(hours, "received", "expected", "lost", "awaited") == [
        (0, 2, 2, 0, 0),
        (1, 7, None, None, None),
        (2, 2, 89, 0, 87),
    ]


def test_the_largest_numbers_fit() -> None:
    top = (1 << 63) - 2
    rows = reckoned({0: {"a": [0, top]}, 1: {"a": [0, top]}})
    assert [(row["expected"], row["lost"], row["repeated"]) for row in rows] == [
        (top + 1, top - 1, 0),
        (0, 0, 2),
    ]


def test_many_runs_in_many_hours_are_counted_in_time() -> None:
    hours = {hour: {"a": list(range(hour, 20_000, 2))} for hour in range(2)}
    rows = reckoned(hours)
    assert [(row["lost"], row["late"]) for row in rows] == [(0, 0), (0, 9_999)]


def test_of_nothing_there_is_nothing() -> None:
    assert reckoned({}) == []
    assert reckoned({0: {}, 1: None}) == []
