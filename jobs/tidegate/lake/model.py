"""What tables of a lake have in common, and what a compaction did."""

from __future__ import annotations

from dataclasses import dataclass

TABLE_PROPERTIES = {
    # Analysts' other engines must be able to read what is published.
    "delta.enableDeletionVectors": "false",
    # A checkpoint costs a pass over all files; hourly tables commit often.
    "delta.checkpointInterval": "50",
    # Delta goes by the age of commits only. Which ones a release or the ledger still needs, the project
    # knows: `steps.maintain` cleans up.
    "delta.enableExpiredLogCleanup": "false",
}


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: how many files there were and are, and their bytes."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
