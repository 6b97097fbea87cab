"""What derived tables have not consumed of the publications that they are built from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake.ledger import Publication
from tidegate.pipeline.derive import aliases
from tidegate.pipeline.derive.candidates import Pending
from tidegate.tables import BY_NAME, DERIVED, Table, events, session_aliases, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def waiting(work: Work, reached: Mapping[str, int]) -> list[Publication]:
    """Return the publications of events that derived tables have not consumed.

    Args:
        work: where.
        reached: by source, what `consumed` returned.
    """
    return [
        each
        for each in work.ledger.publications(
            events.TABLE, after_version=min(reached.values(), default=-1)
        )
        if each.source in reached and each.delta_version > reached[each.source]
    ]


def consumed(work: Work, names: Iterable[str]) -> dict[str, int]:
    """Return by source the version of events up to which every derived table has consumed it."""
    out: dict[str, int] = {}
    for name in names:
        versions = []
        for table in DERIVED:
            last = work.ledger.last(table, name)
            versions.append(last.input_versions[events.TABLE.name] if last else -1)
        out[name] = min(versions)
    return out


def lagging(work: Work, source: str, of: Table) -> list[str]:
    """Return the tables that have not followed the last publication of events, or of sessions, of a source.

    Of sessions that is so where they were rebuilt, or where a run was killed between the two.
    """
    made = work.ledger.last(of, source)
    if made is None:
        return []
    late = [
        table.name
        for table in DERIVED
        if of.name in table.built_from
        and (
            (last := work.ledger.last(table, source)) is None
            or last.input_versions[of.name] < made.delta_version
        )
    ]
    if of is sessions.TABLE and aliases.pending(work, source):
        late.append(session_aliases.TABLE.name)
    return late


def pending_of(
    work: Work,
    table: Table,
    source: Source,
    version: int,
    *,
    whole: bool = False,
    again: tuple[datetime, datetime] | None = None,
) -> Pending:
    """Return the publications of a table's inputs that it has not consumed.

    Args:
        work: where.
        table: the derived table.
        source: whose, by the configuration to build by.
        version: of events, up to which they are consumed.
        whole: whether all is to be built again, whatever was consumed.
        again: publications of these dump hours, the first to the last, are consumed once more.
    """
    last = work.ledger.last(table, source.source)
    done = last.input_versions if last else {}
    found = work.ledger.publications(
        events.TABLE,
        source.source,
        after_version=done.get(events.TABLE.name, -1),
        upto_version=version,
    )
    inputs = {events.TABLE.name: version}
    for name in table.built_from:
        if name == events.TABLE.name:
            continue
        built = work.ledger.publications(
            BY_NAME[name], source.source, after_version=done.get(name, -1)
        )
        # Not the version that the table has by now: what came since was not consumed.
        inputs[name] = built[-1].delta_version if built else done.get(name, 0)
        found += built
    if again is not None:
        known = {each.publication_id for each in found}
        found += [
            each
            for each in work.ledger.publications(events.TABLE, source.source, upto_version=version)
            if each.publication_id not in known
            and any(again[0] <= part.slice <= again[1] for part in each.slices)
        ]
    return Pending(source, inputs, tuple(found), last, whole)
