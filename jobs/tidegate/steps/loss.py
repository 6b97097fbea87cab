"""Loss: what of the numbers that producers give their events a publication's hours lack."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.configuration import fingerprint
from tidegate.lake import Row, literal, parse_time
from tidegate.ledger import published_landings
from tidegate.sequences import REACH, sequences
from tidegate.steps.plan import Plan
from tidegate.tables import events
from tidegate.tables.books import NUMBERS

if TYPE_CHECKING:
    from tidegate.steps.work import Work

_FACTS = ("lost", "lost_share", "repeated_numbers", "silent_producers")
Facts = dict[str, float | None]


def loss_facts(work: Work, plan: Plan) -> dict[datetime, Facts]:
    """Return by hour of a plan what of `suites.FACTS` is known of its producers' numbers.

    As they would be with all of the plan published; NULL where the source has no sequence.
    """
    facts: dict[datetime, Facts] = {each.hour: dict.fromkeys(_FACTS) for each in plan.slices}
    if plan.source.sequence is None:
        return facts
    hours = sorted(facts)
    window = (hours[0] - REACH, hours[-1] + REACH)
    within = f"dump_hour between {literal(window[0])} and {literal(window[1])}"
    standing = _standing(work, plan, window)
    numbers = work.lake.book(NUMBERS, f"source = {literal(plan.source.source)} and {within}")
    by_hour: dict[datetime, list[Row]] = {}
    for row in sequences(standing, numbers, hours):
        by_hour.setdefault(parse_time(row["dump_hour"]), []).append(row)
    numbered = {each["dump_hour"] for each in standing}
    return facts | {hour: _facts(by_hour.get(hour, ())) for hour in hours if hour in numbered}


def _facts(rows: Iterable[Row]) -> Facts:
    """Return the facts of an hour: its rows of `ops.sequences`, in sum."""
    sums = {name: sum(row[name] or 0 for row in rows) for name in ("lost", "expected", "repeated")}
    return {
        "lost": sums["lost"],
        "lost_share": sums["lost"] / sums["expected"] if sums["expected"] else None,
        "repeated_numbers": sums["repeated"],
        "silent_producers": sum(not row["received"] for row in rows),
    }


def _standing(work: Work, plan: Plan, window: tuple[datetime, datetime]) -> list[Row]:
    """Return what stands for the hours around a plan: its own, else what is published, else what is held."""
    name = plan.source.source
    found = work.ledger.landings(name, window, fingerprint(plan.source, events.TABLE))
    published = {
        hour: record.landing_id
        for hour, (record, _) in published_landings(
            work.ledger.publications(events.TABLE, name, slices=window)
        ).items()
        if window[0] <= hour <= window[1]
    }
    published |= {each.hour: each.standing.landing_id for each in plan.slices}
    known = {row["landing_id"]: row for row in found.values()}
    missing = [each for each in published.values() if each is not None and each not in known]
    known |= work.ledger.landings_by_id(missing)
    standing = {hour: row["landing_id"] for hour, row in found.items()} | published
    return [
        {"source": name, "dump_hour": hour, "landing_id": each, "published": hour in published}
        for hour, each in standing.items()
        if each in known and known[each]["unnumbered"] is not None
    ]
