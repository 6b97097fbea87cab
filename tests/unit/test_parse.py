"""What becomes of lines: crafted ones, all together and each by itself.

Lines are read many at once where they are plain, else one by one. Each case is decided in both ways.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from kernel import HOUR, LINES, NOON, Row, rows_of, source_of
from tidegate.common.errors import TidegateError
from tidegate.config.source import RESERVED_COLUMNS, Source
from tidegate.landing import json_lines
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.reasons import REASONS
from tidegate.tables.events import BASE_COLUMNS

COLUMNS = {
    "i": {"path": "i", "type": "int"},
    "b": {"path": "b", "type": "bigint"},
    "d": {"path": "d", "type": "decimal(6,2)"},
    "wide": {"path": "wide", "type": "decimal(38,20)"},
    "full": {"path": "full", "type": "decimal(38,2)"},
    "day": {"path": "day", "type": "date"},
    "flag": {"path": "flag", "type": "boolean"},
    "ts": {"path": "ts", "type": "timestamp"},
    "x": {"path": "x", "type": "double"},
    "y": {"path": "y", "type": "float"},
    "s": {"path": "s", "type": "string"},
    "deep": {"path": "a.b.c", "type": "string"},
    "dotted": {"path": "`k.l`", "type": "string"},
    "letter": {"sql": "substr(s, 1, 1)", "type": "string"},
    "size": {"sql": "strlen(raw)", "type": "int"},
    "nested": {"sql": "coalesce(user.id, a.b.c)", "type": "string"},
}
GOOD = '"id":"1","at":"2024-03-01T12:00:01Z"'


@dataclass(frozen=True)
class Case:
    """A line, the reason for which it is quarantined or None, and values that the event has."""

    line: bytes
    reason: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def _ok(line: str, **values: Any) -> Case:
    return Case(line.encode(), None, values)


def _with(members: str, **values: Any) -> Case:
    return _ok(f"{{{GOOD},{members}}}", **values)


def _bad(line: str | bytes, reason: str) -> Case:
    return Case(line.encode() if isinstance(line, str) else line, reason)


def _unfit(members: str) -> Case:
    return _bad(f"{{{GOOD},{members}}}", "bad_value")


def _at(text: str) -> str:
    return f'{{"id":"1","at":{json.dumps(text)}}}'


FORM = {
    "a whole event": _ok(
        f'{{{GOOD},"type":"view","user":{{"id":"u"}},"anon":"a"}}',
        event_id="1",
        event_time="2024-03-01 12:00:01",
        event_type="view",
        user_id="u",
        anonymous_id="a",
        user_key="u",
    ),
    "the smallest event": _ok(f"{{{GOOD}}}", event_type=None, user_key=None, i=None, deep=None),
    "spaces and a carriage return around": _ok(f" \t{{{GOOD}}} \r", properties=f"{{{GOOD}}}"),
    "bytes that are not UTF-8": _bad(b'{"id":"\xff\xfe"}', "not_utf8"),
    "a cut UTF-8 sequence": _bad(b'{"id":"1","s":"\xe2\x82"}', "not_utf8"),
    "latin-1": _bad('{"id":"é"}'.encode("latin-1"), "not_utf8"),
    "a line of 20 MB": _bad(f'{{{GOOD},"s":"{"x" * 20_000_000}"}}', "too_long"),
    "an empty line": _bad("", "blank_line"),
    "spaces only": _bad("  \t ", "blank_line"),
    "a carriage return only": _bad("\r", "blank_line"),
    "JSON cut short": _bad('{"id":"1","at":"2024-0', "not_json"),
    "two objects": _bad(f"{{{GOOD}}} {{{GOOD}}}", "not_json"),
    "two objects without space": _bad(f"{{{GOOD}}}{{{GOOD}}}", "not_json"),
    "two objects with a comma": _bad(f"{{{GOOD}}},{{{GOOD}}}", "not_json"),
    "a member after the object": _bad(f'{{{GOOD}}},"x":2', "not_json"),
    "a member after the object, twice": _bad(f'{{{GOOD}}},"x":2,"v":{{{GOOD}}}', "not_json"),
    "brackets closed and opened": _bad(f'{{{GOOD}}}],"v":[{{{GOOD}}}', "not_json"),
    "a comma after the object": _bad(f"{{{GOOD}}},", "not_json"),
    "two objects and an end mark": _bad(f'{{{GOOD}}},{{"~end of line~":1}}', "not_json"),
    "an end mark of its own": _bad(f'{{{GOOD}}}],"~end of line~":1}}', "not_json"),
    "garbage after the object": _bad(f"{{{GOOD}}} garbage", "not_json"),
    "one brace too many": _bad('{"id":9}}', "not_json"),
    "one brace too many in a whole event": _bad(f"{{{GOOD}}}}}", "not_json"),
    "garbage before the object": _bad(f"garbage {{{GOOD}}}", "not_json"),
    "single quotes": _bad("{'id':'1','at':'2024-03-01T12:00:01Z'}", "not_json"),
    "names without quotes": _bad('{id:"1"}', "not_json"),
    "a comment": _bad(f"{{{GOOD}}} // so", "not_json"),
    "a comma too many": _bad(f"{{{GOOD},}}", "not_json"),
    "NaN": _bad(f'{{{GOOD},"x":NaN}}', "not_json"),
    "Infinity in a member that nobody reads": _bad(f'{{{GOOD},"zz":-Infinity}}', "not_json"),
    "a leading zero": _bad(f'{{{GOOD},"i":007}}', "not_json"),
    "a control character in a text": _bad(f'{{{GOOD},"s":"a\x01b"}}', "not_json"),
    "a zero byte": _bad(f'{{{GOOD},"s":"a\x00b"}}', "not_json"),
    "a carriage return in a text of a member": _bad(
        f'{{{GOOD},"user":{{"id":"u\r}},"s":"x"}}', "not_json"
    ),
    "a tab in a text": _bad(f'{{{GOOD},"s":"a\tb"}}', "not_json"),
    "a no-break space": _bad(f"\u00a0{{{GOOD}}}", "not_json"),
    "a byte order mark within the file": _bad(f"\ufeff{{{GOOD}}}", "not_json"),
    "a deep nest": _bad("[" * 5000 + "]" * 5000, "not_object"),
    "a deep nest in a member that nobody reads": _with(f'"zz":{"[" * 10_000}{"]" * 10_000}'),
    "a deep nest that is not closed": _bad(f'{{{GOOD},"zz":{"[" * 10_000}}}', "not_json"),
    "a number of many digits that nobody reads": _with(f'"zz":{"7" * 5000}'),
    "a number beyond a double that nobody reads": _with('"zz":1e400'),
    "a lone surrogate that nobody reads": _with('"zz":"\\ud800"'),
    "a lone surrogate in a column": _unfit('"s":"\\ud800"'),
    "a low surrogate in a column": _unfit('"s":"x\\udc00"'),
    "a pair of surrogates": _with('"s":"\\ud83c\\udf0a"', s="🌊"),
    "an escaped zero": _with('"s":"a\\u0000"', s="a\x00"),
    "the word NaN in a text": _with('"s":"NaN"', s="NaN"),
    "plain text": _bad("hello", "not_json"),
    "an array": _bad(f"[{{{GOOD}}}]", "not_object"),
    "an array of two": _bad(f"[{{{GOOD}}},{{{GOOD}}}]", "not_object"),
    "null": _bad("null", "not_object"),
    "a number": _bad("17", "not_object"),
    "a text": _bad('"x"', "not_object"),
    "true": _bad("true", "not_object"),
    "an escaped character": _with('"s":"\\u00e9\\n\\t\\u0001"', s="é\n\t\x01"),
    "brackets in a text": _with('"s":"]}],"', s="]}],"),
    "an end mark as a member": _with('"~end of line~":5'),
    "an emoji": _with('"s":"🌊"', s="🌊"),
    "a lone carriage return between members": _ok(f'{{{GOOD},\r"s":"x"}}', s="x"),
    "two equal names that nobody reads": _with('"zz":1,"zz":2', s=None),
    "two equal names, one written with an escape": _unfit('"s":"a","\\u0073":"b"'),
    "two equal names in an object that is read": _unfit('"user":{"id":"a","id":"b"}'),
    "two equal objects of which one is read": _unfit('"user":{"id":"a"},"user":{}'),
    "an equal name in another object": _with('"user":{"id":"a"},"zz":{"id":"b"}', user_id="a"),
    "an unknown member": _with('"zzz":[1,{"a":2}]'),
    "two equal names that are used": _unfit('"s":"a","s":"b"'),
}

IDENTITY = {
    "no id": _bad('{"at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "a null id": _bad('{"id":null,"at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "an empty id": _bad('{"id":"","at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "an id of spaces": _ok('{"id":"  ","at":"2024-03-01T12:00:01Z"}', event_id="  "),
    "an empty object": _bad("{}", "missing_event_id"),
    "a number as id": _ok('{"id":17,"at":"2024-03-01T12:00:01Z"}', event_id="17"),
    "an id beyond 64 bits": _ok(
        '{"id":123456789012345678901234567890,"at":"2024-03-01T12:00:01Z"}',
        event_id="123456789012345678901234567890",
    ),
    "an id with spaces around": _ok('{"id":" x ","at":"2024-03-01T12:00:01Z"}', event_id=" x "),
    "an id that is a fraction": _ok('{"id":1.10,"at":"2024-03-01T12:00:01Z"}', event_id="1.10"),
    "an id that is minus nought": _ok('{"id":-0,"at":"2024-03-01T12:00:01Z"}', event_id="-0"),
    "an id beyond a double": _ok('{"id":1e400,"at":"2024-03-01T12:00:01Z"}', event_id="1e400"),
    "an id that is true": _ok('{"id":true,"at":"2024-03-01T12:00:01Z"}', event_id="true"),
    "an id that is an object": _bad('{"id":{"a":1},"at":"2024-03-01T12:00:01Z"}', "bad_value"),
    "an id with a lone surrogate": _bad(
        '{"id":"\\ud800","at":"2024-03-01T12:00:01Z"}', "bad_value"
    ),
    "a user of spaces": _with('"user":{"id":" "},"anon":"a"', user_key=" ", user_id=" "),
    "a user id that is an object": _unfit('"user":{"id":{"id":"u"}}'),
    "a user id that is a list": _unfit('"user":{"id":["u"]},"anon":"a"'),
    "a type that is an object": _unfit('"type":{}'),
    "an anonymous user": _with('"anon":"a"', user_key="a", user_id=None),
    "an empty user and an anonymous one": _with('"user":{"id":""},"anon":"a"', user_key="a"),
    "an empty user": _with('"user":{"id":""}', user_key=None, user_id=None),
    "a user that is no object": _with('"user":5,"s":"x"', user_key=None, s="x"),
    "a user that is a list": _with('"user":[{"id":"u"}],"s":"x"', user_key=None, s="x"),
    "a user that is a text": _with('"user":"u","s":"x"', user_key=None, s="x"),
    "a user that is an empty text": _with('"user":"","s":"x"', user_key=None, s="x"),
    "a user that is null": _with('"user":null,"s":"x"', user_key=None, s="x"),
    "an empty type": _with('"type":""', event_type=""),
    "a type that is a number": _with('"type":3', event_type="3"),
}

TIMES = {
    "no time": _bad('{"id":"1"}', "missing_event_time"),
    "a null time": _bad('{"id":"1","at":null}', "missing_event_time"),
    "an empty time": _bad(_at(""), "missing_event_time"),
    "a time of spaces": _bad(_at(" "), "missing_event_time"),
    "words": _bad(_at("yesterday"), "bad_event_time"),
    "a moment by name": _bad(_at("now"), "bad_event_time"),
    "a time of day only": _bad(_at("12:30"), "bad_event_time"),
    "a time of day with T": _bad(_at("T12:30:00Z"), "bad_event_time"),
    "a date only": _bad(_at("2024-03-01"), "bad_event_time"),
    "a year only": _bad(_at("2024"), "bad_event_time"),
    "a number where a text is wanted": _bad('{"id":"1","at":1709294400}', "bad_event_time"),
    "the 30th of February": _bad(_at("2024-02-30T12:00:00Z"), "bad_event_time"),
    "hour 24": _bad(_at("2024-03-01T24:00:00Z"), "bad_event_time"),
    "second 60": _bad(_at("2024-03-01T12:00:60Z"), "bad_event_time"),
    "a month without its zero": _bad(_at("2024-3-01T12:00:00Z"), "bad_event_time"),
    "a zone by name": _bad(_at("2024-03-01T12:00:00 Europe/Berlin"), "bad_event_time"),
    "text after the time": _bad(_at("2024-03-01T12:00:00Z!"), "bad_event_time"),
    "an object": _bad('{"id":"1","at":{}}', "bad_event_time"),
    "hour 24 of a leap day": _bad(_at("2024-02-29T24:00:00Z"), "bad_event_time"),
    "a week date": _bad(_at("2024-W09-5T12:00:00Z"), "bad_event_time"),
    "an ordinal date": _bad(_at("2024-061T12:00:00Z"), "bad_event_time"),
    "a minus sign that is none": _bad(_at("2024-03-01T12:00:00\u221200:00"), "bad_event_time"),
    "a zone in brackets": _bad(_at("2024-03-01T13:00:00+01:00[Europe/Paris]"), "bad_event_time"),
    "a point without a fraction": _bad(_at("2024-03-01T12:00:00.Z"), "bad_event_time"),
    "an offset of more than 18 hours": _bad(_at("2024-03-02T06:30:00+18:30"), "bad_event_time"),
    "an offset with minute 60": _bad(_at("2024-03-01T13:00:00+00:60"), "bad_event_time"),
    "digits of another script": _bad(_at("\uff12024-03-01T12:00:00Z"), "bad_event_time"),
    "the year 0000": _bad(_at("0000-01-01T00:00:00Z"), "bad_event_time"),
    "five digits of a year": _bad(_at("10000-01-01T00:00:00Z"), "bad_event_time"),
    "basic form": _ok(_at("20240301T120001Z"), event_time="2024-03-01 12:00:01"),
    "basic form with a fraction and an offset": _ok(
        _at("20240301T130001.25+0100"), event_time="2024-03-01 12:00:01.25"
    ),
    "basic form without seconds": _ok(_at("20240301T1234Z"), event_time="2024-03-01 12:34:00"),
    "a small t and a small z": _ok(_at("2024-03-01t12:00:01z"), event_time="2024-03-01 12:00:01"),
    "spaces around": _ok(_at(" 2024-03-01T12:00:01Z "), event_time="2024-03-01 12:00:01"),
    "ten digits of a fraction": _ok(
        _at("2024-03-01T12:00:01.1234567899Z"), event_time="2024-03-01 12:00:01.123456"
    ),
    "an offset of minus nought": _ok(
        _at("2024-03-01T12:00:01-00:00"), event_time="2024-03-01 12:00:01"
    ),
    "an offset of fourteen hours": _ok(
        _at("2024-03-02T02:00:01+14:00"), event_time="2024-03-01 12:00:01"
    ),
    "no zone": _ok(_at("2024-03-01T12:00:01"), event_time="2024-03-01 12:00:01"),
    "a space for the T": _ok(_at("2024-03-01 12:00:01Z"), event_time="2024-03-01 12:00:01"),
    "no seconds": _ok(_at("2024-03-01T12:34Z"), event_time="2024-03-01 12:34:00"),
    "a fraction": _ok(_at("2024-03-01T12:00:01.5Z"), event_time="2024-03-01 12:00:01.5"),
    "microseconds": _ok(
        _at("2024-03-01T12:00:01.000001Z"), event_time="2024-03-01 12:00:01.000001"
    ),
    "nanoseconds": _ok(
        _at("2024-03-01T12:00:01.999999999Z"), event_time="2024-03-01 12:00:01.999999"
    ),
    "a comma before the fraction": _ok(
        _at("2024-03-01T12:00:01,25Z"), event_time="2024-03-01 12:00:01.25"
    ),
    "a zone east": _ok(_at("2024-03-01T13:00:00+01:00"), event_time="2024-03-01 12:00:00"),
    "a zone of half an hour": _ok(
        _at("2024-03-01T17:30:00+0530"), event_time="2024-03-01 12:00:00"
    ),
    "a zone of half an hour west, after a space": _ok(
        _at("2024-03-01 08:30:00 -03:30"), event_time="2024-03-01 12:00:00"
    ),
    "a zone of hours": _ok(_at("2024-03-01T07:00:00-05"), event_time="2024-03-01 12:00:00"),
    "a small z": _ok(_at("2024-03-01T12:00:00z"), event_time="2024-03-01 12:00:00"),
    "UTC by name": _ok(_at("2024-03-01T12:00:00 UTC"), event_time="2024-03-01 12:00:00"),
    "GMT by name": _ok(_at("2024-03-01T12:00:00GMT"), event_time="2024-03-01 12:00:00"),
    "exactly as late as is accepted": _ok(
        _at("2024-02-29T12:00:00Z"), event_time="2024-02-29 12:00:00"
    ),
    "a microsecond later than that": _bad(_at("2024-02-29T11:59:59.999999Z"), "too_late"),
    "exactly as early as is accepted": _ok(
        _at("2024-03-01T13:30:00Z"), event_time="2024-03-01 13:30:00"
    ),
    "a microsecond earlier than that": _bad(_at("2024-03-01T13:30:00.000001Z"), "too_early"),
    "the year 0001": _bad(_at("0001-01-01T00:00:00Z"), "too_late"),
    "the year 9999": _bad(_at("9999-12-31T23:59:59Z"), "too_early"),
}

VALUES = {
    "int": _with('"i":12', i=12),
    "int as text": _with('"i":" 12 "', i=12),
    "int with a sign": _with('"i":"-7"', i=-7),
    "int null": _with('"i":null', i=None),
    "int with a fraction": _unfit('"i":"12.7"'),
    "int number with a fraction": _unfit('"i":12.7'),
    "int with an exponent": _with('"i":"1e3"', i=1000),
    "int number with an exponent": _with('"i":1e3', i=1000),
    "int with zeros after the point": _with('"i":120.0', i=120),
    "int text with zeros after the point": _with('"i":"120.0"', i=120),
    "int number with an exponent that is whole": _with('"i":1.2e2', i=120),
    "int number with an exponent that is not": _unfit('"i":1.205e2'),
    "int minus nought": _with('"i":-0', i=0),
    "int beyond any": _unfit('"i":1e999999999'),
    "int beyond 32 bits": _unfit('"i":2147483648'),
    "int empty": _unfit('"i":""'),
    "int words": _unfit('"i":"many"'),
    "int hexadecimal": _unfit('"i":"0x10"'),
    "int boolean": _unfit('"i":true'),
    "int object": _unfit('"i":{}'),
    "bigint": _with('"b":9223372036854775807', b=9223372036854775807),
    "bigint overflow": _unfit('"b":9223372036854775808'),
    "decimal": _with('"d":1234.5', d="1234.50"),
    "decimal with zeros at its end": _with('"d":"1.5000"', d="1.50"),
    "decimal with an exponent": _with('"d":"1.5e2"', d="150.00"),
    "decimal with too many digits after the point": _unfit('"d":1.005'),
    "decimal with too many such digits in an exponent": _unfit('"d":"1005e-3"'),
    "decimal with too many digits before the point": _unfit('"d":12345.5'),
    "decimal words": _unfit('"d":"1,5"'),
    "decimal NaN": _unfit('"d":"NaN"'),
    "decimal of 20 digits after the point": _with(
        '"wide":"0.12345678901234567890"', wide="0.12345678901234567890"
    ),
    "decimal of 21 digits after the point": _unfit('"wide":"0.123456789012345678901"'),
    "decimal of 38 digits": _with(
        '"full":"123456789012345678901234567890123456.78"',
        full="123456789012345678901234567890123456.78",
    ),
    "decimal number of more digits than a double holds": _with(
        '"full":1234567890123456789.01', full="1234567890123456789.01"
    ),
    "decimal number with too many digits, the last ones too small for a double": _unfit(
        '"full":1234567890123456789.012'
    ),
    "decimal number beside two equal names": _with('"full":12.5,"zz":"a","zz":"b"', full="12.50"),
    "decimal number with zeros at its end": _with('"d":1.500', d="1.50"),
    "decimal number that is nought": _with('"d":0.000', d="0.00"),
    "decimal number of a small exponent": _unfit('"d":1e-400'),
    "decimal of 39 digits": _unfit('"full":"123456789012345678901234567890123456.789"'),
    "date": _with('"day":"2024-02-29"', day="2024-02-29"),
    "date that is none": _unfit('"day":"2015-02-30"'),
    "date with a time": _unfit('"day":"2024-02-29T10:00:00"'),
    "date by name": _unfit('"day":"today"'),
    "boolean": _with('"flag":true', flag=True),
    "boolean as text": _with('"flag":"False"', flag=False),
    "boolean that is none": _unfit('"flag":"maybe"'),
    "boolean two": _unfit('"flag":2'),
    "timestamp": _with('"ts":"2024-03-01T12:00:00Z"', ts="2024-03-01 12:00:00"),
    "timestamp without a zone": _with('"ts":"1999-12-31 23:59:59.25"', ts="1999-12-31 23:59:59.25"),
    "timestamp with a zone": _with('"ts":"2024-03-01T17:30:00+0530"', ts="2024-03-01 12:00:00"),
    "timestamp of a time only": _unfit('"ts":"12:30"'),
    "timestamp by name": _unfit('"ts":"epoch"'),
    "double": _with('"x":1.5e3', x=1500),
    "double of many digits": _with('"x":0.1000000000000000055511151231257827', x=0.1),
    "double number beyond its range": _unfit('"x":1e400'),
    "double number of 400 digits": _unfit(f'"x":1{"0" * 400}'),
    "float number beyond its range": _unfit('"y":1e39'),
    "double too small for any": _with('"x":1e-400', x=0),
    "double words": _unfit('"x":"big"'),
    "double with a letter behind": _unfit('"x":"12d"'),
    "double beyond its range": _unfit('"x":"1e400"'),
    "float beyond its range": _unfit('"y":"1e39"'),
    "float": _with('"y":0.25', y=0.25),
    "float of the middle of two": _with('"y":1.000000059604644775390625', y=1.0),
    "float beside the middle of two": _with('"y":1.0000000596046447753906251', y=1 + 2**-23),
    "float beside the middle of two, as text": _with(
        '"y":"1.0000000596046447753906251"', y=1 + 2**-23
    ),
    "float of the smallest that is no zero": _with('"y":1e-45', y=2**-149),
    "string of a number": _with('"s":12.70', s="12.70"),
    "string of an object": _with('"s":{"a": [1]}', s='{"a":[1]}'),
    "string empty": _with('"s":""', s=""),
    "a nested path": _with('"a":{"b":{"c":"deep"}}', deep="deep", nested="deep"),
    "a nested path that ends early": _with('"a":{"b":1}', deep=None),
    "a path with a dot in a name": _with('"k.l":"x","k":{"l":"y"}', dotted="x"),
    "SQL over a field": _with('"s":"hello"', letter="h"),
    "SQL over the whole line": _ok(f"{{{GOOD}}}  ", size=len(GOOD) + 4),
    "SQL over a nested field": _with('"user":{"id":"u"},"a":{"b":{"c":"x"}}', nested="u"),
}

CASES = {**FORM, **IDENTITY, **TIMES, **VALUES}


FILLER = [f'{{"id":"f{n}","at":"2024-03-01T12:00:00Z","type":"fill"}}' for n in range(600)]
"""Lines that make a block large enough to be read at once."""


def json_source(**keys: Any) -> Source:
    return source_of(
        **{
            "fields": {
                "event_id": "id",
                "event_time": "at",
                "event_type": "type",
                "user_id": "user.id",
                "anonymous_id": "anon",
            },
            "columns": COLUMNS,
            "accept": {"late": "1d", "future": "30m"},
            **keys,
        }
    )


@pytest.fixture(scope="module", params=["together", "by itself"])
def outcome(request: pytest.FixtureRequest) -> dict[str, Row]:
    """Return what became of every case's line, by the case's name."""
    # The first line of a file is special: a byte order mark may stand before it.
    lines: list[str | bytes] = ["{}", *(case.line for case in CASES.values())]
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by itself":
            patch.setattr(json_lines, "_FEW", 1 << 40)
        else:
            lines += FILLER
        rows = rows_of(json_source(), lines)
    assert [row["line"] for row in rows] == list(range(1, len(lines) + 1))
    return dict(zip(["", *CASES], rows, strict=False))


@pytest.mark.parametrize("name", CASES)
def test_a_line_becomes_what_it_should(name: str, outcome: dict[str, Row]) -> None:
    case, row = CASES[name], outcome[name]
    expected = "event" if case.reason is None else "quarantined"
    assert (row["_outcome"], row["_reason"]) == (expected, case.reason), row["_detail"]
    if case.reason is None:
        assert {key: row[key] for key in case.values} == case.values
        assert row["_raw"] is None
        assert row["_detail"] is None
    else:
        text = case.line.decode(errors="replace")
        assert row["_raw"] == (text[:MAX_RAW_BYTES] if case.reason == "too_long" else text)
        assert row["_detail"]
        assert row["event_id"] is None
        assert (row["_raw_bytes"] == case.line.hex().upper()) == (case.reason == "not_utf8")
    assert row["source"] == "web"
    assert row["dump_hour"] == "2024-03-01 12:00:00"
    assert row["dump_date"] == "2024-03-01"


def test_every_reason_has_a_case() -> None:
    reasons = {case.reason for case in CASES.values()} - {None}
    assert reasons | {"wrong_columns", "bad_quotes", "not_access_log", "erased"} == set(REASONS)


def test_a_line_at_the_limit_of_length_is_an_event_and_one_byte_more_is_not() -> None:
    room = MAX_LINE_BYTES - len(f'{{{GOOD},"s":""}}')
    lines = [f'{{{GOOD},"s":"{"x" * size}"}}' for size in (room, room + 1)]
    rows = rows_of(json_source(), lines)
    assert [row["_reason"] for row in rows] == [None, "too_long"]
    assert len(rows[0]["s"]) == room


@pytest.mark.parametrize("first", ["event", "blank", "not_utf8"])
def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(first: str) -> None:
    line = {"event": f"{{{GOOD}}}".encode(), "blank": b"", "not_utf8": b'{"id":"\xff"}'}[first]
    rows = rows_of(json_source(), [b"\xef\xbb\xbf" + line, f"{{{GOOD}}}"])
    reasons = {"event": None, "blank": "blank_line", "not_utf8": "not_utf8"}
    assert [row["_reason"] for row in rows] == [reasons[first], None]
    if first == "event":
        assert rows[0]["properties"] == f"{{{GOOD}}}"


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_file_without_a_line_feed_at_its_end_loses_nothing(end: str) -> None:
    rows = rows_of(json_source(), f"{{{GOOD}}}\n\n{{{GOOD}}}{end}")
    assert [row["_reason"] for row in rows] == [None, "blank_line", None]


def test_columns_may_have_any_name_that_a_source_file_allows() -> None:
    names = ["outcome", "reason", "detail", "raw_bytes", "dump", "token", "value", "path", "body"]
    names += ["f", "p", "k", "t", "v", "n", "problem", "kept", "is_header", "is_whole"]
    names += ["place", "before", "slice", "landing_id", "count", "tidegate_fields"]
    source = source_of(
        columns={
            **{name: {"path": name, "type": "string"} for name in names},
            "raw": {"sql": "concat(kept, '/', length(raw))", "type": "string"},
        }
    )
    line = json.dumps({"id": "1", "at": "2024-03-01T12:00:00Z", **{n: n for n in names}})
    [row] = rows_of(source, [line])
    assert {name: row[name] for name in names} == {name: name for name in names}
    assert row["raw"] == f"kept/{len(line)}"
    assert row["_outcome"] == "event"


@pytest.mark.parametrize("copies", [1, 200])
def test_fields_may_have_names_that_mean_something_to_sql(copies: int) -> None:
    names = ["it's", 'say "hi"', "back\\slash", "a\\'b", "a:b<c>,d", "größe 1"]
    columns = {
        **{f"flat_{n}": {"path": name, "type": "string"} for n, name in enumerate(names)},
        **{f"nested_{n}": {"path": f"in.{name}", "type": "string"} for n, name in enumerate(names)},
    }
    inner = {name: f"in {name}" for name in names}
    line = {"id": "1", "at": "2024-03-01T12:00:00Z", **{name: name for name in names}, "in": inner}
    for row in rows_of(source_of(columns=columns), [json.dumps(line)] * copies):
        assert row["_outcome"] == "event"
        assert [row[f"flat_{n}"] for n in range(len(names))] == names
        assert [row[f"nested_{n}"] for n in range(len(names))] == list(inner.values())


# -- computed ids --------------------------------------------------------------------------------


def test_no_column_of_a_source_may_have_the_name_of_one_of_the_tables() -> None:
    assert RESERVED_COLUMNS == BASE_COLUMNS


def test_computed_ids_are_distinct_for_identical_lines_of_all_files() -> None:
    source = source_of(fields={"event_time": "at"}, columns={})
    ids = {
        row["event_id"]
        for name in "ab"
        for row in rows_of(source, [f"{{{GOOD}}}"] * 5, f"{name}.json")
    }
    assert len(ids) == 10


def test_computed_ids_of_two_sources_or_hours_differ() -> None:
    ids = set()
    for name, hour in (("web", NOON), ("app", NOON), ("web", NOON + HOUR)):
        source = source_of(source=name, fields={"event_time": "at"}, columns={})
        [row] = rows_of(source, [f"{{{GOOD}}}"], hour=hour)
        ids.add(row["event_id"])
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("plain.json", "plain.json"),
        ('quote".json', r"quote\".json"),
        ("back\\slash", r"back\\slash"),
        ("a\x01b", r"a\u0001b"),
        ("a\x1fb", r"a\u001Fb"),
        ("a\x00b", r"a\u0000b"),
        ("tab\tfeed\n", r"tab\tfeed\n"),
        ("line\u2028end", "line\u2028end"),
        ("wave🌊\x7f/é", "wave🌊\x7f/é"),
    ],
)
def test_computed_ids_are_the_hash_of_a_json_array(name: str, written: str) -> None:
    source = source_of(fields={"event_time": "at"}, columns={})
    rows = rows_of(source, [f"{{{GOOD}}}"] * 2, name)
    assert [row["event_id"] for row in rows] == [
        hashlib.sha256(f'["web","2024-03-01 12","{written}","{line}"]'.encode()).hexdigest()[:32]
        for line in (1, 2)
    ]


# -- numbers as times ----------------------------------------------------------------------------

EPOCHS = {
    "epoch_s": {
        "1709294401": "2024-03-01 12:00:01",
        '"1709294401"': "2024-03-01 12:00:01",
        "1709294401.5": "2024-03-01 12:00:01.5",
        "1709294401.123456": "2024-03-01 12:00:01.123456",
        "1709294401.1234567": "2024-03-01 12:00:01.123456",
        "1.709294401e9": "2024-03-01 12:00:01",
        "0": "too_late",
        "-1": "too_late",
        "99999999999": "too_early",
        "999999999999999": "bad_event_time",
        "1e30": "bad_event_time",
        '"2024-03-01T12:00:00Z"': "bad_event_time",
        '"NaN"': "bad_event_time",
        '""': "missing_event_time",
        "null": "missing_event_time",
        "true": "bad_event_time",
    },
    "epoch_ms": {
        "1709294401000": "2024-03-01 12:00:01",
        "1709294401001": "2024-03-01 12:00:01.001",
        "1709294401001.25": "2024-03-01 12:00:01.00125",
        "1709294401": "too_late",
    },
    "epoch_us": {
        "1709294401000001": "2024-03-01 12:00:01.000001",
    },
}


@pytest.mark.parametrize("copies", [1, 20])
@pytest.mark.parametrize("unit", EPOCHS)
def test_numbers_are_read_as_times_without_losing_microseconds(unit: str, copies: int) -> None:
    source = source_of(
        fields={"event_time": {"path": "t", "unit": unit}}, columns={}, accept={"late": "9d"}
    )
    texts = [text for text in EPOCHS[unit] for _ in range(copies)]
    rows = rows_of(source, [f'{{"t":{text}}}' for text in texts])
    assert [
        (text, row["event_time"] or row["_reason"]) for text, row in zip(texts, rows, strict=True)
    ] == [(text, EPOCHS[unit][text]) for text in texts]


# -- expressions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 100])
def test_an_expression_that_fails_on_a_value_costs_that_line_only(copies: int) -> None:
    source = source_of(columns={"less": {"sql": "CAST(n AS INT) - 3", "type": "int"}})
    texts = ["5", '"x"', "null", "3"] * copies
    rows = rows_of(source, [f'{{"id":"1","at":"2024-03-01T12:00:00Z","n":{n}}}' for n in texts])
    assert [(row["_reason"], row["less"]) for row in rows] == [
        (None, 2),
        ("bad_value", None),
        (None, None),
        (None, 0),
    ] * copies
    assert rows[1]["_detail"] == "less: expected a value, got an error of its expression"


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("decimal(38,20)", "123456789012345678901"),
        ("decimal(38,38)", "1"),
        ("decimal(38,38)", "-1e0"),
        ("decimal(38,38)", "99"),
        ("decimal(6,2)", "1e30"),
        ("decimal(6,2)", "9" * 76),
        # Of 256 bits this is 1, at any number of digits behind the point that is read.
        ("decimal(6,2)", str(pow(5**15, -1, 2**241))),
        ("decimal(38,38)", str(pow(5**38, -1, 2**218))),
    ],
)
def test_a_number_beyond_its_decimal_is_never_another_number(kind: str, number: str) -> None:
    source = source_of(columns={"d": {"path": "d", "type": kind}})
    lines = [f'{{{GOOD},"d":0.5}}' for _ in range(60)]
    rows = rows_of(source, [*lines, f'{{{GOOD},"d":{number}}}', *lines])
    assert [row["_reason"] for row in rows] == [*[None] * 60, "bad_value", *[None] * 60]
    assert {Decimal(row["d"]) for row in rows if row["_reason"] is None} == {Decimal("0.5")}


@pytest.mark.parametrize("copies", [1, 60])
def test_a_cast_is_made_of_those_members_only_that_the_expression_casts(copies: int) -> None:
    guarded = "CASE WHEN regexp_full_match(user.id, '[0-9]+') THEN CAST(user.id AS INT) END"
    source = source_of(
        fields={**LINES["fields"], "user_id": "user.id"},
        columns={
            "guarded": {"sql": guarded, "type": "int"},
            "tried": {"sql": "TRY(CAST(user.id AS INT))", "type": "int"},
        },
    )
    lines = [f'{{{GOOD},"user":{{"id":"{user}"}}}}' for user in ("anna", "12") * copies]
    rows = rows_of(source, lines)
    assert [row["_reason"] for row in rows] == [None] * 2 * copies
    assert [row["guarded"] for row in rows] == [None, 12] * copies
    assert [row["tried"] for row in rows] == [None, 12] * copies


def test_an_expression_with_an_unknown_function_is_an_error_of_the_source() -> None:
    column = {"sql": "no_such_function(n)", "type": "int"}
    with pytest.raises(TidegateError, match=r"no_such_function|can't be used"):
        rows_of(source_of(columns={"x": column}), ['{"id":"1","at":"2024-03-01T12:00:00Z"}'])
