"""In force: the metrics that the next release will have, from the project's files and the release before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.config.metrics.check import Columns, metric_faults, typed
from tidegate.config.metrics.load import canonical, from_canonical, readable_metrics
from tidegate.config.metrics.model import Metric
from tidegate.config.metrics.sql import named_columns
from tidegate.tables import BY_NAME


def in_force(
    folder: Path,
    last: Mapping[str, str],
    own: Callable[[], Mapping[str, Columns]],
    of_lake: Callable[[], Columns],
) -> tuple[dict[str, str], list[str]]:
    """Return the definitions that are in force, and what is wrong with files that are not.

    A broken file stops nothing: the definition that the release before has of its metric stays.

    Args:
        folder: of the metric files; there may be none.
        last: the definitions of the release before, name -> canonical JSON.
        own: gives the columns of the project's sources, by source: name -> Spark type.
        of_lake: gives the columns of the published events likewise; asked only if those do not suffice.

    Returns:
        name -> canonical JSON, and faults, each with its file.
    """
    read = readable_metrics(folder)
    told = [each for faults in read.faults.values() for each in faults]
    kept = {name: last[name] for name in read.faults if name in last}
    if not read.metrics:
        return kept, told
    sources = own()
    every = {name: kind for columns in sources.values() for name, kind in columns.items()}
    known = {*every, *BY_NAME["events"].column_names}
    asked = {
        name
        for metric in read.metrics.values()
        if metric.reads == "events"
        for name in named_columns(metric)
    }
    others = of_lake() if asked - known else {}
    wrong = metric_faults(
        {**_readable(kept), **read.metrics}, sources, others=others, every_source=False
    )
    made = dict(kept)
    for name, metric in read.metrics.items():
        if name not in wrong:
            made[name] = canonical(typed(metric, {**others, **every}))
            continue
        told += [f"{read.files[name].name}: {fault}" for fault in wrong[name]]
        if name in last:
            made[name] = last[name]
    return dict(sorted(made.items())), told


def _readable(definitions: Mapping[str, str]) -> dict[str, Metric]:
    """Return those of some definitions that this version can read: others it can't say anything about."""
    found = {}
    for name, text in definitions.items():
        try:
            found[name] = from_canonical(text)
        except TidegateError:
            continue  # its view will tell
    return found
