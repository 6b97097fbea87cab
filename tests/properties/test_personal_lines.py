"""Whatever a line is like, good or bad: no raw value that is hashed, dropped or undeclared is in what comes of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import Row, rows_of, source_of
from tidegate.common.unreadable import UnreadableError
from tidegate.landing.limits import MAX_LINE_BYTES
from tidegate.privacy.key import PiiKey

KEY = PiiKey(b"a key of this test's own, 32 long")
MARK = "zq7"
"""What every personal value holds, and nothing else does."""

JSON: dict[str, Any] = {
    "fields": {"event_id": "id", "event_time": "at", "event_type": "type", "user_id": "user.login"},
    "columns": {
        "n": {"path": "n", "type": "int"},
        "when": {"path": "when", "type": "timestamp"},
        "mail": {"path": "user.email", "type": "string"},
        "tail": {"sql": "concat_ws('/', user.login, user.email, lists)", "type": "string"},
        "size": {"sql": "try_cast(lists as int)", "type": "int"},
        "money": {"path": "money", "type": "decimal(38,2)"},
    },
    "sessions": {"id": "visit"},
    "sequence": {"producer": "host", "number": "seq"},
    "pii": {
        "user.login": "hash",
        "user.email": "drop",
        "visit": "hash",
        "lists": "hash",
        "tree": "drop",
        "unread": "hash",
        "host": "hash",
        "money": "drop",
        "kept": "keep",
    },
}
CSV: dict[str, Any] = {
    "format": {"type": "csv"},
    "fields": {"event_id": "id", "event_time": "at", "user_id": "login"},
    "columns": {
        "n": {"path": "n", "type": "int"},
        "mail": {"path": "email", "type": "string"},
        "tail": {"sql": "concat_ws('/', login, email)", "type": "string"},
    },
    "pii": {"login": "hash", "email": "drop"},
}
NAMES = ["id", "at", "n", "login", "email", "undeclared"]

TEXT = st.text(max_size=6)
PERSONAL = st.builds(lambda a, b: a + MARK + b, TEXT, TEXT)
ANY_PERSONAL = st.recursive(
    PERSONAL,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2) | st.dictionaries(PERSONAL, inner, max_size=2)
    ),
    max_leaves=4,
)
TIMES = st.sampled_from(
    ["2024-03-01T12:00:01Z"] * 3 + ["noon", "", "1999-01-01T00:00:00Z", None, 5]
)
OPEN = st.sampled_from([None, 1, -7, "many", "", "🌊", 10**20, {"a": 1}, [1], True, 1.5])
HARM = st.sampled_from(
    ["none"] * 4 + ["cut", "brace", "twice", "list", "bytes", "null byte", "long", "bare", "tail"]
)


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    """Draw a line with personal values where the source file says so, and where it says nothing."""
    event: dict[str, Any] = {
        "id": draw(st.sampled_from(["1", "2", "", None, 3])),
        "at": draw(TIMES),
        "n": draw(OPEN),
        "when": draw(OPEN),
        "kept": draw(OPEN),
        "seq": draw(OPEN),
    }
    user = {"login": draw(ANY_PERSONAL), "email": draw(ANY_PERSONAL), "other": draw(ANY_PERSONAL)}
    event["user"] = draw(st.sampled_from([user, [user], json.dumps(user), None]))
    for name in ("visit", "lists", "tree", "unread", "host", "money", "undeclared"):
        if draw(st.booleans()):
            event[name] = draw(ANY_PERSONAL)
    return harmed(draw, json.dumps(event, ensure_ascii=draw(st.booleans())))


@st.composite
def csv_lines(draw: st.DrawFn) -> bytes:
    """Draw a delimited line likewise."""
    values = [
        draw(st.sampled_from(["1", "2", ""])),
        str(draw(TIMES)),
        str(draw(OPEN)),
        *(draw(PERSONAL) for _ in range(3)),
    ]
    quoted = [f'"{value.replace(chr(34), chr(34) * 2)}"' for value in values]
    return harmed(draw, ",".join(quoted))


def harmed(draw: st.DrawFn, text: str) -> bytes:
    """Return a line with something wrong about it, or nothing."""
    text = text.replace("\n", " ")
    harm = draw(HARM)
    if harm == "cut":
        text = text[: draw(st.integers(0, len(text)))]
    line = text.encode()
    return {
        "brace": line + b"}",
        "twice": line + line,
        "list": b"[" + line + b"]",
        "bytes": line.replace(MARK.encode(), b"\xff" + MARK.encode()),
        "null byte": line.replace(MARK.encode(), b"\0" + MARK.encode()),
        "long": line + b" " * MAX_LINE_BYTES,
        "bare": MARK.encode(),
        "tail": line + f',"n":"{MARK}"'.encode(),
    }.get(harm, line)


@settings(max_examples=60, deadline=None)
@given(st.lists(json_lines(), min_size=1, max_size=60))
def test_no_personal_value_of_a_json_line_passes(lines: list[bytes]) -> None:
    whole = json.dumps({"id": "1", "at": "2024-03-01T12:00:01Z"})
    rows = rows_of(source_of(**JSON), [whole, *lines], key=KEY)
    assert len(rows) == len(lines) + 1
    for row in rows:
        assert MARK not in json.dumps(row, ensure_ascii=False)
    try:  # by its first line a file may have another layout
        rows = rows_of(source_of(**JSON), lines, key=KEY)
    except UnreadableError as error:
        assert MARK not in error.reason
        return
    for row in rows:
        assert MARK not in json.dumps(row, ensure_ascii=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(csv_lines(), min_size=1, max_size=60))
def test_no_personal_value_of_a_delimited_line_passes(lines: list[bytes]) -> None:
    try:
        rows = rows_of(source_of(**CSV), [",".join(NAMES), *lines], key=KEY)
    except UnreadableError as error:  # a quote that is not closed
        assert MARK not in error.reason
        return
    assert len(rows) <= len(lines)
    for row in rows:
        assert MARK not in json.dumps(row, ensure_ascii=False)


def test_the_mark_is_in_rows_where_nothing_is_treated() -> None:
    """The scan can fail."""
    plain = source_of(**{key: value for key, value in JSON.items() if key != "pii"})
    good = {"id": "1", "at": "2024-03-01T12:00:01Z", "undeclared": MARK}
    lines = [json.dumps(good), json.dumps({**good, "at": "noon"}), MARK]
    rows: list[Row] = rows_of(plain, lines)
    assert all(MARK in json.dumps(row) for row in rows)
