"""Landings that a publication may use: by the configuration in force, and made after the last erasure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.pipeline.context import erasures
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.ingest.land_again import land_again
from tidegate.tables import events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def ensure_current(work: Work, source: Source, hours: Sequence[datetime]) -> None:
    """Land those of some hours again whose landings no publication may use.

    Args:
        work: where.
        source: whose, as its file says.
        hours: the dump hours; those that were never landed stay so.
    """
    work.ledger.refresh()
    if others := not_current(work, in_force(work, source), hours):
        land_again(work, source, others)


def not_current(work: Work, effective: Source, hours: Sequence[datetime]) -> list[datetime]:
    """Return the hours that were landed by another configuration only, or before a person was erased.

    Args:
        work: where.
        effective: the source, as it is in force.
        hours: the dump hours.
    """
    if not hours:
        return []
    mine = work.fingerprint(effective, events.TABLE)
    span = (min(hours), max(hours))
    every = work.ledger.landings(effective.source, span)
    known = every
    if any(row["configuration"] != mine for row in every.values()):
        known = work.ledger.landings(effective.source, span, mine)
    outdated = erasures.outdated(work, effective, known.values())
    return [
        hour
        for hour in sorted(set(hours))
        if hour in every and (hour not in known or known[hour]["landing_id"] in outdated)
    ]
