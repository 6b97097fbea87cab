"""Source files: what they say, and every fault of a file told at once."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.common.errors import SourceError, TidegateError
from tidegate.config.fingerprint import changes, fingerprint
from tidegate.config.source import (
    FieldRef,
    Source,
    find_source,
    join_path,
    load_source,
    load_sources,
    parse_source,
    split_path,
)
from tidegate.config.source.sql import sql_references
from tidegate.tables import Table, events, hourly_activity, sessions

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LEAST = {
    "source": "shop",
    "since": "2015-01-01T00",
    "dumps": "s3://b/{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.gz",
    "fields": {"event_time": "t"},
}


def source(**keys: Any) -> Source:
    return parse_source({**LEAST, **keys}, Path("shop.yml"))


def faults(**keys: Any) -> list[str]:
    with pytest.raises(SourceError) as caught:
        source(**keys)
    return caught.value.faults


def test_a_source_file_of_the_least_has_the_documented_defaults() -> None:
    found = source()
    assert found.since == datetime(2015, 1, 1, tzinfo=UTC)
    assert found.format.type == "json"
    assert found.complete.after == timedelta(minutes=10)
    assert (found.sessions.gap, found.sessions.max) == (timedelta(minutes=30), timedelta(hours=24))
    assert found.duplicates.within == timedelta(hours=24)
    assert (found.accept.late, found.accept.future) == (timedelta(days=3), timedelta(hours=1))
    assert found.fields.event_time.unit == "iso"
    assert found.columns == {}


def test_fields_and_columns_are_paths_or_sql() -> None:
    found = source(
        fields={
            "event_time": {"path": "at", "unit": "epoch_ms"},
            "user_id": {"sql": "coalesce(user.id, raw)"},
            "event_type": "type",
        },
        columns={
            "size": {"path": "payload.size", "type": "LONG"},
            "d": {"sql": "x", "type": "Decimal(5, 2)"},
        },
        sessions={"id": "session"},
    )
    assert found.fields.event_time.unit == "epoch_ms"
    assert found.columns["size"].type == "bigint"
    assert found.columns["size"].names() == ("payload", "size")
    assert found.columns["d"].type == "decimal(5,2)"
    assert found.refs()["fields.user_id"].references() == {"user.id"}
    assert found.references() == {"at", "user.id", "type", "payload.size", "x", "session"}


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        source().source = "other"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"fields": {"evnt_id": "i", "event_time": "t"}},
            "unknown key 'evnt_id' in fields; did you mean 'event_id'?",
        ),
        ({"sorce": "x"}, "unknown key 'sorce'; did you mean 'source'?"),
        ({"path": "x"}, "unknown key 'path'"),
        ({"delimiter": ";"}, "it belongs into 'format': format: {delimiter: …}"),
        (
            {"columns": {"a": {"path": "b", "type": "int", "unitt": 1}}},
            "unknown key 'unitt' in columns.a; did you mean 'unit'?",
        ),
        (yaml.safe_load("columns: {a: {path: b, type: decimal(10,2)}}"), "put that text in quotes"),
        (
            {"sequence": {"producer": "host", "numbr": "seq"}},
            "unknown key 'numbr' in sequence; did you mean 'number'?",
        ),
        ({"sequence": {"producer": "host"}}, "sequence.number is missing: the number that its"),
        ({"sequence": {"number": "seq"}}, "sequence.producer is missing: who numbered the event"),
        ({"sequence": "seq"}, "sequence: expected keys and values, got 'seq'"),
        ({"sequence": {"producer": 1, "number": "seq"}}, "sequence.producer: expected a path"),
        ({"producer": "host"}, "it belongs into 'sequence': sequence: {producer: …}"),
        ({"sequnce": {}}, "unknown key 'sequnce'; did you mean 'sequence'?"),
        (
            {"sequence": {"producer": "t.host", "number": "seq"}},
            "sequence.producer: 't.host' lies within 't', which fields.event_time uses as a value",
        ),
        ({"source": "Shop"}, "source: expected small letters"),
        ({"source": 5}, "source: expected text, got 5"),
        ({"since": "2015-01-01T00:30"}, "since: not a full hour"),
        ({"since": "yesterday"}, "expected an hour in UTC, such as 2015-01-01T00, got 'yesterday'"),
        ({"since": 2015}, "since: expected an hour"),
        ({"dumps": "s3://b/{dump_hour:%Y-%m-%d}.gz"}, "dumps: the template has no hour"),
        ({"dumps": {"dump_hour": 1}}, "needs quotes"),
        (
            {"format": "jsonl"},
            "format.type: expected json, csv, parquet, avro, access_log, got 'jsonl'; did you mean 'json'?",
        ),
        (
            {"format": {"type": "json", "delimiter": ";"}},
            "format: only csv takes delimiter; this is json",
        ),
        (
            {"format": {"type": "csv", "delimiter": "||"}},
            "format.delimiter: expected exactly one character",
        ),
        ({"format": {"type": "csv", "delimiter": "\\t"}}, 'write "\\t" in double quotes'),
        ({"format": {"type": "csv", "quote": ","}}, "delimiter and quote are the same"),
        (
            {"format": {"type": "csv", "header": "no"}},
            "format.header: expected true, false or a list",
        ),
        ({"format": {"type": "csv", "header": ["t", "T"]}}, "names are given twice: T, t"),
        ({"format": {"type": "csv", "header": []}}, "none empty"),
        ({"format": 5}, "format: expected json, csv, parquet"),
        (
            {"complete": {"files": 1, "marker": "m"}},
            "exactly one of marker, manifest, files, after, got marker and files",
        ),
        ({"complete": {}}, "got none"),
        ({"complete": {"files": 0}}, "complete.files: expected at least 1, got 0"),
        ({"complete": {"marker": "../x"}}, "below the hour's folder"),
        ({"complete": {"marker": "a*"}}, "name of one file"),
        ({"complete": {"marker": "{hour}"}}, "complete.marker: unknown placeholder"),
        ({"fields": {}}, "fields.event_time is missing"),
        ({"fields": None}, "fields: expected keys and values, got nothing"),
        (
            {"fields": {"event_time": {"path": "t", "unit": "epoch"}}},
            "fields.event_time.unit: expected iso, epoch_s",
        ),
        (
            {"fields": {"event_time": {"path": "t", "sql": "t"}}},
            "exactly one of path and sql, got both",
        ),
        ({"fields": {"event_time": {"unit": "iso"}}}, "exactly one of path and sql, got neither"),
        ({"fields": {"event_time": ["t"]}}, "fields.event_time: expected a path"),
        ({"fields": {"event_time": "a..b"}}, "fields.event_time.path: expected a path of names"),
        ({"columns": {"a": "b"}}, "columns.a: a column needs a type: {path: b, type: string}"),
        ({"columns": {"a": {"path": "b"}}}, "columns.a.type is missing"),
        (
            {"columns": {"a": {"path": "b", "type": "strng"}}},
            "unknown type 'strng'; did you mean 'string'?",
        ),
        ({"columns": {"a": {"path": "b", "type": "decimal(39,1)"}}}, "p from 1 to 38"),
        ({"columns": {"A b": {"path": "b", "type": "int"}}}, "columns.A b: a column's name is"),
        (
            {"columns": {"line": {"path": "b", "type": "int"}}},
            "columns.line: warehouse/events has a column",
        ),
        ({"sessions": {"gap": 30}}, "sessions.gap: expected a duration such as 30m"),
        (
            {"sessions": yaml.safe_load("gap: 1:30")},
            "sessions.gap: expected a duration such as 30m",
        ),
        ({"sessions": {"max": "PT1H"}}, "sessions.max: expected a duration"),
        (
            {"complete": {"after": "2h", "within": "90m"}},
            "complete: within: expected more than the quiet time of 2h, got 1h30m",
        ),
        ({"complete": {"files": 2, "within": "0s"}}, "complete.within: expected a duration"),
        ({"duplicates": {"within": "90m"}}, "duplicates.within: expected whole hours"),
        ({"accept": {"late": "-1h"}}, "accept.late: expected a duration"),
        ({"fresh": 90}, "fresh: expected a duration such as 30m"),
        ({"fresh": "0s"}, "fresh: expected a duration such as 30m, 24h, 3d, 90s or 1h30m, above"),
        ({"fersh": "90m"}, "unknown key 'fersh'; did you mean 'fresh'?"),
        ({"fresh": "10m"}, "fresh: expected more than 10m, for which a dump must be quiet"),
        ({"fresh": "1h", "complete": {"after": "2h"}}, "(complete: {after: 2h}), got 1h"),
    ],
)
def test_a_fault_names_its_key_and_what_is_right(keys: dict[str, Any], told: str) -> None:
    assert any(told in fault for fault in faults(**keys)), faults(**keys)


@pytest.mark.parametrize("key", ["source", "since", "dumps", "fields"])
def test_a_key_that_must_be_there_is_named(key: str) -> None:
    data = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(SourceError) as caught:
        parse_source(data, Path("shop.yml"))
    assert [fault for fault in caught.value.faults if fault.startswith(f"{key} is missing")]


def test_every_fault_of_a_file_is_told_at_once() -> None:
    told = faults(
        since="never",
        fields={"evnt_id": "i", "event_time": "a", "user_id": {"sql": "rand("}},
        columns={"line": {"path": "a.b", "type": "int"}},
        sessions={"gap": "0s"},
    )
    for part in ("since:", "evnt_id", "user_id.sql", "columns.line:", "lies within 'a'", "gap:"):
        assert any(part in fault for fault in told), (part, told)


def test_a_path_is_a_value_or_a_folder_but_not_both_in_json() -> None:
    fields = {"event_time": "t", "user_id": "actor.id"}
    told = faults(fields=fields, columns={"a": {"sql": "upper(actor)", "type": "string"}})
    assert told == [
        "fields.user_id: 'actor.id' lies within 'actor', which columns.a uses as a value; "
        "a path is either a value or a folder of others: "
        "in SQL, json_extract_string(raw, '$.actor') gives the whole as text"
    ]
    source(format="parquet", fields=fields, columns={"a": {"path": "actor", "type": "string"}})


def test_paths_that_differ_in_case_only_are_a_fault() -> None:
    told = faults(fields={"event_time": "t", "user_id": "Actor.id", "event_type": "actor.type"})
    assert any("'actor' and 'Actor' differ in case only" in fault for fault in told)


def test_the_columns_of_csv_are_flat() -> None:
    assert "flat" in faults(format="csv", fields={"event_time": "a.t"})[0]
    assert source(format="csv", fields={"event_time": "`a.t`"}).fields.event_time.names() == (
        "a.t",
    )


def test_a_reference_to_a_name_that_a_given_header_lacks_is_a_fault() -> None:
    form = {"type": "csv", "header": ["time", "host"]}
    told = faults(format=form, fields={"event_time": "tme"})
    assert told == ["fields.event_time: no column 'tme' in format.header; did you mean 'time'?"]
    assert source(format=form, fields={"event_time": "time"}).format.header == ("time", "host")


@pytest.mark.parametrize(
    ("exclude", "told"),
    [
        ([1], "exclude: expected names, none empty, got 1"),
        ("", "exclude: expected names, none empty, got ''"),
        (3, "exclude: expected a name such as '*.keys.json', or a list, got 3"),
        ("*", "exclude: '*' would leave out every file"),
        (["*.a", "**"], "exclude: '**' would leave out every file"),
        ("s3://b/x", "below the hour's folder, got 's3://b/x'"),
        ("../x", "below the hour's folder, got '../x'"),
    ],
)
def test_names_that_can_not_be_excluded_are_faults(exclude: object, told: str) -> None:
    assert told in faults(exclude=exclude)[0]


def test_what_decides_which_files_are_read_is_in_the_definition_unless_it_is_the_default() -> None:
    plain = source().definition()
    assert not {"exclude", "repeated_files"} & plain.keys()
    chosen = source(exclude="*.keys.json", repeated_files="once")
    assert chosen.definition() == {
        **plain,
        "exclude": ["*.keys.json"],
        "repeated_files": "once",
    }
    assert chosen.defined_as(plain).definition() == plain
    assert source().defined_as(chosen.definition()).exclude == ("*.keys.json",)
    assert source(exclude=[]).definition() == plain
    assert "repeated_files" in faults(repeated_files="one")[0]


def test_one_marker_for_many_hours_is_a_fault() -> None:
    shared = {"dumps": "s3://b/{dump_hour:%Y-%m-%d-%H}.gz"}
    assert "the same file for every hour" in faults(**shared, complete={"marker": "_SUCCESS"})[0]
    source(**shared, complete={"marker": "{dump_hour:%Y-%m-%d-%H}.done"})
    source(complete={"manifest": "manifest.json"})


@pytest.mark.parametrize(
    ("sql", "references"),
    [
        ("payload.action", {"payload.action"}),
        ("a.b.c.d.e.f", {"a.b.c.d.e.f"}),
        ("a['b']['c']", {"a.b.c"}),
        ("(a).b", {"a.b"}),
        ("string_split(a, ',')[1]", {"a"}),
        ('"a.b"."c d"', {"`a.b`.c d"}),
        ("nullif(nullif(bytes, '-'), '')", {"bytes"}),
        ("json_extract_string(raw, '$.x')", set()),
        ("raw ->> '$.x'", set()),
        ("a -> '$.x' ->> '$.y'", {"a"}),
        ("to_json(list_filter(a::JSON[], lambda x: x ->> '$.y' > z.q))", {"a", "z.q"}),
        ("list_reduce(a::INT[], lambda x, y: x + y + length(x.z || B))", {"a", "B"}),
        ("list_contains(list_transform([a], lambda a: a || b), a)", {"a", "b"}),
        ("case when a = 1 then b else c::int end", {"a", "b", "c"}),
        ("strptime(t, '%Y')", {"t"}),
        ("replace(a, 'x', \"y\")", {"a", "y"}),
        ("upper(user)", {"user"}),
        ("if(a > date '2015-01-01', 1, 0)", {"a"}),
        ("extract(hour FROM a::TIMESTAMP)", {"a"}),
        ("greatest(a, least(b, c))", {"a", "b", "c"}),
        ("a % 2 = 0 and not b", {"a", "b"}),
    ],
)
def test_an_expression_tells_what_it_reads(sql: str, references: set[str]) -> None:
    assert FieldRef(sql=sql).references() == references


@pytest.mark.parametrize(
    "sql",
    [
        "rand() ",
        " randn(1) ",
        " random() ",
        " uuid() ",
        " now() ",
        " current_timestamp ",
        " current_timestamp() ",
        " current_date\n    ",
        " curdate() ",
        " localtimestamp ",
        " localtimestamp() ",
        " unix_timestamp() ",
        " monotonically_increasing_id()\n    ",
        " spark_partition_id() ",
        " input_file_name() ",
        " shuffle(a) ",
        " current_user() ",
        " user() ",
        " session_user()\n    ",
        " current_database() ",
        " version() ",
        " reflect('a', 'b')\n    ",
        " (select 1) ",
        " exists(select 1) ",
        " a in (select b from t) ",
        " sum(a) ",
        " count(*) ",
        " count_if(a) ",
        " max_by(a, b)\n    ",
        " collect_list(a) ",
        " percentile(a, 0.5) ",
        " row_number() over (order by a) ",
        " sum(a) over () ",
        " lag(a)\n    ",
        " posexplode(a) ",
        " inline(a) ",
        " t.* ",
        " $p ",
        " ? ",
        " getenv('HOME') ",
        " getvariable('x') ",
        " repeat(a, 1000000000) ",
        " range(1000000000) ",
        " hash(a) ",
        " list_distinct([a, b]) ",
        " a COLLATE NOCASE ",
        " read_text('/etc/passwd') ",
        " age(a::TIMESTAMP) ",
        " raise_error('x')\n    ",
        " bool_and(a) ",
        " first(a) ",
        " approx_percentile(a, 0.5) ",
        " any_value(a) ",
        " stack(2, a, b)",
    ],
)
def test_what_is_no_function_of_one_line_is_refused(sql: str) -> None:
    told = faults(fields={"event_time": "t", "user_id": {"sql": f"coalesce(b, {sql.strip()})"}})
    assert all(fault.startswith("fields.user_id.sql: ") for fault in told)
    assert any("not allowed" in fault for fault in told), told


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("if(a, b", "not an SQL expression"),
        ("'open", "not an SQL expression"),
        ("a and", "not an SQL expression"),
        ("a) or (b", "not an SQL expression"),
        ("", "empty"),
        ("a, b", "got 2"),
        ("a as b", "the name 'b'"),
        ("a b", "the name 'b'"),
        ("a; SELECT b", "several statements"),
        ("a from t", "a query"),
        ("a) from (t", "not an SQL expression"),
    ],
)
def test_what_is_no_single_expression_is_refused(sql: str, told: str) -> None:
    (fault,) = faults(fields={"event_time": "t", "user_id": {"sql": sql}})
    assert fault.startswith("fields.user_id.sql: ")
    assert told in fault
    assert "\x1b" not in fault


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("get_json_object(raw, '$.x')", "write json_extract_string(text, '$.path')"),
        ("to_timestamp(a, 'yyyy')", "write strptime(text, '%Y-%m-%d %H:%M:%S')"),
        ("date_format(a, 'yyyy')", "write strftime(time, '%Y-%m-%d')"),
        ("nvl(a, b)", "write ifnull(value, other) or coalesce(value, other)"),
        ("a rlike 'x'", "write regexp_matches(text, 'pattern')"),
        ("a <=> b", "write a IS NOT DISTINCT FROM b"),
        ("split(a, ',')[1]", "write string_split(text, part) for a plain text"),
        ("regexp_extract(a, '(x)')", "needs the number of the group"),
        ("string_split(a, ',')[0]", "lists are counted from 1"),
        ("a[1]", "'a' is text, and [1] is one of its characters"),
        ("octet_length(raw)", "write strlen(text)"),
        ("log(a)", "write ln(number) or log10(number)"),
        ("dayofweek(a)", "write isodow(date), which counts from Monday = 1"),
        ("`a b`", 'stands in double quotes, such as "a b"'),
        ("explode(a)", "write json_extract_string(text, '$[0]')"),
        ("struct(*)", "write struct_pack(name := value)"),
        ("json_tuple(a, 'b')", "write json_extract_string(text, '$.path')"),
        ("lowr(a)", "did you mean 'lower'?"),
    ],
)
def test_what_other_engines_have_or_mean_is_refused_with_what_to_write(sql: str, told: str) -> None:
    found = faults(fields={"event_time": "t", "user_id": {"sql": sql}})
    assert any(told in fault for fault in found), found


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "lower(a, a)",
            "No function matches the given name and argument types 'lower(VARCHAR, VARCHAR)'",
        ),
        ("a + 1 day", "not an SQL expression"),
        ("b.x + 'y'::DATE", "No function matches"),
        ("b.x - b.x", "No function matches"),
        ("strptime(a)", "No function matches"),
        ("a.c.d", "'a.c.d' lies within 'a'"),
        ("b['x']['y']", "'b.x.y' lies within 'b.x'"),
        ("string_split(a, ',')", "expected one value, got VARCHAR[]; for its JSON write to_json("),
        ("'today'::DATE", "Conversion Error"),
    ],
)
def test_an_expression_that_does_not_fit_the_fields_is_a_fault(sql: str, told: str) -> None:
    columns = {"s": {"path": "a", "type": "string"}, "x": {"path": "b.x", "type": "string"}}
    found = faults(columns={**columns, "n": {"sql": sql, "type": "string"}})
    assert any(told in fault for fault in found), found
    assert any("columns.n" in fault for fault in found)


def test_an_expression_reads_no_file_when_it_is_checked(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    found = faults(columns={"n": {"sql": f"content FROM read_text('{secret}')", "type": "string"}})
    assert any("got a query" in fault for fault in found)


def test_sql_references_are_read_once() -> None:
    assert sql_references("upper(a)") is sql_references("upper(a)")


@pytest.mark.parametrize(
    "names", [("a",), ("a", "b"), ("a.b", "c"), ("a`b",), ("a b", "$c", "@d", "é")]
)
def test_a_path_written_reads_back(names: tuple[str, ...]) -> None:
    assert split_path(join_path(names)) == names


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", " a", "a .b", "`a", "`a`b", "``"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        split_path(path)


CHANGES: list[dict[str, Any]] = [
    {"fields": {"event_time": "u"}},
    {"fields": {"event_time": {"path": "t", "unit": "epoch_s"}}},
    {"columns": {"a": {"path": "b", "type": "int"}}},
    {"format": {"type": "csv"}},
    {"accept": {"late": "1h"}},
    {"sessions": {"id": "s"}},
    {"duplicates": {"within": "48h"}},
    {"dumps": "s3://b/{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.csv"},
    {"dumps": "s3://b/{dump_hour:%Y-%m-%d}/{dump_hour:%H}-{dump_hour_end:%H}.gz"},
    {"exclude": ["*.keys.json"]},
    {"repeated_files": "once"},
]
SAME: list[dict[str, Any]] = [
    {"since": "2016-01-01T00"},
    {"complete": {"files": 3}},
    {"dumps": "s3://other/x/{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.gz"},
]


GAPS: list[dict[str, Any]] = [{"sessions": {"gap": "1h"}}, {"sessions": {"max": "1h30m"}}]


@pytest.mark.parametrize(
    ("table", "mine", "others"),
    [
        (events.TABLE, CHANGES, [*SAME, *GAPS]),
        (sessions.TABLE, GAPS, [*SAME, *CHANGES]),
        (hourly_activity.TABLE, [], [*SAME, *CHANGES, *GAPS]),
    ],
    ids=lambda each: each.name if isinstance(each, Table) else "",
)
def test_a_fingerprint_tells_what_decides_the_rows_of_a_table_and_nothing_else(
    table: Table, mine: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    base = fingerprint(source(), table)
    prints = {fingerprint(source(**change), table) for change in mine}
    assert len(prints) == len(mine)
    assert base not in prints
    assert {fingerprint(source(**other), table) for other in others} == {base}
    assert len(base) == 16
    assert fingerprint(source(), replace(table, version=table.version + 1)) != base


FULL: dict[str, Any] = {
    "format": {"type": "csv", "delimiter": "\t", "header": ["t", "u", "b"], "quote": None},
    "fields": {"event_time": {"path": "t", "unit": "epoch_ms"}, "user_id": {"sql": "lower(u)"}},
    "columns": {"a": {"path": "b", "type": "decimal(10,2)"}},
    "accept": {"late": "0s", "future": "1d2h3m4s"},
}


@pytest.mark.parametrize("change", [FULL, {"format": "parquet"}, *CHANGES, *GAPS], ids=str)
def test_a_definition_written_down_makes_the_same_source_again(change: dict[str, Any]) -> None:
    was = source(**change)
    said = json.loads(json.dumps(was.definition()))
    now = source(since="2020-01-01T00", complete={"files": 7})
    again = now.defined_as(said)
    assert again.definition() == was.definition()
    assert (again.fields, again.columns, again.format) == (was.fields, was.columns, was.format)
    assert (again.since, again.complete) == (now.since, now.complete)
    assert again.dumps.root == now.dumps.root
    assert changes(was.definition(), again.definition()) == []
    assert changes(now.definition(), again.definition()) != []


def test_numbers_decide_no_row_and_are_read_as_the_file_says_now() -> None:
    sequence = {"producer": "host", "number": {"sql": "split_part(n, '-', 2)"}}
    was, now = source(), source(sequence=sequence)
    for table in (events.TABLE, sessions.TABLE):
        assert fingerprint(now, table) == fingerprint(was, table)
    assert now.references() == {"t", "host", "n"}
    again = now.defined_as(was.definition())
    assert again.sequence == now.sequence
    assert again.references() == now.references()
    # What is in force uses as a value what the numbers would be read from within.
    columns = {"host": {"path": "host", "type": "string"}}
    within = source(sequence={"producer": "host.name", "number": "n"})
    assert within.defined_as(source(columns=columns).definition()).sequence is None


def test_promised_freshness_decides_no_row_and_is_what_the_file_says_now() -> None:
    was, now = source(), source(fresh="90m")
    assert (was.fresh, now.fresh) == (None, timedelta(minutes=90))
    for table in (events.TABLE, sessions.TABLE):
        assert fingerprint(now, table) == fingerprint(was, table)
    assert now.defined_as(was.definition()).fresh == now.fresh
    # How long files take to come says nothing of when they are complete.
    assert source(fresh="5m", complete={"files": 2}).fresh == timedelta(minutes=5)


def write(folder: Path, name: str, **keys: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({**LEAST, **keys}))
    return path


def test_relative_dumps_are_counted_from_the_files_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "s.yml", dumps="d/{dump_hour:%Y%m%d%H}.json")
    assert load_source(path).dumps.root == f"{tmp_path}/d/"
    path = write(tmp_path, "s.yml", dumps="{dump_hour:%Y%m%d%H}.json")
    assert load_source(path).dumps.root == f"{tmp_path}/"
    assert load_source(path).path == path


@pytest.mark.parametrize(
    "since",
    [
        "2015-01-01T00",
        "2015-01-01",
        "2015-01-01T00:00:00Z",
        "2015-01-01 00:00:00",
        "2015-01-01T02:00:00+02:00",
    ],
)
def test_since_may_be_written_as_yaml_reads_times(tmp_path: Path, since: str) -> None:
    path = tmp_path / "s.yml"
    rest = {name: value for name, value in LEAST.items() if name != "since"}
    path.write_text(f"since: {since}\n{yaml.safe_dump(rest)}")
    assert load_source(path).since == datetime(2015, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"source: a\nsource: b\n", "key 'source' is given twice, in lines 1 and 2"),
        (b"fields:\n  user_id: a\n  event_time: t\n  user_id: b\n", "key 'user_id' is given twice"),
        (b"fields:\n\tuser_id: a\n", "never tabs"),
        (b"dumps: {dump_hour:%Y}/x", "in quotes as a whole"),
        (b"source: a: b", "in quotes"),
        (b"since: 2015-13-45", "month must be in 1..12"),
        (b"- a", "expected keys and values"),
        (b"", "got nothing"),
        (b"\xff", "not UTF-8"),
        (b"!!python/object:os.system x", "could not determine a constructor"),
        (b"1: 2", "unknown key 1; keys are text"),
    ],
)
def test_what_is_no_source_file_is_told(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "s.yml"
    path.write_bytes(text)
    with pytest.raises(SourceError) as caught:
        load_source(path)
    assert any(told in fault for fault in caught.value.faults), caught.value.faults
    assert str(path) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        load_source(tmp_path / "none.yml")


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a.yml", source="A", since="x")
    write(tmp_path, "b.yml", sorce="x", columns={"c": {"path": "c", "type": "int"}})
    write(tmp_path, "c.yml", columns={"n": {"path": "c", "type": "int"}})
    write(tmp_path, "d.yml", columns={"n": {"path": "c", "type": "string"}})
    (tmp_path / ".hidden.yml").write_text("]")
    (tmp_path / "notes.txt").write_text("]")
    with pytest.raises(SourceError) as caught:
        load_sources(tmp_path)
    told = "\n".join(caught.value.faults)
    assert "a.yml: source:" in told
    assert "a.yml: since:" in told
    assert "b.yml: unknown key 'sorce'" in told
    assert "d.yml: source 'shop' is described by c.yml too" in told
    assert "d.yml: columns.n is string, but int in c.yml" in told
    assert len(caught.value.faults) == 5


def test_sources_come_by_name(tmp_path: Path) -> None:
    write(tmp_path, "z.yml", source="a")
    write(tmp_path, "y.yaml", source="b", dumps="s3://c/{dump_hour:%Y-%m-%d-%H}.gz")
    assert [s.source for s in load_sources(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://b/{dump_hour:%Y-%m-%d-%H}/*.gz", "s3a://b/{dump_hour:%Y-%m-%d-%H}/*.gz"),
        (
            "s3://b/{dump_hour:%Y-%m-%d-%H}/*.gz",
            "s3://b/{dump_hour:%Y}-{dump_hour:%m-%d-%H}/*.json.gz",
        ),
        ("s3://b/{dump_hour:%Y-%m-%d-%H}/*.gz", "s3://b/{dump_hour:%Y-%m-%d-%H}/"),
        ("s3://b/{dump_hour:%Y-%m-%d-%H}/a*.gz", "s3://b/{dump_hour:%Y-%m-%d-%H}/*b.*"),
        ("s3://b/{dump_hour:%Y-%m-%d-%H}.gz", "s3://b/{dump_hour:%Y-%-m-%-d-%H}.gz"),
        ("s3://b/{dump_hour:%Y-%m-%d-%H}.gz", "s3://b/{dump_hour:%Y-%d-%m-%H}.gz"),
        ("dumps/{dump_hour:%Y-%m-%d-%H}.gz", "../FOLDER/dumps/{dump_hour:%Y-%m-%d-%H}.gz"),
    ],
)
def test_two_sources_that_take_the_same_files_are_told(
    tmp_path: Path, one: str, other: str
) -> None:
    other = other.replace("FOLDER", tmp_path.name)
    write(tmp_path, "a.yml", source="a", dumps=one)
    write(tmp_path, "b.yml", source="b", dumps=other)
    with pytest.raises(SourceError) as caught:
        load_sources(tmp_path)
    [told] = caught.value.faults
    assert "b.yml: dumps:" in told
    assert "a.yml takes too" in told


@pytest.mark.parametrize(
    "other",
    [
        "s3://c/{dump_hour:%Y-%m-%d-%H}/*.gz",
        "s3://b/{dump_hour:%Y-%m-%d-%H}/*.json",
        "s3://b/{dump_hour:%Y-%m-%d-%H}/more/*.gz",
        "s3://b/{dump_hour:%Y-%m-%d-%H}.gz",
        "s3://b/x/{dump_hour:%Y-%m-%d-%H}/*.gz",
        "s3://b/{dump_hour:%y-%m-%d-%H}/*.gz",
        "s3://b/x{dump_hour:%Y-%m-%d-%H}/*.gz",
    ],
)
def test_sources_whose_files_lie_beside_each_other_are_right(tmp_path: Path, other: str) -> None:
    write(tmp_path, "a.yml", source="a", dumps="s3://b/{dump_hour:%Y-%m-%d-%H}/*.gz")
    write(tmp_path, "b.yml", source="b", dumps=other)
    assert len(load_sources(tmp_path)) == 2


def test_a_source_is_found_by_its_name_or_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, "other_name.yml")
    (tmp_path / "broken.yml").write_text("]")
    assert find_source("shop", tmp_path).path == path
    assert find_source(str(path), tmp_path / "nowhere").source == "shop"


def test_a_name_that_is_not_known_is_told_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "shop.yml")
    with pytest.raises(TidegateError) as caught:
        find_source("shp", tmp_path)
    assert "did you mean 'shop'?" in str(caught.value)
    with pytest.raises(TidegateError, match="no such source file"):
        find_source("shp.yml", tmp_path)
    with pytest.raises(TidegateError, match="no folder of source files"):
        find_source("shop", tmp_path / "nowhere")


def test_a_broken_file_is_found_by_its_own_name_and_told(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text("]")
    with pytest.raises(SourceError, match="not YAML"):
        find_source("shop", tmp_path)


def test_two_files_of_one_source_are_told_when_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "a.yml")
    write(tmp_path, "b.yml")
    with pytest.raises(TidegateError, match="two files describe the source 'shop'"):
        find_source("shop", tmp_path)


def test_the_projects_own_sources_are_without_fault() -> None:
    names = {source.source for source in load_sources(ROOT / "dags" / "sources")}
    assert {"github", "nasa"} <= names


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the folder of real dumps, ../shared/data, is not here"
)
def test_the_real_streams_are_as_their_sources_say() -> None:
    from tidegate.dumps.dumps import Dumps
    from tidegate.storage.s3 import S3Access

    folder = ROOT / "dags" / "sources"
    nasa = Dumps(find_source("nasa", folder), S3Access(), str(DATA / "nasa"))
    (requests,) = nasa.files(nasa.source.since)
    with nasa.opener([requests]).open(requests.name) as stream, gzip.open(stream) as lines:
        header = lines.readline().decode().rstrip("\n").split("\t")
    assert set(header) >= nasa.source.references()
    github = Dumps(find_source("github", folder), S3Access(), str(DATA / "gharchive"))
    (events,) = github.files(datetime(2015, 1, 1, 12, tzinfo=UTC))
    assert events.name == "2015-01-01-12.json.gz"
    assert not nasa.faults([requests])
    assert not github.faults([events])
    missing = github.source.references()
    with gzip.open(events.uri, "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            missing -= {path for path in missing if _has(event, split_path(path))}
    assert not missing


def _has(value: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"encoding": "utf-15"}, "format.encoding: unknown encoding 'utf-15'; did you mean"),
        ({"escape": "\\\\"}, "format.escape: expected exactly one character or null"),
        ({"escape": ","}, "delimiter and escape are the same"),
        ({"escape": '"'}, "a doubled quote is read as one quote already"),
        ({"comment": ""}, "format.comment: expected how such a line begins"),
        ({"comment": ",x"}, "begins like a record"),
        ({"skip": -1}, "format.skip: expected at least 0, got -1"),
        ({"null": [None]}, "expected a list of texts that stand for no value"),
        ({"null": ["\x85"]}, "write '\\N' in single quotes"),
        ({"nul": [""]}, "unknown key 'nul' in format; did you mean 'null'?"),
    ],
)
def test_a_wrong_option_of_delimited_text_is_named(form: dict[str, Any], told: str) -> None:
    found = faults(format={"type": "csv", **form})
    assert any(told in fault for fault in found), found


def test_only_delimited_text_takes_the_options_of_delimited_text() -> None:
    assert "only csv takes escape" in faults(format={"type": "json", "escape": "\\"})[0]


def test_the_key_null_needs_no_quotes_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "s.yml"
    path.write_text(
        yaml.safe_dump({**LEAST, "source": "s"})
        + "format: {type: csv, null: ['', '\\N', 'NULL'], encoding: Latin1}\n"
    )
    form = load_source(path).format
    assert (form.null, form.encoding) == (("", r"\N", "NULL"), "iso-8859-1")


def test_options_at_their_defaults_leave_a_fingerprint_as_it_was() -> None:
    # Written down before these options existed.
    before = {"type": "csv", "delimiter": ",", "header": True, "quote": '"'}
    assert source(format="csv").definition()["format"] == before
    spelled = {"type": "csv", "null": "", "skip": 0, "encoding": "UTF-8", "escape": None}
    assert source(format=spelled).definition()["format"] == before
    assert source(format="parquet").definition()["format"] == {"type": "parquet"}
    told = source(format={"type": "csv", "null": r"\N", "comment": "#"}).definition()["format"]
    assert told == {**before, "null": [r"\N"], "comment": "#"}
    assert (
        source().defined_as(source(format="csv").definition()).format == source(format="csv").format
    )


def test_a_source_below_the_folder_of_another_must_be_excluded_there(tmp_path: Path) -> None:
    hour = "s3://b/{dump_hour:%Y/%m/%d/%H}"
    write(tmp_path, "a.yml", source="a", dumps=f"{hour}/")
    for below in (f"{hour}/clicks/*.gz", f"{hour}/clicks/"):
        write(tmp_path, "b.yml", source="b", dumps=below)
        with pytest.raises(SourceError, match=r"a\.yml takes too"):
            load_sources(tmp_path)
    for exclude in ("clicks/*", ["x", "clicks*"]):
        write(tmp_path, "a.yml", source="a", dumps=f"{hour}/", exclude=exclude)
        assert len(load_sources(tmp_path)) == 2
    write(tmp_path, "a.yml", source="a", dumps=f"{hour}/", exclude="click/*")
    with pytest.raises(SourceError, match=r"a\.yml takes too"):
        load_sources(tmp_path)
