"""What must agree between the keys of one source file, and between source files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import combinations

from tidegate.durations import duration_text
from tidegate.nearest import hint
from tidegate.source.model import RESERVED_COLUMNS, Complete, FieldRef, Format, Source
from tidegate.source.paths import join_path, split_path
from tidegate.template import Template, may_share_files

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
    if form.type == "csv":
        yield from _flat_faults(users, form)
    elif form.type == "json":
        yield from _prefix_faults(users)
    yield from _case_faults(users)


def _flat_faults(users: Mapping[tuple[str, ...], list[str]], form: Format) -> Iterator[str]:
    names = form.header if isinstance(form.header, tuple) else None
    for path, keys in users.items():
        dotted = join_path(path)
        if len(path) > 1:
            yield (
                f"{keys[0]}: '{dotted}' is a nested path, but the columns of csv are flat; "
                f"for a column of that very name write `{dotted}` in backticks"
            )
        elif names is not None and path[0] not in names:
            yield f"{keys[0]}: no column '{path[0]}' in format.header; {hint(path[0], names)}"


def _prefix_faults(users: Mapping[tuple[str, ...], list[str]]) -> Iterator[str]:
    for long, keys in users.items():
        for cut in range(1, len(long)):
            short = long[:cut]
            if short in users:
                yield (
                    f"{keys[0]}: '{join_path(long)}' lies within '{join_path(short)}', which "
                    f"{users[short][0]} uses as a value; a path is either a value or a folder of "
                    f"others: "
                    f"in SQL, get_json_object(raw, '$.{'.'.join(short)}') gives the whole as text"
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
        if one.source != other.source and may_share_files(one.dumps, other.dumps):
            yield (
                f"{other.path.name}: dumps: {other.dumps.text!r} takes files that {one.path.name} "
                f"takes too, by {one.dumps.text!r}; a file belongs to one source"
            )
