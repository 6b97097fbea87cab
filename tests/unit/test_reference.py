"""The reference decides lines by the rules, and differs from the parser on Spark where the rules say so."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import corpus
from compare import assert_same_rows
from corpus.values import IDS
from project import HOUR, NOON
from reckoned import session_row
from reckoning import Event, sessions_of
from reference import json_text
from reference.parser import NOBODY, Decision, Place, decide_json, decide_record
from reference.sessions import session_rows
from reference.times import epoch_time, iso_time
from reference.values import value_of
from tidegate.config.source import Source, parse_source

GROUPS = [
    name
    for name in corpus.groups()
    if name.startswith(("json", "times")) and name != "json_expressions"
]
DEEP, DIGITS = 500, 1000
"""What Jackson, and with it the parser on Spark, can read."""


def _source(name: str) -> Source:
    return parse_source(dict(corpus.group(name).source), corpus.TODAY / "source.yml")


# -- where the reference and the parser on Spark differ ------------------------------------------------


def difference(line: bytes, today: corpus.Decided, decision: Decision) -> str | None:
    """Return which rule explains that a line is decided in another way; None where none does."""
    if (today.outcome, today.reason) == ("event", None) == (decision.outcome, decision.reason):
        changed = [name for name, value in decision.values.items() if value != today.values[name]]
        rules = {_value_rule(today.values[name], decision.values[name], name) for name in changed}
        return None if None in rules else " and ".join(sorted(map(str, rules)))
    if today.reason == "not_json":
        return "JSON of any depth and number of digits is JSON" if _is_beyond(line) else None
    if decision.detail and not decision.detail.startswith("column"):
        return decision.detail
    text = line.decode()
    if decision.reason is None and today.reason == "bad_value" and today.detail:
        return _wider(today.detail.partition(":")[0], text)
    if (today.reason, decision.reason) == ("missing_event_id", None):
        return "ids are not trimmed" if '"id":" "' in text else None
    if today.reason == "bad_event_time" and iso_time(_time_of(text)) is not None:
        return "times of more forms are times"
    if today.reason == "bad_event_time" and decision.reason == "too_early":
        return "numbers are read by their tokens" if "." in text else None
    if decision.reason == "bad_event_time":
        odd = re.search(r'"at":"(0000|0001|9999|[^\x00-\x7f])', text)
        return "years are 1 to 9999 in UTC, and digits are those of ASCII" if odd else None
    return _narrower(decision.detail.removeprefix("column "), today, text)


def _value_rule(today: Any, value: Any, name: str) -> str | None:
    if today is None and name == "_number":
        return "whole numbers may have a point or an exponent"
    if value is None and today in NOBODY:
        return "placeholders are no users"
    if name == "user_key" and today in NOBODY:
        return "placeholders are no users"
    if name in ("x", "y", "full", "wide", "whole", "d"):
        return "numbers are read by their tokens" if float(today) == float(value) else None
    if value is None or (today is None and value.strip(" ")):
        return "whole numbers may have a point or an exponent" if name == "_producer" else None
    if today is None or today == value.strip(" ") or (name == "user_key" and value == " "):
        return "ids are not trimmed"
    before, after = (_json_value(text.strip(" ")) for text in (today, value))
    return "numbers are read by their tokens" if before == after else None


def _json_value(text: str) -> Any:
    """Return a value with its numbers as floats, Infinity as Spark writes it."""
    try:
        value = json.loads(text, parse_int=float, parse_float=float)
    except ValueError:
        return text
    return json.loads(re.sub('"(-?Infinity)"', r"\1", json.dumps(value)))


def _is_beyond(line: bytes) -> bool:
    depth, deepest = 0, 0
    for byte in line:
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    return deepest >= DEEP or bool(re.search(rb"[0-9.]{%d}" % DIGITS, line))


def _wider(column: str, text: str) -> str | None:
    if column in ("column i", "column b"):
        return "whole numbers may have a point or an exponent"
    if column == "column ts":
        return "times of more forms are times"
    if column in ("column x", "column y") and re.search(r"\\t1|1\\u0000", text):
        return "white space and control characters around a number do not count"
    return None


def _narrower(column: str, today: corpus.Decided, text: str) -> str | None:
    if column in ("d", "wide", "full", "whole"):
        exact = re.search(rf'"{column}"\s*:\s*"?([^",}}]+)', text)
        was = today.values[column]
        is_rounded = exact and (not exact[1].isascii() or float(was) != exact[1] != was)
        return "decimals lose no digit, and digits are those of ASCII" if is_rounded else None
    if column in ("ts", "day") and re.search(rf'"{column}":"(0000|0001|9999)', text):
        return "years are 1 to 9999 in UTC, and digits are those of ASCII"
    if column == "flag" and '"flag":-0' in text:
        return "numbers are read by their tokens"
    return None


def _time_of(text: str) -> str:
    """Return the time of the event of a line, as it stands there for the last time."""
    return str(json.loads(text)["at"])


@pytest.mark.parametrize("name", GROUPS)
def test_each_difference_from_the_parser_on_spark_has_a_rule(name: str) -> None:
    source = _source(name)
    today = {(row.file, row.line): row for row in corpus.today(name)}
    rules: Counter[str] = Counter()
    unexplained = []
    for line in corpus.lines(name):
        row = today.get((line.file, line.number))
        if row is None:  # a file of nothing but a mark has no line on Spark
            assert line.data == b"\xef\xbb\xbf"
            continue
        decision = decide_json(line.data, source, Place(corpus.DUMP_HOUR, line.file, line.number))
        # Columns that came later are compared elsewhere.
        known = {name: value for name, value in decision.values.items() if name in row.values}
        decision = replace(decision, values=known)
        values = {key: row.values[key] for key in decision.values}
        if (row.outcome, row.reason, values) != (
            decision.outcome,
            decision.reason,
            dict(decision.values),
        ) and (row.outcome, row.reason, decision.outcome) != (
            "quarantined",
            decision.reason,
            "quarantined",
        ):
            rule = difference(line.data, row, decision)
            rules[rule or ""] += 1
            if rule is None:
                unexplained.append((line.data[:200], row.reason, row.detail, decision))
    assert not unexplained, unexplained[:5]
    print(name, dict(rules))  # noqa: T201  (the list of differences, for who asks with -s)


# -- JSON --------------------------------------------------------------------------------------------


def test_json_is_what_a_strict_reader_of_the_standard_library_says() -> None:
    def no_constant(name: str) -> None:
        raise ValueError(name)

    checked = 0
    for name in ("json_forms", "json_fuzz", "json_values", "json_ids"):
        for line in corpus.lines(name):
            try:
                text = line.data.decode()
            except UnicodeDecodeError:
                continue
            try:
                expected = json.loads(
                    text, parse_int=_Token, parse_float=_Token, parse_constant=no_constant,
                    object_pairs_hook=_Members,
                )  # fmt: skip
            except ValueError:
                with pytest.raises(json_text.NotJsonError):
                    json_text.parse(text)
                continue
            assert _plain(json_text.parse(text)) == expected, text
            checked += 1
    assert checked > 10_000


class _Token(str):
    """A number's token."""

    __slots__ = ()


class _Members(list[Any]):
    """Members of an object, as pairs."""


def _plain(node: json_text.Node) -> Any:
    words = {"true": True, "false": False, "null": None}
    if node.kind == "object":
        return _Members((name, _plain(value)) for name, value in node.members)
    if node.kind == "list":
        return [_plain(value) for value in node.items]
    if node.kind == "number":
        return _Token(node.text)
    return node.text if node.kind == "text" else words[node.kind]


@pytest.mark.parametrize("depth", [1, 999, 10_000, 100_000])
def test_json_may_be_of_any_depth(depth: int) -> None:
    text = "[" * depth + "]" * depth
    assert json_text.written(json_text.parse(text)) == text
    with pytest.raises(json_text.NotJsonError):
        json_text.parse(text[:-1])


def test_a_text_that_is_not_closed_is_refused_at_once() -> None:
    with pytest.raises(json_text.NotJsonError):
        json_text.parse('"' + "a" * 500_000)


# -- rules -------------------------------------------------------------------------------------------


def _decide(members: str) -> Decision:
    source = _source("json_forms")
    line = f'{{"id":"1","at":"2024-03-01T12:00:01Z",{members}}}'
    return decide_json(line.encode(), source, Place(corpus.DUMP_HOUR, "f", 2))


@pytest.mark.parametrize("name", NOBODY)
def test_a_placeholder_is_no_user_and_the_device_is_used(name: str) -> None:
    user = json.dumps({"id": name})
    values = _decide(f'"user":{user},"anon":"d"').values
    assert (values["user_id"], values["anonymous_id"], values["user_key"]) == (None, "d", "d")
    assert _decide(f'"user":{user},"anon":"d"').outcome == "event"
    assert json.loads(values["properties"])["user"]["id"] == name


def test_no_two_ids_become_one() -> None:
    source = _source("json_forms")
    ids: dict[str, str] = {}
    for token in dict.fromkeys(IDS):
        line = f'{{"id":{token},"at":"2024-03-01T12:00:01Z"}}'
        decision = decide_json(line.encode(), source, Place(corpus.DUMP_HOUR, "f", 2))
        if decision.outcome == "event":
            ids.setdefault(decision.values["event_id"], token)
            same = ids[decision.values["event_id"]]
            assert (
                same == token
                or json.loads(same) == json.loads(token)
                or _bare(same) == _bare(token)
            )
    assert len(ids) > 60


def _bare(token: str) -> str:
    """Return the text of an id: that of a number is its token."""
    value = json.loads(token, parse_int=str, parse_float=str)
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("120.0", "int", 120),
        ("1.2e2", "int", 120),
        ("120.5", "int", None),
        ("9223372036854775807.0", "bigint", 9223372036854775807),
        ("9223372036854775808", "bigint", None),
        ("1.005", "decimal(6,2)", None),
        ("1.500", "decimal(6,2)", "1.50"),
        ("-0.00", "decimal(6,2)", "0.00"),
        ("1e400", "double", None),
        ("16777217", "float", "16777216.0"),
        ("7.038531e-26", "float", "7.038530691851209e-26"),
        ("3.4028235677973366e38", "float", "3.4028234663852886e+38"),
        ("3.4028235677973367e38", "float", None),
        ("2023-02-29", "date", None),
        ("Yes", "boolean", True),
    ],
)
def test_a_value_loses_nothing_or_does_not_fit(text: str, kind: str, value: Any) -> None:
    assert value_of(text, kind) == value


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("19700101T000001Z", 1_000_000),
        ("1970-01-01t00:00z", 0),
        ("1969-12-31 23:59:59,999999 UTC", -1),
        ("1970-01-01T18:00:00+18:00", 0),
        ("1970-01-01T18:01:00+18:01", None),
        ("1972-06-30T23:59:60Z", 78796800_000000),
        ("1972-07-30T23:59:60Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01", None),
    ],
)
def test_a_time_is_its_instant_or_no_time(text: str, micros: int | None) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = None if micros is None else epoch + timedelta(microseconds=micros)
    assert iso_time(text) == expected


def test_a_number_of_seconds_keeps_its_microseconds() -> None:
    at = epoch_time("1709294401.123456789", "epoch_s")
    assert at == datetime(2024, 3, 1, 12, 0, 1, 123456, tzinfo=UTC)
    assert epoch_time("1e999999999", "epoch_s") is None


def test_a_record_of_delimited_text_is_decided_by_the_same_rules() -> None:
    source = _source("csv_commas")
    place = Place(corpus.DUMP_HOUR, "f", 2)
    cells = {
        "id": "1",
        "at": "2024-03-01T12:00:01Z",
        "type": "",
        "user": "\\N",
        "i": "7.0",
        "s": " x ",
    }
    values = decide_record(cells, source, place).values
    names = ("event_id", "event_type", "user_key", "i", "s")
    assert [values[name] for name in names] == ["1", None, None, 7, " x "]
    assert decide_record({**cells, "i": "7.5"}, source, place).reason == "bad_value"


# -- sessions ----------------------------------------------------------------------------------------


def _event(number: int, minute: float, user: str | None = "u", **more: Any) -> dict[str, Any]:
    return {
        "source": "web",
        "user_key": user,
        "user_key_kind": "user",
        "event_time": NOON + timedelta(minutes=minute),
        "event_id": f"e{number}",
        "event_type": "view",
        "dump_hour": NOON,
        "source_session_id": None,
        **more,
    }


def test_sessions_are_those_of_the_reckoning() -> None:
    minutes = [0, 3, 6, 9, 11, 11, 20, 23.1, 26]
    rows = [_event(n, minute, f"u{n % 2}") for n, minute in enumerate(minutes)]
    found = session_rows(rows, timedelta(minutes=3), timedelta(minutes=11))
    events = [
        Event("web", NOON, row["event_id"], row["event_time"], "view", row["user_key"], "f", 1)
        for row in rows
    ]
    expected = [session_row(session) for session in sessions_of(events, 180, 660)]
    assert_same_rows(found, expected, ["user_key", "session_start"])


def test_a_user_and_a_device_of_one_text_are_two() -> None:
    rows = [
        _event(n, n, "42", user_key_kind=kind) for n, kind in enumerate(["user", "anonymous"] * 2)
    ]
    found = session_rows(rows, HOUR, 9 * HOUR)
    assert [(row["user_key"], row["event_count"]) for row in found] == [("42", 2), ("42", 2)]
    assert len({row["session_id"] for row in found}) == 2


def test_own_ids_are_the_sessions_however_long_the_pauses() -> None:
    own = ["a", "b", "a", None, None]
    rows = [_event(n, n * 500, source_session_id=own_id) for n, own_id in enumerate(own)]
    found = session_rows([*rows, _event(9, 0, None)], HOUR, 9 * HOUR)
    assert [(row["source_session_id"], row["event_count"]) for row in found] == [
        ("a", 2),
        ("b", 1),
        (None, 1),
        (None, 1),
    ]


def test_ids_of_sessions_are_those_that_were_published() -> None:
    known = json.loads((corpus.TODAY / "session_ids.json").read_text(encoding="utf-8"))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for row in known:
        at = epoch + timedelta(microseconds=row["first_event_us"])
        event = _event(0, 0, row["user_key"], event_id=row["first_event_id"], event_time=at)
        [session] = session_rows([event], HOUR, 9 * HOUR)
        assert session["session_id"] == row["session_id"], row
