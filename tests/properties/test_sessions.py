"""What the design promises of sessions, on random histories; hundreds of them a query, on either engine.

Each history is a user of its own, so that one query judges them all. Times lie on a coarse grid, and
the pauses that matter (exactly the gap, exactly the longest session, ties) are likely.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from compare import Row, assert_same_rows
from project import HOUR, NOON
from reckoned import EVENT_COLUMNS, event_row, session_row
from reckoning import Event, sessions_of
from tidegate.lake import Staged, literal
from tidegate.tables import sessions
from tidegate.tables.sessions import (
    RESUMED,
    TABLE,
    Rules,
    affected,
    events_of,
    is_long,
    sessionize,
    uncut,
)
from workbench import Workbench

MINUTE = timedelta(minutes=1)
GAP = 3 * MINUTE
MAX = 11 * MINUTE
RULES = Rules(gap=GAP, max=MAX)
MIDNIGHT = NOON.replace(hour=23, minute=40)
"""Histories begin here: sessions run over an hour's and a day's end."""
FIRST_CHANGED = NOON + 16 * HOUR

SPANS = {"k": "string", "lo": "bigint", "hi": "bigint"}
BEGUN = {"session_id": "string", **SPANS, "dump_hours": "array<timestamp>"}
RANGES = {**SPANS, "last": "bigint", "after": "bigint"}
ENDED = {**SPANS, "is_resumed": "boolean"}

History = list[Event]


def draw(chance: random.Random, user: str, size: int, span: int) -> History:
    """Return a user's events: minutes of a span, some with a microsecond more, some at once."""
    events = []
    for number in range(size):
        time = MIDNIGHT + chance.randrange(span) * MINUTE
        if chance.random() < 0.15:
            time += timedelta(microseconds=chance.choice([-1, 1]))
        events.append(
            Event(
                source="web",
                dump_hour=NOON + chance.randrange(12, 18) * HOUR,
                event_id=f"{user}-{chance.randrange(10**6):06d}-{number}",
                event_time=time,
                event_type=chance.choice(["view", "click", None]),
                user_key=user,
                # A visitor of the same name is somebody else.
                user_key_kind="anonymous" if chance.random() < 0.1 else "user",
                file="f",
                line=number,
            )
        )
    return events


def staged(bench: Workbench, events: Sequence[Event], own: bool = False) -> Staged:
    """Stage events; with `own`, two thirds of the users bring session ids of their own."""

    def session_id(event: Event) -> str | None:
        number = int(str(event.user_key)[1:]) if own else 0
        return f"s{number}-{event.line % 3}" if own and number % 3 else None

    return bench.stage([event_row(event, session_id(event)) for event in events], EVENT_COLUMNS)


def sessions_in(bench: Workbench, events: Staged) -> list[Row]:
    return bench.run(sessionize(RULES), TABLE.types, events=events)


def reckoned(events: Sequence[Event]) -> list[Row]:
    found = sessions_of(events, GAP.total_seconds(), MAX.total_seconds())
    return [session_row(session) for session in found]


@pytest.mark.parametrize("seed", range(3))
def test_sessions_are_those_of_the_definition(seed: int, workbench: Workbench) -> None:
    chance = random.Random(seed)
    events = []
    for number in range(250):
        size = chance.randrange(1, 14)
        events += draw(chance, f"u{number}", size, chance.choice([4, 12, 40]))
    events += [
        replace(event, user_key=None, event_id=f"n{at}") for at, event in enumerate(events[:40])
    ]
    chance.shuffle(events)
    found = sessions_in(workbench, staged(workbench, events))
    assert_same_rows(found, reckoned(events), ["user_key", "session_start"])
    assert sum(row["event_count"] for row in found) == sum(e.user_key is not None for e in events)
    assert len({row["session_id"] for row in found}) == len(found)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_not_long_is_a_session_already_and_what_is_long_is_cut_of_its_own_events(
    seed: int, workbench: Workbench
) -> None:
    chance = random.Random(seed)
    drawn = [draw(chance, f"u{n}", chance.randrange(1, 30), 30) for n in range(120)]
    events = staged(workbench, [event for each in drawn for event in each])
    runs = workbench.build(uncut(RULES), TABLE.types, events=events)
    long = is_long(RULES)
    theirs = workbench.build(events_of(long), EVENT_COLUMNS, events=events, sessions=runs)
    cut = workbench.build(sessionize(RULES), TABLE.types, events=theirs)
    found = workbench.run(
        f"SELECT * FROM {{runs}} WHERE NOT {long} UNION ALL SELECT * FROM {{cut}}",
        TABLE.types,
        runs=runs,
        cut=cut,
    )
    assert (
        0 < workbench.value(f"SELECT count(*) FROM {{runs}} WHERE {long}", runs=runs) < len(found)
    )
    assert_same_rows(found, sessions_in(workbench, events), ["user_key", "session_start"])


def at(*minutes: float, user: str = "u") -> History:
    return [
        Event("web", NOON, f"e{n}", MIDNIGHT + m * MINUTE, "view", user, "f", n)
        for n, m in enumerate(minutes)
    ]


EXACT: dict[str, tuple[History, list[int]]] = {
    "a pause of exactly the gap goes on": (at(0, 3, 6), [3]),
    "a pause longer than the gap by a microsecond ends it": (at(0, 3 + 1 / 60_000_000), [1, 1]),
    "an event exactly max after the start begins anew": (at(0, 3, 6, 9, 11), [4, 1]),
    "an event just before max still belongs": (at(0, 3, 6, 9, 11 - 1 / 60_000_000), [5]),
    "several cuts follow each other": (at(*range(0, 34)), [11, 11, 11, 1]),
    "after a cut the length counts from the cut": (
        at(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24),
        [6, 6, 1],
    ),
    "events of one time are one session": (at(5, 5, 5), [3]),
    "events of the time of a cut are together": (at(0, 3, 6, 9, 11, 11, 11), [4, 3]),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_rules_hold_to_the_microsecond(name: str, workbench: Workbench) -> None:
    events, counts = EXACT[name]
    found = sessions_in(workbench, staged(workbench, events))
    by_start = sorted(found, key=lambda row: str(row["session_start"]))
    assert [row["event_count"] for row in by_start] == counts
    assert_same_rows(found, reckoned(events), ["session_start"])


def test_a_user_id_and_an_anonymous_id_of_one_name_in_two_sources_are_two_users(
    workbench: Workbench,
) -> None:
    events = [*at(0, 1), *(replace(e, source="app", event_id=f"x{e.event_id}") for e in at(0, 1))]
    found = sessions_in(workbench, staged(workbench, events))
    assert_same_rows(found, reckoned(events), ["source"])


def test_a_sources_own_session_ids_are_the_sessions_however_long_the_pauses(
    workbench: Workbench,
) -> None:
    events = at(0, 1, 50, 500, 501)
    own = ["a", "b", "a", None, None]
    rows = [event_row(event, own_id) for event, own_id in zip(events, own, strict=True)]
    found = sessions_in(workbench, workbench.stage(rows, EVENT_COLUMNS))
    ours = {row["session_id"]: row for row in found}
    assert {key: row["event_count"] for key, row in ours.items() if len(key) == 1} == {
        "a": 2,
        "b": 1,
    }
    assert ours["a"]["duration_s"] == 3000
    [rest] = [row for row in found if row["source_session_id"] is None]
    assert rest["event_count"] == 2


# -- incremental equals anew ---------------------------------------------------------------------

Change = Callable[[random.Random, History, str], History]


def _late(chance: random.Random, history: History, user: str) -> History:
    return history + draw(chance, f"{user}", chance.randrange(1, 4), 40)


def _fewer(chance: random.Random, history: History, user: str) -> History:  # noqa: ARG001
    return [event for event in history if chance.random() < 0.6]


def _moved(chance: random.Random, history: History, user: str) -> History:  # noqa: ARG001
    return [
        replace(event, event_time=event.event_time + chance.randrange(-4, 5) * MINUTE)
        if chance.random() < 0.4
        else event
        for event in history
    ]


def _both(chance: random.Random, history: History, user: str) -> History:
    return _late(chance, _fewer(chance, history, user), user)


def update(
    bench: Workbench, before: Sequence[Event], after: Sequence[Event], own: bool
) -> tuple[list[Row], int]:
    """Do what a derive run does, on rows instead of tables: old sessions, changed dumps, affected ranges.

    Returns the sessions, and how many ranges ended before their island did.
    """
    dumps = {
        hour: (
            {e for e in before if e.dump_hour == hour},
            {e for e in after if e.dump_hour == hour},
        )
        for hour in {e.dump_hour for e in (*before, *after)}
    }
    hours = sorted(hour for hour, (old, new) in dumps.items() if old != new)
    old = bench.build(sessionize(RULES), TABLE.types, events=staged(bench, before, own))
    events = staged(bench, after, own)
    begun = (
        f"SELECT session_id, {sessions.KEY} AS k, epoch_us(session_start) AS lo, "
        "epoch_us(session_end) AS hi, dump_hours FROM {of}"
    )
    fed = " OR ".join(f"list_contains(dump_hours, {literal(hour)})" for hour in hours)
    touched = bench.build(
        f"SELECT k, min(t) AS lo, max(t) AS hi FROM (SELECT {sessions.KEY} AS k, "
        "date_trunc('hour', event_time) AS h, epoch_us(event_time) AS t FROM {events} "
        f"WHERE user_key IS NOT NULL AND dump_hour IN ({', '.join(map(literal, hours))})) e "
        f"GROUP BY k, h UNION ALL SELECT k, lo, hi FROM ({begun}) s WHERE {fed}",
        SPANS,
        events=events,
        of=old,
    )
    stretches = bench.build(begun, BEGUN, of=old)
    ranges = bench.build(affected(RULES), RANGES, touched=touched, old=stretches)
    columns = ", ".join(EVENT_COLUMNS)
    needed = bench.build(
        f"SELECT {columns} FROM (SELECT *, {sessions.KEY} AS k, epoch_us(event_time) AS t FROM {{events}}) e "
        "SEMI JOIN {ranges} r ON e.k = r.k AND e.t BETWEEN r.lo AND r.hi",
        EVENT_COLUMNS,
        events=events,
        ranges=ranges,
    )
    built = bench.build(sessionize(RULES), TABLE.types, events=needed)
    starts = bench.build(begun, BEGUN, of=built)
    ended = bench.build(RESUMED, ENDED, ranges=ranges, old=stretches, fresh=starts)
    within = "SELECT s.session_id FROM {{{0}}} s SEMI JOIN {{ended}} r ON s.k = r.k AND s.lo BETWEEN r.lo AND r.hi"
    found = bench.run(
        f"SELECT * FROM {{built}} WHERE session_id IN ({within.format('starts')}) UNION ALL "
        f"SELECT * FROM {{old}} WHERE session_id NOT IN ({within.format('stretches')})",
        TABLE.types,
        built=built,
        old=old,
        starts=starts,
        stretches=stretches,
        ended=ended,
    )
    return found, bench.value("SELECT count(*) FROM {ended} WHERE is_resumed", ended=ended)


@pytest.mark.parametrize("own", [False, True], ids=["computed", "own ids"])
@pytest.mark.parametrize("seed", range(3))
def test_an_update_of_what_changed_equals_sessionizing_everything_anew(
    seed: int, own: bool, workbench: Workbench
) -> None:
    chance = random.Random(f"{seed}{own}")
    changes: list[Change] = [_late, _fewer, _moved, _both]
    before: History = []
    after: History = []
    for number in range(250):
        user = f"u{number}"
        history = draw(chance, user, chance.randrange(0, 16), chance.choice([5, 15, 40, 90]))
        # Most dumps change in no history, so that sessions lie beside, and reach into, what changed.
        fixed = [event for event in history if event.dump_hour < FIRST_CHANGED]
        others = [event for event in history if event.dump_hour >= FIRST_CHANGED]
        changed = chance.choice(changes)(chance, others, user) if chance.random() < 0.7 else others
        later = [event for event in changed if event.dump_hour >= FIRST_CHANGED]
        before += history
        after += fixed + later
    found, ended = update(workbench, before, after, own)
    assert own or ended > 0, "no history in which the old sessions go on"
    anew = sessions_in(workbench, staged(workbench, after, own))
    by_user = _told(before, after)
    try:
        assert_same_rows(found, anew, ["user_key", "session_start"])
    except AssertionError as error:
        users = {str(r["user_key"]) for r in found if r not in anew} | {
            str(r["user_key"]) for r in anew if r not in found
        }
        story = "\n".join(by_user[user] for user in sorted(users)[:3])
        raise AssertionError(f"{error}\n{story}") from None
    if not own:
        assert_same_rows(anew, reckoned(after), ["user_key", "session_start"])


def _told(before: Sequence[Event], after: Sequence[Event]) -> dict[str, str]:
    told: dict[str, list[str]] = defaultdict(list)
    for name, events in (("before", before), ("after", after)):
        by_user: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for event in events:
            by_user[str(event.user_key)].append((event.event_time, f"{event.dump_hour:%H}"))
        for user, times in by_user.items():
            shown = " ".join(f"{(t - MIDNIGHT) / MINUTE:g}@{dump}" for t, dump in sorted(times))
            told[user].append(f"{user} {name}: {shown}")
    return {user: "\n".join(lines) for user, lines in told.items()}
