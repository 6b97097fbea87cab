"""The pages as files, in a bucket or a folder: what a browser opens without Airflow."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.common.hours import HOUR
from tidegate.report import pages
from tidegate.report.grid import DAYS
from tidegate.report.metrics import csv_of
from tidegate.report.names import (
    CATALOGUE,
    DERIVED,
    INDEX,
    METRICS,
    hour_page,
    metric_csv,
    metric_page,
    quarantine_page,
)
from tidegate.report.pages import Reach, Written
from tidegate.report.reader import Reader, open_reader
from tidegate.storage.store import replace_files

if TYPE_CHECKING:
    from tidegate.config.settings import Settings

_MOST_HOURS = 200
"""Pages of hours at most: a broken week of many sources must not take an hour to write."""
# What was written before under these names and is not written again is out of date.
_OURS = re.compile(
    r"(index|derived|catalogue|metrics|(quarantine|metrics|tables)/[a-z0-9_]+|"
    r"hours/[a-z0-9_]+/\d{4}-\d{2}-\d{2}T\d{2})\.html|metrics/[a-z0-9_]+\.csv"
)


def default_target(settings: Settings) -> str:
    """Return where the files go unless told otherwise: beside the lake's tables."""
    return f"{settings.lake}/reports"


def write(settings: Settings, target: str, now: datetime | None = None) -> list[str]:
    """Write the pages as files; older ones of ours that are not written again are removed.

    Those are the metrics with their rows as CSV, the overview, the derived tables, the catalogue, each source's
    quarantine, and of each source's last days the hours that are held or had an audit that was not met.

    Args:
        settings: of the lake.
        target: a folder, or `s3://bucket/prefix`.
        now: the time; the clock's unless given.

    Returns:
        The files' names below the target.

    Raises:
        TidegateError: the lake can't be read, or the target can't be written.
    """
    with open_reader(settings) as reader:
        made = _pages(reader, Written(now or datetime.now(UTC), settings.lake))
    bodies = {name: text.encode() for name, text in made.items()}
    replace_files(settings.s3, target, bodies, lambda name: _OURS.fullmatch(name) is not None)
    return sorted(bodies)


def _pages(reader: Reader, written: Written) -> dict[str, str]:
    found = reader.overview(written.at)
    worrying = [
        (hour, grid.source)
        for grid in found.grids
        for hour in reader.worrying(
            grid.source, grid.days[0].hours[0][0], grid.days[0].hours[0][0] + DAYS * 24 * HOUR
        )
    ]
    shown = {(source, hour) for hour, source in sorted(worrying)[-_MOST_HOURS:]}

    def reach(root: str) -> Reach:
        return Reach(root=root, hours=shown, paged=False)

    made = {
        INDEX: pages.overview(found, written, reach("")),
        DERIVED: pages.derived(reader.derived(), written, reach("")),
        CATALOGUE: pages.catalogue(reader.catalogue(), written, reach("")),
    }
    metrics = reader.metrics()
    made[METRICS] = pages.metrics(metrics, written, reach(""))
    for metric in metrics.metrics:
        page = pages.metric(metrics, metric, written, reach("../"))
        made[metric_page(metric.name)] = page
        made[metric_csv(metric.name)] = csv_of(metric)
    for source in reader.sources:
        bad = reader.quarantine(source)
        made[quarantine_page(source)] = pages.quarantine(bad, written, reach("../"))
    for source, hour in sorted(shown):
        text = pages.hour(reader.hour(source, hour, written.at), written, reach("../../"))
        made[hour_page(source, hour)] = text
    return made
