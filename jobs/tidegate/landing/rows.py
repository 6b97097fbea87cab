"""Decided records to rows as they are staged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.landing.decide import Outcomes, Values
from tidegate.landing.limits import MAX_RAW_BYTES
from tidegate.landing.plan import Plan
from tidegate.landing.records import Mask, Records, mask_of

_MAX_PRODUCER = 256
"""Characters of a producer's name; a longer one is none."""
_MAX_NUMBER = (1 << 63) - 2
"""The largest number of an event: from it to nought there are as many as a bigint can hold."""
_FEW = 64
"""Rows that may be missing from a batch before the rest is copied one by one."""


def staged(
    records: Records,
    values: Values,
    outcomes: Outcomes,
    plan: Plan,
    schema: pa.Schema,
    constants: Mapping[str, object],
    *,
    any_erased: bool,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of records as they are staged: events, then the others. Skipped ones are left out.

    Args:
        records: the records.
        values: their values.
        outcomes: what is wrong with them.
        plan: of the source.
        schema: of staged rows.
        constants: values that all rows have.
        any_erased: whether any person was erased, so that text of unknown persons is not kept.
    """
    columns = {**values.typed, "line": records.line, "properties": records.body}
    if "_number" in schema.names:
        columns |= _numbered(records, values)
    if outcomes.is_event.any():
        constants = {**constants, "_outcome": "event"}
        events = _batch({**columns}, constants, schema, len(records))
        yield _only(events, outcomes.is_event)
    bad = ~outcomes.is_event
    if records.skipped is not None:
        bad &= ~records.skipped
    if bad.any():
        places = pa.array(np.flatnonzero(bad))
        kept: dict[str, pa.Array] = {
            name: columns[name] for name in ("line", "_producer", "_number") if name in columns
        }
        kept |= {"_reason": outcomes.reason, "_detail": outcomes.detail}
        some = {name: values.take(places) for name, values in kept.items()}
        some |= _raw_text(records, outcomes, places, plan, any_erased=any_erased)
        constants = {**constants, "_outcome": "quarantined"}
        yield _batch(some, constants, schema, len(places))


def _batch(
    columns: Mapping[str, pa.Array], constants: Mapping[str, object], schema: pa.Schema, count: int
) -> pa.RecordBatch:
    def column(name: str) -> pa.Array:
        kind = schema.field(name).type
        if name in constants:
            return pa.repeat(pa.scalar(constants[name], kind), count)
        return columns[name] if name in columns else pa.nulls(count, kind)

    return pa.RecordBatch.from_arrays([column(name) for name in schema.names], schema=schema)


def _only(rows: pa.RecordBatch, which: Mask) -> pa.RecordBatch:
    """Return some of the rows; where few are missing, what lies between them is copied at once."""
    gaps = np.flatnonzero(~which)
    if not len(gaps):
        return rows
    if len(gaps) > _FEW:
        return rows.filter(pa.array(which))
    starts, stops = [0, *(gaps + 1).tolist()], [*gaps.tolist(), len(rows)]
    return pa.concat_batches(
        [
            rows.slice(start, stop - start)
            for start, stop in zip(starts, stops, strict=True)
            if stop > start
        ]
    )


def _raw_text(
    records: Records, outcomes: Outcomes, places: pa.Array, plan: Plan, *, any_erased: bool
) -> dict[str, pa.Array]:
    """Return `_raw` and `_raw_bytes` of quarantined records: their text, and their bytes where these are no text."""
    private = bool(plan.source.pii)
    erased = outcomes.has("erased")
    source = (records.body if private else records.raw).take(places).to_pylist()
    texts: list[str | None] = []
    data: list[bytes | None] = []
    for place, value in zip(places.to_pylist(), source, strict=True):
        # Of persons of whom nothing is to be kept, text would be.
        hidden = erased[place] or ((any_erased or private) and not records.is_whole[place])
        text, raw = value, None
        if isinstance(value, bytes):
            is_head = records.length[place].as_py() > MAX_RAW_BYTES >= len(value)
            text, is_text = _decoded(value, is_head=is_head)
            raw = None if is_text else value
        texts.append(None if hidden else text)
        data.append(None if hidden else raw)
    return {"_raw": pa.array(texts, pa.string()), "_raw_bytes": pa.array(data, pa.binary())}


def _decoded(data: bytes, *, is_head: bool) -> tuple[str, bool]:
    """Return bytes as text, and whether they are text; a character cut at the end of a head is left out."""
    try:
        return data.decode(), True
    except UnicodeDecodeError as error:
        if is_head and error.start >= len(data) - 3 and error.reason == "unexpected end of data":
            return data[: error.start].decode(), True
    return data.decode(errors="replace"), False


def _numbered(records: Records, values: Values) -> dict[str, pa.Array]:
    """Return `_producer` and `_number`, both or neither; a producer that is an erased person is nobody."""
    producer, number = values.typed["_producer"], values.typed["_number"]
    known = mask_of(pc.less_equal(pc.utf8_length(producer), _MAX_PRODUCER))
    known &= mask_of(pc.and_(pc.greater_equal(number, 0), pc.less_equal(number, _MAX_NUMBER)))
    known &= records.is_whole
    if values.producer_erased is not None:
        known &= ~values.producer_erased
    mask = pa.array(known)
    return {
        "_producer": pc.if_else(mask, producer, pa.scalar(None, pa.string())),
        "_number": pc.if_else(mask, number, pa.scalar(None, pa.int64())),
    }
