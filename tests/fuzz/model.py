"""What the generator writes down: values, records, and what has to become of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

HOUR: Final = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""The dump hour of all files."""
Path = tuple[str, ...]
"""Names on the way to a value."""


class _Bad:
    """The meaning of a text that does not fit the type of its column."""

    def __repr__(self) -> str:
        return "BAD"


BAD: Final = _Bad()


@dataclass(frozen=True)
class Value:
    """A value at one path of a record.

    Attributes:
        text: what a text column gets of it; None for no value.
        means: the value in the type it was made for, `BAD` where it does not fit, None for no value. Times are
            microseconds since 1970.
        json: how JSON writes it, where that is not a string of `text`.
        arrow: what a Parquet file holds, where that is not `text`.
        fault: why it can't be kept exactly: the reason of its record; None where it can.
        is_cut: whether digits beyond microseconds are lost.
    """

    text: str | None
    means: Any
    json: str | None = None
    arrow: Any = None
    fault: str | None = None
    is_cut: bool = False


NOTHING: Final = Value(None, None, "null")
"""No value, written as one."""


@dataclass(frozen=True)
class Expected:
    """What has to become of a record.

    Attributes:
        reasons: for any of which it is quarantined; none for an event.
        values: of an event, by column. Those of `event_time` and other times are microseconds since 1970.
        cuts: how many of its times lost digits.
        is_stand_in: whether an id of it stands for no person.
        raw: the quarantined text, where that is known.
        properties: of an event, as text, where that is known.
        members: of an event, the members of `properties`, where these are known.
    """

    reasons: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)
    cuts: int = 0
    is_stand_in: bool = False
    raw: bytes | None = None
    properties: str | None = None
    members: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Written:
    """A record as its file has it.

    Attributes:
        data: its bytes, with its line end; empty for Parquet.
        expected: what has to become of it; None where it is no record, such as a comment.
        lines: how many lines it takes.
        secrets: texts that no row may show.
        cells: what the file holds, by path; for Parquet only.
    """

    data: bytes
    expected: Expected | None
    lines: int = 1
    secrets: tuple[str, ...] = ()
    cells: Mapping[Path, Any] = field(default_factory=dict)


def quarantined(*reasons: str, raw: bytes | None = None) -> Expected:
    """Return what has to become of a record that is no event."""
    return Expected(frozenset(reasons), raw=raw)
