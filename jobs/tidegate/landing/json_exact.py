"""The fields of a line of JSON, by the rules and without haste: what `json_fast` is not sure of is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tidegate.landing.body import json_text
from tidegate.landing.plan import Names, Plan, Tree, path_text
from tidegate.landing.strict_json import Members, NotJsonError, Number, compact, parse

SPACE = " \t\r"
"""White space around a line's value."""


@dataclass
class Fields:
    """What was read of a line.

    Attributes:
        texts: by path; a path without a value is not in it.
        reason: why the line can't be read, or None.
        detail: what was expected and what is there.
        body: JSON of what is kept of the line where it holds personal data, else None.
        kinds: what kind of JSON value each path has, for those that have one.
    """

    texts: dict[Names, str] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None
    body: str | None = None
    kinds: dict[Names, str] = field(default_factory=dict)


class _BadValueError(Exception):
    pass


Treat = Callable[[Names, str], str | None]
"""What becomes of a personal value: the hash in its place, the value itself, or None where it is dropped."""


def read_line(text: str, plan: Plan, treat: Treat | None = None) -> Fields:
    """Return the fields of a line.

    Args:
        text: the line.
        plan: what is wanted of it.
        treat: what becomes of values, for a source with personal data.
    """
    fields = Fields()
    if not text.strip(SPACE):
        fields.reason, fields.detail = "blank_line", "expected an event"
        return fields
    try:
        value = parse(text)
    except NotJsonError:
        fields.reason = "not_json"
        fields.detail = "expected one JSON object and nothing after it"
        return fields
    if not isinstance(value, Members):
        fields.reason, fields.detail = "not_object", "expected a JSON object"
        return fields
    faults: dict[Names, str] = {}
    leaves = dict(_leaves(value, plan.tree, (), faults))
    for names, leaf in leaves.items():
        try:
            fields.kinds[names], shown = _text(leaf, names, plan)
        except _BadValueError as error:
            faults.setdefault(names, str(error))
            continue
        if treat is not None and shown is not None:
            shown = treat(names, shown)
        if shown is not None:
            fields.texts[names] = shown
    if treat is not None:
        fields.body = _kept(value, plan, fields, faults)
    if faults:
        first = min(faults, key=_order(plan))
        fields.reason, fields.detail = "bad_value", f"{path_text(first)}: {faults[first]}"
    return fields


def _order(plan: Plan) -> Callable[[Names], tuple[int, Names]]:
    """Return the order in which faults count: that of the values which are read from the path, or from below it."""
    places = [ref.names() for ref in plan.refs.values()]

    def order(names: Names) -> tuple[int, Names]:
        first = (n for n, path in enumerate(places) if path[: len(names)] == names)
        return next(first, len(places)), names

    return order


def _leaves(
    members: Members, tree: Tree, above: Names, faults: dict[Names, str]
) -> Iterable[tuple[Names, object]]:
    """Yield (path, value) of all that is wanted; note names that are there twice."""
    seen: set[str] = set()
    for name, value in members:
        below = tree.get(name)
        if below is None:
            continue
        names = (*above, name)
        if name in seen:
            faults[names] = f"expected one value, got the name {json_text(name)} twice"
            continue
        seen.add(name)
        if not below:
            yield names, value
        elif isinstance(value, Members):
            yield from _leaves(value, below, names, faults)


def _text(value: object, names: Names, plan: Plan) -> tuple[str, str | None]:
    """Return a value's kind and its text; None for null.

    Raises:
        _BadValueError: it can't be kept exactly, or is of a kind that can't be what it is used for.
    """
    if value is None:
        return "null", None
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, Number):
        is_whole = value.lstrip("-").isdigit()
        return ("int" if is_whole else "fraction"), str(value)
    if isinstance(value, str):
        kind, text = "string", value
    else:
        kind = "object" if isinstance(value, Members) else "list"
        if names in plan.scalars:
            within = "; name a path within it" if kind == "object" else ""
            raise _BadValueError(
                f"expected a text or a number, got {_ARTICLES[kind]} {kind}{within}"
            )
        text = compact(value)
    if not text.isascii() and _has_surrogate(text):
        raise _BadValueError("expected text that UTF-8 can hold, got a lone surrogate")
    return kind, text


_ARTICLES = {"object": "an", "list": "a"}


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _kept(value: Members, plan: Plan, fields: Fields, faults: dict[Names, str]) -> str:
    """Return the JSON of what is kept of a line with personal data: wanted fields, treated."""

    def of(members: Members, tree: Tree, above: Names) -> str:
        out: list[str] = []
        first = dict(reversed(members))
        for name, below in tree.items():
            names = (*above, name)
            if name not in first or names in faults:
                continue
            inner = first[name]
            if below:
                if isinstance(inner, Members):
                    out.append(f"{json_text(name)}:{of(inner, below, names)}")
            elif plan.source.pii_action(names) in ("hash", "drop"):
                if names in fields.texts:
                    out.append(f"{json_text(name)}:{json_text(fields.texts[names])}")
            else:
                out.append(f"{json_text(name)}:{compact(inner)}")
        return "{" + ",".join(out) + "}"

    return of(value, plan.tree, ())
