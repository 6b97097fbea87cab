"""JSON text, written token by token with the freedom that RFC 8259 leaves."""

from __future__ import annotations

from typing import Any

from corpus.chance import Chance
from fuzz.texts import text

_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_SPACES = ("", "", "", "", " ", "  ", "\t", "\r", " \t ")


class Token(str):
    """Text that is JSON already."""

    __slots__ = ()


Members = list[tuple[str, Any]]
"""An object: names with values, in order; a name may be there twice."""


def quoted(words: str, chance: Chance | None = None) -> str:
    """Return a text as JSON; with chance, some characters are escaped that need not be."""
    is_free = chance is not None and chance.happens(0.15)
    out = []
    for char in words:
        code = ord(char)
        must = code < 32 or code in _SHORT or 0xD800 <= code <= 0xDFFF
        if is_free and chance is not None and chance.happens(0.3):
            out.append("\\/" if char == "/" else _escaped(code, chance))
        elif not must:
            out.append(char)
        else:
            out.append(_SHORT.get(code) or f"\\u{code:04X}")
    return '"' + "".join(out) + '"'


def _escaped(code: int, chance: Chance) -> str:
    units = (
        [code] if code < 0x10000 else [0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF)]
    )
    form = chance.choice(("\\u{:04x}", "\\u{:04X}"))
    return "".join(form.format(unit) for unit in units)


def written(value: Any, chance: Chance | None = None) -> str:
    """Return a value as JSON: compact, or with chance in one of its many spellings.

    Args:
        value: a `Token`, a text, a list of values, or `Members`.
        chance: that decides on white space and escapes.
    """
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, str):
        return quoted(value, chance)
    is_loose = chance is not None and chance.happens(0.3)

    def gap() -> str:
        return chance.choice(_SPACES) if is_loose and chance is not None else ""

    if isinstance(value, tuple):
        parts = [f"{gap()}{written(inner, chance)}{gap()}" for inner in value]
        return "[" + (",".join(parts) or gap()) + "]"
    parts = [
        f"{gap()}{quoted(name, chance)}{gap()}:{gap()}{written(inner, chance)}{gap()}"
        for name, inner in value
    ]
    return "{" + (",".join(parts) or gap()) + "}"


def pretty(value: Any, level: int = 1) -> str:
    """Return a value as JSON over several lines, as most libraries indent it."""
    end = "\n" + "  " * (level - 1)
    if isinstance(value, tuple) and value:
        return "[" + ",".join(f"{end}  {pretty(inner, level + 1)}" for inner in value) + f"{end}]"
    if isinstance(value, list) and value:
        parts = [f"{end}  {quoted(name)}: {pretty(inner, level + 1)}" for name, inner in value]
        return "{" + ",".join(parts) + f"{end}}}"
    return written(value)


def tree(chance: Chance, depth: int, *, is_nested: bool = False) -> Any:
    """Return a value: a tuple for a list, `Members` for an object, a text, or a token."""
    if not is_nested and (not depth or chance.happens(0.6)):
        if chance.happens(0.5):
            return text(chance)
        return Token(
            chance.choice(
                (
                    "0",
                    "-0",
                    "1.50",
                    "1e400",
                    "true",
                    "false",
                    "null",
                    "12345678901234567890",
                    "-1E-2",
                )
            )
        )
    count = chance.below(4)
    if chance.happens(0.5):
        return tuple(tree(chance, max(0, depth - 1)) for _ in range(count))
    return [(text(chance), tree(chance, max(0, depth - 1))) for _ in range(count)]
