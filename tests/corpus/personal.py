"""Lines with personal data, of sources that hash, drop or keep them, and of erased persons."""

from __future__ import annotations

import hmac
import json
from typing import Any

from corpus.chance import Chance
from corpus.model import GOOD, event

KEY = b"a key of this corpus only, 32 by"
_ERASED = ("zq7 erased", "device zq7", "host zq7")
_HASH_DIGITS = 32
ERASED = (
    *_ERASED,
    *(hmac.new(KEY, name.encode(), "sha256").hexdigest()[:_HASH_DIGITS] for name in _ERASED),
)
"""Ids of erased persons as events have them: plain, and hashed by `KEY`."""

JSON_PII: dict[str, str] = {
    "user.login": "hash",
    "user.email": "drop",
    "visit": "hash",
    "lists": "hash",
    "tree": "drop",
    "unread": "hash",
    "host": "hash",
    "money": "drop",
    "kept": "keep",
    "geo.city": "keep",
}
JSON_SOURCE: dict[str, Any] = {
    "fields": {
        "event_id": "id",
        "event_time": "at",
        "event_type": "type",
        "user_id": "user.login",
        "anonymous_id": "device",
    },
    "columns": {
        "n": {"path": "n", "type": "int"},
        "when": {"path": "when", "type": "timestamp"},
        "mail": {"path": "user.email", "type": "string"},
        "size": {"path": "size", "type": "double"},
        "money": {"path": "money", "type": "decimal(38,2)"},
    },
    "sessions": {"id": "visit"},
    "sequence": {"producer": "host", "number": "seq"},
}
CSV_SOURCE: dict[str, Any] = {
    "format": {"type": "csv"},
    "fields": {"event_id": "id", "event_time": "at", "user_id": "login"},
    "columns": {"n": {"path": "n", "type": "int"}, "mail": {"path": "email", "type": "string"}},
}
CSV_PII = {"login": "hash", "email": "drop"}
CSV_HEADER = ("id", "at", "n", "login", "email", "undeclared")

_PERSONAL: list[Any] = [
    "zq7",
    " zq7 ",
    "",
    " ",
    "ann",
    "zq7 erased",
    " zq7 erased ",
    "zq7\u0000",
    "zq7 é🌊",
    "\ud800zq7",
    7,
    1.50,
    True,
    None,
    ["zq7"],
    {"zq7": "zq7"},
    [],
    {},
]
_OPEN: list[Any] = [None, 1, -7, "many", "", "🌊", 10**20, {"a": 1}, [1, 2.50], True, 1.5, "1.50"]
_TIMES: list[Any] = ["2024-03-01T12:00:01Z"] * 40 + ["noon", "", "1999-01-01T00:00:00Z", None, 5]
_HARMS = ("none",) * 30 + ("cut", "brace", "twice", "list", "bytes", "null byte", "bare", "tail")


def _harmed(chance: Chance, text: str) -> bytes:
    harm = chance.choice(_HARMS)
    if harm == "cut":
        text = text[: chance.below(len(text))]
    line = text.encode("utf-8", "replace")
    return {
        "brace": line + b"}",
        "twice": line + line,
        "list": b"[" + line + b"]",
        "bytes": line.replace(b"zq7", b"\xffzq7"),
        "null byte": line.replace(b"zq7", b"\0zq7"),
        "bare": b"zq7",
        "tail": line + b',"n":"zq7"',
    }.get(harm, line)


def json_lines(count: int = 600) -> list[str | bytes]:
    """Return lines with personal values where the source says so, and where it says nothing."""
    chance = Chance(7)
    lines: list[str | bytes] = []
    for number in range(count):
        values: dict[str, Any] = {
            "id": chance.choice([str(number)] * 8 + [number, "", None]),
            "at": chance.choice(_TIMES),
            "type": chance.choice(["view", None, 5]),
            "n": chance.choice(_OPEN) if chance.happens(0.1) else number,
            "when": chance.choice(_OPEN) if chance.happens(0.1) else "2024-03-01T00:00:00Z",
            "size": chance.choice(_OPEN) if chance.happens(0.1) else 1.5,
            "kept": chance.choice(_OPEN),
            "seq": chance.choice([number, number, number, None, "x", -1]),
        }
        user = {name: chance.choice(_PERSONAL) for name in ("login", "email", "other")}
        values["user"] = chance.choice([user, user, user, [user], json.dumps(user), None])
        values["device"] = chance.choice(["d1", "device zq7", None, 5])
        values["geo"] = chance.choice([{"city": "Ulm", "zip": "zq7"}, {"city": 1.50}, "zq7", None])
        for name in ("visit", "lists", "tree", "unread", "undeclared"):
            if chance.happens(0.5):
                values[name] = chance.choice(_PERSONAL)
        values["host"] = chance.choice(["h1", "h2", "host zq7", None, "x" * 256, "x" * 257])
        values["money"] = chance.choice([12.5, "12.50", 1234567890123456789, "zq7", None])
        # Without surrogates where the text is no ASCII: they have no UTF-8.
        lines.append(_harmed(chance, json.dumps(values, ensure_ascii=chance.happens(0.5))))
    lines += [
        event(member) for member in ('"user":{"login":"a","login":"b"}', '"kept":1.50,"kept":2')
    ]
    lines += [
        f'{{{GOOD},"kept":{{ "a" : 1.50, "zq7":"x" }}}}',
        event('"\\u0075ser":{"login":"zq7"}'),
    ]
    return lines


def csv_lines(count: int = 200) -> list[str | bytes]:
    """Return delimited lines likewise, with the header first."""
    chance = Chance(11)
    lines: list[str | bytes] = [",".join(CSV_HEADER)]
    for number in range(count):
        values = [
            chance.choice([str(number)] * 8 + [""]),
            str(chance.choice(_TIMES)),
            str(chance.choice(_OPEN)) if chance.happens(0.1) else str(number),
            *(str(chance.choice(_PERSONAL[:9])) for _ in range(3)),
        ]
        quoted = [f'"{value.replace(chr(34), chr(34) * 2)}"' for value in values]
        lines.append(_harmed(chance, ",".join(quoted)))
    return lines
