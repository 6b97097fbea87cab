"""What becomes of lines: crafted ones, written to real files and read back by Spark.

The lines of all cases are decided together, in a few Spark jobs; each case then looks at its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from compare import Row, exact_rows
from conftest import MakeProject
from project import HOUR, NOON, Project
from tidegate.dumps import Dumps
from tidegate.landing.lines import MAX_LINE_BYTES, MAX_RAW_CHARS, Input, read_text, whole_files
from tidegate.landing.parse import REASONS, parse, staged_schema
from tidegate.source import RESERVED_COLUMNS, Source
from tidegate.steps.land import _by_header
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
    "size": {"sql": "octet_length(raw)", "type": "int"},
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
    "a deep nest": _bad("[" * 5000 + "]" * 5000, "not_json"),
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
    "an unknown member": _with('"zzz":[1,{"a":2}]'),
    "the last of two equal names": _with('"s":"a","s":"b"', s="b"),
}

IDENTITY = {
    "no id": _bad('{"at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "a null id": _bad('{"id":null,"at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "an empty id": _bad('{"id":"","at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "an id of spaces": _bad('{"id":"  ","at":"2024-03-01T12:00:01Z"}', "missing_event_id"),
    "an empty object": _bad("{}", "missing_event_id"),
    "a number as id": _ok('{"id":17,"at":"2024-03-01T12:00:01Z"}', event_id="17"),
    "an id beyond 64 bits": _ok(
        '{"id":123456789012345678901234567890,"at":"2024-03-01T12:00:01Z"}',
        event_id="123456789012345678901234567890",
    ),
    "an id with spaces around": _ok('{"id":" x ","at":"2024-03-01T12:00:01Z"}', event_id="x"),
    "an anonymous user": _with('"anon":"a"', user_key="a", user_id=None),
    "an empty user and an anonymous one": _with('"user":{"id":""},"anon":"a"', user_key="a"),
    "an empty user": _with('"user":{"id":" "}', user_key=None, user_id=None),
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
    "int with an exponent": _unfit('"i":"1e3"'),
    "int number with an exponent": _unfit('"i":1e3'),
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
    "decimal number beside two equal names": _with('"full":12.5,"s":"a","s":"b"', full="12.50"),
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
    "double words": _unfit('"x":"big"'),
    "double with a letter behind": _unfit('"x":"12d"'),
    "double beyond its range": _unfit('"x":"1e400"'),
    "float beyond its range": _unfit('"y":"1e39"'),
    "float": _with('"y":0.25', y=0.25),
    "string of a number": _with('"s":12.70', s="12.7"),
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


def decided(
    project: Project, source: Source, files: Sequence[Path] = ()
) -> dict[tuple[str, int], Row]:
    """Parse the files of the first hour; return what became of each line, by file and line."""
    work = project.work()
    dumps = Dumps(source, project.settings.s3)
    inputs = [Input(NOON, file) for file in dumps.files(NOON)]
    assert len(inputs) >= len(files)
    if source.format.type == "csv":
        frames = [
            parse(read_text(work.lake, group), source, header)
            for header, group in _by_header(source, dumps, inputs).items()
        ]
    else:
        frames = [parse(read_text(work.lake, inputs), source)]
    with whole_files(work.lake):
        rows = [row for frame in frames for row in exact_rows(frame)]
    assert [name for name, _ in frames[0].dtypes] == _names(staged_schema(source))
    found = {(row["file"], row["line"]): row for row in rows}
    assert len(found) == len(rows), "a line came out twice"
    return found


def _names(ddl: str) -> list[str]:
    return ddl.split("`")[1::2]


@pytest.fixture(scope="module")
def json_source() -> Callable[[Project], Source]:
    def make(project: Project) -> Source:
        return project.source(
            fields={
                "event_id": "id",
                "event_time": "at",
                "event_type": "type",
                "user_id": "user.id",
                "anonymous_id": "anon",
            },
            columns=COLUMNS,
            accept={"late": "1d", "future": "30m"},
        )

    return make


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject, json_source: Callable[[Project], Source]) -> dict[str, Row]:
    """Return what became of every case's line, by the case's name."""
    project = make_project()
    # The first line of a file is special: a byte order mark may stand before it.
    project.put_hour(NOON, [b"{}", *(case.line for case in CASES.values())])
    found = decided(project, json_source(project))
    assert len(found) == len(CASES) + 1
    return {name: row for name, (_, row) in zip(["", *CASES], sorted(found.items()), strict=True)}


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
        assert row["_raw"] == (text[:MAX_RAW_CHARS] if case.reason == "too_long" else text)
        assert row["_detail"]
        assert row["event_id"] is None
        assert (row["_raw_bytes"] == case.line.hex().upper()) == (case.reason == "not_utf8")
    assert row["source"] == "web"
    assert row["dump_hour"] == "2024-03-01 12:00:00"
    assert row["dump_date"] == "2024-03-01"


def test_every_reason_has_a_case() -> None:
    told = {case.reason for case in CASES.values()} - {None}
    assert told | {"wrong_columns", "erased"} == set(REASONS)


def test_a_line_at_the_limit_of_length_is_an_event_and_one_byte_more_is_not(
    make_project: MakeProject, json_source: Callable[[Project], Source]
) -> None:
    project = make_project()
    room = MAX_LINE_BYTES - len(f'{{{GOOD},"s":""}}')
    lines = [f'{{{GOOD},"s":"{"x" * size}"}}' for size in (room, room + 1)]
    project.put_hour(NOON, lines)
    rows = sorted(decided(project, json_source(project)).items())
    assert [row["_reason"] for _, row in rows] == [None, "too_long"]
    assert len(rows[0][1]["s"]) == room


@pytest.mark.parametrize("first", ["event", "blank", "not_utf8"])
def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(
    first: str, project: Project, json_source: Callable[[Project], Source]
) -> None:
    line = {"event": f"{{{GOOD}}}".encode(), "blank": b"", "not_utf8": b'{"id":"\xff"}'}[first]
    project.put("2024-03-01-12.json", [b"\xef\xbb\xbf" + line, f"{{{GOOD}}}"])
    rows = sorted(decided(project, json_source(project)).items())
    reasons = {"event": None, "blank": "blank_line", "not_utf8": "not_utf8"}
    assert [row["_reason"] for _, row in rows] == [reasons[first], None]
    if first == "event":
        assert rows[0][1]["properties"] == f"{{{GOOD}}}"


NAMES = (
    "plain",
    "with space",
    "a+b",
    "50%25",
    "k=v",
    "x[y]z",
    "star*",
    "what?",
    "{curly}",
    "back\\slash",
    "hash#tag",
    "tilde~(1)",
    "quote'\"",
    "pipe|^`<>",
    "é-ü-水",
    "no\u00a0break",
    "wave🌊",
    "semi;colon:at@and&$,!",
)


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_files_of_any_name_are_read_and_each_line_knows_its_file_and_number(
    suffix: str, project: Project, json_source: Callable[[Project], Source]
) -> None:
    for number, name in enumerate(NAMES):
        lines = [
            f'{{"id":"{name_id}","at":"2024-03-01T12:00:00Z"}}'
            for name_id in range(100 * number, 100 * number + 3)
        ]
        project.put(f"2024-03-01-12 {name}{suffix}", lines)
    rows = decided(project, json_source(project))
    assert {(file, line): row["event_id"] for (file, line), row in rows.items()} == {
        (f"2024-03-01-12 {name}{suffix}", line): str(100 * number + line - 1)
        for number, name in enumerate(NAMES)
        for line in (1, 2, 3)
    }


def test_a_file_without_a_line_feed_at_its_end_loses_nothing(
    project: Project, json_source: Callable[[Project], Source]
) -> None:
    project.put("2024-03-01-12.json", f"{{{GOOD}}}\n\n{{{GOOD}}}")
    rows = sorted(decided(project, json_source(project)).items())
    assert [row["_reason"] for _, row in rows] == [None, "blank_line", None]


def test_several_gzip_members_in_one_file_are_read_whole(
    project: Project, json_source: Callable[[Project], Source]
) -> None:
    one = project.put_hour(NOON, [f"{{{GOOD}}}"])
    one.write_bytes(one.read_bytes() * 3)
    assert len(decided(project, json_source(project))) == 3


def test_columns_may_have_any_name_that_a_source_file_allows(project: Project) -> None:
    names = [
        "outcome",
        "reason",
        "detail",
        "raw_bytes",
        "dump",
        "token",
        "value",
        "path",
        "body",
        "f",
        "p",
        "k",
        "t",
        "v",
        "n",
        "problem",
        "kept",
    ]
    names += [
        "is_header",
        "is_whole",
        "v_event_id",
        "t_event_id",
        "place",
        "before",
        "slice",
        "landing_id",
        "count",
    ]
    source = project.source(
        columns={
            **{name: {"path": name, "type": "string"} for name in names},
            "raw": {"sql": "concat(kept, '/', length(raw))", "type": "string"},
        }
    )
    line = json.dumps({"id": "1", "at": "2024-03-01T12:00:00Z", **{n: n for n in names}})
    project.put_hour(NOON, [line])
    [row] = decided(project, source).values()
    assert {name: row[name] for name in names} == {name: name for name in names}
    assert row["raw"] == f"kept/{len(line)}"
    assert row["_outcome"] == "event"


def test_fields_may_have_names_that_mean_something_to_sql(project: Project) -> None:
    names = ["it's", 'say "hi"', "back\\slash", "a\\'b", "a:b<c>,d", "größe 1"]
    columns = {
        **{f"flat_{n}": {"path": name, "type": "string"} for n, name in enumerate(names)},
        **{f"nested_{n}": {"path": f"in.{name}", "type": "string"} for n, name in enumerate(names)},
    }
    inner = {name: f"in {name}" for name in names}
    line = {"id": "1", "at": "2024-03-01T12:00:00Z", **{name: name for name in names}, "in": inner}
    project.put_hour(NOON, [json.dumps(line)])
    [row] = decided(project, project.source(columns=columns)).values()
    assert row["_outcome"] == "event"
    assert [row[f"flat_{n}"] for n in range(len(names))] == names
    assert [row[f"nested_{n}"] for n in range(len(names))] == list(inner.values())


# -- computed ids --------------------------------------------------------------------------------


def test_no_column_of_a_source_may_have_the_name_of_one_of_the_tables() -> None:
    assert RESERVED_COLUMNS == BASE_COLUMNS


def test_computed_ids_are_distinct_for_identical_lines_and_the_same_wherever_the_dumps_lie(
    make_project: MakeProject,
) -> None:
    found = []
    for _ in range(2):
        project = make_project()
        source = project.source(fields={"event_time": "at"}, columns={})
        for name in "ab":
            project.put_hour(NOON, [f"{{{GOOD}}}"] * 5, name)
        found.append({key: row["event_id"] for key, row in decided(project, source).items()})
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 10


def test_computed_ids_of_two_sources_or_hours_differ(project: Project) -> None:
    ids = set()
    for name, hour in (("web", NOON), ("app", NOON), ("web", NOON + HOUR)):
        source = project.source(source=name, fields={"event_time": "at"}, columns={})
        project.put_hour(NOON, [f"{{{GOOD}}}"])
        [file] = Dumps(source, project.settings.s3).files(NOON)
        [row] = exact_rows(parse(read_text(project.work().lake, [Input(hour, file)]), source))
        ids.add(row["event_id"])
    assert len(ids) == 3


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


@pytest.mark.parametrize("unit", EPOCHS)
def test_numbers_are_read_as_times_without_losing_microseconds(unit: str, project: Project) -> None:
    source = project.source(
        fields={"event_time": {"path": "t", "unit": unit}}, columns={}, accept={"late": "9d"}
    )
    project.put_hour(NOON, [f'{{"t":{text}}}' for text in EPOCHS[unit]])
    rows = sorted(decided(project, source).items())
    found = [row["event_time"] or row["_reason"] for _, row in rows]
    assert dict(zip(EPOCHS[unit], found, strict=True)) == EPOCHS[unit]


# -- delimited text ------------------------------------------------------------------------------


def csv_source(project: Project, suffix: str = "csv", **form: Any) -> Source:
    return project.source(
        f"{{dump_hour:%Y-%m-%d-%H}}*.{suffix}",
        format={"type": "csv", **form},
        fields={"event_id": "id", "event_time": "at", "event_type": "type", "user_id": "user"},
        columns={
            "i": {"path": "i", "type": "int"},
            "s": {"path": "s", "type": "string"},
            "both": {"sql": "concat_ws('-', id, s)", "type": "string"},
        },
    )


AT = "2024-03-01T12:00:00Z"
CSV_LINES: dict[str, str | dict[str, Any]] = {
    f"1,{AT},view,u,7,plain": {"event_id": "1", "i": 7, "s": "plain", "both": "1-plain"},
    f'2,{AT},view,u,7,"with, comma"': {"s": "with, comma"},
    f'3,{AT},view,u,7,"a ""quote"" in it"': {"s": 'a "quote" in it'},
    f"4,{AT},view,,,": {"user_key": None, "i": None, "s": None, "both": "4"},
    f'5,{AT},"",u,"",""': {"event_type": None, "i": None, "s": None},
    f"6,{AT},view,u,7,with carriage return\r": {"s": "with carriage return"},
    f"7,{AT},view,u,7": "wrong_columns",
    f"8,{AT},view,u,7,x,y": "wrong_columns",
    "": "blank_line",
    "\r": "blank_line",
    ",,,,,": "missing_event_id",
    "10,,view,u,7,x": "missing_event_time",
    "11,noon,view,u,7,x": "bad_event_time",
    f"12,{AT},view,u,seven,x": "bad_value",
    f"13,{AT},view,u, 7 ,  spaces  ": {"i": 7, "s": "  spaces  "},
    f"14,{AT},view,u,7,\\": {"s": "\\"},
    f"15,{AT},view,u,7,#x": {"s": "#x"},
    "#16,2024-03-01T12:00:00Z,view,u,7,x": {"event_id": "#16"},
    f"17,{AT},view,u,7,🌊": {"s": "🌊"},
    f"18,{AT},view,u,7," + "," * 30_000: "wrong_columns",
    f'19,{AT},view,u,7,"{"," * 30_000}"': {"s": "," * 30_000},
    f"20,{AT},view,u,7,{'x' * 900_000}": {"s": "x" * 900_000},
    "21," + "," * 900_000: "wrong_columns",
}


def test_delimited_lines_become_what_they_should(project: Project) -> None:
    header = "id,at,type,user,i,s"
    project.put("2024-03-01-12.csv", [header, *CSV_LINES, b"22,\xff,view,u,7,x", "x" * 20_000_000])
    rows = sorted(decided(project, csv_source(project)).items())
    assert rows[0][1]["_outcome"] == "header"
    assert [row["_reason"] for _, row in rows[-2:]] == ["not_utf8", "too_long"]
    for line, (_, row) in zip(CSV_LINES, rows[1:-2], strict=True):
        expected = CSV_LINES[line]
        if isinstance(expected, str):
            assert row["_reason"] == expected, line[:80]
            assert row["_raw"] == line, line[:80]
        else:
            assert row["_reason"] is None, (line[:80], row["_detail"])
            assert {key: row[key] for key in expected} == expected
            assert json.loads(row["properties"])["id"] == row["event_id"]


def test_each_file_has_its_own_header_in_its_own_order(project: Project) -> None:
    project.put("2024-03-01-12-a.csv", ["id,at,i,s,type,user", f"1,{AT},7,x,view,u"])
    project.put("2024-03-01-12-b.csv", ["s,user,at,type,i,id", f"y,v,{AT},click,8,2"])
    project.put("2024-03-01-12-c.csv", ["\ufeffid,at,i,s,type,user\r", f"3,{AT},9,z,view,w\r"])
    rows = {r["event_id"]: r for r in decided(project, csv_source(project)).values()}
    assert {key: (row["i"], row["s"], row["user_key"]) for key, row in rows.items() if key} == {
        "1": (7, "x", "u"),
        "2": (8, "y", "v"),
        "3": (9, "z", "w"),
    }
    assert (
        sum(row["_outcome"] == "header" for row in decided(project, csv_source(project)).values())
        == 3
    )


def test_a_header_that_lacks_columns_gives_events_without_their_values(project: Project) -> None:
    project.put("2024-03-01-12.csv", ["id,at", f"1,{AT}"])
    rows = decided(project, csv_source(project))
    row = rows["2024-03-01-12.csv", 2]
    assert (row["_outcome"], row["event_id"], row["i"], row["user_key"]) == (
        "event",
        "1",
        None,
        None,
    )


def test_a_header_with_an_empty_name_is_no_hindrance(project: Project) -> None:
    project.put("2024-03-01-12.csv", [",id,at,", f"0,1,{AT},9"])
    row = decided(project, csv_source(project))["2024-03-01-12.csv", 2]
    assert (row["_outcome"], row["event_id"]) == ("event", "1")


def test_files_without_a_header_are_read_by_the_names_given(project: Project) -> None:
    source = csv_source(project, header=["id", "at", "type", "user", "i", "s"], delimiter=";")
    project.put("2024-03-01-12.csv", [f"1;{AT};view;u;7;x", "id;at;type;user;i;s"])
    rows = sorted(decided(project, source).items())
    assert [row["_reason"] for _, row in rows] == [None, "bad_event_time"]
    assert rows[0][1]["s"] == "x"


def test_tabs_without_quotes_leave_quotes_as_they_are(project: Project) -> None:
    source = csv_source(project, "tsv", delimiter="\t", quote=None)
    project.put(
        "2024-03-01-12.tsv",
        ["id\tat\ttype\tuser\ti\ts", f'1\t{AT}\tview\tu\t7\tsay "x, y', f'2\t{AT}\tview\tu\t7\t"'],
    )
    rows = sorted(decided(project, source).items())
    assert [row["s"] for _, row in rows] == [None, 'say "x, y', '"']
    assert [row["_outcome"] for _, row in rows] == ["header", "event", "event"]


def test_columns_without_any_names_are_counted(project: Project) -> None:
    source = project.source(
        "{dump_hour:%Y-%m-%d-%H}*.csv",
        format={"type": "csv", "header": False},
        fields={"event_id": "_c0", "event_time": "_c1"},
        columns={"third": {"path": "_c2", "type": "string"}},
    )
    project.put("2024-03-01-12.csv", [f"1,{AT},x", f"2,{AT},y"])
    rows = sorted(decided(project, source).items())
    assert [row["third"] for _, row in rows] == ["x", "y"]


def test_the_accept_window_is_that_of_each_lines_own_hour(project: Project) -> None:
    source = project.source(accept={"late": "0h", "future": "0h"}, columns={})
    lake = project.work().lake
    lines = [
        json.dumps({"id": str(n), "at": (NOON + n * timedelta(minutes=30)).isoformat()})
        for n in range(6)
    ]
    inputs = []
    for n in range(3):
        project.put_hour(NOON + n * HOUR, lines)
        inputs.append(
            Input(NOON + n * HOUR, Dumps(source, project.settings.s3).files(NOON + n * HOUR)[0])
        )
    with whole_files(lake):
        rows = exact_rows(parse(read_text(lake, inputs), source))
    accepted = {(row["dump_hour"][11:13], row["event_id"]) for row in rows if row["event_id"]}
    assert accepted == {
        ("12", "0"), ("12", "1"), ("12", "2"),
        ("13", "2"), ("13", "3"), ("13", "4"),
        ("14", "4"), ("14", "5"),
    }  # fmt: skip
