"""Loss: what slices of events lack of what was sent, as their manifests and their producers' numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.lake import Row, literal, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.query.sequences import REACH, sequences
from tidegate.tables import events
from tidegate.tables.system_tables import NUMBERS

if TYPE_CHECKING:
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.publish.plan import PlannedSlice

OF_OTHERS = frozenset({"lost", "lost_share", "repeated_numbers", "silent_producers"})
"""Facts that other hours have a part in: what held a slice may be otherwise by now."""
_OF_LANDING = ("declared_lines", "declared_bytes", "lines_off", "bytes_off", "unnumbered")
Facts = dict[str, float | None]


def loss_facts(
    work: Work, source: str, slices: Sequence[PlannedSlice], landings: Mapping[str, Row]
) -> dict[datetime, Facts]:
    """Return by hour what of `suites.FACTS` is known of loss.

    Args:
        work: where.
        source: whose slices.
        slices: the slices; told of as they would be with all of them published.
        landings: rows of `ops/landings` by id.
    """
    mine = {each.hour: landings[each.standing.landing_id] for each in slices}
    facts: dict[datetime, Facts] = {
        hour: {**{name: row[name] for name in _OF_LANDING}, **dict.fromkeys(OF_OTHERS)}
        for hour, row in mine.items()
    }
    numbered = sorted(hour for hour, row in mine.items() if row["unnumbered"] is not None)
    if not numbered:
        return facts
    window = (numbered[0] - REACH, numbered[-1] + REACH)
    within = f"dump_hour between {literal(window[0])} and {literal(window[1])}"
    numbers = work.lake.book(NUMBERS, f"source = {literal(source)} and {within}")
    rows: dict[datetime, list[Row]] = {hour: [] for hour in numbered}
    for row in sequences(_standing(work, source, mine, window), numbers, numbered):
        rows[parse_time(row["dump_hour"])].append(row)
    for hour in numbered:
        facts[hour] |= _sums(rows[hour])
    return facts


def _sums(rows: Sequence[Row]) -> Facts:
    """Return the facts of an hour's rows of `ops.sequences`."""
    sums = {name: sum(row[name] or 0 for row in rows) for name in ("lost", "expected", "repeated")}
    return {
        "lost": sums["lost"],
        "lost_share": sums["lost"] / sums["expected"] if sums["expected"] else None,
        "repeated_numbers": sums["repeated"],
        "silent_producers": sum(not row["received"] for row in rows),
    }


def _standing(
    work: Work, source: str, mine: Mapping[datetime, Row], window: tuple[datetime, datetime]
) -> list[Row]:
    """Return what stands for the hours around some: theirs, else what is published, else what is held."""
    configuration = mine[max(mine)]["configuration"]
    held = work.ledger.landings(source, window, configuration)
    published = {
        hour: record.landing_id
        for hour, (record, _) in published_landings(
            work.ledger.publications(events.TABLE, source, slices=window)
        ).items()
        if window[0] <= hour <= window[1] and record.landing_id is not None
    }
    known = {row["landing_id"]: row for row in (*held.values(), *mine.values())}
    known |= work.ledger.landings_by_id(set(published.values()) - known.keys())
    standing = {
        **{hour: row["landing_id"] for hour, row in held.items()},
        **published,
        **{hour: row["landing_id"] for hour, row in mine.items()},
    }
    return [
        {
            "source": source,
            "dump_hour": hour,
            "landing_id": each,
            "published": hour in published or hour in mine,
        }
        for hour, each in standing.items()
        if each in known and known[each]["unnumbered"] is not None
    ]
