"""Facts of a dump's events: what is known of a candidate beside its rows, for suites that ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.hours import HOUR
from tidegate.lake import Row, literal, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.lake.table_refs import Query
from tidegate.landing.kernel import STAND_INS
from tidegate.pipeline.context.erasures import erased_lines
from tidegate.pipeline.publish.loss import OF_OTHERS, loss_facts
from tidegate.pipeline.publish.plan import PlannedSlice
from tidegate.tables import events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_ENOUGH = 100
"""Rows from which on it says something that many of them are one user's."""
_DOUBTFUL = ("0", "NaN")
"""Users that may be real ones, and may be what a program writes for none."""

OF_MORE = OF_OTHERS | {"emptied"}
"""Facts that follow from more than the dump itself, so that they may change while it stays."""


def facts_of(
    work: Work,
    source: Source,
    slices: Sequence[PlannedSlice],
    query: Query,
    landings: Mapping[str, Row],
    before: int | None = None,
) -> dict[datetime, Mapping[str, Any]]:
    """Return by hour what of `suites.FACTS` is known of slices of events.

    Args:
        work: where.
        source: whose slices.
        slices: the slices.
        query: of their rows.
        landings: rows of `ops/landings` by id.
        before: only publications with a lower number are known; None for all.
    """
    counted = _counted(work, query)
    users = _users(work, query)
    loss = loss_facts(work, source.source, slices, landings)
    rows_of = {each.hour: each.rows for each in slices}
    facts: dict[datetime, Mapping[str, Any]] = {}
    for each in slices:
        landing = landings[each.standing.landing_id]
        emptied = 0
        if not landing["lines"] and not source.may_be_empty:
            hour = each.hour - HOUR
            emptied = rows_of.get(hour, _published_rows(work, source.source, hour, before))
        facts[each.hour] = {
            **_facts(each, landing, counted.get(each.hour)),
            **users.get(each.hour, {"largest_user_share": None, "doubtful_users": 0}),
            **loss[each.hour],
            "emptied": emptied,
        }
    return facts


def _published_rows(work: Work, source: str, hour: datetime, before: int | None) -> int:
    """Return how many rows are published of an hour; 0 where it is not published."""
    made = work.ledger.publications(events.TABLE, source, slices=(hour, hour))
    standing = published_landings(p for p in made if before is None or p.sequence < before)
    return standing[hour][0].rows if hour in standing else 0


def _users(work: Work, query: Query) -> dict[datetime, dict[str, Any]]:
    """Return by slice the share of the user with the most rows, and how many rows have a doubtful user."""
    doubtful = ", ".join(map(literal, _DOUBTFUL))
    rows = work.lake.look(
        f"""
        SELECT dump_hour, sum(n) AS n, max(CASE WHEN who IS NOT NULL THEN n END) AS most,
            CAST(sum(doubtful) AS bigint) AS doubtful
        FROM (
            SELECT dump_hour, {events.USER} AS who, count(*) AS n,
                count(CASE WHEN user_key IN ({doubtful}) THEN 1 END) AS doubtful
            FROM ({query.select("dump_hour", "user_key", "user_key_kind")}) r GROUP BY dump_hour, who
        ) u GROUP BY dump_hour""",
        **query.of,
    )
    return {
        parse_time(row["dump_hour"]): {
            "largest_user_share": float(row["most"] or 0) / float(row["n"])
            if row["n"] >= _ENOUGH
            else None,
            "doubtful_users": row["doubtful"],
        }
        for row in rows
    }


def _counted(work: Work, query: Query) -> dict[datetime, Row]:
    """Return by slice how many rows (`n`) there are, how many different `ids`, how many of their `own` dump's hour.

    To tell ids apart by 64 bits of their hash is several times as fast, so ids themselves are compared only in
    slices where some hashes are alike.
    """

    def by(ident: str, where: str = "true") -> dict[datetime, Row]:
        own = "CASE WHEN epoch_us(event_time) - epoch_us(dump_hour) BETWEEN 0 AND 3599999999 THEN 1 ELSE 0 END"
        rows = work.lake.look(
            f"SELECT dump_hour, count(*) AS n, count(DISTINCT {ident}) AS ids, CAST(sum({own}) AS bigint) AS own "
            f"FROM ({query.select('dump_hour', 'event_id', 'event_time')}) r WHERE {where} GROUP BY dump_hour",
            **query.of,
        )
        return {parse_time(row["dump_hour"]): row for row in rows}

    counted = by("hash(event_id)")
    alike = [literal(hour) for hour, row in counted.items() if row["ids"] < row["n"]]
    if alike:
        counted |= by("event_id", f"dump_hour IN ({', '.join(alike)})")
    return counted


def _facts(each: PlannedSlice, landing: Row, counted: Row | None) -> dict[str, float | None]:
    """Return the facts of a slice of events (`suites.FACTS`); of no row nothing was `counted`."""
    # What is left out on a person's own wish speaks neither for nor against the dump.
    erased = erased_lines(landing)
    lines, candidates = landing["lines"] - erased, landing["events"]
    duplicates, quarantined = landing["duplicates"], landing["quarantined"] - erased
    rows, distinct = (counted["n"], counted["ids"]) if counted else (0, 0)
    return {
        "lines": lines,
        "candidates": candidates,
        "duplicates": duplicates,
        "withheld": each.withheld,
        "withheld_share": each.withheld / candidates if candidates else None,
        "quarantined": quarantined,
        "quarantined_share": quarantined / lines if lines else None,
        "unaccounted": abs(lines - candidates - duplicates - quarantined)
        + abs(candidates - rows - each.withheld),
        "rows": rows,
        "repeated": rows - distinct,
        "own_hour_share": counted["own"] / rows if counted else None,
        "absent": len(landing["absent"] or ()),
        "placeholders": (landing["notes"] or {}).get(STAND_INS, 0),
    }
