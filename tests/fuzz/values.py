"""Values for each type of column and each field of an event."""

from __future__ import annotations

import re
from dataclasses import replace

from corpus.chance import Chance
from fuzz import numbers, times
from fuzz.chances import between, weighted
from fuzz.json_text import tree, written
from fuzz.model import BAD, NOTHING, Value
from fuzz.texts import NOBODY, text

BARE = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false")
SCALARS = ("event_id", "event_type", "user_id", "anonymous_id", "source_session_id")
"""Fields that are never an object or a list."""
_SURROGATES = ("\ud800", "a\udc00", "\udfffx", "\ud83c ")
_STAND_INS = ("null", "undefined", "None", "[object Object]", "\\N", NOBODY, "anonymous", "0", "-")


def value(chance: Chance, kind: str, number: int, *, is_json: bool) -> Value:
    """Return a value for a column's type or a field of an event, but the event's time.

    Args:
        chance: that decides.
        kind: such as `decimal(6,2)` or `user_id`.
        number: of the record, of which ids are made.
        is_json: whether it may be an object, a list, or a text that only JSON can write.
    """
    if chance.happens(0.08 if kind != "event_id" else 0.01):
        return NOTHING
    if is_json and chance.happens(0.02):
        return _only_json(chance, kind)
    out = _typed(chance, kind) if kind not in SCALARS else _scalar(chance, kind, number)
    if is_json and out.text is not None and BARE.fullmatch(out.text) and chance.happens(0.6):
        return replace(out, json=out.text)
    return out


def _only_json(chance: Chance, kind: str) -> Value:
    if chance.happens(0.3):
        return Value(chance.choice(_SURROGATES), BAD, fault="bad_value")
    nested = tree(chance, 2, is_nested=True)
    compact = written(nested)
    means = compact if kind == "string" else BAD
    fault = "bad_value" if kind in SCALARS else None
    return Value(compact, means, json=written(nested, chance), fault=fault)


def _scalar(chance: Chance, kind: str, number: int) -> Value:
    if kind == "event_id":
        shape = weighted(chance, [(16, "own"), (2, "number"), (2, "text"), (1, "repeated")])
        if shape == "own":
            return _same(f"e{number}")
        if shape == "number":
            return _same(str(between(chance, 10**18, 10**40)))
        return _same(
            f"{text(chance, 1.0)}{number}" if shape == "text" else f"e{chance.below(number + 1)}"
        )
    if kind in ("user_id", "anonymous_id") and chance.happens(0.15):
        return _same(chance.choice(_STAND_INS))
    if kind in ("user_id", "anonymous_id") and chance.happens(0.6):
        return _same(f"u{chance.below(20)}")
    return _same(text(chance, 0.3))


def _same(words: str) -> Value:
    return Value(words, words)


def _typed(chance: Chance, kind: str) -> Value:
    if kind == "string":
        return _same(text(chance))
    if kind in ("int", "bigint"):
        return numbers.whole(chance, 32 if kind == "int" else 64)
    if kind in ("double", "float"):
        return numbers.floating(chance, 64 if kind == "double" else 32)
    if kind == "boolean":
        return numbers.boolean(chance)
    if kind == "date":
        return numbers.day(chance)
    if kind == "timestamp":
        if chance.happens(0.08):
            return times.bad_time(chance)
        return times.written_iso(chance, times.any_micros(chance))
    precision, scale = map(int, kind.removeprefix("decimal(").removesuffix(")").split(","))
    return numbers.decimal(chance, precision, scale)


def of_text(words: str, kind: str) -> Value:
    """Return the value of an empty text, which a file has where it can't say that there is none."""
    assert not words, "the meaning of other texts is known where they are made"
    return Value("", "" if kind == "string" or kind in SCALARS else BAD)
