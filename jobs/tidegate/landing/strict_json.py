"""JSON as RFC 8259 has it, and nothing else: with exact numbers, and every member of an object.

Python's `json` reads most texts, by hooks. It is written in C and recursive, so what is nested deeper than it can go
is read here by a loop. Both accept the same texts.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from tidegate.landing.body import json_text


class NotJsonError(ValueError):
    """A text is not one JSON value."""


class Number(str):
    """A number, as its text."""

    __slots__ = ()


class Members(tuple[tuple[str, Any], ...]):
    """The members of an object, in order, each name as often as it occurs."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_no_constant,
    strict=True,
)


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Args:
        text: one value, with white space around it or none.

    Returns:
        `Members` for an object, a list, str, `Number`, bool or None. Texts may hold lone surrogates.

    Raises:
        NotJsonError: it is not JSON.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return _deep(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(str(error)) from error


_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_WORDS = {"true": True, "false": False, "null": None}


def _deep(text: str) -> Any:
    """Return the value of a JSON text by a loop, however deep it is nested."""
    return _Loop(text).value()


class _Loop:
    """A reader that keeps the containers which are open in a list of its own."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[str | None, list[Any]]] = []  # (the member's name, what holds it)

    def value(self) -> Any:
        done: Any = None
        while True:
            self._skip()
            char = self._text[self._at : self._at + 1]
            if char in ("{", "[") and char:
                self._at += 1
                self._skip()
                closing = "}" if char == "{" else "]"
                if self._text.startswith(closing, self._at):
                    self._at += 1
                    done = Members() if char == "{" else []
                else:
                    self._open.append((self._name() if char == "{" else None, []))
                    continue
            else:
                done = self._scalar(char)
            done, is_whole = self._close(done)
            if is_whole:
                return done

    def _close(self, done: Any) -> tuple[Any, bool]:
        """Put a value into what is open, and close that where it ends; say whether the text ends too."""
        while self._open:
            name, holder = self._open[-1]
            holder.append(done if name is None else (name, done))
            self._skip()
            char = self._text[self._at : self._at + 1]
            self._at += 1
            if char == ",":
                if name is not None:
                    self._skip()
                    self._open[-1] = (self._name(), holder)
                return None, False
            if char != ("]" if name is None else "}"):
                self._fail()
            done = holder if name is None else Members(holder)
            self._open.pop()
        self._skip()
        if self._at != len(self._text):
            self._fail()
        return done, True

    def _name(self) -> str:
        name = self._string()
        self._skip()
        if not self._text.startswith(":", self._at):
            self._fail()
        self._at += 1
        return name

    def _scalar(self, char: str) -> Any:
        if char == '"':
            return self._string()
        number = _NUMBER.match(self._text, self._at)
        if number is not None:
            self._at = number.end()
            return Number(number[0])
        word = next((word for word in _WORDS if self._text.startswith(word, self._at)), None)
        if word is None:
            self._fail()
        self._at += len(word)
        return _WORDS[word]

    def _string(self) -> str:
        literal = _STRING.match(self._text, self._at)
        if literal is None:
            self._fail()
        self._at = literal.end()
        text: str = json.loads(literal[0])
        return text

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()

    def _fail(self) -> NoReturn:
        raise NotJsonError(f"unexpected text at character {self._at}")


def compact(value: Any) -> str:
    """Return the JSON text of a parsed value, without white space; numbers as they were written."""
    out: list[str] = []
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, _Written):
            out.append(item)
        elif isinstance(item, Members):
            stack.append(_Written("}"))
            for place, (name, inner) in reversed(list(enumerate(item))):
                stack += [inner, _Written(f"{',' if place else ''}{json_text(name)}:")]
            stack.append(_Written("{"))
        elif isinstance(item, list):
            stack.append(_Written("]"))
            for place, inner in reversed(list(enumerate(item))):
                stack += [inner, _Written("," if place else "")]
            stack.append(_Written("["))
        else:
            out.append(scalar_text(item))
    return "".join(out)


class _Written(str):
    """Text that is JSON already."""

    __slots__ = ()


def scalar_text(value: Any) -> str:
    """Return the JSON text of a value that is neither an object nor a list."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return json_text(value)
    return {None: "null", True: "true", False: "false"}[value]
