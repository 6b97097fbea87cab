"""One Delta commit that replaces the slices of an audited candidate, and its row in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.common.hours import hour_text
from tidegate.lake.ledger import Publication, SliceRecord
from tidegate.pipeline.context.effective_config import record
from tidegate.pipeline.publish.audit import Audit, suite_of
from tidegate.pipeline.publish.candidate import Candidate

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work


def commit(work: Work, candidate: Candidate, audits: Sequence[Audit]) -> Publication | None:
    """Publish a candidate that passed its audits.

    Args:
        work: where.
        candidate: the candidate.
        audits: of its slices, in their order; or one of all of them.

    Returns:
        The publication; None where another publication of the source came first, so that the candidate has
        to be built again.
    """
    from tidegate.pipeline.context.run_context import new_id, now

    table, source = candidate.table, candidate.source
    record(work, source, table)
    own = {name: kind for name, kind in candidate.rows.columns.items() if name not in table.types}
    if own:
        work.lake.add_columns(table, own)
    publication = Publication(
        publication_id=new_id(),
        table_name=table.name,
        source=source.source,
        sequence=candidate.sequence,
        slices=candidate.slices,
        rows=sum(record.rows for record in candidate.slices),
        event_hours=candidate.event_hours,
        inputs=candidate.inputs,
        input_versions=dict(candidate.input_versions),
        audit_ids=(
            *(audit.audit_id for audit in audits),
            *sorted({approval for audit in audits for approval in audit.approvals}),
        ),
        configuration=work.fingerprint(source, table),
        code_version=table.version,
        suite=suite_of(work, table).fingerprint,
        run_id=work.run_id,
        published_at=now(),
        renames=candidate.renames,
    )
    rows = candidate.rows
    work.tell(f"publishing {table.name} of {source.source}: {_slices_text(candidate.slices)}")
    with work.stage(f"commit {table.name}"):
        is_first = work.ledger.publish(
            table, publication, rows.select(), rows.columns, candidate.replaced, **rows.of
        )
    return publication if is_first else None


def _slices_text(slices: Sequence[SliceRecord]) -> str:
    """Return how many slices there are, and from which time to which."""
    times = sorted(record.slice for record in slices)
    if not times:
        return "no slice"
    if len(times) == 1:
        return hour_text(times[0])
    return f"{len(times)} slices, {hour_text(times[0])} to {hour_text(times[-1])}"
