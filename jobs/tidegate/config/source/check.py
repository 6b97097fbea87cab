"""What must agree between the keys of one source file, and between source files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import combinations

from tidegate.common.durations import duration_text
from tidegate.common.suggestions import hint
from tidegate.config.source.format import Format
from tidegate.config.source.model import (
    RESERVED_COLUMNS,
    Complete,
    PiiAction,
    Source,
)
from tidegate.config.source.name_patterns import matches_any
from tidegate.config.source.overlap import may_share_files
from tidegate.config.source.path_template import Template
from tidegate.config.source.paths import join_path, split_path
from tidegate.config.source.refs import Column, FieldRef, TimeRef
from tidegate.config.source.sql import RAW_LINE, bind_faults, reads_raw_line

_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,126}")


def column_name_faults(names: Iterable[object]) -> Iterator[str]:
    """Yield what is wrong with the names of columns."""
    for name in names:
        if not isinstance(name, str) or not _COLUMN.fullmatch(name):
            yield (
                f"columns.{name}: a column's name is small letters, digits and _, beginning with "
                f"a letter"
            )
        elif name in RESERVED_COLUMNS:
            tip = (
                "; set it under 'fields'" if name.startswith(("event_", "user_id", "anon")) else ""
            )
            yield f"columns.{name}: warehouse/events has a column of that name already{tip}"


def reference_faults(refs: Mapping[str, FieldRef], form: Format) -> Iterator[str]:
    """Yield references that can't be read from one line together, or that a header lacks."""
    users: dict[tuple[str, ...], list[str]] = {}
    for key, ref in refs.items():
        for path in sorted(ref.references()):
            users.setdefault(split_path(path), []).append(key)
    if form.is_flat:
        yield from _flat_faults(users, form)
    elif form.type == "json":
        yield from _prefix_faults(users)
    if form.type == "access_log":
        for key, ref in refs.items():
            plain = isinstance(ref, TimeRef) and ref.unit == "iso" and not (ref.format or ref.zone)
            if isinstance(ref, TimeRef) and ref.path == "time" and not plain:
                yield f"{key}: `time` of access_log is ISO 8601 already; leave out format, unit and zone"
    yield from _case_faults(users)


def expression_faults(refs: Mapping[str, FieldRef], others: Iterable[str]) -> Iterator[str]:
    """Yield expressions that DuckDB can't bind: functions, arguments and members that do not fit.

    Args:
        refs: references without a fault, by their keys.
        others: paths that are read beside them.
    """
    expressions = {key: ref.sql for key, ref in refs.items() if ref.sql is not None}
    paths = frozenset(others).union(*(ref.references() for ref in refs.values()))
    yield from bind_faults(expressions, paths)


def _flat_faults(users: Mapping[tuple[str, ...], list[str]], form: Format) -> Iterator[str]:
    of = "format.header" if form.type == "csv" else f"files of {form.type}"
    for path, keys in users.items():
        dotted = join_path(path)
        if len(path) > 1:
            yield (
                f"{keys[0]}: '{dotted}' is a nested path, but the columns of {form.type} are flat; "
                f"for a column of that very name write `{dotted}` in backticks"
            )
        elif form.names is not None and path[0] not in form.names:
            yield f"{keys[0]}: no column '{path[0]}' in {of}; {hint(path[0], form.names)}"


def _prefix_faults(users: Mapping[tuple[str, ...], list[str]]) -> Iterator[str]:
    for long, keys in users.items():
        for cut in range(1, len(long)):
            short = long[:cut]
            if short in users:
                yield (
                    f"{keys[0]}: '{join_path(long)}' lies within '{join_path(short)}', which "
                    f"{users[short][0]} uses as a value; a path is either a value or a folder of "
                    f"others: "
                    f"in SQL, json_extract_string(raw, '$.{'.'.join(short)}') gives the whole as text"
                )


def _case_faults(users: Mapping[tuple[str, ...], list[str]]) -> Iterator[str]:
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path, keys in users.items():
        for cut in range(1, len(path) + 1):
            head = path[:cut]
            other = seen.setdefault(tuple(n.casefold() for n in head), head)
            if other != head:
                yield (
                    f"{keys[0]}: '{join_path(head)}' and '{join_path(other)}' differ in case "
                    f"only, and Spark "
                    "can't tell them apart"
                )
                break


def pii_names_faults(
    pii: Mapping[str, PiiAction], refs: Mapping[str, FieldRef], form: Format
) -> Iterator[str]:
    """Yield paths of `pii` that csv can't have, or that Spark can't tell from another one."""
    users = {split_path(path): [f"pii.{path}"] for path in pii}
    if form.is_flat:
        yield from _flat_faults(users, form)
    read: dict[tuple[str, ...], list[str]] = {}
    for key, ref in refs.items():
        for path in sorted(ref.references()):
            read.setdefault(split_path(path), []).append(key)
    told = set(_case_faults(read))
    alone = {names: keys for names, keys in users.items() if names not in read}
    yield from (fault for fault in _case_faults({**read, **alone}) if fault not in told)


def pii_faults(
    pii: Mapping[str, PiiAction], refs: Mapping[str, FieldRef], form: Format
) -> Iterator[str]:
    """Yield what can't be done with personal data as `pii` says, or what would go around it."""
    if not pii:
        return
    named = {split_path(path): action for path, action in pii.items()}
    yield from _within_faults(named)
    if len(named) < len(pii):
        twice = [path for path in pii if join_path(split_path(path)) != path]
        yield f"pii.{twice[0]}: the path is given twice, spelled in two ways"
    for key, ref in refs.items():
        if ref.sql is not None and reads_raw_line(ref.sql):
            yield (
                f"{key}: reads the whole line ({RAW_LINE}), and with it what 'pii' is to keep out; name "
                f"the fields that it needs"
            )
        read = [split_path(path) for path in sorted(ref.references())]
        for names in read:
            yield from _whole_faults(key, names, named, form)
        yield from _needed_faults(key, ref, [_action(named, names) for names in read])
    for names, action in named.items():
        below = [
            (key, path)
            for key, ref in refs.items()
            for path in map(split_path, sorted(ref.references()))
            if len(path) > len(names) and path[: len(names)] == names
        ]
        if action == "keep" and below:
            key, path = below[0]
            yield (
                f"pii.{join_path(names)}: keep is for a value, and {key} uses '{join_path(names)}' as a "
                f"folder of '{join_path(path)}'; name the paths within it"
            )


def _within_faults(named: Mapping[tuple[str, ...], PiiAction]) -> Iterator[str]:
    for long in named:
        for cut in range(1, len(long)):
            if long[:cut] in named:
                yield (
                    f"pii.{join_path(long)}: it lies within '{join_path(long[:cut])}', which pii names too, "
                    f"with all below it; name one of the two"
                )


def _whole_faults(
    key: str,
    names: tuple[str, ...],
    named: Mapping[tuple[str, ...], PiiAction],
    form: Format,
) -> Iterator[str]:
    """Yield a value that is an object with personal data in it."""
    if form.is_flat:
        return
    for long, action in named.items():
        if len(long) > len(names) and long[: len(names)] == names:
            whole = join_path(names)
            yield (
                f"{key}: reads '{whole}' as a whole, and pii.{join_path(long)} ({action}) within it; read "
                f"the paths within '{whole}' that are wanted, or name '{whole}' itself in pii"
            )


def _needed_faults(key: str, ref: FieldRef, actions: list[PiiAction | None]) -> Iterator[str]:
    """Yield values that are of no use once they are hashed or dropped."""
    gone = [action for action in actions if action in ("hash", "drop")]
    all_dropped = bool(actions) and all(action == "drop" for action in actions)
    if key in ("fields.event_time", "sequence.number") and gone:
        what = (
            "every event needs its time" if key == "fields.event_time" else "it has to be a number"
        )
        yield f"{key}: pii says {gone[0]} of what it reads, but {what}; keep it"
    elif key in ("fields.event_id", "sequence.producer") and all_dropped:
        what = (
            "no line would be an event without its id"
            if key == "fields.event_id"
            else "without it nothing is numbered"
        )
        yield f"{key}: pii says drop of what it reads, but {what}; hash it, or keep it"
    elif isinstance(ref, Column) and ref.paths is not None and gone:
        yield f"{key}: pii says {gone[0]} of what it reads, but a time needs all of its paths; keep them"
    elif (
        isinstance(ref, Column)
        and ref.path is not None
        and ref.type != "string"
        and "hash" in actions
    ):
        yield (
            f"{key}: its type is {ref.type}, but pii says hash of '{ref.path}', and a hash is text; "
            f"let its type be string, or drop or keep it"
        )


def _action(named: Mapping[tuple[str, ...], PiiAction], names: tuple[str, ...]) -> PiiAction | None:
    return next((action for of, action in named.items() if names[: len(of)] == of), None)


def complete_faults(complete: Complete, dumps: Template) -> Iterator[str]:
    """Yield a marker or manifest that would be the same file for different hours."""
    named = complete.named()
    if named is None or dumps.folder_names_hour or named.names_hour():
        return
    key = "marker" if complete.marker is not None else "manifest"
    yield (
        f"complete.{key}: '{named.text}' would be the same file for every hour of a folder, as "
        f"all of {dumps.text!r} "
        f"lie in one folder; name the hour in it, such as {{dump_hour:%Y-%m-%dT%H}}{named.text}"
    )


def fresh_faults(fresh: timedelta, complete: Complete) -> Iterator[str]:
    """Yield a promise that can't be kept, since a dump has to be quiet for longer than that."""
    if complete.after is not None and fresh <= complete.after:
        after = duration_text(complete.after)
        yield (
            f"fresh: expected more than {after}, for which a dump must be quiet before it is landed "
            f"(complete: {{after: {after}}}), got {duration_text(fresh)}"
        )


def between_faults(sources: Iterable[Source]) -> Iterator[str]:
    """Yield what sources that share one warehouse disagree on: names, files, and types of columns."""
    sources = list(sources)
    names: dict[str, Source] = {}
    types: dict[str, tuple[str, Source]] = {}
    for source in sources:
        other = names.setdefault(source.source, source)
        if other is not source:
            where = source.path.name
            yield f"{where}: source '{source.source}' is described by {other.path.name} too"
        for name, column in source.columns.items():
            kind, first = types.setdefault(name, (column.type, source))
            if kind != column.type:
                yield (
                    f"{source.path.name}: columns.{name} is {column.type}, but {kind} in "
                    f"{first.path.name}; "
                    "the sources share the table warehouse/events"
                )
    for one, other in combinations(sources, 2):
        if one.source != other.source and share_files(one, other):
            yield (
                f"{other.path.name}: dumps: {other.dumps.text!r} takes files that {one.path.name} "
                f"takes too, by {one.dumps.text!r}; a file belongs to one source"
            )


def share_files(one: Source, other: Source) -> bool:
    """Return whether there are files that two sources would take, and that neither excludes."""
    is_apart = _is_left_out(one, other) or _is_left_out(other, one)
    return not is_apart and may_share_files(one.dumps, other.dumps)


def _is_left_out(inner: Source, outer: Source) -> bool:
    """Return whether what one source takes lies below another's folder, and is excluded there."""
    hour = outer.since
    taken = inner.dumps.pattern(hour) + ("*" if inner.dumps.is_deep else "")
    folder = outer.dumps.pattern(hour).rpartition("/")[0] + "/"
    return taken.startswith(folder) and matches_any(outer.exclude, taken, folder)
