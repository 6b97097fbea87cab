"""Facts: what is known of a candidate beside its rows."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.tables import WAREHOUSE, Aggregate


def _facts_of(aggregate: Aggregate) -> Mapping[str, str]:
    """Return the facts of an aggregate: how many rows of each input it read and counted."""
    facts = {"rows": "rows to be published"}
    for part in aggregate.inputs:
        facts |= {
            f"{part.table}_read": f"{part.table} in the slices",
            f"{part.table}_counted": f"sum of {part.counted_by} over the rows",
        }
    differences = ", plus ".join(
        f"{part.table}_read - {part.table}_counted" for part in aggregate.inputs
    )
    return {**facts, "unaccounted": differences}


FACTS: Mapping[str, Mapping[str, str]] = {
    **{table.name: _facts_of(table.aggregate) for table in WAREHOUSE if table.aggregate},
    "events": {
        "lines": "lines read from the dump",
        "candidates": "lines that became events, duplicates within the dump left out",
        "duplicates": "lines that repeat an id of an earlier line of the dump",
        "withheld": "candidate events that are duplicates of other dumps",
        "withheld_share": "those as a share of the candidates, 0 to 1; NULL without candidates",
        "quarantined": "lines that could not become events",
        "quarantined_share": "those as a share of the lines, 0 to 1; NULL without lines",
        "unaccounted": "lines - candidates - duplicates - quarantined, plus candidates - rows - withheld",
        "rows": "rows to be published",
        "repeated": "rows whose id another row of the slice has too, but for one of each id",
        "own_hour_share": "rows whose event time lies in the dump hour, as a share, 0 to 1; NULL without rows",
        "absent": "declared fields and columns that no event has a value for",
        "emptied": "rows published of the hour before a dump without a line; 0: it has one, or `may_be_empty`",
        "placeholders": "events with an id that stands for no user (`nobody`)",
        "doubtful_users": "rows whose user is `0` or `NaN`, which may stand for none too",
        "largest_user_share": "share of the rows that one user has, 0 to 1; NULL below 100 rows",
        "declared_lines": "lines that the manifest declares; NULL without",
        "declared_bytes": "bytes that it declares; NULL without",
        "lines_off": "by how many lines the files differ from what it declares; NULL without",
        "bytes_off": "by how many bytes; NULL without",
        "unnumbered": "lines without a number of a producer; NULL, as what follows, without a sequence",
        "lost": "numbers that producers gave and that no dump has, as far as known (ops.sequences)",
        "lost_share": "those as a share of the numbers expected, 0 to 1; NULL if none is",
        "repeated_numbers": "lines whose number was received before",
        "silent_producers": "producers of the 24 hours before that sent nothing",
    },
    "sessions": {
        "rows": "rows to be published",
        "events_read": "events with a user that were read to build sessions again",
        "events_in_sessions": "events in the sessions built",
        "unaccounted": "events_read - events_in_sessions",
    },
    "session_aliases": {
        "rows": "rows to be published",
        "unaccounted": "ids that were taken away, less rows made of them",
        "dangling": "rows that lead to a session that is not there",
    },
}
"""What is known of a candidate beside its rows: table → fact → meaning. Suites ask of them with `of: facts`."""
