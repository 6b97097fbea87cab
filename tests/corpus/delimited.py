"""Delimited text: quotes, line breaks, headers, widths and delimiters of several kinds."""

from __future__ import annotations

from corpus.model import text_file

AT = "2024-03-01T12:00:00Z"
HEADER = ("id", "at", "type", "user", "i", "s")

VALUES = [
    "plain",
    "",
    " ",
    "  spaces  ",
    "\ttab\t",
    '"with@ delimiter"',
    '"a ""quote"" in it"',
    '""',
    '""""',
    '""""""',
    '"""quoted"""',
    '" spaces in quotes "',
    ' "space before"',
    '"space after" ',
    '"text after"x',
    'x"text before"',
    'say "hi"',
    'a"b',
    'a""b',
    'a"b"c',
    '"a"b"c"',
    '"a" "b"',
    '"open',
    'open"',
    '"',
    '"""',
    '"a"""',
    '"a\\"b"',
    'a\\"b',
    '"a\\',
    '"a\\"',
    "\\",
    "\\\\",
    "\\N",
    "NULL",
    "null",
    "#x",
    "//x",
    "'single'",
    "'it''s'",
    "'with@ delimiter'",
    "`x`",
    "🌊",
    "é",
    "\ufeff",
    "\u00a0",
    "\u2028",
    "\u0085",
    "\x00",
    "\x01",
    "\x0b",
    "\x0c",
    "\x1c",
    "a\rb",
    "\r",
    '"a\rb"',
    '"a\r"',
    "=1+1",
    "{}",
    '{"a":1}',
    '"{""a"":1}"',
    "x" * 5000,
    f'"{"@" * 3000}"',
]
"""Texts of a field as they stand in the line; `@` stands for the delimiter."""

WHOLE_LINES = [
    "",
    " ",
    "\r",
    "\t",
    "@@@@@",
    "@@@@@\r",
    "@@@@",
    "@@@@@@",
    f"7@{AT}@view@u@7",
    f"8@{AT}@view@u@7@x@y",
    f"8@{AT}@view@u@7@x@",
    f"8@{AT}@view@u@7@x@@@",
    "10@@view@u@7@x",
    "11@noon@view@u@7@x",
    f"12@{AT}@view@u@seven@x",
    f"13@{AT}@view@u@ 7 @  x  ",
    f" 14 @ {AT} @ view @ u @7@x",
    f"@{AT}@view@u@7@x",
    f'""@{AT}@view@u@7@x',
    f'" "@{AT}@view@u@7@x',
    f'"15"@"{AT}"@"view"@"u"@"7"@"x"',
    f'"16"@"{AT}"@""@""@""@""',
    f"#17@{AT}@view@u@7@x",
    f"17@{AT}@view@u@7@x\r",
    f"17@{AT}@view@u@7@\r",
    f'17@{AT}@view@u@7@"x"\r',
    f'17@{AT}@view@u@7@"x\r',
    f"17@{AT}@view@u@7@x\r\r",
    f"17@{AT}@view@@@\r",
    f'18@{AT}@view@u@7@"first',
    'second"',
    f'19@{AT}@view@u@7@"first\r',
    'second"\r',
    f'20@{AT}@"view',
    f"21@{AT}@forged@victim@8@x",
    'more"@u@7@x',
    f'22@{AT}@view@u@7@"a',
    "",
    'b"',
    "id@at@type@user@i@s",
    "x",
    '"x"',
    f"23@{AT}@view@u@120.0@x",
    f"24@{AT}@view@u@1.2e2@x",
    f"25@{AT}@view@null@7@x",
    f"26@{AT}@view@\\N@7@x",
    f"27@{AT}@view@None@7@x",
    f"28@{AT}@view@00000000-0000-0000-0000-000000000000@7@x",
    "\x00",
    "\ufeff29@" + f"{AT}@view@u@7@x",
]
"""Lines as they are; `@` stands for the delimiter."""

LONG_LINES = [
    f"40@{AT}@view@u@7@{'x' * 900_000}",
    f"41@{AT}@view@u@7@{'x' * 1_100_000}",
    f"42@{AT}@view@u@7@" + "@" * 30_000,
    "43@" + "@" * 250_000,
]
BAD_BYTES = [b"30@\xff@view@u@7@x", b"31@2024-03-01T12:00:00Z@view@u@7@\xe2\x82", b"\xff\xfe"]


def delimited_lines(delimiter: str, *, with_long: bool = False) -> list[str | bytes]:
    """Return the lines after the header, for a delimiter."""
    texts = [f"{number}@{AT}@view@u@7@{value}" for number, value in enumerate(VALUES, start=100)]
    texts += [f"{number}@{AT}@{value}@u@7@x" for number, value in enumerate(VALUES, start=200)]
    texts += [f"{value}@{AT}@view@u@7@x" for value in VALUES]
    texts += [*WHOLE_LINES, *(LONG_LINES if with_long else ())]
    bad = [line.replace(b"@", delimiter.encode()) for line in BAD_BYTES]
    return [*(text.replace("@", delimiter) for text in texts), *bad]


def headed_files(delimiter: str, *, with_long: bool = False) -> dict[str, bytes]:
    """Return files whose first line names the columns."""
    row = f"1@{AT}@view@u@7@x"

    def file(*lines: str, end: str = "\n") -> bytes:
        return text_file([line.replace("@", delimiter) for line in lines], end)

    header = "@".join(HEADER)
    return {
        "lines": file(header) + text_file(delimited_lines(delimiter, with_long=with_long)),
        "carriage returns": file(header, row, row.replace("x", '"x"'), "", end="\r\n"),
        "mark": b"\xef\xbb\xbf" + file(header, row),
        "mark and quotes": b"\xef\xbb\xbf" + file('"id"@"at"@"type"@"user"@"i"@"s"', row),
        "two marks": b"\xef\xbb\xbf" * 2 + file(header, row),
        "no line feed": file(header, row)[:-1],
        "header alone": file(header),
        "header alone without line feed": file(header)[:-1],
        "empty": b"",
        "blank header": file("", row),
        "other order": file("s@user@at@type@i@id", f"y@v@{AT}@click@8@2"),
        "spaces in header": file(" id@at @ type@user@i@s", row),
        "capitals in header": file("ID@At@Type@User@I@S", row),
        "quotes in header": file('"id"@"at"@"ty""pe"@user@i@s', row),
        "equal names": file("id@at@type@user@s@s", row),
        "equal names of the id": file("id@id@at@user@i@s", f"1@2@{AT}@u@7@x"),
        "empty names": file("@id@at@", f"0@1@{AT}@9"),
        "fewer names": file("id@at", f"1@{AT}", f"1@{AT}@x"),
        "more names": file("id@at@type@user@i@s@t@u", f"{row}@y@z", row),
        "one name": file("id", "1", ""),
        "line break in header": file('id@at@type@user@i@"s', 'more"', row),
        "open quote in header": file('id@at@type@user@i@"s', row),
        "no header": file(row, row),
        "header twice": file(header, row, header, row),
        "comment first": file("# written by a job", header, row),
        "bytes in header": b"id\xff" + delimiter.encode() + b"at\n1" + delimiter.encode() + b"x\n",
    }


def unheaded_files(delimiter: str) -> dict[str, bytes]:
    """Return files without a header."""
    rows = [
        line for line in delimited_lines(delimiter) if isinstance(line, bytes) or len(line) < 2000
    ]
    return {
        "lines": text_file(rows),
        "mark": b"\xef\xbb\xbf" + text_file([f"1@{AT}@view@u@7@x".replace("@", delimiter)]),
        "with header": text_file(
            [delimiter.join(HEADER), f"1@{AT}@view@u@7@x".replace("@", delimiter)]
        ),
    }
