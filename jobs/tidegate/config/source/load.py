"""Reading source files, with every fault of a file told at once."""

from __future__ import annotations

import contextlib
import types
import typing
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegate.common.durations import parse_duration
from tidegate.common.errors import SourceError, TidegateError
from tidegate.common.suggestions import hint, nearest
from tidegate.common.yaml_strict import read_yaml
from tidegate.config.source.base import shown
from tidegate.config.source.check import (
    between_faults,
    column_name_faults,
    complete_faults,
    expression_faults,
    fresh_faults,
    pii_faults,
    pii_names_faults,
    reference_faults,
)
from tidegate.config.source.format import Format
from tidegate.config.source.model import (
    COMPLETE,
    Complete,
    Fields,
    PiiAction,
    Sequence,
    Source,
)
from tidegate.config.source.path_template import Template, TemplateError, parse_template
from tidegate.config.source.paths import split_path
from tidegate.config.source.refs import Column, FieldRef, TimeRef

M = TypeVar("M", bound=BaseModel)
SUFFIXES = (".yml", ".yaml")
_NO_KEYS = ("path", "pii_key")
"""What a source has, but its file doesn't say."""


def load_source(path: Path) -> Source:
    """Return the source that a file describes.

    Raises:
        SourceError: the file is wrong; every fault of it at once.

    """
    return parse_source(read_yaml(path), path)


def parse_source(data: dict[str, Any], path: Path) -> Source:
    """Return the source that YAML data describes.

    Args:
        data: what the file holds.
        path: the file it was read from; relative dumps are counted from its folder.

    Raises:
        SourceError: it is wrong; every fault at once.

    """
    faults = [
        _unknown(key, ()) if key in _NO_KEYS else f"unknown key {key!r}; keys are text"
        for key in data
        if key in _NO_KEYS or not isinstance(key, str)
    ]
    known = {
        key: value for key, value in data.items() if isinstance(key, str) and key not in _NO_KEYS
    }
    form = _part(Format, known.get("format", "json"))
    if form is not None and form.type == "access_log":
        known["fields"] = _with_time(known.get("fields", {}))
    source = None
    try:
        source = Source.model_validate({**known, "path": path}, context={"path": path})
    except ValidationError as error:
        faults += [fault for details in error.errors() for fault in _faults(details)]
    faults += _agreement_faults(known, path)
    if faults or source is None:
        raise SourceError(str(path), list(dict.fromkeys(faults)))
    return source


def load_sources(folder: Path) -> list[Source]:
    """Return the sources of a folder, by name.

    Raises:
        SourceError: a file is wrong, or two disagree; every fault of every file at once.
        TidegateError: there is no such folder.

    """
    sources, faults = readable_sources(folder)
    if faults:
        raise SourceError(str(folder), faults)
    return sources


def readable_sources(folder: Path) -> tuple[list[Source], list[str]]:
    """Return the sources of a folder whose files are right, by name, and the faults of all files.

    A fault of one file is no reason to leave the others. Of two files that describe one source neither
    is returned: it is not known which is meant.

    Raises:
        TidegateError: there is no such folder.

    """
    sources: list[Source] = []
    faults: list[str] = []
    for path in source_files(folder):
        try:
            sources.append(load_source(path))
        except SourceError as error:
            faults += [f"{path.name}: {fault}" for fault in error.faults]
    faults += between_faults(sources)
    names = Counter(source.source for source in sources)
    right = [source for source in sources if names[source.source] == 1]
    return sorted(right, key=lambda source: source.source), faults


def source_files(folder: Path) -> list[Path]:
    """Return the source files of a folder, by name.

    Raises:
        TidegateError: there is no such folder.

    """
    if not folder.is_dir():
        raise TidegateError(
            "no folder of source files",
            where=str(folder),
            expected="a folder with a YAML file a source",
            todo="make it, or set TIDEGATE_PROJECT to the folder that holds dags/sources",
        )
    return sorted(
        p for p in folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")
    )


def find_source(name_or_path: str, folder: Path) -> Source:
    """Return a source by its name in `folder`, or by the path of its file.

    Only the files that name the source are checked: a fault in a sibling is no reason to stop.

    Raises:
        SourceError: its file is wrong.
        TidegateError: there is no such source, or two files describe it.

    """
    path = Path(name_or_path)
    if path.suffix in SUFFIXES or "/" in name_or_path:
        if not path.is_file():
            raise TidegateError(
                "no such source file",
                where=str(path.resolve()),
                expected="the path of a source file, or the name of a source",
                todo=f"look into {folder}",
            )
        return load_source(path)
    files = source_files(folder)
    # Every task asks: of a hundred files only those are parsed that can be meant.
    likely = [file for file in files if _may_name(file, name_or_path)]
    found = [file for file in likely if _name_in(file) == name_or_path]
    if len(found) > 1:
        raise TidegateError(
            f"two files describe the source '{name_or_path}'",
            where=", ".join(str(file) for file in found),
            expected="one file a source",
            todo="remove or rename one",
        )
    if not found:
        names = {_name_in(file) for file in files}
        near = nearest(name_or_path, names)
        meant = f"; did you mean '{near}'?" if near else ""
        raise TidegateError(
            f"no source named '{name_or_path}'",
            where=str(folder),
            expected=f"one of: {', '.join(sorted(names)) or '(there is none yet)'}",
            got=f"'{name_or_path}'{meant}",
            todo="use one of these names, or give the path of a source file",
        )
    return load_source(found[0])


def source_name(path: str) -> str | None:
    """Return the name that a source file gives its source; None if the text is no path of a file."""
    file = Path(path)
    if not (file.suffix in SUFFIXES or "/" in path) or not file.is_file():
        return None
    return _name_in(file)


def _may_name(file: Path, name: str) -> bool:
    """Return whether a file may be the one of a source, by its own name and the bytes in it."""
    if file.stem == name:
        return True
    try:
        return name.encode() in file.read_bytes()
    except OSError:  # it counts as named after its file
        return False


def _name_in(file: Path) -> str:
    """Return the name a file gives its source.

    One that can't be read counts as named after its file, so that it is found, and its fault told.
    """
    try:
        name = read_yaml(file).get("source")
    except SourceError:
        name = None
    return name if isinstance(name, str) else file.stem


def _agreement_faults(data: dict[str, Any], path: Path) -> Iterator[str]:
    """Yield what does not agree between keys, among those parts that are well-formed."""
    columns = data.get("columns")
    if isinstance(columns, dict):
        yield from column_name_faults(columns)
    form = _part(Format, data.get("format", "json"))
    refs = dict(_refs(data))
    if form is not None:
        pii = _pii(data.get("pii"))
        faults = [
            *reference_faults(refs, form),
            *pii_names_faults(pii, refs, form),
            *pii_faults(pii, refs, form),
        ]
        # Of paths that can't be read together there is no line over which an expression could be bound.
        yield from faults or expression_faults(refs, pii)
    complete = _part(Complete, data.get("complete"))
    dumps = _dumps(data.get("dumps"), path)
    if complete is not None and dumps is not None:
        yield from complete_faults(complete, dumps)
    fresh = _fresh(data.get("fresh"))
    complete = COMPLETE if "complete" not in data else complete
    if fresh is not None and complete is not None:
        yield from fresh_faults(fresh, complete)


def _with_time(fields: Any) -> Any:
    """Return the fields of an access log, whose lines have one time only."""
    return {"event_time": "time", **fields} if isinstance(fields, dict) else fields


def _pii(value: object) -> dict[str, PiiAction]:
    """Return those of the paths that are well-formed, with what is done with each."""
    found = {}
    for path, action in value.items() if isinstance(value, dict) else ():
        if isinstance(path, str) and action in typing.get_args(PiiAction):
            with contextlib.suppress(ValueError):  # told as a fault of the key itself
                split_path(path)
                found[path] = action
    return found


def _fresh(value: object) -> timedelta | None:
    try:
        return parse_duration(value) if value is not None else None
    except ValueError:  # told as a fault of the key itself
        return None


def _dumps(value: object, path: Path) -> Template | None:
    try:
        return parse_template(value, path.resolve().parent) if isinstance(value, str) else None
    except TemplateError:
        return None


def _refs(data: dict[str, Any]) -> Iterator[tuple[str, FieldRef]]:
    kinds: dict[str, type[FieldRef]] = dict.fromkeys(Fields.model_fields, FieldRef)
    kinds["event_time"] = TimeRef
    sections: tuple[tuple[str, Any], ...] = (
        ("fields", kinds),
        ("columns", None),
        ("sessions", {"id": FieldRef}),
        ("sequence", dict.fromkeys(Sequence.model_fields, FieldRef)),
    )
    for section, known in sections:
        values = data.get(section)
        if not isinstance(values, dict):
            continue
        for key, value in values.items():
            kind = Column if known is None else known.get(key)
            ref = _part(kind, value) if kind is not None and value is not None else None
            if ref is not None:
                yield f"{section}.{key}", ref


def _part(kind: type[M], value: object) -> M | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None


def _faults(details: ErrorDetails) -> Iterator[str]:
    """Yield one of pydantic's errors in the words of a source file."""
    loc = tuple(str(part) for part in details["loc"])
    at = ".".join(loc)
    kind = details["type"]
    if kind == "extra_forbidden":
        yield _unknown(loc[-1], loc[:-1]) + _torn(details["input"])
    elif kind == "missing":
        example = {
            "source": "the name of the source",
            "since": "the first dump hour, such as 2015-01-01T00",
            "dumps": "the template of the dumps",
            "fields": "which part of a line is what, at least event_time",
            "fields.event_time": "where an event's time is",
            "sequence.producer": "who numbered the event",
            "sequence.number": "the number that its producer gave the event",
        }
        yield f"{at} is missing{': ' + example[at] if at in example else ''}"
    elif kind == "value_error":
        error = details.get("ctx", {}).get("error")
        for fault in getattr(error, "faults", None) or [str(error)]:
            yield f"{at}: {fault}"
    elif kind == "string_pattern_mismatch" and at == "source":
        yield (
            "source: expected small letters, digits and _, beginning with a letter, at most 63, "
            f"got {details['input']!r}"
        )
    elif kind == "literal_error":
        known = [
            v.strip("' ") for v in str(details["ctx"]["expected"]).replace(" or ", ",").split(",")
        ]
        got = details["input"]
        near = hint(got, known) if isinstance(got, str) else ""
        meant = f"; {near}" if "mean" in near else ""
        yield f"{at}: expected {', '.join(known)}, got {shown(got)}{meant}"
    else:
        words = {
            "string_type": "text",
            "int_type": "a whole number",
            "greater_than_equal": f"at least {details.get('ctx', {}).get('ge')}",
            "less_than_equal": f"at most {details.get('ctx', {}).get('le')}",
            "dict_type": "keys and values",
            "model_type": "keys and values",
            "model_attributes_type": "keys and values",
        }
        expected = words.get(kind)
        yield (
            f"{at}: expected {expected}, got {shown(details['input'])}"
            if expected
            else f"{at}: {details['msg']}, got {shown(details['input'])}"
        )


def _unknown(key: str, section: tuple[str, ...]) -> str:
    known = [name for name in _known_keys(section) if name not in _NO_KEYS or section]
    within = f" in {'.'.join(section)}" if section else ""
    return f"unknown key '{key}'{within}; {_elsewhere(key, section) or hint(key, known)}"


def _torn(value: object) -> str:
    """Return what to do about a key without a value: most likely YAML cut a text at its comma."""
    tip = "; if it is part of a text with a comma, such as decimal(10,2), put that text in quotes"
    return tip if value is None else ""


def _elsewhere(key: str, section: tuple[str, ...]) -> str | None:
    """Return where a key of that very name belongs, if it was written a level too high."""
    for name in Source.model_fields if not section else ():
        keys = [
            k for model in _models(Source.model_fields[name].annotation) for k in model.model_fields
        ]
        if key in keys and name != "columns":
            return f"it belongs into '{name}': {name}: {{{key}: …}}"
    return None


def _known_keys(section: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Source
    names = list(section)
    while names:
        annotation = model.model_fields[names.pop(0)].annotation
        if typing.get_origin(annotation) is dict:
            names = names[1:]
        model = next(_models(annotation))
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)
