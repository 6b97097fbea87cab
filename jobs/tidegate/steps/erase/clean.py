"""What the books and the aliases say of a person: taken out of them as they are now."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidegate import quoting
from tidegate.lake import Row, literal, parse_time, slices_where
from tidegate.landing.erased import MARK, Erased, marked
from tidegate.steps.candidates import Candidate, Taken, by_slice, new_place
from tidegate.steps.derive import beaten_error, publish_candidate
from tidegate.steps.erase.model import Person
from tidegate.tables import Table, session_aliases
from tidegate.tables.books import ALERTS, AUDITS, NUMBERS

if TYPE_CHECKING:
    from tidegate.steps.audit import Audit
    from tidegate.steps.work import Work

GONE = "erased"
"""What stands in the text of an audit or an alert where an id of the person was."""
_ATTEMPTS = 5


def clean_books(work: Work, person: Person) -> None:
    """Take a person out of audits and alerts, and out of the producers whose numbers landings received."""
    mine = f"source = {literal(person.source.source)}"
    for table, key, column in ((AUDITS, "audit_id", "observed"), (ALERTS, "alert_id", "text")):
        theirs = f"{mine} AND ({_quoted_in(person, column)})"
        _rewrite(work, table, key, theirs, lambda row: _unnamed(person, row))
    _rewrite(
        work,
        NUMBERS,
        "landing_id",
        f"{mine} AND {person.is_in('producer')}",
        lambda row: None if row["producer"] in person.ids else row,
    )


def _quoted_in(person: Person, column: str) -> str:
    """Return DuckDB's predicate: a text has one of the ids as JSON has texts."""
    words = (quoting.literal(json.dumps(value)) for value in person.ids)
    return " OR ".join(f"contains({column}, {word})" for word in words)


def _unnamed(person: Person, row: Row) -> Row:
    """Return a row of a book without the person in its texts."""
    texts = {name: text for name, text in row.items() if isinstance(text, str)}
    for value in person.ids:
        word, instead = json.dumps(value), json.dumps(GONE)
        texts = {name: text.replace(word, instead) for name, text in texts.items()}
    return {**row, **texts}


def _rewrite(
    work: Work, table: Table, key: str, theirs: str, change: Callable[[Row], Row | None]
) -> None:
    """Write the rows of a book that go with some of them again, in one commit: changed, or left out."""
    rows = work.lake.books.rows(f"{table.area}/{table.name}", theirs, (f"DISTINCT {key}",))
    if not rows:
        return
    where = f"{key} in ({', '.join(literal(row[key]) for row in rows)})"
    kept = [new for row in work.lake.book(table, where) if (new := change(row)) is not None]
    work.lake.replace(table, work.lake.frame(kept, table.ddl).coalesce(1), where)


def clean_aliases(work: Work, person: Person, erased: Erased) -> Audit | None:
    """Publish aliases without those of erased persons' sessions; return the audit if it holds that."""
    table, name = session_aliases.TABLE, person.source.source
    for _ in range(_ATTEMPTS):
        work.ledger.refresh()
        theirs = f"source = {literal(name)} AND {person.is_in('user_key')}"
        hours = sorted(
            parse_time(row["start_hour"])
            for row in work.lake.books.rows(
                f"{table.area}/{table.name}", theirs, ("DISTINCT start_hour",)
            )
        )
        last = work.ledger.last(table, name)
        if not hours or last is None:
            return None
        rows = work.lake.read(table).where(slices_where(table, name, hours))
        kept = marked(rows, erased, ["user_key"]).where(f"not `{MARK}`")
        place = new_place(work, table, name)
        work.lake.stage(kept.select(*table.column_names).coalesce(1), place)
        counts = by_slice(work, table, place)
        slices = {hour: counts[hour]["n"] if hour in counts else 0 for hour in hours}
        facts = {"rows": sum(slices.values()), "unaccounted": 0, "dangling": 0}
        taken = Taken(person.source, last.input_versions, (), last)
        publication, audit = publish_candidate(work, Candidate(table, place, slices, facts), taken)
        if audit.held:
            return audit
        if publication is not None:
            return None
    raise beaten_error(table, person.source)
