"""Scene `scale`: a day of dumps by size, in one process, and by executors, on a cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence

from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate_bench.cluster import cluster
from tidegate_bench.day import HOURS, run_day, write_day
from tidegate_bench.lab import scratch
from tidegate_bench.process import Ended, Watch
from tidegate_bench.report import Mark, Outcome, Row

MOST_GB = 1.5
"""Peak memory, in GB (10^9 bytes), that a size of at most `_DAY` events may take."""
MOST_GB_BEYOND = 2.0
"""Peak memory, in GB, that a larger size may take."""
_DAY = 2_000_000


def scale(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    sizes: Sequence[int],
    executors: Sequence[int],
    cluster_events: int,
) -> Outcome:
    """Measure `tidegate run` on 24 dumps, each size and each cluster once.

    Args:
        settings: of the project, and the engine that computes in one process.
        tell: is given a line of progress at a time.
        sizes: events of all dumps, about, ascending; a tenth as many visitors.
        executors: numbers of executors of one core each of a standalone cluster on loopback, whose server
            is started before the clock; memory there is that of all of the cluster.
        cluster_events: events that these are given, about.
    """
    rows: list[Row] = []
    marks: list[Mark] = []
    for events in sizes:
        with scratch(settings) as folder:
            day = write_day(folder, events, _visitors(events))
            ended = run_day(settings, day, f"{folder}/lake", settings.engine)
        rows.append(_row("one process", events, ended))
        most = MOST_GB if events <= _DAY else MOST_GB_BEYOND
        marks.append(Mark(f"peak GB at {events:,} events", most, ended.peak_bytes / 1e9))
        tell(_told(rows[-1]))
    for count in executors:
        with scratch(settings) as folder:
            day = write_day(folder, cluster_events, _visitors(cluster_events))
            with cluster(settings.home, folder, count) as url:
                watch = Watch(os.getpid())
                try:
                    ended = run_day(
                        settings, day, f"{folder}/lake", "spark", {"TIDEGATE_SPARK": url}
                    )
                finally:
                    watch.end()
        rows.append(
            _row(
                f"cluster, {count} executor{'s' if count > 1 else ''}",
                cluster_events,
                Ended(ended.seconds, watch.peak, ended.output),
            )
        )
        tell(_told(rows[-1]))
    _check(rows)
    about = f"`tidegate run` on {HOURS} dumps, once each"
    given = {"engine": settings.engine, "cluster_events": cluster_events}
    return Outcome("scale", about, given, rows, marks)


def _visitors(events: int) -> int:
    return max(1, events // 10)


def _row(who: str, events: int, ended: Ended) -> Row:
    return {
        "on": who,
        "events": events,
        "published": json.loads(ended.output)["events"],
        "seconds": ended.seconds,
        "events_per_s": events / ended.seconds,
        "peak_gb": ended.peak_bytes / 1e9,
    }


def _told(row: Row) -> str:
    return f"{row['events']:,} events, {row['on']}: {row['seconds']:.1f} s, {row['peak_gb']:.2f} GB"


def _check(rows: Sequence[Row]) -> None:
    """Raise unless the same dumps gave the same number of rows everywhere."""
    known: dict[object, Row] = {}
    for row in rows:
        first = known.setdefault(row["events"], row)
        if row["published"] != first["published"]:
            raise TidegateError(
                "the same dumps gave another number of events",
                where=f"{row['on']} beside {first['on']}",
                expected=str(first["published"]),
                got=str(row["published"]),
            )
