"""Check: sources, suites and catalogue, without running anything; every fault at once."""

from __future__ import annotations

from tidegate.errors import SourceError, TidegateError
from tidegate.settings import Settings
from tidegate.suites import column_faults, load_suite
from tidegate.tables import WAREHOUSE


def check(settings: Settings) -> tuple[list[str], list[str]]:
    """Look at every source file and suite of a project.

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
        from tidegate import gate

        known = set(table.column_names) | (columns if table.name == "events" else set())
        faults = [*gate.faults(suite), *column_faults(suite, known)]
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
    return right, wrong


def _sources(settings: Settings, right: list[str], wrong: list[str]) -> set[str]:
    """Check the source files; return the columns of their own that they declare."""
    from tidegate.source import load_sources

    try:
        sources = load_sources(settings.sources)
    except SourceError as error:
        wrong += [f"{error.where}: {fault}" for fault in error.faults]
        return set()
    except TidegateError as error:
        wrong.append(error.describe())
        return set()
    right += [f"{each.path}: source {each.source}" for each in sources]
    return {name for each in sources for name in each.columns}
