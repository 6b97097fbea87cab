"""The two shapes of DAGs, built from source files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, Param, chain, task
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from tidegate.orchestration import tasks
from tidegate.orchestration.links import ApproveLink, HourLink
from tidegate.orchestration.waiting import WaitForDump

if TYPE_CHECKING:
    from tidegate.source import Source

EVENTS = Asset("warehouse/events")
"""Updated by each publication of events."""

_DEFAULTS = {"owner": "tidegate", "retries": 2, "retry_delay": timedelta(seconds=30)}


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
        max_active_runs=8,
        default_args=_DEFAULTS,
        tags=["tidegate", name],
    ) as dag:
        wait = WaitForDump(
            task_id="wait",
            source=name,
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
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
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

    Args:
        runbook: shown in the UI.
    """
    with DAG(
        "derive",
        description="Sessions and aggregates follow what is published; then a release",
        doc_md=runbook,
        schedule=[EVENTS],
        catchup=False,
        max_active_runs=1,
        default_args=_DEFAULTS,
        tags=["tidegate"],
    ) as dag:

        @task(task_id="derive", doc_md="Builds, audits and publishes; pins a release.")
        def derive(**context: object) -> list[str]:
            return tasks.derive(dict(context))

        @task(task_id="report", doc_md="Fails if a derived candidate was held.")
        def report(held: list[str]) -> None:
            tasks.report(held)

        report(derive())  # type: ignore[arg-type]  # Airflow fills in what `derive` returned
    return dag
