"""Who is to be erased, where that person was found, and what the erasure came to."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import EXIT_HELD
from tidegate.common.hours import hours_text
from tidegate.common.sql_quoting import literal
from tidegate.pipeline.maintain.model import counted, size_text
from tidegate.privacy.erased import ID_COLUMNS, hashed, hashed_id

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.privacy.key import PiiKey

GONE = "erased"
"""What stands in a text where an id of the person was."""
_SHOWN = 20
"""Files of dumps that are named on a screen."""
_TELLING = 6
"""Digits from which on a number in a text is taken for the id that it equals; shorter ones only in quotes."""


@dataclass(frozen=True)
class Person:
    """The ids of a person, and the words by which they are looked for. It does not show itself.

    Attributes:
        ids: as events may have them: as they are, and hashed.
        hashes: what is kept of them.
        key: that those are made by.
    """

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

    def is_named_in(self, text: str) -> str:
        """Return DuckDB's predicate: a text has one of the ids as a word of its own."""
        pattern = f"(^|[^A-Za-z0-9_])({self._words(self.ids)})($|[^A-Za-z0-9_])"
        return f"coalesce(regexp_matches({text}, {literal(pattern)}), false)"

    def is_of_line(self, source: Source, text: str) -> str:
        """Return DuckDB's predicate: a line of a dump is the person's, or may be, where it can't be read.

        Args:
            source: how lines are read.
            text: the line.
        """
        refs = [source.fields.user_id, source.fields.anonymous_id]
        known = [ref for ref in refs if ref is not None]
        if source.format.is_flat or any(ref.path is None for ref in known):
            return self.is_named_in(text)
        places = ["$" + "".join(f'."{name}"' for name in ref.names()) for ref in known]
        values = [f"trim(json_extract_string({text}, {literal(place)}))" for place in places]
        theirs = self.is_in(*values) if values else "false"
        return f"CASE WHEN json_valid({text}) THEN {theirs} ELSE {self.is_named_in(text)} END"

    @cached_property
    def quoted(self) -> re.Pattern[str]:
        """The ids where a text of ours quotes them; Python and DuckDB read it alike."""
        short = [value for value in self.ids if value.isdigit() and len(value) < _TELLING]
        telling = [value for value in self.ids if value not in short]
        # A text that was cut may end in the midst of one.
        parts = [v[:n] for v in telling for n in range(max(3, 3 * len(v) // 5), len(v))]
        ways = [
            rf"(?P<before>^|[^A-Za-z0-9_])({self._words(telling)})(?P<after>$|[^A-Za-z0-9_])",
            rf"(?P<start>^|[^A-Za-z0-9_])({self._words(parts)})…?$",
            rf"(?P<open>[\"'])({self._words(short)})(?P<close>\\?[\"'])",
        ]
        given = (telling, parts, short)
        return re.compile("|".join(way for way, any_ in zip(ways, given, strict=True) if any_))

    def is_quoted_in(self, text: str) -> str:
        """Return DuckDB's predicate: a text of ours quotes one of the ids."""
        return f"coalesce(regexp_matches({text}, {literal(self.quoted.pattern)}), false)"

    def taken_out_of(self, text: str) -> str:
        """Return a text of ours without the ids."""

        def instead(found: re.Match[str]) -> str:
            around = found.groupdict()
            before = around.get("before") or around.get("start") or around.get("open") or ""
            return f"{before}{GONE}{around.get('after') or around.get('close') or ''}"

        while (
            shorter := self.quoted.sub(instead, text)
        ) != text:  # what lies between two counts once
            text = shorter
        return text

    def page_pattern(self) -> str:
        """Return the regular expression of the ids as words of a page of the report."""
        return f"(^|[^A-Za-z0-9_])({self._words(self.ids)})($|[^A-Za-z0-9_])"

    @staticmethod
    def _words(values: Sequence[str]) -> str:
        spelled = {way for value in values for way in _spellings(value)}
        return "|".join(re.escape(each) for each in sorted(spelled))


def _spellings(value: str) -> Iterator[str]:
    """Yield how JSON and HTML write a text."""
    escaped = json.dumps(value)[1:-1]
    yield from (value, escaped, json.dumps(value, ensure_ascii=False)[1:-1])
    yield value.replace("/", "\\/")
    yield re.sub(r"\\u([0-9a-f]{4})", lambda m: f"\\u{m[1].upper()}", escaped)
    page = html.escape(value)
    yield from (page, page.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))


def person_of(ids: Sequence[str], key: PiiKey) -> Person:
    """Return a person by ids that dumps have.

    Hashed they are looked for too, and kept in mind, whether or not a source hashes: it may have, or may come to.
    """
    bare = [value.strip() for value in ids]
    every = tuple(dict.fromkeys((*bare, *(hashed(value, key) for value in bare))))
    return Person(every, tuple(hashed_id(key, value) for value in every), key)


@dataclass(frozen=True)
class Found:
    """Where a person is in what is published, waits or was put aside of a source.

    Attributes:
        source: its name.
        events: published events.
        sessions: published sessions, and aliases of former ones.
        quarantined: lines in quarantine that are, or may be, of the person.
        candidates: candidates that have events of the person: such as wait, or were withheld as duplicates.
        hours: the dump hours of all these: to be landed anew.
        dumps: the dumps' files that the events and lines are of.
    """

    source: str
    events: int = 0
    sessions: int = 0
    quarantined: int = 0
    candidates: int = 0
    hours: tuple[datetime, ...] = ()
    dumps: tuple[str, ...] = ()

    @property
    def is_anywhere(self) -> bool:
        """Whether there is anything to erase."""
        return any(self.counts().values())

    def describe(self) -> str:
        """Return it in a line."""
        parts = [
            counted(self.events, "event"),
            counted(self.sessions, "session or alias", "sessions and aliases"),
            counted(self.quarantined, "quarantined line"),
        ]
        if self.candidates:
            parts.append(counted(self.candidates, "candidate"))
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
        erasure_id: its id; its receipt is written if nothing is `left`.
        found: by source, what there was.
        removed: files of earlier versions and of candidates that were removed, their `bytes`, and the
            `scanned` files.
        left: what is not erased yet, and why, each in words.
        release: that readers see now.
        gives_up: whether earlier ones can't be read any more.
        mentions: published events of others whose properties name the person: they stay.
    """

    erasure_id: str
    found: tuple[Found, ...]
    removed: Mapping[str, int]
    left: tuple[str, ...]
    release: str
    gives_up: bool
    mentions: int

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
        if self.mentions:
            told = counted(self.mentions, "event")
            out.append(f"{told} of others name the person in their properties; they stay")
        dumps = [uri for each in self.found for uri in each.dumps]
        if dumps:
            out.append("the dumps still have it, and are yours to clean:")
            out += [f"  {uri}" for uri in dumps[:_SHOWN]]
            if len(dumps) > _SHOWN:
                out.append(f"  and {len(dumps) - _SHOWN:,} more: in ops.erasures")
        return [*out, f"receipt {self.erasure_id}"]

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            **vars(self),
            "done": not self.left,
            "found": [each.as_json() for each in self.found],
            "removed": dict(self.removed),
            "left": list(self.left),
        }
