"""Scene `live`: a backfill of many small hours, and live hours that come meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, hour_text
from tidegate.config.settings import Settings
from tidegate_bench.airflow_lab import DAG, AirflowLab, airflow_lab
from tidegate_bench.report import Mark, Outcome, Row
from tidegate_bench.traffic import Traffic, hour_of

MOST_RATIO = 2.0
"""How many times as long as usual a live hour may take to be published during a backfill."""
LEAST_A_MINUTE = 40.0
"""Hours a minute that a backfill has to reach."""
_DEADLINE_S = 3600.0
_APART_S = 30.0
"""From the end of a live hour to the begin of the next."""
_GAP = 48
"""Hours between the last one of the backfill and the first live one."""
_LOOK_S = 0.2


def live(
    settings: Settings, tell: Callable[[str], None], *, hours: int, events: int, runs: int
) -> Outcome:
    """Measure live hours alone, then live hours while a backfill runs, and the backfill.

    A live hour's clock runs from the end of its upload until it is published.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        hours: of the backfill.
        events: of an hour, about.
        runs: live hours that are measured alone; two more go before them to warm up.
    """
    traffic = Traffic(events, 2 * events)
    with airflow_lab(settings, tell) as own:
        own.unpause()
        own.put(traffic.write(number, own.folder / "dumps")[0] for number in range(hours))
        number = hours + _GAP
        alone = []
        for _ in range(runs + 2):
            alone.append(_live(own, traffic, number))
            tell(f"a live hour alone took {alone[-1]:.1f} s")
            number += 1
        usual = alone[2:]
        begun = time.monotonic()
        made = own.api.create_backfill(DAG, hour_of(0), hour_of(hours - 1), max_active_runs=24)
        beside = []
        while own.api.backfill(made)["completed_at"] is None:
            beside.append(_live(own, traffic, number))
            number += 1
            tell(f"a live hour beside the backfill took {beside[-1]:.1f} s; {_done(own)} are done")
            time.sleep(_APART_S)
        took = time.monotonic() - begun
        _all_succeeded(own)
        own.wait_for_release([hour_of(n) for n in range(hours)], _DEADLINE_S)
        released = time.monotonic() - begun
    rows: list[Row] = [
        {"what": "a live hour alone", "hours": len(usual), "seconds": median(usual)},
        {"what": "a live hour beside it", "hours": len(beside), "seconds": median(beside)},
        {"what": "the slowest of these", "hours": 1, "seconds": max(beside)},
        {"what": "the backfill, published", "hours": hours, "seconds": took},
        {"what": "the backfill, released", "hours": hours, "seconds": released},
    ]
    return Outcome(
        "live",
        "live hours beside a backfill of small hours through a warm Airflow",
        {"engine": settings.engine, "hours": hours, "events": events, "runs": runs},
        rows,
        [
            Mark.ratio(
                "a live hour beside a backfill, in usual ones (median)",
                MOST_RATIO,
                median(beside),
                median(usual),
            ),
            Mark("seconds for an hour of the backfill", 60.0 / LEAST_A_MINUTE, took / hours),
        ],
    )


def _live(own: AirflowLab, traffic: Traffic, number: int) -> float:
    """Upload a dump, have Airflow land it as it does live hours, and return the seconds it took."""
    file, _ = traffic.write(number, own.folder / "dumps")
    own.put([file])
    file.unlink()
    begun = time.monotonic()
    run_id = own.api.trigger(DAG, hour_of(number), interval=HOUR)
    while (state := own.api.dag_run(DAG, run_id)["state"]) not in ("success", "failed"):
        if time.monotonic() - begun > _DEADLINE_S:
            break
        time.sleep(_LOOK_S)
    if state != "success":
        raise TidegateError(
            f"a live hour was not published: {hour_text(hour_of(number))}",
            got=f"a run that is {state}",
        )
    return time.monotonic() - begun


def _done(own: AirflowLab) -> str:
    runs = own.api.dag_runs(DAG, run_type="backfill")
    return f"{sum(run['state'] == 'success' for run in runs):,} of {len(runs):,} hours"


def _all_succeeded(own: AirflowLab) -> None:
    runs = own.api.dag_runs(DAG, run_type="backfill")
    failed = [run["dag_run_id"] for run in runs if run["state"] != "success"]
    if failed:
        raise TidegateError(
            f"{len(failed)} of {len(runs)} hours of the backfill failed", got=", ".join(failed[:5])
        )
