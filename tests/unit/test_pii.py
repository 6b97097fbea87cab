"""Personal data of lines: hashed, dropped or kept before anything else sees them, whatever the lines are like."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare import Row, exact_rows
from project import NOON, Project
from tidegate.dumps import Dumps
from tidegate.landing.lines import Input, read_parquet, read_text, whole_files
from tidegate.landing.parse import parse, staged_schema
from tidegate.landing.pii import HASH_DIGITS, hashed_sql, hmac_sql, with_key
from tidegate.pii_key import PiiKey
from tidegate.source import Source
from tidegate.steps.land import _by_header

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KEY = PiiKey(bytes(range(100, 140)))
AT = "2024-03-01T12:00:01Z"


def hashed(text: str, key: PiiKey = KEY) -> str:
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


def test_the_hash_is_that_of_rfc_4231(spark: SparkSession) -> None:
    rows = []
    for name, (key, data, _) in RFC_4231.items():
        inner, outer = PiiKey(bytes.fromhex(key)).pads
        rows.append((name, inner.hex(), outer.hex(), data.hex()))
    frame = spark.createDataFrame(rows, "name string, i string, o string, d string").selectExpr(
        "name", f"{hmac_sql('unhex(d)', 'unhex(i)', 'unhex(o)')} as mac"
    )
    found = {row["name"]: row["mac"] for row in frame.collect()}
    for name, (_, _, mac) in RFC_4231.items():
        assert found[name][: len(mac)] == mac, name
        assert len(found[name]) == 64


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.none() | st.text(), max_size=60), st.binary(min_size=32, max_size=80))
def test_the_hash_is_pythons_of_any_text(
    spark: SparkSession, texts: list[str | None], secret: bytes
) -> None:
    key = PiiKey(secret)
    given_ = spark.createDataFrame(list(enumerate(texts)), "n int, t string")
    found = with_key(given_, key).selectExpr("n", f"{hashed_sql('t')} as h").collect()
    expected = [
        t if t is None else (hashed(t.strip(" "), key) if t.strip(" ") else "") for t in texts
    ]
    assert [row["h"] for row in sorted(found, key=lambda row: row["n"])] == expected


def test_a_plan_names_the_key_by_its_columns_only(project: Project) -> None:
    project.put_hour(NOON, ["{}"])
    plan = lines(project, users(project))[0]._explain_string(extended=True)
    assert "~inner~" in plan
    assert "try_parse_json" in plan  # literals would be seen
    for secret in (KEY.secret, *KEY.pads):
        for text in (secret.hex(), secret.hex().upper(), secret.decode("latin-1"), str(secret)):
            assert text not in plan


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


def users(project: Project, **keys: Any) -> Source:
    return project.source(
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


def lines(project: Project, source: Source) -> list[DataFrame]:
    """Return what becomes of the lines of the first hour."""
    lake = project.work().lake
    dumps = Dumps(source, project.settings.s3)
    inputs = [Input(NOON, file) for file in dumps.files(NOON)]
    if source.format.type == "csv":
        return [
            parse(read_text(lake, group), source, header, KEY)
            for header, group in _by_header(source, dumps, inputs).items()
        ]
    read = read_parquet if source.format.type == "parquet" else read_text
    return [parse(read(lake, inputs), source, key=KEY)]


def decided(project: Project, source: Source) -> list[Row]:
    frames = lines(project, source)
    with whole_files(project.work().lake):
        rows = [row for frame in frames for row in exact_rows(frame)]
    schema = staged_schema(source).split("`")[1::2]
    assert [name for name, _ in frames[0].dtypes] == schema
    return sorted(rows, key=lambda row: (row["file"], row["line"]))


def line(members: str = "", at: str = AT) -> str:
    return f'{{"id":"1","at":"{at}"{"," if members else ""}{members}}}'


ANN = hashed("ann")
GOOD: dict[str, dict[str, Any]] = {
    '"user":{"id":"ann","email":"a@x.org","name":"Ann","phone":"1"},"zz":"1"': {
        "user_id": ANN,
        "user_key": ANN,
        "mail": None,
        "size": 32,
        "domain": "none",
        "properties": {"user": {"id": ANN, "name": hashed("Ann")}},
    },
    '"user":{"id":" ann "}': {"user_id": ANN},
    '"user":{"id":17},"ms":"17"': {"user_id": hashed("17"), "ms": 17},
    '"user":{"id":""}': {"user_id": None, "user_key": None, "size": 0},
    '"user":{"id":"  "},"contact":{"device":"d"}': {"user_key": None, "anonymous_id": None},
    '"user":null': {"user_id": None, "properties": {}},
    '"user":"ann"': {"user_id": None},
    '"user":[{"id":"ann"}]': {"user_id": None, "properties": {}},
    '"user":{"id":{"x":["ann"]}}': {"user_id": hashed('{"x":["ann"]}')},
    '"user":{"id":"x","id":"ann"}': {"user_id": ANN},
    '"user":{"id":"\\u0061nn"}': {"user_id": ANN},
    '"user":{"id":"🌊\'\\"`\\\\"}': {"user_id": hashed("🌊'\"`\\")},
    '"User":{"id":"ann"},"user.id":"ann"': {"user_id": None, "properties": {}},
    '"deep":{"a":{"b":"x","c":"y"}}': {
        "leaf": hashed("x"),
        "properties": {"deep": {"a": {"b": hashed("x")}}},
    },
    '"deep":"x"': {"leaf": None, "properties": {}},
    '"ip":"10.0.0.1","items":[{"sku":1.50},null,"x"]': {
        "properties": {"ip": "10.0.0.1", "items": [{"sku": 1.5}, None, "x"]}
    },
    '"ip":12345678901234567890.25': {"properties": {"ip": 12345678901234567890.25}},
    '"ip":null,"items":{}': {"properties": {"ip": None, "items": {}}},
    '"zz":1,"zz":2,"ms":5,"items":[1]': {"ms": 5, "properties": {"ms": "5", "items": "[1]"}},
    '"o\'b\\\\r`e.n":{"x":"secret"},"say \\"x\\"":"hi"': {
        "odd": hashed("secret"),
        "properties": {"o'b\\r`e.n": {"x": hashed("secret")}, 'say "x"': "hi"},
    },
    '"price":1234567890123456789.01': {"price": None, "properties": {}},
    '"~inner~":"x","~outer~":"y","~json~":"z","~kept~":{"a":1},"body":"b","value":"v"': {
        "properties": {}
    },
}


def test_fields_columns_expressions_and_properties_see_treated_values_only(
    project: Project,
) -> None:
    project.put_hour(NOON, [line(members) for members in GOOD])
    rows = decided(project, users(project))
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
    "": ("blank_line", None),
    line(f'"user":{{"id":"{"ann" * 400_000}"}}'): ("too_long", None),
}


def test_of_a_quarantined_line_only_what_is_treated_is_kept(project: Project) -> None:
    project.put_hour(NOON, [*BAD, b'{"user":{"id":"ann\xff"}}'])
    *rows, not_utf8 = decided(project, users(project))
    for (text, (reason, raw)), row in zip(BAD.items(), rows, strict=True):
        assert row["_reason"] == reason, text[:80]
        assert (None if row["_raw"] is None else json.loads(row["_raw"])) == raw, text[:80]
    assert (not_utf8["_reason"], not_utf8["_raw"]) == ("not_utf8", None)
    assert all(row["_raw_bytes"] is None for row in [*rows, not_utf8])
    assert "ann" not in json.dumps(rows)


def test_details_of_columns_that_were_hashed_show_the_hash(project: Project) -> None:
    source = users(
        project, columns={"n": {"sql": "user.id", "type": "int"}}, pii={"user.id": "hash"}
    )
    project.put_hour(NOON, [line('"user":{"id":"77"}')])
    [row] = decided(project, source)
    assert row["_detail"] == f"column n: expected int, got {hashed('77')}"


def test_a_source_that_hashes_needs_a_key(project: Project) -> None:
    project.put_hour(NOON, ["{}"])
    source = users(project)
    with pytest.raises(ValueError, match="no key is given"):
        parse(project.spark.createDataFrame([("x",)], "value string"), source)


def test_numbers_of_producers_whose_names_are_hashed_are_counted_still(project: Project) -> None:
    source = users(
        project,
        sequence={"producer": "host", "number": "seq"},
        columns={},
        pii={"host": "hash"},
        fields={"event_id": "id", "event_time": "at"},
    )
    project.put_hour(NOON, [line('"host":"h","seq":3'), '{"host":"h","seq":4}', line('"seq":5')])
    rows = decided(project, source)
    assert [(row["_producer"], row["_number"]) for row in rows] == [
        (hashed("h"), 3),
        (hashed("h"), 4),
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


def test_delimited_lines_keep_what_is_treated_and_nothing_undeclared(project: Project) -> None:
    source = project.source("{dump_hour:%Y-%m-%d-%H}*.csv", format={"type": "csv"}, **CSV)
    project.put(
        "2024-03-01-12.csv",
        [
            "id,at,user,e mail,ip,other,ms,~json~",
            f"1,{AT},ann,a@x.org,10.0.0.1,Ann,5,j",
            f'2,{AT}," ann ",,,,,',
            f'3,{AT},"",,,"Ann ""A"" x",,',
            f"4,{AT},ann,a@x.org,10.0.0.1,Ann,many,",
            f"5,{AT},ann,a@x.org",
        ],
    )
    project.put("2024-03-01-12-b.csv", ["email,at,id", f"a@x.org,{AT},6"])
    rows = [r for r in decided(project, source) if r["_outcome"] != "header"]
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
        "~json~": hashed("j"),
    }
    assert by_id["2"]["user_key"] == ANN
    assert by_id["3"]["user_key"] is None
    assert json.loads(by_id["6"]["properties"]) == {"id": "6", "at": AT}
    bad = {row["_reason"]: row for row in rows if row["_reason"]}
    assert json.loads(bad["bad_value"]["_raw"])["user"] == ANN
    assert bad["wrong_columns"]["_raw"] is None
    assert "Ann" not in json.dumps(rows)
    assert "a@x.org" not in json.dumps(rows)


def test_rows_of_parquet_are_treated_as_lines_are(project: Project) -> None:
    source = users(project, inner="{dump_hour:%Y-%m-%d-%H}.parquet", format="parquet")
    path = project.dumps / "2024-03-01-12.parquet"
    table = pa.table(
        {"id": ["1"], "at": [AT], "user": [{"id": "ann", "email": "a@x.org"}], "zz": ["Ann"]}
    )
    pq.write_table(table, path)
    [row] = decided(project, source)
    assert row["user_key"] == ANN
    assert json.loads(row["properties"]) == {"id": "1", "at": AT, "user": {"id": ANN}}


def test_keep_alone_is_an_allowlist_that_needs_no_key(project: Project) -> None:
    source = project.source(columns={}, pii={"ip": "keep"})
    project.put_hour(NOON, [line('"ip":"x","user":"u","zz":1')])
    work = project.work()
    inputs = [Input(NOON, file) for file in Dumps(source, project.settings.s3).files(NOON)]
    with whole_files(work.lake):
        [row] = exact_rows(parse(read_text(work.lake, inputs), source))
    assert json.loads(row["properties"]) == {"id": "1", "at": AT, "user": "u", "ip": "x"}
    assert row["user_key"] == "u"
