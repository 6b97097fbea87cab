"""One derived table of one source: built from what it has not consumed, audited and published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.gate import Tables
from tidegate.lake import table_named
from tidegate.lake.ledger import Publication, SliceRecord
from tidegate.lake.table_refs import Query
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.context.effective_config import in_force, is_outdated
from tidegate.pipeline.derive import aliases
from tidegate.pipeline.derive.aggregates import build_aggregate
from tidegate.pipeline.derive.candidates import Built, Pending
from tidegate.pipeline.derive.pending import pending_of
from tidegate.pipeline.derive.sessions import build_sessions
from tidegate.pipeline.publish.audit import Audit, audit_candidate, published
from tidegate.pipeline.publish.candidate import Candidate
from tidegate.pipeline.publish.commit import commit
from tidegate.tables import Table, events, session_aliases, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Updated:
    """The result of bringing a table up to date.

    Attributes:
        publications: what was published, in order.
        audits: all audits.
        is_stopped: whether the table is not up to date, so that what is built from it waits too.
    """

    publications: tuple[Publication, ...] = ()
    audits: tuple[Audit, ...] = ()
    is_stopped: bool = False


def update_table(work: Work, table: Table, source: Source, version: int) -> Updated:
    """Bring a derived table of a source up to a version of events.

    Raises:
        TryAgainError: other runs published the table first, again and again.
    """
    if table is session_aliases.TABLE:
        return _update_aliases(work, source)
    if is_outdated(work, source, table):
        return Updated(is_stopped=True)

    def attempt() -> Updated | None:
        pending = pending_of(work, table, in_force(work, source), version)
        if not pending.publications:
            return Updated()
        return build_and_publish(work, table, pending)

    return until_first(f"{table.name} of {source.source}", attempt)


def build_and_publish(work: Work, table: Table, pending: Pending) -> Updated | None:
    """Build what is pending of sessions or of an aggregate, audit and publish it.

    Returns:
        None where another publication came first.
    """
    with work.stage(f"build {table.name}"):
        built = _build(work, table, pending)
    return publish_built(work, built, pending)


def _build(work: Work, table: Table, pending: Pending) -> Built:
    if table is sessions.TABLE:
        return build_sessions(work, pending)
    return build_aggregate(work, table, pending)


def publish_built(work: Work, built: Built, pending: Pending) -> Updated | None:
    """Audit and publish staged rows of a derived table; None where another publication came first."""
    table = built.table
    candidate = Candidate(
        table=table,
        source=pending.source,
        sequence=pending.sequence,
        slices=tuple(SliceRecord(slice_, rows) for slice_, rows in built.slices.items()),
        rows=Query(table.types, "{rows} e", {"rows": built.place}),
        inputs=tuple(publication.publication_id for publication in pending.publications),
        input_versions=pending.inputs,
        is_whole=pending.whole,
        renames=built.renames,
    )
    content = built.place.rsplit("/", 2)[-1]
    with work.stage(f"audit {table.name}"):
        audit = audit_candidate(
            work, candidate, content, built.facts, _other_tables(work, table, pending)
        )
    if audit.held:
        return Updated(audits=(audit,), is_stopped=True)
    publication = commit(work, candidate, [audit])
    return None if publication is None else Updated((publication,), (audit,))


def _update_aliases(work: Work, source: Source) -> Updated:
    """Bring the aliases of sessions up to the sessions published, one publication of those at a time."""
    table = session_aliases.TABLE
    publications: list[Publication] = []
    audits: list[Audit] = []

    def attempt() -> Updated | None:
        effective = in_force(work, source)
        changes = aliases.pending(work, source.source)
        if not changes:
            return Updated()
        change = changes[0]
        inputs = {
            events.TABLE.name: change.input_versions[events.TABLE.name],
            sessions.TABLE.name: change.delta_version,
        }
        last = work.ledger.last(table, source.source)
        with work.stage(f"build {table.name}"):
            built = aliases.build_aliases(work, effective, change)
        return publish_built(work, built, Pending(effective, inputs, (change,), last))

    while True:
        updated = until_first(f"{table.name} of {source.source}", attempt)
        publications += updated.publications
        audits += updated.audits
        if updated.is_stopped or not updated.publications:
            return Updated(tuple(publications), tuple(audits), updated.is_stopped)


def _other_tables(work: Work, table: Table, pending: Pending) -> Tables:
    """Return what gives a suite's queries other tables as they were at the version of events to build from."""

    def read(name: str) -> str:
        versions = dict(pending.inputs)
        other = table_named(name)
        if other is not table and name not in versions:
            followed = [
                publication.delta_version
                for publication in work.ledger.publications(other, pending.source.source)
                if publication.input_versions[events.TABLE.name] <= pending.version
            ]
            versions |= {name: max(followed)} if followed else {}
        return published(work, pending.source.source, versions)(name)

    return read
