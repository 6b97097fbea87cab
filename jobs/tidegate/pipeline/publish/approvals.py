"""Approvals: failures that somebody has decided to publish all the same, as `ops/audits` records them.

An approval is of named expectations and of what they failed on: of a dump, by the fingerprint of its files,
so that other files for the hour are judged afresh and a rebuild of the same ones takes it as given; of a
derived table, by the number of the publication that was held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.lake import Row, literal
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.publish.audit import Audit


def of_dump(fingerprint: str) -> str:
    """Return what an approval of a dump is written down under."""
    return f"dump/{fingerprint}"


def of_publication(sequence: int) -> str:
    """Return what an approval of a derived table's next publication is written down under."""
    return f"publication/{sequence}"


def apply(work: Work, audits: Sequence[Audit], subjects: Sequence[str]) -> list[Audit]:
    """Return audits as approvals leave them.

    Args:
        work: where.
        audits: of one table and source.
        subjects: what each of them is about: `of_dump` or `of_publication`.
    """
    held = {of for audit, of in zip(audits, subjects, strict=True) if audit.held}
    if not held:
        return list(audits)
    found = _approvals(work, audits[0].table, audits[0].source, sorted(held))
    return [_approved(audit, found.get(of, ())) for audit, of in zip(audits, subjects, strict=True)]


def rows(work: Work, audit: Audit, subject: str, suite: str, by: str, reason: str) -> list[Row]:
    """Return the rows of `ops/audits` that approve what an audit holds its slices for.

    Args:
        work: where.
        audit: the audit.
        subject: `of_dump` or `of_publication`.
        suite: fingerprint of the suite that failed.
        by: who approves.
        reason: why.
    """
    from tidegate.pipeline.context.run_context import new_id, now

    approval_id, at = new_id(), now()
    return [
        {
            "audit_id": approval_id,
            "table_name": audit.table,
            "source": audit.source,
            "slices": audit.slices,
            "content": subject,
            "suite": suite,
            "expectation": each.expectation,
            "severity": each.severity,
            "observed": each.observed,
            "expected": each.expected,
            "why": reason,
            "status": "approved",
            "metric": each.metric,
            "approved_by": by,
            "run_id": work.run_id,
            "audited_at": at,
        }
        for each in audit.results
        if each.holds
    ]


def _approvals(
    work: Work, table: str, source: str, subjects: Sequence[str]
) -> Mapping[str, Sequence[Row]]:
    """Return rows of approvals by subject."""
    listed = ", ".join(literal(each) for each in subjects)
    out: dict[str, list[Row]] = defaultdict(list)
    for row in work.lake.book(
        AUDITS,
        f"table_name = {literal(table)} and source = {literal(source)} "
        f"and status = 'approved' and content in ({listed})",
    ):
        out[row["content"]].append(row)
    return out


def _approved(audit: Audit, approvals: Sequence[Row]) -> Audit:
    by_name = {row["expectation"]: row for row in approvals}
    failed = {each.expectation for each in audit.results if each.holds}
    if not failed or not failed <= by_name.keys():  # something else failed than what was approved
        return audit
    return replace(
        audit,
        results=tuple(
            replace(
                each,
                status="approved",
                why=f"approved by {by_name[each.expectation]['approved_by']}: "
                f"{by_name[each.expectation]['why']}",
            )
            if each.holds
            else each
            for each in audit.results
        ),
        approvals=tuple(sorted({by_name[name]["audit_id"] for name in failed})),
    )
