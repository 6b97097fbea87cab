"""Values as DuckDB SQL, and times as queries return them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from tidegate.common import sql_quoting as quoting
from tidegate.tables import Table


def literal(value: str | datetime | date) -> str:
    """Return a value as a literal of DuckDB SQL; datetimes must be aware."""
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat(' ', 'microseconds')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return quoting.literal(value)


def slices_where(table: Table, source: str, slices: Sequence[datetime]) -> str:
    """Return the predicate of a source's slices: literals over partition and slice columns."""
    ordered = sorted(set(slices))
    parts = [f"source = {literal(source)}"]
    dates = [column for column in table.partition if column != "source"]
    if dates:
        days = sorted({time.astimezone(UTC).date() for time in ordered})
        parts.append(f"{dates[0]} IN ({', '.join(map(literal, days))})")
    if table.slice_time == "date":
        values = ", ".join(literal(time.astimezone(UTC).date()) for time in ordered)
    else:
        values = ", ".join(map(literal, ordered))
    parts.append(f"{table.slice_time} IN ({values})")
    return " AND ".join(parts)


def parse_time(text: str) -> datetime:
    """Return the aware datetime of a timestamp as queries return it."""
    return datetime.fromisoformat(text).astimezone(UTC)
