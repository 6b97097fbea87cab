r"""Access logs: what the parts of a line are, what becomes of lines that have another form, how both ways agree."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import Row, source_of
from kernel import rows_of as landed
from tidegate.common.errors import SourceError
from tidegate.config.source.format import ACCESS_LOG
from tidegate.landing import access_log
from tidegate.landing.access_line import read_line, unescaped
from tidegate.landing.access_log import AccessLog
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES

COMMON = '192.0.2.1 - ann [01/Mar/2024:12:00:00 +0100] "GET /a HTTP/1.1" 200 12'
COMBINED = f'{COMMON} "https://example.com/" "curl/7 (x)"'
VALUES = {
    "host": "192.0.2.1",
    "user": "ann",
    "time": "2024-03-01T12:00:00+01:00",
    "request": "GET /a HTTP/1.1",
    "method": "GET",
    "path": "/a",
    "protocol": "HTTP/1.1",
    "status": "200",
    "bytes": "12",
}
MORE = {**VALUES, "referer": "https://example.com/", "agent": "curl/7 (x)"}
SOURCE: dict[str, Any] = {
    "format": "access_log",
    "fields": {"event_type": "method", "user_id": "user", "anonymous_id": "host"},
    "columns": {"status": {"path": "status", "type": "int"}},
}


def read(data: bytes | str, *, private: bool = False) -> list[Row]:
    """Return the records of a file as dicts of `line`, `raw`, `reason`, `detail` and `values`."""
    data = data.encode() if isinstance(data, str) else data
    log = AccessLog([(name,) for name in ACCESS_LOG], private=private)
    stream = io.BytesIO(data)
    rows = []
    for part in log.records(iter(lambda: stream.read(1 << 16), b"")):
        columns = {names[0]: column.to_pylist() for names, column in part.columns.items()}
        for at in range(len(part)):
            row = {name: getattr(part, name)[at].as_py() for name in ("line", "raw", "length")}
            row |= {name: getattr(part, name)[at].as_py() for name in ("reason", "detail", "body")}
            values = {name: column[at] for name, column in columns.items()}
            rows.append({**row, "values": {k: v for k, v in values.items() if v is not None}})
    return rows


def values_of(line: str) -> dict[str, str]:
    """Return the values of a line, which are the same read by itself and together with others."""
    (row,) = read(line + "\n")
    assert row["reason"] is None, row["detail"]
    assert json.loads(row["body"]) == row["values"] == dict(read_line(line).values)
    return dict(row["values"])


def test_the_common_and_the_combined_form_are_read() -> None:
    assert values_of(COMMON) == VALUES
    assert values_of(COMBINED) == MORE
    assert values_of(COMBINED + "\r") == MORE


@pytest.mark.parametrize(
    ("more", "rest"),
    [
        (' "10.0.0.1, 10.0.0.2"', '"10.0.0.1, 10.0.0.2"'),
        (' 0.005 rt=0.1 ut="0.2, -" [x] "a\\"b" -', '0.005 rt=0.1 ut="0.2, -" [x] "a\\"b" -'),
        (" -", None),
        (" ", None),
        ("  x", " x"),
    ],
)
@pytest.mark.parametrize("line", [COMMON, COMBINED])
def test_what_follows_is_kept_as_it_is_written(line: str, more: str, rest: str | None) -> None:
    if line == COMMON and more.startswith(' "'):
        assert read_line(line + more).reason == "not_access_log"
        return
    assert values_of(line + more).get("rest") == rest
    assert values_of(line + more)["bytes"] == "12"


def test_a_vhost_is_told_by_what_follows_it() -> None:
    assert values_of(f"example.com:80 {COMBINED}") == {**MORE, "vhost": "example.com:80"}
    named = COMBINED.replace(" - ", " bob ")
    assert values_of(named) == {**MORE, "ident": "bob"}
    for line in (f"example.com {named}", "v " + COMBINED.replace("192.0.2.1", "-")):
        assert read_line(line).reason == "not_access_log"


def test_a_user_may_have_spaces_but_forges_nothing() -> None:
    forged = r"x [01/Mar/2024:12:00:00 +0100] \"GET / HTTP/1.1\" 200 1"
    for user in ("ann b c", "[a", forged):
        line = COMBINED.replace("ann", user)
        assert values_of(line) == {**MORE, "user": user.replace("\\", "")}
    assert read_line(COMBINED.replace("- ann", "bob ann c")).reason == "not_access_log"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"a\"b\\c", 'a"b\\c'),
        (r"\x22a\x5Cb\x0A", '"a\\b\n'),
        (r"\t\n\r\b\v\f", "\t\n\r\b\v\f"),
        (r"\xc3\xa9 \xE2\x82\xAC é", "é € é"),
        (r"\q \u00e9 \x4 C:\\n", r"\q \u00e9 \x4 C:\\n"),
        (r"\q \u00e9 C:\\n", r"\q \u00e9 C:\n"),
        (r"\xff\x16\"", r"\xff\x16\""),
        (r"\\xff", r"\\xff"),
        (r"\x5Cxff", r"\x5Cxff"),
    ],
)
def test_escapes_are_what_they_stand_for_unless_another_text_would_become_the_same(
    text: str, value: str
) -> None:
    assert unescaped(text) == value
    assert values_of(COMBINED.replace("curl/7 (x)", text))["agent"] == value


@given(
    st.binary(max_size=6) | st.sampled_from([b"\\xff", b"\xff", b"\\\\xff"]), st.binary(max_size=6)
)
def test_no_two_texts_become_one(one: bytes, other: bytes) -> None:
    def written(text: bytes) -> str:
        return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in text)

    assert (unescaped(written(one)) == unescaped(written(other))) == (one == other)


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        ("GET /a b HTTP/2.0", ("GET", "/a b", "HTTP/2.0")),
        ("GET /a HTTP/3", ("GET", "/a", "HTTP/3")),
        (r"GET /\" HTTP/1.1", ("GET", '/"', "HTTP/1.1")),
        ("GET /a", (None, None, None)),
        ("GET /a HTTP/1.1 x", (None, None, None)),
        (r"\x16\x03\x01\xff", (None, None, None)),
        ("", (None, None, None)),
        ("-", (None, None, None)),
    ],
)
def test_a_request_has_parts_where_it_has_that_form(
    request_: str, parts: tuple[str | None, ...]
) -> None:
    values = values_of(COMBINED.replace("GET /a HTTP/1.1", request_))
    assert tuple(values.get(name) for name in ("method", "path", "protocol")) == parts
    assert ("request" in values) == (request_ not in ("", "-"))


def test_a_dash_and_empty_text_are_no_value() -> None:
    line = '- - - [01/Mar/2024:12:00:00 +0000] "-" - - "-" ""'
    assert values_of(line) == {"time": "2024-03-01T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("x", "expected a host at character 1"),
        ("#Version: 1.0", "expected '-' or a name by ident at character 11"),
        (
            COMMON.replace("Mar", "03"),
            "expected a user and a time, such as - [01/May/2026:10:00:00 +0200] at",
        ),
        (COMMON.replace("GET", '"GET'), "expected a request in quotes at character 46"),
        (COMMON.replace('"GET', "GET"), "expected a request in quotes at character 46"),
        (COMMON.replace("200", "20"), "expected a status of three digits at character 64"),
        (COMMON.replace(" 12", ""), "expected a status of three digits"),
        (COMMON.replace(" 12", " x"), "expected a number of bytes at character 68"),
        (COMMON + "x", "expected a number of bytes at character 68"),
        (COMBINED[:-1], "expected a referer and an agent, each in quotes at character 70"),
        (COMBINED[:95], "expected a referer and an agent"),
        (COMBINED + '"', "expected a referer and an agent"),
        (COMBINED + ' "x', "expected values whose quotes are closed"),
        (COMBINED + r' "x\"', "expected values whose quotes are closed"),
    ],
)
def test_a_line_of_another_form_is_reported_with_the_place(line: str, detail: str) -> None:
    rows = read(f"{COMBINED}\n{line}\n{COMMON}")
    assert [row["reason"] for row in rows] == [None, "not_access_log", None]
    assert rows[1]["detail"].startswith(detail), rows[1]["detail"]
    assert (rows[1]["values"], rows[1]["body"]) == ({}, None)
    assert rows[1]["raw"] == line.encode()


def test_lines_that_are_none_harm_no_other() -> None:
    rows = read(
        b"\xef\xbb\xbf"
        + COMBINED.encode()
        + b"\n\n \r\n"
        + COMBINED.encode()
        + b"\xff\n"
        + COMMON.encode()
        + b" a\0b\r\n"
        + COMMON.encode()
        + b" "
        + b"y" * MAX_LINE_BYTES
    )
    assert [row["reason"] for row in rows] == [
        None, "blank_line", "blank_line", "not_utf8", None, "too_long",
    ]  # fmt: skip
    assert [row["line"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[4]["values"] == {**VALUES, "rest": "a\0b"}
    assert (len(rows[5]["raw"]), rows[5]["length"]) == (
        MAX_RAW_BYTES,
        MAX_LINE_BYTES + len(COMMON) + 1,
    )
    assert "sha256" in rows[5]["detail"]
    (huge,) = read("x" * (6 * MAX_LINE_BYTES), private=True)
    assert (huge["reason"], huge["body"], "sha256" in huge["detail"]) == ("too_long", None, False)
    assert read("") == []


# -- what was written is what is read ---------------------------------------------------------------

TEXTS = [
    "a",
    "Ä",
    " ",
    "/",
    '"',
    "\\",
    "\t",
    "\n",
    "[",
    "]",
    "\x01",
    "-",
    "x5C",
    "é",
    "🌊",
    "\\x41",
]


def quoted(chance: random.Random, text: str) -> str:
    """Return a text as Apache or nginx writes it between quotes."""
    short = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n"}
    is_nginx = chance.random() < 0.5
    out = ""
    for char in text:
        if not is_nginx and char in short:
            out += short[char]
        elif char in short or char < " ":
            out += f"\\x{ord(char):02X}"
        else:
            out += char
    return out


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[str], list[dict[str, str] | None]]:
    chance = random.Random(draw(st.integers(0, 2**32)))
    lines: list[str] = []
    expected: list[dict[str, str] | None] = []
    pieces = TEXTS[:4] if chance.random() < 0.3 else TEXTS
    form = chance.choice(["common", "combined", "vhost"])
    for _ in range(draw(st.integers(1, 12))):
        if chance.random() < 0.1:
            form = chance.choice(["common", "combined", "vhost"])

        def text() -> str:
            return "".join(chance.choices(pieces, k=chance.randint(0, 3)))

        values = {"host": "h1", "user": ("u" + text()).strip(), "status": "404", "bytes": "7"}
        values["method"], values["path"], values["protocol"] = "PUT", "/" + text(), "HTTP/1.1"
        values["request"] = f"PUT {values['path']} HTTP/1.1"
        day = chance.randint(10, 28)
        values["time"] = f"2024-02-{day}T01:02:03-07:30"
        if form != "common":
            values |= {"referer": text(), "agent": text()}
        if chance.random() < 0.3:
            values["rest"] = chance.choice(["0.1", 'a "b\\"c" -', " z"])
        if form == "vhost":
            values["vhost"] = "v:80"
        line = "v:80 h1 - " if form == "vhost" else "h1 - "
        line += f"{quoted(chance, values['user'])} [{day}/Feb/2024:01:02:03 -0730] "
        line += f'"{quoted(chance, values["request"])}" 404 7'
        if form != "common":
            line += "".join(f' "{quoted(chance, values[name])}"' for name in ("referer", "agent"))
        line += f" {values['rest']}" if "rest" in values else ""
        # What might be an escape that was kept stays as it was written.
        has_mark = any("\\x" in value for name, value in values.items() if name != "rest")
        lines.append(line)
        known = {name: value for name, value in values.items() if value not in ("", "-")}
        expected.append(None if has_mark else known)
    return lines, expected


@settings(deadline=None, max_examples=300)
@given(log=logs(), ends=st.sampled_from(["\n", "\r\n"]), is_cut=st.booleans())
def test_each_line_is_read_as_it_was_written(
    log: tuple[list[str], list[dict[str, str] | None]], ends: str, *, is_cut: bool
) -> None:
    lines, expected = log
    rows = read(ends.join(lines) + ("" if is_cut else ends))
    assert [row["line"] for row in rows] == list(range(1, len(lines) + 1))
    for line, row, values in zip(lines, rows, expected, strict=True):
        assert row["reason"] is None, (line, row["detail"])
        assert row["values"] == dict(read_line(line).values)
        if values is not None:
            assert row["values"] == values, line


PIECES = [
    COMMON,
    COMBINED,
    "v ",
    "- ",
    " ",
    '"',
    "\\",
    "[",
    "]",
    "-",
    "a",
    "é",
    "\r",
    "\0",
    "12",
    "\\x22",
]


@pytest.mark.parametrize("seed", range(10))
def test_both_ways_of_reading_agree_on_any_text(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    lines = []
    usual = chance.choice([COMMON, COMBINED, f"v {COMBINED}", f'{COMBINED} "x" y'])
    for _ in range(2000):
        line = (
            usual if chance.random() < 0.8 else chance.choice([COMMON, COMBINED, f"v {COMBINED}"])
        )
        for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 4])):
            at = chance.randrange(len(line) + 1)
            line = line[:at] + chance.choice(PIECES) + line[at + chance.choice([0, 0, 1, 5]) :]
        lines.append(line.encode() + (b"\xff" if chance.random() < 0.01 else b""))
    data = b"\n".join(lines)
    together = read(data)
    monkeypatch.setattr(access_log, "_PATTERNS", ["^(?P<time>x)(?P<request>x)(?P<host>x)"])
    alone = read(data)
    for one, other in zip(together, alone, strict=True):
        assert one == other
    assert 200 < sum(row["reason"] is None for row in alone) < 1900


# -- sources ----------------------------------------------------------------------------------------


def test_a_source_needs_no_more_than_the_format() -> None:
    source = source_of(**SOURCE)
    assert source.fields.event_time.path == "time"
    rows = landed(
        source, f"{COMBINED}\n{COMBINED.replace('ann', '-')}\n{COMMON.replace('Mar', 'Apr')}\nx\n"
    )
    assert [(row["event_time"], row["user_key"], row["status"]) for row in rows[:2]] == [
        ("2024-03-01 11:00:00", "ann", 200),
        ("2024-03-01 11:00:00", "192.0.2.1", 200),
    ]
    assert [row["_reason"] for row in rows] == [None, None, "too_early", "not_access_log"]
    assert json.loads(rows[0]["properties"]) == MORE
    assert source_of().defined_as(source.definition()).format == source.format


def test_the_time_of_a_source_may_be_another_one() -> None:
    source = source_of(**{**SOURCE, "fields": {"event_time": "dump_hour"}})
    assert landed(source, COMMON)[0]["event_time"] == "2024-03-01 12:00:00"


def test_what_is_personal_is_hashed_or_dropped_before_anything_sees_it() -> None:
    source = source_of(**{**SOURCE, "pii": {"host": "drop", "user": "drop"}})
    rows = landed(source, f"{COMBINED}\nann {COMMON}\n")
    assert [row["user_key"] for row in rows] == [None, None]
    assert "192.0.2" not in repr(rows)
    assert "ann" not in repr(rows)


def test_columns_that_access_logs_do_not_have_are_a_fault_of_the_source_file() -> None:
    with pytest.raises(SourceError) as caught:
        source_of(**{**SOURCE, "fields": {"user_id": "usr"}})
    assert caught.value.faults == [
        "fields.user_id: no column 'usr' in files of access_log; did you mean 'user'?"
    ]
    with pytest.raises(SourceError, match="ISO 8601 already; leave out format"):
        source_of(**{**SOURCE, "fields": {"event_time": {"path": "time", "format": "%d/%b/%Y"}}})
    with pytest.raises(SourceError, match="only csv takes delimiter; this is access_log"):
        source_of(**{**SOURCE, "format": {"type": "access_log", "delimiter": " "}})
