"""The shapes of DAGs: one a source, built from its file, and one each to derive, approve and look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, Param, chain, task
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from tidegate.common.hours import HOUR
from tidegate.orchestration import promises, tasks
from tidegate.orchestration.links import ApproveLink, HourLink
from tidegate.orchestration.policy import LIVE_WEIGHT
from tidegate.orchestration.waiting import WaitForDump
from tidegate.pipeline.reconcile import DAYS
from tidegate.tables import REBUILDABLE

if TYPE_CHECKING:
    from tidegate.config.source import Source

EVENTS = Asset("warehouse/events")
"""Updated by each publication of events."""

_LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
"""When DAGs with a schedule of their own began: a DAG without a begin is never run."""
_LIVE_RUNS = 24
"""Runs of a source at a time, over those that wait: enough for a day that somebody clears."""
_DEFAULTS = {
    "owner": "tidegate",
    # What is tried again is a lost connection or a task that died; a held hour and bad input are not
    # (`tasks.told`). The pauses, of at least 30, 60, 120, 240 and 300 seconds, outlast an S3 that is away for
    # five minutes and a Spark server that comes back in one; a restart is met by the first of them.
    "retries": 5,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=5),
    # Nothing takes this long; what does waits for something that will never answer.
    "execution_timeout": timedelta(hours=24),
}


def land_dag(source: Source, runbook: str | None) -> DAG:
    """Return the hourly DAG of a source: wait → land → publish.

    The audit is part of `publish`: what is audited is what is committed then and there, and a task more
    an hour costs as much as the audit itself.

    Args:
        source: the source.
        runbook: shown in the UI.
    """
    name = source.source
    with DAG(
        f"land_{name}",
        description=f"Hourly dumps of {name}: landed, audited, published",
        doc_md=runbook,
        # With this timetable, and not a CronTriggerTimetable, the logical date is the dump hour.
        schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
        start_date=source.since,
        catchup=False,  # history is a backfill that somebody asks for
        # An hour that waits takes a run and no worker: however many do, the next hours go on.
        max_active_runs=ceil(source.complete.within / HOUR) + _LIVE_RUNS,
        # Whatever is nearer to its end goes first; backfills come last (orchestration/policy.py).
        default_args={**_DEFAULTS, "priority_weight": LIVE_WEIGHT, "weight_rule": "upstream"},
        tags=["tidegate", name],
    ) as dag:
        wait = WaitForDump(
            task_id="wait",
            source=name,
            execution_timeout=None,  # the trigger knows how long an hour is waited for
            doc_md=f"Waits until the dump is complete: {source.complete!r}",
        )

        @task(task_id="land", doc_md="Candidates under staging, bad lines to ops/quarantine.")
        def land(**context: object) -> str:
            return tasks.land(name, dict(context))

        @task(
            task_id="publish",
            doc_md="Runs expectations/events.yml on the candidate. What passes: one commit to "
            "warehouse/events, and its row in ops/publications. What fails is held.",
            outlets=[EVENTS],
        )
        def publish(**context: object) -> str:
            return tasks.publish(name, dict(context))

        wait >> land() >> publish()
    # Whichever holds the hour; files that could not be read whole can't be approved.
    dag.get_task("land").operator_extra_links = (HourLink(),)
    dag.get_task("publish").operator_extra_links = (HourLink(), ApproveLink())
    return dag


def approve_dag(runbook: str | None) -> DAG:
    """Return the DAG by whose form somebody publishes a held slice knowingly.

    Args:
        runbook: shown in the UI.
    """
    with DAG(
        "approve",
        description="Publish a held slice knowingly: who, when and why are kept",
        doc_md=runbook,
        is_paused_upon_creation=False,  # it only does what somebody has asked for
        schedule=None,
        max_active_runs=1,
        default_args={**_DEFAULTS, "retries": 0},
        tags=["tidegate"],
        params={
            "slice": Param(
                "",
                type="string",
                minLength=3,
                title="Slice",
                description="As the held task's message and `tidegate held` name it: "
                "SOURCE/HOUR of events, such as shop/2026-05-01T10, or TABLE/SOURCE, such as "
                "sessions/shop.",
            ),
            "reason": Param(
                "",
                type="string",
                minLength=3,
                title="Reason",
                description="Why it is right to show these rows all the same; kept in ops.audits.",
            ),
        },
    ) as dag:

        @task(
            task_id="approve",
            doc_md="Publishes the slice and tells `derive`; the approval is written to ops.audits.",
            outlets=[EVENTS],
        )
        def approve(**context: Any) -> str:
            params = context["params"]
            return tasks.approve(params["slice"], params["reason"], context)

        approve()
    return dag


def reconcile_dag(runbook: str | None) -> DAG:
    """Return the DAG that lands again what changed in the bucket: compare → land.

    Args:
        runbook: shown in the UI.
    """
    with DAG(
        "reconcile",
        description="Hours whose dumps are not what was landed of them are landed again",
        doc_md=runbook,
        # Between the hours, when live hours have just been landed and Spark is idle.
        schedule=CronTriggerTimetable("40 * * * *", timezone="UTC"),
        start_date=_LONG_AGO,
        catchup=False,
        max_active_runs=1,
        default_args=_DEFAULTS,
        tags=["tidegate"],
        params={
            "days": Param(
                DAYS,
                type="integer",
                minimum=1,
                maximum=366,
                title="Days",
                description="How far back dumps are compared with what was landed of them.",
            )
        },
    ) as dag:

        @task(task_id="compare", doc_md="Lists the dumps and compares them with ops.landings.")
        def compare(**context: Any) -> list[dict[str, str]]:
            return tasks.compare(context["params"]["days"])

        TriggerDagRunOperator.partial(
            task_id="land",
            doc_md="Starts the hour's run anew, or a run of its own.",
            reset_dag_run=True,
            map_index_template="{{ task.trigger_dag_id }} {{ task.logical_date }}",
        ).expand_kwargs(compare())
    return dag


_MAINTENANCE = {
    "compact": "Puts the small files of days of which nothing was published for a while together.",
    "fold": "Puts the small files of the books (ops) together; every row stays.",
    "vacuum": "Removes data files that no promised release, and nothing else that is kept, refers to.",
    "log": "Removes log entries before the newest checkpoint that all that is kept can be read from.",
    "candidates": "Removes candidates under staging that no publication will take any more.",
}
"""The parts of maintenance, in order, and what they do."""


def maintain_dag(runbook: str | None) -> DAG:
    """Return the daily DAG that keeps the lake's files few and frees what nothing needs.

    Args:
        runbook: shown in the UI.
    """
    with DAG(
        "maintain",
        description="Small files put together, and removed what no promised release needs",
        doc_md=runbook,
        # Not on the hour, when dumps come.
        schedule=CronTriggerTimetable("40 3 * * *", timezone="UTC"),
        start_date=_LONG_AGO,
        catchup=False,
        max_active_runs=1,
        default_args=_DEFAULTS,
        tags=["tidegate"],
        params={
            "dry_run": Param(
                False,
                type="boolean",
                title="Dry run",
                description="Only tell what would be done; change nothing.",
            ),
        },
    ) as dag:

        def part(name: str, doc: str) -> Any:
            @task(task_id=name, doc_md=doc)
            def do(**context: Any) -> str:
                return tasks.maintain(name, context)

            return do()

        chain(*(part(name, doc) for name, doc in _MAINTENANCE.items()))
    return dag


def derive_dag(runbook: str | None) -> DAG:
    """Return the DAG that brings derived tables up to date whenever events were published.

    Started by hand, its form may ask for a table to be built anew first.

    Args:
        runbook: shown in the UI.
    """
    hour = r"^\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2})?)?)?(Z|\+00:00)?$"
    with DAG(
        "derive",
        description="Sessions and aggregates follow what is published; then a release",
        doc_md=runbook,
        is_paused_upon_creation=False,  # it only follows what is published
        schedule=[EVENTS],
        catchup=False,
        max_active_runs=1,
        default_args={**_DEFAULTS, "priority_weight": LIVE_WEIGHT, "weight_rule": "upstream"},
        tags=["tidegate"],
        params={
            "table": Param(
                None,
                type=["null", "string"],
                enum=[None, *(table.name for table in REBUILDABLE)],
                title="Table to build anew",
                description="Empty: what waits is derived, and no more.",
            ),
            "source": Param(
                None,
                type=["null", "string"],
                title="Source",
                description="Whose rows; empty: of all sources.",
            ),
            "from": Param(
                None,
                type=["null", "string"],
                pattern=hour,
                title="From",
                description="First dump hour, such as 2026-05-01T10; empty: from the beginning.",
            ),
            "to": Param(
                None,
                type=["null", "string"],
                pattern=hour,
                title="To",
                description="Last dump hour, inclusive; empty: to the end.",
            ),
            "reason": Param(
                None,
                type=["null", "string"],
                title="Reason",
                description="Why a table is built anew; it stands in the run's log. Needed with a table.",
            ),
        },
    ) as dag:

        @task(task_id="derive", doc_md="Builds, audits and publishes; pins a release.")
        def derive(**context: Any) -> list[str]:
            return tasks.derive(context)

        @task(task_id="report", doc_md="Fails if a derived candidate was held.")
        def report(held: list[str]) -> None:
            tasks.report(held)

        report(derive())  # type: ignore[arg-type]  # Airflow fills in what `derive` returned
    return dag


def freshness_dag(runbook: str | None) -> DAG:
    """Return the DAG that looks whether sources keep what they promise, and tells people when they don't.

    Args:
        runbook: shown in the UI.
    """
    with DAG(
        "freshness",
        description="Whether hours are readable as soon as their source files promise",
        doc_md=runbook,
        schedule="*/10 * * * *",
        start_date=_LONG_AGO,
        catchup=False,  # only now counts
        max_active_runs=1,
        default_args={**_DEFAULTS, "retries": 0},  # the next run is soon
        tags=["tidegate"],
    ) as dag:

        @task(
            task_id="look", doc_md="Reads the books; writes nothing unless there is news to tell."
        )
        def look(**context: object) -> None:
            promises.look(dict(context))

        look()
    return dag
