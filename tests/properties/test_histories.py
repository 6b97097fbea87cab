"""Whatever the history of landings, the tables end as the reckoning of the dumps that lie there last.

Drawn are the dumps, wrong versions of some of them, and the way: which hours land when, together or
at once, and between which landings a derive run comes. An example takes most of a minute, and holds
many users: each is a history of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare import Row
from conftest import MakeProject
from histories import RULES, Ids, assert_reckoned
from project import HOUR, Project, event
from tidegate.engine import connect
from tidegate.source import Source
from tidegate.steps.derive import derive
from tidegate.steps.land import land
from tidegate.steps.publish import publish_events

if TYPE_CHECKING:
    from tidegate.steps.work import Work

START = datetime.fromisoformat("2024-02-29T22:00:00+00:00")
HOURS = [START + n * HOUR for n in (0, 1, 2, 3, 30, 31)]
"""Four hours over the end of a day and of a month, and two hours a day later that bring late events."""
STEP = timedelta(minutes=5)

Lines = dict[datetime, list[Row]]


@dataclass(frozen=True)
class History:
    """What is drawn.

    Attributes:
        wrong: what some dumps held at first.
        right: what all of them hold at last.
        batches: the hours in the order in which they land, together or at once.
        derived: after which batches a derive run comes.
    """

    wrong: Lines
    right: Lines
    batches: tuple[tuple[datetime, ...], ...]
    derived: frozenset[int]


@st.composite
def lines(draw: st.DrawFn, least: int) -> list[Row]:
    """Draw a dump: few ids, so that they come again; users and times on a coarse grid, so that they meet."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60),  # id
                st.integers(-12, 72),  # time, in steps
                st.sampled_from(["a", "a", "b", "c", "d", None]),  # user
                st.sampled_from(["view", "buy", None]),
                st.sampled_from([0, 0, 0, 0, -1, 1]),  # microseconds
            ),
            min_size=least,
            max_size=25,
        )
    )
    return [
        event(number, START + at * STEP + timedelta(microseconds=us), user, type=kind)
        for number, at, user, kind, us in drawn
    ]


@st.composite
def histories(draw: st.DrawFn) -> History:
    right = {hour: draw(lines(least=0)) for hour in HOURS}
    again = draw(st.lists(st.sampled_from(HOURS), max_size=3, unique=True))
    wrong = {hour: draw(lines(least=1)) for hour in again}
    order = draw(st.permutations(HOURS))
    cuts = sorted(draw(st.sets(st.integers(1, len(HOURS) - 1), max_size=2)))
    batches = [tuple(order[lo:hi]) for lo, hi in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    if again:
        batches.append(tuple(again))
    derived = draw(st.sets(st.integers(0, len(batches) - 1), max_size=2))
    return History(wrong, right, tuple(batches), frozenset(derived))


@contextmanager
def _working(project: Project, at_once: bool) -> Iterator[Work]:
    """Yield work with a session of its own, as each process has it; what goes one by one, Spark does alone."""
    assert project.settings.spark is not None
    spark = connect(project.settings.spark)
    try:
        yield project.work(spark, by_spark=not at_once)
    finally:
        spark.stop()


def _go(project: Project, source: Source, hours: tuple[datetime, ...], at_once: bool) -> None:
    with _working(project, at_once) as work:
        land(work, source, hours)
        held = publish_events(work, source, hours).held
    assert not held, [each.describe() for each in held]


def _derive(project: Project, source: Source, at_once: bool) -> None:
    with _working(project, at_once) as work:
        held = derive(work, [source]).held
    assert not held, [each.describe() for each in held]


def _at_once(project: Project, source: Source, hours: tuple[datetime, ...], derives: bool) -> None:
    """Land halves of the hours, and derive what there is, all at the same time."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        running = [
            pool.submit(_go, project, source, half, at_once=True)
            for half in (hours[::2], hours[1::2])
            if half
        ]
        if derives:
            running.append(pool.submit(_derive, project, source, at_once=True))
        for each in running:
            each.result()


def _play(history: History, project: Project, at_once: bool) -> None:
    source = project.source(**RULES)
    for hour, dump in {**history.right, **history.wrong}.items():
        project.put_hour(hour, dump)
    ids = Ids()
    for number, hours in enumerate(history.batches):
        if number == len(history.batches) - 1:
            for hour in history.wrong:
                project.put_hour(hour, history.right[hour])
        if at_once:
            _at_once(project, source, hours, number in history.derived)
        else:
            _go(project, source, hours, at_once)
            if number in history.derived:
                _derive(project, source, at_once)
        ids.look(project)
    _derive(project, source, at_once)
    assert_reckoned(project)
    ids.look(project)
    ids.assert_led(project)


_FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_MANY = settings(_FEW, max_examples=25, derandomize=False, print_blob=True)


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
def test_few_histories(at_once: bool, make_project: MakeProject) -> None:
    @_FEW
    @given(histories())
    def play(history: History) -> None:
        _play(history, make_project(), at_once)

    play()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
def test_many_histories(at_once: bool, make_project: MakeProject) -> None:
    @_MANY
    @given(histories())
    def play(history: History) -> None:
        _play(history, make_project(), at_once)

    play()
