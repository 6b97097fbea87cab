"""Whatever the history of landings, the tables end as the reckoning of the dumps that lie there last.

Drawn are the dumps, wrong versions of some of them, and the way: which hours land when, together or
at once, and between which landings a derive run comes. An example holds many users: each is a history of
its own. Spark plays a few, DuckDB most, and some are played by both in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compare import Row, assert_same_rows
from conftest import MakeProject
from histories import RULES, Ids, assert_reckoned, tables
from project import HOUR, Project, event
from tidegate.config.source import Source
from tidegate.pipeline.derive.derive import derive
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.publish.publish import publish_events
from tidegate.pipeline.verify import verify
from tidegate.tables import BY_NAME

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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


def _go(project: Project, source: Source, hours: tuple[datetime, ...]) -> None:
    land(project.work(), source, hours)
    held = publish_events(project.work(), source, hours).held
    assert not held, [each.describe() for each in held]


def _derive(project: Project, source: Source) -> None:
    held = derive(project.work(), [source]).held
    assert not held, [each.describe() for each in held]


def _at_once(project: Project, source: Source, hours: tuple[datetime, ...], derives: bool) -> None:
    """Land halves of the hours, and derive what there is, all at the same time."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        running = [
            pool.submit(_go, project, source, half) for half in (hours[::2], hours[1::2]) if half
        ]
        if derives:
            running.append(pool.submit(_derive, project, source))
        for each in running:
            each.result()


def _play(history: History, projects: Sequence[Project], *, at_once: bool = False) -> Project:
    """Play a history by turns on projects that are one and the same, and judge where it ends.

    Args:
        history: what is played.
        projects: one folder, on one engine or on several.
        at_once: whether the hours of a batch land, and a derive run comes, at the same time.
    """
    turns = cycle(projects)
    project = next(turns)
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
            _go(project, source, hours)
            project = next(turns)
            if number in history.derived:
                _derive(project, source)
        ids.look(project)
    project = next(turns)
    _derive(project, source)
    assert_reckoned(project)
    ids.look(project)
    ids.assert_led(project)
    return project


_FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_MANY = settings(_FEW, max_examples=25, derandomize=False, print_blob=True)
WAYS = pytest.mark.parametrize(
    ("engine", "at_once"),
    [("duckdb", False), ("duckdb", True), ("spark", False)],
    ids=["duckdb, one by one", "duckdb, at once", "spark, one by one"],
)
"""Processes that write at once have DuckDB: a Spark server has a lake alone."""


@WAYS
def test_few_histories(engine: str, at_once: bool, make_project: MakeProject) -> None:
    @settings(_FEW, max_examples=5 if engine == "duckdb" else 2)
    @given(histories())
    def play(history: History) -> None:
        _play(history, [make_project(engine=engine)], at_once=at_once)

    play()


@pytest.mark.slow
@WAYS
def test_many_histories(engine: str, at_once: bool, make_project: MakeProject) -> None:
    @_MANY
    @given(histories())
    def play(history: History) -> None:
        _play(history, [make_project(engine=engine)], at_once=at_once)

    play()


def test_a_lake_that_one_engine_begins_and_the_other_goes_on_with_is_as_if_either_had_done_all(
    make_project: MakeProject, spark: SparkSession, spark_url: str
) -> None:
    @settings(_FEW, max_examples=1, phases=[Phase.generate])  # to shrink takes many minutes
    @given(histories())
    def play(history: History) -> None:
        rows = []
        for first, second in (("duckdb", "spark"), ("spark", "duckdb"), ("duckdb", "duckdb")):
            project = make_project()
            engines = {"duckdb": project, "spark": project.on(spark, spark_url)}
            _play(history, [engines[first], engines[second]])
            rows.append(tables(project))
            for other in {first, second}:
                work = engines[other].work()
                assert verify(work, [project.source(**RULES)]).holds
        for others in rows[1:]:
            for table, expected in rows[0].items():
                assert_same_rows(others[table], expected, BY_NAME[table].key)

    play()
