"""Lines that are read many at once become what they become one by one, whatever they are like."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from kernel import Row, rows_of, source_of
from tidegate.config.source import Source
from tidegate.landing import json_lines

FIELDS: dict[str, Any] = {
    "event_id": "id",
    "event_time": "at",
    "event_type": "type",
    "user_id": "user.id",
    "anonymous_id": "user.anon",
}
COLUMNS: dict[str, Any] = {
    "i": {"path": "i", "type": "int"},
    "b": {"path": "user.b", "type": "bigint"},
    "d": {"path": "d", "type": "decimal(12,3)"},
    "x": {"path": "x", "type": "double"},
    "y": {"path": "y", "type": "float"},
    "flag": {"path": "flag", "type": "boolean"},
    "day": {"path": "day", "type": "date"},
    "ts": {"path": "ts", "type": "timestamp"},
    "s": {"path": "s", "type": "string"},
}
TIMES = [
    "2024-03-01T12:00:01Z", "2024-03-01T12:00:01.25Z", "2024-03-01 12:00:01", "20240301T120001Z",
    "2024-03-01T12:00:01.1234567Z", "2024-03-01T14:00:01+02:00", "2024-03-01T12:00:60Z", "noon", "",
    "2024-03-01T12:00:01+18:30", "2024-03-01T24:00:00Z", "2024-02-30T12:00:00Z", " 2024-03-01T12:00Z ",
    "2024-03-01T12Z", "2024-03-01T120001Z", "2024-03-01T12:00:01z", "2024-02-29T12:00:00,5+0030",
    "1-1-1", "2024-03-01T12:00:01 UTC", "9999-12-31T23:59:59-01:00", "0000-03-01T12:00:00Z",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "7", "-12", "12.5", "120.0", "1.2e2", "1e400", "-0.0", "2147483648", "1E-3", "0.1",
    "12345678901234567890", "0.10000000000000001", "1.1234", "99999999999.5", "1e-400", "007", "+1",
    "NaN", "-Infinity", "1.", ".5", "0x10", "7" * 50, "1" + "0" * 400, "1e39", "1709294401.1234567", "true", "null",
    "False",
]  # fmt: skip
ODD = [
    '"x"', '""', '" "', '"12"', '"12.50"', '"\\ud800"', '"\\u0000"', '"a\\"b"', '"é🌊"', '"NaN"', '"Inf"',
    "{}", "[]", '{"a":1}', '{"id":"v","id":"w"}', "[1,]", '{"a":1,}', '"a\tb"', '"2024-03-01"', '"yes"',
    '"1e3"', "nul", '"}{"', '"}\\n{"', "[[[[]]]]", "{\"id\":\"inner\"}",
]  # fmt: skip
NAMES = ["id", "at", "type", "i", "d", "x", "y", "flag", "day", "ts", "s", "zz", "\\u0069d", "user"]
BYTES = [
    b"\xff",
    b"\0",
    b"\r",
    b" ",
    b"\t",
    b'"',
    b"\\",
    b"{",
    b"}",
    b",",
    b":",
    b"]",
    b"\xef\xbb\xbf",
    b"\x0c",
]


def fuzzed(chance: random.Random, oddness: float) -> bytes:
    """Return a line: plain without oddness, else odd in its values or broken in its bytes."""

    def value(*usual: str) -> str:
        if chance.random() < oddness:
            return chance.choice([*NUMBERS, *ODD])
        return chance.choice(usual)

    def text(*texts: str) -> str:
        return value(*map(json.dumps, texts))

    day = ["2024-02-29", "2023-02-29", "today"][: 1 if oddness == 0 else 3]
    members = [
        ("id", text("a", "b", " c ", "é", "1.10")),
        ("at", text(*TIMES[: 2 if oddness == 0 else None])),
        ("type", text("view", "click")),
        ("user", f'{{"id":{value("null", json.dumps("u"))},"b":{value("1", "-5")}}}'),
        ("i", value("1", "2", "3")),
        ("d", value("1.25", "7", "0.500")),
        ("x", value("0.1", "2.5e3", "4")),
        ("y", value("0.1", "16777217")),
        ("flag", value("true", "false")),
        ("day", text(*day)),
        ("ts", text(*TIMES[:2])),
        ("s", text("x", "a b")),
    ]
    chance.shuffle(members)
    members = members[: chance.choice([12, 12, 11, 5])]
    if chance.random() < oddness:
        members.append((chance.choice(NAMES), value('"again"', "1")))
    space = chance.choice(["", "", " "])
    line = (
        "{" + f",{space}".join(f'"{name}":{space}{inner}' for name, inner in members) + "}"
    ).encode()
    if chance.random() < oddness:
        place = chance.randrange(len(line) + 1)
        line = line[:place] + chance.choice(BYTES) + line[place + chance.choice([0, 0, 1]) :]
    if chance.random() < oddness / 4:
        line += chance.choice([b"\r", b"  ", b"}", line, b" " + line, b",", b" x", b"\0"])
    return line.replace(b"\n", b"")


def both(source: Source, lines: list[bytes]) -> tuple[list[Row], list[Row]]:
    """Return the rows of lines, read many at once and read one by one."""
    together = rows_of(source, lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_FEW", 1 << 40)
        return together, rows_of(source, lines)


@pytest.mark.parametrize("seed", range(12))
def test_lines_become_the_same_together_and_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    source = source_of(fields=FIELDS, columns=COLUMNS, accept={"late": "9d", "future": "9d"})
    # Most lines of a file are plain; in some files few are.
    share = chance.choice([0.01, 0.02, 0.03, 0.2])
    lines = [fuzzed(chance, 0.15 if chance.random() < share else 0) for _ in range(1500)]
    together, alone = both(source, lines)
    assert [row["line"] for row in together] == list(range(1, len(lines) + 1))
    for line, one, other in zip(lines, together, alone, strict=True):
        assert repr(one) == repr(other), line


def test_several_objects_on_few_lines_do_not_slow_down_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = '{"id":"1","at":"2024-03-01T12:00:00Z"}'
    alone: list[int] = []
    by_itself = json_lines.JsonLines._by_itself

    def counted(self: Any, lines: Any) -> Any:
        alone.append(len(lines))
        return by_itself(self, lines)

    monkeypatch.setattr(json_lines.JsonLines, "_by_itself", counted)
    rows = rows_of(source_of(columns={}), [*[one] * 500, one + one, f"{one} {one}", *[one] * 500])
    assert [row["line"] for row in rows if row["_reason"]] == [501, 502]
    assert alone == [2]


@pytest.mark.parametrize("unit", ["epoch_s", "epoch_ms", "epoch_us"])
def test_numbers_as_times_become_the_same_together_and_one_by_one(unit: str) -> None:
    source = source_of(
        fields={**FIELDS, "event_time": {"path": "at", "unit": unit}},
        columns={},
        accept={"late": "9d"},
    )
    chance = random.Random(unit)
    usual = ["1709294401", "1709294401.5", "1709294401000", '"1709294401"', "1709294401000000"]
    lines = [
        f'{{"id":{chance.choice(["1", "-0", "0"])},"at":{chance.choice([*usual, *usual, *NUMBERS])}}}'.encode()
        for _ in range(1500)
    ]
    together, alone = both(source, lines)
    for line, one, other in zip(lines, together, alone, strict=True):
        assert repr(one) == repr(other), line
