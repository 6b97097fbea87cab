"""In force: the configuration that what is published of a source was built by.

A changed source file takes effect when the tables that it concerns are built again, whole (`rebuild`).
Until then hours are landed and sessions made as before, so that no table mixes rows of two kinds.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word
from tidegate.config.fingerprint import changes, definition
from tidegate.lake import Row, literal, parse_time
from tidegate.tables import Table, events, sessions
from tidegate.tables.system_tables import CONFIGURATIONS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

REUSED_FOR = timedelta(days=7)
"""How long a landing by a configuration that is not in force may be taken up: its candidate is not kept for
ever (`steps.maintain`)."""

_DECIDED = (events.TABLE, sessions.TABLE)
"""The tables that a source file has a say in; the others follow from these."""


def in_force(work: Work, source: Source, *, tell: bool = False) -> Source:
    """Return a source as what is published of it was built.

    Args:
        work: where.
        source: as its file is now; that is in force where nothing is published yet.
        tell: whether to say what of the file has to wait.

    Raises:
        TidegateError: what is published was built by a configuration that nobody wrote down.
    """
    now = source
    for table in _DECIDED:
        last = work.ledger.last(table, source.source)
        # Rows that other code made are not to be added to; there is no point in reading its words.
        if last is None or is_outdated(work, source, table):
            continue
        if last.configuration != work.fingerprint(source, table):
            where = f"configuration = {literal(last.configuration)}"
            recorded = work.lake.book(CONFIGURATIONS, where)
            if not recorded:
                raise TidegateError(
                    f"nobody wrote down by which configuration {table.name} of {source.source} was built",
                    where=work.lake.path(CONFIGURATIONS),
                    expected=f"a row of configuration {last.configuration}",
                    todo="build it again: "
                    + command("rebuild", table.name, source_word(source.source)),
                )
            now = now.defined_as(json.loads(recorded[0]["definition"]))
            if tell:
                parts = changes(definition(now, table), work.definition(source, table))
                work.tell(
                    f"{source.path.name} has changed ({', '.join(parts)}); {table.name} of "
                    f"{source.source} stays as before until: "
                    + command("rebuild", table.name, source_word(source.source))
                )
    return now


def may_be_taken_up(work: Work, source: Source, landing: Row) -> bool:
    """Return whether a landing by the configuration of a source has its candidate still."""
    from tidegate.pipeline.context.run_context import now

    last = work.ledger.last(events.TABLE, source.source)
    in_force = last is None or last.configuration == landing["configuration"]
    return in_force or parse_time(landing["landed_at"]) > now() - REUSED_FOR


def is_outdated(work: Work, source: Source, table: Table) -> bool:
    """Return whether the published rows of a source were made by another version of the code."""
    last = work.ledger.last(table, source.source)
    return last is not None and last.code_version != table.version


def outdated_text(work: Work, source: Source, table: Table) -> str:
    """Return what to say of a table that other code made."""
    last = work.ledger.last(table, source.source)
    made = last.code_version if last else None
    return (
        f"{table.name} of {source.source} was built by version {made} of its code, this is version "
        f"{table.version}: {command('rebuild', table.name, source_word(source.source))}"
    )


def refuse_outdated(work: Work, source: Source) -> None:
    """Raise unless the code of today may add to the published events of a source.

    Raises:
        TidegateError: other code made them.
    """
    if is_outdated(work, source, events.TABLE):
        raise TidegateError(
            outdated_text(work, source, events.TABLE),
            where=work.lake.path(events.TABLE),
            expected="rows of one version",
            todo="rebuild it first; analysts read what is there meanwhile",
        )


def record(work: Work, source: Source, table: Table) -> None:
    """Write down a configuration, before the first publication by it."""
    from tidegate.pipeline.context.run_context import now

    name = work.fingerprint(source, table)
    last = work.ledger.last(table, source.source)
    if last is not None and last.configuration == name:
        return
    if not work.lake.book(CONFIGURATIONS, f"configuration = {literal(name)}"):
        row = {
            "configuration": name,
            "table_name": table.name,
            "source": source.source,
            "definition": json.dumps(work.definition(source, table), sort_keys=True),
            "code_version": table.version,
            "run_id": work.run_id,
            "recorded_at": now(),
        }
        work.lake.append(CONFIGURATIONS, [row])
