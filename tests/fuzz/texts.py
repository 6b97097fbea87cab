"""Texts that hurt: ids, names and values that readers, writers and SQL get wrong."""

from __future__ import annotations

from corpus.chance import Chance
from fuzz.chances import weighted

NOBODY = "00000000-0000-0000-0000-000000000000"
PLAIN = (
    "a",
    "view",
    "click",
    "plain text",
    "u1",
    "u2",
    "Zürich",
    "12",
    "x-y_z",
    "home/page?q=1&r=2",
)
HURTFUL = (
    *("", " ", "  ", " x ", "x\u00a0", "\u3000x", "é", "e\u0301", "🌊", "👩‍👩‍👧", "\U0010ffff", "ß", "İ", "ﬀ"),
    *("\u2028", "\u2029", "\u0085", "a\ufeffb", "\uffff", "\ufffd", "\u200b", "\u202eabc"),
    *("\x00", "a\x00b", "\x01", "\x1f", "\x7f", "\x1a", "\t", "a\tb", "\x0b", "\x0c", "\x1e"),
    *("a\nb", "a\r\nb", "\n", "\r", "a\rb", "\r\n", "x\r", "x\n", "\n\n", "a\n#b", "line\n{}\n"),
    *('"', '""', 'a"b', '"a"', '"a', 'a"', "'", "''", "a'b", "`", '",', ',"', '"\n"', '"""'),
    *("\\", "\\\\", '\\"', "\\n", "a\\", "a\\b", "\\,", "\\N", "\\u0041", "\\x41", "\\\n"),
    *(",", ";", "|", "\t\t", "a,b", "a;b", "a|b", ",,", "a:b", "=1+1", "%00", "~", "^"),
    *("null", "NULL", "undefined", "None", "[object Object]", NOBODY, "NaN", "nan", "Infinity", "true", "-"),
    *("0", "-0", "0.1", "0.10", "1e400", "1E+2", "007", "+5", "9007199254740993", "0x10", "1_000", "١٢"),
    *("123456789012345678901234567890", "0." + "1" * 60, "9" * 400, "1e-400", "2024-03-01", "12:00"),
    *("#", "#x", "# a", "#Fields: a b", "#Version: 1.0", "//", "--", "/*", "{}", '{"a":1}', "[]", "]}],", "}{", "}\n{"),
    *("x" * 300, "🌊" * 80, '"' * 50, "\\" * 51, "\n" * 20, "é" * 1000),
)  # fmt: skip
"""Texts of which each has been misread by some reader."""


def text(chance: Chance, hurt: float = 0.5) -> str:
    """Return a text.

    Args:
        chance: that decides.
        hurt: how often it is one that hurts.
    """
    if not chance.happens(hurt):
        return chance.choice(PLAIN)
    shape = weighted(chance, [(8, "one"), (2, "two"), (2, "random")])
    if shape == "one":
        return chance.choice(HURTFUL)
    if shape == "two":
        return chance.choice(HURTFUL)[:100] + chance.choice(HURTFUL)[:100]
    return "".join(_character(chance) for _ in range(chance.below(12)))


def _character(chance: Chance) -> str:
    top = chance.choice((0x20, 0x7F, 0x7F, 0x100, 0x3000, 0x110000))
    code = chance.below(top)
    return "s" if 0xD800 <= code <= 0xDFFF else chr(code)


def long_text(chance: Chance, size: int) -> str:
    """Return a text of so many ASCII characters."""
    return (chance.choice(PLAIN[:3]) * size)[:size]
