"""The demo: the whole system on this machine, backfilled through Airflow, and what a person wants to see."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.config.settings import EngineName, Settings
from tidegate.config.stack_state import StackState
from tidegate.pipeline.context.run_context import working
from tidegate.query.status import held
from tidegate.stack.airflow_api import AirflowApi
from tidegate.stack.run import check_stack, running_stack, stop_stack
from tidegate.storage.s3 import Bucket, split_uri
from tidegate_demo import traffic
from tidegate_demo.rhythm import FIRST_HOUR, LAST_HOUR

if TYPE_CHECKING:
    import duckdb

_HOURS = 24
_POLL_S = 2.0
_DONE = ("success", "failed")
_AT_ONCE = 8

QUERY = (
    "SELECT source, date, events, users, sessions, "
    "round(median_duration_s) AS median_s, round(bounce_rate, 3) AS bounce_rate "
    "FROM daily_activity ORDER BY source, date"
)
"""The query that the demo shows, and gives to try."""


@dataclass(frozen=True)
class Demo:
    """A running demo: its stack, the settings that reach its lake, and where it tells what it does."""

    state: StackState
    settings: Settings
    tell: Callable[[str], None]


@contextmanager
def demo(
    project: Path,
    home: Path,
    tell: Callable[[str], None],
    seed: int,
    scale: float,
    engine: EngineName = "spark",
) -> Iterator[Demo]:
    """Start the stack afresh, write the dumps, backfill them through Airflow; yield when all is released.

    Args:
        project: the folder with `dags/sources` and `expectations`.
        home: the demo's own state folder; what an earlier demo left there is removed.
        tell: is given a line of progress at a time.
        seed: of the made-up traffic.
        scale: 1 for about 116,000 lines.
        engine: what its jobs compute rows by.

    Raises:
        TidegateError: a part of the stack failed, or the backfill did not come to an end.
    """
    # A fresh demo downloads nothing that the one before, or a stack of the user's, has brought.
    os.environ.setdefault("TIDEGATE_JARS", str(home.parent / "jars"))
    stop_stack(home)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with running_stack(home, project=project, progress=tell, engine=engine) as state:
        settings = Settings(
            project=project,
            home=home,
            lake=state.lake,
            spark=state.spark,
            s3=state.s3,
            engine=engine,
        )
        objects = list(traffic.dumps(seed, scale))
        bucket, _ = split_uri(state.dumps)
        Bucket(bucket, state.s3).put_all({each.key: each.body for each in objects})
        hours = {(each.source, each.hour) for each in objects}
        tell(f"wrote {len(objects)} files of {len(hours)} hourly dumps to {state.dumps}")
        with working(settings):  # the lake's tables are made before many tasks want them at once
            tell(f"made the lake {state.lake}")
        running = Demo(state, settings, tell)
        with AirflowApi(*state.login) as api:
            _backfill(running, api, len(hours))
        yield running


def _backfill(running: Demo, api: AirflowApi, hours: int) -> None:
    """Backfill both sources and wait until what they published is derived and released."""
    dags = [f"land_{source}" for source in traffic.SOURCES]
    for dag in ("derive", *dags):
        api.wait_for_dag(dag)
    for dag in dags:
        api.create_backfill(dag, FIRST_HOUR, LAST_HOUR, max_active_runs=_AT_ONCE)
    for dag in ("derive", *dags):
        api.unpause(dag)
    running.tell(f"backfilling {hours} hours through Airflow: {running.state.airflow}")
    shown = _Shown(running.tell)
    while True:
        check_stack(running.settings.home)
        runs = [
            run
            for source in traffic.SOURCES
            for run in api.dag_runs(f"land_{source}", run_type="backfill")
        ]
        tasks = Counter(
            (task["task_id"], task["state"])
            for source in traffic.SOURCES
            for task in api.task_instances(f"land_{source}")
        )
        held = sum(n for (_, state), n in tasks.items() if state == "failed")
        shown.show(
            f"{tasks['land', 'success']} of {hours} hours landed, "
            f"{tasks['publish', 'success']} published, {held} held"
        )
        if len(runs) >= hours and all(run["state"] in _DONE for run in runs):
            break
        time.sleep(_POLL_S)
    running.tell("every hour has ended; waiting for the last release")
    while not _released(running, api):
        check_stack(running.settings.home)
        time.sleep(_POLL_S)


def _released(running: Demo, api: AirflowApi) -> bool:
    """Return whether a release pins the last publication of events."""
    from tidegate.query.connect import connect

    if any(run["state"] not in _DONE for run in api.dag_runs("derive")):
        return False
    with connect(running.settings) as connection:
        published = _one(
            connection,
            "SELECT max(delta_version) FROM ops.publications WHERE table_name = 'events'",
        )
        released = _one(
            connection,
            "SELECT max_by(versions, released_at)['events'] FROM ops.releases",
        )
    return published is not None and released == published


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


class _Shown:
    """Progress that is told again only when it has changed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = ""

    def show(self, text: str) -> None:
        if text != self._last:
            self._tell(text)
            self._last = text


# -- the summary ------------------------------------------------------------------------------------


def summary(running: Demo) -> Iterator[str]:
    """Yield the lines of what the demo brought about."""
    from tidegate.query.connect import connect

    with connect(running.settings) as connection:
        yield from _section(
            connection,
            "Published rows",
            "SELECT 'events' AS \"table\", count(*) AS rows FROM events "
            "UNION ALL SELECT 'sessions', count(*) FROM sessions "
            "UNION ALL SELECT 'hourly_activity', count(*) FROM hourly_activity "
            "UNION ALL SELECT 'daily_activity', count(*) FROM daily_activity",
        )
        yield "Held"
        for each in held(connection):
            yield f"  {each.source} {each.slice}: {each.why}"
            yield f"    next: {each.todo}"
        yield ""
        yield from _section(
            connection,
            "Quarantined lines",
            "SELECT source, reason, count(*) AS lines FROM ops.quarantine "
            "GROUP BY ALL ORDER BY source, lines DESC",
        )
        yield from _section(
            connection,
            "Lines read, accounted for",
            "SELECT source, sum(lines) AS lines, sum(l.events) AS candidate_events, "
            "sum(duplicates) AS duplicates, sum(quarantined) AS quarantined "
            "FROM ops.landings l WHERE status = 'landed' GROUP BY ALL ORDER BY source",
        )
        yield from _section(connection, "A day at a glance", QUERY)
    state = running.state
    yield f"Airflow   {state.airflow}   user {state.user}, password {state.password}"
    yield "Try       " + command(running, QUERY)


def command(running: Demo, query: str) -> str:
    """Return the shell command that runs a query on the demo's tables."""
    program = Path(sys.argv[0])
    name = str(program) if program.name == "tidegate" else "tidegate"
    home = running.settings.home
    return f'TIDEGATE_HOME={home} {name} sql "{query}"'


def _section(connection: duckdb.DuckDBPyConnection, title: str, query: str) -> Iterator[str]:
    from tidegate.common.text_output import table_lines

    found = connection.execute(query)
    columns: Sequence[Any] = found.description or ()
    rows = found.fetchall()
    yield title
    if rows:
        for line in table_lines([c[0] for c in columns], [str(c[1]) for c in columns], [rows]):
            yield f"  {line.rstrip()}"
    else:
        yield "  none"
    yield ""
