"""History: what was known and observed of published hours, for limits that follow from it.

Only audits that let what is published now pass count: never that of the slice under audit, never one of a
slice that was held or has been replaced since.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.config.suites import OBSERVED, Entry, Usual
from tidegate.lake import literal
from tidegate.lake.ledger import Publication, published_landings
from tidegate.tables import events
from tidegate.tables.system_tables import AUDITS

if TYPE_CHECKING:
    from tidegate.gate import History
    from tidegate.pipeline.context.run_context import Work

_MARGIN = timedelta(days=1)
"""An audit is written before its publication, by another machine's clock perhaps."""
_By = Mapping[datetime, float]


def history(
    work: Work,
    entries: Sequence[Entry],
    source: str,
    hours: Sequence[datetime],
    before: int | None = None,
) -> History:
    """Return what gives the usual values of entries their numbers.

    Args:
        work: where.
        entries: of the suite of events.
        source: whose slices.
        hours: those under audit.
        before: only publications with a lower number; None for all.
    """
    asked = [each for entry in entries for each in entry.usual.values()]
    facts: dict[str, dict[datetime, float]] = defaultdict(dict)
    observed: dict[str, dict[datetime, float]] = defaultdict(dict)
    if asked:
        reach = max(each.last for each in asked)
        standing = published_landings(
            each
            for each in work.ledger.publications(
                events.TABLE, source, slices=(min(hours) - reach, max(hours))
            )
            if before is None or each.sequence < before
        )
        named = {e.name for e in entries for u in e.usual.values() if u.metric == OBSERVED}
        _read(work, source, {h: made for h, (_, made) in standing.items()}, named, facts, observed)

    def limits(entry: Entry, hour: datetime) -> tuple[dict[str, float], dict[str, str]]:
        known: dict[str, float] = {}
        told: dict[str, str] = {}
        for key, usual in entry.usual.items():
            past = observed[entry.name] if usual.metric == OBSERVED else facts[usual.metric]
            limit = usual.limit(past, hour)
            told[key] = _described(usual, past, hour, limit)
            if limit is not None:
                known[key] = limit
        return known, told

    return limits


def _described(usual: Usual, past: _By, hour: datetime, limit: float | None) -> str:
    n = len(usual.past(past, hour))
    if limit is None:
        return f"{usual.describe()}, known of {n} of at least {usual.least} hours"
    return f"{limit:.6g} ({usual.describe()}, of {n} hours)"


def _read(
    work: Work,
    source: str,
    standing: Mapping[datetime, Publication],
    named: set[str],
    facts: dict[str, dict[datetime, float]],
    observed: dict[str, dict[datetime, float]],
) -> None:
    """Fill in facts by their names, and what expectations observed by theirs, by slice."""
    if not standing:
        return
    since = min(made.published_at for made in standing.values()) - _MARGIN
    names = ", ".join(literal(name) for name in sorted(named))
    wanted = f"(facts is not null or expectation in ({names}))" if named else "facts is not null"
    rows = work.lake.book(
        AUDITS,
        f"table_name = {literal(events.TABLE.name)} and source = {literal(source)} "
        f"and audited_at >= {literal(since)} and {wanted}",
        ("audit_id", "expectation", "metric", "facts"),
    )
    by_audit = defaultdict(list)
    for row in rows:
        by_audit[row["audit_id"]].append(row)
    for hour, made in standing.items():
        audit_id = made.audit_of(hour)
        for row in by_audit.get(audit_id or "", ()):
            if row["expectation"] in named and row["metric"] is not None:
                observed[row["expectation"]][hour] = row["metric"]
            for name, value in json.loads(row["facts"] or "{}").items():
                if value is not None:
                    facts[name][hour] = value
