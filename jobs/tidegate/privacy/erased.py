"""Persons who were erased: what is known of them, and which rows are theirs.

Their ids are kept as keyed hashes only, so that the list of those who asked to be forgotten does not name them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.privacy.key import PiiKey

HASH_DIGITS = 32
"""Hex digits that are kept of a keyed hash: 128 bits."""
REASON = "erased"
"""Why the line of an erased person is no event: its reason in quarantine, which keeps nothing else of it."""
ID_COLUMNS = ("user_id", "anonymous_id")
"""Columns of an event that hold the id of a person."""
_LABEL = "tidegate: erased: "
"""Goes before an id, so that its hash here is not the one that events have of it."""


@dataclass(frozen=True)
class Erased:
    """The persons who were erased from a source.

    Attributes:
        key: that their ids are hashed by.
        persons: the hashes of their ids, as events have those.
        number: of the last erasure that is of the source, or of all.
    """

    key: PiiKey
    persons: tuple[str, ...]
    number: int

    def among(self, ids: Iterable[str]) -> set[str]:
        """Return those of some ids that are an erased person's."""
        persons = frozenset(self.persons)
        return {each for each in ids if hashed_id(self.key, each) in persons}


def hashed_id(key: PiiKey, value: str) -> str:
    """Return what is kept of the id of an erased person: 32 hex digits."""
    text = f"{_LABEL}{value}".encode()
    return hmac.new(key.secret, text, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def hashed(text: str, key: PiiKey) -> str:
    """Return what a text to be hashed becomes.

    The exact text counts, with spaces around it. Empty text stays empty, so that an empty id is still no id:
    hashed, all who have none would be one person.

    Args:
        text: the value.
        key: that it is hashed by.
    """
    if not text:
        return text
    return hmac.digest(key.secret, text.encode(), hashlib.sha256).hex()[:HASH_DIGITS]
