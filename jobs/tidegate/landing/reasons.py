"""Why a line can't become an event."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.landing import access_line, delimited
from tidegate.landing.limits import MAX_LINE_BYTES
from tidegate.privacy.erased import REASON

REASONS: Mapping[str, str] = {
    "not_utf8": "the line's bytes are not UTF-8",
    "too_long": f"the line is longer than {MAX_LINE_BYTES:,} bytes",
    "blank_line": "the line is empty",
    "not_json": "the line is not one JSON value and nothing else",
    "not_object": "the line is JSON, but not an object",
    "wrong_columns": "the line has more or fewer columns than the header",
    **delimited.FAULTS,
    **access_line.FAULTS,
    "missing_event_id": "the event has no id",
    "missing_event_time": "the event has no time",
    "bad_event_time": "the event's time can't be understood",
    "too_late": "the event is older than the source accepts",
    "too_early": "the event lies further in the future than the source accepts",
    "bad_value": "a value does not fit its column's type, or can't be kept exactly",
    REASON: "the person asked to be forgotten",
}
"""Every reason, and what it means."""
