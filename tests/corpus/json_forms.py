"""Lines that test what JSON is, in the spirit of published conformance suites of RFC 8259."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.json_parts import EQUAL_KEYS, NESTED, NUMBERS, TEXTS, WHITE_SPACE
from corpus.model import GOOD, event

LIMIT = 1024 * 1024
"""Bytes of the longest line that becomes an event."""

FORMS = [
    "hello",
    "null",
    "true",
    "false",
    "True",
    "nul",
    "nulll",
    "truefalse",
    "17",
    "-0",
    '"x"',
    '""',
    "[]",
    "{}",
    "[{}]",
    "[1]",
    "[null]",
    "[,]",
    "[1,]",
    "[1,,2]",
    "[1 2]",
    "{,}",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1,,"b":2}',
    '{"a":1 "b":2}',
    '{"a" 1}',
    '{"a"::1}',
    "{:1}",
    '{"a":1:2}',
    "{1:1}",
    "{null:1}",
    '{a:"1"}',
    "{'a':1}",
    "{\"a\":'x'}",
    '{"a":x}',
    '{"a":undefined}',
    '{"a":tru}',
    '{"a":TRUE}',
    '{"a":True}',
    '{"a":Null}',
    '{"a":"x}',
    '{"a":x"}',
    '{"a":"x""y"}',
    '{"a":"x" "y"}',
    '{"a":"x"y}',
    '{"a":[1}',
    '{"a":{1]}',
    '{"a":[1}]',
    '{"a":1]',
    "[1}",
    "]",
    "}",
    "[",
    "{",
    '"',
    '{"',
    '{"a',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":"',
    '{"a":[',
    '{"a":{',
    "[{",
    "][",
    "}{",
    f"{{{GOOD}",
    f"{{{GOOD},",
    f"{{{GOOD}]",
    f"[{{{GOOD}}}]",
    f"[{{{GOOD}}},{{{GOOD}}}]",
    f"[[{{{GOOD}}}]]",
    f"{{{GOOD}}} {{{GOOD}}}",
    f"{{{GOOD}}}{{{GOOD}}}",
    f"{{{GOOD}}},{{{GOOD}}}",
    f"{{{GOOD}}}\t{{{GOOD}}}",
    f"{{{GOOD}}}\r{{{GOOD}}}",
    f'{{{GOOD}}},"x":2',
    f'{{{GOOD}}},"x":2,"v":{{{GOOD}}}',
    f'{{{GOOD}}}],"v":[{{{GOOD}}}',
    f"{{{GOOD}}},",
    f"{{{GOOD}}};",
    f"{{{GOOD}}}]",
    f'{{{GOOD}}},{{"~end of line~":1}}',
    f'{{{GOOD}}}],"~end of line~":1}}',
    f"{{{GOOD}}} garbage",
    f"{{{GOOD}}} null",
    f"{{{GOOD}}} 1",
    f'{{{GOOD}}} "x"',
    f"{{{GOOD}}} []",
    f"{{{GOOD}}} // so",
    f"{{{GOOD}}} /* so */",
    f"{{{GOOD}}} # so",
    f"/* so */ {{{GOOD}}}",
    f"// {{{GOOD}}}",
    f"# {{{GOOD}}}",
    f"{{{GOOD}/* so */}}",
    f"{{{GOOD}, // so }}",
    '{"id":9}}',
    f"{{{GOOD}}}}}",
    f"{{{{{GOOD}}}}}",
    f"garbage {{{GOOD}}}",
    f"x{{{GOOD}}}",
    f",{{{GOOD}}}",
    f"({{{GOOD}}})",
    f'"{{{GOOD}}}"',
    f"{{{GOOD},}}",
    f"{{,{GOOD}}}",
    f"{{{GOOD},,}}",
    f"{{{GOOD}:}}",
    f"callback({{{GOOD}}});",
    f"\x1e{{{GOOD}}}",
    f"data: {{{GOOD}}}",
    '{"id":"1","at":"2024-0',
    '{"id":"1" "at":"2024-03-01T12:00:01Z"}',
    '{"id"="1","at"="2024-03-01T12:00:01Z"}',
    '{id:"1",at:"2024-03-01T12:00:01Z"}',
    "{'id':'1','at':'2024-03-01T12:00:01Z'}",
    "{“id”:“1”}",
    f'{{{GOOD},"user":{{"id":"u\r}},"s":"x"}}',
    f"{{{GOOD}}}",
    f'{{{GOOD},"type":"view","user":{{"id":"u"}},"anon":"a"}}',
]

BYTES = [
    b'{"id":"\xff\xfe"}',
    b'{"id":"1","s":"\xe2\x82"}',
    '{"id":"é"}'.encode("latin-1"),
    "é".encode("utf-16"),
    f"{{{GOOD}}}".encode("utf-16-le"),
    b"\xff\xfe" + f"{{{GOOD}}}".encode("utf-16-le"),
    *(
        event('"s":"@"').encode().replace(b"@", bad)
        for bad in (
            b"\x80",
            b"\xbf",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xc2",
            b"\xc2\x41",
            b"\xe0\x80\x80",
            b"\xe0\x9f\xbf",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xee\x80",
            b"\xef\xbf",
            b"\xf0\x80\x80\x80",
            b"\xf0\x8f\xbf\xbf",
            b"\xf0\x90\x80",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xfc\x84\x80\x80\x80\x80",
            b"\xfe",
            b"\xff",
            b"\xef\xbb",
            b"\xef\xbb\xbf",
            b"\xef\xbf\xbd",
            b"\xef\xbf\xbe",
            b"\xf4\x8f\xbf\xbf",
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
        )
    ),
    f"{{{GOOD}}}".encode() + b"\xff",
    b"\xff" + f"{{{GOOD}}}".encode(),
    b"\xef\xbb" + f"{{{GOOD}}}".encode(),
    event('"zzz":"@"').encode().replace(b"@", b"\xff"),
    event('"@":1').encode().replace(b"@", b"\xff"),
    b"\x1f\x8b\x08\x00",
    b"PAR1",
]


def deep_lines() -> Iterator[str]:
    """Yield lines of some depths: in a value that is read, in one that is not, and alone."""
    for depth in (10, 63, 64, 100, 499, 500, 512, 900, 999, 1000, 1001, 1024, 2000, 5000, 10_000):
        yield event(f'"zzz":{"[" * depth}{"]" * depth}')
        yield event(f'"zzz":{"[" * depth}1{"]" * depth},"s":"after"')
        yield event(f'"s":{"[" * depth}{"]" * depth}')
        yield event('"zzz":' + '{"a":' * depth + "1" + "}" * depth)
        yield "[" * depth + "]" * depth
        yield "[" * depth
        yield event(f'"zzz":{"[" * depth}{"]" * (depth - 1)}')


def long_lines() -> Iterator[str]:
    """Yield lines at the limit of length, with long texts and many members."""
    room = LIMIT - len(event('"s":""'))
    for size in (room - 1, room, room + 1, room + 70_000):
        yield event(f'"s":"{"x" * size}"')
    yield event(f'"s":"{"é" * (room // 2)}"')
    yield event(f'"s":"{"é" * (room // 2 + 1)}"')
    yield event(f'"zzz":"{"x" * 500_000}"')
    yield f'{{"id":"{"x" * 300_000}","at":"2024-03-01T12:00:01Z"}}'
    yield event(f'"user":{{"id":"{"u" * 100_000}"}}')
    yield event(f'"s":{"1" * 100_000}')
    yield f"{{{GOOD}}}" + " " * (LIMIT - len(GOOD) - 2)
    yield f"{{{GOOD}}}" + " " * (LIMIT - len(GOOD) - 1)
    yield " " * LIMIT
    yield " " * (LIMIT + 1)
    yield "x" * (LIMIT + 1)
    yield event(",".join(f'"m{n}":{n}' for n in range(5000)))
    yield event(f'"s":[{",".join(["1"] * 20_000)}]')


def form_lines() -> list[str | bytes]:
    """Return every line of ordinary length about what JSON is."""
    return [
        *WHITE_SPACE,
        *(event(f'"x":{number}') for number in NUMBERS),
        *(event(f'"zzz":{number}') for number in NUMBERS),
        *(event(f'"s":{number}') for number in NUMBERS),
        *(event(f'"s":"{text}"') for text in TEXTS),
        *(event(f'"zzz":"{text}"') for text in TEXTS),
        *(event(f'"{text}":1') for text in TEXTS),
        *map(event, NESTED),
        *map(event, EQUAL_KEYS),
        *FORMS,
        *BYTES,
    ]


def form_files() -> dict[str, bytes]:
    """Return files that differ in how they begin and end."""
    line = f"{{{GOOD}}}".encode()
    bom = b"\xef\xbb\xbf"
    return {
        "begins with a byte order mark": bom + line + b"\n" + line + b"\n",
        "begins with two": bom + bom + line + b"\n",
        "begins with three": bom * 3 + line + b"\n",
        "begins with a mark and a blank line": bom + b"\n" + line + b"\n",
        "begins with a mark and a bad line": bom + b'{"id":"\xff"}\n' + line + b"\n",
        "begins with a mark and a space": bom + b" " + line + b"\n",
        "is a mark": bom,
        "has a mark in the middle": line + b"\n" + bom + line + b"\n",
        "has no line feed at its end": line + b"\n\n" + line,
        "ends in two line feeds": line + b"\n\n",
        "ends in a carriage return": line + b"\r\n" + line + b"\r",
        "has carriage returns": line + b"\r\n\r\n" + line + b"\r\n",
        "has only carriage returns": line + b"\r" + line + b"\r",
        "has no line": b"",
        "has an empty line": b"\n",
        "has empty lines": b"\n\n\n",
        "is one array": b"[\n" + line + b",\n" + line + b"\n]\n",
        "is pretty": b'{\n  "id": "1",\n  "at": "2024-03-01T12:00:01Z"\n}\n',
        "has objects without line feeds": line + line + line,
        "has zero bytes at its end": line + b"\n" + b"\0" * 16,
        "has separators of records": b"\x1e" + line + b"\n\x1e" + line + b"\n",
        "is UTF-16": b"\xff\xfe" + (line.decode() + "\n").encode("utf-16-le"),
        "has other line ends": b"\xe2\x80\xa8".join([line, line]) + b"\x0b" + line + b"\n",
    }
