"""What the books and the aliases say of a person: taken out of them as they are now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tidegate.lake import Row, Slices, literal, parse_time, slices_where
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.derive.candidates import Built, Pending, by_slice, new_place
from tidegate.pipeline.derive.update import Updated, publish_built
from tidegate.pipeline.erase.model import Person
from tidegate.privacy.erased import Erased
from tidegate.tables import Table, session_aliases
from tidegate.tables.system_tables import ALERTS, AUDITS, NUMBERS

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.publish.audit import Audit

_TEXTS = ((AUDITS, "audit_id", ("observed", "why")), (ALERTS, "alert_id", ("text", "error")))
"""Books whose texts may quote a person: their key, and those texts."""


def clean_books(work: Work, source: Source, person: Person) -> None:
    """Take a person out of audits and alerts, and out of the producers whose numbers landings received."""
    for table, key, columns in _TEXTS:
        theirs = _in_texts(source, person, columns)
        _rewrite(work, table, key, theirs, partial(_unnamed, person, columns))
    _rewrite(
        work,
        NUMBERS,
        "landing_id",
        f"source = {literal(source.source)} AND {person.is_in('producer')}",
        lambda row: None if row["producer"] in person.ids else row,
    )


def still_in_books(work: Work, source: Source, person: Person) -> list[str]:
    """Return the books that name a person yet."""
    asked = [(table, _in_texts(source, person, columns)) for table, _, columns in _TEXTS]
    mine = f"source = {literal(source.source)} AND {person.is_in('producer')}"
    return [
        f"{table.area}/{table.name}"
        for table, theirs in (*asked, (NUMBERS, mine))
        if work.lake.book(table, theirs, ("count(*) AS n",))[0]["n"]
    ]


def _in_texts(source: Source, person: Person, columns: Sequence[str]) -> str:
    quoted = " OR ".join(person.is_quoted_in(column) for column in columns)
    return f"source = {literal(source.source)} AND ({quoted})"


def _unnamed(person: Person, columns: Sequence[str], row: Row) -> Row:
    """Return a row of a book without the person in some of its texts."""
    return {**row, **{name: person.taken_out_of(row[name]) for name in columns if row[name]}}


def _rewrite(
    work: Work, table: Table, key: str, theirs: str, change: Callable[[Row], Row | None]
) -> None:
    """Write the rows of a book that go with some of them again, in one commit: changed, or left out."""
    keys = [row[key] for row in work.lake.book(table, theirs, (f"DISTINCT {key}",))]
    if not keys:
        return
    where = f"{key} in ({', '.join(map(literal, keys))})"
    kept = [new for row in work.lake.book(table, where) if (new := change(row)) is not None]
    work.lake.replace_with(table, kept, Slices.where(key, keys))


def clean_aliases(work: Work, source: Source, person: Person, erased: Erased) -> Audit | None:
    """Publish aliases without those of erased persons' sessions; return the audit if it holds that."""
    table, name = session_aliases.TABLE, source.source

    def attempt() -> Updated | None:
        work.ledger.refresh()
        theirs = f"source = {literal(name)} AND {person.is_in('user_key')}"
        hours = sorted(
            parse_time(row["start_hour"])
            for row in work.lake.book(table, theirs, ("DISTINCT start_hour",))
        )
        last = work.ledger.last(table, name)
        if not hours or last is None:
            return Updated()
        where = slices_where(table, name, hours)
        users = [row["user_key"] for row in work.lake.book(table, where, ("DISTINCT user_key",))]
        gone = ", ".join(map(literal, sorted(erased.among(users)))) or "NULL"
        place = new_place(work, table, name)
        work.lake.build(
            f"SELECT * FROM {{rows}} WHERE {where} AND coalesce(user_key NOT IN ({gone}), true)",
            place,
            table.types,
            rows=work.at(table, name),
        )
        counts = by_slice(work, table, place)
        slices = {hour: counts[hour]["n"] if hour in counts else 0 for hour in hours}
        facts = {"rows": sum(slices.values()), "unaccounted": 0, "dangling": 0}
        pending = Pending(source, last.input_versions, (), last)
        return publish_built(work, Built(table, place, slices, facts), pending)

    updated = until_first(f"{table.name} of {name}", attempt)
    return next((audit for audit in updated.audits if audit.held), None)
