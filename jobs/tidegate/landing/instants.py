"""Columns of text, numbers or times to instants: many at once, by the rules of `times`, `time_formats` and `zones`.

ISO 8601 as most producers write it is read by Arrow. Other texts are read one by one, each different one once. Both
give the same values; a test holds that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.common.time_zones import load_zone
from tidegate.config.source import TimeRef
from tidegate.landing import times
from tidegate.landing.convert import to_text
from tidegate.landing.records import Mask, mask_of
from tidegate.landing.schema import TIME
from tidegate.landing.time_formats import (
    YEAR_LENGTH,
    IsoRewriting,
    format_reader,
    iso_rewriting,
    month_numbers,
)
from tidegate.landing.zones import to_utc

_DAY = "(02-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(0[1-9]|[12][0-9]|30)|(0[13578]|1[02])-31)"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-7])(:?[0-5][0-9])?)"
_PLAIN_TIMES = {
    True: f"^[0-9]{{4}}-{_DAY}[T ]{_CLOCK}{_OFFSET}$",
    False: f"^[0-9]{{4}}-{_DAY}[T ]{_CLOCK}$",
}
"""Times that Arrow reads as `times` does: with a zone, and without one."""
_LONG_FRACTION = r"^([^.,]*[.][0-9]{6})[0-9]+"
_IS_CUT = r"[.,][0-9]{6}[0-9]*[1-9]"
_ALL = slice(None)
_FAR_OFFSET = r"[+-](1[89]|2[0-9])(:?[0-9]{2})?$"


@dataclass(frozen=True)
class Instants:
    """Times of some records.

    Attributes:
        values: in UTC, with microseconds; NULL where there is none, or none that is valid.
        cut: those that lost digits beyond microseconds; None for none.
        ambiguous: those that local clocks show twice, which are the first of the two; None for none.
        nonexistent: those that local clocks skip; None for none.
    """

    values: pa.Array
    cut: Mask | None = None
    ambiguous: Mask | None = None
    nonexistent: Mask | None = None


def to_time(values: pa.Array, ref: TimeRef) -> Instants:
    """Return values as times.

    Args:
        values: strings, or of any type that a file may have. Times without a zone are local ones of the zone of
            `ref`, or in UTC.
        ref: how times are written.
    """
    if pa.types.is_timestamp(values.type):
        if ref.zone is None or values.type.tz is not None:
            return Instants(_within(values.cast(TIME)))
        local = _Readings.of(len(values))
        local.set(mask_of(values.is_valid()), values.cast(pa.int64()).drop_null(), is_local=True)
        return local.instants(ref.zone)
    if ref.unit != "iso":
        return _epochs(values, ref.unit)
    if ref.format is not None:
        return _of_format(to_text(values), ref.format).instants(ref.zone)
    if not pa.types.is_string(values.type):  # a number or a date alone is no time
        return Instants(pa.nulls(len(values), TIME))
    parsed = _by_arrow(values) if ref.zone is None else None
    return Instants(parsed) if parsed is not None else _read_iso(values).instants(ref.zone)


def _by_arrow(values: pa.Array) -> pa.Array | None:
    """Return the times of texts that all have a usual form and a zone; None where one has not."""
    try:
        parsed = values.cast(TIME)
    except pa.ArrowInvalid:
        return None
    # Arrow takes offsets up to a day, and any four digits for a year.
    if not pc.all(pc.ends_with(values, "Z")).as_py():
        far = pc.match_substring_regex(values, _FAR_OFFSET)
        if pc.any(far).as_py():
            return None
    return _within(parsed)


def _of_format(texts: pa.Array, form: str) -> _Readings:
    """Return what texts in a format say; what it has as numbers is written as ISO 8601 for all texts at once."""
    encoded = texts.dictionary_encode()
    different = encoded.dictionary
    rewriting = iso_rewriting(form)
    readings = _Readings.of(len(different))
    is_plain = readings.is_time
    if rewriting is not None and len(different):
        is_plain = mask_of(pc.match_substring_regex(different, rewriting.pattern))
        plain = different.filter(pa.array(is_plain))
        readings.put(is_plain, _read_iso(_rewritten(plain, rewriting)))
    if not is_plain.all():
        readings.read(different, format_reader(form), ~is_plain)
    out = _Readings.of(len(texts))
    is_valid = mask_of(encoded.indices.is_valid())
    out.put(is_valid, readings, encoded.indices.drop_null().to_numpy())
    return out


def _rewritten(texts: pa.Array, rewriting: IsoRewriting) -> pa.Array:
    """Return texts that all match the pattern of a format as ISO 8601."""
    iso = pc.replace_substring_regex(texts, rewriting.pattern, rewriting.iso)
    if rewriting.month is None:
        return iso
    words = pc.replace_substring_regex(texts, rewriting.pattern, rewriting.month)
    short = pc.ascii_lower(pc.utf8_slice_codeunits(words, 0, 3))
    numbers = month_numbers()
    month = pa.array(numbers.values()).take(pc.index_in(short, pa.array(numbers)))
    year = pc.utf8_slice_codeunits(iso, 0, YEAR_LENGTH)
    rest = pc.utf8_slice_codeunits(iso, YEAR_LENGTH)
    return pc.binary_join_element_wise(year, month, rest, "")


def _read_iso(values: pa.Array) -> _Readings:
    """Return what texts in several forms of ISO 8601 say."""
    cut = pc.replace_substring_regex(values, _LONG_FRACTION, r"\1")
    rest = mask_of(values.is_valid())
    readings = _Readings.of(len(values))
    for has_zone, pattern in _PLAIN_TIMES.items():
        plain = mask_of(pc.match_substring_regex(cut, pattern)) & rest
        if plain.any():
            some = cut.filter(pa.array(plain))
            parsed = some.cast(TIME if has_zone else pa.timestamp("us"))
            readings.set(plain, parsed.cast(pa.int64()), is_local=not has_zone)
            rest &= ~plain
    if rest.any():
        readings.read(values, times.read_iso, rest)
    readings.cut |= mask_of(pc.match_substring_regex(values, _IS_CUT))
    return readings


@dataclass
class _Readings:
    """What records say of their times: see `times.Reading`; each array has a value a record."""

    micros: np.ndarray
    is_time: Mask
    local: Mask
    leap: Mask
    cut: Mask

    @classmethod
    def of(cls, count: int) -> _Readings:
        return cls(np.zeros(count, np.int64), *(np.zeros(count, np.bool_) for _ in range(4)))

    def set(self, where: Mask, micros: pa.Array, *, is_local: bool) -> None:
        """Note the times of some records."""
        self.micros[where] = micros.to_numpy()
        self.is_time |= where
        self.local[where] = is_local

    def put(self, where: Mask, others: _Readings, places: slice | np.ndarray = _ALL) -> None:
        """Note what other records say for some, in order or from their places."""
        for column in fields(self):
            getattr(self, column.name)[where] = getattr(others, column.name)[places]

    def read(
        self,
        texts: pa.Array,
        read: Callable[[str], times.Reading | None],
        where: Mask | None = None,
    ) -> None:
        """Read the texts of some records, or of all; each different one once."""
        if where is None:
            where = mask_of(texts.is_valid())
        encoded = texts.filter(pa.array(where)).dictionary_encode()
        found = [read(text) for text in encoded.dictionary.to_pylist()]
        at = encoded.indices.to_numpy()
        self.is_time[where] = np.array([one is not None for one in found], np.bool_)[at]
        nothing = times.Reading(0)
        known = [one if one is not None else nothing for one in found]
        self.micros[where] = np.array([one.micros for one in known], np.int64)[at]
        self.local[where] = np.array([one.is_local for one in known], np.bool_)[at]
        self.leap[where] = np.array([one.is_leap for one in known], np.bool_)[at]
        self.cut[where] = np.array([one.is_cut for one in known], np.bool_)[at]

    def instants(self, zone: str | None) -> Instants:
        """Return the times, those without an offset in the time of a zone, or in UTC."""
        ambiguous = nonexistent = None
        self._check_range()
        if zone is not None and (local := self.is_time & self.local).any():
            utc = to_utc(self.micros[local], load_zone(zone))
            self.micros[local] = utc.micros
            ambiguous, nonexistent = np.zeros_like(local), np.zeros_like(local)
            ambiguous[local], nonexistent[local] = utc.ambiguous, utc.nonexistent
            self.is_time &= ~nonexistent
        for place in np.flatnonzero(self.leap & self.is_time).tolist():
            self.is_time[place] = times.is_leap_second(int(self.micros[place]))
            self.micros[place] += 1_000_000
        self._check_range()
        values = pa.array(self.micros, TIME, mask=~self.is_time)
        return Instants(values, self.cut, ambiguous, nonexistent)

    def _check_range(self) -> None:
        self.is_time &= (self.micros >= times.EARLIEST) & (self.micros <= times.LATEST)


def _epochs(values: pa.Array, unit: str) -> Instants:
    scale = times.UNITS[unit]
    if pa.types.is_integer(values.type):
        limit = times.LATEST // scale
        fits = pc.and_(pc.less_equal(values, limit), pc.greater_equal(values, -limit))
        safe = pc.if_else(fits, values, pa.scalar(None, values.type)).cast(pa.int64())
        return Instants(_within(pc.multiply(safe, scale).cast(TIME)))
    texts = to_text(values)
    plain = mask_of(pc.match_substring_regex(texts, "^[0-9]{1,17}$"))
    if plain.all():
        return _epochs(texts.cast(pa.int64()), unit)
    readings = _Readings.of(len(values))
    readings.read(texts, lambda text: times.read_epoch(text, unit))
    return readings.instants(None)


def _within(parsed: pa.Array) -> pa.Array:
    """Return times, and NULL for those outside of the years 1 to 9999."""
    bounds = pc.min_max(parsed.cast(pa.int64()))
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or (low >= times.EARLIEST and high <= times.LATEST):
        return parsed
    number = parsed.cast(pa.int64())
    is_in = pc.and_(pc.greater_equal(number, times.EARLIEST), pc.less_equal(number, times.LATEST))
    return pc.if_else(is_in, parsed, pa.scalar(None, TIME))
