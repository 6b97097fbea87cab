"""JSON by RFC 8259, of any depth, with all members of an object and every digit of a number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SPACE = " \t\n\r"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TEXT = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"')
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = ("true", "false", "null")


class NotJsonError(ValueError):
    """A text is not one JSON value and nothing else."""


@dataclass
class Node:
    """A JSON value.

    Attributes:
        kind: object, list, text, number, true, false or null.
        text: the characters of a text, which may be lone surrogates, or the token of a number.
        members: names and values of an object in their order, equal names included.
        items: values of a list.
    """

    kind: str
    text: str = ""
    members: list[tuple[str, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)


class _Reader:
    """The tokens of a text, one after another."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is no white space, or an empty text at the end."""
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1
        return self._text[self._at : self._at + 1]

    def take(self, char: str) -> bool:
        """Move behind a character if it is the next one."""
        if self.peek() != char:
            return False
        self._at += 1
        return True

    def need(self, char: str) -> None:
        if not self.take(char):
            raise NotJsonError(f"expected {char} at character {self._at}")

    def name(self) -> str:
        self.peek()
        return _characters(self._match(_TEXT))

    def scalar(self) -> Node:
        char = self.peek()
        if char == '"':
            return Node("text", self.name())
        for word in _WORDS:
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return Node(word)
        return Node("number", self._match(_NUMBER))

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None or not match[0]:
            raise NotJsonError(f"expected a value at character {self._at}")
        self._at = match.end()
        return match[0]


def parse(text: str) -> Node:
    """Return the value of a text.

    Raises:
        NotJsonError: the text is not one JSON value and nothing else.
    """
    reader = _Reader(text)
    top = Node("list")
    open_nodes = [top]  # what is open, from the outside; no recursion, so any depth is possible
    _begin_value(reader, open_nodes, None)
    while len(open_nodes) > 1:
        node = open_nodes[-1]
        end, filled = ("}", node.members) if node.kind == "object" else ("]", node.items)
        if reader.take(end):
            open_nodes.pop()
            continue
        if filled:
            reader.need(",")
        name = None
        if node.kind == "object":
            name = reader.name()
            reader.need(":")
        _begin_value(reader, open_nodes, name)
    if reader.peek():
        raise NotJsonError("expected nothing after the value")
    return top.items[0]


def _begin_value(reader: _Reader, open_nodes: list[Node], name: str | None) -> None:
    """Read a scalar, or the first bracket of an object or list, which is open then."""
    if reader.take("{"):
        node = Node("object")
    elif reader.take("["):
        node = Node("list")
    else:
        node = reader.scalar()
    parent = open_nodes[-1]
    if name is None:
        parent.items.append(node)
    else:
        parent.members.append((name, node))
    if node.kind in ("object", "list"):
        open_nodes.append(node)


def _characters(token: str) -> str:
    """Return what a text between quotes says; a pair of surrogates is one character, a lone one stays."""

    def unescape(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _SHORT[match[2]]

    text = _ESCAPE.sub(unescape, token[1:-1])
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def written(node: Node) -> str:
    """Return the JSON of a value without white space; numbers keep their tokens."""
    parts: list[str] = []
    left: list[Node | str] = [node]
    while left:
        value = left.pop()
        if isinstance(value, str):
            parts.append(value)
        elif value.kind in ("object", "list"):
            left.extend(reversed(_pieces(value)))
        elif value.kind == "text":
            parts.append(quoted(value.text))
        else:
            parts.append(value.text or value.kind)
    return "".join(parts)


def _pieces(node: Node) -> list[Node | str]:
    pieces: list[Node | str] = []
    for name, value in node.members:
        pieces += [",", quoted(name), ":", value]
    for value in node.items:
        pieces += [",", value]
    first, last = ("{", "}") if node.kind == "object" else ("[", "]")
    return [first, *pieces[1:], last]


def quoted(text: str) -> str:
    """Return a text in quotes, with escapes as Jackson writes them: short ones, or capital digits."""
    short = {
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        '"': '\\"',
        "\\": "\\\\",
    }
    return (
        '"' + "".join(short.get(c) or (c if c >= " " else f"\\u{ord(c):04X}") for c in text) + '"'
    )
