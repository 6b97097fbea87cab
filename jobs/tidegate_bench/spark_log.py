"""What a Spark server did: queries, jobs, files and bytes read, from its own event log."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WAIT_S = 60.0
_MARK = "tidegate-mark"
_PLACE = re.compile(r"/((?:staging|warehouse|ops)/[^/,\]]+)(/_delta_log)?")
_METRICS = {"number of files read": "files", "size of files read": "bytes"}
_EVENTS = re.compile(
    r'\{"Event":"[\w.]*SparkListener'
    "(SQLExecutionStart|SQLExecutionEnd|SQLAdaptiveExecutionUpdate|DriverAccumUpdates|JobStart"
    "|ConnectOperationStarted)"
)
"""Those that are looked at."""
Stretch = tuple[float, float]
"""From when to when, in seconds since the epoch."""


@dataclass
class Reads:
    """Files that scans opened, and their sizes in bytes."""

    files: int = 0
    bytes: int = 0


@dataclass
class Activity:
    """What a server did in a stretch of time.

    Attributes:
        queries: how many it ran; what Delta asks on the way is counted too.
        jobs: how many jobs those had.
        busy: stretches with at least one query, in order and apart.
        reads: by place below the lake, such as `warehouse/events`; of a table's own log under
            `warehouse/events/_delta_log`; all else (dumps, for one) under `other`.
    """

    queries: int = 0
    jobs: int = 0
    busy: Sequence[Stretch] = ()
    reads: dict[str, Reads] = field(default_factory=lambda: defaultdict(Reads))

    def under(self, area: str) -> Reads:
        """Return the reads of all tables of an area, without their logs."""
        return self._sum(lambda place: place.startswith(f"{area}/") and not _is_log(place))

    @property
    def logs(self) -> Reads:
        """The reads of all tables' own logs."""
        return self._sum(_is_log)

    def _sum(self, counts: Callable[[str], bool]) -> Reads:
        of = [each for place, each in self.reads.items() if counts(place)]
        return Reads(sum(each.files for each in of), sum(each.bytes for each in of))


def log_conf(folder: Path) -> dict[str, str]:
    """Return the properties with which a Spark server writes its event log into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


class SparkLog:
    """The event log of a server that was started with `log_conf`.

    Args:
        folder: the log's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = 0
        self._rest = b""
        self._lines: deque[str] = deque()
        self._marks = itertools.count(1)
        # By scan: where it reads, and which number of it an accumulator holds.
        self._scans: dict[int, tuple[str, str]] = {}

    def since_last(self, spark: SparkSession) -> Activity:
        """Return what the server did since the last call, or since it started.

        Args:
            spark: a session of that server, to say where the log has to reach.

        Raises:
            TidegateError: the log does not get there.
        """
        mark = f"{_MARK}-{next(self._marks)}"
        spark.sql(f"SELECT * FROM VALUES ('{mark}')").collect()
        done = Activity()
        open_since: dict[int, int] = {}
        busy: list[Stretch] = []
        for event in self._upto(mark):
            name = event["Event"].rpartition(".")[2]
            if name == "SparkListenerSQLExecutionStart":
                done.queries += 1
                open_since[event["executionId"]] = event["time"]
                self._know(event["sparkPlanInfo"])
            elif name == "SparkListenerSQLAdaptiveExecutionUpdate":
                self._know(event["sparkPlanInfo"])
            elif name == "SparkListenerSQLExecutionEnd":
                begun = open_since.pop(event["executionId"], None)
                if begun is not None:
                    busy.append((begun / 1000, event["time"] / 1000))
            elif name == "SparkListenerDriverAccumUpdates":
                for number, value in event["accumUpdates"]:
                    if number in self._scans:
                        place, what = self._scans[number]
                        reads = done.reads[place]
                        setattr(reads, what, getattr(reads, what) + value)
            else:
                done.jobs += 1
        done.busy = merged(busy)
        return done

    def _know(self, plan: Mapping[str, Any]) -> None:
        """Remember which numbers the scans of a plan count in."""
        location = (plan.get("metadata") or {}).get("Location")
        if location is not None:
            for metric in plan["metrics"]:
                if metric["name"] in _METRICS:
                    known = (_place(location), _METRICS[metric["name"]])
                    self._scans[metric["accumulatorId"]] = known
        for child in plan["children"]:
            self._know(child)

    def _upto(self, mark: str) -> Iterator[dict[str, Any]]:
        """Yield the events that are looked at, up to the query that holds the mark."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            while self._lines:
                line = self._lines.popleft()
                if not _EVENTS.match(line):
                    continue
                if "ConnectOperationStarted" not in line[:120]:
                    yield json.loads(line)
                elif mark in line:
                    return
            self._read_on()
            time.sleep(0.02)
        raise TidegateError(
            "Spark's event log does not reach as far as the work",
            where=str(self._folder),
            expected=f"the query {mark} within {_WAIT_S:.0f} seconds",
            todo="see whether the disk is full",
        )

    def _read_on(self) -> None:
        """Read the lines that were written since the last look."""
        [file] = self._folder.iterdir()
        with file.open("rb") as opened:
            opened.seek(self._read)
            written = opened.read()
        self._read += len(written)
        *whole, self._rest = (self._rest + written).split(b"\n")
        self._lines.extend(line.decode() for line in whole)


def _is_log(place: str) -> bool:
    return place.endswith("/_delta_log")


def _place(location: str) -> str:
    found = _PLACE.search(location)
    return found[1] + (found[2] or "") if found else "other"


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return what the stretches cover, in order; those that touch or overlap become one."""
    out: list[Stretch] = []
    for begin, end in sorted(stretches):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return out
