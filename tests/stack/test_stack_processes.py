"""The embedded stack starts whole, stays on loopback, and ends whole, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import requests

from s3server import s3_client
from tidegate.common.errors import TidegateError
from tidegate.config.stack_state import StackState, read_state, state_file, supervisor_pid
from tidegate.processes.child import end_marked
from tidegate.stack.airflow_api import AirflowApi
from tidegate.stack.restarts import MOST, read_restarts
from tidegate.stack.run import (
    HOME_MARK,
    check_stack,
    fault_of,
    running_stack,
    start_stack,
    stop_stack,
)

DEADLINE_S = 90.0
DAG = '''\
"""A DAG that tells what its tasks find loaded."""

from datetime import UTC, datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC))
def looker():
    @task
    def look():
        import os
        import sys

        print("LOADED", "great_expectations" in sys.modules, "pyspark.sql.connect" in sys.modules)
        print("LAKE", os.environ["TIDEGATE_LAKE"], os.environ["TIDEGATE_SPARK"][:5])

    look()


looker()
'''
HOURLY = '''\
"""Two hourly DAGs with nothing in them."""

from datetime import UTC, datetime

from airflow.sdk import dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

EVERY_HOUR = CronDataIntervalTimetable("0 * * * *", timezone="UTC")

for name in ("first", "second"):

    @dag(dag_id=name, schedule=EVERY_HOUR, start_date=datetime(2024, 1, 1, tzinfo=UTC))
    def hourly():
        @task
        def nothing():
            pass

        nothing()

    hourly()
'''


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.1)


def processes(home: Path) -> list[psutil.Process]:
    """Return the living processes of a stack."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(HOME_MARK) == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def one(home: Path, *words: str, guard: bool = False) -> psutil.Process:
    """Return the stack's one process whose command has all the words: itself or its guard."""
    found = [
        process
        for process in processes(home)
        if all(word in " ".join(process.cmdline()) for word in words)
        and ("guard.py" in " ".join(process.cmdline())) == guard
    ]
    found = [process for process in found if process.ppid() not in {p.pid for p in found}]
    assert len(found) == 1, (words, found)
    return found[0]


def wait_for_the_end(home: Path) -> None:
    """Wait until nothing of a stack runs: neither its supervisor nor what that started."""
    wait_until(lambda: supervisor_pid(home) is None, "the supervisor has ended")
    wait_until(lambda: not processes(home), f"nothing of the stack runs ({processes(home)})")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    end_marked(str(tmp_path / "home"), HOME_MARK)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "dags" / "sources").mkdir(parents=True)
    (tmp_path / "project" / "dags" / "looker.py").write_text(DAG)
    (tmp_path / "project" / "dags" / "hourly.py").write_text(HOURLY)
    (tmp_path / "project" / "expectations").mkdir()
    return tmp_path / "project"


def check_all_answers(state: StackState) -> None:
    """Put an object, run a query, ask Airflow (if it is part of the stack)."""
    from pyspark.sql import SparkSession

    client = s3_client(state.s3)
    client.put_object(Bucket="events", Key="a/b.json", Body=b"{}")
    session = SparkSession.builder.remote(state.spark).create()
    try:
        table = f"{state.lake}/staging/probe"
        session.range(3).write.format("delta").mode("overwrite").save(table)
        assert session.read.format("delta").load(table).count() == 3
    finally:
        session.stop()
    listed = client.list_objects_v2(Bucket="tidegate", Prefix="lake/staging/probe/_delta_log/")
    assert listed["KeyCount"] > 0
    if state.airflow is not None:
        assert state.user is not None
        assert state.password is not None
        with AirflowApi(state.airflow, state.user, state.password) as api:
            assert api.unwell() == []


def test_the_whole_stack_answers_and_runs_tasks_and_its_scheduler_is_started_again(
    home: Path, project: Path
) -> None:
    told: list[str] = []
    with running_stack(home, project=project, progress=told.append) as state:
        assert read_state(home) == state
        check_all_answers(state)
        _check_only_loopback(home)
        _check_secrets(home, state)
        _check_a_task_runs(state)
        _check_backfills_beside_a_busy_scheduler(home, state)
        _check_the_report_is_closed(state)
        kill_and_wait(home, "Airflow's scheduler", "airflow", "scheduler")
        _check_a_task_runs(state)

    assert processes(home) == []
    assert not state_file(home).exists()
    for part in ("S3", "Spark", "Airflow"):
        assert any(line.startswith(part) for line in told), told


def kill_and_wait(home: Path, name: str, *words: str, guard: bool = False) -> None:
    """Kill a part of a stack, or its guard, and wait until it answers again."""
    before = len(read_restarts(home))
    one(home, *words, guard=guard).kill()

    def back() -> bool:
        restarts = read_restarts(home)[before:]
        assert supervisor_pid(home) is not None, fault_of(home)
        return bool(restarts) and all(each.back_s is not None for each in restarts)

    wait_until(back, f"{name} answers again")
    assert [each.part for each in read_restarts(home)[before:]] == [name]


def _check_only_loopback(home: Path) -> None:
    listening = {
        (process.name(), connection.laddr.ip)
        for process in processes(home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) >= 3, listening
    # Java's sockets are IPv6 ones, on which the loopback address of IPv4 is written like this.
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening


def _check_secrets(home: Path, state: StackState) -> None:
    """No secret is on a command line or in a log; files that hold one are their owner's only."""
    known = json.loads((home / "secrets.json").read_text())
    del known["s3_access_key"]  # a name and no secret: requests carry it openly
    secrets = [*known.values(), state.spark.split("token=")[1]]
    assert all(len(secret) >= 16 for secret in secrets)
    check_secrets(home, secrets)


def check_secrets(home: Path, secrets: Sequence[str]) -> None:
    """None of some secrets is on a command line or in a log; files that hold one are their owner's only."""
    for process in processes(home):
        line = " ".join(process.cmdline())
        assert not any(secret in line for secret in secrets), process
    for file in home.rglob("*"):
        if not file.is_file() or file.is_relative_to(home / "s3") or file.suffix == ".jar":
            continue
        if any(secret.encode() in file.read_bytes() for secret in secrets):
            assert file.stat().st_mode & 0o077 == 0, f"others may read {file}"
            assert file.suffix != ".log", f"a secret in {file}"


def _check_a_task_runs(state: StackState) -> None:
    """Run a task: it has the stack's environment, and the heavy modules loaded already."""
    assert state.airflow is not None
    with AirflowApi(state.airflow, str(state.user), str(state.password)) as api:
        api.wait_for_dag("looker")
        assert api.import_errors() == []
        api.unpause("looker")
        run = api.trigger("looker")

        def states() -> list[str]:
            return [row["state"] for row in api.dag_runs("looker") if row["dag_run_id"] == run]

        wait_until(lambda: states()[0] in ("success", "failed"), "the run has ended")
        log = api.task_log("looker", run, "look")
        assert states() == ["success"], log
        assert [row["state"] for row in api.task_instances("looker", run)] == ["success"]
        assert "LOADED True True" in log
        assert "LAKE s3a://tidegate/lake sc://" in log


def _check_the_report_is_closed(state: StackState) -> None:
    """Ask for pages: without a login, with a bad one, with the stack's (whose lake is empty yet)."""
    url, user, password = state.login
    login = {"username": user, "password": password}
    token = requests.post(f"{url}/auth/token", json=login, timeout=30).json()["access_token"]
    for path in ("", "index.html", "derived.html", "hours/a/2026-03-01T12.html", "nothing"):
        page = f"{url}/tidegate/{path}"
        assert requests.get(page, timeout=30).status_code == 401
        for bad in ({"_token": "bad"}, {"_token": token[:-2]}):
            assert requests.get(page, cookies=bad, timeout=30).status_code == 401
    for known in (
        {"cookies": {"_token": token}},
        {"headers": {"Authorization": f"Bearer {token}"}},
    ):
        answer = requests.get(f"{url}/tidegate/", timeout=60, **known)
        assert answer.status_code == 503
        assert "no published tables yet" in answer.text


def _check_backfills_beside_a_busy_scheduler(home: Path, state: StackState) -> None:
    """Create backfills while others run: no request is refused since the database is in use."""
    assert state.airflow is not None
    hours = (datetime(2024, 1, 1, 0, tzinfo=UTC), datetime(2024, 1, 1, 5, tzinfo=UTC))
    with AirflowApi(state.airflow, str(state.user), str(state.password)) as api:
        for name in ("first", "second"):
            api.wait_for_dag(name)
            api.unpause(name)
        for name in ("first", "second"):
            api.create_backfill(name, *hours)

        def states() -> list[str]:
            names = ("first", "second")
            runs = [run for name in names for run in api.dag_runs(name, run_type="backfill")]
            return [run["state"] for run in runs]

        wait_until(lambda: states() == ["success"] * 12, "both backfills are through")
    assert "status_code=503" not in (home / "logs" / "airflow-api-server.log").read_text()


def test_a_part_that_is_killed_is_started_again_at_its_address(home: Path, project: Path) -> None:
    with running_stack(home, project=project, airflow=False) as state:
        for guard in (False, True):
            kill_and_wait(home, "the S3 server", "weed", "mini", guard=guard)
            kill_and_wait(home, "the Spark Connect server", "SparkConnectServer", guard=guard)
            check_all_answers(state)
        assert read_state(home) == state
        assert len(processes(home)) == 4  # S3, Spark and their guards
        check_stack(home)


@pytest.mark.slow
def test_a_part_that_dies_too_often_ends_the_rest_and_is_named(home: Path, project: Path) -> None:
    says = "the S3 server stopped by itself"
    with (
        pytest.raises(TidegateError, match=says),
        running_stack(home, project=project, airflow=False),
    ):
        for _ in range(MOST):
            kill_and_wait(home, "the S3 server", "weed", "mini")
        one(home, "weed", "mini").kill()
        wait_until(lambda: read_state(home) is None, "the stack notices")
        raise RuntimeError("what a caller sees when the ground is taken from under it")

    assert processes(home) == []
    with pytest.raises(TidegateError, match=says):
        check_stack(home)


def test_it_ends_with_the_process_that_started_it(home: Path, project: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from tidegate.stack.run import running_stack\n"
        "with running_stack(Path(sys.argv[1]), project=Path(sys.argv[2]), airflow=False):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script, str(home), str(project)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "ready\n"
        assert read_state(home) is not None
        assert len(processes(home)) == 4  # S3, Spark and their guards
    finally:
        caller.kill()
        caller.communicate()

    wait_for_the_end(home)
    assert fault_of(home) is None


def test_it_can_stay_and_be_stopped_and_started_again_with_what_it_holds(
    home: Path, project: Path
) -> None:
    first = start_stack(home, project=project, airflow=False)
    check_all_answers(first)
    with pytest.raises(TidegateError, match="runs in this state folder already"):
        start_stack(home, project=project, airflow=False)
    check_stack(home)
    assert len(processes(home)) == 4  # what was refused did no harm to what runs

    assert stop_stack(home)
    assert processes(home) == []
    assert not stop_stack(home)

    second = start_stack(home, project=project, airflow=False)
    assert second.s3 == first.s3
    found = s3_client(second.s3).get_object(Bucket="events", Key="a/b.json")
    assert found["Body"].read() == b"{}"

    os.kill(second.pid, signal.SIGKILL)  # the supervisor: nobody is left to stop the others
    wait_for_the_end(home)
    assert read_state(home) is None
    stop_stack(home)
    assert not state_file(home).exists()


def test_down_ends_what_even_the_guards_left(home: Path, project: Path) -> None:
    state = start_stack(home, project=project, airflow=False)
    os.kill(state.pid, signal.SIGSTOP)  # so that it neither notices nor answers
    supervisor = psutil.Process(state.pid)
    for guard in supervisor.children():
        guard.suspend()
    supervisor.kill()
    assert len(processes(home)) >= 2

    assert stop_stack(home)

    assert processes(home) == []


def test_a_port_that_is_asked_for_and_busy_is_named(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        monkeypatch.setenv("TIDEGATE_SPARK_PORT", str(port))

        with (
            pytest.raises(TidegateError) as caught,
            running_stack(home, project=project, airflow=False),
        ):
            pytest.fail("it started")

    assert f"port {port} is in use" in str(caught.value)
    assert "the Spark Connect server" in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    assert processes(home) == []
