"""What the DAGs have to be: hourly runs whose logical date is the dump hour, wiring and no more."""

from __future__ import annotations

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRunType as TaskRunType
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.types import DagRunType as SchedulerRunType

from project import REPO
from tidegate.common.errors import HeldError, SourceError, TidegateError, TryAgainError
from tidegate.common.hours import HOUR
from tidegate.config.source import load_sources
from tidegate.orchestration import tasks
from tidegate.orchestration.policy import (
    LIVE_WEIGHT,
    POOL,
    POOLS,
    is_of_past,
    task_instance_mutation_hook,
)
from tidegate.pipeline.maintain.model import PARTS
from tidegate.stack.airflow import PARALLELISM

DAGS = REPO / "dags"
FILES = sorted(DAGS.glob("*.py"))


def dags_of(file: Path) -> dict[str, DAG]:
    """Run a DAG file as Airflow does and return the DAGs that it leaves in its module."""
    found = runpy.run_path(str(file))
    return {each.dag_id: each for each in found.values() if isinstance(each, DAG)}


@pytest.fixture
def land_dags(monkeypatch: pytest.MonkeyPatch) -> dict[str, DAG]:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    return dags_of(DAGS / "land.py")


@pytest.fixture
def derive(monkeypatch: pytest.MonkeyPatch) -> DAG:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    return dags_of(DAGS / "derive.py")["derive"]


def test_every_source_file_has_its_hourly_dag(land_dags: dict[str, DAG]) -> None:
    sources = load_sources(DAGS / "sources")
    assert sources
    assert set(land_dags) == {f"land_{each.source}" for each in sources}


def test_the_logical_date_of_a_run_is_its_dump_hour(land_dags: dict[str, DAG]) -> None:
    for source in load_sources(DAGS / "sources"):
        dag = land_dags[f"land_{source.source}"]
        assert isinstance(dag.timetable, CronDataIntervalTimetable)
        assert dag.start_date == source.since
        assert dag.catchup is False


def test_an_hour_is_awaited_then_landed_then_published(
    land_dags: dict[str, DAG],
) -> None:
    for dag in land_dags.values():
        assert {name: dag.get_task(name).downstream_task_ids for name in dag.task_ids} == {
            "wait": {"land"},
            "land": {"publish"},
            "publish": set(),
        }


def test_only_publishing_wakes_derive(land_dags: dict[str, DAG], derive: DAG) -> None:
    for dag in land_dags.values():
        outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}
        assert outlets == {"wait": [], "land": [], "publish": ["warehouse/events"]}
    assert [asset.name for asset in derive.timetable.asset_condition.objects] == [
        "warehouse/events"
    ]


def test_one_derive_run_at_a_time(derive: DAG) -> None:
    assert derive.max_active_runs == 1
    assert derive.get_task("derive").downstream_task_ids == {"report"}


def test_steps_that_hold_lead_to_the_page_of_their_hour(
    land_dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example/below/")
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    run = SimpleNamespace(get_template_context=lambda: {"logical_date": start})
    dag = land_dags["land_shop"]
    for step in ("land", "publish"):
        task = dag.get_task(step)
        links = {each.name: each.get_link(task, ti_key=run) for each in task.operator_extra_links}
        assert links["Audits of the hour"] == (
            "http://airflow.example/below/plugin/tidegate/below/tidegate"
            "/hours/shop/2026-03-01T12.html"
        )
        approve = {"Approve": "http://airflow.example/below/dags/approve"}
        assert links.items() >= (approve if step == "publish" else {}).items()


def test_waiting_costs_no_worker(land_dags: dict[str, DAG]) -> None:
    for dag in land_dags.values():
        wait: Any = dag.get_task("wait")
        assert wait.start_from_trigger
        begun = wait.start_trigger_args
        assert set(begun.trigger_kwargs) >= set(wait.template_fields)  # rendered in the triggerer
        assert begun.timeout is None  # the trigger itself knows when the hour is late


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_dag_file_wires_and_holds_no_logic(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "its docstring is the runbook"
    logic = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.While)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    imported = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert all(name and name.split(".")[0] == "tidegate" for name in imported), imported


def test_the_runbook_shows_in_the_ui(land_dags: dict[str, DAG], derive: DAG) -> None:
    for dag in (*land_dags.values(), derive):
        assert dag.doc_md
        assert "is red" in dag.doc_md


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_parsing_a_dag_file_loads_neither_spark_nor_great_expectations(file: Path) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import runpy, sys; runpy.run_path(sys.argv[1]); "
            "print(*sorted({m.split('.')[0] for m in sys.modules}))",
            str(file),
        ],
        env={**os.environ, "TIDEGATE_PROJECT": str(REPO)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "tidegate" in told
    # DuckDB is there where a source has an expression: its parser reads it, and takes a tenth of a second.
    assert not {"pyspark", "great_expectations", "pandas", "pyarrow", "deltalake"} & set(told)


def test_a_broken_source_file_takes_down_no_other_dag_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(DAGS, project / "dags")
    shutil.copytree(REPO / "expectations", project / "expectations")
    shop = project / "dags" / "sources" / "shop.yml"
    shop.write_text(
        shop.read_text(encoding="utf-8").replace("fields:", "feilds:"), encoding="utf-8"
    )
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project))

    whole = {f"land_{each.source}" for each in load_sources(DAGS / "sources")}
    assert set(dags_of(project / "dags" / "land.py")) == whole - {"land_shop"}
    with pytest.raises(SourceError, match=r"(?s)shop\.yml.*feilds.*fields"):
        runpy.run_path(str(project / "dags" / "sources_with_faults.py"))


@pytest.fixture
def approve(monkeypatch: pytest.MonkeyPatch) -> DAG:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    return dags_of(DAGS / "approve.py")["approve"]


def test_approvals_are_started_by_a_form_that_asks_for_slice_and_reason_and_wake_derive(
    approve: DAG,
) -> None:
    assert approve.schedule is None
    assert set(approve.params) == {"slice", "reason"}
    assert [asset.name for task in approve.tasks for asset in task.outlets] == ["warehouse/events"]
    # A slice or a reason left empty is refused by the form itself.
    for name in approve.params:
        with pytest.raises(ParamValidationError):
            approve.params.get_param(name).resolve("")


def test_an_approval_that_nobody_started_is_refused() -> None:
    run = SimpleNamespace(triggering_user_name=None, run_type="scheduled")
    with pytest.raises(AirflowFailException, match="an approval is somebody's"):
        tasks.approve("web/2024-03-01T12", "why not", {"dag_run": run})


def test_what_can_be_tried_again_is_and_outlasts_five_minutes_without_s3(
    land_dags: dict[str, DAG], derive: DAG
) -> None:
    for dag in (*land_dags.values(), derive):
        for each in dag.tasks:
            pauses = [
                min(each.retry_delay * each.retry_exponential_backoff**n, each.max_retry_delay)
                for n in range(each.retries)
            ]
            assert sum(pauses, timedelta()) > timedelta(minutes=5)
            assert pauses[0] <= timedelta(minutes=1)
            # How long an hour is waited for is the source file's to say.
            assert (each.execution_timeout is None) == (each.task_id == "wait")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TryAgainError("the Spark server ended in the middle of the work"), TryAgainError),
        (TidegateError("no such bucket"), AirflowFailException),
        (HeldError("held"), AirflowFailException),
        (RuntimeError("what nobody has foreseen"), RuntimeError),
    ],
)
def test_airflow_tries_again_what_may_help_and_nothing_else(
    error: Exception, raised: type[Exception]
) -> None:
    with pytest.raises(raised), tasks.told():
        raise error


def test_a_held_or_late_hour_keeps_no_other_hour_from_going_on(land_dags: dict[str, DAG]) -> None:
    """An hour that waits for `within` takes a run all that time, and each hour brings one more."""
    for source in load_sources(DAGS / "sources"):
        assert (
            land_dags[f"land_{source.source}"].max_active_runs > source.complete.within / HOUR + 8
        )


def test_reconcile_compares_and_starts_the_runs_of_hours_that_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    dag = dags_of(DAGS / "reconcile.py")["reconcile"]
    assert dag.max_active_runs == 1
    assert dag.get_task("compare").downstream_task_ids == {"land"}
    assert dag.get_task("land").partial_kwargs["reset_dag_run"] is True  # in place, in the grid
    for wrong in (0, 367, "all"):
        with pytest.raises(ParamValidationError):
            dag.params.get_param("days").resolve(wrong)


def test_the_form_of_derive_takes_tables_hours_and_a_reason(derive: DAG) -> None:
    assert set(derive.params.dump().values()) == {None}  # which is what a run by an asset has
    form = derive.params
    for name, right, wrong in (
        ("table", "sessions", "session"),
        ("from", "2026-05-01T10", "yesterday"),
        ("to", "2026-05-01", "2026-05-01T10:00+02:00"),
    ):
        assert form.get_param(name).resolve(right) == right
        with pytest.raises(ParamValidationError):
            form.get_param(name).resolve(wrong)


def test_no_form_requires_a_field_that_may_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's form is not sent while a field whose type is not nullable is empty."""
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    dags = {name: dag for file in FILES for name, dag in dags_of(file).items()}
    empty = set()
    for name, dag in dags.items():
        for key in dag.params:
            param = dag.params.get_param(key)
            types = param.schema["type"]
            if "null" in types:  # an element of a list: no type's name has it as a part
                assert param.resolve(None) is None
            elif param.value in ("", None):
                empty.add((name, key))
    assert empty == {("approve", "slice"), ("approve", "reason")}  # which must be filled in


@pytest.mark.parametrize(
    ("run_type", "backfill_id", "past"),
    [
        ("scheduled", None, False),
        ("manual", None, False),
        ("backfill", 3, True),
        ("scheduled", 3, True),  # an hour that a backfill runs again in place
        ("operator_triggered", None, True),
    ],
)
def test_live_hours_come_before_those_of_the_past(
    run_type: str, backfill_id: int | None, past: bool
) -> None:
    def task(dag_id: str) -> Any:
        return SimpleNamespace(
            dag_id=dag_id, run_id=f"{run_type}__x", pool="default_pool", priority_weight=LIVE_WEIGHT
        )

    run: Any = SimpleNamespace(run_type=run_type, backfill_id=backfill_id)
    one, other = task("land_shop"), task("derive")
    for each in (one, other):
        task_instance_mutation_hook(each, run)
    assert one.pool == (POOL if past else "default_pool")
    assert (one.priority_weight < LIVE_WEIGHT) is past
    assert other == task("derive")
    if backfill_id is None or run_type == "backfill":
        unknown = task("land_shop")
        task_instance_mutation_hook(unknown, None)  # as Airflow does where it has no run at hand
        assert unknown.pool == one.pool


@pytest.mark.parametrize("kinds", [SchedulerRunType, TaskRunType])
def test_the_scheduler_and_its_tasks_agree_on_which_runs_are_of_the_past(
    kinds: type[SchedulerRunType | TaskRunType],
) -> None:
    past = {kind.value for kind in kinds if is_of_past(kind)}
    assert past == {"backfill", "operator_triggered"}
    assert {kind.value for kind in kinds if is_of_past(kind.value)} == past


def test_live_hours_have_workers_that_no_backfill_can_take() -> None:
    assert POOLS[POOL][0] < PARALLELISM
    pools = json.loads((REPO / "infra" / "airflow" / "pools.json").read_text(encoding="utf-8"))
    assert {name: (p["slots"], p["description"]) for name, p in pools.items()} == POOLS
    settings = runpy.run_path(str(REPO / "infra" / "airflow" / "airflow_local_settings.py"))
    assert settings["task_instance_mutation_hook"] is task_instance_mutation_hook


def test_freshness_is_looked_at_now_and_never_for_a_run_that_was_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    dag = dags_of(DAGS / "freshness.py")["freshness"]
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.start_date < datetime.now(UTC)  # else no run would ever be made
    assert [task.task_id for task in dag.tasks] == ["look"]
    assert not [asset for task in dag.tasks for asset in task.outlets]
    assert dag.doc_md
    assert "is red" in dag.doc_md


@pytest.fixture
def maintain(monkeypatch: pytest.MonkeyPatch) -> DAG:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(REPO))
    return dags_of(DAGS / "maintain.py")["maintain"]


def test_maintenance_runs_once_a_day_part_after_part_and_can_be_tried_dry(maintain: DAG) -> None:
    assert maintain.max_active_runs == 1
    assert maintain.catchup is False
    assert tuple(maintain.task_ids) == PARTS
    following = {name: maintain.get_task(name).downstream_task_ids for name in PARTS}
    assert following == {each: {after} for each, after in pairwise(PARTS)} | {PARTS[-1]: set()}
    assert maintain.params["dry_run"] is False
    assert maintain.doc_md and "is red" in maintain.doc_md
    # It publishes nothing, so nothing is derived because of it.
    assert not [asset for each in maintain.tasks for asset in each.outlets]


def test_what_is_derived_may_wait_for_more_hours_of_the_past_but_not_for_fresh_ones() -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    past = [now - timedelta(days=9) + n * timedelta(hours=1) for n in range(tasks.DERIVE_CAP)]
    assert not tasks.is_worth_waiting([], now)
    assert tasks.is_worth_waiting(past[:-1], now)
    assert not tasks.is_worth_waiting(past, now)  # as much as a round takes
    assert not tasks.is_worth_waiting([*past[:3], now - timedelta(hours=1)], now)


@pytest.mark.parametrize("file", sorted((REPO / "dags").glob("*.py")), ids=lambda file: file.name)
def test_airflow_looks_into_each_file_however_it_is_set_up(file: Path) -> None:
    from airflow.utils.file import might_contain_dag

    assert might_contain_dag(str(file), safe_mode=True)
