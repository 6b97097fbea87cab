"""The proposal: everything that samples say, as the text of a source file with comments. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any

import yaml
from yaml.reader import Reader

from tidegate.durations import duration_text
from tidegate.errors import TidegateError
from tidegate.hours import HOUR, floor_hour, hour_text
from tidegate.propose.columns import Columns, guess_columns, usable_shapes
from tidegate.propose.fields import Pick, Picked, pick_fields
from tidegate.propose.names import Named, free_name, guess_names, guess_source
from tidegate.propose.read import Sampled
from tidegate.propose.shape import Path, Shape, shapes
from tidegate.rendering import clipped, visible
from tidegate.source import join_path

_LATE = timedelta(days=3)
_FUTURE = timedelta(hours=1)
_FARTHEST = timedelta(days=90)
_OTHERS = 40
_REASONS = 40
_COMMENT_AT = 46
_WIDE = 200


@dataclass(frozen=True)
class Proposal:
    """A proposed source file.

    Attributes:
        source: the name of the source.
        dumps: the template of its dumps.
        text: of the file.
        first: the first hour of the samples.
        last: the last one.
        is_located: whether their names tell where an hour's dump is.
        summary: what was guessed, a line each.
        warnings: what a human has to look at.
    """

    source: str
    dumps: str
    text: str
    first: datetime
    last: datetime
    is_located: bool
    summary: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Accept:
    late: timedelta
    future: timedelta
    why: str
    notes: tuple[str, ...]


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
        TidegateError: no field looks like a time.
    """
    records = [record.values for record in sampled.records]
    found = shapes(records)
    uris = [file.uri for file in sampled.files]
    named = guess_names(uris, folder, unpadded=_is_github(found))
    hours = [named.hours.get(record.uri) for record in sampled.records]
    usable, odd = usable_shapes(found)
    picked = pick_fields(usable, [record.identity for record in sampled.records], hours)
    if picked.event_time is None:
        raise _no_time(sampled, found)
    source = name or free_name(guess_source(named.template, folder), known_sources)
    columns = guess_columns(
        usable,
        picked.paths(),
        len(records),
        is_text=sampled.kind == "csv",
        taken=known_columns or {},
        source=source,
    )
    columns = replace(columns, others={**columns.others, **odd})
    times = _times(usable[picked.event_time.path], picked.event_time.unit)
    accept = _accept(times, hours)
    moments = sorted(times.values())
    first = min(named.hours.values(), default=floor_hour(moments[len(moments) // 100]))
    last = max(named.hours.values(), default=floor_hour(moments[-1 - len(moments) // 100]))
    complete, complete_why = _complete(sampled, named)
    warnings = [*named.notes, *sampled.notes, *picked.notes, *accept.notes]
    if sampled.broken:
        warnings.append(
            f"{sampled.broken:,} of {sampled.lines:,} lines are no {sampled.kind} and would be "
            f"quarantined; the first: {sampled.first_broken}"
        )
    lines = [
        *_head(sampled, warnings),
        _line(f"source: {_flow(source)}", ""),
        _line(f"since: {hour_text(first)}", "the first hour of the samples"),
        _line(f"dumps: {_flow(named.template)}", _told_names(named, sampled)),
        _line(f"format: {_flow(_format(sampled))}", _told_format(sampled)),
        _line(f"complete: {_flow(complete)}", complete_why),
        *_fields(picked),
        *_columns(columns),
        *_others(columns.others),
        *_possible(picked),
        _line(
            f"accept: {{late: {duration_text(accept.late)}, "
            f"future: {duration_text(accept.future)}}}",
            accept.why,
        ),
    ]
    return Proposal(
        source,
        named.template,
        "\n".join(lines) + "\n",
        first,
        last,
        named.is_guessed,
        tuple(_summary(sampled, picked, columns)),
        tuple(warnings),
    )


def _is_github(found: Mapping[Path, Shape]) -> bool:
    """Return whether these are GH Archive's events: its hours have no leading zero, and many have none."""
    return all((name,) in found for name in ("actor", "repo", "payload", "created_at", "type"))


def _no_time(sampled: Sampled, found: Mapping[Path, Shape]) -> TidegateError:
    paths = [join_path(path) for path, shape in found.items() if shape.values][:20]
    return TidegateError(
        "no field of the samples looks like a time",
        where=sampled.files[0].uri,
        expected="a field with ISO 8601 text, or seconds, milli- or microseconds since 1970, in at "
        "least half of the lines",
        got=visible(", ".join(paths)) or "lines without any field",
        todo="write the source file by hand; another form of time is read by "
        'event_time: {path: field, format: "%d.%m.%Y %H:%M"}',
    )


def _times(shape: Shape, unit: str) -> dict[int, datetime]:
    """Return the time of each record that has one, by its number."""
    told, times = shape.times
    assert told == unit
    return {row: time for row, time in zip(shape.rows, times, strict=True) if time is not None}


def _accept(times: Mapping[int, datetime], hours: Sequence[datetime | None]) -> _Accept:
    """Return how far events may lie from their dump hour, so that those of the samples fit."""
    early: list[timedelta] = []
    ahead: list[timedelta] = []
    for row, time in times.items():
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
    if middle > 2 * HOUR or middle < -2 * HOUR:
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
    return _Accept(late, future, why, tuple(notes))


def _reach(gaps: Sequence[timedelta], least: timedelta, step: timedelta) -> tuple[timedelta, int]:
    """Return a bound that takes all gaps but the absurd, and how many it leaves out.

    Beyond `_FARTHEST` only what is more than one in a hundred counts: a clock that was never set says 1970.
    """
    inside = [gap for gap in gaps if gap <= _FARTHEST]
    if len(gaps) - len(inside) > len(gaps) / 100:
        inside = list(gaps)
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


def _format(sampled: Sampled) -> str | dict[str, Any]:
    dialect = sampled.dialect
    if dialect is None:
        return sampled.kind
    return {
        "type": "csv",
        "delimiter": dialect.delimiter,
        "header": list(dialect.names) if dialect.are_known else dialect.header,
        "quote": dialect.quote,
    }


def _told_format(sampled: Sampled) -> str:
    if sampled.dialect is None:
        return ""
    columns = len(sampled.dialect.names)
    named = "named by the first line" if sampled.dialect.header else "without names"
    if sampled.dialect.are_known:
        named = "those of Snowplow's enriched events"
    return f"{columns} columns, {named}"


def _told_names(named: Named, sampled: Sampled) -> str:
    if not named.is_guessed:
        return "MADE UP: the names of the samples tell no hour"
    hours = len(set(named.hours.values()))
    told = f"{_count(len(sampled.files), 'file')}, {_count(hours, 'hour')}"
    return f"{told}; {named.remark}" if named.remark else told


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# -- text ------------------------------------------------------------------------------------------


def _head(sampled: Sampled, warnings: Sequence[str]) -> list[str]:
    part = "all" if sampled.whole else "the first"
    what = "rows" if sampled.kind == "parquet" else "lines"
    lines = [
        f"# Proposed by `tidegate init` from {part} {sampled.lines:,} {what} of "
        f"{_count(sampled.read, 'file')}.",
        "# A guess: read it, mend it, then `tidegate check`. Comments say what was seen.",
    ]
    return lines + [f"# LOOK: {_comment(text)}" for text in warnings]


def _fields(picked: Picked) -> list[str]:
    lines = ["fields:"]
    for name in ("event_id", "event_time", "event_type", "user_id", "anonymous_id"):
        pick: Pick | None = getattr(picked, name)
        if pick is not None:
            said: Any = join_path(pick.path)
            if pick.unit != "iso":
                said = {"path": said, "unit": pick.unit}
            lines.append(_line(f"  {name}: {_flow(said)}", pick.why))
        elif name == "event_id":
            lines.append("  # event_id: none was found, so ids are made of file and line")
    return lines


def _columns(columns: Columns) -> list[str]:
    if not columns.columns:
        return []
    lines = ["columns:"]
    for each in columns.columns:
        said = _flow({**each.ref, "type": each.type})
        lines.append(_line(f"  {_flow(each.name)}: {said}", each.why))
    return lines


def _others(others: Mapping[Path, str]) -> list[str]:
    """Return comments on the paths that are no columns; `properties` has them."""
    if not others:
        return []
    reasons: dict[str, list[str]] = {}
    for path, why in others.items():
        reasons.setdefault(why, []).append(clipped(".".join(path), 60))
    lines = ["# Not columns; `properties` has them, as it has the whole event:"]
    for why, paths in list(reasons.items())[:_REASONS]:
        more = f" and {len(paths) - _OTHERS} more" if len(paths) > _OTHERS else ""
        told = _comment(f"{why}: {', '.join(paths[:_OTHERS])}{more}", 1 << 12)
        lines += textwrap.wrap(
            told, 100, initial_indent="#   ", subsequent_indent="#     ", break_on_hyphens=False
        )
    if len(reasons) > _REASONS:
        lines.append(f"#   and {len(reasons) - _REASONS} more")
    return lines


def _possible(picked: Picked) -> list[str]:
    """Return comments on keys that the source could have, too."""
    lines = []
    if picked.session_id is not None:
        said = _flow({"id": join_path(picked.session_id)})
        lines.append(f"# sessions: {said}    # the source's own, instead of pauses")
    if picked.sequence is not None:
        producer, number, why = picked.sequence
        said = _flow({"producer": join_path(producer), "number": join_path(number)})
        lines.append(f"# sequence: {said}    # {_comment(why)}: what is missing could be told")
    return lines


def _flow(value: object) -> str:
    """Return a value as YAML within a line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _line(text: str, comment: str) -> str:
    if not comment:
        return text
    return f"{text:<{_COMMENT_AT}}  # {_comment(comment)}"


def _comment(text: str, width: int = _WIDE) -> str:
    """Return text that may stand in a comment: a control character in one is no YAML."""
    return Reader.NON_PRINTABLE.sub("?", clipped(text, width))


def _summary(sampled: Sampled, picked: Picked, columns: Columns) -> list[str]:
    fields = [
        f"{name}: {visible(join_path(pick.path))}"
        for name in ("event_id", "event_time", "event_type", "user_id", "anonymous_id")
        if (pick := getattr(picked, name)) is not None
    ]
    return [
        f"read {_count(sampled.lines, 'line')} of {_count(sampled.read, 'file')}"
        + (f" ({len(sampled.files):,} listed)" if len(sampled.files) != sampled.read else ""),
        ", ".join(fields),
        _count(len(columns.columns), "column")
        + (f", {len(columns.others):,} other paths in a comment" if columns.others else ""),
    ]
