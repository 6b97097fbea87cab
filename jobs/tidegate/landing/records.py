"""What a file's reader gives for the records of a file, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing.plan import Names

Mask = npt.NDArray[np.bool_]

UNREADABLE = frozenset(
    [
        "not_utf8",
        "too_long",
        "blank_line",
        "not_json",
        "not_object",
        "wrong_columns",
        "bad_quotes",
        "not_access_log",
    ]
)
"""Reasons of records whose values could not be told apart."""


@dataclass(frozen=True)
class Records:
    """Some records of one file; each array has a value a record.

    Attributes:
        line: int64, the record's first physical line, from 1.
        raw: string or binary, the record as it came; of one that is too long the head.
        length: int64, its bytes.
        columns: by path, the values: strings, or what their type was in the file.
        body: string, what `properties` will be; of sources with personal data what these leave.
        reason: string, why the record can't be used, or NULL; None where no record has a reason.
        detail: string, what was expected and what is there; None where no record has a reason.
        skipped: records that are none of these: another reader decides them.
        nested: the paths whose values are JSON of objects or lists.
        cut: how many values lost digits beyond microseconds when they were read.
    """

    line: pa.Array
    raw: pa.Array
    length: pa.Array
    columns: Mapping[Names, pa.Array]
    body: pa.Array
    reason: pa.Array | None = None
    detail: pa.Array | None = None
    skipped: Mask | None = None
    nested: frozenset[Names] = frozenset()
    cut: int = 0

    def __len__(self) -> int:
        return len(self.line)

    @cached_property
    def is_whole(self) -> Mask:
        """Whether the values of a record could be told apart."""
        if self.reason is None:
            return np.ones(len(self), np.bool_)
        if self.reason.null_count == len(self.reason):
            return np.ones(len(self), np.bool_)
        return ~mask_of(pc.is_in(self.reason, value_set=pa.array(sorted(UNREADABLE))))


def mask_of(values: pa.Array) -> Mask:
    """Return an array of booleans as a mask; NULL is false."""
    mask: Mask = values.fill_null(False).to_numpy(zero_copy_only=False)  # Arrow's
    return mask
