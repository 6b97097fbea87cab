"""Which path, or which two, tell when an event happened. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.common.hours import HOUR
from tidegate.config.source import join_path
from tidegate.propose.exports import Export
from tidegate.propose.shape import Path, Shape, folded, path_rank
from tidegate.propose.times import as_time, lacks_offset, time_forms
from tidegate.propose.words import words

_TIME = words(
    """eventtime eventtimestamp eventts derivedtstamp occurredat happenedat timestamp time ts at
    createdat datetime eventat clienttimestamp originaltimestamp dvcecreatedtstamp
    collectortstamp clienttime createdtime created servertimestamp atms timems tsms eventtimems
    timestampms"""
)
_NOT_TIME = re.compile(
    r"updat|modif|birth|expir|etl|load|ingest|process|received|sent|arriv|valid|until"
)


@dataclass(frozen=True)
class TimePick:
    """What is to be the time of events, and why.

    Attributes:
        paths: where it is: one path, or two whose texts are joined by a space; none for the dump hour.
        form: how it is written: iso, epoch_s, …, or directives of strptime.
        why: in words.
        times: the time of each record that has one, by its number.
        is_local: whether it does not tell its zone.
    """

    paths: tuple[Path, ...]
    form: str
    why: str
    times: Mapping[int, datetime]
    is_local: bool = False

    @property
    def ref(self) -> str | dict[str, object]:
        """How a source file writes it."""
        if not self.paths:
            return "dump_hour"
        said: dict[str, object] = {"path": join_path(self.paths[0])}
        if len(self.paths) > 1:
            said = {"paths": [join_path(path) for path in self.paths]}
        if self.form != "iso":
            said["format" if "%" in self.form else "unit"] = self.form
        return join_path(self.paths[0]) if list(said) == ["path"] else said


def pick_time(
    shapes: Mapping[Path, Shape],
    hours: Sequence[datetime | None],
    export: Export | None,
    undecided: list[tuple[str, str]],
) -> TimePick | None:
    """Return the time of events, or None where nothing tells it.

    Args:
        shapes: the shapes of paths that may be used.
        hours: the dump hour of each record, where it is known.
        export: what the records are an export of, if that is known.
        undecided: gets what could not be decided, and what to do next.
    """
    usable = [shape for shape in shapes.values() if shape.is_scalar]
    picked = _known_time(shapes, hours, export) or _event_time(usable, hours, undecided)
    if picked is not None or None in hours or not hours:
        return picked
    undecided.append(
        (
            "when events happened: no field looks like a time, so each has the hour of its dump",
            "name the field as event_time, with 'format' if it is written in a form of its own",
        )
    )
    hour_of = {row: hour for row, hour in enumerate(hours) if hour is not None}
    return TimePick((), "iso", "the dump hour: no field looks like a time", hour_of)


def _known_time(
    shapes: Mapping[Path, Shape], hours: Sequence[datetime | None], export: Export | None
) -> TimePick | None:
    """Return the time that an export's document has, where it is one."""
    path = export.path("event_time") if export is not None else None
    shape = shapes.get(path) if path is not None else None
    if export is None or shape is None or not shape.is_scalar or not shape.time_forms:
        return None
    rated = _rated(_Candidate((shape.path,), shape.rows, shape.values), shape.time_forms[0], hours)
    return None if rated is None else replace(rated[1], why=f"{rated[1].why}, as in {export.name}")


@dataclass(frozen=True)
class _Candidate:
    """Values that may be the time of events: where they are, of which records, and the values."""

    paths: tuple[Path, ...]
    rows: Sequence[int]
    values: Sequence[object]


def _event_time(
    usable: Sequence[Shape],
    hours: Sequence[datetime | None],
    undecided: list[tuple[str, str]],
) -> TimePick | None:
    rated: list[tuple[float, TimePick]] = []
    for shape in usable:
        one = _Candidate((shape.path,), shape.rows, shape.values)
        rated += [pick for form in shape.time_forms if (pick := _rated(one, form, hours))]
    for pair in _pairs(usable):
        rated += [pick for form in time_forms(pair.values) if (pick := _rated(pair, form, hours))]
    if not rated:
        return None
    score, best = max(rated, key=lambda each: each[0])
    others = [pick for other, pick in rated if other == score and pick.paths == best.paths]
    if len(others) > 1:
        undecided.append(
            (
                f"whether {best.ref} is {' or '.join(pick.form for pick in others)}",
                "look at a day above 12, and correct 'format' if it is wrong",
            )
        )
    return best


_DAY = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|(?:19|20)\d{6}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: ?[AaPp][Mm])?")


def _pairs(usable: Sequence[Shape]) -> Iterator[_Candidate]:
    """Yield columns of a date with columns of a time of day beside them, joined by a space."""
    days = [shape for shape in usable if shape.texts and all(map(_DAY.fullmatch, shape.texts))]
    clocks = [shape for shape in usable if shape.texts and all(map(_CLOCK.fullmatch, shape.texts))]
    for day in days:
        for clock in clocks:
            if day.path[:-1] != clock.path[:-1]:
                continue
            times = dict(zip(clock.rows, clock.texts, strict=True))
            both = [
                (row, f"{text} {times[row]}")
                for row, text in zip(day.rows, day.texts, strict=True)
                if row in times
            ]
            yield _Candidate(
                (day.path, clock.path), [row for row, _ in both], [text for _, text in both]
            )


def _rated(
    candidate: _Candidate, form: str, hours: Sequence[datetime | None]
) -> tuple[float, TimePick] | None:
    """Return how well values are the time of events, and the pick, or None where they are not."""
    name = candidate.paths[-1][-1]
    times = {
        row: time
        for row, value in zip(candidate.rows, candidate.values, strict=True)
        if (time := as_time(value, form)) is not None
    }
    share = len(times) / len(hours)
    if share < 0.5:
        return None
    near = [
        hour - timedelta(days=3) <= time <= hour + 2 * HOUR
        for row, time in times.items()
        if (hour := hours[row]) is not None
    ]
    rank = path_rank(candidate.paths[-1], _TIME)
    named = 2 - 0.03 * rank if rank is not None else _like_time(name)
    if form in _UNITS and named <= 0:
        return None  # any large number passes for a time
    if _NOT_TIME.search(folded(name)):
        named = min(named, 0.2)
    score = named + share - 0.3 * len(candidate.paths[-1])
    score += 3 * sum(near) / len(near) if near else 0
    why = f"{_UNITS.get(form, 'as written')}, in {len(times):,} of {len(hours):,} lines"
    if form == "iso":
        why = why.replace("as written", "ISO 8601", 1)
    is_local = lacks_offset([str(value) for value in candidate.values], form)
    if is_local:
        why += "; without an offset, so UTC"
    if bad := len(hours) - len(times):
        why += f"; {bad:,} without a time would be quarantined"
    elif near and sum(near) < len(near) / 2:
        why += "; most lie far from the hours in the names"
    return score, TimePick(candidate.paths, form, why, times, is_local)


_UNITS = {"epoch_s": "seconds", "epoch_ms": "milliseconds", "epoch_us": "microseconds"}


def _like_time(name: str) -> float:
    if re.search(r"time|date|stamp|tstamp|(^|_)(at|ts)$|[a-z](At|Ts)$", name):
        return 0.8
    return 0.0
