"""Derive: sessions and aggregates follow the ledger.

A run takes the publications of its inputs that it has not consumed, in the order of their commits,
and builds again only what they concern. All inputs are read at one version of `warehouse/events`, so that
what is derived belongs together, whatever lands meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidegate import gate
from tidegate.common.hours import hours_text
from tidegate.lake.ledger import Publication, sources_in
from tidegate.pipeline.context.effective_config import is_outdated, outdated_text
from tidegate.pipeline.derive.pending import consumed, lagging, waiting
from tidegate.pipeline.derive.update import Updated, update_table
from tidegate.pipeline.publish.audit import Audit
from tidegate.tables import DERIVED, WAREHOUSE, Table, events, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_AT_ONCE = 2
"""Sources, and tables of one source, that are built at the same time: Spark plans with one core each."""


@dataclass(frozen=True)
class Derived:
    """What a derive run came to.

    Attributes:
        publications: what was published, in order.
        held: audits of candidates that were not.
        behind: sources whose derived tables lag behind `version`.
        outdated: what can't be added to, since other code made it: a rebuild has to come first.
        version: the version of `warehouse/events` that the run took.
        waiting: slices of events that were left for the next run.
        audits: all audits.
    """

    publications: tuple[Publication, ...]
    held: tuple[Audit, ...]
    behind: tuple[str, ...]
    version: int
    waiting: int
    audits: tuple[Audit, ...] = field(default=())
    outdated: tuple[str, ...] = ()


def derive(work: Work, sources: Sequence[Source], cap: int | None = None) -> Derived:
    """Bring sessions and aggregates up to what is published of events.

    Args:
        work: where.
        sources: the sources known; others that the lake holds are left as they are.
        cap: slices of events to consume at most, whole publications; the rest waits for the next run.

    Returns:
        What was published, held and left.
    """
    gate.preload()  # beside the queries
    known = {source.source: source for source in sources}
    with work.stage("look up publications"):
        work.ledger.refresh()
        reached = consumed(work, known)
        fresh = waiting(work, reached)
        chosen, left = _upto(fresh, cap)
        version = max(
            (each.delta_version for each in chosen), default=max(reached.values(), default=-1)
        )
        unfollowed = {name for name in known if lagging(work, name, sessions.TABLE)}
    names = sorted(unfollowed.union(sources_in(chosen)))
    for name in names:
        count = sum(publication.source == name for publication in chosen)
        work.tell(f"deriving {name} from {count} publications")
    # Sources have no slice in common.
    with work.ledger.rows_beside(), ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        by_source = list(pool.map(lambda name: _derive_source(work, known[name], version), names))
    updates = [update for updated in by_source for update in updated]
    audits = [audit for update in updates for audit in update.audits]
    return Derived(
        tuple(made for update in updates for made in update.publications),
        tuple(audit for audit in audits if audit.held),
        tuple(
            name
            for name, updated in zip(names, by_source, strict=True)
            if any(update.is_stopped for update in updated)
        ),
        version,
        sum(len(each.slices) for each in left),
        tuple(audits),
        _outdated(work, sources),
    )


def _derive_source(work: Work, source: Source, version: int) -> list[Updated]:
    """Bring the tables of one source up to a version of events: each when those before it are."""
    updates: dict[str, Future[Updated]] = {}

    def update(own: Work, table: Table) -> Updated:
        if any(updates[name].result().is_stopped for name in _before(table)):
            return Updated(is_stopped=True)
        return update_table(own, table, source, version)

    tables = [table for table in WAREHOUSE if table.built_from]
    # A table waits only for tables that began before it, so one worker is enough to get on.
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for table in tables:
            updates[table.name] = pool.submit(update, work.apart(), table)
    return [updates[table.name].result() for table in tables]


def _before(table: Table) -> list[str]:
    """Return the derived tables that a table is built from, or published after."""
    later = table.aggregate.after if table.aggregate is not None else ()
    return [name for name in (*table.built_from, *later) if name != events.TABLE.name]


def standing(work: Work, sources: Sequence[Source]) -> Derived:
    """Return where the derived tables stand, as a run that had nothing to do would.

    Sources whose tables have consumed less than others stand behind.
    """
    work.ledger.refresh()
    reached = consumed(work, [source.source for source in sources])
    version = max(
        (
            last.input_versions[events.TABLE.name]
            for source in sources
            for table in DERIVED
            if (last := work.ledger.last(table, source.source)) is not None
        ),
        default=-1,
    )
    behind = tuple(
        sorted(
            name
            for name, upto in reached.items()
            if lagging(work, name, sessions.TABLE)
            or work.ledger.publications(
                events.TABLE, name, after_version=upto, upto_version=version
            )
        )
    )
    return Derived((), (), behind, version, 0, (), _outdated(work, sources))


def _outdated(work: Work, sources: Sequence[Source]) -> tuple[str, ...]:
    """Return what to say of derived tables that other code made."""
    return tuple(
        outdated_text(work, source, table)
        for source in sources
        for table in DERIVED
        if is_outdated(work, source, table)
    )


def _upto(
    fresh: Sequence[Publication], cap: int | None
) -> tuple[list[Publication], list[Publication]]:
    """Split publications, in order of their commits, where the cap is reached; one is always taken."""
    taken: list[Publication] = []
    slices = 0
    for each in fresh:
        if cap is not None and taken and slices + len(each.slices) > cap:
            break
        taken.append(each)
        slices += len(each.slices)
    return taken, list(fresh[len(taken) :])


def describe(derived: Derived) -> str:
    """Return what a derive run did, one line a table."""
    lines = [
        f"{each.table_name} {each.source}: {each.rows:,} rows in {len(each.slices)} slices "
        f"({hours_text(s.slice for s in each.slices)})"
        for each in derived.publications
    ]
    return "\n".join(lines) or "nothing to derive"
