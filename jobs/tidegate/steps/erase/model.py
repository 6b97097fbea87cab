"""Who is to be erased, where that person was found, and what the erasure came to."""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate.errors import EXIT_HELD
from tidegate.hours import hours_text
from tidegate.landing.erased import ID_COLUMNS, hashed_id
from tidegate.landing.pii import HASH_DIGITS
from tidegate.quoting import literal
from tidegate.steps.maintain.model import counted, size_text

if TYPE_CHECKING:
    from tidegate.pii_key import PiiKey
    from tidegate.source import Source

_SHOWN = 20
"""Files of dumps that are named on a screen."""


@dataclass(frozen=True)
class Person:
    """The ids of a person in one source, and the words by which they are looked for. It does not show itself.

    Attributes:
        source: whose.
        ids: as events may have them: as they are, and hashed.
        hashes: what is kept of them.
        key: that those are made by.
    """

    source: Source
    ids: tuple[str, ...] = field(repr=False)
    hashes: tuple[str, ...]
    key: PiiKey

    def is_in(self, *columns: str) -> str:
        """Return DuckDB's predicate: one of some columns is one of the ids."""
        listed = ", ".join(map(literal, self.ids))
        return "(" + " OR ".join(f"coalesce({name} IN ({listed}), false)" for name in columns) + ")"

    @property
    def is_of_event(self) -> str:
        """DuckDB's predicate of the person's events."""
        return self.is_in(*ID_COLUMNS)

    def is_in_text(self, text: str) -> str:
        """Return DuckDB's predicate: a text has one of the ids as a word of its own."""
        return f"coalesce(regexp_matches({text}, {literal(self.pattern)}), false)"

    @property
    def pattern(self) -> str:
        """A regular expression of the ids as words of their own, in text or JSON or HTML."""
        spelled = {
            way
            for value in self.ids
            for way in (
                value,
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
                html.escape(value),
            )
        }
        words = "|".join(re.escape(each) for each in sorted(spelled))
        return f"(^|[^A-Za-z0-9_])({words})($|[^A-Za-z0-9_])"


def person_of(source: Source, ids: Sequence[str], key: PiiKey) -> Person:
    """Return a person by ids that the dumps of a source have.

    Hashed they are looked for too, and kept in mind, whether or not the source hashes: it may have, or may come to.
    """
    bare = [value.strip() for value in ids]
    hashed = [
        hmac.new(key.secret, value.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]
        for value in bare
    ]
    every = tuple(dict.fromkeys((*bare, *hashed)))
    return Person(source, every, tuple(hashed_id(key, value) for value in every), key)


@dataclass(frozen=True)
class Found:
    """Where a person is in what is published, waits or was put aside of a source.

    Attributes:
        source: its name.
        events: published events.
        sessions: published sessions, and aliases of former ones.
        quarantined: lines in quarantine that name the person.
        candidates: candidates that have events of the person, and are not published.
        hours: the dump hours of all these: to be landed anew.
        dumps: the dumps' files that the events and lines are of.
        mentions: published events of others whose properties name the person: they stay.
    """

    source: str
    events: int = 0
    sessions: int = 0
    quarantined: int = 0
    candidates: int = 0
    hours: tuple[datetime, ...] = ()
    dumps: tuple[str, ...] = ()
    mentions: int = 0

    @property
    def is_anywhere(self) -> bool:
        """Whether there is anything to erase."""
        return bool(self.events or self.sessions or self.quarantined or self.candidates)

    def describe(self) -> str:
        """Return it in a line."""
        parts = [
            counted(self.events, "event"),
            counted(self.sessions, "session or alias", "sessions and aliases"),
            counted(self.quarantined, "quarantined line"),
        ]
        if self.candidates:
            parts.append(counted(self.candidates, "candidate that waits", "candidates that wait"))
        where = f", dumps of {hours_text(self.hours)}" if self.hours else ""
        return f"{self.source}: {', '.join(parts)}{where}"

    def counts(self) -> dict[str, int]:
        """Return the numbers of what is to go, by name."""
        return {
            "events": self.events,
            "sessions": self.sessions,
            "quarantined": self.quarantined,
            "candidates": self.candidates,
        }

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            **vars(self),
            "hours": [hour.isoformat() for hour in self.hours],
            "dumps": list(self.dumps),
        }


@dataclass(frozen=True)
class Erasure:
    """What an erasure came to.

    Attributes:
        found: by source, what there was.
        receipts: by source the id of the erasure; done, if nothing is `left`.
        removed: files of earlier versions and of candidates that were removed, their `bytes`, and the
            `scanned` files.
        left: what is not erased yet, and why, each in words.
        release: that readers see now.
        gives_up: whether earlier ones can't be read any more.
    """

    found: tuple[Found, ...]
    receipts: Mapping[str, str]
    removed: Mapping[str, int]
    left: tuple[str, ...]
    release: str
    gives_up: bool = False

    @property
    def exit_status(self) -> int:
        """0 done; 3 something is held, or at work."""
        return EXIT_HELD if self.left else 0

    def lines(self) -> list[str]:
        """Return it in words."""
        out = [each.describe() for each in self.found]
        files, size = self.removed["files"], size_text(self.removed["bytes"])
        out.append(f"{counted(files, 'file')} of earlier versions and candidates removed, {size}")
        if self.gives_up:
            out.append(f"releases before {self.release} can't be read any more")
        if self.left:
            out += [f"not erased yet: {each}" for each in self.left]
            out.append("then run the same command again")
            return out
        out.append(f"{counted(self.removed['scanned'], 'file')} scanned; none has it")
        for each in self.found:
            if each.mentions:
                out.append(
                    f"{counted(each.mentions, 'event')} of others in {each.source} "
                    "name the person in their properties; they stay"
                )
            if each.dumps:
                out.append("the dumps still have it, and are yours to clean:")
                out += [f"  {uri}" for uri in each.dumps[:_SHOWN]]
                if len(each.dumps) > _SHOWN:
                    out.append(f"  and {len(each.dumps) - _SHOWN:,} more: in ops.erasures")
        out += [f"receipt of {source}: {receipt}" for source, receipt in self.receipts.items()]
        return out

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "done": not self.left,
            "found": [each.as_json() for each in self.found],
            "receipts": dict(self.receipts),
            "removed": dict(self.removed),
            "left": list(self.left),
            "release": self.release,
        }
