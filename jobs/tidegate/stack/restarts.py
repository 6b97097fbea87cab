"""When a part of the stack that ended by itself is started again, and what is kept of that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate.processes.private_files import write_private

MOST = 5
"""Restarts of one part within `WITHIN_S`; what dies more often is broken, and starting it hides that."""
WITHIN_S = 600.0
LONGEST_S = 30.0
"""The longest pause before a part is started again."""
_KEPT = 20
_WORDS = 5


def pause(deaths: Sequence[float]) -> float | None:
    """Return after how many seconds a part is started again; None if it has died too often for that.

    The first time it is started at once: what killed it (a kill, a lack of memory) is over as a rule.

    Args:
        deaths: the seconds at which it died, the last one just now, by any clock that only goes on.
    """
    recent = [each for each in deaths if deaths[-1] - each < WITHIN_S]
    if len(recent) > MOST:
        return None
    return 0.0 if len(recent) == 1 else min(2.0 ** len(recent), LONGEST_S)


@dataclass(frozen=True)
class Restart:
    """One restart of a part.

    Attributes:
        part: the part, as messages call it.
        at: when it had ended, ISO 8601 in UTC.
        why: how it ended.
        words: the last lines of its log.
        log: where the whole of it is kept.
        back_s: after how many seconds it answered again; None while it does not.
    """

    part: str
    at: str
    why: str
    words: str
    log: str
    back_s: float | None = None

    def describe(self) -> list[str]:
        """Return it in lines, for `tidegate status`."""
        back = "does not answer yet" if self.back_s is None else f"back in {self.back_s:.0f} s"
        said = [f"  | {line}" for line in self.words.splitlines()[-_WORDS:]]
        return [f"restarted {self.part} at {self.at}: {self.why}; {back}; log {self.log}", *said]


def restarts_file(home: Path) -> Path:
    """Return where the restarts of the stack in a state folder are kept, the newest last."""
    return home / "restarts.json"


def write_restarts(home: Path, restarts: Sequence[Restart]) -> None:
    """Keep the last restarts; their words may quote data, so the file is its owner's only."""
    kept = [asdict(each) for each in restarts[-_KEPT:]]
    write_private(restarts_file(home), json.dumps(kept))


def read_restarts(home: Path) -> list[Restart]:
    """Return the restarts of the stack in a state folder since it was started, the newest last."""
    try:
        found = json.loads(restarts_file(home).read_text())
    except FileNotFoundError:
        return []
    return [Restart(**each) for each in found]
