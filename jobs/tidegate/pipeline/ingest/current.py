"""Landings that a publication may use: by the configuration in force, and made after the last erasure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake import Row
from tidegate.pipeline.context import erasures
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.ingest.land import land
from tidegate.pipeline.ingest.land_again import land_without_dump
from tidegate.tables import events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def ensure_current(work: Work, source: Source, hours: Sequence[datetime]) -> None:
    """Land those of some hours again whose landings no publication may use.

    An hour whose dump is gone is landed from its own candidate, without the persons erased since.

    Args:
        work: where.
        source: whose, as its file says.
        hours: the dump hours; those that were never landed stay so.
    """
    work.ledger.refresh()
    effective = in_force(work, source)
    others = not_current(work, effective, hours)
    if not others:
        return
    known = _landings(work, effective, others)
    for landed in land(work, source, others):
        is_gone = landed.outcome == "missing" and landed.hour in known
        result = land_without_dump(work, effective, landed) if is_gone else landed
        work.tell(result.describe())


def not_current(work: Work, effective: Source, hours: Sequence[datetime]) -> list[datetime]:
    """Return the hours that were landed by another configuration only, or before a person was erased.

    Args:
        work: where.
        effective: the source, as it is in force.
        hours: the dump hours.
    """
    if not hours:
        return []
    every = work.ledger.landings(effective.source, (min(hours), max(hours)))
    known = _landings(work, effective, hours, every)
    outdated = erasures.outdated(work, effective, known.values())
    return [
        hour
        for hour in sorted(set(hours))
        if hour in every and (hour not in known or known[hour]["landing_id"] in outdated)
    ]


def _landings(
    work: Work,
    effective: Source,
    hours: Sequence[datetime],
    every: Mapping[datetime, Row] | None = None,
) -> Mapping[datetime, Row]:
    """Return the latest landing of each hour by the configuration in force."""
    mine = work.fingerprint(effective, events.TABLE)
    if every is not None and all(row["configuration"] == mine for row in every.values()):
        return every
    return work.ledger.landings(effective.source, (min(hours), max(hours)), mine)
