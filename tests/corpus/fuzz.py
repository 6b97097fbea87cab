"""A deterministic generator of JSON lines, of which about half are no events.

A line is written token by token with the freedom that JSON leaves: white space, escapes, spellings of numbers,
the order of members, equal names. Then about half of the lines are changed, in bytes or in structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from corpus.chance import Chance

_TIMES = (
    *('"2024-03-01T12:00:01Z"',) * 60,
    *('"2024-03-01T12:34:56.123456Z"',) * 9,
    *('"2024-03-01T12:34:56.1234567Z"',) * 9,
    *('"2024-03-01 12:34:56"',) * 9,
    *('"2024-03-01T14:34:56+02:00"',) * 9,
    *('"2024-03-01T14:34:56,5+0200"',) * 9,
    '"20240301T123456Z"',
    '"2024-02-30T12:00:00Z"',
    '"2023-03-01T12:00:00Z"',
    '"2024-03-02T12:00:00Z"',
    '"noon"',
    '""',
    "1709294400",
    "null",
    "{}",
)
_NUMBERS = (
    *(
        "0",
        "-0",
        "1",
        "-1",
        "7",
        "12",
        "1.0",
        "1.5",
        "1.50",
        "120.0",
        "1.2e2",
        "1E2",
        "1e-2",
        "0.1",
    ),
    *("2147483648", "9007199254740993", "9223372036854775807", "9223372036854775808", "1e400"),
    *("1234567890123456789012345678901234567890", "0.12345678901234567890123", "1234.5", "1e22"),
)
_TEXTS = (
    *(
        "",
        " ",
        "a",
        "u1",
        "u2",
        " x ",
        "plain text",
        "é",
        "🌊",
        "e\u0301",
        "\u2028",
        "\u00a0",
        "12",
    ),
    *(
        "1.50",
        "true",
        "2024-02-29",
        "2024-03-01T12:00:00Z",
        "NaN",
        "null",
        "\\N",
        "]}],",
        '{"a":1}',
    ),
    *("\ufeff", "\u007f", "\uffff", "x" * 40),
)
_ESCAPES = (
    *(r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0041", r"\u0000", r"\u0001"),
    *(r"\u2028", r"\ud83c\udf0a", r"\uD800", r"\udc00", r"\uFEFF", r"\u00e9"),
)
_FITTING: dict[str, tuple[str, ...]] = {
    "i": ("0", "-0", "7", "-12", '" 12 "', '"+5"', "2147483647", "null"),
    "b": ("9007199254740993", "9223372036854775807", "-1", '"12"', "null"),
    "d": ("1234.5", '"1.5000"', "-0.01", '"1.5e2"', "12", "null"),
    "wide": (
        '"0.12345678901234567890"',
        "0.12345678901234567890",
        "1.5",
        "123456789012345678",
        "null",
    ),
    "full": ("1234567890123456789.01", '"123456789012345678901234567890123456.78"', "0.10", "null"),
    "whole": ("12345678901234567890123456789012345678", '"-1"', "0", "null"),
    "day": ('"2024-02-29"', '"1969-12-31"', '"0001-01-01"', "null"),
    "flag": ("true", "false", '"True"', '"f"', "null"),
    "ts": (
        '"2024-03-01T12:00:00Z"',
        '"1999-12-31 23:59:59.25"',
        '"2024-03-01T17:30:00+0530"',
        "null",
    ),
    "x": ("1.5e3", "0.1", "-0.0", '"1e-7"', "1e22", "123456789.123456789", '"NaN"', "null"),
    "y": ("0.25", "0.1", "16777217", '"-1.5"', '"Infinity"', "null"),
}
"""Values that fit the column of a name."""
_NAMES = (*_FITTING, "s", "s", "s", "type", "anon", "visit", "k.l", "zzz", "", "S", "é")
_SPACES = ("", "", "", "", "", "", " ", "  ", "\t", "\r")
_BYTES = (
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\t",
        b"\r",
        b"0",
        b"1",
        b"-",
        b".",
        b"e",
    ),
    *(
        b"\x00",
        b"\x01",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xc2",
        b"\xe2",
        b"\xed\xa0\x80",
        b"\xf0",
        b"\xff",
    ),
    *(b"\xef\xbb\xbf", b"\xc3\xa9", b"\\u", b"\\u0041", b"//", b"/*", b"'", b"null", b"NaN", b"a"),
)


def fuzz_lines(seed: int, count: int) -> Iterator[bytes]:
    """Yield lines without line feeds.

    Args:
        seed: decides all of them.
        count: how many.
    """
    chance = Chance(seed)
    for number in range(count):
        line = _event(chance, number).encode()
        if chance.happens(0.5):
            for _ in range(1 + chance.below(3)):
                line = chance.choice(_MUTATIONS)(chance, line)
        yield line.replace(b"\n", b" ")


# -- valid JSON ------------------------------------------------------------------------------------


def _event(chance: Chance, number: int) -> str:
    members = [
        (_name(chance, "id"), _id(chance, number)),
        (_name(chance, "at"), chance.choice(_TIMES)),
    ]
    if chance.happens(0.7):
        members.append((_name(chance, "user"), _user(chance)))
    if chance.happens(0.2):
        members.append((_name(chance, "a"), _deep(chance)))
    for _ in range(chance.below(5)):
        name = chance.choice(_NAMES)
        fitting = _FITTING.get(name, ()) if chance.happens(0.95) else ()
        members.append(
            (_name(chance, name), chance.choice(fitting) if fitting else _value(chance, 3))
        )
    if chance.happens(0.05):
        members.append(members[chance.below(len(members))])
    space = chance.choice(_SPACES)
    return space + _object(chance, chance.shuffled(members)) + chance.choice(_SPACES)


def _object(chance: Chance, members: list[tuple[str, str]]) -> str:
    def pad() -> str:
        return chance.choice(_SPACES)

    inner = ",".join(f"{pad()}{name}{pad()}:{pad()}{value}{pad()}" for name, value in members)
    return "{" + inner + "}"


def _id(chance: Chance, number: int) -> str:
    if chance.happens(0.9):
        return f'"e{number}"'
    return chance.choice(
        [str(number), chance.choice(_NUMBERS), _text(chance), "null", "true", "{}"]
    )


def _user(chance: Chance) -> str:
    if chance.happens(0.8):
        value = _scalar(chance) if chance.happens(0.4) else f'"u{chance.below(9)}"'
        more = [(_name(chance, chance.choice(("name", "id", "x"))), _scalar(chance))]
        members = [(_name(chance, "id"), value), *(more if chance.happens(0.2) else ())]
        return _object(chance, members)
    return _value(chance, 2)


def _deep(chance: Chance) -> str:
    inner = _object(chance, [(_name(chance, "c"), _value(chance, 1))])
    return _object(
        chance, [(_name(chance, "b"), inner if chance.happens(0.8) else _value(chance, 1))]
    )


def _value(chance: Chance, depth: int) -> str:
    if depth == 0 or chance.happens(0.75):
        return _scalar(chance)
    inner = [_value(chance, depth - 1) for _ in range(chance.below(4))]
    if chance.happens(0.5):
        return "[" + ",".join(inner) + "]"
    return _object(chance, [(_text(chance), value) for value in inner])


def _scalar(chance: Chance) -> str:
    kind = chance.below(10)
    if kind < 4:
        return _text(chance)
    return chance.choice(_NUMBERS) if kind < 8 else chance.choice(("true", "false", "null"))


def _text(chance: Chance) -> str:
    text = chance.choice(_TEXTS).replace("\\", "\\\\").replace('"', '\\"')
    if chance.happens(0.25):
        text += chance.choice(_ESCAPES)
    return f'"{text}"'


def _name(chance: Chance, name: str) -> str:
    if name and chance.happens(0.02):
        at = chance.below(len(name))
        name = f"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"
    return f'"{name}"'


# -- changes -----------------------------------------------------------------------------------------


def _place(chance: Chance, line: bytes) -> int:
    return chance.below(len(line) + 1)


def _delete(chance: Chance, line: bytes) -> bytes:
    at = _place(chance, line)
    return line[:at] + line[at + 1 + chance.below(3) :]


def _insert(chance: Chance, line: bytes) -> bytes:
    at = _place(chance, line)
    return line[:at] + chance.choice(_BYTES) + line[at:]


def _replace(chance: Chance, line: bytes) -> bytes:
    at = _place(chance, line)
    return line[:at] + chance.choice(_BYTES) + line[at + 1 :]


def _flip(chance: Chance, line: bytes) -> bytes:
    if not line:
        return line
    at = chance.below(len(line))
    return line[:at] + bytes([line[at] ^ (1 << chance.below(8))]) + line[at + 1 :]


def _cut(chance: Chance, line: bytes) -> bytes:
    return line[: _place(chance, line)]


def _cut_front(chance: Chance, line: bytes) -> bytes:
    return line[_place(chance, line) :]


def _repeat(chance: Chance, line: bytes) -> bytes:
    begin, end = sorted((_place(chance, line), _place(chance, line)))
    return line[:end] + line[begin:end] + line[end:]


def _swap(chance: Chance, line: bytes) -> bytes:
    first, second = sorted((_place(chance, line), _place(chance, line)))
    return line[second:] + line[first:second] + line[:first]


def _end_comma(chance: Chance, line: bytes) -> bytes:
    at = line.rfind(chance.choice((b"}", b"]")))
    return line if at < 0 else line[:at] + b"," + line[at:]


def _wrap(chance: Chance, line: bytes) -> bytes:
    before, after = chance.choice(
        ((b"[", b"]"), (b"{", b"}"), (b'{"v":', b"}"), (b'"', b'"'), (b"(", b")"), (b"[", b"}"))
    )
    return before + line + after


def _twice(chance: Chance, line: bytes) -> bytes:
    return line + chance.choice((b"", b" ", b",", b"\r", b";", b"\x1e")) + line


def _tail(chance: Chance, line: bytes) -> bytes:
    return line + chance.choice(
        (b"x", b" null", b"}", b"]", b",", b"//", b'"', b"\x00", b"\xff", b" 1")
    )


def _bare_literal(chance: Chance, line: bytes) -> bytes:
    return line.replace(b'"', b"'") if chance.happens(0.5) else line.replace(b'"', b"", 2)


_MUTATIONS: tuple[Callable[[Chance, bytes], bytes], ...] = (
    _delete,
    _delete,
    _insert,
    _insert,
    _replace,
    _replace,
    _flip,
    _flip,
    _cut,
    _cut_front,
    _repeat,
    _swap,
    _end_comma,
    _wrap,
    _twice,
    _tail,
    _bare_literal,
)
