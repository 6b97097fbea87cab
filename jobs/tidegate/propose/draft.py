"""The proposal: everything that samples say, as the text of a source file with comments. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any

from tidegate.common.durations import duration_text
from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, floor_hour, hour_text
from tidegate.common.text_output import visible
from tidegate.config.source import Format, join_path
from tidegate.propose import page
from tidegate.propose.columns import Columns, guess_columns, usable_shapes
from tidegate.propose.event_time import TimePick
from tidegate.propose.exports import Export, known_export
from tidegate.propose.fields import Picked, pick_fields
from tidegate.propose.names import Named, guess_names
from tidegate.propose.read import Sampled
from tidegate.propose.shape import Path, Shape, shapes
from tidegate.propose.source_name import free_name, guess_source

_LATE = timedelta(days=3)
_FUTURE = timedelta(hours=1)
_FARTHEST = timedelta(days=90)
_MOST = timedelta(days=3650)


@dataclass(frozen=True)
class Proposal:
    """A proposed source file.

    Attributes:
        source: the name of the source.
        dumps: the template of its dumps.
        lines: of the file, but for the comments above.
        first: the first hour of the samples.
        last: the last one.
        hours: the dump hour of each file that was read, by URI.
        is_located: whether their names tell where an hour's dump is.
        read: what was read, in words.
        summary: what was guessed, a line each.
        warnings: what a human has to look at.
        undecided: what could not be decided, and what to do next.
    """

    source: str
    dumps: str
    lines: tuple[str, ...]
    first: datetime
    last: datetime
    hours: Mapping[str, datetime]
    is_located: bool
    read: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    undecided: tuple[tuple[str, str], ...]

    def text(self, landed: str) -> str:
        """Return the text of the file.

        Args:
            landed: what became of the samples.
        """
        told = (
            f"Proposed by `tidegate init` from {self.read}. Landed by this file: {landed}.",
            "A guess: read it, correct it, then `tidegate check`. Comments say what was seen.",
        )
        return "\n".join([*page.head(told, self.warnings, self.undecided), *self.lines]) + "\n"


@dataclass(frozen=True)
class _Accept:
    late: timedelta
    future: timedelta
    why: str
    notes: tuple[str, ...]
    undecided: tuple[tuple[str, str], ...] = ()


def propose(
    sampled: Sampled,
    folder: FilePath,
    *,
    name: str | None = None,
    known_sources: Sequence[str] = (),
    known_columns: Mapping[str, str] | None = None,
) -> Proposal:
    """Return a source file for samples.

    Args:
        sampled: what was read of them.
        folder: that the file will lie in; local dumps below it are named relative to it.
        name: of the source; guessed from where the samples are unless given.
        known_sources: names that are taken.
        known_columns: types of the columns of other sources, by name.

    Raises:
        TidegateError: neither a field nor the names of the files look like a time.
    """
    records = [record.values for record in sampled.records]
    found = shapes(records)
    uris = [file.uri for file in sampled.files]
    export = known_export(found, uris)
    named = guess_names(uris, folder, unpadded=export is not None and export.short_hours)
    hours = [named.hours.get(record.uri) for record in sampled.records]
    usable, odd = usable_shapes(found)
    picked = pick_fields(usable, [record.identity for record in sampled.records], hours, export)
    when = picked.event_time
    if when is None:
        raise _no_time(sampled, found)
    source = name or free_name(guess_source(named.template, folder), known_sources)
    columns = guess_columns(
        usable,
        picked.paths(),
        len(records),
        is_text=sampled.form.is_flat,
        taken=known_columns or {},
        source=source,
    )
    columns = replace(columns, others={**columns.others, **odd})
    accept = _accept(when, hours)
    moments = sorted(when.times.values())
    first = min(named.hours.values(), default=floor_hour(moments[len(moments) // 100]))
    last = max(named.hours.values(), default=floor_hour(moments[-1 - len(moments) // 100]))
    complete, complete_why = _complete(sampled, named)
    warnings = [
        *(named.notes if named.is_guessed else ()),
        *sampled.notes,
        *picked.notes,
        *accept.notes,
    ]
    if sampled.broken:
        warnings.append(
            f"{sampled.broken:,} of {sampled.lines:,} lines are not {sampled.form.type} and would be "
            f"quarantined; the first: {sampled.first_broken}"
        )
    undecided = [*sampled.undecided, *picked.undecided, *accept.undecided]
    if not named.is_guessed:
        layout = export.layout if export is not None else ""
        what = "where an hour's files are, since their names tell no hour: 'dumps' is made up"
        undecided.insert(0, (what, layout or "write the template of their names"))
    elif named.remark and (export is None or not export.short_hours):
        undecided.append(("how an hour below ten is written in the names", f"write {named.remark}"))
    exclude = sampled.exclude[0] if len(sampled.exclude) == 1 else list(sampled.exclude)
    lines = [
        page.line(f"source: {page.flow(source)}", f"looks like {export.name}" if export else ""),
        page.line(f"since: {hour_text(first)}", "the first hour of the samples"),
        page.line(f"dumps: {page.flow(named.template)}", _told_names(named, sampled)),
    ]
    if exclude:
        lines.append(
            page.line(f"exclude: {page.flow(exclude)}", "keys and headers beside the events")
        )
    lines += [
        page.line(f"format: {page.flow(_format(sampled.form))}", _told_format(sampled.form)),
        page.line(f"complete: {page.flow(complete)}", complete_why),
        *page.fields(picked),
        *page.columns(columns),
        *page.possible(picked, export, found),
        page.line(
            f"accept: {{late: {duration_text(accept.late)}, "
            f"future: {duration_text(accept.future)}}}",
            accept.why,
        ),
    ]
    return Proposal(
        source,
        named.template,
        tuple(lines),
        first,
        last,
        _hours_read(sampled, named, when.times),
        named.is_guessed,
        _read(sampled),
        tuple(_summary(sampled, picked, columns, export)),
        tuple(warnings),
        tuple(undecided),
    )


def _hours_read(
    sampled: Sampled, named: Named, times: Mapping[int, datetime]
) -> dict[str, datetime]:
    """Return the hour of each file that was read: by its name, or else that of its latest event."""
    latest: dict[str, datetime] = {}
    for row, time in times.items():
        uri = sampled.records[row].uri
        latest[uri] = max(time, latest.get(uri, time))
    usual = max(latest.values())
    return {
        file.uri: named.hours.get(file.uri) or floor_hour(latest.get(file.uri, usual))
        for _, file in sampled.read
    }


def _no_time(sampled: Sampled, found: Mapping[Path, Shape]) -> TidegateError:
    paths = [join_path(path) for path, shape in found.items() if shape.values][:20]
    return TidegateError(
        "no field of the samples looks like a time",
        where=sampled.files[0].uri,
        expected="a field with a time in at least half of the lines, or names of files with an hour in them",
        got=visible(", ".join(paths)) or "lines without any field",
        todo="write the source file by hand, such as event_time: {path: field, format: '%d.%m.%Y %H:%M'}, "
        "or put the samples into folders of their hours",
    )


def _accept(when: TimePick, hours: Sequence[datetime | None]) -> _Accept:
    """Return how far events may lie from their dump hour, so that those of the samples fit."""
    early: list[timedelta] = []
    ahead: list[timedelta] = []
    for row, time in when.times.items():
        hour = hours[row]
        if hour is not None:
            early.append(hour - time)
            ahead.append(time - hour - HOUR)
    if not early:
        return _Accept(_LATE, _FUTURE, "the default: no name tells the hour of its events", ())
    late, left_late = _reach(early, _LATE, timedelta(days=1))
    future, left_future = _reach(ahead, _FUTURE, HOUR)
    notes = []
    middle = sorted(early)[len(early) // 2]
    undecided = []
    if when.is_local and abs(middle) > HOUR:
        undecided.append(_zone(when, middle))
    elif middle > 2 * HOUR or middle < -2 * HOUR:
        way = "before" if middle > timedelta(0) else "after"
        notes.append(
            f"half of the events lie {duration_text(abs(middle))} or more {way} the hour in the "
            "name of their file: the hours in the names may be of another time zone, or not those "
            "of arrival"
        )
    if left_late or left_future:
        notes.append(
            f"{left_late + left_future:,} events lie so far from their hour that they would be "
            "quarantined; widen 'accept' if they are right"
        )
    inside = max((gap for gap in early if gap <= late), default=timedelta(0))
    earliest = duration_text(max(inside, timedelta(0)))
    why = f"the earliest event of the samples lies {earliest} before its hour"
    if (late, future) == (_LATE, _FUTURE):
        why = "the default; " + why
    return _Accept(late, future, why, tuple(notes), tuple(undecided))


def _zone(when: TimePick, middle: timedelta) -> tuple[str, str]:
    way = "before" if middle > timedelta(0) else "after"
    return (
        f"which time zone {', '.join(map(join_path, when.paths))} is in: it is read as UTC, and then half of the "
        f"events lie {duration_text(abs(middle))} or more {way} the start of their hour",
        "if it is local time, write event_time: {path: …, zone: Europe/Berlin} with its zone",
    )


def _reach(gaps: Sequence[timedelta], least: timedelta, step: timedelta) -> tuple[timedelta, int]:
    """Return a bound that takes all gaps but the absurd, and how many it leaves out.

    Beyond `_FARTHEST` only what is more than one in a hundred counts: a clock that was never set says 1970.
    Beyond `_MOST` nothing does.
    """
    inside = [gap for gap in gaps if gap <= _FARTHEST]
    if len(gaps) - len(inside) > len(gaps) / 100:
        inside = [gap for gap in gaps if gap <= _MOST]
    farthest = max(inside, default=least)
    bound = least if farthest <= least else -(-farthest // step) * step
    return bound, sum(gap > bound for gap in gaps)


def _complete(sampled: Sampled, named: Named) -> tuple[dict[str, Any], str]:
    """Return how an hour's completeness is told, by what lies beside the files."""
    default = {"after": "10m"}, "no marker or manifest beside the samples: quiet for so long"
    if not named.is_guessed:
        return default
    folders = Counter(PurePosixPath(file.uri).parent for file in sampled.files)
    names = Counter(
        PurePosixPath(file.uri).name
        for file in sampled.beside
        if PurePosixPath(file.uri).parent in folders
    )
    placeholder = named.template.rpartition("/")[0]
    for name, count in names.most_common():
        folded = name.casefold()
        is_manifest = "manifest" in folded
        if not is_manifest and not any(sign in folded for sign in ("success", "done", "complete")):
            continue
        # One name for the hours of a folder tells nothing of any of them.
        if "%H" not in placeholder and "%-H" not in placeholder:
            return default[0], f"{name} lies beside the files of several hours, so it can't tell"
        if count * 2 < len(folders) or any(sign in name for sign in "{}*"):
            continue
        told = f"beside the files of {count} of {len(folders)} hours"
        return {"manifest" if is_manifest else "marker": name}, told
    return default


def _format(form: Format) -> str | dict[str, Any]:
    """Return a format as a source file writes it."""
    said = form.model_dump(mode="json", exclude_defaults=True)
    if form.type == "csv":
        said = {
            **form.model_dump(mode="json", include={"type", "delimiter", "header", "quote"}),
            **said,
        }
    return {"type": form.type, **said} if set(said) - {"type"} else form.type


def _told_format(form: Format) -> str:
    if form.type != "csv":
        return ""
    if isinstance(form.header, tuple):
        return f"{len(form.header)} columns, which have no names in the files"
    return "columns are named by the first line" if form.header else "columns have no names"


def _told_names(named: Named, sampled: Sampled) -> str:
    if not named.is_guessed:
        return "MADE UP: the names of the samples tell no hour"
    hours = len(set(named.hours.values()))
    told = f"{_count(len(sampled.files), 'file')}, {_count(hours, 'hour')}"
    return f"{told}; {named.remark}" if named.remark else told


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _read(sampled: Sampled) -> str:
    part = "all" if sampled.whole else "the first"
    what = "rows" if sampled.form.type in ("parquet", "avro") else "lines"
    return f"{part} {sampled.lines:,} {what} of {_count(len(sampled.read), 'file')}"


def _summary(
    sampled: Sampled, picked: Picked, columns: Columns, export: Export | None
) -> list[str]:
    fields = [
        f"{name}: {visible(join_path(pick.path))}"
        for name in ("event_id", "event_type", "user_id", "anonymous_id")
        if (pick := getattr(picked, name)) is not None
    ]
    if picked.event_time is not None:
        fields.insert(0, f"event_time: {visible(page.flow(picked.event_time.ref))}")
    listed, read = len(sampled.files), len(sampled.read)
    return [
        f"read {_count(sampled.lines, 'line')} of {_count(read, 'file')}"
        + (f" ({listed:,} listed)" if listed != read else "")
        + (f"; looks like {export.name}" if export is not None else ""),
        ", ".join(fields),
        _count(len(columns.columns), "column")
        + (f", {len(columns.others):,} other paths in a comment" if columns.others else ""),
    ]
