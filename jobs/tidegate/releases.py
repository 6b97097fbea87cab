"""How a release is named: by its id, or by a time at which it was the one that readers saw."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_moment(text: str) -> datetime | None:
    """Return the moment that an ISO 8601 text means, UTC where it names no zone; None if it is no time.

    A date is its first moment.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
