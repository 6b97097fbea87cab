"""Personal data of lines: hashed, dropped or kept before anything else sees them, whatever the lines are like."""

from __future__ import annotations

import hmac
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import Row, rows_of, source_of
from tidegate.config.source import Source
from tidegate.landing.kernel import Rules
from tidegate.privacy.erased import HASH_DIGITS, Erased, hashed, hashed_id
from tidegate.privacy.key import PiiKey

KEY = PiiKey(bytes(range(100, 140)))
AT = "2024-03-01T12:00:01Z"


def hash_of(text: str, key: PiiKey = KEY) -> str:
    return hmac.new(key.secret, text.encode(), "sha256").hexdigest()[:HASH_DIGITS]


# -- the hash -------------------------------------------------------------------------------------

RFC_4231 = {
    "1": (
        "0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    "2": (
        b"Jefe".hex(),
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    "3": (
        "aa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    "4": (
        bytes(range(1, 26)).hex(),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    "5": ("0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    "6": (
        "aa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    "7": (
        "aa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
}


@pytest.mark.parametrize("name", [name for name in RFC_4231 if name not in "34"])
def test_the_hash_is_that_of_rfc_4231(name: str) -> None:
    key, data, mac = RFC_4231[name]
    assert hashed(data.decode(), PiiKey(bytes.fromhex(key))) == mac[:HASH_DIGITS]


@settings(max_examples=50, deadline=None)
@given(st.text(), st.binary(min_size=32, max_size=80))
def test_the_hash_is_of_the_exact_text(text: str, secret: bytes) -> None:
    key = PiiKey(secret)
    assert hashed(text, key) == (hash_of(text, key) if text else "")


def test_rules_do_not_show_the_key() -> None:
    shown = repr(Rules(users(), KEY))
    for text in (KEY.secret.hex(), str(KEY.secret)):
        assert text not in shown


# -- lines ----------------------------------------------------------------------------------------

PII = {
    "user.id": "hash",
    "user.email": "drop",
    "user.name": "hash",
    "contact": "drop",
    "deep": "hash",
    "ip": "keep",
    "items": "keep",
    "`o'b\\r``e.n`": "hash",
    '`say "x"`': "keep",
    "price": "drop",
}


def users(**keys: Any) -> Source:
    return source_of(
        **{
            "fields": {
                "event_id": "id",
                "event_time": "at",
                "event_type": "type",
                "user_id": "user.id",
                "anonymous_id": "contact.device",
            },
            "columns": {
                "ms": {"path": "ms", "type": "int"},
                "mail": {"path": "user.email", "type": "string"},
                "size": {"sql": "length(user.id)", "type": "int"},
                "domain": {"sql": "coalesce(user.email, contact.phone, 'none')", "type": "string"},
                "leaf": {"path": "deep.a.b", "type": "string"},
                "odd": {"path": "`o'b\\r``e.n`.x", "type": "string"},
                "price": {"path": "price", "type": "decimal(38,2)"},
            },
            "pii": PII,
            **keys,
        }
    )


def decided(source: Source, lines: Any, name: str = "2024-03-01-12.json") -> list[Row]:
    return rows_of(source, lines, name, key=KEY)


def line(members: str = "", at: str = AT) -> str:
    return f'{{"id":"1","at":"{at}"{"," if members else ""}{members}}}'


ANN = hash_of("ann")
GOOD: dict[str, dict[str, Any]] = {
    '"user":{"id":"ann","email":"a@x.org","name":"Ann","phone":"1"},"zz":"1"': {
        "user_id": ANN,
        "user_key": ANN,
        "mail": None,
        "size": 32,
        "domain": "none",
        "properties": {"user": {"id": ANN, "name": hash_of("Ann")}},
    },
    '"user":{"id":" ann "}': {"user_id": hash_of(" ann ")},
    '"user":{"id":17},"ms":"17"': {"user_id": hash_of("17"), "ms": 17},
    '"user":{"id":""}': {"user_id": None, "user_key": None, "size": 0},
    '"user":{"id":""},"contact":{"device":"d"}': {"user_key": None, "anonymous_id": None},
    '"user":null': {"user_id": None, "properties": {}},
    '"user":"ann"': {"user_id": None},
    '"user":[{"id":"ann"}]': {"user_id": None, "properties": {}},
    '"deep":{"a":{"b":{"x": ["ann"]}}}': {"leaf": hash_of('{"x":["ann"]}')},
    '"user":{"id":"\\u0061nn"}': {"user_id": ANN},
    '"user":{"id":"🌊\'\\"`\\\\"}': {"user_id": hash_of("🌊'\"`\\")},
    '"User":{"id":"ann"},"user.id":"ann"': {"user_id": None, "properties": {}},
    '"deep":{"a":{"b":"x","c":"y"}}': {
        "leaf": hash_of("x"),
        "properties": {"deep": {"a": {"b": hash_of("x")}}},
    },
    '"deep":"x"': {"leaf": None, "properties": {}},
    '"ip":"10.0.0.1","items":[{"sku":1.50},null,"x"]': {
        "properties": {"ip": "10.0.0.1", "items": [{"sku": 1.5}, None, "x"]}
    },
    '"ip":12345678901234567890.25': {"properties": {"ip": 12345678901234567890.25}},
    '"ip":null,"items":{}': {"properties": {"ip": None, "items": {}}},
    '"zz":1,"zz":2,"ms":5,"items":[1]': {"ms": 5, "properties": {"ms": 5, "items": [1]}},
    '"o\'b\\\\r`e.n":{"x":"secret"},"say \\"x\\"":"hi"': {
        "odd": hash_of("secret"),
        "properties": {"o'b\\r`e.n": {"x": hash_of("secret")}, 'say "x"': "hi"},
    },
    '"price":1234567890123456789.01': {"price": None, "properties": {}},
    '"~inner~":"x","~outer~":"y","~json~":"z","~kept~":{"a":1},"body":"b","value":"v"': {
        "properties": {}
    },
}


def test_fields_columns_expressions_and_properties_see_treated_values_only() -> None:
    rows = decided(users(), [line(members) for members in GOOD])
    for (members, expected), row in zip(GOOD.items(), rows, strict=True):
        assert row["_outcome"] == "event", (members, row["_detail"])
        found = {**row, "properties": json.loads(row["properties"])}
        for name in ("id", "at"):
            assert found["properties"].pop(name)
        assert {name: found[name] for name in expected} == expected, members


BAD: dict[str, tuple[str, dict[str, Any] | None]] = {
    line('"user":{"id":"ann","email":"a@x.org"},"ms":"many"'): (
        "bad_value",
        {"id": "1", "at": AT, "user": {"id": ANN}, "ms": "many"},
    ),
    line('"user":{"id":"ann"}', "noon"): (
        "bad_event_time",
        {"id": "1", "at": "noon", "user": {"id": ANN}},
    ),
    line('"user":{"id":"ann"},"zz":1', "2020-01-01T00:00:00Z"): (
        "too_late",
        {"id": "1", "at": "2020-01-01T00:00:00Z", "user": {"id": ANN}},
    ),
    '{"user":{"id":"ann"}}': ("missing_event_id", {"user": {"id": ANN}}),
    line('"user":{"id":"ann"}') + "}": ("not_json", None),
    line('"user":{"id":"ann"}')[:-3]: ("not_json", None),
    f'[{line()}, "ann"]': ("not_object", None),
    '"ann"': ("not_object", None),
    line('"user":{"id":{"x":"ann"}},"ms":"5"'): (
        "bad_value",
        {"id": "1", "at": AT, "ms": "5", "user": {}},
    ),
    line('"user":{"id":"ann","id":"bob"}'): ("bad_value", {"id": "1", "at": AT, "user": {}}),
    line('"user":{"id":"ann\\ud800"}'): ("bad_value", {"id": "1", "at": AT, "user": {}}),
    "": ("blank_line", None),
    line(f'"user":{{"id":"{"ann" * 400_000}"}}'): ("too_long", None),
}


def test_of_a_quarantined_line_only_what_is_treated_is_kept() -> None:
    *rows, not_utf8 = decided(users(), [*BAD, b'{"user":{"id":"ann\xff"}}'])
    for (text, (reason, raw)), row in zip(BAD.items(), rows, strict=True):
        assert row["_reason"] == reason, text[:80]
        assert (None if row["_raw"] is None else json.loads(row["_raw"])) == raw, text[:80]
    assert (not_utf8["_reason"], not_utf8["_raw"]) == ("not_utf8", None)
    assert all(row["_raw_bytes"] is None for row in [*rows, not_utf8])
    assert "ann" not in json.dumps(rows)


def test_details_of_columns_that_were_hashed_show_the_hash() -> None:
    source = users(columns={"n": {"sql": "user.id", "type": "int"}}, pii={"user.id": "hash"})
    [row] = decided(source, [line('"user":{"id":"77"}')])
    assert row["_detail"] == f"column n: expected int, got {hash_of('77')}"


def test_a_source_that_hashes_needs_a_key() -> None:
    with pytest.raises(ValueError, match="no key is given"):
        rows_of(users(), ["{}"])


def test_numbers_of_producers_whose_names_are_hashed_are_counted_still() -> None:
    source = users(
        sequence={"producer": "host", "number": "seq"},
        columns={},
        pii={"host": "hash"},
        fields={"event_id": "id", "event_time": "at"},
    )
    lines = [line('"host":"h","seq":3'), '{"host":"h","seq":4}', line('"seq":5')]
    rows = decided(source, lines)
    assert [(row["_producer"], row["_number"]) for row in rows] == [
        (hash_of("h"), 3),
        (hash_of("h"), 4),
        (None, None),
    ]


CSV: dict[str, Any] = {
    "fields": {"event_id": "id", "event_time": "at", "user_id": "user"},
    "columns": {
        "mail": {"path": "`e mail`", "type": "string"},
        "both": {"sql": "concat_ws('-', user, ip)", "type": "string"},
        "ms": {"path": "ms", "type": "int"},
    },
    "pii": {"user": "hash", "`e mail`": "drop", "ip": "keep", "`~json~`": "hash"},
}


def test_delimited_lines_keep_what_is_treated_and_nothing_undeclared() -> None:
    source = source_of(format={"type": "csv"}, **CSV)
    rows = decided(
        source,
        [
            "id,at,user,e mail,ip,other,ms,~json~",
            f"1,{AT},ann,a@x.org,10.0.0.1,Ann,5,j",
            f'2,{AT}," ann ",,,,,',
            f'3,{AT},"",,,"Ann ""A"" x",,',
            f"4,{AT},ann,a@x.org,10.0.0.1,Ann,many,",
            f"5,{AT},ann,a@x.org",
        ],
    )
    rows += decided(source, ["email,at,id", f"a@x.org,{AT},6"])
    by_id = {row["event_id"]: row for row in rows if row["event_id"]}
    one = by_id["1"]
    assert (one["user_key"], one["mail"], one["both"], one["ms"]) == (
        ANN,
        None,
        f"{ANN}-10.0.0.1",
        5,
    )
    assert json.loads(one["properties"]) == {
        "id": "1",
        "at": AT,
        "user": ANN,
        "ip": "10.0.0.1",
        "ms": "5",
        "~json~": hash_of("j"),
    }
    assert by_id["2"]["user_key"] == hash_of(" ann ")
    assert by_id["3"]["user_key"] is None
    assert json.loads(by_id["6"]["properties"]) == {"id": "6", "at": AT}
    bad = {row["_reason"]: row for row in rows if row["_reason"]}
    assert json.loads(bad["bad_value"]["_raw"])["user"] == ANN
    assert bad["wrong_columns"]["_raw"] is None
    assert "Ann" not in json.dumps(rows)
    assert "a@x.org" not in json.dumps(rows)


def test_rows_of_parquet_are_treated_as_lines_are() -> None:
    table = pa.table(
        {
            "id": ["1"],
            "at": [AT],
            "ms": [5],
            "ip": [["10.0.0.1"]],
            "user": [{"id": "ann", "email": "a@x.org"}],
            "zz": ["Ann"],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    [row] = decided(users(format="parquet"), file.getvalue(), "2024-03-01-12.parquet")
    assert row["user_key"] == ANN
    assert json.loads(row["properties"]) == {
        "id": "1",
        "at": AT,
        "ms": 5,
        "ip": ["10.0.0.1"],
        "user": {"id": ANN},
    }


def test_keep_alone_is_an_allowlist_that_needs_no_key() -> None:
    source = source_of(columns={}, pii={"ip": "keep"})
    [row] = rows_of(source, [line('"ip":"x","user":"u","zz":1')])
    assert json.loads(row["properties"]) == {"id": "1", "at": AT, "user": "u", "ip": "x"}
    assert row["user_key"] == "u"


# -- erased persons --------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 100])
@pytest.mark.parametrize("is_hashed", [False, True])
def test_lines_of_erased_persons_are_no_events_and_leave_no_text(
    is_hashed: bool, copies: int
) -> None:
    ann = hash_of("ann") if is_hashed else "ann"
    pii = {"user.id": "hash", "anon": "hash"} if is_hashed else {}
    source = source_of(
        fields={"event_id": "id", "event_time": "at", "user_id": "user.id", "anonymous_id": "anon"},
        sequence={"producer": "anon", "number": "n"},
        **({"pii": pii, "columns": {}} if pii else {}),
    )
    erased = Erased(KEY, (hashed_id(KEY, ann),), 1)
    lines = [
        line('"user":{"id":"ann"},"n":1'),
        line('"user":{"id":"bob"},"n":"x"'),
        line('"anon":"ann","n":2'),
        line('"user":{"id":"bob"},"anon":"ann"', at="noon"),
        line('"user":{"id":" ann"}'),
        line('"user":{"id":"bob"},"anon":"p","n":3'),
        '{"user":{"id":"ann"}',
    ]
    rows = rows_of(source, lines * copies, key=KEY, erased=erased)
    second = None if is_hashed else "bad_value"
    reasons = ["erased", second, "erased", "erased", "erased", None, "not_json"]
    assert [row["_reason"] for row in rows] == reasons * copies
    for row in rows:
        if row["_reason"] in ("erased", "not_json"):
            values = {name: row[name] for name in row if name not in KEPT}
            assert set(values.values()) == {None}, row
    assert [row["_number"] for row in rows[:7]] == [None, None, None, None, None, 3, None]


KEPT = {"source", "dump_date", "dump_hour", "file", "line", "_outcome", "_reason", "_detail"}
"""Columns that every row has."""
