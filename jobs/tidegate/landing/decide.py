"""What becomes of records: an event or a quarantined line, with the first thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.config.source import FieldRef, TimeRef
from tidegate.landing import convert
from tidegate.landing.instants import Instants, to_time
from tidegate.landing.plan import ID_FIELDS, Plan
from tidegate.landing.records import Mask, Records, mask_of

_SHOWN = 100
"""Characters of a value that a message shows."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Values:
    """The values of some records, before it is decided what becomes of them.

    Attributes:
        inputs: by name, what was read for each value of an event: text, or what its type was in the file.
        typed: by name, the same in the type of its column; NULL where it does not fit.
        failed: by name, records for which its expression failed.
        erased: records of erased persons.
        producer_erased: records whose producer is one.
        stand_ins: records that have a text which stands for no person as an id.
        times: by name, its times.
    """

    inputs: Mapping[str, pa.Array]
    typed: Mapping[str, pa.Array]
    failed: Mapping[str, Mask]
    erased: Mask | None = None
    producer_erased: Mask | None = None
    stand_ins: Mask | None = None
    times: Mapping[str, Instants] = field(default_factory=dict)

    def count_times(self, kind: str, where: Mask) -> int:
        """Return how many times of some records are of one kind: `cut`, `ambiguous` or `nonexistent`."""
        marks = (getattr(times, kind) for times in self.times.values())
        return sum(int(mask[where].sum()) for mask in marks if mask is not None)


def values_of(
    inputs: Mapping[str, pa.Array],
    failed: Mapping[str, Mask],
    plan: Plan,
    count: int,
    nobody: Mapping[str, pa.Array],
) -> Values:
    """Return the typed values of records.

    Args:
        inputs: by name, what was read for each value that the source has.
        failed: by name, records for which its expression failed.
        plan: of the source.
        count: how many records there are.
        nobody: by name of an id, texts that stand for no person.
    """
    times = {name: to_time(inputs[name], ref) for name, ref in plan.times.items()}
    typed = {name: instants.values for name, instants in times.items()}
    for name in (*ID_FIELDS, "event_type", "_producer"):
        text = convert.to_text(inputs[name]) if name in inputs else pa.nulls(count, pa.string())
        typed[name] = text if name == "event_type" else _without_empty(text)
    stand_ins = np.zeros(count, np.bool_)
    for name, texts in nobody.items():
        is_nobody = pc.is_in(typed[name], value_set=texts)
        if pc.any(is_nobody).as_py():
            stand_ins |= mask_of(is_nobody)
            typed[name] = pc.if_else(is_nobody, pa.scalar(None, pa.string()), typed[name])
    if "_number" in inputs:
        typed["_number"] = convert.to_type(inputs["_number"], "bigint")
    for name, column in plan.source.columns.items():
        if name not in times:
            typed[name] = convert.to_type(inputs[name], column.type)
    typed["user_key"] = pc.coalesce(typed["user_id"], typed["anonymous_id"])
    typed["user_key_kind"] = pc.coalesce(
        pc.if_else(typed["user_id"].is_valid(), "user", None),
        pc.if_else(typed["anonymous_id"].is_valid(), "anonymous", None),
    )
    return Values(inputs, typed, failed, stand_ins=stand_ins, times=times)


def _without_empty(texts: pa.Array) -> pa.Array:
    """Return texts, NULL in place of empty ones: two visitors with an empty id are not the same visitor."""
    empty = pc.equal(texts, "")
    if not pc.any(empty).as_py():
        return texts
    return pc.if_else(empty, pa.scalar(None, pa.string()), texts)


@dataclass(frozen=True)
class Outcomes:
    """What is wrong with records.

    Attributes:
        is_event: records with which nothing is.
        reason: string, why a record is no event; NULL for events.
        detail: string, what was expected and what is there.
    """

    is_event: Mask
    reason: pa.Array
    detail: pa.Array

    def has(self, *reasons: str) -> Mask:
        """Return which records have one of some reasons."""
        return mask_of(pc.is_in(self.reason, value_set=pa.array(reasons, pa.string())))


class _Problems:
    """The first problem of each record."""

    def __init__(self, records: Records) -> None:
        self._count = len(records)
        self.free = np.ones(self._count, np.bool_)
        if records.skipped is not None:
            self.free &= ~records.skipped
        self._rows: dict[int, tuple[str, str | None]] = {}

    def add(self, where: Mask, reason: str, detail: Callable[[int], str | None]) -> None:
        """Note a problem of records that have none so far."""
        places = where & self.free
        if places.any():
            for place in np.flatnonzero(places).tolist():
                self._rows[place] = (reason, detail(place))
            self.free &= ~places

    def outcomes(self) -> Outcomes:
        if not self._rows:
            nothing = pa.nulls(self._count, pa.string())
            return Outcomes(self.free, nothing, nothing)
        reasons: npt.NDArray[np.object_] = np.full(self._count, None, object)
        details = reasons.copy()
        for place, (reason, detail) in self._rows.items():
            reasons[place], details[place] = reason, detail
        return Outcomes(self.free, pa.array(reasons, pa.string()), pa.array(details, pa.string()))


def find_problems(records: Records, values: Values, plan: Plan, hour: datetime) -> Outcomes:
    """Return what is wrong with records, the first thing only.

    Args:
        records: the records.
        values: their values.
        plan: of the source.
        hour: the dump hour.
    """
    problems = _Problems(records)
    if values.erased is not None:
        problems.add(values.erased & records.is_whole, "erased", lambda _: None)
    if records.reason is not None:
        reasons, details = records.reason.to_pylist(), _list(records.detail, len(records))
        for reason in sorted({*reasons} - {None}):
            where = mask_of(pc.equal(records.reason, reason))
            problems.add(where, reason, details.__getitem__)
    _check_expressions(problems, values)
    _check_fields(problems, values, plan, hour)
    _check_columns(problems, values, plan)
    return problems.outcomes()


def _check_expressions(problems: _Problems, values: Values) -> None:
    for name, where in values.failed.items():
        text = f"{name}: expected a value, got an error of its expression"
        problems.add(where, "bad_value", lambda _, text=text: text)  # type: ignore[misc]


def _check_fields(problems: _Problems, values: Values, plan: Plan, hour: datetime) -> None:
    fields = plan.source.fields
    if fields.event_id is not None:
        where = _place("no value at", fields.event_id)
        problems.add(
            mask_of(values.typed["event_id"].is_null()), "missing_event_id", lambda _: where
        )
    when, typed = values.inputs["event_time"], values.typed["event_time"]
    missing = mask_of(when.is_null())
    if pa.types.is_string(when.type):
        missing |= mask_of(pc.equal(pc.utf8_trim(when, " "), ""))
    where_time = _place("no value at", fields.event_time)
    problems.add(missing, "missing_event_time", lambda _: where_time)
    written = fields.event_time.written
    problems.add(
        mask_of(typed.is_null()),
        "bad_event_time",
        lambda place: (
            f"expected a time as {written}, got {_shown(when, place)}"
            f"{_skipped(values, 'event_time', place)}{_unit_needed(fields.event_time, when, place)}"
        ),
    )
    late, future = plan.source.accept.late, plan.source.accept.future
    micros = typed.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    problems.add(
        micros < _micros(hour - _EPOCH) - _micros(late),
        "too_late",
        lambda place: (
            f"expected at most {_seconds(late)} s before the dump hour, "
            f"got {time_text(typed[place])}"
        ),
    )
    problems.add(
        micros > _micros(hour - _EPOCH + timedelta(hours=1)) + _micros(future),
        "too_early",
        lambda place: (
            f"expected at most {_seconds(future)} s after the dump hour ends, "
            f"got {time_text(typed[place])}"
        ),
    )


def _check_columns(problems: _Problems, values: Values, plan: Plan) -> None:
    for name, column in plan.source.columns.items():
        inputs, typed = values.inputs[name], values.typed[name]
        if typed.null_count == inputs.null_count:
            continue
        kind = f"timestamp as {column.written}" if column.type == "timestamp" else column.type

        def detail(place: int, name: str = name, kind: str = kind) -> str:
            got = _shown(values.inputs[name], place) + _skipped(values, name, place)
            return f"column {name}: expected {kind}, got {got}"

        problems.add(mask_of(pc.and_(inputs.is_valid(), typed.is_null())), "bad_value", detail)


def _place(text: str, ref: FieldRef) -> str:
    return f"{text} {', '.join(ref.parts()) or ref.sql}"


def _skipped(values: Values, name: str, place: int) -> str:
    """Return why a time is none, where local clocks skip it."""
    nonexistent = values.times[name].nonexistent if name in values.times else None
    return ", which the clocks skip" if nonexistent is not None and nonexistent[place] else ""


def _unit_needed(ref: TimeRef, values: pa.Array, place: int) -> str:
    """Return what to write where a number was read as text of ISO 8601; empty where it is none."""
    is_number = ref.unit == "iso" and ref.format is None and _shown(values, place).isdecimal()
    return "; a number needs a unit: epoch_s, epoch_ms or epoch_us" if is_number else ""


def _shown(values: pa.Array, place: int) -> str:
    return str(convert.to_text(values[place : place + 1])[0].as_py())[:_SHOWN]


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def time_text(value: pa.Scalar) -> str:
    """Return a time as messages show it: without a zone, and without zeros at the fraction's end."""
    text: str = value.as_py().replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if "." in text else text


def _list(values: pa.Array | None, count: int) -> list[str | None]:
    return values.to_pylist() if values is not None else [None] * count
