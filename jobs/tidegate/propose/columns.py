"""Typed columns of a source's own, from the shapes of its records. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tidegate.config.source import RESERVED_COLUMNS, join_path
from tidegate.propose.shape import Path, Shape, column_type, kind_of
from tidegate.propose.source_name import free_name

MOST_COLUMNS = 40
_UNUSUAL = frozenset("'\"`\\")
_LONGEST = 100
_MEASURE = re.compile(
    r"(?:^|_)(?:price|amount|total|cost|revenue|tax|discount|value|lat|latitude|lon|lng|longitude|"
    r"score|rate|ratio|percent|weight|balance|fee|temperature|speed|distance)(?:_|$)"
)
_WITHIN_INT = (1 << 31) - 1


@dataclass(frozen=True)
class ColumnGuess:
    """A column: its name, where it comes from, its type, how a time is written, and why."""

    name: str
    path: Path
    type: str
    why: str
    form: str = "iso"

    @property
    def ref(self) -> dict[str, str]:
        """How a source file writes it."""
        said = {"path": join_path(self.path), "type": self.type}
        if self.form != "iso":
            said["format" if "%" in self.form else "unit"] = self.form
        return said


@dataclass(frozen=True)
class Columns:
    """The columns, and what else there is, in words, by path."""

    columns: tuple[ColumnGuess, ...]
    others: Mapping[Path, str]


def usable_shapes(found: Mapping[Path, Shape]) -> tuple[dict[Path, Shape], dict[Path, str]]:
    """Return the shapes of paths that a source file may name together, and why not of the others.

    Of names that differ in case only, and of values that are objects elsewhere, landing can't have both.
    """
    kept: dict[Path, Shape] = {}
    others: dict[Path, str] = {}
    heads: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: (len(path), -found[path].count)):
        shape = found[path]
        head = heads.setdefault(tuple(name.casefold() for name in path), path)
        above = path[:-1]
        if above in others:
            others[path] = others[above]
        elif head != path:
            others[path] = f"differs from {head[-1]} in case only"
        elif not _is_usual(path[-1]):
            others[path] = "an unusual name"
        elif shape.kinds["object"] and (shape.values or shape.kinds["list"]):
            others[path] = "an object in some lines and none in others"
        else:
            kept[path] = shape
    return kept, others


def _is_usual(name: str) -> bool:
    """Return whether a name can be written down, and be quoted in SQL, without care."""
    plain = name.isprintable() and name == name.strip() and not set(name) & _UNUSUAL
    return plain and 1 <= len(name) <= _LONGEST


def guess_columns(
    usable: Mapping[Path, Shape],
    fields: Collection[Path],
    every: int,
    *,
    is_text: bool,
    taken: Mapping[str, str],
    source: str,
) -> Columns:
    """Return the columns of a source.

    Args:
        usable: shapes of paths that may be used.
        fields: paths that are fields of the event already.
        every: how many records there are.
        is_text: whether all values are text in any case, as in delimited files.
        taken: types of columns that other sources have, by name: the sources share a table.
        source: the name of this one.
    """
    others: dict[Path, str] = {}
    wanted: list[Shape] = []
    for path, shape in usable.items():
        if path in fields or shape.kinds["object"]:
            continue
        if not shape.count:
            others[path] = "always null"
        elif not shape.is_scalar:
            others[path] = "a list"
        else:
            wanted.append(shape)
    places = {shape.path: at for at, shape in enumerate(wanted)}
    wanted.sort(key=lambda shape: (-shape.count, len(shape.path), places[shape.path]))
    for shape in wanted[MOST_COLUMNS:]:
        others[shape.path] = f"in {shape.count:,} of {every:,} lines"
    chosen = sorted(wanted[:MOST_COLUMNS], key=lambda shape: places[shape.path])
    names: set[str] = set(RESERVED_COLUMNS)
    columns = []
    for shape in chosen:
        name, kind, why = _named(shape, names, is_text=is_text, taken=taken, source=source)
        names.add(name)
        told = f"in {shape.count:,} of {every:,} lines"
        form = _form(shape) if kind == "string" and name not in taken else "iso"
        if form != "iso":
            kind, why = "timestamp", ""
        columns.append(ColumnGuess(name, shape.path, kind, f"{told}; {why}" if why else told, form))
    return Columns(tuple(columns), others)


def _form(shape: Shape) -> str:
    """Return the directives that all values are times by, or iso where they are not, or by several."""
    forms = shape.time_forms
    is_sure = len(forms) == 1 and "%" in forms[0] and None not in shape.times(forms[0])
    return forms[0] if is_sure else "iso"


def _named(
    shape: Shape, names: Collection[str], *, is_text: bool, taken: Mapping[str, str], source: str
) -> tuple[str, str, str]:
    """Return the name and the type of a column, and what there is to say of them."""
    base = column_name(shape.path)
    kind = column_type(shape, is_text=is_text)
    why = _almost(shape, is_text=is_text) if kind == "string" else ""
    if kind == "bigint" and _MEASURE.search(base):
        kind, why = "double", "whole numbers so far"
    name = free_name(base if base not in names else f"{base}_value", names)
    there = taken.get(name)
    if there is not None and there != kind:
        if _fits(shape, kind, there):
            return name, there, f"{there} as in other sources"
        name = free_name(f"{source}_{name}"[:120], {*names, *taken})
        why = f"other sources have {name.removeprefix(source + '_')} as {there}"
    return name, kind, why


def _almost(shape: Shape, *, is_text: bool) -> str:
    """Return what to say of text that would be of a narrower type but for few values."""
    by_type: dict[str, int] = Counter()
    for value in shape.values:
        one = Shape(shape.path, [0], [value], Counter({kind_of(value): 1}))
        by_type[column_type(one, is_text=is_text)] += 1
    if by_type["double"]:
        by_type["double"] += by_type.pop("bigint", 0)
    kind, count = max(by_type.items(), key=lambda each: each[1])
    rest = shape.count - count
    if kind == "string" or rest * 20 > shape.count:
        return ""
    return f"{kind} but for {rest:,}, which would be quarantined"


def _fits(shape: Shape, kind: str, there: str) -> bool:
    """Return whether all values of a path fit the type that other sources have of its column."""
    found = re.fullmatch(r"decimal\((\d+),(\d+)\)", there)
    if found and kind in ("bigint", "double"):
        whole, scale = int(found[1]) - int(found[2]), int(found[2])
        # Numbers are looked at as they are written: a binary fraction has no end.
        digits = (re.fullmatch(r"[+-]?(\d+)(?:\.(\d+))?", text) for text in shape.texts)
        return all(
            each and len(each[1]) <= whole and len((each[2] or "").rstrip("0")) <= scale
            for each in digits
        )
    if there == "string" or (there == "double" and kind == "bigint"):
        return True
    return (
        there == "int"
        and kind == "bigint"
        and all(abs(int(value)) <= _WITHIN_INT for value in shape.values)
    )


def column_name(path: Path) -> str:
    """Return a path as the name of a column: small letters, digits and _."""
    words = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", part) for part in path]
    name = re.sub(r"[^a-z0-9]+", "_", "_".join(words).casefold()).strip("_")
    if not name[:1].isalpha():
        name = f"c_{name}".rstrip("_") if not re.fullmatch(r"c\d+", name) else name
    return name[:100]
