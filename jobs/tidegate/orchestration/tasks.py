"""The tasks. Nothing heavy is imported before a task runs, since DAG files import this module."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import HeldError, TidegateError, TryAgainError
from tidegate.common.hours import floor_hour, hour_text, some_hours
from tidegate.config.settings import Settings, load_settings
from tidegate.orchestration import alerts
from tidegate.orchestration.combine import Answer, Asked, Serve, is_busy, together
from tidegate.orchestration.policy import is_of_past

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.derive.derive import Derived
    from tidegate.pipeline.ingest.land import Landed
    from tidegate.pipeline.publish.approve import HeldSlice
    from tidegate.pipeline.publish.publish import Published

DERIVE_CAP = 96
"""Slices of events that a derive run takes at once: a backfill's many hours cost few runs, and what is
released meanwhile is never further behind than that."""

PATIENCE_S = 300.0
"""Seconds that a derive run waits at most for a backfill to land more."""

LULL_S = 10.0
"""Seconds in which no task asked for anything, after which a backfill is taken to be over: Airflow needs some to
start the next tasks."""

FRESH = timedelta(days=1)
"""Hours as young as this are derived at once, whatever else is going on."""

_LOOK_S = 2.0
_LIVE, _PAST = "live", "past"
_NICER = 10
"""Live hours come first on the machine's cores, too: a nicer process gets a tenth of what others get."""

RELAND_CAP = 200
"""Hours that a reconcile run starts: each costs it a task, and the next one follows within the hour."""


def dump_hour(context: dict[str, Any]) -> datetime:
    """Return the dump hour of a run: its logical date.

    Not its data interval: that of a run that somebody starts by hand, or another DAG, ends there.

    Raises:
        TidegateError: the run has none.
    """
    date = context.get("logical_date")
    if date is None:
        raise TidegateError(
            "nobody knows which dump hour this run is",
            expected="a run with a logical date, which is its dump hour",
            got="one without",
            todo="start it with a logical date, or as a backfill",
        )
    return floor_hour(datetime.fromtimestamp(date.timestamp(), UTC))


def land(source: str, context: dict[str, Any]) -> str:
    """Land the hour; return what became of it in one line."""

    def serve(asked: Sequence[Asked]) -> dict[datetime, Answer]:
        from tidegate.pipeline.ingest.land import land as land_hours

        with _working(asked) as work:
            landed = land_hours(work, _source(source), [each.hour for each in asked])
            return {each.hour: _landed(source, each) for each in landed}

    return _together("land", source, context, serve)


def publish(source: str, context: dict[str, Any]) -> str:
    """Audit the hour and publish it, and with it the later hours that lose or regain rows by it.

    A failed critical expectation fails the task.
    """

    def serve(asked: Sequence[Asked]) -> dict[datetime, Answer]:
        from tidegate.pipeline.ingest.current import ensure_current
        from tidegate.pipeline.publish.publish import publish_events

        with _working(asked) as work:
            ensure_current(work, _source(source), [each.hour for each in asked])
            done = publish_events(work, _source(source), [each.hour for each in asked])
            return {each.hour: _published(done, each.hour) for each in asked}

    return _together("publish", source, context, serve)


def _landed(source: str, landed: Landed) -> Answer:
    got = "; ".join([str(landed.error), *landed.file_notes()])
    if landed.outcome == "unreadable":
        return HeldError(
            f"held: {source} {hour_text(landed.hour)}: its files could not be read whole",
            where="warehouse/events (left as it was)",
            expected="files that can be read to their end and are what their names say",
            got=got,
            todo="have the files uploaded again, then clear this task",
        )
    if landed.outcome == "missing":
        return TidegateError(
            f"{source} {hour_text(landed.hour)} has no files",
            got=got,
            todo="have the dump uploaded, then clear this task",
        )
    return landed.describe()


def _published(done: Published, hour: datetime) -> Answer:
    from tidegate.pipeline.publish.audit import held_error

    if hour in done.held_hours:
        return held_error(done.held_hours[hour])
    if done.publication is None or hour not in {s.slice for s in done.publication.slices}:
        return "unchanged: nothing was published"
    others = len(done.publication.slices) - 1
    rows = next(s.rows for s in done.publication.slices if s.slice == hour)
    return f"publication {done.publication.publication_id}: {rows:,} rows" + (
        f" (and {others} other slices)" if others else ""
    )


def derive(context: dict[str, Any]) -> list[str]:
    """Derive and release until nothing waits; return what was held, for `report`.

    A source whose file has faults is left as it is, and told of with what is held: the others go on. So is a
    metric.
    """
    from tidegate.config.source import readable_sources
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.derive.derive import derive as derive_tables
    from tidegate.pipeline.release.release import release

    say("deriving what waits")
    with (
        told(),
        working(load_settings(), run_id=_run_id(context), tell=say, took=_took) as work,
    ):
        sources, faults = readable_sources(work.settings.sources)
        again = _rebuild(work, sources, context)
        while True:
            _let_add_up(work, sources)
            derived = derive_tables(work, sources, DERIVE_CAP)
            with work.stage("release"):
                made = release(work, derived)
            _alert_derived(work.settings, derived, context)
            # What is held takes nothing, so the next round would only meet it again.
            if not derived.waiting or derived.held:
                return [
                    *again,
                    *(each.describe() for each in derived.held),
                    *derived.outdated,
                    *(f"{work.settings.sources}/{fault}" for fault in faults),
                    *made.metric_faults,
                ]


def _let_add_up(work: Work, sources: Sequence[Source]) -> None:
    """Wait while hours of the past are being landed, so that few rounds derive them all.

    A round costs about the same for many hours as for one, and takes what the backfill could land meanwhile.
    """
    from tidegate.pipeline.derive.pending import consumed, waiting

    reached: dict[str, int] | None = None
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE_S and is_busy(
        _together_in(work.settings, _PAST), LULL_S
    ):
        work.ledger.refresh()
        if reached is None:  # nobody else derives meanwhile
            reached = consumed(work, [source.source for source in sources])
        hours = [s.slice for each in waiting(work, reached) for s in each.slices]
        if not is_worth_waiting(hours, datetime.now(UTC)):
            return
        time.sleep(_LOOK_S)


def is_worth_waiting(hours: Sequence[datetime], now: datetime) -> bool:
    """Return whether what waits to be derived may wait for more: it is all of the past, and not much yet.

    Args:
        hours: the slices of events that wait.
        now: the time.
    """
    return bool(hours) and len(hours) < DERIVE_CAP and max(hours) < now - FRESH


def _rebuild(work: Work, sources: Sequence[Source], context: dict[str, Any]) -> list[str]:
    """Build the table anew that the run's form asks for, if it does; return what was held."""
    from tidegate.config.source import find_source
    from tidegate.pipeline.rebuild import rebuild
    from tidegate.tables import BY_NAME

    asked: dict[str, str] = context.get("params") or {}
    name, reason = asked.get("table"), (asked.get("reason") or "").strip()
    if not name:
        return []
    if not reason:
        raise TidegateError(
            f"no reason to build {name} anew",
            expected="a reason, for whoever reads this run later",
            todo="start this DAG by its form again, and give one",
        )
    chosen = (
        [find_source(asked["source"], work.settings.sources)] if asked.get("source") else sources
    )
    between = some_hours(asked.get("from"), asked.get("to"))
    by = context["dag_run"].triggering_user_name or "somebody"
    say(f"{by} has {name} built anew: {reason}")
    held = []
    for source in chosen:
        done = rebuild(work, BY_NAME[name], source, between)
        made = done.publication
        say(
            f"{name} of {source.source}: "
            + (f"{made.rows:,} rows in {len(made.slices)} slices" if made else "left as it was")
        )
        held += [each.describe() for each in done.held]
    return held


def approve(slice_: str, reason: str, context: dict[str, Any]) -> str:
    """Publish a held slice knowingly, on behalf of who started the run; return what came of it."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.publish.approve import approve as publish_knowingly
    from tidegate.pipeline.publish.approve import parse_slice

    by = context["dag_run"].triggering_user_name
    with told():
        if not by:
            raise TidegateError(
                "an approval is somebody's",
                expected="a run that a user started",
                got=f"one that {context['dag_run'].run_type} started",
                todo="start this DAG by its form in the Airflow UI",
            )
        settings, held = load_settings(), parse_slice(slice_)
        with working(settings, _run_id(context), say, took=_took) as work:
            done = publish_knowingly(work, _source(held.source), held, by=by, reason=reason)
        text = done.describe()
        say(text)
        if done.publication is not None:
            alerts.tell(settings, "healed", [(held, text)], context, say)
        return text


def compare(days: int) -> list[dict[str, str]]:
    """Return the runs to start, one for each hour whose dump is not what was landed of it.

    Each is what `TriggerDagRunOperator` takes. Hours whose run is under way are left to it; those over
    `RELAND_CAP` to the next time.
    """
    from tidegate.config.source import readable_sources
    from tidegate.orchestration.runs import run_of
    from tidegate.pipeline.reconcile import differences

    wanted = []
    with told():
        settings, now = load_settings(), datetime.now(UTC)
        sources, _ = readable_sources(settings.sources)  # what is wrong shows as an import error
        for source in sources:
            for each in differences(settings, source, now, days):
                say(each.describe())
                if each.is_to_land:
                    wanted.append(each)
    starts = []
    for each in wanted:
        dag_id = f"land_{each.source}"
        run = run_of(dag_id, each.hour)
        if run is not None and run.is_under_way:
            say(f"{dag_id} {hour_text(each.hour)}: left to {run.run_id}, which is {run.state}")
            continue
        starts.append(
            {
                "trigger_dag_id": dag_id,
                "trigger_run_id": run.run_id
                if run
                else f"operator_triggered__{each.hour.isoformat()}",
                "logical_date": each.hour.isoformat(),
            }
        )
    if len(starts) > RELAND_CAP:
        say(f"{len(starts) - RELAND_CAP} hours more are left to the next run")
    return starts[:RELAND_CAP]


def maintain(part: str, context: dict[str, Any]) -> str:
    """Do a part of the lake's maintenance, or only look if the run says so; return what it freed."""
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.maintain import maintain as do

    dry_run = bool(context["params"]["dry_run"])
    with told(), working(load_settings(), _run_id(context), say, took=_took) as work:
        text = do(work, [part], dry_run=dry_run).describe()
    say(text)
    return text


def report(held: list[str]) -> None:
    """Fail if anything was held, so that the run shows red; the release is made already."""
    with told():
        if held:
            raise HeldError(
                "derived tables of some sources stay as they were",
                expected="every critical expectation met, rows of one version of the code, and source "
                "files without faults",
                got="\n    " + "\n    ".join(held),
                todo="mend what is named; the next derive run takes it up again",
            )


@contextmanager
def told() -> Iterator[None]:
    """Make Airflow fail a task at once for a fault that trying again can't mend.

    Anything else, such as a lost connection, is raised as it is, and Airflow tries again. What nobody has
    foreseen is tried again too: nobody knows that it does not help.
    """
    from airflow.sdk.exceptions import AirflowFailException

    try:
        yield
    except TryAgainError:
        raise
    except TidegateError as error:
        raise AirflowFailException(error.describe()) from error


def _alert_derived(settings: Settings, derived: Derived, context: dict[str, Any]) -> None:
    """Tell of derived tables that are held, and of those that were and are published now."""
    from tidegate.pipeline.publish.approve import HeldSlice
    from tidegate.tables import BY_NAME

    def of(table: str, source: str) -> HeldSlice:
        return HeldSlice(BY_NAME[table], source, None)

    held = [(of(each.table, each.source), each.describe()) for each in derived.held]
    alerts.tell(settings, "held", held, context, say)
    made = [
        (of(each.table_name, each.source), f"publication {each.publication_id}")
        for each in derived.publications
    ]
    alerts.tell(settings, "healed", made, context, say)


def _together(step: str, source: str, context: dict[str, Any], serve: Serve) -> str:
    """Do a step for the run's hour, together with other runs that want it just now.

    Live hours meet apart from those of the past, and so wait for no batch of a backfill: what both publish
    meets in the ledger, where the second plans again.
    """
    with told():
        settings = load_settings()
        past = is_of_past(context["dag_run"].run_type)
        if past:
            os.nice(_NICER)
        folder = _together_in(settings, _PAST if past else _LIVE) / f"{step}-{source}"
        hour = dump_hour(context)
        try:
            answer = together(folder, Asked(hour, _run_id(context)), serve)
        except HeldError as error:
            told_of = [(events_hour(source, hour), error.describe())]
            alerts.tell(settings, "held", told_of, context, say)
            raise
        say(answer)
        if step == "publish":
            alerts.tell(settings, "healed", [(events_hour(source, hour), answer)], context, say)
        return answer


def _together_in(settings: Settings, kind: str) -> Path:
    """Return the folder below which tasks of a kind meet, on this machine, that work on the same lake."""
    lake = hashlib.sha256(settings.lake.encode()).hexdigest()[:8]
    return settings.home / "together" / lake / kind


def events_hour(source: str, hour: datetime) -> HeldSlice:
    """Return an hour of events as approvals and alerts name it."""
    from tidegate.pipeline.publish.approve import HeldSlice
    from tidegate.tables import events

    return HeldSlice(events.TABLE, source, hour)


def _run_id(context: dict[str, Any]) -> str:
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


@contextmanager
def _working(asked: Sequence[Asked]) -> Iterator[Work]:
    from tidegate.pipeline.context.run_context import working

    runs = {each.hour: each.run_id for each in asked}
    say(f"serving {len(asked)} runs: {', '.join(runs.values())}")
    with working(load_settings(), asked[0].run_id, say, runs, _took) as work:
        yield work


def _source(name: str) -> Source:
    from tidegate.config.source import find_source

    return find_source(name, load_settings().sources)


def _took(stage: str, seconds: float) -> None:
    say(f"took {seconds:.3f} s: {stage}")


def say(text: str) -> None:
    """Write a line to the task's log."""
    print(text)  # noqa: T201 - the task's log
