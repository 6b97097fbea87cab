"""Check: sources, suites, metrics and catalogue, without running anything; every fault at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from tidegate.common.durations import duration_text
from tidegate.common.errors import SourceError, TidegateError
from tidegate.common.hours import HOUR
from tidegate.common.text_output import visible
from tidegate.config.settings import Settings
from tidegate.config.source import PiiAction, Source, split_path
from tidegate.config.suites import Suite, load_suite, name_faults
from tidegate.tables import BY_NAME, WAREHOUSE, events


def check(settings: Settings) -> tuple[list[str], list[str]]:
    """Look at every source file, suite and metric file of a project.

    Returns:
        What is right, and what is wrong, one line each.
    """
    right: list[str] = []
    wrong: list[str] = []
    columns = _sources(settings, right, wrong)
    for table in WAREHOUSE:
        path = settings.expectations / f"{table.name}.yml"
        try:
            suite = load_suite(settings.expectations, table.name)
        except TidegateError as error:
            wrong.append(f"{error.where}: {error.what}: {error.got or error.expected}")
            continue
        faults = suite_faults(suite, columns)
        wrong += [f"{path}: {fault}" for fault in faults]
        if not faults:
            right.append(f"{path}: {len(suite.entries)} expectations")
    known_suites = {f"{table.name}.yml" for table in WAREHOUSE}
    wrong += [
        f"{path}: no published table of that name; known are "
        + ", ".join(table.name for table in WAREHOUSE)
        for path in sorted(settings.expectations.glob("*.y*ml"))
        if path.name not in known_suites
    ]
    _metrics(settings, right, wrong)
    _alerts(settings, right, wrong)
    return right, wrong


def suite_faults(suite: Suite, columns: Mapping[str, Collection[str]]) -> list[str]:
    """Return what is wrong with a suite that could be read.

    Args:
        suite: the suite.
        columns: that each source adds to those of events.
    """
    from tidegate import gate

    table = BY_NAME[suite.table]
    mine = columns if table is events.TABLE else dict.fromkeys(columns, ())
    return [*gate.faults(suite), *name_faults(suite, table.column_names, mine)]


def _metrics(settings: Settings, right: list[str], wrong: list[str]) -> None:
    """Check the metric files, against the columns of tables and of those sources that can be read."""
    from tidegate.config.metrics import metric_faults, readable_metrics
    from tidegate.config.source import readable_sources

    read = readable_metrics(settings.metrics)
    wrong += [f"{settings.metrics}/{fault}" for told in read.faults.values() for fault in told]
    if not read.metrics:
        return
    there = settings.sources.is_dir()
    sources, broken = readable_sources(settings.sources) if there else ([], [])
    own = {s.source: {name: c.type for name, c in s.columns.items()} for s in sources}
    # What a broken source file has is not known, so no name can be called wrong for it.
    faults = metric_faults(read.metrics, own, every_source=not broken)
    for name, metric in read.metrics.items():
        path = read.files[name]
        wrong += [f"{path}: {fault}" for fault in faults.get(name, ())]
        if name not in faults:
            right.append(f"{path}: metric {name} ({metric.kind})")


def _alerts(settings: Settings, right: list[str], wrong: list[str]) -> None:
    from tidegate.orchestration.alerts import alerts_file, load_notifiers

    path = alerts_file(settings)
    try:
        notifiers = load_notifiers(path)
        for each in notifiers:
            each.make()
    except TidegateError as error:
        wrong.append(f"{path}: {error.what}: {error.got}")
    else:
        right += [f"{path}: {len(notifiers)} notifiers"] if notifiers else []


def _pii(source: Source) -> str:
    """Return what a source does with personal data; paths that nothing reads may be misspelled."""
    if not source.pii:
        return ""
    counts = Counter(source.pii.values())
    words: Mapping[PiiAction, str] = {"hash": "hashed", "drop": "dropped", "keep": "kept"}
    told = ", ".join(f"{counts[action]} {word}" for action, word in words.items() if counts[action])
    read = [split_path(path) for path in source.references()]
    alone = [
        path
        for path in source.pii
        if not any(names[: len(split_path(path))] == split_path(path) for names in read)
    ]
    unread = f"; no field or column reads {visible(', '.join(alone))}" if alone else ""
    return f"; of personal data {told}{unread}"


def _gap(source: Source) -> str:
    """Return a warning where every hour of a user is a session of its own."""
    gap = source.sessions.gap
    if not source.fields.event_time.is_dump_hour or gap >= HOUR:
        return ""
    return (
        f"; warning: events have the time of their dump hour, and sessions.gap is {duration_text(gap)}: "
        f"no session goes on from one hour to the next; a gap of 1h or more lets it"
    )


def _sources(settings: Settings, right: list[str], wrong: list[str]) -> dict[str, Collection[str]]:
    """Check the source files; return the columns of their own that they declare, by source."""
    from tidegate.config.source import load_sources

    try:
        sources = load_sources(settings.sources)
    except SourceError as error:
        wrong += [f"{error.where}: {fault}" for fault in error.faults]
        return {}
    except TidegateError as error:
        wrong.append(error.describe())
        return {}
    right += [f"{each.path}: source {each.source}{_pii(each)}{_gap(each)}" for each in sources]
    return {each.source: list(each.columns) for each in sources}
