"""Releases: how one is named, what is lost of it, and how a rollback is told."""

from __future__ import annotations

from collections.abc import Mapping
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


def lost_tables(versions: Mapping[str, int], kept: Mapping[str, int]) -> list[str]:
    """Return of which tables of a release files may have been removed in time, each in words.

    Args:
        versions: that the release pins, by table.
        kept: from which version on all is kept, by table; of others all is.
    """
    return [
        f"{name} is pinned at version {version}, kept from {kept[name]}"
        for name, version in versions.items()
        if version < kept.get(name, 0)
    ]


def rolled_back_text(earlier: str, by: str, at: datetime, reason: str) -> str:
    """Return in words that somebody rolled back to an earlier release, when and why."""
    return f"rolled back to release {earlier} by {by} at {at:%Y-%m-%d %H:%M} UTC: {reason}"
