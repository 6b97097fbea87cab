"""What files are, by how they begin: formats, dialects of delimited text, and times of a producer's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exports import COUNT, FORMATS, HOURS, events
from kernel import batches
from s3server import s3_client, s3_server
from tidegate.common.errors import TidegateError
from tidegate.common.yaml_strict import parse_yaml
from tidegate.config.source import Format, load_source, parse_source, split_path
from tidegate.propose.draft import Proposal, propose
from tidegate.propose.exports import EXPORTS, known_export
from tidegate.propose.formats import Head, guess_format
from tidegate.propose.read import read_samples
from tidegate.propose.text import guess_csv, guess_nulls
from tidegate.propose.times import as_time, time_forms
from tidegate.propose.trial import land_samples
from tidegate.storage.s3 import S3Access


def guessed(*bodies: bytes, name: str = "sample.txt", whole: bool = True) -> Format:
    heads = [Head(f"{at}-{name}", body, whole) for at, body in enumerate(bodies)]
    return guess_format(heads).form


# -- delimited text --------------------------------------------------------------------------------

ROWS = [f"e{n},2026-05-01 10:00:{n:02d},a b {n}" for n in range(20)]


def csv(*lines: str) -> bytes:
    return ("\n".join(["id,at,note", *(lines or ROWS)]) + "\n").encode()


def test_quotes_within_values_that_a_backslash_escapes_are_seen() -> None:
    form = guess_csv(
        [csv(*(f'e{n},2026-05-01 10:00:{n:02d},"say \\"hi\\", {n}"' for n in range(20)))]
    )
    assert (form.delimiter, form.quote, form.escape, form.header) == (",", '"', "\\", True)


def test_doubled_quotes_need_no_escape() -> None:
    form = guess_csv(
        [csv(*(f'e{n},2026-05-01 10:00:{n:02d},"say ""hi"", {n}"' for n in range(20)))]
    )
    assert (form.quote, form.escape) == ('"', None)


def test_delimiters_within_quotes_are_text_also_where_each_line_has_as_many() -> None:
    form = guess_csv([csv(*(f'e{n},2026-05-01 10:00:{n:02d},"a, {n}"' for n in range(20)))])
    assert (form.quote, form.header) == ('"', True)


def test_line_breaks_within_quotes_are_part_of_a_value() -> None:
    form = guess_csv(
        [csv(*(f'e{n},2026-05-01 10:00:{n:02d},"two\nlines, {n}"' for n in range(20)))]
    )
    assert (form.delimiter, form.quote, form.header) == (",", '"', True)


def test_lines_that_begin_with_a_sign_and_have_no_columns_are_comments() -> None:
    form = guess_csv([b"# written by a job\n" + csv() + b"# the end\n"])
    assert (form.comment, form.skip, form.header) == ("#", 0, True)


def test_values_that_begin_with_a_sign_are_no_comments() -> None:
    form = guess_csv([csv(*(f"#{n},2026-05-01 10:00:{n:02d},x" for n in range(20)))])
    assert form.comment is None


def test_titles_above_the_header_are_skipped() -> None:
    form = guess_csv([b"Daily report\nby the shop\n" + csv()])
    assert (form.skip, form.header, form.comment) == (2, True, None)


def test_hives_columns_are_seen() -> None:
    body = "\n".join(f"e{n}\x012026-05-01 10:00:{n:02d}\x01x" for n in range(9)).encode()
    assert guessed(body).delimiter == "\x01"


def test_a_file_in_several_without_its_header_does_not_take_the_header_from_the_others() -> None:
    assert guess_csv([csv(), "\n".join(ROWS).encode(), csv(*ROWS[:3])]).header is True
    assert guess_csv(["\n".join(ROWS).encode(), csv()]).header is True
    assert guess_csv(["\n".join(ROWS).encode(), "\n".join(ROWS[3:]).encode()]).header is False


def test_spaces_are_delimiters_where_nothing_else_is() -> None:
    body = "\n".join(
        f'http 2026-05-01T10:00:{n:02d}.1Z app/lb 192.0.2.1:80 0.0 {n} 200 "GET http://a:80/" "curl/7 (x, y)"'
        for n in range(20)
    ).encode()
    form = guessed(body, name="a.log")
    assert (form.delimiter, form.quote, form.header) == (" ", '"', False)
    spaced = csv(*(f"e{n},2026-05-01 10:00:{n:02d},a b c d" for n in range(20)))
    assert guessed(spaced).delimiter == ","


def test_text_that_is_not_utf_8_is_taken_for_windows_1252_and_said_to_be_a_guess() -> None:
    body = csv(*(f"e{n},2026-05-01 10:00:{n:02d},caf\u00e9" for n in range(9)))
    guess = guess_format([Head("a.csv", body.decode().encode("latin-1"), True)])
    assert guess.form.encoding == "windows-1252"
    assert "which encoding" in guess.undecided[0][0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_characters_are_seen(encoding: str) -> None:
    form = guessed(csv().decode().encode(encoding), name="a.csv")
    assert (form.delimiter, form.header) == (",", True)
    bare = encoding.endswith(("-le", "-be"))
    assert form.encoding == (encoding.replace("16-", "16") if bare else "utf-8")


def test_a_byte_that_is_no_utf_8_in_one_line_of_many_is_a_fault_of_that_line() -> None:
    body = csv() + b"e99,2026-05-01 10:00:59,\xff\n"
    assert guessed(body, name="a.csv").encoding == "utf-8"


@pytest.mark.parametrize(
    ("values", "nulls"),
    [
        (["1", "2", "-"], ("", "-")),
        (["a", "b", "-"], ("",)),
        (["a", "b", "\\N"], ("", "\\N")),
        (["a", "NULL"], ("", "NULL")),
        (["a", "None"], ("",)),
        (["1.5", "NA", "n/a"], ("", "NA", "n/a")),
        (["2026-05-01", "null"], ("", "null")),
        (["-", "-"], ("",)),
        ([], ("",)),
    ],
)
def test_marks_of_no_value_are_told_from_text(values: list[str], nulls: tuple[str, ...]) -> None:
    assert guess_nulls({"x": value} for value in values) == nulls


# -- formats ---------------------------------------------------------------------------------------


def test_logs_with_directives_are_read_by_them() -> None:
    head = b"#Version: 1.0\n#Fields: date time c-ip\n"
    tabs = guessed(head + b"2026-05-01\t10:00:00\t192.0.2.1\n")
    assert (tabs.type, tabs.delimiter, tabs.quote) == ("csv", "\t", None)
    assert guessed(head + b"2026-05-01 10:00:00 192.0.2.1\n").delimiter == " "


def test_an_access_log_is_seen() -> None:
    line = b'192.0.2.1 - frank [01/May/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5\n'
    assert guessed(line).type == "access_log"


@pytest.mark.parametrize(
    ("found", "records"),
    [
        ({"Records": [{"a": 1}, {"a": 2}]}, "Records"),
        ({"meta": {"n": 2}, "data": {"events": [{"a": 1}]}}, "data.events"),
        ({"a.b": [{"a": 1}]}, "`a.b`"),
        (
            {"written_at": 1777629600, "events": [{"ts": 1777629600}, {"ts": 1777629601}]},
            "events",
        ),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_events_inside_an_object_are_found_by_their_path(
    found: dict[str, object], records: str, whole: bool
) -> None:
    body = json.dumps(found).encode()
    form = guessed(body if whole else body[:-4], name="a.json", whole=whole)
    assert form.records == records


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "items": [{"b": 1}]}\n{"a": 2, "items": []}\n',
        b'{"a": 1, "items": [{"b": 1}]}{"a": 2, "items": []}',
        b'{"a": 1, "list": [1, 2]}',
        b'{"at": "2026-05-01T10:00:00Z", "items": [{"b": 1}]}',
        b'{"at": "2026-05-01T10:00:00Z", "items": [{"at": "2026-05-01T10:00:00Z"}]}',
        b'{"": [{"b": 1}]}',
        b'[{"a": 1},\n{"a": 2}]',
        b'{\n  "a": 1\n}\n',
    ],
)
def test_objects_of_their_own_are_events(body: bytes) -> None:
    form = guessed(body, name="a.json")
    assert (form.type, form.records) == ("json", None)


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([b"", b"\n"], "the samples have no line"),
        ([b'{"a": 1}\n', b"a,b\n1,2\n"], "several formats"),
        ([b"PAR1\x00", b'{"a": 1}\n'], "several formats"),
        ([bytes(range(256)) * 4], "not text"),
        ([b"\x00\x00\x00\x00"], "not text"),
        ([b'{"a": "caf\xe9"}\n'], "json that is not UTF-8"),
        (['{"a": 1}\n'.encode("utf-16")], "json that is not UTF-8"),
    ],
)
def test_what_is_no_sample_of_one_source_is_refused(bodies: list[bytes], expected: str) -> None:
    with pytest.raises(TidegateError, match=expected) as caught:
        guessed(*bodies)
    assert caught.value.todo


# -- times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("01/May/2026:12:00:00 +0200", "%d/%b/%Y:%H:%M:%S %z"),
        ("01.05.2026 10:00:00", "%d.%m.%Y %H:%M:%S"),
        ("2026/05/01 10:00:00", "%Y/%m/%d %H:%M:%S"),
        ("Fri, 01 May 2026 10:00:00 +0000", "%a, %d %b %Y %H:%M:%S %z"),
        ("20260501100000", "%Y%m%d%H%M%S"),
        ("2026-05-01T10:00:00Z", "iso"),
        ("1777629600", "epoch_s"),
        (1_777_629_600_000, "epoch_ms"),
        ("1777629600000000", "epoch_us"),
    ],
)
def test_forms_of_times_are_found(text: object, form: str) -> None:
    assert time_forms([text]) == (form,)
    assert as_time(text, form) == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_days_and_months_that_may_be_each_other_give_both_forms_until_a_day_is_above_12() -> None:
    values = ["01/05/2026 10:00:00", "02/05/2026 10:00:00"]
    assert set(time_forms(values)) == {"%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"}
    assert time_forms([*values, "13/05/2026 10:00:00"]) == ("%d/%m/%Y %H:%M:%S",)


@pytest.mark.parametrize(
    "text", ["", "1", "99999999999999999999", "2026-05-01", "x" * 99, True, None]
)
def test_what_is_no_time_has_no_form(text: object) -> None:
    assert time_forms([text]) == ()


# -- exports ---------------------------------------------------------------------------------------


def test_no_two_exports_are_told_by_the_same_fields() -> None:
    for export in EXPORTS:
        if export.signs:
            assert known_export({split_path(sign) for sign in export.signs}) is export
    assert known_export(set()) is None


# -- every format, to its rows ---------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_proposed_so_that_all_its_events_land(name: str, tmp_path: Path) -> None:
    for path, body in FORMATS[name].items():
        (tmp_path / path).write_bytes(body)
    sampled = read_samples([str(tmp_path)], S3Access(), 1_000)
    proposal = propose(sampled, tmp_path, name="trial")
    file = tmp_path / "trial.yml"
    file.write_text(proposal.text(""), encoding="utf-8")
    source = load_source(file)
    trial = land_samples(source, sampled, proposal.hours)
    assert not trial.faults
    assert trial.records == trial.events == 2 * COUNT
    undecided = " ".join(what for what, _ in proposal.undecided)
    assert ("when events happened" in undecided) == (name == "no times")
    rows = [
        row
        for hour, (path, body) in zip(HOURS, FORMATS[name].items(), strict=True)
        for batch in batches(source, body, path, hour=hour)
        for row in batch.to_pylist()
    ]
    assert [row["_reason"] for row in rows] == [None] * 2 * COUNT
    if name == "csv, no header":
        assert "what the columns are called" in undecided
        names = [json.loads(row["properties"])["_c0"] for row in rows]
        assert names == [f"e{n}" for n in range(2 * COUNT)]
        return
    for (hour, n, time), row in zip(events(), rows, strict=True):
        assert row["event_id"] == f"e{n}"
        assert row["event_time"] == (hour if name == "no times" else time)
        assert row["event_type"].startswith(("view", "buy")[n % 2])
        assert row["user_id"] == (f"u{n % 3}" if n % 4 else None)
        assert row["n"] == n


# -- times and users of proposals ------------------------------------------------------------------


def proposal_of(
    folder: Path, lines: list[dict[str, object]], name: str = "2026-05-01T10.json"
) -> Proposal:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    return propose(read_samples([str(folder)], S3Access(), 1_000), folder, name="trial")


def test_of_two_readings_of_a_date_the_one_near_the_hour_in_the_name_is_taken(
    tmp_path: Path,
) -> None:
    lines: list[dict[str, object]] = [
        {"id": n, "time": f"01/05/2026 10:00:{n:02d}"} for n in range(9)
    ]
    made = proposal_of(tmp_path, lines)
    assert "%d/%m/%Y %H:%M:%S" in made.text("")
    assert not any("whether" in what for what, _ in made.undecided)


def test_of_two_readings_of_a_date_that_nothing_tells_apart_it_is_said(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"id": n, "time": f"05/05/2026 10:00:{n:02d}"} for n in range(9)
    ]
    made = proposal_of(tmp_path, lines)
    assert any(what.startswith("whether") and "%m/%d/%Y" in what for what, _ in made.undecided)


def test_local_times_that_lie_off_the_hours_in_the_names_ask_for_their_zone(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"id": n, "at": f"2026-05-01 12:30:{n:02d}"} for n in range(9)
    ]
    made = proposal_of(tmp_path, lines)
    [(what, todo)] = [each for each in made.undecided if "time zone" in each[0]]
    assert what.startswith("which time zone at is in")
    assert "zone: Europe/Berlin" in todo
    told = [{**line, "at": f"{line['at']}+02:00"} for line in lines]
    assert not any("time zone" in what for what, _ in proposal_of(tmp_path, told).undecided)


def test_a_column_of_times_of_a_form_of_their_own_has_the_form(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"id": n, "at": "2026-05-01T10:00:00Z", "paid": "01.05.2026 09:00"} for n in range(9)
    ]
    text = proposal_of(tmp_path, lines).text("")
    assert "paid: {path: paid, type: timestamp, format: '%d.%m.%Y %H:%M'}" in text


def test_an_export_whose_names_tell_no_hour_says_what_to_do(tmp_path: Path) -> None:
    call: dict[str, object] = {
        "anonymousId": "a",
        "messageId": "m",
        "type": "page",
        "timestamp": "2026-05-01T10:00:00Z",
        "receivedAt": "2026-05-01T10:00:00Z",
        "originalTimestamp": "2026-05-01T10:00:00Z",
    }
    made = proposal_of(tmp_path, [call], "segment-logs/x/1777593600000/1777629603000.1a2b.gz.json")
    assert not made.is_located
    assert "copy the files into folders of the hours" in made.text("")


def test_personal_data_that_an_export_names_are_in_a_comment(tmp_path: Path) -> None:
    event: dict[str, object] = {
        "event": "Sign up",
        "properties": {
            "time": 1777629600,
            "distinct_id": "u",
            "$insert_id": "i",
            "$email": "a@b.c",
        },
    }
    text = proposal_of(tmp_path, [event]).text("")
    assert "# pii: {properties.$email: hash}" in text


# -- S3 --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as access:
        yield access


@pytest.mark.parametrize("name", ["gzip with padding", "parquet", "avro", "csv, a title", "zstd"])
def test_samples_on_s3_are_read_as_those_on_disk(name: str, s3: S3Access) -> None:
    prefix = name.replace(" ", "-")
    for path, body in FORMATS[name].items():
        s3_client(s3).put_object(Bucket="events", Key=f"{prefix}/{path}", Body=body)
    sampled = read_samples([f"s3://events/{prefix}"], s3, 1_000)
    proposal = propose(sampled, Path("/elsewhere"), name="trial")
    source = parse_source(
        parse_yaml("\n".join(proposal.lines), Path("trial.yml")), Path("trial.yml")
    )
    assert source.dumps.text.startswith(f"s3://events/{prefix}/{{dump_hour:%Y-%m-%dT%H}}")
    trial = land_samples(source, sampled, proposal.hours)
    assert not trial.faults
    assert trial.events == 2 * COUNT
