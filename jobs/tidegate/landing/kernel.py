"""The landing kernel: from the bytes of a file and a source's rules to rows, each record exactly once.

It knows nothing of Spark, Delta or S3, so that every engine reads files by the same rules. `README.md` in this
folder has the rules of lines and values in a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO

import duckdb
import numpy as np
import pyarrow as pa

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Source, split_path
from tidegate.landing import convert, personal
from tidegate.landing.decide import Outcomes, Values, find_problems, values_of
from tidegate.landing.expressions import evaluate
from tidegate.landing.formats import reader_of
from tidegate.landing.ids import computed_ids
from tidegate.landing.plan import Plan
from tidegate.landing.records import Mask, Records
from tidegate.landing.rows import staged
from tidegate.landing.schema import staged_schema
from tidegate.privacy.erased import Erased
from tidegate.privacy.key import PiiKey

__all__ = ["InputFile", "Rules", "UnreadableError", "parse_file", "staged_schema"]
CUT_TIMES = "cut_times"
"""How many times of events lost digits beyond microseconds."""
AMBIGUOUS_TIMES = "ambiguous_times"
"""How many times of events are shown twice by local clocks; each is the first of the two."""
NONEXISTENT_TIMES = "nonexistent_times"
"""How many times are skipped by local clocks."""
STAND_INS = "stand_ins"
"""How many events have an id that stands for no person."""
NOTES = (CUT_TIMES, AMBIGUOUS_TIMES, NONEXISTENT_TIMES, STAND_INS)
"""Counts that a batch has in its metadata."""


@dataclass(frozen=True)
class Rules:
    """How lines become events. It can be pickled.

    Attributes:
        source: the source.
        key: that personal data are hashed by, for a source that hashes any.
        erased: persons whose lines become no events.
    """

    source: Source
    key: PiiKey | None = None
    erased: Erased | None = None

    @cached_property
    def plan(self) -> Plan:
        """Return what is read from a record."""
        return Plan(self.source)

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the columns of staged rows."""
        return staged_schema(self.source)

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self.source, "key": self.key, "erased": self.erased}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class InputFile:
    """A file of a dump.

    Attributes:
        hour: the dump hour; aware, UTC.
        name: of the file, relative to the root of the source's dumps.
    """

    hour: datetime
    name: str


def parse_file(
    stream: BinaryIO, file: InputFile, rules: Rules, connection: duckdb.DuckDBPyConnection
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in the columns of `staged_schema`, every record exactly once.

    A batch has events or quarantined records, in the order of their lines. But a record that could not be
    read together with others comes after them. What is wrong with a record is in `_reason` and `_detail`.

    Args:
        stream: the file as it is stored.
        file: which one it is.
        rules: how lines become events.
        connection: for expressions and computed ids; nothing is left in it.

    Raises:
        UnreadableError: the file can't be read whole; rows that were yielded before don't count.
        TidegateError: an expression of the source can't be used.
        ValueError: the source hashes personal data, and there is no key.
    """
    yield from _Landing(file, rules, connection).rows(stream)


class _Landing:
    def __init__(
        self, file: InputFile, rules: Rules, connection: duckdb.DuckDBPyConnection
    ) -> None:
        self._file = file
        self._rules = rules
        self._plan = rules.plan
        self._connection = connection
        self._schema = rules.schema
        self._treat = personal.treatment(rules.source, rules.key)
        self._nobody = personal.stand_ins(self._plan, self._treat)
        self._constants = {
            "source": rules.source.source,
            "dump_date": file.hour.date(),
            "dump_hour": file.hour,
            "file": file.name,
        }

    def rows(self, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
        reader = reader_of(self._plan, self._treat)
        for records in reader.records(stream, self._file.name):
            values, outcomes = self._decided(records)
            # Their message would show a value that may not be as it was written.
            unsure = outcomes.has("bad_value", "bad_event_time")
            others = reader.again(records, unsure) if unsure.any() else None
            if others is not None:
                yield from self._staged(others, *self._decided(others))
                skipped = unsure if records.skipped is None else records.skipped | unsure
                records = replace(records, skipped=skipped)
            yield from self._staged(records, values, outcomes)

    def _decided(self, records: Records) -> tuple[Values, Outcomes]:
        plan, rules = self._plan, self._rules
        computed, failed = evaluate(records, plan, self._file.hour, self._connection)
        inputs = {
            name: computed[name]
            if ref.sql is not None
            else convert.joined([records.columns[split_path(path)] for path in ref.parts()])
            for name, ref in plan.refs.items()
        }
        values = values_of(inputs, failed, plan, len(records), self._nobody)
        if rules.erased is not None:
            values = self._erased(values, rules.erased)
        return values, find_problems(records, values, plan, self._file.hour)

    def _erased(self, values: Values, erased: Erased) -> Values:
        typed = values.typed

        def is_erased(name: str) -> Mask:
            return personal.is_erased(typed[name], erased, self._treat)

        return replace(
            values,
            erased=is_erased("user_id") | is_erased("anonymous_id"),
            producer_erased=is_erased("_producer"),
        )

    def _staged(
        self, records: Records, values: Values, outcomes: Outcomes
    ) -> Iterator[pa.RecordBatch]:
        if self._rules.source.fields.event_id is None:
            ids = computed_ids(
                self._rules.source.source,
                self._file.hour,
                self._file.name,
                records.line,
                self._connection,
            )
            values = replace(values, typed={**values.typed, "event_id": ids})
        batches = staged(
            records,
            values,
            outcomes,
            self._plan,
            self._schema,
            self._constants,
            any_erased=self._rules.erased is not None,
        )
        notes = {
            name: str(count) for name, count in _notes(records, values, outcomes).items() if count
        }
        for number, batch in enumerate(batches):
            yield batch.replace_schema_metadata(notes) if notes and not number else batch


def _notes(records: Records, values: Values, outcomes: Outcomes) -> dict[str, int]:
    """Return what is to be counted of some records beside their outcomes: see `NOTES`."""
    events = outcomes.is_event
    decided = ~records.skipped if records.skipped is not None else np.ones_like(events)
    return {
        CUT_TIMES: records.cut + values.count_times("cut", events),
        AMBIGUOUS_TIMES: values.count_times("ambiguous", events),
        NONEXISTENT_TIMES: values.count_times("nonexistent", decided),
        STAND_INS: int(values.stand_ins[events].sum()) if values.stand_ins is not None else 0,
    }
