"""Erasures: who was erased from a source, as every landing has to know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.lake import Row, literal, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.privacy.erased import REASON, Erased
from tidegate.tables import events
from tidegate.tables.system_tables import ERASURES

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


def erased_from(work: Work, source: str) -> Erased | None:
    """Return the persons who were erased from a source; None where nobody was.

    Raises:
        TidegateError: their ids were hashed by a key that is not here.
    """
    rows = asked(work, source)
    if not rows:
        return None
    key = work.pii_key()
    others = {row["key"] for row in rows} - {key.fingerprint}
    if others:
        raise TidegateError(
            f"persons were erased from {source}, and their ids were hashed by another key than the one here",
            where=work.lake.path(ERASURES),
            expected=f"the key with the fingerprint {min(others)}",
            got=f"one with the fingerprint {key.fingerprint}",
            todo="bring that key back; without it lines of these persons would become events again",
        )
    persons = sorted({person for row in rows for person in row["persons"]})
    return Erased(key, tuple(persons), max(row["sequence"] for row in rows))


def asked(work: Work, source: str) -> list[Row]:
    """Return the erasures that were asked for of a source, or of all."""
    of_it = f"(source = {literal(source)} or source is null)"
    return work.lake.book(ERASURES, f"{of_it} and status = 'asked'")


def knows(landing: Row, erased: Erased | None) -> bool:
    """Return whether a landing left out all persons who are erased by now."""
    return erased is None or (landing["erasures"] or 0) >= erased.number


def erased_lines(landing: Row) -> int:
    """Return how many lines of a landing are of erased persons; they count as quarantined."""
    return int((landing["quarantined_by_reason"] or {}).get(REASON, 0))


def outdated(work: Work, source: Source, landings: Iterable[Row]) -> set[str]:
    """Return the ids of landings that are not published and may have lines of persons erased since.

    What is published was looked at by the erasure itself (`steps.erase`).
    """
    erased = erased_from(work, source.source)
    unaware = [row for row in landings if row["status"] == "landed" and not knows(row, erased)]
    if not unaware:
        return set()
    hours = [parse_time(row["dump_hour"]) for row in unaware]
    near = work.ledger.publications(events.TABLE, source.source, slices=(min(hours), max(hours)))
    published = {record.landing_id for record, _ in published_landings(near).values()}
    return {row["landing_id"] for row in unaware} - published
