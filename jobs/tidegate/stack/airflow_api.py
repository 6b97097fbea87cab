"""A small client of Airflow's REST API (v2): what the demo, `status` and the tests need of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Self

import requests

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command

TIMEOUT_S = 30.0
"""Seconds for one answer."""
BUSY_S = 60.0
"""Seconds for which a request that Airflow is too busy for is sent again."""
_PAGE = 100
Row = dict[str, Any]
"""A JSON object as Airflow gives it."""


class AirflowApi:
    """A session with one Airflow, logged in when it is first needed.

    Args:
        url: address of the API server, without a path.
        user: login.
        password: its password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy stands between here and loopback

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def unwell(self, since: float = 0.0) -> list[str] | None:
        """Return which parts of Airflow are not well, or None if its API server does not answer.

        Args:
            since: seconds since the epoch; a part whose last heartbeat is older is not well.
        """
        try:
            answer = self._http.get(f"{self._url}/api/v2/monitor/health", timeout=TIMEOUT_S)
            parts = answer.json() if answer.ok else None
        except (requests.RequestException, ValueError):
            return None
        if not isinstance(parts, dict):
            return None
        return [name for name, told in parts.items() if not _is_well(name, told or {}, since)]

    def warm(self) -> bool:
        """Ask the API that tasks call a first time; return whether it answered.

        It builds itself on its first request, for some seconds, which the first task would wait for.
        """
        try:
            return self._http.get(f"{self._url}/execution/health", timeout=TIMEOUT_S).ok
        except requests.RequestException:
            return False

    def wait_for_dag(self, dag_id: str, timeout: float = 120.0) -> Row:
        """Return a DAG once Airflow has parsed it.

        Raises:
            TidegateError: it did not within `timeout` seconds; import errors are told.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            answer = self._send("GET", f"/dags/{dag_id}", missing_ok=True)
            if answer is not None:
                return answer
            time.sleep(0.3)
        faults = "; ".join(
            f"{row['filename']}: {str(row['stack_trace']).strip().splitlines()[-1]}"
            for row in self.import_errors()
        )
        raise TidegateError(
            "Airflow does not know this DAG",
            where=dag_id,
            expected=f"the DAG processor to have parsed it within {timeout:.0f} seconds",
            got=f"import errors: {faults}" if faults else "no import errors",
            todo="run: tidegate check",
        )

    def import_errors(self) -> list[Row]:
        """Return the faults of DAG files."""
        return list(self._all("/importErrors", "import_errors"))

    def dags(self) -> list[Row]:
        """Return the DAGs."""
        return list(self._all("/dags", "dags"))

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        """Let a DAG's runs run (or not)."""
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def set_pool(self, name: str, slots: int, purpose: str) -> None:
        """Make a pool, or give one that is there another size."""
        body = {"slots": slots, "description": purpose, "include_deferred": False}
        if self._send("GET", f"/pools/{name}", missing_ok=True) is None:
            self._send("POST", "/pools", json={**body, "name": name})
        else:
            self._send("PATCH", f"/pools/{name}", json={**body, "pool": name})

    def create_backfill(
        self,
        dag_id: str,
        first: datetime,
        last: datetime,
        *,
        max_active_runs: int = 4,
        reprocess: str = "none",
        backwards: bool = False,
    ) -> int:
        """Create a backfill of an hourly DAG and return its id.

        Args:
            dag_id: the DAG.
            first: the first logical date.
            last: the last one, inclusive.
            max_active_runs: runs of this backfill at a time.
            reprocess: which dates that have a run are run again: `none`, `failed` (those that failed), or
                `completed` (all that ended).
            backwards: the last date first.

        Raises:
            TidegateError: Airflow refused (it allows one backfill of a DAG at a time).
        """
        body = _backfill(dag_id, first, last, max_active_runs, reprocess, backwards)
        made = self._send("POST", "/backfills", json=body)
        return int((made or {})["id"])

    def backfill_dates(
        self, dag_id: str, first: datetime, last: datetime, reprocess: str = "none"
    ) -> list[datetime]:
        """Return the logical dates that a backfill would run, see `create_backfill`; it makes none.

        Raises:
            TidegateError: Airflow refused.
        """
        body = _backfill(dag_id, first, last, 1, reprocess, backwards=False)
        found = self._send("POST", "/backfills/dry_run", json=body) or {}
        return sorted(datetime.fromisoformat(row["logical_date"]) for row in found["backfills"])

    def backfills_under_way(self, dag_id: str) -> list[Row]:
        """Return the backfills of a DAG that have not ended."""
        found = self._all("/backfills", "backfills", dag_id=dag_id)
        return [row for row in found if row["completed_at"] is None]

    def backfill(self, backfill_id: int) -> Row:
        """Return a backfill; its `completed_at` is None while it runs."""
        return self._send("GET", f"/backfills/{backfill_id}") or {}

    def dag_runs(self, dag_id: str = "~", **filters: Any) -> list[Row]:
        """Return the runs of a DAG (of all by default), oldest first.

        Args:
            dag_id: the DAG.
            **filters: Airflow's own, such as `state="running"` or `run_type="backfill"`.
        """
        path = f"/dags/{dag_id}/dagRuns"
        return list(self._all(path, "dag_runs", order_by="id", **filters))

    def dag_run(self, dag_id: str, run_id: str) -> Row:
        """Return one run of a DAG."""
        return self._send("GET", f"/dags/{dag_id}/dagRuns/{run_id}") or {}

    def task_instances(self, dag_id: str = "~", run_id: str = "~", **filters: Any) -> list[Row]:
        """Return the task instances of a run (by default of all runs of all DAGs)."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self._all(path, "task_instances", **filters))

    def trigger(
        self,
        dag_id: str,
        logical_date: datetime | None = None,
        conf: Row | None = None,
        interval: timedelta | None = None,
    ) -> str:
        """Start a run of a DAG and return the run's id.

        Args:
            dag_id: the DAG.
            logical_date: of the run.
            conf: its parameters.
            interval: how long its data interval is, which then begins at the logical date, as that of a
                scheduled run does; else the timetable chooses one that ends there.
        """
        when = logical_date.isoformat() if logical_date else None
        body: Row = {"logical_date": when, "conf": conf or {}}
        if logical_date is not None and interval is not None:
            body["data_interval_start"] = when
            body["data_interval_end"] = (logical_date + interval).isoformat()
        made = self._send("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return str((made or {})["dag_run_id"])

    def clear(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        """Let a run's tasks run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "reset_dag_runs": True,
        }
        self._send("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def asset_events(self, **filters: Any) -> list[Row]:
        """Return the events of assets, oldest first."""
        return list(self._all("/assets/events", "asset_events", order_by="timestamp", **filters))

    def tell_of_asset(self, name: str) -> None:
        """Tell Airflow that an asset was updated, so that what is scheduled on it runs.

        Raises:
            TidegateError: Airflow knows no such asset.
        """
        found = [row for row in self._all("/assets", "assets") if row["name"] == name]
        if not found:
            raise TidegateError(
                "Airflow knows no such asset", expected=name, todo="see whether its DAGs are parsed"
            )
        self._send("POST", "/assets/events", json={"asset_id": found[0]["id"]})

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return the log of one attempt of a task, a message a line."""
        lines = self.task_log_lines(dag_id, run_id, task_id, attempt)
        return "\n".join(str(line["event"]) for line in lines)

    def task_log_lines(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> list[Row]:
        """Return the log of one attempt of a task: each message as `event`, most with their `timestamp`."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        content = (self._send("GET", path) or {}).get("content", "")
        lines = content.splitlines() if isinstance(content, str) else content
        return [
            line if isinstance(line, dict) and "event" in line else {"event": str(line)}
            for line in lines
        ]

    def _all(self, path: str, key: str, **query: Any) -> Iterator[Row]:
        """Yield the rows of every page."""
        offset = 0
        while True:
            page = self._send("GET", path, params={**query, "limit": _PAGE, "offset": offset}) or {}
            rows = page.get(key, [])
            yield from rows
            offset += len(rows)
            if not rows or offset >= int(page.get("total_entries", 0)):
                return

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Row | None = None,
        params: Row | None = None,
        missing_ok: bool = False,
    ) -> Row | None:
        """Send one request, again while Airflow says that it is busy."""
        address = f"{self._url}/api/v2{path}"
        try:
            answer = self._ask(method, address, json, params)
            # 503 is Airflow's word for a metadata database that somebody else is writing to.
            deadline = time.monotonic() + BUSY_S
            while (
                answer.status_code == requests.codes.service_unavailable
                and time.monotonic() < deadline
            ):
                time.sleep(0.5)
                answer = self._ask(method, address, json, params)
        except requests.RequestException as error:
            raise TryAgainError(
                "Airflow's API does not answer",
                where=f"{method} {address}",
                got=str(error),
                todo=f"see whether the stack runs: {command('status')}",
            ) from error
        if missing_ok and answer.status_code == requests.codes.not_found:
            return None
        if not answer.ok:
            raise TidegateError(
                "Airflow refused a request",
                where=f"{method} {address}",
                got=f"HTTP {answer.status_code}: {answer.text[:1000]}",
            )
        found = answer.json() if answer.content else {}
        return found if isinstance(found, dict) else {"items": found}

    def _ask(
        self, method: str, address: str, json: Row | None, params: Row | None
    ) -> requests.Response:
        """Send it as who is logged in; log in first if need be, and again when that has expired."""
        for again in (True, False):
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(
                method, address, json=json, params=params, timeout=TIMEOUT_S
            )
            if answer.status_code != requests.codes.unauthorized or not again:
                break
            del self._http.headers["Authorization"]
        return answer

    def _log_in(self) -> None:
        address = f"{self._url}/auth/token"
        answer = self._http.post(address, json=self._login, timeout=TIMEOUT_S)
        if not answer.ok:
            raise TidegateError(
                "Airflow does not accept this login",
                where=f"{address}, user {self._login['username']}",
                got=f"HTTP {answer.status_code}",
                todo="restart the stack: tidegate down, then tidegate up",
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _backfill(
    dag_id: str,
    first: datetime,
    last: datetime,
    max_active_runs: int,
    reprocess: str,
    backwards: bool,
) -> Row:
    return {
        "dag_id": dag_id,
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "max_active_runs": max_active_runs,
        "reprocess_behavior": reprocess,
        "run_backwards": backwards,
    }


def _is_well(name: str, told: Row, since: float) -> bool:
    if told.get("status") != "healthy":
        return False
    beat = told.get(f"latest_{name}_heartbeat")
    if name == "metadatabase" or since == 0.0:
        return True
    return beat is not None and datetime.fromisoformat(str(beat)).timestamp() >= since
