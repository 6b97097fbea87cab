"""`tidegate backfill`: hours of the past, run by Airflow, as its UI does; with progress and a summary."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import FromOpt, JsonOpt, ToOpt, asked_hours, teller
from tidegate.common.errors import EXIT_FAULT, EXIT_HELD, TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import HOUR, floor_hour, hour_text, hours_text, parse_hour
from tidegate.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.stack.airflow_api import AirflowApi

_TICK_S = 2.0
_ENDED = ("success", "failed")
_HOURS = """
SELECT epoch(dump_hour)::BIGINT, state FROM ops.hours
WHERE source = $source AND dump_hour BETWEEN $first AND $last
"""


class Reprocess(StrEnum):
    """Which hours that have a run are run again."""

    none = "none"
    failed = "failed"
    completed = "completed"


@dataclass(frozen=True)
class Summary:
    """What a backfill came to.

    Attributes:
        backfill_id: Airflow's id of it; None where there was nothing to run.
        asked: hours of the range.
        ran: hours that were run; the others have a run that was left alone.
        succeeded: of those.
        failed: the hours whose runs failed.
        hours: how the hours of the range stand now: how many are published, held, …
        seconds: how long it took.
    """

    backfill_id: int | None
    asked: int
    ran: int
    succeeded: int
    failed: Sequence[str]
    hours: Mapping[str, int]
    seconds: float

    @property
    def exit_status(self) -> int:
        """0 every hour that ran is published; 3 the gate holds some; 1 others failed."""
        if self.hours.get("held") or self.hours.get("unreadable"):
            return EXIT_HELD
        return EXIT_FAULT if self.failed else 0


Reprocessed = Annotated[
    Reprocess,
    typer.Option(
        "--reprocess",
        help="Of hours that have a run already: run none again, those that failed, or all that ended "
        "(hours whose files did not change are left as they are).",
    ),
]
Most = Annotated[int, typer.Option("--max-active-runs", min=1, help="Hours at a time.")]


def backfill(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A name in dags/sources.")],
    first: FromOpt,
    last: ToOpt,
    reprocess: Reprocessed = Reprocess.none,
    backwards: Annotated[bool, typer.Option("--backwards", help="The last hour first.")] = False,
    max_active_runs: Most = 24,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start it, and do not wait for its end.")
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Land hours of the past through Airflow, as the Backfill form of its UI does."""
    settings = load_settings()
    chosen, hours = asked(settings, source, first, last, datetime.now(UTC))
    dag_id, tell, begun = f"land_{chosen.source}", teller(), time.monotonic()
    with _airflow(settings, source, first, last) as (api, url):
        _refuse(api, dag_id, url)
        dates = api.backfill_dates(dag_id, hours[0], hours[-1], reprocess)
        made = None
        if dates:
            made = api.create_backfill(
                dag_id,
                hours[0],
                hours[-1],
                max_active_runs=max_active_runs,
                reprocess=reprocess,
                backwards=backwards,
            )
            tell(f"backfill {made} of {dag_id}: {len(dates)} of {len(hours)} hours to run")
            if detach:
                typer.echo(json.dumps({"backfill_id": made}) if as_json else f"{url}/dags/{dag_id}")
                return
        try:
            states = _wait(api, dag_id, made, dates, tell)
        except KeyboardInterrupt:
            tell(f"backfill {made} goes on in Airflow: {url}/dags/{dag_id}")
            raise
    summary = Summary(
        backfill_id=made,
        asked=len(hours),
        ran=len(dates),
        succeeded=sum(state == "success" for state in states.values()),
        failed=[hour_text(date) for date in sorted(states) if states[date] == "failed"],
        hours=_standing(settings, chosen.source, hours),
        seconds=round(time.monotonic() - begun, 1),
    )
    typer.echo(json.dumps(asdict(summary), indent=2) if as_json else _text(summary))
    if summary.exit_status:
        raise typer.Exit(summary.exit_status)


def asked(
    settings: Settings, name: str, first: str, last: str, now: datetime
) -> tuple[Source, list[datetime]]:
    """Return the source and the hours that are asked for.

    Raises:
        TidegateError: no such source, no hours, or hours before it began or that have not ended.
    """
    from tidegate.config.source import find_source

    source = find_source(name, settings.sources)
    hours = asked_hours(first, last)
    newest = floor_hour(now) - HOUR
    if hours[0] < source.since or hours[-1] > newest:
        raise TidegateError(
            f"not hours of {source.source}",
            where=str(source.path),
            expected=f"hours from {hour_text(source.since)}, the source's since, to {hour_text(newest)}, "
            "the last one that has ended",
            got=f"--from {hour_text(hours[0])} --to {hour_text(hours[-1])}",
            todo="ask for hours between these, or set an earlier since in the source file",
        )
    return source, hours


@contextmanager
def _airflow(
    settings: Settings, source: str, first: str, last: str
) -> Iterator[tuple[AirflowApi, str]]:
    """Give a client of the Airflow in use, and the address of its UI."""
    from tidegate.config.stack_state import running_state
    from tidegate.stack.airflow_api import AirflowApi

    url = os.environ.get("TIDEGATE_AIRFLOW")
    user = os.environ.get("TIDEGATE_AIRFLOW_USER")
    password = os.environ.get("TIDEGATE_AIRFLOW_PASSWORD")
    state = running_state(settings.home)
    if url is None and state is not None:
        url, user, password = state.airflow, state.user, state.password
    if not (url and user and password):
        raise TidegateError(
            "no Airflow to ask",
            where=str(settings.home),
            expected="a running stack, or TIDEGATE_AIRFLOW, TIDEGATE_AIRFLOW_USER and "
            "TIDEGATE_AIRFLOW_PASSWORD in the environment",
            todo="start one: tidegate up; or do without Airflow: "
            + command("run", source_word(source), "--from", first, "--to", last),
        )
    with AirflowApi(url, user, password) as api:
        yield api, url


def _refuse(api: AirflowApi, dag_id: str, url: str) -> None:
    """Raise if a backfill would not run: the DAG is paused, or has one under way."""
    dag = api.wait_for_dag(dag_id, timeout=30.0)
    if dag["is_paused"]:
        raise TidegateError(
            f"{dag_id} is paused",
            where=f"{url}/dags/{dag_id}",
            expected="a DAG whose runs run",
            todo="unpause it in the Airflow UI",
        )
    for row in api.backfills_under_way(dag_id):
        paused = " (paused)" if row["is_paused"] else ""
        raise TidegateError(
            f"a backfill of {dag_id} is under way{paused}",
            where=f"{url}/dags/{dag_id}/backfills",
            expected="one at a time",
            got=f"backfill {row['id']}, from {row['from_date']} to {row['to_date']}",
            todo="wait for its end, or cancel it in the Airflow UI",
        )


def _wait(
    api: AirflowApi,
    dag_id: str,
    backfill_id: int | None,
    dates: Sequence[datetime],
    tell: Callable[[str], None],
) -> dict[datetime, str]:
    """Return the state of each run once the backfill has ended."""
    if backfill_id is None:
        return {}
    told = ""
    while True:
        ended = api.backfill(backfill_id)["completed_at"] is not None
        states = _states(api, dag_id, dates)
        counts = Counter(states.values())
        done = sum(counts[state] for state in _ENDED)
        text = f"{done} of {len(dates)} hours done"
        text += f", {counts['failed']} failed" if counts["failed"] else ""
        text += f", {counts['running']} running" if counts["running"] else ""
        if text != told:
            told = text
            tell(text)
        if ended:
            return states
        time.sleep(_TICK_S)


def _states(api: AirflowApi, dag_id: str, dates: Sequence[datetime]) -> dict[datetime, str]:
    wanted = set(dates)
    rows: list[dict[str, Any]] = api.dag_runs(
        dag_id,
        logical_date_gte=min(dates).isoformat(),
        logical_date_lte=max(dates).isoformat(),
    )
    found = {datetime.fromisoformat(row["logical_date"]): str(row["state"]) for row in rows}
    return {date: state for date, state in found.items() if date in wanted}


def _standing(settings: Settings, source: str, hours: Sequence[datetime]) -> dict[str, int]:
    """Return how many of the hours are published, held, …; those without a landing are missing."""
    from tidegate.lake.connection import EmptyLakeError
    from tidegate.query.connect import connect

    words = {"source": source, "first": hours[0], "last": hours[-1]}
    try:
        with connect(settings) as connection:
            found = connection.execute(_HOURS, words).fetchall()
    except EmptyLakeError:
        found = []
    counts = Counter(state for _, state in found)
    counts["missing"] = len(hours) - len(found)
    return {state: count for state, count in sorted(counts.items()) if count}


def _text(summary: Summary) -> str:
    left = summary.asked - summary.ran
    lines = [
        f"{summary.ran} of {summary.asked} hours ran in {summary.seconds:.0f} s: "
        f"{summary.succeeded} succeeded, {len(summary.failed)} failed"
        + (f"; {left} have a run already (--reprocess failed or completed)" if left else ""),
        "hours now: " + ", ".join(f"{count} {state}" for state, count in summary.hours.items()),
    ]
    if summary.failed:
        named = hours_text(parse_hour(each) for each in summary.failed)
        lines.append(
            f"failed: {named}; see why: {command('held')}, {command('status')}, or the Airflow UI"
        )
    return "\n".join(lines)
