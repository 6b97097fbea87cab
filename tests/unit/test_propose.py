"""Proposed source files: what samples say, and that every proposal loads as it stands."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from project import REPO
from tidegate.cli.app import app
from tidegate.common.errors import TidegateError
from tidegate.config.source import Source, load_source, split_path
from tidegate.propose.columns import MOST_COLUMNS, column_name
from tidegate.propose.draft import Proposal, propose
from tidegate.propose.names import guess_names
from tidegate.propose.read import MOST_READ, read_samples
from tidegate.propose.snowplow import COLUMNS as SNOWPLOW
from tidegate.propose.source_name import guess_source
from tidegate.propose.text import guess_csv
from tidegate.propose.times import iso_time
from tidegate.storage.s3 import S3Access
from tidegate_demo import traffic

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
REAL = REPO.parent / "shared" / "data"
Line = Mapping[str, Any]


def put(path: Path, lines: Iterable[Line | str | bytes]) -> Path:
    """Write a file of lines, gzip if its name ends in `.gz`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(
        (
            each
            if isinstance(each, bytes)
            else (each if isinstance(each, str) else json.dumps(each)).encode()
        )
        + b"\n"
        for each in lines
    )
    path.write_bytes(gzip.compress(body, mtime=0) if path.name.endswith(".gz") else body)
    return path


def proposed(
    folder: Path, *places: Path, lines: int = 10_000, **more: Any
) -> tuple[Source, Proposal]:
    """Propose a source file and load it."""
    sampled = read_samples([str(each) for each in places or [folder]], S3Access(), lines)
    made = propose(sampled, folder, **more)
    # Relative dumps count from the folder of the file.
    file = folder / f".{made.source}.yml"
    file.write_text(made.text("not tried"), encoding="utf-8")
    return load_source(file), made


def refused(*places: Path) -> str:
    with pytest.raises(TidegateError) as caught:
        propose(read_samples([str(each) for each in places], S3Access(), 100), places[0].parent)
    return str(caught.value)


def at(seconds: int, hour: datetime = TEN) -> str:
    return (hour + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def events(count: int, hour: datetime = TEN, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{hour:%H}-{n}",
            "ts": at(n, hour),
            "type": "ab"[n % 2],
            "user": f"u{n % 5}",
            **more,
        }
        for n in range(count)
    ]


# -- where the dumps are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["2026-05-01/10.json", "2026-05-01/11.json"], "{dump_hour:%Y-%m-%d}/{dump_hour:%H}.json"),
        (
            ["2015-01-01-15.json.gz", "2015-01-01-9.json.gz"],
            "{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json.gz",
        ),
        (
            ["dt=2026-05-01/hr=10/part-01.json.gz", "dt=2026-05-01/hr=10/part-02.json.gz"],
            "dt={dump_hour:%Y-%m-%d}/hr={dump_hour:%H}/part-*.json.gz",
        ),
        (
            ["dt=2026-05-01/hr=10/part-0.json.gz"],
            "dt={dump_hour:%Y-%m-%d}/hr={dump_hour:%H}/part-*.json.gz",
        ),
        (["20260501T10.csv", "20260501T11.csv"], "{dump_hour:%Y%m%dT%H}.csv"),
        (["2026050110.csv", "2026050211.csv"], "{dump_hour:%Y%m%d%H}.csv"),
        (
            [
                "2026/05/01/10/s-1-2026-05-01-10-02-33-ab1.gz",
                "2026/05/01/11/s-1-2026-05-01-11-07-33-c9.gz",
            ],
            "{dump_hour:%Y/%m/%d/%H}/s-*.gz",
        ),
        (
            [
                "year=2026/month=05/day=01/hour=10/a.parquet",
                "year=2026/month=05/day=01/hour=11/b.parquet",
            ],
            "year={dump_hour:%Y}/month={dump_hour:%m}/day={dump_hour:%d}/hour={dump_hour:%H}/*.parquet",
        ),
        (
            ["x-2026-05-01T10:00:00Z-s1.json", "x-2026-05-01T10:00:00Z-s2.json"],
            "x-{dump_hour:%Y-%m-%dT%H}*.json",
        ),
        (
            ["2026-05-01/2026-05-01-10.json", "2026-05-02/2026-05-02-09.json"],
            "{dump_hour:%Y-%m-%d}/{dump_hour:%Y-%m-%d-%H}.json",
        ),
        (["1777629600.json", "1777633200.json"], "{dump_hour:%s}.json"),
        (["2026-05-01/events-10.json"], "{dump_hour:%Y-%m-%d}/events-{dump_hour:%H}.json"),
        (
            ["2026-5-1-9.json", "2026-10-11-19.json"],
            "{dump_hour:%Y-%-m-%-d}-{dump_hour:%-H}.json",
        ),
        (["20260501-100000.json"], "{dump_hour:%Y%m%d}-{dump_hour:%H}0000.json"),
        (
            ["2026-05-01/10/a.json", "2026-05-01/10/x=1/b.json", "2026-05-01/11/x=1/y=2/c.json"],
            "{dump_hour:%Y-%m-%d}/{dump_hour:%H}/",
        ),
        (
            [
                "2026-05-01T12:00:00+00:00-2026-05-01T13:00:00+00:00.jsonl.gz",
                "2026-05-01T13:00:00+00:00-2026-05-01T14:00:00+00:00.jsonl.gz",
            ],
            "{dump_hour:%Y-%m-%dT%H}*.jsonl.gz",
        ),
        (
            ["20260501T2300_20260502T0000.csv", "20260502T0000_20260502T0100.csv"],
            "{dump_hour:%Y%m%dT%H}*.csv",
        ),
        (
            ["topics/x/year=2026/month=05/day=01/hour=10/x+0+0000000000.avro"],
            "topics/x/year={dump_hour:%Y}/month={dump_hour:%m}/day={dump_hour:%d}/hour={dump_hour:%H}/*.avro",
        ),
        (["u_ex26050109.log", "u_ex26050110.log"], "u_ex{dump_hour:%y%m%d%H}.log"),
        (["9_2026-05-01_9#17.json.gz"], "9_{dump_hour:%Y-%m-%d}_{dump_hour:%-H}#*.json.gz"),
    ],
)
@pytest.mark.parametrize("root", ["/data/", "s3a://b/x/"])
def test_a_template_is_guessed_from_names(root: str, names: Sequence[str], template: str) -> None:
    uris = [root + name for name in names]
    found = guess_names(uris, Path("/elsewhere"))
    assert found.template == root.replace("s3a://", "s3://") + template
    assert sorted(found.hours) == sorted(uris)
    assert not found.others


@pytest.mark.parametrize(
    "name",
    ["foo.json", "2026-05-01.json", "2026-05-01/0001.json", "2026-13-41-10.json", "99/1.json"],
)
def test_names_without_an_hour_give_a_template_that_says_it_is_made_up(name: str) -> None:
    found = guess_names([f"/data/{name}"], Path("/"))
    assert not found.is_guessed
    assert "made up" in found.notes[0]
    assert found.template.endswith("{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.json")


def test_a_name_that_tells_not_how_nine_is_written_says_so() -> None:
    assert guess_names(["/d/2026-05-01-10.json"], Path("/")).remark == "%-H if 9 is written 9"
    assert not guess_names(["/d/2026-05-01-09.json"], Path("/")).remark


def test_files_of_other_names_are_told() -> None:
    uris = ["/x/a/2026-05-01/10.json", "/x/b/2026-05-01/10.json", "/x/a/2026-05-01/11.json"]
    found = guess_names(uris, Path("/"))
    assert found.others == (uris[1],)
    assert "1 of 3 files are named otherwise" in found.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ["/d/{x}/2026-05-01-10.json"],
        ["/d/a*b/x.json"],
        ["s3a://one/x.json", "s3a://two/x.json"],
        ["s3a://one/x.json", "/d/x.json"],
    ],
)
def test_names_that_no_template_can_have_are_refused(names: list[str]) -> None:
    with pytest.raises(TidegateError, match="no template can name the samples"):
        guess_names(names, Path("/"))


def test_the_source_is_named_after_the_nearest_folder_that_says_something() -> None:
    assert (
        guess_source("/work/Shop-Events 2/dumps/raw/{dump_hour:%Y}", Path("/")) == "shop_events_2"
    )
    assert guess_source("s3://clicks/events/dt={dump_hour:%Y}", Path("/")) == "clicks"
    assert guess_source("dumps/{dump_hour:%Y}", Path("/somewhere/tour")) == "tour"
    assert guess_source("/2026/data/{dump_hour:%Y}", Path("/")) == "events"


# -- real and well-known shapes --------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="the real dumps are not there")
def test_gh_archive_has_hours_without_leading_zeros(tmp_path: Path) -> None:
    source, _ = proposed(tmp_path, REAL / "gharchive")
    assert source.source == "gharchive"
    assert source.dumps.inner.text == "{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json.gz"
    fields = source.fields
    assert (fields.event_id and fields.event_id.path) == "id"
    assert fields.event_time.path == "created_at"
    assert (fields.event_type and fields.event_type.path) == "type"
    assert (fields.user_id and fields.user_id.path) == "actor.id"
    assert source.columns["repo_id"].type == "bigint"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real dumps are not there")
def test_a_log_of_requests_has_no_ids_and_addresses_for_users(tmp_path: Path) -> None:
    source, made = proposed(tmp_path, REAL / "nasa")
    assert source.format.delimiter == "\t"
    assert source.format.quote is None
    assert source.fields.event_id is None
    assert source.fields.event_time.unit == "epoch_s"
    assert (source.fields.anonymous_id and source.fields.anonymous_id.path) == "host"
    assert any("host stands for one" in what for what, _ in made.undecided)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    for each in traffic.dumps(scale=0.02):
        path = root / each.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.body)
    return root


def test_the_demos_shop_is_proposed_as_it_is_described(demo: Path, tmp_path: Path) -> None:
    source, made = proposed(tmp_path, demo / "shop")
    assert source.dumps.inner.text == "{dump_hour:%Y-%m-%d}/{dump_hour:%H}/part-*.json.gz"
    assert (source.fields.event_id and source.fields.event_id.path) == "id"
    assert (source.fields.user_id and source.fields.user_id.path) == "user.id"
    anonymous = source.fields.anonymous_id
    assert (anonymous and anonymous.path) == "user.anonymous_id"
    assert "are not json" in made.text("")


def test_the_demos_app_is_proposed_as_it_is_described(demo: Path, tmp_path: Path) -> None:
    source, made = proposed(tmp_path, demo / "app")
    assert (source.format.type, source.format.delimiter) == ("csv", ";")
    assert source.fields.event_time.unit == "epoch_ms"
    assert (source.fields.user_id and source.fields.user_id.path) == "user_id"
    assert source.columns["load_ms"].type == "bigint"
    assert any("cut short" in each for each in made.warnings)


def test_segments_calls(tmp_path: Path) -> None:
    calls = [
        {
            "anonymousId": f"an{n % 9}",
            "event": "Order Completed" if n % 2 else None,
            "messageId": f"ajs-{n}",
            "originalTimestamp": at(n),
            "properties": {"revenue": 10 if n % 2 else 19.5, "products": [1]},
            "receivedAt": at(n + 5),
            "timestamp": at(n),
            "type": ("track", "page")[n % 2],
            "userId": f"u{n % 4}" if n % 3 else None,
        }
        for n in range(60)
    ]
    put(tmp_path / "2026-05-01/10/a1b2.json.gz", calls)
    source, made = proposed(tmp_path)
    fields = source.fields
    assert (fields.event_id and fields.event_id.path) == "messageId"
    assert fields.event_time.path == "timestamp"
    assert (fields.event_type and fields.event_type.path) == "type"
    assert (fields.user_id and fields.user_id.path) == "userId"
    assert (fields.anonymous_id and fields.anonymous_id.path) == "anonymousId"
    assert source.columns["properties_revenue"].type == "double"
    assert source.columns["received_at"].type == "timestamp"
    assert "a list: properties.products" in made.text("")


def test_snowplows_enriched_events_get_the_names_of_their_columns(tmp_path: Path) -> None:
    assert len(SNOWPLOW) == 131
    rows = []
    for n in range(30):
        cells = dict.fromkeys(SNOWPLOW, "")
        cells |= {
            "event": "page_view",
            "event_id": f"00000000-0000-4000-8000-{n:012d}",
            "collector_tstamp": f"2026-05-01 10:00:{n:02d}.123",
            "derived_tstamp": f"2026-05-01 10:00:{n:02d}.023",
            "domain_userid": f"d{n % 4}",
            "domain_sessionid": f"s{n % 6}",
            "user_id": f"u{n % 3}",
        }
        rows.append("\t".join(cells.values()))
    put(tmp_path / "run=2026-05-01-10-00-00/part-00000.gz", rows)
    source, made = proposed(tmp_path)
    assert source.format.header == SNOWPLOW
    assert source.fields.event_time.path == "derived_tstamp"
    assert (source.fields.user_id and source.fields.user_id.path) == "user_id"
    assert (source.fields.anonymous_id and source.fields.anonymous_id.path) == "domain_userid"
    assert "# sessions: {id: domain_sessionid}" in made.text("")


def test_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "dt=2026-05-01" / "hour=10"
    folder.mkdir(parents=True)
    rows = pa.table(
        {
            "event_id": [f"e{n}" for n in range(30)],
            "event_time": pa.array([TEN + timedelta(seconds=n) for n in range(30)]),
            "user": [{"id": f"u{n % 4}", "vip": n % 2 == 0} for n in range(30)],
            "day": [date(2026, 5, 1)] * 30,
            "price": pa.array([Decimal("1.50")] * 30, pa.decimal128(10, 2)),
        }
    )
    pq.write_table(rows, folder / "part-0.parquet")
    (folder / "_SUCCESS").touch()
    source, _ = proposed(tmp_path)
    assert source.format.type == "parquet"
    assert source.complete.marker == "_SUCCESS"
    assert source.fields.event_time.unit == "iso"
    types = {name: column.type for name, column in source.columns.items()}
    assert types == {"day": "date", "price": "double", "user_vip": "boolean"}
    assert (source.fields.user_id and source.fields.user_id.path) == "user.id"


# -- fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "factor"), [("epoch_s", 1), ("epoch_ms", 1_000), ("epoch_us", 1_000_000)]
)
def test_units_of_time_are_told_by_magnitude(tmp_path: Path, unit: str, factor: int) -> None:
    begin = int(TEN.timestamp())
    put(tmp_path / "2026-05-01-10.json", [{"t": (begin + n) * factor, "n": n} for n in range(9)])
    put(
        tmp_path / "2026-05-01-11.json", [{"time": (begin + n) * factor} for n in range(3600, 3609)]
    )
    _, made = proposed(tmp_path, tmp_path / "2026-05-01-10.json")  # its name says nothing
    assert "event_time: dump_hour" in made.text("")
    source, _ = proposed(tmp_path, tmp_path / "2026-05-01-11.json")
    assert source.fields.event_time.unit == unit


def test_lines_that_came_twice_say_nothing_against_an_id(tmp_path: Path) -> None:
    lines = events(4)
    put(tmp_path / "2026-05-01-10.json", [*lines, *lines])
    assert proposed(tmp_path)[0].fields.event_id is not None


def test_an_id_that_repeats_in_lines_that_differ_is_none(tmp_path: Path) -> None:
    put(
        tmp_path / "2026-05-01-10.json",
        [{**each, "id": n % 3} for n, each in enumerate(events(30))],
    )
    source, made = proposed(tmp_path)
    assert source.fields.event_id is None
    assert "repeats in lines that differ" in made.text("")


def test_the_id_of_a_user_is_never_the_id_of_an_event(tmp_path: Path) -> None:
    lines = [{"at": at(n), "user": {"id": f"u{n}"}} for n in range(3)]
    put(tmp_path / "2026-05-01-10.json", lines)
    source, _ = proposed(tmp_path)
    assert source.fields.event_id is None
    assert (source.fields.user_id and source.fields.user_id.path) == "user.id"


def test_who_is_another_in_each_line_is_no_user(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", [{"at": at(n), "user_id": f"u{n}"} for n in range(40)])
    assert proposed(tmp_path)[0].fields.user_id is None


def test_numbers_that_producers_give_are_told_of_in_a_comment(tmp_path: Path) -> None:
    lines = [{"at": at(n), "host": f"h{n % 2}", "seq": n // 2 + 1} for n in range(40)]
    put(tmp_path / "2026-05-01-10.json", lines)
    source, made = proposed(tmp_path)
    assert source.sequence is None
    assert "# sequence: {producer: host, number: seq}" in made.text("")


def test_times_that_lie_far_from_the_hours_in_the_names_widen_accept(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", [*events(300), {**events(1)[0], "ts": at(-6 * 86_400)}])
    source, made = proposed(tmp_path)
    assert source.accept.late == timedelta(days=6)
    assert source.accept.future == timedelta(hours=1)
    assert "lies 6d before its hour" in made.text("")


def test_a_clock_that_was_never_set_does_not_widen_accept(tmp_path: Path) -> None:
    put(
        tmp_path / "2026-05-01-10.json",
        [*events(300), {**events(1)[0], "ts": "1970-01-01T00:00:05Z"}],
    )
    source, made = proposed(tmp_path)
    assert source.accept.late == timedelta(days=3)
    assert "1 events lie so far from their hour" in made.text("")


def test_times_of_another_age_do_not_widen_accept_beyond_sense(tmp_path: Path) -> None:
    put(
        tmp_path / "2026-05-01-10.json",
        [*events(9), {**events(1)[0], "ts": "9999-01-01T00:00:00Z"}],
    )
    source, made = proposed(tmp_path)
    assert source.accept.future == timedelta(hours=1)
    assert "1 events lie so far from their hour" in made.text("")


def test_hours_of_another_time_zone_are_noticed(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-15.json", events(50))
    _, made = proposed(tmp_path)
    assert any("another time zone" in each for each in made.warnings)


# -- columns ---------------------------------------------------------------------------------------


def test_types_are_those_that_all_values_fit(tmp_path: Path) -> None:
    values: dict[str, tuple[Any, Any, str]] = {
        "whole": (1, 2, "bigint"),
        "mixed": (1, 2.5, "double"),
        "huge": (1, 2**70, "string"),
        "flag": (True, False, "boolean"),
        "day": ("2026-05-01", "2026-02-28", "date"),
        "no_day": ("2026-05-01", "2026-02-30", "string"),
        "moment": ("2026-05-01T10:00:00+02:00", "2026-05-01 10:00", "timestamp"),
        "zip": ("01234", "99999", "string"),
        "number_as_text": ("1", "2", "string"),
        "either": (1, "one", "string"),
        "price": (3, 4, "double"),
    }
    lines = [
        {**each, **{name: pair[n % 2] for name, pair in values.items()}}
        for n, each in enumerate(events(20))
    ]
    put(tmp_path / "2026-05-01-10.json", lines)
    columns = proposed(tmp_path)[0].columns
    assert {name: columns[name].type for name in values} == {
        name: kind for name, (_, _, kind) in values.items()
    }


def test_text_of_delimited_files_is_typed_and_may_say_nothing(tmp_path: Path) -> None:
    head = "id,ts,n,x,zip,flag,none,note"
    rows = [f"{n},{at(n)},{n},{n}.5,0{n},true,{'-' if n % 3 else n},-" for n in range(30)]
    put(tmp_path / "2026-05-01-10.csv", [head, *rows])
    source, _ = proposed(tmp_path)
    types = {name: column.type for name, column in source.columns.items()}
    assert types == {
        "n": "bigint",
        "x": "double",
        "zip": "string",
        "flag": "boolean",
        "none": "bigint",
    }
    assert source.format.null == ("", "-")


def test_a_value_in_a_hundred_that_does_not_fit_is_told(tmp_path: Path) -> None:
    lines = [{**each, "n": "x" if n == 7 else n} for n, each in enumerate(events(100))]
    put(tmp_path / "2026-05-01-10.json", lines)
    source, made = proposed(tmp_path)
    assert source.columns["n"].type == "string"
    assert "bigint but for 1, which would be quarantined" in made.text("")


def test_columns_fit_those_of_other_sources(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", events(20, n=1, m=1, s="x", p=1.5, q=1.555))
    other = {"n": "int", "m": "date", "s": "string", "p": "decimal(10,2)", "q": "decimal(10,2)"}
    source, _ = proposed(tmp_path, name="web", known_columns=other)
    types = {name: column.type for name, column in source.columns.items()}
    assert types == {
        "n": "int",
        "web_m": "bigint",
        "s": "string",
        "p": "decimal(10,2)",
        "web_q": "double",
    }


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", events(5))
    plain = proposed(tmp_path)[0].source
    assert proposed(tmp_path, known_sources=[plain])[0].source == f"{plain}_2"


def test_what_is_rare_is_left_to_a_comment(tmp_path: Path) -> None:
    lines = [
        {**each, **{f"c{m:03d}": m for m in range(60 + n)}} for n, each in enumerate(events(20))
    ]
    put(tmp_path / "2026-05-01-10.json", lines)
    source, made = proposed(tmp_path)
    assert len(source.columns) == MOST_COLUMNS
    assert "Not columns" in made.text("")
    assert "c078" in made.text("")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("actor", "id"), "actor_id"),
        (("userAgent",), "user_agent"),
        (("HTTPStatus",), "http_status"),
        (("1st",), "c_1st"),
        (("",), "c"),
        (("ü",), "c"),
    ],
)
def test_names_of_columns_are_small_letters(path: tuple[str, ...], name: str) -> None:
    assert column_name(path) == name


def test_hostile_names_and_values_still_load(tmp_path: Path) -> None:
    odd = {
        "": 1, "a.b": 1, "on": 1, "null": 2, "Id": 5, "source": "x", "line": 3, "it's": 1,
        "back\\slash": 1, "\x1b[31mred": 1, "new\nline": 1, "*p": 1, "&q": 1, "- d": 1, "k: v": 1,
        "#c": 1, "`bt`": 1, "\ud83d": 1, "\ufffe": 1, "event_time": "no", "properties": {"a": 1},
        "{x}": 1, "%s": 1, "deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}, "x" * 300: 1,
    }  # fmt: skip
    lines = [
        {**each, **odd, "type": "t\x1b[0m\u2028 # x\ufeff", "either": {"y": 1} if n % 2 else 3}
        for n, each in enumerate(events(20))
    ]
    put(tmp_path / "2026-05-01-10.json", lines)
    source, made = proposed(tmp_path)
    assert "\x1b" not in made.text("")
    assert {"on", "null", "a_b", "source_value", "line_value"} <= source.columns.keys()
    paths = {column.path for column in source.columns.values()}
    assert not paths & {"it's", "Id", "either", "either.y"}
    assert "an object in some lines and none in others: either, either.y" in made.text("")


# -- what lies beside ------------------------------------------------------------------------------


def test_a_marker_or_a_manifest_tells_completeness(tmp_path: Path) -> None:
    for hour in ("10", "11"):
        put(tmp_path / f"2026-05-01/{hour}/a.json", events(5, TEN.replace(hour=int(hour))))
        (tmp_path / f"2026-05-01/{hour}/manifest.json").write_text('["a.json"]')
    assert proposed(tmp_path)[0].complete.manifest == "manifest.json"
    one = tmp_path / "2026-05-01" / "10" / "a.json"
    (one.parent / "manifest.json").unlink()
    (one.parent / "_SUCCESS").touch()
    assert proposed(tmp_path, one)[0].complete.marker == "_SUCCESS"


def test_a_manifest_that_says_nothing_is_not_used(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01/10/a.json", events(5))
    (tmp_path / "2026-05-01/10/manifest.json").write_text("no")
    source, made = proposed(tmp_path)
    assert source.complete.manifest is None
    assert "manifest.json is no manifest that can be used" in made.text("")


def test_a_marker_of_a_folder_of_many_hours_tells_nothing(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01/10.json", events(5))
    (tmp_path / "2026-05-01/_SUCCESS").touch()
    source, made = proposed(tmp_path)
    assert source.complete.marker is None
    assert "_SUCCESS lies beside the files of several hours" in made.text("")


# -- dialects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", ",;\t|")
@pytest.mark.parametrize("quoted", [False, True])
def test_delimiters_and_quotes_are_found(delimiter: str, quoted: bool) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["id", "at", "note"])
    for n in range(20):
        writer.writerow([n, at(n), f"a{delimiter}b, c" if quoted else "plain"])
    found = guess_csv([out.getvalue().encode()])
    assert (found.delimiter, found.header) == (delimiter, True)
    assert found.quote == (None if delimiter == "\t" and not quoted else '"')


def test_files_without_a_header_get_numbered_columns(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.csv", [f"{at(n)},u{n % 3},{n}" for n in range(20)])
    source, _ = proposed(tmp_path)
    assert source.format.header is False
    assert source.fields.event_time.path == "_c0"


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("2026-05-01-10.json", b"", "the samples have no line"),
        ("2026-05-01-10.json", b"\n\n", "the samples have no line"),
        ("2026-05-01-10.json", b"hello\n", "2026-05-01-10.json, line 1"),
        ("2026-05-01-10.json", gzip.compress(b"{}\n", mtime=0), "got gzip"),
        ("2026-05-01-10.json.gz", b"{}\n", "gzip"),
        ("2026-05-01-10.json.gz", b"", "cut short"),
        ("2026-05-01-10.json.zst", b"x", "expected Zstandard"),
        ("2026-05-01-10.json", bytes(range(256)) * 9, "unknown binary data"),
        ("2026-05-01-10.csv", b"caf\xe9,\x02\ncaf\xe9,2\n", "a sample is not text"),
        ("2026-05-01-10.json", b'{"a": "caf\xe9"}\n{"a": "caf\xe9"}\n', "json that is not UTF-8"),
        (
            "2026-05-01-10.parquet",
            b"PAR1\x00\x01\x02\x03\x04\x05\x06\x07PAR1",
            "no sample can be read",
        ),
        ("2026-05-01-10.csv", b"id,ts\n", "no line but a header"),
        ("dump.json", b'{"a": 1}\n', "no field of the samples looks like a time"),
        ("2026-05-01-10.json", b'{"a":"' + b"x" * (2 << 20), "too_long"),
        ("2026-05-01-10.json", b'{"n":' + b"[" * 90_000 + b"\n", "most lines of the samples"),
        ("_SUCCESS", b"", "markers or manifests only"),
    ],
)
def test_what_can_not_be_landed_is_refused(
    tmp_path: Path, name: str, body: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(body)
    assert expected in refused(tmp_path)


def test_several_formats_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", events(3))
    put(tmp_path / "2026-05-01-11.csv", ["id,ts", f"1,{at(1)}"])
    text = refused(tmp_path)
    assert "json: 1" in text
    assert "csv: 1" in text


def test_a_sample_that_is_not_there_is_told_the_nearest(tmp_path: Path) -> None:
    put(tmp_path / "dumps.json", events(1))
    assert "did you mean 'dumps.json'?" in refused(tmp_path / "dump.json")


def test_a_file_that_vanishes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegate.dumps.samples import Samples

    path = put(tmp_path / "2026-05-01-10.json", events(3))
    stream = Samples.stream
    monkeypatch.setattr(
        Samples, "stream", lambda self, file: (path.unlink(), stream(self, file))[1]
    )
    assert "2026-05-01-10.json" in refused(tmp_path)


def test_of_a_huge_file_only_its_beginning_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "2026-05-01-10.json", events(50))
    with path.open("r+b") as file:
        file.truncate(10 << 30)  # nothing but a hole
    _, made = proposed(tmp_path, lines=20)
    assert "from the first 20 lines of 1 file" in made.text("")


def test_of_many_files_some_are_read_and_all_named(tmp_path: Path) -> None:
    hours = [TEN + timedelta(hours=n) for n in range(60)]
    for hour in hours:
        put(tmp_path / f"{hour:%Y-%m-%d-%H}.json", events(2, hour))
    source, made = proposed(tmp_path)
    assert source.since == TEN
    assert made.last == hours[-1]
    assert f"of {MOST_READ} files" in made.text("")


def test_broken_lines_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", [*events(20), '{"id": ', "", *events(3)])
    _, made = proposed(tmp_path)
    assert "2 of 25 lines are not json" in made.text("")
    assert "line 21" in made.text("")


# -- the command -----------------------------------------------------------------------------------


def test_the_command_writes_a_file_that_check_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("dags/sources", "expectations"):
        (tmp_path / folder).mkdir(parents=True)
    put(tmp_path / "web/2026-05-01-10.json", events(20, n=1))
    monkeypatch.setenv("TIDEGATE_PROJECT", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    out = tmp_path / "dags/sources/web.yml"
    runner = CliRunner()
    done = runner.invoke(app, ["init", str(tmp_path / "web"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "tidegate check" in done.stderr
    assert f"tidegate run {out} --from 2026-05-01T10 --to 2026-05-01T10\n" in done.stderr
    assert not done.stdout
    assert f"ok     {out}: source web" in runner.invoke(app, ["check"]).stdout
    again = runner.invoke(app, ["init", str(tmp_path / "web"), "--out", str(out)])
    assert isinstance(again.exception, TidegateError)
    assert "there is such a file" in str(again.exception)
    lost = runner.invoke(app, ["init", str(tmp_path / "web"), "--out", str(tmp_path / "no/x.yml")])
    assert "No such file or directory" in str(lost.exception)
    taken = runner.invoke(app, ["init", str(tmp_path / "web"), "--name", "web"])
    assert "a source named web already" in taken.stderr
    shown = runner.invoke(app, ["init", str(tmp_path / "web"), "--name", "other"])
    assert "web.yml takes such files already" in shown.stderr
    assert shown.stdout.startswith("# Proposed by `tidegate init`")
    assert "source: other" in shown.stdout
    assert runner.invoke(app, ["init", str(tmp_path / "web"), "--name", "Bad-"]).exit_code == 2


@pytest.mark.parametrize(
    "text", ["2026-05-01T10:00:00Z", "2026-05-01 10:00:00,5 UTC", "2026-05-01T10:00+0200"]
)
def test_times_are_read_as_landing_reads_them(text: str) -> None:
    assert iso_time(text) is not None


def test_paths_of_a_proposal_are_those_of_the_samples(tmp_path: Path) -> None:
    put(tmp_path / "2026-05-01-10.json", events(9, **{"a.b": {"c": 1}}))
    source, _ = proposed(tmp_path)
    assert split_path(str(source.columns["a_b_c"].path)) == ("a.b", "c")
