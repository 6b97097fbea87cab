"""Persons who were erased: what is known of them, and which rows are theirs.

Their ids are kept as keyed hashes only, so that the list of those who asked to be forgotten does not name them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.landing import pii
from tidegate.sql_text import quoted_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.pii_key import PiiKey

REASON = "erased"
"""Why the line of an erased person is no event: its reason in quarantine, which keeps nothing else of it."""
MARK = "~erased~"
"""Column that says whether a row is of an erased person."""
PRODUCER_MARK = "~producer erased~"
"""Column that says whether an event's producer, who numbers events, is one."""
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


def hashed_id(key: PiiKey, value: str) -> str:
    """Return what is kept of the id of an erased person: 32 hex digits."""
    text = f"{_LABEL}{value}".encode()
    return hmac.new(key.secret, text, hashlib.sha256).hexdigest()[: pii.HASH_DIGITS]


def marked(
    rows: DataFrame, erased: Erased | None, ids: Sequence[str], mark: str = MARK
) -> DataFrame:
    """Add a column that says whether one of some texts is the id of an erased person.

    Args:
        rows: what has them.
        erased: those persons; None for nobody.
        ids: Spark SQL of the texts.
        mark: name of the column.
    """
    from pyspark.sql import functions as F

    if erased is None:
        return rows.withColumn(mark, F.lit(False))
    theirs = " or ".join(_is_one_of(erased.persons, text) for text in ids)
    keyed = pii.with_key(rows, erased.key)
    return keyed.withColumn(mark, F.expr(theirs)).drop(pii.INNER, pii.OUTER)


def _is_one_of(persons: Iterable[str], text: str) -> str:
    digest = pii.hmac_sql(f"concat({quoted_text(_LABEL)}, {text})")
    listed = ", ".join(map(quoted_text, persons))
    return f"coalesce(left({digest}, {pii.HASH_DIGITS}) in ({listed}), false)"
